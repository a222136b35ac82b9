//! What is asked of whom: begun pieces first, then the rarest; near the end the same block of several peers.

use super::{Peer, Swarm};
use crate::peer::session::Asked;
use crate::peer::wire::{Block, Message};
use weightless::base::Millis;

/// After a reject nothing is asked for so long.
const REJECT_PAUSE: Millis = 1000;
/// Begun pieces there may always be of which something is not asked for.
const BEGUN_MIN: usize = 4;

impl Swarm {
    /// Fills a peer's pipeline.
    pub(super) fn ask(&mut self, now: Millis, peer: &mut Peer) {
        if !self.is_leeching() || !peer.is_open() || peer.useful == 0 {
            return;
        }
        if peer.chokes_us && peer.allowed.is_empty() {
            return;
        }
        if peer.times.rejected + REJECT_PAUSE > now && peer.times.rejected > 0 {
            self.starved = true;
            return;
        }
        let depth = if peer.snubbed { 1 } else { peer.depth.min(peer.depth_max()) } as usize;
        // In batches: a request for each block that comes would be a packet for each.
        if peer.asked.len() > depth - depth / 4 {
            return;
        }
        let mut asked = false;
        while peer.asked.len() < depth {
            let Some(block) = self.next_block(peer) else { break };
            let block = self.as_asked(peer, block);
            peer.asked.push_back(Asked { block, at: now });
            peer.say(&Message::Request(block));
            asked = true;
        }
        if asked {
            self.touched.push(peer.key);
        }
    }

    /// A block in the words of a connection. Over v1 the padding behind a file's end is part of its piece, and some
    /// clients (rqbit) refuse what is shorter than a block and not at the end of a piece: so the block that data ends in is
    /// asked for whole there, and its padding is dropped as it comes. Over v2 pieces end with their file (BEP 52).
    fn as_asked(&self, peer: &Peer, block: Block) -> Block {
        match &self.ledger {
            Some(ledger) if !peer.v2 => ledger.with_pads(block),
            _ => block,
        }
    }

    fn next_block(&mut self, peer: &mut Peer) -> Option<Block> {
        if peer.chokes_us {
            return self.allowed_block(peer);
        }
        let begun_max = BEGUN_MIN.max(2 * self.peers.len() + 2);
        let ledger = self.ledger.as_mut()?;
        if let Some(block) = peer.piece.and_then(|piece| ledger.open.ask(piece, peer.key)) {
            return Some(block);
        }
        peer.piece = None;
        if let Some(piece) = ledger.open.free_for(peer.key, |piece| peer.has(piece)) {
            let block = ledger.open.ask(piece, peer.key);
            if block.is_some() {
                peer.piece = Some(piece);
                return block;
            }
            self.starved = true;
            return None;
        }
        if ledger.picker.waiting() == 0 {
            return self.last_block(peer);
        }
        // What is asked for in full does not count: on a long way, or with small pieces, a pipeline spans many of them.
        if !ledger.open.has_room() || ledger.open.begun() >= begun_max {
            self.starved = true;
            return None;
        }
        let suggested =
            peer.suggested.pop_front().filter(|&piece| peer.has(piece) && ledger.picker.begin_this(piece));
        let Some(piece) = suggested.or_else(|| ledger.picker.begin(|piece| peer.has(piece))) else {
            return self.last_block(peer);
        };
        let owner = peer.is_slow().then_some(peer.key);
        self.open_piece(piece, owner);
        peer.piece = Some(piece);
        self.ledger.as_mut()?.open.ask(piece, peer.key)
    }

    /// Begins a piece. One without any data is complete at once.
    pub(super) fn open_piece(&mut self, piece: u32, owner: Option<u64>) {
        let Some(ledger) = &mut self.ledger else { return };
        let (piece_bytes, data_bytes) = (ledger.content.piece_bytes(piece), ledger.data_bytes(piece));
        ledger.open.open(piece, piece_bytes, data_bytes, owner);
        if data_bytes == 0 {
            self.store(piece, vec![0; piece_bytes as usize]);
        }
    }

    /// While choked only what the peer allows.
    fn allowed_block(&mut self, peer: &mut Peer) -> Option<Block> {
        let allowed = peer.allowed.clone();
        allowed.into_iter().filter(|&piece| peer.has(piece)).find_map(|piece| {
            let ledger = self.ledger.as_mut()?;
            if ledger.open.find(piece).is_none() {
                if !ledger.open.has_room() || !ledger.picker.begin_this(piece) {
                    return None;
                }
                self.open_piece(piece, None);
            }
            self.ledger.as_mut()?.open.ask(piece, peer.key)
        })
    }

    /// The end game: every missing block has been asked for, so it is asked of another peer too; with at most twice as
    /// many requests on their way as blocks are missing.
    fn last_block(&mut self, peer: &Peer) -> Option<Block> {
        let on_their_way: usize =
            self.peers.values().map(|other| other.asked.len()).sum::<usize>() + peer.asked.len();
        let ledger = self.ledger.as_mut()?;
        if ledger.open.iter().any(|open| open.has_free() && open.owner.is_none()) {
            return None;
        }
        let missing: u32 = ledger.open.iter().map(|open| open.missing()).sum();
        if on_their_way >= 2 * missing as usize {
            return None;
        }
        let pieces: Vec<u32> = ledger
            .open
            .iter()
            .filter(|open| open.missing() > 0 && open.owner.is_none() && peer.has(open.piece))
            .map(|open| open.piece)
            .collect();
        let was_asked = |block: &Block| peer.asked_at(block.piece, block.begin).is_some();
        pieces.into_iter().find_map(|piece| ledger.open.ask_again(piece, was_asked))
    }

    /// A peer will not send a block.
    pub(super) fn release(&mut self, peer: &Peer, block: Block) {
        if let Some(ledger) = &mut self.ledger {
            ledger.open.release(block, peer.key);
        }
        self.starved = true;
    }

    /// A peer will not send anything of what it was asked for.
    pub(super) fn release_all(&mut self, peer: &mut Peer) {
        let asked = std::mem::take(&mut peer.asked);
        for asked in asked {
            self.release(peer, asked.block);
            peer.excuse(asked.block);
        }
        peer.piece = None;
        self.disown(peer.key);
    }

    /// A piece that only a peer that is gone could have sent is everybody's again.
    fn disown(&mut self, key: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.open.disown(key);
        }
    }

    /// Asks everybody again, after something has become free.
    pub(super) fn feed(&mut self, now: Millis) {
        if !std::mem::take(&mut self.starved) || !self.is_leeching() {
            return;
        }
        let mut keys: Vec<u64> = self.peers.keys().copied().collect();
        // Whoever is asked first gets most of it: the fastest.
        keys.sort_by_key(|key| {
            std::cmp::Reverse(self.peers.get(key).map_or(0, |peer| peer.down.per_second()))
        });
        for key in keys {
            if let Some(mut peer) = self.peers.remove(&key) {
                self.ask(now, &mut peer);
                self.peers.insert(key, peer);
            }
        }
    }
}
