//! What a registry asks of an uploaded torrent: its hashes, its size, its file list. Deliberately less strict than
//! [`super::Metainfo`]: old v1 torrents with unsorted keys are welcome, their raw bytes are hashed and kept.

use super::{FILES_MAX, Malformed, TOTAL_BYTES_MAX, files, tree, v1_hash, v2_hash};
use crate::base::InfoHashes;
use crate::wire::bencode::{self, Form, Limits, Value};

/// The facts about a torrent that a registry stores or shows. Borrows the uploaded bytes.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// The hashes of the raw info bytes: v1 when there are `pieces`, v2 when there is a file tree of version 2.
    pub hashes: InfoHashes,
    /// The name in the info dictionary; invalid UTF-8 shows as U+FFFD.
    pub name: String,
    /// Bytes of all files, padding left out.
    pub total_size: u64,
    /// Bytes in one piece, at least 1.
    pub piece_length: u64,
    /// v1: the number of hashes in `pieces`. v2-only: the pieces of every file added up.
    pub piece_count: u64,
    /// The raw `signatures`, not judged.
    pub signatures: Option<&'a [u8]>,
    list: List<'a>,
}

/// A line of a torrent's file list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// The components joined with `/`; the name alone for a single file. Not safe to use on a disk.
    pub path: String,
    /// Its bytes.
    pub length: u64,
}

/// Checks that `bytes` is a torrent a registry can keep, and says what it is.
///
/// Limits are [`Limits::REGISTRY`]. Every failure means the same to a registry: not a valid torrent.
pub fn inspect(bytes: &[u8]) -> Result<Summary<'_>, Malformed> {
    let top = bencode::parse(bytes, &Limits::REGISTRY, Form::Tolerant).map_err(|_| Malformed::NotATorrent)?;
    let [info, signatures] = top.pick([b"info", b"signatures"]);
    let info = info.ok_or(Malformed::NotATorrent)?;
    info.as_dict().ok_or(Malformed::NotATorrent)?;
    let [name, piece_length, pieces, version, tree, length, files] =
        info.pick([b"name", b"piece length", b"pieces", b"meta version", b"file tree", b"length", b"files"]);
    let name = name.and_then(|name| name.as_bytes()).ok_or(Malformed::MissingName)?;
    let piece_length = files::natural(piece_length).filter(|&n| n > 0).ok_or(Malformed::BadPieceLength)?;
    let pieces = match pieces {
        Some(pieces) => Some(pieces.as_bytes().ok_or(Malformed::WrongPieceCount)?),
        None => None,
    };
    let tree = tree.filter(|_| version.and_then(|version| version.as_int()) == Some(2));
    let hashes = match (pieces, tree) {
        (Some(_), Some(_)) => InfoHashes::Hybrid(v1_hash(info.raw()), v2_hash(info.raw())),
        (Some(_), None) => InfoHashes::V1(v1_hash(info.raw())),
        (None, Some(_)) => InfoHashes::V2(v2_hash(info.raw())),
        (None, None) => return Err(Malformed::InconsistentVersion),
    };
    let list = match (pieces, files, length, tree) {
        (Some(_), Some(files), _, _) => List::Files(files),
        (Some(_), None, Some(length), _) => List::Single(name, length),
        (None, _, _, Some(tree)) => List::Tree(tree),
        _ => return Err(Malformed::BadFileEntry),
    };
    let (total_size, piece_count) = measure(&list, pieces, piece_length)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let signatures = signatures.map(|value| value.raw());
    Ok(Summary { hashes, name, total_size, piece_length, piece_count, signatures, list })
}

impl Summary<'_> {
    /// The files in torrent order without pads, or `None` when their paths together pass `path_bytes_max`: directories
    /// share their names in a v2 tree, so a small upload can describe gigabytes of paths.
    pub fn files(&self, path_bytes_max: usize) -> Option<Vec<ListedFile>> {
        let mut listed = Vec::new();
        let mut left = path_bytes_max;
        self.list
            .each(|path, length| {
                let bytes = path.join(&b'/');
                left = left.checked_sub(bytes.len()).ok_or(Malformed::NotATorrent)?;
                listed.push(ListedFile { path: String::from_utf8_lossy(&bytes).into_owned(), length });
                Ok(())
            })
            .ok()?;
        Some(listed)
    }
}

#[derive(Clone, Debug)]
enum List<'a> {
    Single(&'a [u8], Value<'a>),
    Files(Value<'a>),
    Tree(Value<'a>),
}

impl<'a> List<'a> {
    /// Visits every real file. At most [`FILES_MAX`] entries, pads included.
    fn each(
        &self,
        mut visit: impl FnMut(&[&'a [u8]], u64) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        match *self {
            Self::Single(name, length) => {
                visit(&[name], files::natural(Some(length)).ok_or(Malformed::BadFileEntry)?)
            }
            Self::Tree(tree) => {
                let mut count = 0;
                tree::walk(tree, |path, leaf| {
                    count += 1;
                    if count > FILES_MAX {
                        return Err(Malformed::BadFileTree);
                    }
                    visit(path, leaf.length)
                })
            }
            Self::Files(list) => {
                // The bencode limits already bound this list to FILES_MAX items.
                for value in list.as_list().ok_or(Malformed::BadFileEntry)? {
                    let entry = files::entry(value)?;
                    if !entry.pad {
                        let path = entry.path.and_then(|path| path.as_list()).into_iter().flatten();
                        let path: Vec<_> = path.filter_map(|component| component.as_bytes()).collect();
                        visit(&path, entry.length)?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn measure(list: &List<'_>, pieces: Option<&[u8]>, piece_length: u64) -> Result<(u64, u64), Malformed> {
    let (mut total, mut count) = (0u64, 0u64);
    list.each(|_, length| {
        total = total.checked_add(length).filter(|&n| n <= TOTAL_BYTES_MAX).ok_or(Malformed::BadFileEntry)?;
        count += length.div_ceil(piece_length);
        Ok(())
    })?;
    match pieces {
        Some(pieces) if pieces.len() % 20 != 0 => Err(Malformed::WrongPieceCount),
        Some(pieces) => Ok((total, pieces.len() as u64 / 20)),
        None => Ok((total, count)),
    }
}
