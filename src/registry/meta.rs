//! The JSON of `GET /api/registry/meta`: what is in a stored torrent (registry-api, section 3).

use super::answer::ApiError;
use super::api::TORRENT_UNREADABLE;
use super::entry::{Object, array};
use crate::torrent;

/// Describes a stored torrent file. Files are checked when they come, so only those of an old database can fail.
pub fn describe(torrent: &[u8]) -> Result<Vec<u8>, ApiError> {
    let summary = torrent::inspect(torrent).map_err(|_| TORRENT_UNREADABLE)?;
    let files = summary.files(PATH_BYTES_MAX).ok_or(TORRENT_UNREADABLE)?;
    let files = files.iter().map(|file| {
        let mut json = Object::default();
        json.text("path", &file.path);
        json.plain("length", &file.length);
        json.finished()
    });
    let mut json = Object::default();
    json.text("name", &summary.name);
    json.plain("piece_length", &summary.piece_length);
    json.plain("piece_count", &summary.piece_count);
    json.plain("total_size", &summary.total_size);
    json.json("files", &array(files));
    Ok(json.finished())
}

/// All paths of one torrent together. A file tree shares its directories' names, so without a bound a small upload
/// could make us write gigabytes.
const PATH_BYTES_MAX: usize = 64 * 1024 * 1024;
