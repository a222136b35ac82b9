//! What is stored, what is wanted and what is missing: pieces, files and bytes of one torrent.

use super::bits::Bits;
use super::open::OpenPieces;
use super::picker::Picker;
use super::wire::Block;
use crate::content::{Content, PieceNode};
use crate::disk::Expected;
use crate::hash::piece::{Node, PieceHashes};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use weightless::base::Rng;
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// The pieces of one torrent in transfer.
pub struct Ledger {
    /// What is transferred.
    pub content: Arc<Content>,
    /// Verified and written.
    pub stored: Bits,
    /// Which piece next.
    pub picker: Picker,
    /// Being fetched.
    pub open: OpenPieces,
    wanted_files: Vec<bool>,
    /// For each wanted file how many of its pieces are missing.
    missing_in_file: Vec<u32>,
    /// Layers that peers have sent, or that were computed.
    layers: BTreeMap<usize, Vec<u8>>,
    /// v2 hashes of pieces of files without a layer, computed as they were stored.
    computed: BTreeMap<u32, Hash>,
    left_bytes: u64,
    wanted_bytes: u64,
}

impl Ledger {
    /// A torrent of which `stored` is there and `wanted_files` are to be fetched.
    pub fn new(
        content: Arc<Content>,
        stored: Bits,
        wanted_files: Vec<bool>,
        memory_bytes_max: usize,
        rng: Rng,
    ) -> Self {
        let mut wanted = Bits::none(stored.pieces());
        let mut missing_in_file = vec![0; wanted_files.len()];
        let unprovable = |file| content.kind() == Kind::V2 && needs_layer(&content, file);
        for (file, slot) in missing_in_file.iter_mut().enumerate() {
            if !wanted_files.get(file).copied().unwrap_or(false) {
                continue;
            }
            for piece in pieces_of(&content, file) {
                *slot += u32::from(!stored.has(piece));
                if !unprovable(file) {
                    wanted.add(piece);
                }
            }
        }
        let piece_length = u32::try_from(content.layout().piece_length()).unwrap_or(u32::MAX);
        let picker = Picker::new(&stored, &wanted, rng);
        let mut ledger = Self {
            open: OpenPieces::new(piece_length, memory_bytes_max),
            picker,
            stored,
            wanted_files,
            missing_in_file,
            layers: BTreeMap::new(),
            computed: BTreeMap::new(),
            left_bytes: 0,
            wanted_bytes: 0,
            content,
        };
        for piece in 0..ledger.stored.pieces() {
            let bytes = ledger.wanted_bytes_in(piece);
            ledger.wanted_bytes += bytes;
            if !ledger.stored.has(piece) {
                ledger.left_bytes += bytes;
            }
        }
        ledger
    }

    /// Bytes of wanted files that are missing.
    pub fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// Bytes of wanted files.
    pub fn wanted_bytes(&self) -> u64 {
        self.wanted_bytes
    }

    /// Whether every piece that was wanted is stored.
    pub fn is_complete(&self) -> bool {
        self.missing_in_file.iter().all(|&missing| missing == 0)
    }

    /// Whether a file was asked for.
    pub fn is_wanted(&self, file: usize) -> bool {
        self.wanted_files.get(file).copied().unwrap_or(false)
    }

    /// The bytes of a piece that come from others: everything up to the last byte that is not padding.
    pub fn data_bytes(&self, piece: u32) -> u32 {
        data_bytes(&self.content, piece)
    }

    /// A block with the padding that follows in it, within its piece.
    pub fn with_pads(&self, block: Block) -> Block {
        let behind = self.content.piece_bytes(block.piece).saturating_sub(block.begin);
        Block { length: behind.min(BLOCK_BYTES), ..block }
    }

    /// What a piece must hash to, as far as it is known.
    pub fn expected(&self, piece: u32) -> Expected {
        let node = self.piece_node(piece);
        Expected {
            sha1: self.content.piece_sha1(piece),
            sha256: node.and_then(|node| node.hash),
            node: node.map_or(Node::LayerEntry, |node| node.node),
            with_leaves: self.content.kind() != Kind::V1,
        }
    }

    /// The v2 node of a piece, from the torrent or from what was learned.
    pub fn piece_node(&self, piece: u32) -> Option<PieceNode> {
        let mut node = self.content.piece_node(piece)?;
        if node.hash.is_none()
            && let Some((file, in_file)) = self.content.place_in_file(piece)
        {
            node.hash = self.layer(file).and_then(|layer| nth(layer, in_file));
        }
        Some(node)
    }

    /// The piece hashes of a file longer than a piece, if they are known.
    pub fn layer(&self, file: usize) -> Option<&[u8]> {
        let own = self.content.metainfo().and_then(|metainfo| metainfo.layer(file));
        own.or_else(|| self.layers.get(&file).map(Vec::as_slice))
    }

    /// Files longer than a piece whose layer is not known.
    pub fn files_without_layer(&self) -> Vec<usize> {
        if self.content.kind() == Kind::V1 {
            return Vec::new();
        }
        (0..self.content.file_count())
            .filter(|&file| needs_layer(&self.content, file) && !self.layers.contains_key(&file))
            .collect()
    }

    /// Layers that were not in the torrent, by file.
    pub fn learned_layers(&self) -> &BTreeMap<usize, Vec<u8>> {
        &self.layers
    }

