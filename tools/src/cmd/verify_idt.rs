//! `wl verify` of an idtorrent: hashes the local file and compares every chunk.

use super::verify::ranges;
use crate::failure::{Class, Failure, shown};
use crate::hash::chunks;
use crate::paint::Ink;
use crate::progress::Progress;
use crate::{Context, Done};
use serde_json::json;
use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use weightless::torrent::names::{Platform, component};
use weightless::torrent::small::Idtorrent;

const PLATFORM: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

/// What was found.
struct Verdict {
    /// For every chunk whether it is good.
    good: Vec<bool>,
    /// What is wrong with the file apart from its chunks.
    fault: Option<String>,
}

/// Checks the file at `place`, or in the directory that it is.
pub fn data(context: &Context, wanted: &Idtorrent, place: &Path) -> Result<Done, Failure> {
    let verdict = check(context, wanted, &locate(wanted, place)?)?;
    Ok(report(context, wanted, &verdict))
}

/// What is said when the data is left alone.
pub fn unchecked(wanted: &Idtorrent) -> Done {
    let id = wanted.file_id().to_string();
    let json = json!({"name": wanted.file_name(), "file_id": id, "info_hash": id, "ok": true});
    Done { json, ..Done::default() }
}

/// The file itself, or the one of that name in a directory.
pub(super) fn locate(wanted: &Idtorrent, place: &Path) -> Result<PathBuf, Failure> {
    let metadata = fs::metadata(place).map_err(|error| Failure::reading(place, &error))?;
    if !metadata.is_dir() {
        return Ok(place.to_path_buf());
    }
    // Data that an idtorrent was made from still has a name that a download would have changed.
    let own = place.join(wanted.file_name());
    match own.symlink_metadata() {
        Ok(_) => Ok(own),
        Err(_) => Ok(place.join(component(wanted.file_name().as_bytes(), PLATFORM))),
    }
}

fn check(context: &Context, wanted: &Idtorrent, path: &Path) -> Result<Verdict, Failure> {
    let mut good = vec![false; wanted.chunk_hashes().len()];
    let fault = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("missing".to_string()),
        Err(error) => return Err(Failure::reading(path, &error)),
        Ok(metadata) if !metadata.is_file() => Some("not a regular file".to_string()),
        Ok(metadata) => {
            let mut progress = Progress::new(context, "verifying", wanted.file_size());
            let mut done = 0;
            let file = File::open(path).map_err(|error| Failure::reading(path, &error))?;
            // A file of another size can still hold good chunks.
            let read = chunks::hash(
                io::Read::take(file, wanted.file_size()),
                wanted.chunk_size(),
                |at, hash, bytes| {
                    done += u64::from(bytes);
                    progress.at(done);
                    let expected = wanted.chunk_hashes().get(at as usize);
                    if let Some(slot) = good.get_mut(at as usize) {
                        *slot = expected == Some(&hash) && bytes == wanted.chunk_bytes(at);
                    }
                },
            );
            progress.end();
            read.map_err(|error| Failure::reading(path, &error))?;
            let length = metadata.len();
            (length != wanted.file_size())
                .then(|| format!("{length} bytes instead of {}", wanted.file_size()))
        }
    };
    Ok(Verdict { good, fault })
}

fn report(context: &Context, wanted: &Idtorrent, verdict: &Verdict) -> Done {
    let (paint, name) = (context.voice.out, shown(wanted.file_name()));
    let bad: Vec<u64> = (0..).zip(&verdict.good).filter(|(_, good)| !**good).map(|(at, _)| at).collect();
    let fault = verdict.fault.as_deref();
    let ok = bad.is_empty() && fault.is_none();
    let mut text = String::new();
    let failed = paint.word(Ink::Bad, "FAILED");
    let _ = match fault {
        _ if ok => writeln!(text, "{} {name}", paint.word(Ink::Good, "OK")),
        Some(fault) if bad.is_empty() || fault == "missing" => writeln!(text, "{failed} {name}: {fault}"),
        Some(fault) => writeln!(text, "{failed} {name}: {fault}, chunks {}", ranges(&bad)),
        None => writeln!(text, "{failed} {name}: chunks {}", ranges(&bad)),
    };
    let (all, good) = (verdict.good.len(), verdict.good.len() - bad.len());
    let _ = writeln!(text, "{good} of {all} chunks good, {} of 1 files good", u8::from(ok));
    let exit = if ok { 0 } else { Class::Verification as u8 };
    let id = wanted.file_id().to_string();
    let json = json!({
        "name": wanted.file_name(), "file_id": id, "info_hash": id, "ok": ok, "exit": exit,
        "chunks": all, "chunks_good": good,
        "files": [{"path": wanted.file_name(), "ok": ok, "error": fault, "bad_chunks": bad}],
        "extra": [],
    });
    Done { text, json, exit, file: None }
}
