//! What is transferred: pieces, their hashes and the files they lie in, whatever kind of metafile described them.
//!
//! It never changes. Piece layers that a torrent lacks and peers send later are kept by whoever asked for them.

use crate::hash::piece::Node;
use weightless::base::InfoHashes;
use weightless::torrent::merkle::Hash;
use weightless::torrent::names::{PathTooLong, Platform, component, disk_paths};
use weightless::torrent::small::Idtorrent;
use weightless::torrent::{Kind, Layout, Metainfo};

/// What is transferred.
#[derive(Debug)]
pub enum Content {
    /// The data of a torrent.
    Torrent(Box<Metainfo>),
    /// The file of an idtorrent: its chunks are v1 pieces of any size.
    Small(Idtorrent, Layout),
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
        Self::Torrent(Box::new(metainfo))
    }

    /// The content of an idtorrent.
    pub fn small(idtorrent: Idtorrent) -> Self {
        let layout = Layout::plan(Kind::V1, u64::from(idtorrent.chunk_size()), [idtorrent.file_size()]);
        Self::Small(idtorrent, layout)
    }

    /// Which hashes its pieces have.
    pub fn kind(&self) -> Kind {
        self.metainfo().map_or(Kind::V1, Metainfo::kind)
    }

    /// What names it.
    pub fn hashes(&self) -> InfoHashes {
        match self {
            Self::Torrent(metainfo) => metainfo.hashes(),
            Self::Small(idtorrent, _) => InfoHashes::V1(idtorrent.file_id()),
        }
    }

    /// The map between pieces and files.
    pub fn layout(&self) -> &Layout {
        match self {
            Self::Torrent(metainfo) => metainfo.layout(),
            Self::Small(_, layout) => layout,
        }
    }

    /// The torrent, where there is one.
    pub fn metainfo(&self) -> Option<&Metainfo> {
        match self {
            Self::Torrent(metainfo) => Some(metainfo),
            Self::Small(..) => None,
        }
    }

    /// The idtorrent, where there is one.
    pub fn idtorrent(&self) -> Option<&Idtorrent> {
        match self {
            Self::Torrent(_) => None,
            Self::Small(idtorrent, _) => Some(idtorrent),
        }
    }

    /// Whether peers may only be found through its trackers.
    pub fn is_private(&self) -> bool {
        self.metainfo().is_some_and(|metainfo| metainfo.about.private)
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
        match self {
            Self::Torrent(metainfo) => metainfo.piece_sha1(u64::from(piece)),
            Self::Small(idtorrent, _) => idtorrent.chunk_hashes().get(piece as usize).copied(),
        }
    }

    /// The file a v2 piece belongs to, and which of its pieces it is.
    pub fn place_in_file(&self, piece: u32) -> Option<(usize, u64)> {
        let layout = self.layout();
        let file = layout.segments(layout.piece(u64::from(piece))).next()?.file;
        Some((file, u64::from(piece) - layout.pieces_of(file).start))
    }

    /// The v2 node of a piece; `None` in a v1-only torrent.
    pub fn piece_node(&self, piece: u32) -> Option<PieceNode> {
        let metainfo = self.metainfo().filter(|metainfo| metainfo.kind() != Kind::V1)?;
        let (file, in_file) = self.place_in_file(piece)?;
        let whole = self.file_bytes(file) <= self.layout().piece_length();
        let node = if whole { Node::WholeFile } else { Node::LayerEntry };
        Some(PieceNode { hash: metainfo.piece_sha256(file, in_file), node })
    }

    /// How many files there are, pads not counted.
    pub fn file_count(&self) -> usize {
        self.metainfo().map_or(1, |metainfo| metainfo.files().len())
    }

    /// The bytes of a file.
    pub fn file_bytes(&self, file: usize) -> u64 {
        match self {
            Self::Torrent(metainfo) => metainfo.files().get(file).map_or(0, |file| file.length),
            Self::Small(idtorrent, _) => idtorrent.file_size(),
        }
    }

    /// The bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        match self {
            Self::Torrent(metainfo) => metainfo.total_bytes(),
            Self::Small(idtorrent, _) => idtorrent.file_size(),
        }
    }

    /// The Merkle root of a non-empty file, where the kind has one.
    pub fn file_root(&self, file: usize) -> Option<Hash> {
        self.metainfo()?.files().get(file)?.root
    }

    /// Whether a file is a symlink, which is never created.
    pub fn is_symlink(&self, file: usize) -> bool {
        self.metainfo().and_then(|metainfo| metainfo.files().get(file)).is_some_and(|file| file.symlink)
    }

    /// The name for people.
    pub fn shown_name(&self) -> String {
        match self {
            Self::Torrent(metainfo) => metainfo.shown_name(),
            Self::Small(idtorrent, _) => idtorrent.file_name().into(),
        }
    }

    /// The path of a file for people.
    pub fn shown_path(&self, file: usize) -> String {
        let named = |metainfo: &Metainfo| metainfo.files().get(file).map(|file| metainfo.shown_path(file));
        self.metainfo().map_or_else(|| self.shown_name(), |metainfo| named(metainfo).unwrap_or_default())
    }

    /// The components of a file's path, as the metafile has them.
    pub fn path(&self, file: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Torrent(metainfo) => {
                let path = metainfo.files().get(file).map(|file| metainfo.path(file));
                path.unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect()
            }
            Self::Small(idtorrent, _) => vec![idtorrent.file_name().as_bytes().to_vec()],
        }
    }

    /// The place of every file below the output directory.
    pub fn disk_paths(&self) -> Result<Vec<String>, PathTooLong> {
        match self {
            Self::Torrent(metainfo) => disk_paths(metainfo, PLATFORM),
            Self::Small(idtorrent, _) => Ok(vec![component(idtorrent.file_name().as_bytes(), PLATFORM)]),
        }
    }
}
