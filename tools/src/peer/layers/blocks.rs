//! Fetching the block hashes of one piece that failed: they tell which of its blocks are wrong.
//!
//! Chunks of at most 512 come with the proof up to the piece's hash. Up to five peers are asked; if none of them has
//! the hashes, the piece is fetched again from one peer alone instead.

use super::asked::Asked;
use super::shape::{self, TreeShape};
use crate::peer::limits::{BLOCK_HASH_PEERS_MAX, HASHES_ASKED_MAX};
use crate::peer::wire::HashRange;
use std::collections::BTreeMap;
use weightless::base::Millis;
use weightless::torrent::merkle::Hash;

/// What became of a peer's `hashes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockHashes {
    /// Proved, or known already; more are needed.
    More,
    /// The hashes of all blocks of the piece; behind the end of the file they are zeros.
    Complete(Vec<Hash>),
    /// It was not asked of this peer here.
    Unasked,
    /// It has the wrong size or does not prove what it says: the peer is banned.
    Wrong,
}

/// Fetches those of one piece.
#[derive(Debug)]
pub struct BlockHashFetch {
    root: Hash,
    piece_hash: Hash,
    /// The first block of the piece, counted in the file.
    first: u32,
    /// Hashes asked for at once.
    length: u32,
    /// Levels up to the piece's hash.
    piece_level: u32,
    /// By chunk.
    chunks: Vec<Chunk>,
    asked: Asked,
    /// Who was asked, and whether it has failed.
    peers: BTreeMap<u64, bool>,
}

#[derive(Debug)]
enum Chunk {
    Missing,
    Asked,
    Here(Vec<Hash>),
}

impl BlockHashFetch {
    /// Wants the block hashes of a piece of a file, counted in the file. `None` for a piece of one block: its hash is
    /// the block's; and where the blocks of a file are too many to be named on the wire.
    pub fn new(root: Hash, shape: TreeShape, piece: u32, piece_hash: Hash) -> Option<Self> {
        let piece_level = shape.piece_level();
        let blocks = 1u32.checked_shl(piece_level)?;
        let first = piece.checked_mul(blocks)?;
        if blocks == 1 || piece >= shape.pieces() || first.checked_add(blocks).is_none() {
            return None;
        }
        let length = blocks.min(HASHES_ASKED_MAX);
        let chunks = (0..blocks / length).map(|_| Chunk::Missing).collect();
        let (asked, peers) = (Asked::default(), BTreeMap::new());
        Some(Self { root, piece_hash, first, length, piece_level, chunks, asked, peers })
    }

    /// What to ask now, of `peers` on v2 connections that have the piece. Also gives up waiting for answers.
    pub fn next_requests(&mut self, now: Millis, peers: &[u64], out: &mut Vec<(u64, HashRange)>) {
        for (peer, range) in self.asked.time_out(now) {
            self.give_back(peer, &range);
        }
        for peer in peers {
            let is_new = !self.peers.contains_key(peer);
            let has_failed = self.peers.get(peer).copied().unwrap_or(false);
            if has_failed || (is_new && self.peers.len() >= BLOCK_HASH_PEERS_MAX) {
                continue;
            }
            for _ in 0..self.asked.room(*peer) {
                let Some(at) = self.chunks.iter().position(|chunk| matches!(chunk, Chunk::Missing)) else {
                    return;
                };
                let range = self.range(at as u32);
                self.chunks[at] = Chunk::Asked;
                self.peers.entry(*peer).or_insert(false);
                self.asked.ask(now, *peer, range);
                out.push((*peer, range));
            }
        }
    }

    /// Whether it is over without success: five peers were asked and none of them may be asked again. A caller that has
    /// nobody else to ask may give up earlier.
    pub fn has_failed(&self) -> bool {
        self.peers.len() >= BLOCK_HASH_PEERS_MAX && self.peers.values().all(|failed| *failed)
    }

    /// Whether an answer is waited for.
    pub fn is_waiting(&self) -> bool {
        self.chunks.iter().any(|chunk| matches!(chunk, Chunk::Asked))
    }

    /// When the next request's time is over.
    pub fn next_due(&self) -> Option<Millis> {
        self.asked.next_due()
    }

    /// Takes message 22.
    pub fn received(&mut self, peer: u64, range: &HashRange, hashes: &[u8]) -> BlockHashes {
        if self.asked.take(peer, range).is_none() {
            return BlockHashes::Unasked;
        }
        let read = shape::read(range, hashes).filter(|read| shape::proves(range, read, &self.piece_hash));
        let at = (range.index - self.first) / self.length;
        let Some(chunk) = self.chunks.get_mut(at as usize) else { return BlockHashes::Unasked };
        let Some(mut read) = read else {
            self.give_back(peer, range);
            return BlockHashes::Wrong;
        };
        read.truncate(range.length as usize);
        *chunk = Chunk::Here(read);
        let mut all = Vec::new();
        for chunk in &self.chunks {
            let Chunk::Here(hashes) = chunk else { return BlockHashes::More };
            all.extend_from_slice(hashes);
        }
        BlockHashes::Complete(all)
    }

    /// Takes message 23. Returns whether it answers something that was asked here.
    pub fn rejected(&mut self, peer: u64, range: &HashRange) -> bool {
        let was_asked = self.asked.take(peer, range);
        if was_asked == Some(false) {
            self.give_back(peer, range);
        }
        was_asked.is_some()
    }

    /// How many answers may still come from each peer.
    pub fn unanswered(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.asked.unanswered()
    }

    /// A peer is not there any more.
    pub fn peer_gone(&mut self, peer: u64) {
        if let Some(has_failed) = self.peers.get_mut(&peer) {
            *has_failed = true;
        }
        for range in self.asked.gone(peer) {
            self.give_back(peer, &range);
        }
    }

    fn range(&self, chunk: u32) -> HashRange {
        let index = self.first + chunk * self.length;
        // Uncles up to the piece's hash, counted as the message counts them.
        let proofs = self.piece_level - 1;
        HashRange { root: self.root, base: 0, index, length: self.length, proofs }
    }

    /// Somebody else is asked; this peer is not any more.
    fn give_back(&mut self, peer: u64, range: &HashRange) {
        self.peers.insert(peer, true);
        let at = (range.index - self.first) / self.length;
        if let Some(chunk @ Chunk::Asked) = self.chunks.get_mut(at as usize) {
            *chunk = Chunk::Missing;
        }
    }
}
