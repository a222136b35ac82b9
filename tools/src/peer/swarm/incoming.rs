//! Messages as they come in, one after the other: what each may say, and what follows from it.

use super::{Fault, Peer, Swarm};
use crate::peer::bits::Bits;
use crate::peer::outgoing::WAITING_BYTES_MAX;
use crate::peer::session::{Arriving, Has, Phase};
use crate::peer::wire::{Block, Broken, Incoming, Message, Reader};
use weightless::base::Millis;

/// Changes of interest in a minute.
const FLIPS_MAX: u32 = 60;
/// Messages without effect in a second.
const IDLE_MESSAGES_MAX: u32 = 100;
/// Rejects of what was never asked for.
const REJECTS_MAX: u32 = 32;
/// Pieces that may be asked for while choked; hints that are remembered.
const ALLOWED_MAX: usize = 64;
const SUGGESTED_MAX: usize = 16;

impl Swarm {
    /// Bytes came from a peer.
    pub fn received(&mut self, now: Millis, key: u64, input: &[u8]) {
        self.now = now;
        let Some(mut peer) = self.peers.remove(&key) else { return };
        match self.take_in(now, &mut peer, input) {
            // A peer that asks for much and reads nothing is not waited for: every answer takes memory.
            Ok(()) if peer.out.len() > WAITING_BYTES_MAX => self.lost(peer, Fault::Close("does not read")),
            Ok(()) => {
                self.ask(now, &mut peer);
                if !peer.out.is_empty() {
                    self.touched.push(key);
                }
                self.peers.insert(key, peer);
                self.read_leaves();
            }
            Err(fault) => self.lost(peer, fault),
        }
    }

    fn take_in(&mut self, now: Millis, peer: &mut Peer, mut input: &[u8]) -> Result<(), Fault> {
        if !input.is_empty() {
            peer.times.heard = now;
        }
        if peer.phase == Phase::Greeting {
            match self.greet(now, peer, input)? {
                Some(rest) => input = rest,
                None => return Ok(()),
            }
        }
        if peer.phase != Phase::Open {
            return Ok(());
        }
        // The reader lends what it has gathered, so it cannot stay where the handlers can reach it.
        let mut reader = std::mem::replace(&mut peer.reader, Reader::new(self.bounds()));
        let outcome = self.read(now, peer, &mut reader, input);
        peer.times.amid = if reader.is_amid() { peer.times.amid.or(Some(now)) } else { None };
        peer.reader = reader;
        peer.reader.set_bounds(self.bounds_for(peer));
        outcome
    }

