//! Hashes between peers (BEP 52, messages 21 to 23): piece layers that a torrent lacks, block hashes that tell who sent
//! a wrong block, and both served to others.
//!
//! Every answer is proved up to a hash that is already trusted, the root of a file or the hash of a piece, before a
//! byte of it is kept. What was not asked or does not prove what it says comes from a peer to be banned.

mod answer;
mod asked;
mod blocks;
mod fetch;
mod shape;

pub use answer::{FileTree, Tops, answer};
pub use blocks::{BlockHashFetch, BlockHashes};
pub use fetch::{LayerAnswer, LayerFetch, WantedLayer};
pub use shape::TreeShape;

#[cfg(test)]
mod tests;
