//! Idtorrents: the metafile for one small file, as strict JSON (`.idtorrent`).
//!
//! A list of SHA-1 hashes of chunks and an id made from it. The id names the swarm, as an info hash does; it covers
//! the name, the size and the list. Written files have one form, so that the same file always gives the same bytes:
//! keys in a fixed order, two spaces, one line each, LF.

mod malformed;
mod read;

pub use malformed::Malformed;

use crate::base::V1Hash;
use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

/// Longest metafile, in bytes.
pub const METAFILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest file that is made into an idtorrent unless somebody says otherwise.
pub const CREATE_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// Largest file whose metafile is read unless somebody says otherwise.
pub const READ_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Largest file whatever anybody says.
pub const FILE_BYTES_MAX: u64 = u32::MAX as u64;
/// Most chunks.
pub const CHUNKS_MAX: u64 = 102_400;
/// Bytes in a chunk.
pub const CHUNK_BYTES: std::ops::RangeInclusive<u64> = 1024..=1_048_576;
/// Bytes in a chunk unless somebody says otherwise.
pub const CHUNK_BYTES_DEFAULT: u32 = 10_240;
/// Longest file name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Most trackers in a metafile.
pub const TRACKERS_MAX: usize = 16;
/// Objects and lists inside each other, the metafile itself being the first.
pub const NESTING_MAX: u32 = 4;

/// A metafile that keeps every rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idtorrent {
    file_name: String,
    file_size: u64,
    chunk_size: u32,
    chunk_hashes: Vec<[u8; 20]>,
    file_id: V1Hash,
    /// Base URLs of trackers, as they were found: none of them is checked.
    pub trackers: Vec<String>,
    /// What somebody had to say.
    pub comment: Option<String>,
}

impl Idtorrent {
    /// An idtorrent of a file with these chunks, each a SHA-1 of its bytes, the last one possibly of fewer. The rules
    /// are those of [`read`](Self::read), the file's size is bounded by [`FILE_BYTES_MAX`] only.
    pub fn new(
        file_name: String,
        file_size: u64,
        chunk_size: u64,
        chunk_hashes: Vec<[u8; 20]>,
    ) -> Result<Self, Malformed> {
        if !is_file_name(&file_name) {
            return Err(Malformed::FileName);
        }
        if file_size > FILE_BYTES_MAX {
            return Err(Malformed::TooLarge(FILE_BYTES_MAX));
        }
        let chunk_size = chunk_size_of(chunk_size)?;
        let chunks = chunk_count(file_size, chunk_size)?;
        if chunk_hashes.len() as u64 != chunks {
            return Err(Malformed::ChunkHashes);
        }
        let file_id = file_id(&file_name, file_size, &chunk_hashes);
        let (trackers, comment) = (Vec::new(), None);
        Ok(Self { file_name, file_size, chunk_size, chunk_hashes, file_id, trackers, comment })
    }

    /// Reads a metafile of a file of at most `file_bytes_max` bytes. Its id is computed and compared.
    pub fn read(bytes: &[u8], file_bytes_max: u64) -> Result<Self, Malformed> {
        read::read(bytes, file_bytes_max, None)
    }

    /// Reads the metafile with this id, which it may leave out.
    pub fn read_as(bytes: &[u8], file_bytes_max: u64, wanted: V1Hash) -> Result<Self, Malformed> {
        read::read(bytes, file_bytes_max, Some(wanted))
    }

    /// The name of the file: one component, no control characters, 1-255 bytes.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// Bytes of every chunk but the last.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// SHA-1 of every chunk.
    pub fn chunk_hashes(&self) -> &[[u8; 20]] {
        &self.chunk_hashes
    }

    /// The id: what the swarm is called where torrents have an info hash.
    pub fn file_id(&self) -> V1Hash {
        self.file_id
    }

    /// Bytes of one chunk; 0 for one that is not there.
    pub fn chunk_bytes(&self, index: u64) -> u32 {
        let size = u64::from(self.chunk_size);
        index.checked_mul(size).map_or(0, |begin| self.file_size.saturating_sub(begin).min(size) as u32)
    }

    /// The metafile in its one form.
    pub fn write(&self) -> Vec<u8> {
        let hashes: Vec<_> =
            self.chunk_hashes.iter().map(|hash| format!("\"{}\"", HEXLOWER.encode(hash))).collect();
        let mut text = format!(
            "{{\n  \"file_name\": {},\n  \"file_size\": {},\n  \"chunk_size\": {},\n  \"num_chunks\": {},\n  \
             \"chunk_hashes\": [{}],\n  \"file_id\": \"{}\"",
            quoted(&self.file_name),
            self.file_size,
            self.chunk_size,
            self.chunk_hashes.len(),
            hashes.join(", "),
            self.file_id,
        );
        if !self.trackers.is_empty() {
            let trackers: Vec<_> = self.trackers.iter().map(|url| quoted(url)).collect();
            text.push_str(&format!(",\n  \"trackers\": [{}]", trackers.join(", ")));
        }
        if let Some(comment) = &self.comment {
            text.push_str(&format!(",\n  \"comment\": {}", quoted(comment)));
        }
        text.push_str("\n}\n");
        text.into_bytes()
    }
}

/// A JSON string: only what must be escaped is. (In a file name that is the quote and the backslash.)
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// Whether a file may be called so.
pub fn is_file_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(plain)
}

/// The id of a file: SHA-1 of the name, the size in decimal digits and the hashes in hex, one after the other.
pub fn file_id(file_name: &str, file_size: u64, chunk_hashes: &[[u8; 20]]) -> V1Hash {
    let mut hash = Sha1::new();
    hash.update(file_name);
    hash.update(file_size.to_string());
    for chunk in chunk_hashes {
        let mut hex = [0; 40];
        HEXLOWER.encode_mut(chunk, &mut hex);
        hash.update(hex);
    }
    V1Hash(hash.finalize().into())
}

/// How many chunks a file of this size has, if that is not too many.
pub fn chunk_count(file_size: u64, chunk_size: u32) -> Result<u64, Malformed> {
    let chunks = file_size.div_ceil(u64::from(chunk_size.max(1)));
    if chunks > CHUNKS_MAX { Err(Malformed::ChunkCount) } else { Ok(chunks) }
}

/// A chunk size within its bounds.
pub fn chunk_size_of(bytes: u64) -> Result<u32, Malformed> {
    let fits = CHUNK_BYTES.contains(&bytes).then(|| u32::try_from(bytes).ok()).flatten();
    fits.ok_or(Malformed::ChunkSize)
}