    fn read(
        &mut self,
        now: Millis,
        peer: &mut Peer,
        reader: &mut Reader,
        mut input: &[u8],
    ) -> Result<(), Fault> {
        loop {
            match reader.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(Incoming::Data(bytes))) => self.data(now, peer, bytes)?,
                Ok(Some(Incoming::Piece(block))) => {
                    peer.times.amid = None;
                    self.piece(now, peer, block)?;
                }
                Ok(Some(Incoming::Message(message))) => {
                    peer.times.amid = None;
                    self.message(now, peer, &message)?;
                }
                Err(Broken::TooLong) => return Err(Fault::Ban("message too long")),
                Err(Broken::BadPiece) => return Err(Fault::Ban("piece message without a block")),
                Err(Broken::BadLength) => return Err(Fault::Close("message of a wrong length")),
            }
        }
    }

    fn message(&mut self, now: Millis, peer: &mut Peer, message: &Message<'_>) -> Result<(), Fault> {
        let first = !peer.spoke;
        peer.spoke |= !matches!(message, Message::Extended { .. } | Message::KeepAlive);
        match *message {
            Message::KeepAlive | Message::Unknown(_) | Message::Port => idle(peer),
            Message::Choke if peer.chokes_us => idle(peer),
            Message::Choke => {
                self.choked(now, peer);
                Ok(())
            }
            Message::Unchoke if !peer.chokes_us => idle(peer),
            Message::Unchoke => {
                peer.chokes_us = false;
                peer.times.unchoked = now;
                peer.times.block = now;
                Ok(())
            }
            Message::Interested => self.interest(peer, true),
            Message::NotInterested => self.interest(peer, false),
            Message::Have(piece) => self.have(peer, piece),
            Message::Bitfield(bytes) if first => self.bitfield(peer, bytes),
            // The smallest peers of idtorrents may say it late, once.
            Message::Bitfield(bytes) if self.settings.small && matches!(peer.has, Has::Unsaid) => {
                self.bitfield(peer, bytes)
            }
            Message::HaveAll if first && peer.fast => self.has_now(peer, Has::All),
            Message::HaveNone if first && peer.fast => self.has_now(peer, Has::None),
            Message::Bitfield(_) => Err(Fault::Ban("bitfield out of turn")),
            Message::HaveAll | Message::HaveNone => Err(Fault::Close("have all or none out of turn")),
            Message::Request(block) => self.request(peer, block),
            Message::Cancel(block) => self.cancel(peer, block),
            Message::Suggest(piece) => {
                if peer.suggested.len() == SUGGESTED_MAX {
                    peer.suggested.pop_front();
                }
                peer.suggested.push_back(piece);
                idle(peer)
            }
            Message::AllowedFast(piece) => {
                if peer.fast && peer.allowed.len() < ALLOWED_MAX && !peer.allowed.contains(&piece) {
                    peer.allowed.push(piece);
                }
                idle(peer)
            }
            Message::Reject(block) => self.rejected(now, peer, block),
            Message::Extended { id, payload } => self.extended(now, peer, id, payload),
            Message::HashRequest(range) => self.hash_request(peer, range),
            Message::Hashes { range, hashes } => self.hashes_came(peer, &range, hashes),
            Message::HashReject(range) => self.hashes_rejected(now, peer, &range),
        }
    }

    fn bitfield(&mut self, peer: &mut Peer, bytes: &[u8]) -> Result<(), Fault> {
        let Some(stored) = self.stored() else {
            peer.has = Has::Raw(bytes.to_vec());
            return Ok(());
        };
        let bits = Bits::from_wire(bytes, stored.pieces()).ok_or(Fault::Ban("bitfield of a wrong shape"))?;
        self.has_now(peer, Has::Some(bits))
    }

    /// A peer has said for the first time what it has.
    pub(super) fn has_now(&mut self, peer: &mut Peer, has: Has) -> Result<(), Fault> {
        peer.has = has;
        self.enlist(self.now, peer);
        self.hashes_may_come();
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        if let Has::Some(bits) = &peer.has {
            if bits.is_full() {
                peer.has = Has::All;
            } else {
                bits.iter().for_each(|piece| ledger.picker.gained(piece));
            }
        }
        self.reckon(peer);
        Ok(())
    }

    /// Counts anew what a peer has that we want, and says so.
    pub(super) fn reckon(&mut self, peer: &mut Peer) {
        if let Some(ledger) = &self.ledger {
            let missing = |piece: &u32| ledger.picker.is_missing(*piece);
            peer.useful = match &peer.has {
                Has::All => ledger.picker.missing(),
                Has::Some(bits) => bits.iter().filter(missing).count() as u32,
                Has::Unsaid | Has::None | Has::Raw(_) => 0,
            };
        }
        self.declare(peer);
    }

    /// Says whether we want something, if that has changed.
    pub(super) fn declare(&mut self, peer: &mut Peer) {
        let wants = peer.useful > 0 && self.is_leeching();
        if peer.is_open() && wants != peer.interesting {
            peer.interesting = wants;
            peer.say(if wants { &Message::Interested } else { &Message::NotInterested });
            self.touched.push(peer.key);
        }
    }

    fn have(&mut self, peer: &mut Peer, piece: u32) -> Result<(), Fault> {
        let Some(ledger) = &mut self.ledger else {
            // Before the metadata is there, a few of them are kept as a bitfield would be.
            return remember(peer, piece);
        };
        if piece >= ledger.stored.pieces() {
            return Err(Fault::Ban("have of a piece that does not exist"));
        }
        if let Has::Unsaid | Has::None = peer.has {
            peer.has = Has::Some(Bits::none(ledger.stored.pieces()));
        }
        let Has::Some(bits) = &mut peer.has else { return idle(peer) };
        if !bits.add(piece) {
            return idle(peer);
        }
        ledger.picker.gained(piece);
        if bits.is_full() {
            bits.iter().for_each(|piece| ledger.picker.lost(piece));
            peer.has = Has::All;
        }
        if ledger.picker.is_missing(piece) {
            peer.useful += 1;
        }
        self.declare(peer);
        Ok(())
    }

    fn interest(&mut self, peer: &mut Peer, interested: bool) -> Result<(), Fault> {
        if peer.interested == interested {
            return idle(peer);
        }
        peer.interested = interested;
        peer.faults.flips += 1;
        if peer.faults.flips > FLIPS_MAX {
            return Err(Fault::Shun("changes its mind too often"));
        }
        // A free slot is filled within the turn.
        self.choke_due = true;
        Ok(())
    }

    fn choked(&mut self, now: Millis, peer: &mut Peer) {
        if peer.chokes_us {
            return;
        }
        peer.chokes_us = true;
        peer.times.choked = now;
        if !peer.fast {
            self.release_all(peer);
        }
    }

    fn rejected(&mut self, now: Millis, peer: &mut Peer, block: Block) -> Result<(), Fault> {
        if peer.take_asked(&block).is_some() {
            self.release(peer, block);
            // Asked again at once, a peer that rejects everything would keep us busy.
            peer.times.rejected = now;
            return Ok(());
        }
        if peer.take_excused(&block) {
            return Ok(());
        }
        peer.faults.rejects += 1;
        if peer.faults.rejects >= REJECTS_MAX {
            Err(Fault::Close("rejects what nobody asked for"))
        } else {
            Ok(())
        }
    }

    /// A block begins to come in.
    fn piece(&mut self, now: Millis, peer: &mut Peer, block: Block) -> Result<(), Fault> {
        match peer.asked_at(block.piece, block.begin) {
            Some(asked) if asked.block.length != block.length => {
                return Err(Fault::Ban("block of another length than asked for"));
            }
            Some(asked) => peer.measured(now.saturating_sub(asked.at)),
            None if peer.is_excused(&block) => {}
            None => unasked(peer)?,
        }
        let known = asked_or_excused(peer, &block);
        let ledger = self.ledger.as_mut().filter(|_| known);
        let (data_bytes, wanted) = ledger.map_or((block.length, false), |ledger| {
            let open = ledger.open.find(block.piece);
            let data = open.map_or(block, |open| open.without_pads(block));
            (data.length, ledger.open.arrives(data, peer.key))
        });
        peer.arriving = Some(Arriving { block, at: 0, data_bytes, wanted });
        Ok(())
    }
}

