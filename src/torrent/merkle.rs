//! The Merkle trees of BEP 52: SHA-256 over blocks of 16 KiB, parents over pairs, missing leaves 32 zero bytes.
//!
//! Levels count up from the leaves: a hash at level `n` covers `2^n` blocks. Missing hashes at level `n` are the root
//! of a tree of zero leaves of that height, so no tree is ever filled up in memory.

use sha2::{Digest, Sha256};

/// A node of a tree: 32 bytes of SHA-256.
pub type Hash = [u8; 32];

/// What one leaf covers; the last one of a file covers what is left.
pub const BLOCK_BYTES: u32 = 16384;

/// The leaf of one block.
pub fn leaf(block: &[u8]) -> Hash {
    Sha256::digest(block).into()
}

/// The node above two nodes.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// The root of `2^level` missing leaves.
pub fn pad(level: u32) -> Hash {
    (0..level).fold([0; 32], |pad, _| parent(&pad, &pad))
}

/// The level at which one hash covers a piece of `piece_length` bytes, a power of two of at least one block.
pub fn piece_level(piece_length: u32) -> u32 {
    (piece_length / BLOCK_BYTES).max(1).ilog2()
}

/// The hash of one piece of a file longer than a piece, from its leaves; a short last piece is filled with missing
/// leaves. Leaves the buffer empty of meaning.
pub fn piece_hash(leaves: &mut Vec<Hash>, piece_length: u32) -> Hash {
    fold(leaves, 0, piece_level(piece_length))
}

/// The root of a file of at most one piece, from its leaves: filled only to the next power of two.
pub fn small_file_root(leaves: &mut Vec<Hash>) -> Hash {
    let height = height_over(leaves.len());
    fold(leaves, 0, height)
}

/// The root of a file longer than a piece, from its layer of piece hashes.
pub fn file_root(mut layer: Vec<Hash>, piece_length: u32) -> Hash {
    let height = height_over(layer.len());
    fold(&mut layer, piece_level(piece_length), height)
}

/// The same, one hash after the other: nothing is copied, and only one node of each level is kept.
pub fn layer_root<'h>(layer: impl IntoIterator<Item = &'h Hash>, piece_length: u32) -> Hash {
    // Complete subtrees waiting for their right neighbour, the largest first, each with its level.
    let mut waiting: Vec<(u32, Hash)> = Vec::new();
    let leaf_level = piece_level(piece_length);
    let mut filler = pad(leaf_level);
    for hash in layer {
        let (mut level, mut node) = (leaf_level, *hash);
        while let Some((_, left)) = waiting.pop_if(|(left_level, _)| *left_level == level) {
            (level, node) = (level + 1, parent(&left, &node));
        }
        waiting.push((level, node));
    }
    let (mut level, mut node) = waiting.pop().unwrap_or((leaf_level, filler));
    let mut filler_level = leaf_level;
    while let Some((left_level, left)) = waiting.pop() {
        // What is missing beside the smaller tree.
        while level < left_level {
            while filler_level < level {
                (filler_level, filler) = (filler_level + 1, parent(&filler, &filler));
            }
            (level, node) = (level + 1, parent(&node, &filler));
        }
        (level, node) = (level + 1, parent(&left, &node));
    }
    node
}

/// How many levels lie above `count` hashes.
fn height_over(count: usize) -> u32 {
    count.max(1).next_power_of_two().ilog2()
}

/// Combines hashes at `level` into the one that stands `height` levels above; missing ones are filled up. Leaves the
/// buffer empty of meaning.
pub fn fold(hashes: &mut Vec<Hash>, level: u32, height: u32) -> Hash {
    let complete = hashes.len().is_power_of_two() && height_over(hashes.len()) == height;
    let mut filler = if complete { [0; 32] } else { pad(level) };
    for _ in 0..height {
        let pairs = hashes.len().div_ceil(2);
        for pair in 0..pairs {
            let left = hashes.get(2 * pair).unwrap_or(&filler);
            let right = hashes.get(2 * pair + 1).unwrap_or(&filler);
            let above = parent(left, right);
            if let Some(slot) = hashes.get_mut(pair) {
                *slot = above;
            }
        }
        hashes.truncate(pairs);
        if !complete {
            filler = parent(&filler, &filler);
        }
    }
    hashes.first().copied().unwrap_or(filler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn pads_are_those_of_the_specification() {
        for (level, hex) in [
            (0, "0000000000000000000000000000000000000000000000000000000000000000"),
            (1, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"),
            (2, "db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71"),
            (4, "536d98837f2dd165a55d5eeae91485954472d56f246df256bf3cae19352a123c"),
        ] {
            assert_eq!(HEXLOWER.encode(&pad(level)), hex);
        }
    }

    #[test]
    fn a_layer_one_by_one_has_the_same_root() {
        for piece_length in [BLOCK_BYTES, 16 * BLOCK_BYTES] {
            for count in 1..=130usize {
                let layer: Vec<Hash> = (0..count).map(|i| leaf(&[i as u8])).collect();
                assert_eq!(
                    layer_root(&layer, piece_length),
                    file_root(layer.clone(), piece_length),
                    "{count}"
                );
            }
        }
    }

    /// The lazy filling gives what a tree filled up leaf by leaf gives, for every number of leaves.
    #[test]
    fn filling_up_lazily_changes_no_root() {
        for count in 1..=33usize {
            let leaves: Vec<Hash> = (0..count).map(|i| leaf(&[i as u8])).collect();
            for height in height_over(count)..=6 {
                let mut full = leaves.clone();
                full.resize(1 << height, [0; 32]);
                while full.len() > 1 {
                    full = full.chunks(2).map(|pair| parent(&pair[0], &pair[1])).collect();
                }
                assert_eq!(
                    fold(&mut leaves.clone(), 0, height),
                    full[0],
                    "{count} leaves under height {height}"
                );
            }
        }
    }
}
