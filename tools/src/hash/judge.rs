//! Comparing the hashes of local data with those of a torrent, piece by piece, and file by file where the torrent lacks
//! the layer of one.

use super::piece::PieceHashes;
use std::collections::BTreeMap;
use weightless::torrent::Metainfo;
use weightless::torrent::merkle::{self, Hash};

/// Compares pieces of one torrent.
pub struct Judge<'a> {
    metainfo: &'a Metainfo,
    /// The hashes of pieces whose file has no layer in the torrent, until [`Judge::prove`].
    unproven: BTreeMap<usize, Vec<Hash>>,
    contradiction: bool,
}

impl<'a> Judge<'a> {
    /// Nothing is compared yet.
    pub fn new(metainfo: &'a Metainfo) -> Self {
        Self { metainfo, unproven: BTreeMap::new(), contradiction: false }
    }

    /// Whether v1 and v2 were seen to disagree about the same bytes: such a torrent describes no data.
    pub fn is_contradicted(&self) -> bool {
        self.contradiction
    }

    /// Whether a piece is good, as far as the torrent can tell before [`Judge::prove`].
    pub fn piece(&mut self, piece: u64, hashes: &PieceHashes) -> bool {
        match self.compare(piece, hashes) {
            Some(good) => good,
            None => {
                self.contradiction = true;
                false
            }
        }
    }

    /// `None` when the hashes contradict each other. A piece whose v2 hash is not in the torrent is kept.
    fn compare(&mut self, piece: u64, hashes: &PieceHashes) -> Option<bool> {
        let v1 = hashes.sha1.map(|sha1| self.metainfo.piece_sha1(piece) == Some(sha1));
        let Some(sha256) = hashes.sha256 else { return v1.or(Some(false)) };
        let layout = self.metainfo.layout();
        let file = layout.segments(layout.piece(piece)).next()?.file;
        let in_file = piece - layout.pieces_of(file).start;
        let Some(expected) = self.metainfo.piece_sha256(file, in_file) else {
            let pieces = layout.pieces_of(file);
            let layer = self
                .unproven
                .entry(file)
                .or_insert_with(|| vec![[0; 32]; (pieces.end - pieces.start) as usize]);
            if let Some(slot) = layer.get_mut(in_file as usize) {
                *slot = sha256;
            }
            return Some(v1.unwrap_or(true));
        };
        let v2 = expected == sha256;
        if v1.is_some_and(|v1| v1 != v2) { None } else { Some(v2) }
    }

    /// Files without a layer in the torrent: all their pieces together must hash to the root. For v2-only nothing says
    /// which piece is bad, so none of them counts then. Returns the pieces about which only a layer could tell.
    pub fn prove(&mut self, good: &mut [bool]) -> Vec<u64> {
        let mut open = Vec::new();
        for (file, layer) in std::mem::take(&mut self.unproven) {
            let range = self.metainfo.layout().pieces_of(file);
            let Some(pieces) = good.get_mut(range.start as usize..range.end as usize) else { continue };
            let root = self.metainfo.files().get(file).and_then(|file| file.root);
            let proven = Some(merkle::file_root(layer, self.metainfo.piece_length())) == root;
            let complete = pieces.iter().all(|&good| good);
            if self.metainfo.hashes().v1().is_some() {
                self.contradiction |= complete != proven;
            } else if !proven {
                open.extend(range.zip(pieces.iter()).filter(|(_, good)| **good).map(|(piece, _)| piece));
                pieces.fill(false);
            }
        }
        open
    }
}
