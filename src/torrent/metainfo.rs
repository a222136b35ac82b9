//! A torrent as a strict client reads it: every rule of the specification has been checked, every number is in range.
//!
//! It owns the bytes it was read from (info bytes are served to peers and embedded when a file is rebuilt) and keeps paths
//! and hashes as spans of them: directories share their names in a v2 tree, so owned paths could be far larger than the
//! file they came from.

use super::merkle::Hash;
use super::signatures::{self, Signatures};
use super::{Kind, Layout, Malformed, Shape, read};
use crate::base::InfoHashes;
use crate::wire::bencode::Value;
use std::collections::BTreeMap;

/// One torrent.
#[derive(Clone, Debug)]
pub struct Metainfo {
    /// The torrent as it was read, or the info dictionary alone.
    pub(super) file: Vec<u8>,
    /// Where in it the info dictionary is; all spans but those of `layers` are parts of that.
    pub(super) info: Span,
    pub(super) hashes: InfoHashes,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    pub(super) name: Span,
    pub(super) pieces: Span,
    pub(super) files: Vec<File>,
    pub(super) directories: Vec<Directory>,
    pub(super) layout: Layout,
    /// Where in the file the layers are.
    pub(super) layers: BTreeMap<Hash, Span>,
    /// The keys that change no hash and no byte of data.
    pub about: About,
}

/// A file of the torrent; pads are not files.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its bytes; 0 for a symlink.
    pub length: u64,
    /// The Merkle root of a non-empty file, in v2 and hybrid torrents.
    pub root: Option<Hash>,
    /// A BEP 47 symlink: never created on disk.
    pub symlink: bool,
    /// What its maker said of it (BEP 47): worth showing, never applied.
    pub attributes: Attributes,
    pub(super) path: PathAt,
}

/// The attributes of a file that change nothing (BEP 47).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `x`: it was executable.
    pub executable: bool,
    /// `h`: it was hidden.
    pub hidden: bool,
}

impl Attributes {
    pub(super) fn of(attr: &[u8]) -> Self {
        Self { executable: attr.contains(&b'x'), hidden: attr.contains(&b'h') }
    }
}

/// What a torrent says beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Tiers of tracker URLs, http, https and udp only.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds, http and https only.
    pub web_seeds: Vec<String>,
    /// `comment`.
    pub comment: Option<String>,
    /// `created by`.
    pub created_by: Option<String>,
    /// `creation date`, seconds since 1970.
    pub creation_date: Option<u64>,
    /// `source` of the info dictionary.
    pub source: Option<String>,
    /// `private` of the info dictionary.
    pub private: bool,
    /// The raw `signatures` list, not yet judged.
    pub signatures: Option<Vec<u8>>,
}

/// A part of the info bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// Where a file's path stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathAt {
    /// The torrent's name is the path.
    Name,
    /// A bencoded list of components.
    List(Span),
    /// A key of the file tree, below a directory of [`Metainfo::directories`].
    Tree { directory: u32, name: Span },
}

/// A directory of the file tree. The root is entry 0 and its own parent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    pub parent: u32,
    pub name: Span,
}

