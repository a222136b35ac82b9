//! Fetching the piece layers that a torrent lacks, from peers on v2 connections: magnet links bring none.
//!
//! Layers come in aligned chunks of 512 hashes, each with the proof up to the root of its file, so each is of use as
//! soon as it is there. Files with the same root share a layer.

use super::asked::Asked;
use super::shape::{self, TreeShape};
use crate::peer::limits::HASHES_ASKED_MAX;
use crate::peer::wire::HashRange;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use weightless::base::Millis;
use weightless::torrent::merkle::Hash;

/// A layer that is not here: that of a file longer than a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedLayer {
    /// The file.
    pub file: usize,
    /// Its root.
    pub root: Hash,
    /// Its bytes, more than a piece.
    pub bytes: u64,
    /// Its first piece, counted in the torrent.
    pub first_piece: u32,
}

/// What became of a peer's `hashes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerAnswer {
    /// Proved. The message begins with the hashes of `count` pieces of these files, from piece `first` of each on.
    Accepted {
        /// All files that have this root.
        files: Vec<usize>,
        /// The first piece, counted in the file.
        first: u32,
        /// How many; what follows in the message is padding and proof.
        count: u32,
    },
    /// It came late and is here already.
    Known,
    /// It was not asked of this peer here; if no [`super::BlockHashFetch`] has asked it either, the peer is banned.
    Unasked,
    /// It has the wrong size or does not prove what it says: the peer is banned.
    Wrong,
}

/// Fetches all of them.
#[derive(Debug, Default)]
pub struct LayerFetch {
    layers: Vec<Layer>,
    by_root: BTreeMap<Hash, usize>,
    /// Chunks that are missing and not asked for: the layer, the chunk.
    open: BTreeSet<(usize, u32)>,
    asked: Asked,
    peers: BTreeMap<u64, Peer>,
    complete: Vec<(Vec<usize>, Vec<u8>)>,
    missing: usize,
}

#[derive(Debug)]
struct Layer {
    root: Hash,
    shape: TreeShape,
    /// The files that have it, each with its first piece.
    files: Vec<(usize, u32)>,
    /// Grows when the first chunk has been proved.
    hashes: Vec<u8>,
    /// Which chunks are here.
    here: Vec<bool>,
}

#[derive(Debug, Default)]
struct Peer {
    /// Layers it rejected or was silent about, and until when it is not asked for them.
    rests: BTreeMap<usize, Millis>,
    /// Where the search for something it could have goes on.
    cursor: (usize, u32),
}

impl LayerFetch {
    /// Wants these layers of a torrent with pieces of `piece_length`. Files of at most one piece have none and are
    /// left out.
    pub fn new(wanted: &[WantedLayer], piece_length: u32) -> Self {
        let mut fetch = Self::default();
        for layer in wanted.iter().filter(|layer| layer.bytes > u64::from(piece_length)) {
            fetch.want(layer, piece_length);
        }
        fetch
    }

    /// Whether nothing is missing.
    pub fn is_done(&self) -> bool {
        self.missing == 0
    }

    /// What to ask now, of `peers` on v2 connections; `has` says whether a peer has some piece of a range of the
    /// torrent's pieces. Also gives up waiting for answers that did not come.
    pub fn next_requests(
        &mut self,
        now: Millis,
        peers: &[u64],
        has: &dyn Fn(u64, Range<u32>) -> bool,
        out: &mut Vec<(u64, HashRange)>,
    ) {
        for (peer, range) in self.asked.time_out(now) {
            self.give_back(now, peer, &range);
        }
        for peer in peers {
            for _ in 0..self.asked.room(*peer) {
                let Some((layer, chunk)) = self.next_chunk(now, *peer, has) else { break };
                let Some(range) = self.layers.get(layer).map(|layer| layer.range(chunk)) else { break };
                self.open.remove(&(layer, chunk));
                self.asked.ask(now, *peer, range);
                out.push((*peer, range));
            }
        }
    }

    /// When [`LayerFetch::next_requests`] has something to do even if no message comes.
    pub fn next_due(&self, now: Millis) -> Option<Millis> {
        let rests = self.peers.values().flat_map(|peer| peer.rests.values().copied());
        rests.filter(|until| *until > now).chain(self.asked.next_due()).min()
    }

    /// Takes message 22.
    pub fn received(&mut self, peer: u64, range: &HashRange, hashes: &[u8]) -> LayerAnswer {
        let Some(is_late) = self.asked.take(peer, range) else { return LayerAnswer::Unasked };
        let Some((at, chunk)) = self.chunk_of(range) else { return LayerAnswer::Unasked };
        let Some(layer) = self.layers.get_mut(at) else { return LayerAnswer::Unasked };
        let read = shape::read(range, hashes).filter(|read| shape::proves(range, read, &layer.root));
        if read.is_none() {
            if !is_late && !layer.is_here(chunk) {
                self.open.insert((at, chunk));
            }
            return LayerAnswer::Wrong;
        }
        if layer.is_here(chunk) {
            return LayerAnswer::Known;
        }
        let count = layer.keep(chunk, hashes);
        self.open.remove(&(at, chunk));
        let files: Vec<usize> = layer.files.iter().map(|(file, _)| *file).collect();
        if layer.here.iter().all(|here| *here) {
            self.missing -= 1;
            self.complete.push((files.clone(), std::mem::take(&mut layer.hashes)));
        }
        LayerAnswer::Accepted { files, first: range.index, count }
    }

