//! Serving hashes: piece layers from memory, block hashes from those of the pieces they lie in.

use super::shape::{TreeShape, uncles};
use crate::peer::limits::{HASHES_ASKED_MAX, HASHES_SERVED_MAX};
use crate::peer::wire::HashRange;
use weightless::torrent::merkle::{self, Hash};

/// What is known of one file's tree.
#[derive(Clone, Copy)]
pub struct FileTree<'a> {
    /// Its form.
    pub shape: TreeShape,
    /// Its piece hashes one after the other; empty for a file of at most one piece.
    pub layer: &'a [u8],
    /// The levels far above them. Without, answers from a large layer are the same, but slow.
    pub tops: Option<&'a Tops>,
    /// The block hashes of a piece of the file, as many as it has blocks; `None` where they are not at hand.
    /// [`TreeShape::pieces_under`] tells which pieces a request needs.
    pub leaves: &'a dyn Fn(u32) -> Option<&'a [Hash]>,
}

/// The upper levels of a large tree, from the one whose hashes cover 512 pieces each up to the root: two for each
/// 512 pieces.
#[derive(Clone, Debug, Default)]
pub struct Tops {
    first_level: u32,
    levels: Vec<Vec<Hash>>,
}

impl Tops {
    /// Computed from a whole layer once; `None` for a layer of at most 512 pieces, which needs none.
    pub fn of(shape: TreeShape, layer: &[u8]) -> Option<Self> {
        let step = HASHES_ASKED_MAX.ilog2();
        let first_level = shape.piece_level() + step;
        if shape.height() <= first_level {
            return None;
        }
        let (hashes, _) = layer.as_chunks::<32>();
        let chunks = hashes.chunks(HASHES_ASKED_MAX as usize);
        let mut level: Vec<Hash> =
            chunks.map(|chunk| merkle::fold(&mut chunk.to_vec(), shape.piece_level(), step)).collect();
        let mut levels = Vec::new();
        for number in first_level..shape.height() {
            let pad = merkle::pad(number);
            let above = level
                .chunks(2)
                .map(|pair| merkle::parent(pair.first().unwrap_or(&pad), pair.get(1).unwrap_or(&pad)));
            let above = above.collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        Some(Self { first_level, levels })
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let hashes = self.levels.get(level.checked_sub(self.first_level)? as usize)?;
        Some(hashes.get(usize::try_from(index).ok()?).copied().unwrap_or_else(|| merkle::pad(level)))
    }
}

/// The hashes that answer a request: those of the range, then the uncles, the lowest first. `None`: it is rejected,
/// because its fields make no sense in this tree, it starts neither at the blocks nor at the pieces (others need not
/// be served), asks for more than 8192, or block hashes are missing.
pub fn answer(range: &HashRange, tree: &FileTree<'_>) -> Option<Vec<u8>> {
    let shape = &tree.shape;
    let is_served = range.base == 0 || range.base == shape.piece_level();
    if !is_served || range.length > HASHES_SERVED_MAX || !shape.accepts(range) {
        return None;
    }
    let count = range.length as usize + uncles(range) as usize;
    let mut out = Vec::with_capacity(32 * count);
    for place in 0..range.length {
        let index = u64::from(range.index) + u64::from(place);
        out.extend_from_slice(&tree.node(range.base, index)?);
    }
    let inside = range.length.ilog2();
    for step in 0..uncles(range) {
        let index = u64::from(range.index >> inside) >> step;
        out.extend_from_slice(&tree.node(range.base + inside + step, index ^ 1)?);
    }
    Some(out)
}

impl FileTree<'_> {
    /// One hash of the tree.
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        if level < self.shape.piece_level() {
            return self.node_in_piece(level, index);
        }
        if let Some(node) = self.tops.and_then(|tops| tops.node(level, index)) {
            return Some(node);
        }
        let up = level - self.shape.piece_level();
        let first = usize::try_from(index.checked_shl(up)?).ok()?;
        let (hashes, _) = self.layer.as_chunks::<32>();
        let under = hashes.get(first..).unwrap_or_default();
        let under = under.get(..1 << up).unwrap_or(under);
        Some(if under.is_empty() {
            merkle::pad(level)
        } else {
            merkle::fold(&mut under.to_vec(), self.shape.piece_level(), up)
        })
    }

    fn node_in_piece(&self, level: u32, index: u64) -> Option<Hash> {
        let down = self.shape.piece_level() - level;
        let piece = u32::try_from(index >> down).ok()?;
        if piece >= self.shape.pieces() {
            return Some(merkle::pad(level));
        }
        let leaves = (self.leaves)(piece)?;
        let first = usize::try_from((index - (u64::from(piece) << down)) << level).ok()?;
        let under = leaves.get(first..).unwrap_or_default();
        let under = under.get(..1 << level).unwrap_or(under);
        Some(if under.is_empty() { merkle::pad(level) } else { merkle::fold(&mut under.to_vec(), 0, level) })
    }
}
