//! Why a torrent is not taken. One variant for each line of the strict reader's list, in the order of its checks.

use std::fmt;

/// The first rule a torrent breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not bencode within the limits, or no info dictionary.
    NotATorrent,
    /// A meta version this program does not know.
    UnsupportedVersion,
    /// A v2 info dictionary whose keys are not strictly ascending.
    NotCanonical,
    /// v2 keys without the version, or the version without its keys.
    InconsistentVersion,
    /// Absent, out of range, or for v2 not a power of two.
    BadPieceLength,
    /// No usable name.
    MissingName,
    /// Both forms of a v1 file list in a hybrid.
    LengthAndFiles,
    /// An entry of the v1 file list.
    BadFileEntry,
    /// An entry of the v2 file tree.
    BadFileTree,
    /// No file, or not 20 bytes of `pieces` for each piece.
    WrongPieceCount,
    /// The two file lists of a hybrid describe different files, or the same at different places.
    ListsDiffer,
    /// A layer for no file, of the wrong size, or that does not hash to its root.
    BadPieceLayer,
    /// Not the torrent that was asked for.
    HashMismatch,
}

impl Malformed {
    /// The rule in words, as users and other programs see it after `torrent: `.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotATorrent => "not a torrent file",
            Self::UnsupportedVersion => "unsupported meta version",
            Self::NotCanonical => "info dictionary is not canonical",
            Self::InconsistentVersion => "inconsistent version keys",
            Self::BadPieceLength => "bad piece length",
            Self::MissingName => "missing name",
            Self::LengthAndFiles => "both length and files",
            Self::BadFileEntry => "bad file entry",
            Self::BadFileTree => "bad file tree",
            Self::WrongPieceCount => "wrong number of pieces",
            Self::ListsDiffer => "v1 and v2 file lists differ",
            Self::BadPieceLayer => "bad piece layer",
            Self::HashMismatch => "info hash mismatch",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Malformed {}
