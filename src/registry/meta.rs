//! The JSON of `GET /api/registry/meta`: what is in a stored torrent (registry-api, section 3).

use super::answer::ApiError;
use super::api::TORRENT_UNREADABLE;
use super::entry::FileKind;
use super::entry::{Object, array};
use crate::torrent;
use crate::torrent::small::{self, Idtorrent};

/// Describes a stored file. Files are checked when they come, so only those of an old database can fail.
pub fn describe(file: &[u8], kind: FileKind) -> Result<Vec<u8>, ApiError> {
    match kind {
        FileKind::Torrent => describe_torrent(file),
        FileKind::Idtorrent => describe_idtorrent(file),
    }
}

fn describe_torrent(torrent: &[u8]) -> Result<Vec<u8>, ApiError> {
    let summary = torrent::inspect(torrent).map_err(|_| TORRENT_UNREADABLE)?;
    let files = summary.files(PATH_BYTES_MAX).ok_or(TORRENT_UNREADABLE)?;
    let files = files.iter().map(|file| listed(&file.path, file.length));
    let mut json = Object::default();
    json.text("name", &summary.name);
    json.plain("piece_length", &summary.piece_length);
    json.plain("piece_count", &summary.piece_count);
    json.plain("total_size", &summary.total_size);
    json.json("files", &array(files));
    Ok(json.finished())
}

fn describe_idtorrent(file: &[u8]) -> Result<Vec<u8>, ApiError> {
    let found = Idtorrent::read(file, small::FILE_BYTES_MAX).map_err(|_| TORRENT_UNREADABLE)?;
    let mut json = Object::default();
    json.text("name", found.file_name());
    json.plain("piece_length", &found.chunk_size());
    json.plain("piece_count", &found.chunk_hashes().len());
    json.plain("total_size", &found.file_size());
    json.json("files", &array(std::iter::once(listed(found.file_name(), found.file_size()))));
    Ok(json.finished())
}

fn listed(path: &str, length: u64) -> Vec<u8> {
    let mut json = Object::default();
    json.text("path", path);
    json.plain("length", &length);
    json.finished()
}

/// All paths of one torrent together. A file tree shares its directories' names, so without a bound a small upload
/// could make us write gigabytes.
const PATH_BYTES_MAX: usize = 64 * 1024 * 1024;
