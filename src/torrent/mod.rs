//! Torrents as files and links: reading and writing metainfo (BEP 3, 12, 19, 27, 47, 52), Merkle trees, where pieces lie
//! in files, magnet links, idtorrents, and what a registry wants to know of an upload.
//!
//! Pure: bytes in, values or bytes out. Info hashes are always those of the raw info bytes as found; nothing here
//! decodes and re-encodes an info dictionary.

mod about;
pub mod build;
mod files;
mod inspect;
mod layers;
pub mod layout;
pub mod magnet;
mod malformed;
pub mod merkle;
mod metainfo;
pub mod names;
pub mod piece_length;
mod read;
mod read_lists;
mod rewrite;
pub mod signature;
pub mod signatures;
pub mod small;
mod tree;

pub use about::{TRACKERS_MAX, WEB_SEEDS_MAX};
pub use inspect::{ListedFile, Summary, inspect};
pub use layout::Layout;
pub use magnet::Magnet;
pub use malformed::Malformed;
pub use metainfo::{About, Attributes, File, Metainfo};
pub use rewrite::{CHANGED_URLS_MAX, rewrite_trackers, shorten_trackers};

use crate::base::{InfoHashes, Rope, V1Hash, V2Hash};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Which hashes a torrent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SHA-1 of pieces that run across files (BEP 3).
    V1,
    /// SHA-256 trees per file (BEP 52).
    V2,
    /// Both over the same data, every file at a piece boundary.
    Hybrid,
}

/// What a torrent unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One file, called like the torrent.
    SingleFile,
    /// A directory called like the torrent, even with one file in it.
    Directory,
}

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

/// The hashes of an info dictionary in parts, for a torrent of this kind.
pub fn info_hashes(kind: Kind, info: &Rope<'_>) -> InfoHashes {
    let v1 = || V1Hash(info.parts().fold(Sha1::new(), Sha1::chain_update).finalize().into());
    let v2 = || V2Hash(info.parts().fold(Sha256::new(), Sha256::chain_update).finalize().into());
    match kind {
        Kind::V1 => InfoHashes::V1(v1()),
        Kind::V2 => InfoHashes::V2(v2()),
        Kind::Hybrid => InfoHashes::Hybrid(v1(), v2()),
    }
}
