//! Why an idtorrent is not taken. One variant for each rule, in the order in which they are checked.

use std::fmt;

/// The first rule a metafile breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// More bytes than any metafile has.
    TooLong,
    /// Not one JSON object in UTF-8, or nested too deep.
    NotAnIdtorrent,
    /// A field that is there twice.
    Repeated(&'static str),
    /// A field that is not there.
    Missing(&'static str),
    /// No usable file name.
    FileName,
    /// Not a number of bytes.
    FileSize,
    /// More bytes than this are not taken here.
    TooLarge(u64),
    /// Out of range.
    ChunkSize,
    /// Not as many chunks as size and chunk size make, or too many.
    ChunkCount,
    /// Not one hash of 40 hex digits for each chunk.
    ChunkHashes,
    /// Not the id that the other fields make.
    FileId,
    /// Not a short list of texts.
    Trackers,
    /// Not a text.
    Comment,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong => "larger than 8 MiB",
            Self::NotAnIdtorrent => "not one JSON object",
            Self::Repeated(field) => return write!(f, "{field} is there twice"),
            Self::Missing(field) => return write!(f, "missing {field}"),
            Self::FileName => "bad file_name",
            Self::FileSize => "bad file_size",
            Self::TooLarge(bytes) => return write!(f, "file_size over the limit of {bytes} bytes"),
            Self::ChunkSize => "bad chunk_size",
            Self::ChunkCount => "num_chunks does not match",
            Self::ChunkHashes => "bad chunk_hashes",
            Self::FileId => "file_id does not match",
            Self::Trackers => "bad trackers",
            Self::Comment => "bad comment",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Malformed {}
