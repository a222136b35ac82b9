//! Torrents as files and links: reading and writing metainfo (BEP 3, 12, 19, 27, 47, 52), Merkle trees, where pieces lie
//! in files, magnet links, and what a registry wants to know of an upload.
//!
//! Pure: bytes in, values or bytes out. Info hashes are always those of the raw info bytes as found; nothing here
//! decodes and re-encodes an info dictionary.

mod files;
mod inspect;
mod malformed;
mod rewrite;
mod tree;

pub use inspect::{ListedFile, Summary, inspect};
pub use malformed::Malformed;
pub use rewrite::rewrite_trackers;

use crate::base::{V1Hash, V2Hash};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Most path components of one file below the torrent's name.
pub const PATH_DEPTH_MAX: usize = 100;
/// Most files in one torrent, pads included.
pub const FILES_MAX: usize = 1 << 20;
/// Most payload bytes in one torrent (libtorrent's bound).
pub const TOTAL_BYTES_MAX: u64 = (1 << 48) - 1;

/// SHA-1 of the raw info dictionary.
pub fn v1_hash(info: &[u8]) -> V1Hash {
    V1Hash(Sha1::digest(info).into())
}

/// SHA-256 of the raw info dictionary.
pub fn v2_hash(info: &[u8]) -> V2Hash {
    V2Hash(Sha256::digest(info).into())
}