/// Something came that changes nothing.
pub(super) fn idle(peer: &mut Peer) -> Result<(), Fault> {
    peer.faults.idle_messages += 1;
    if peer.faults.idle_messages > IDLE_MESSAGES_MAX {
        Err(Fault::Shun("floods with empty messages"))
    } else {
        Ok(())
    }
}

fn unasked(peer: &mut Peer) -> Result<(), Fault> {
    const UNASKED_MAX: u32 = 8;
    peer.faults.unasked += 1;
    let excess = peer.fast && peer.faults.unasked > UNASKED_MAX;
    if excess { Err(Fault::Close("sends what nobody asked for")) } else { Ok(()) }
}

fn asked_or_excused(peer: &Peer, block: &Block) -> bool {
    peer.was_asked(block) || peer.is_excused(block)
}

/// Keeps a `have` that comes before the number of pieces is known.
fn remember(peer: &mut Peer, piece: u32) -> Result<(), Fault> {
    const PIECES_MAX: u32 = 256 << 13;
    if piece >= PIECES_MAX {
        return Err(Fault::Ban("have of a piece that does not exist"));
    }
    if !matches!(peer.has, Has::Raw(_) | Has::All) {
        peer.has = Has::Raw(Vec::new());
    }
    if let Has::Raw(bytes) = &mut peer.has {
        let at = piece as usize / 8;
        if bytes.len() <= at {
            bytes.resize(at + 1, 0);
        }
        if let Some(byte) = bytes.get_mut(at) {
            *byte |= 0x80 >> (piece % 8);
        }
    }
    Ok(())
}
