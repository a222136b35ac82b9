//! What is transferred: pieces, their hashes and the files they lie in, whatever kind of metafile described them.
//!
//! It never changes. Piece layers that a torrent lacks and peers send later are kept by whoever asked for them.

use crate::hash::piece::Node;
use weightless::base::InfoHashes;
use weightless::torrent::merkle::Hash;
use weightless::torrent::names::{PathTooLong, Platform, disk_paths};
use weightless::torrent::{Kind, Layout, Metainfo};

/// One torrent as the engine sees it.
#[derive(Debug)]
pub struct Content {
    metainfo: Metainfo,
}

/// What a piece must hash to over SHA-256, as far as the metafile says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceNode {
    /// The hash; `None` while the layer of its file is not known.
    pub hash: Option<Hash>,
    /// What it stands for.
    pub node: Node,
}

const PLATFORM: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

impl Content {
    /// The content of a torrent.
    pub fn torrent(metainfo: Metainfo) -> Self {
        Self { metainfo }
    }

    /// Which hashes its pieces have.
    pub fn kind(&self) -> Kind {
        self.metainfo.kind()
    }

    /// What names it.
    pub fn hashes(&self) -> InfoHashes {
        self.metainfo.hashes()
    }

    /// The map between pieces and files.
    pub fn layout(&self) -> &Layout {
        self.metainfo.layout()
    }

    /// The torrent, where there is one.
    pub fn metainfo(&self) -> Option<&Metainfo> {
        Some(&self.metainfo)
    }

    /// How many pieces there are; a metafile of at most 64 MiB cannot name more than fit.
    pub fn piece_count(&self) -> u32 {
        u32::try_from(self.layout().piece_count()).unwrap_or(u32::MAX)
    }

    /// The bytes of a piece as they are hashed and transferred.
    pub fn piece_bytes(&self, piece: u32) -> u32 {
        let range = self.layout().piece(u64::from(piece));
        u32::try_from(range.end - range.start).unwrap_or(u32::MAX)
    }

    /// The SHA-1 of a piece; `None` in a v2-only torrent.
    pub fn piece_sha1(&self, piece: u32) -> Option<[u8; 20]> {
        self.metainfo.piece_sha1(u64::from(piece))
    }

    /// The file a v2 piece belongs to, and which of its pieces it is.
    pub fn place_in_file(&self, piece: u32) -> Option<(usize, u64)> {
        let layout = self.layout();
        let file = layout.segments(layout.piece(u64::from(piece))).next()?.file;
        Some((file, u64::from(piece) - layout.pieces_of(file).start))
    }

    /// The v2 node of a piece; `None` in a v1-only torrent.
    pub fn piece_node(&self, piece: u32) -> Option<PieceNode> {
        if self.kind() == Kind::V1 {
            return None;
        }
        let (file, in_file) = self.place_in_file(piece)?;
        let whole = self.file_bytes(file) <= self.layout().piece_length();
        let node = if whole { Node::WholeFile } else { Node::LayerEntry };
        Some(PieceNode { hash: self.metainfo.piece_sha256(file, in_file), node })
    }

    /// How many files there are, pads not counted.
    pub fn file_count(&self) -> usize {
        self.metainfo.files().len()
    }

    /// The bytes of a file.
    pub fn file_bytes(&self, file: usize) -> u64 {
        self.metainfo.files().get(file).map_or(0, |file| file.length)
    }

    /// The bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.metainfo.total_bytes()
    }

    /// The Merkle root of a non-empty file, where the kind has one.
    pub fn file_root(&self, file: usize) -> Option<Hash> {
        self.metainfo.files().get(file)?.root
    }

    /// Whether a file is a symlink, which is never created.
    pub fn is_symlink(&self, file: usize) -> bool {
        self.metainfo.files().get(file).is_some_and(|file| file.symlink)
    }

    /// The name for people.
    pub fn shown_name(&self) -> String {
        self.metainfo.shown_name()
    }

    /// The path of a file for people.
    pub fn shown_path(&self, file: usize) -> String {
        self.metainfo.files().get(file).map(|file| self.metainfo.shown_path(file)).unwrap_or_default()
    }

    /// The place of every file below the output directory.
    pub fn disk_paths(&self) -> Result<Vec<String>, PathTooLong> {
        disk_paths(&self.metainfo, PLATFORM)
    }
}
