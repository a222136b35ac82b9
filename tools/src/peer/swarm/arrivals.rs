//! Blocks as they come in: from the socket into the buffer of their piece, and complete pieces on to the disk.

use super::{Action, Fault, Peer, Swarm};
use crate::disk::Job;
use crate::peer::open::{Full, Source};
use crate::peer::session::{Arriving, Asked};
use crate::peer::wire::{Block, Message};
use weightless::base::Millis;

impl Swarm {
    /// The next bytes of the block that is coming in.
    pub(super) fn data(&mut self, now: Millis, peer: &mut Peer, bytes: &[u8]) -> Result<(), Fault> {
        let Some(arriving) = &mut peer.arriving else { return Ok(()) };
        let Arriving { block, at, data_bytes, wanted } = *arriving;
        arriving.at += bytes.len() as u32;
        peer.down.add(bytes.len() as u64);
        self.down.add(bytes.len() as u64);
        peer.received_bytes += bytes.len() as u64;
        if wanted && let Some(ledger) = &mut self.ledger {
            // Padding is zeros, whatever a peer says: what came in its place goes nowhere.
            let data = bytes.get(..data_bytes.saturating_sub(at) as usize).unwrap_or(bytes);
            ledger.open.data(block.piece, block.begin + at, data, peer.key);
        }
        if arriving.at >= block.length {
            let came = *arriving;
            peer.arriving = None;
            self.block_came(now, peer, &came);
        }
        Ok(())
    }

    fn block_came(&mut self, now: Millis, peer: &mut Peer, came: &Arriving) {
        let Arriving { block, data_bytes, wanted, .. } = *came;
        let data = Block { length: data_bytes, ..block };
        let asked = peer.take_asked(&block).is_some();
        // What nobody asked for does not make a peer of use.
        if asked || peer.take_excused(&block) {
            peer.times.block = now;
            peer.timeouts = 0;
            peer.snubbed = false;
        }
        if peer.slow_start && asked {
            peer.depth += 1;
        }
        let counted = if wanted { self.took(now, data, peer.key, peer.source()) } else { None };
        match counted {
            // Somebody else may still be sending it.
            Some(others) if others > u8::from(asked) => self.cancel_elsewhere(block),
            Some(_) => {}
            None => {
                self.totals.wasted += u64::from(data.length);
                // It was asked for and came for nothing, so it is no longer on its way.
                if asked {
                    self.release(peer, block);
                }
            }
        }
    }

    /// A block is here, from whomever; says how many peers had been asked for it, `None` if it does not count.
    pub(super) fn took(&mut self, now: Millis, block: Block, writer: u64, source: Source) -> Option<u8> {
        let (asked, full) = self.ledger.as_mut()?.open.arrived(block, writer, source)?;
        self.totals.downloaded += u64::from(block.length);
        self.progress.at = now;
        match full {
            Full::Block => {}
            Full::Piece(bytes) => self.store(block.piece, bytes),
            Full::Stripe { begin, bytes } => {
                let swarm = self.settings.number;
                self.actions
                    .push(Action::Disk { swarm, job: Job::Write { piece: block.piece, begin, bytes } });
            }
        }
        Some(asked)
    }

    /// A piece is complete: hashed and, if good, written.
    pub(super) fn store(&mut self, piece: u32, bytes: Vec<u8>) {
        let Some(ledger) = &self.ledger else { return };
        let job = Job::Store { piece, bytes, expected: ledger.expected(piece) };
        self.actions.push(Action::Disk { swarm: self.settings.number, job });
    }

    fn cancel_elsewhere(&mut self, block: Block) {
        for peer in self.peers.values_mut() {
            // As this peer was asked for it: with its padding or without.
            let Some(Asked { block, .. }) = peer.asked_at(block.piece, block.begin) else { continue };
            if peer.take_asked(&block).is_some() {
                peer.say(&Message::Cancel(block));
                peer.excuse(block);
                self.touched.push(peer.key);
            }
        }
    }
}