    /// Takes message 23. Returns whether it answers something that was asked here.
    pub fn rejected(&mut self, now: Millis, peer: u64, range: &HashRange) -> bool {
        match self.asked.take(peer, range) {
            None => return false,
            Some(true) => {}
            Some(false) => self.give_back(now, peer, range),
        }
        true
    }

    /// How many answers may still come from each peer.
    pub fn unanswered(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.asked.unanswered()
    }

    /// A peer is not there any more.
    pub fn peer_gone(&mut self, peer: u64) {
        self.peers.remove(&peer);
        for range in self.asked.gone(peer) {
            self.reopen(&range);
        }
    }

    /// A layer that has become complete: the files it belongs to, the hashes of all their pieces.
    pub fn take_complete(&mut self) -> Option<(Vec<usize>, Vec<u8>)> {
        self.complete.pop()
    }

    fn want(&mut self, wanted: &WantedLayer, piece_length: u32) {
        let file = (wanted.file, wanted.first_piece);
        if let Some(known) = self.by_root.get(&wanted.root) {
            let known = self.layers.get_mut(*known);
            known.into_iter().for_each(|layer| layer.files.push(file));
            return;
        }
        let shape = TreeShape::of(wanted.bytes, piece_length);
        let chunks = shape.pieces().div_ceil(HASHES_ASKED_MAX);
        let at = self.layers.len();
        let here = vec![false; chunks as usize];
        self.layers.push(Layer { root: wanted.root, shape, files: vec![file], hashes: Vec::new(), here });
        self.by_root.insert(wanted.root, at);
        self.open.extend((0..chunks).map(|chunk| (at, chunk)));
        self.missing += 1;
    }

    /// Something open that the peer could have and has not refused lately. A search looks at a bounded number of chunks
    /// and goes on from there the next time.
    fn next_chunk(
        &mut self,
        now: Millis,
        peer: u64,
        has: &dyn Fn(u64, Range<u32>) -> bool,
    ) -> Option<(usize, u32)> {
        let state = self.peers.entry(peer).or_default();
        state.rests.retain(|_, until| *until > now);
        if state.rests.len() >= RESTS_MAX {
            return None;
        }
        let around = self.open.range(state.cursor..).chain(self.open.range(..state.cursor));
        for (layer, chunk) in around.take(SEARCHED_MAX) {
            state.cursor = (*layer, *chunk);
            let Some(wanted) = self.layers.get(*layer) else { continue };
            let could_have = || wanted.pieces_of(*chunk).any(|pieces| has(peer, pieces));
            if !state.rests.contains_key(layer) && could_have() {
                return Some(state.cursor);
            }
        }
        // Behind the last one that was looked at.
        state.cursor.1 += 1;
        None
    }

    /// A request was not answered: somebody else is asked, this peer not for a while.
    fn give_back(&mut self, now: Millis, peer: u64, range: &HashRange) {
        if let Some((layer, _)) = self.chunk_of(range) {
            self.peers.entry(peer).or_default().rests.insert(layer, now + REST_MS);
        }
        self.reopen(range);
    }

    fn reopen(&mut self, range: &HashRange) {
        if let Some((at, chunk)) = self.chunk_of(range)
            && self.layers.get(at).is_some_and(|layer| !layer.is_here(chunk))
        {
            self.open.insert((at, chunk));
        }
    }

    fn chunk_of(&self, range: &HashRange) -> Option<(usize, u32)> {
        Some((*self.by_root.get(&range.root)?, range.index / HASHES_ASKED_MAX))
    }
}

impl Layer {
    fn is_here(&self, chunk: u32) -> bool {
        self.here.get(chunk as usize).copied().unwrap_or(true)
    }

    /// What to ask for a chunk: with the proof up to the root.
    fn range(&self, chunk: u32) -> HashRange {
        let base = self.shape.piece_level();
        let length = self.shape.width(base).min(HASHES_ASKED_MAX.into()) as u32;
        let proofs = self.shape.height() - base - 1;
        HashRange { root: self.root, base, index: chunk * HASHES_ASKED_MAX, length, proofs }
    }

    /// The pieces of a chunk, in the torrent, for each file that has this layer.
    fn pieces_of(&self, chunk: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let first = chunk * HASHES_ASKED_MAX;
        let last = (first + HASHES_ASKED_MAX).min(self.shape.pieces());
        self.files.iter().map(move |(_, start)| start.saturating_add(first)..start.saturating_add(last))
    }

    /// Keeps a proved chunk; returns how many hashes of it are of pieces.
    fn keep(&mut self, chunk: u32, hashes: &[u8]) -> u32 {
        self.hashes.resize(32 * self.shape.pieces() as usize, 0);
        let first = chunk * HASHES_ASKED_MAX;
        let count = self.shape.pieces().saturating_sub(first).min(HASHES_ASKED_MAX);
        let start = 32 * first as usize;
        let end = start + 32 * count as usize;
        if let (Some(to), Some(from)) = (self.hashes.get_mut(start..end), hashes.get(..end - start)) {
            to.copy_from_slice(from);
        }
        if let Some(here) = self.here.get_mut(chunk as usize) {
            *here = true;
        }
        count
    }
}

/// How long a peer that rejected a layer or was silent about it is not asked for it.
const REST_MS: Millis = 30_000;
/// Layers a peer has such a rest for when it is not asked for any; two answers may still be under way.
const RESTS_MAX: usize = 1024;
/// Chunks looked at in one search.
const SEARCHED_MAX: usize = 1024;
