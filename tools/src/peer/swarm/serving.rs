//! Uploading: requests into a queue for each peer, blocks from the disk into its socket, and who may ask at all.

use super::{Action, Fault, Peer, Swarm, Ticket};
use crate::disk::{Job, Trouble};
use crate::peer::choker::{Contender, Mode};
use crate::peer::limits::{BLOCK_BYTES_MAX, REQUESTS_WAITING_MAX};
use crate::peer::session::Peer as Session;
use crate::peer::wire::{Block, Message};
use weightless::base::Millis;

/// Blocks read from the disk at once for one peer.
const READ_BLOCKS: usize = 4;
/// Bytes that wait for a socket while more are made ready.
pub(super) const AHEAD_BYTES: usize = 64 << 10;

impl Swarm {
    /// A peer asks for a block.
    pub(super) fn request(&mut self, peer: &mut Peer, block: Block) -> Result<(), Fault> {
        let Some(ledger) = &self.ledger else { return refuse(peer, block) };
        if block.length == 0 {
            return Err(Fault::Ban("asks for nothing"));
        }
        if block.length > BLOCK_BYTES_MAX {
            return if peer.fast {
                refuse(peer, block)
            } else {
                Err(Fault::Close("asks for too long a block"))
            };
        }
        if block.piece >= ledger.stored.pieces() || !ledger.stored.has(block.piece) {
            if self.final_check.has_withdrawn(block.piece) {
                return refuse(peer, block);
            }
            return Err(Fault::Ban("asks for a piece that is not here"));
        }
        // libtorrent asks for whole blocks of a hybrid by v2 too, the padding behind a file's end included.
        let end = ledger.content.piece_bytes(block.piece);
        if block.begin.checked_add(block.length).is_none_or(|to| to > end) {
            return Err(Fault::Ban("asks for more than the piece"));
        }
        if peer.choked {
            return refuse(peer, block);
        }
        if peer.queue.len() >= REQUESTS_WAITING_MAX {
            peer.faults.refused += 1;
            let excess = peer.faults.refused as usize > REQUESTS_WAITING_MAX;
            return if excess { Err(Fault::Shun("floods with requests")) } else { refuse(peer, block) };
        }
        peer.queue.push_back(block);
        self.serve(peer);
        Ok(())
    }

    /// A peer no longer wants a block.
    pub(super) fn cancel(&mut self, peer: &mut Peer, block: Block) -> Result<(), Fault> {
        let Some(at) = peer.queue.iter().position(|queued| *queued == block) else {
            // At the end of a download as many come at once as blocks were asked for, mostly too late.
            peer.faults.cancels += 1;
            const CANCELS_MAX: u32 = 2 * REQUESTS_WAITING_MAX as u32;
            let flood = peer.faults.cancels > CANCELS_MAX;
            return if flood { Err(Fault::Shun("floods with cancels")) } else { Ok(()) };
        };
        peer.queue.remove(at);
        refuse(peer, block)
    }

    /// Has the next blocks of a peer's queue read, unless enough of them are on their way.
    pub(super) fn serve(&mut self, peer: &mut Peer) {
        if peer.reading > 0 || peer.queue.is_empty() || peer.out.data_len() > AHEAD_BYTES {
            return;
        }
        let blocks: Vec<Block> = peer.queue.drain(..peer.queue.len().min(READ_BLOCKS)).collect();
        peer.reading = blocks.len() as u32;
        let ticket = self.new_ticket(Ticket::Blocks { peer: peer.key, count: peer.reading });
        self.actions.push(Action::Disk { swarm: self.settings.number, job: Job::Read { ticket, blocks } });
    }

    /// A socket took something: what comes next can be made ready.
    pub(super) fn serve_on(&mut self, now: Millis, key: u64) {
        if let Some(mut peer) = self.peers.remove(&key) {
            self.serve(&mut peer);
            self.serve_metadata(now, &mut peer);
            self.peers.insert(key, peer);
        }
    }

    /// Blocks came from the disk, ready for the socket.
    pub(super) fn blocks_read(&mut self, key: u64, count: u32, result: Result<Vec<u8>, Trouble>) {
        const HEAD_BYTES: u64 = 13;
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(trouble) => return self.lost_file(trouble),
        };
        let Some(mut peer) = self.peers.remove(&key) else { return };
        peer.reading = 0;
        let payload = (bytes.len() as u64).saturating_sub(HEAD_BYTES * u64::from(count));
        peer.up.add(payload);
        self.up.add(payload);
        peer.sent_bytes += payload;
        self.totals.uploaded += payload;
        peer.out.blocks(bytes);
        self.touched.push(key);
        self.serve(&mut peer);
        self.peers.insert(key, peer);
    }

    fn unchoke(&mut self, peer: &mut Peer) {
        peer.choked = false;
        peer.say(&Message::Unchoke);
        self.touched.push(peer.key);
    }

    /// Decides anew who is served, when it is time.
    pub(super) fn rechoke(&mut self, now: Millis) {
        if now < self.choker.next_due() && !std::mem::take(&mut self.choke_due) {
            return;
        }
        self.choke_due = false;
        let contenders: Vec<Contender> =
            self.peers.values().filter(|peer| peer.is_open()).map(|peer| contender(peer)).collect();
        let mode = if self.is_leeching() { Mode::Leeching } else { Mode::Seeding };
        let decisions = self.choker.decide(now, mode, self.up.per_second(), &contenders);
        for (key, unchoke) in decisions {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            if unchoke {
                self.unchoke(&mut peer);
            } else {
                choke(&mut peer);
                self.touched.push(key);
            }
            self.peers.insert(key, peer);
        }
    }
}

fn contender(peer: &Session) -> Contender {
    Contender {
        peer: peer.key,
        interested: peer.interested,
        rate_to_us: peer.down.per_second(),
        rate_from_us: peer.up.per_second(),
        served: peer.sent_bytes,
        snubbed: peer.snubbed,
        unchoked: !peer.choked,
        connected_at: peer.times.began,
    }
}

/// First the choke, then a reject for each request it takes away.
fn choke(peer: &mut Session) {
    peer.choked = true;
    peer.say(&Message::Choke);
    let queue = std::mem::take(&mut peer.queue);
    for block in queue {
        let _ = refuse(peer, block);
    }
}

/// A request is not served: said where the peer understands it.
fn refuse(peer: &mut Session, block: Block) -> Result<(), Fault> {
    if peer.fast {
        peer.say(&Message::Reject(block));
    }
    Ok(())
}