    /// A layer has come that hashes up to the file's root. Says `false` if a stored piece is not what it says.
    pub fn learn_layer(&mut self, file: usize, layer: Vec<u8>) -> bool {
        let pieces = pieces_of(&self.content, file);
        let mut agrees = true;
        for (in_file, piece) in (0..).zip(pieces.clone()) {
            if let (Some(computed), Some(hash)) = (self.computed.remove(&piece), nth(&layer, in_file)) {
                agrees &= computed == hash;
            }
        }
        self.layers.insert(file, layer);
        if self.content.kind() == Kind::V2 && self.is_wanted(file) {
            pieces.filter(|&piece| !self.stored.has(piece)).for_each(|piece| self.picker.want(piece));
        }
        agrees
    }

    /// A piece is verified and written. Gives the wanted files that are complete now.
    pub fn piece_stored(&mut self, piece: u32, hashes: &PieceHashes) -> Vec<usize> {
        self.picker.stored(piece);
        if !self.stored.add(piece) {
            return Vec::new();
        }
        self.left_bytes -= self.wanted_bytes_in(piece);
        if let (Some(node), Some(hash)) = (self.piece_node(piece), hashes.sha256)
            && node.hash.is_none()
        {
            self.computed.insert(piece, hash);
        }
        let mut done = Vec::new();
        for file in files_in(&self.content, piece) {
            if let Some(missing) = self.missing_in_file.get_mut(file).filter(|missing| **missing > 0) {
                *missing -= 1;
                if *missing == 0 {
                    done.push(file);
                }
            }
        }
        done
    }

    /// The v2 hash of a stored piece, read back because nobody had computed it.
    pub fn computed(&mut self, piece: u32, hash: Hash) {
        self.computed.insert(piece, hash);
    }

    /// A file without a layer whose pieces are all stored: those of them whose v2 hash is not known.
    pub fn uncomputed(&self, file: usize) -> Vec<u32> {
        pieces_of(&self.content, file).filter(|piece| !self.computed.contains_key(piece)).collect()
    }

    /// The layer of a file from the hashes of its stored pieces. `None` if one is not known; an error if together they
    /// are not the file's root.
    pub fn prove(&mut self, file: usize) -> Option<Result<(), Unproven>> {
        let nodes: Option<Vec<Hash>> =
            pieces_of(&self.content, file).map(|piece| self.computed.get(&piece).copied()).collect();
        let nodes = nodes?;
        let piece_length = u32::try_from(self.content.layout().piece_length()).unwrap_or(u32::MAX);
        let layer = nodes.concat();
        if Some(merkle::file_root(nodes, piece_length)) != self.content.file_root(file) {
            return Some(Err(Unproven));
        }
        self.learn_layer(file, layer);
        Some(Ok(()))
    }

    /// Stored pieces have turned out wrong: they are fetched again.
    pub fn miss(&mut self, pieces: &[u32]) {
        for &piece in pieces {
            if !self.stored.remove(piece) {
                continue;
            }
            self.picker.withdraw(piece);
            self.picker.want(piece);
            self.left_bytes += self.wanted_bytes_in(piece);
            for file in files_in(&self.content, piece) {
                let wanted = self.is_wanted(file);
                if let Some(missing) = self.missing_in_file.get_mut(file).filter(|_| wanted) {
                    *missing += 1;
                }
            }
        }
    }

    /// The pieces of a file are not there any more.
    pub fn withdraw(&mut self, file: usize) -> Vec<u32> {
        let gone: Vec<u32> =
            pieces_of(&self.content, file).filter(|&piece| self.stored.remove(piece)).collect();
        for &piece in &gone {
            self.picker.withdraw(piece);
            self.left_bytes += self.wanted_bytes_in(piece);
        }
        gone
    }

    fn wanted_bytes_in(&self, piece: u32) -> u64 {
        let layout = self.content.layout();
        let segments = layout.segments(layout.piece(u64::from(piece)));
        segments.filter(|segment| self.is_wanted(segment.file)).map(|segment| segment.length).sum()
    }
}

/// The pieces of a file do not hash to its root, although each has the SHA-1 the torrent says.
#[derive(Debug)]
pub struct Unproven;

/// The pieces that carry bytes of a file.
pub fn pieces_of(content: &Content, file: usize) -> Range<u32> {
    let range = content.layout().pieces_of(file);
    let narrow = |piece| u32::try_from(piece).unwrap_or(u32::MAX);
    narrow(range.start)..narrow(range.end)
}

/// The bytes of a piece up to the last one of a file.
pub fn data_bytes(content: &Content, piece: u32) -> u32 {
    let layout = content.layout();
    let range = layout.piece(u64::from(piece));
    let start = range.start;
    let end = layout.segments(range).last().map_or(start, |segment| segment.at + segment.length);
    u32::try_from(end - start).unwrap_or(u32::MAX)
}

/// The files that have bytes in a piece.
pub fn files_in(content: &Content, piece: u32) -> Vec<usize> {
    let layout = content.layout();
    layout.segments(layout.piece(u64::from(piece))).map(|segment| segment.file).collect()
}

/// Whether the pieces of a file can only be judged with a layer that the torrent does not have.
fn needs_layer(content: &Content, file: usize) -> bool {
    content.file_bytes(file) > content.layout().piece_length()
        && content.metainfo().is_some_and(|metainfo| metainfo.layer(file).is_none())
}

fn nth(layer: &[u8], at: u64) -> Option<Hash> {
    let at = usize::try_from(at).ok()?.checked_mul(32)?;
    layer.get(at..at.checked_add(32)?)?.try_into().ok()
}
