//! The tree over one file: how high it is, which requests make sense in it, and what a proof must lead to.

use crate::peer::wire::HashRange;
use std::ops::Range;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// The form of a file's tree. Levels count from the blocks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeShape {
    /// The level of the root.
    height: u32,
    /// The level at which a hash covers a piece; the root, when the file is no longer than one.
    piece_level: u32,
    pieces: u32,
}

impl TreeShape {
    /// The tree of a file of `bytes`, at least 1. `piece_length` is a power of two of at least one block.
    pub fn of(bytes: u64, piece_length: u32) -> Self {
        debug_assert!(bytes > 0 && piece_length.is_power_of_two() && piece_length >= BLOCK_BYTES);
        if bytes <= u64::from(piece_length) {
            let height = bytes.div_ceil(BLOCK_BYTES.into()).next_power_of_two().ilog2();
            return Self { height, piece_level: height, pieces: 1 };
        }
        let piece_level = merkle::piece_level(piece_length);
        let pieces = bytes.div_ceil(piece_length.into());
        let height = piece_level + pieces.next_power_of_two().ilog2();
        Self { height, piece_level, pieces: u32::try_from(pieces).unwrap_or(u32::MAX) }
    }

    /// The level of the root.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The level of the piece hashes.
    pub fn piece_level(&self) -> u32 {
        self.piece_level
    }

    /// How many pieces the file has.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// How many hashes a level has, those that stand for nothing included.
    pub(super) fn width(&self, level: u32) -> u64 {
        1 << self.height.saturating_sub(level).min(63)
    }

    /// Whether a request makes sense in this tree: an aligned power of two of hashes that are there, and not more
    /// proof than leads to the root.
    pub fn accepts(&self, range: &HashRange) -> bool {
        range.base < self.height
            && range.length >= 2
            && range.length.is_power_of_two()
            && range.index.is_multiple_of(range.length)
            && u64::from(range.index) + u64::from(range.length) <= self.width(range.base)
            && range.proofs < self.height - range.base
    }

    /// The pieces of the file whose block hashes the answer needs; none when it comes from the piece layer, or the
    /// request makes no sense.
    pub fn pieces_under(&self, range: &HashRange) -> Range<u32> {
        if range.base >= self.piece_level || !self.accepts(range) {
            return 0..0;
        }
        let up = self.piece_level - range.base;
        let (first, last) = (range.index >> up.min(31), (range.index + (range.length - 1)) >> up.min(31));
        first.min(self.pieces)..(last + 1).min(self.pieces)
    }
}

/// How many uncles follow the hashes of a range: the proof counts from the first level above them, and those inside
/// the range need none.
pub(super) fn uncles(range: &HashRange) -> u32 {
    range.proofs.saturating_sub(range.length.ilog2().saturating_sub(1))
}

/// Reads the hashes of an answer; `None` if they are not as many as `range` asked for.
pub(super) fn read(range: &HashRange, hashes: &[u8]) -> Option<Vec<Hash>> {
    let (whole, rest) = hashes.as_chunks::<32>();
    let expected = u64::from(range.length) + u64::from(uncles(range));
    (rest.is_empty() && whole.len() as u64 == expected).then(|| whole.to_vec())
}

/// Whether the hashes and uncles of a range lead to `top`, which stands above all of them.
pub(super) fn proves(range: &HashRange, hashes: &[Hash], top: &Hash) -> bool {
    let Some((own, uncles)) = hashes.split_at_checked(range.length as usize) else { return false };
    let inside = range.length.ilog2();
    let mut node = merkle::fold(&mut own.to_vec(), range.base, inside);
    let mut index = range.index >> inside;
    for uncle in uncles {
        node =
            if index.is_multiple_of(2) { merkle::parent(&node, uncle) } else { merkle::parent(uncle, &node) };
        index /= 2;
    }
    node == *top
}