impl Metainfo {
    /// Reads a `.torrent`, checking everything a strict client checks, in the order of the specification; the first
    /// broken rule is the error.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::take(bytes.to_vec())
    }

    /// The same without a copy: torrents may be large, and nearly all of one is hashes that are looked up in place.
    pub fn take(bytes: Vec<u8>) -> Result<Self, Malformed> {
        read::torrent(bytes)
    }

    /// Reads the info dictionary alone, as peers send it (BEP 9): no trackers, no piece layers.
    pub fn read_info(info: &[u8]) -> Result<Self, Malformed> {
        read::info_only(info)
    }

    /// Refuses another torrent than the one asked for: every hash that is wanted must be there and equal.
    pub fn expect(&self, wanted: &InfoHashes) -> Result<(), Malformed> {
        let v1 = wanted.v1().is_none_or(|v1| self.hashes.v1() == Some(v1));
        let v2 = wanted.v2().is_none_or(|v2| self.hashes.v2() == Some(v2));
        if v1 && v2 { Ok(()) } else { Err(Malformed::HashMismatch) }
    }

    /// The hashes of the raw info bytes.
    pub fn hashes(&self) -> InfoHashes {
        self.hashes
    }

    /// All bytes it was read from: a whole `.torrent`, or an info dictionary alone.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The raw info dictionary.
    pub fn info(&self) -> &[u8] {
        self.info.of(&self.file)
    }

    /// Which hashes the torrent has.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A file or a directory.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The name as the torrent has it: any bytes, not safe for a disk. A v1-only torrent's `name.utf-8` is preferred.
    pub fn name(&self) -> &[u8] {
        self.name.of(self.info())
    }

    /// The publishers' signatures the torrent carries, each judged against its hashes.
    pub fn signatures(&self) -> Signatures {
        signatures::judge(self.about.signatures.as_deref(), &self.hashes)
    }

    /// Bytes in one piece. v1: 1 to 256 MiB; v2 and hybrid: a power of two from 16 KiB on.
    pub fn piece_length(&self) -> u32 {
        u32::try_from(self.layout.piece_length()).unwrap_or(u32::MAX)
    }

    /// The map between pieces and files.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The files in torrent order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The SHA-1 of a piece; `None` in a v2-only torrent and past the end.
    pub fn piece_sha1(&self, piece: u64) -> Option<[u8; 20]> {
        let at = usize::try_from(piece).ok()?.checked_mul(20)?;
        self.pieces.of(self.info()).get(at..at.checked_add(20)?)?.try_into().ok()
    }

    /// The piece hashes of a file longer than a piece, one after the other, if the torrent carries them.
    pub fn layer(&self, file: usize) -> Option<&[u8]> {
        self.layers.get(&self.files.get(file)?.root?).map(|layer| layer.of(&self.file))
    }

    /// The v2 hash of a piece of a file, counted from the file's start: from its layer, or the root of a file of at
    /// most one piece. `None` where the torrent has none.
    pub fn piece_sha256(&self, file: usize, piece_in_file: u64) -> Option<Hash> {
        let entry = self.files.get(file)?;
        if entry.length <= self.layout.piece_length() {
            return entry.root.filter(|_| piece_in_file == 0);
        }
        let at = usize::try_from(piece_in_file).ok()?.checked_mul(32)?;
        self.layer(file)?.get(at..at.checked_add(32)?)?.try_into().ok()
    }

    /// The components of a file's path as the torrent has them: any bytes, not safe for a disk. For a single file its
    /// name alone; otherwise the path below [`Metainfo::name`].
    pub fn path(&self, file: &File) -> Vec<&[u8]> {
        match file.path {
            PathAt::Name => vec![self.name()],
            PathAt::List(list) => {
                let components = Value::of_checked(list.of(self.info())).as_list();
                components.into_iter().flatten().filter_map(|component| component.as_bytes()).collect()
            }
            PathAt::Tree { directory, name } => {
                let mut path = vec![name.of(self.info())];
                let mut at = directory;
                while at != 0
                    && let Some(directory) = self.directories.get(at as usize)
                {
                    path.push(directory.name.of(self.info()));
                    at = directory.parent;
                }
                path.reverse();
                path
            }
        }
    }

    /// A path for people: the components joined with `/`, invalid UTF-8 shown as U+FFFD.
    pub fn shown_path(&self, file: &File) -> String {
        String::from_utf8_lossy(&self.path(file).join(&b'/')).into_owned()
    }

    /// The name for people: invalid UTF-8 shown as U+FFFD.
    pub fn shown_name(&self) -> String {
        String::from_utf8_lossy(self.name()).into_owned()
    }
}

impl Span {
    /// Nothing.
    pub(super) const EMPTY: Self = Self { start: 0, end: 0 };

    /// Where `part` lies in `whole`; `part` must be a slice of it.
    pub(super) fn locate(whole: &[u8], part: &[u8]) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        let end = start.checked_add(part.len()).filter(|&end| end <= whole.len())?;
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn of(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
