//! `wl show` of an idtorrent.

use crate::Done;
use crate::failure::shown;
use crate::show_size::size;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::fmt::Write;
use weightless::torrent::small::Idtorrent;

/// What it says: as text, and as an object for programs.
pub fn answer(found: &Idtorrent) -> Done {
    Done { text: text(found), json: object(found), ..Done::default() }
}

fn text(found: &Idtorrent) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: &str| {
        let label = format!("{label}:");
        let _ = writeln!(out, "{label:<14} {}", shown(value));
    };
    line("Name", found.file_name());
    line("Format", "idtorrent");
    line("Id", &found.file_id().to_string());
    line("Size", &format!("{} ({} bytes)", size(found.file_size()), found.file_size()));
    line("Chunk size", &format!("{} ({} bytes)", size(found.chunk_size().into()), found.chunk_size()));
    line("Chunks", &found.chunk_hashes().len().to_string());
    found.trackers.iter().for_each(|url| line("Tracker", url));
    if let Some(comment) = &found.comment {
        line("Comment", comment);
    }
    out
}

fn object(found: &Idtorrent) -> Value {
    let hashes: Vec<_> = found.chunk_hashes().iter().map(|hash| HEXLOWER.encode(hash)).collect();
    json!({
        "name": found.file_name(),
        "format": "idtorrent",
        "file_id": found.file_id().to_string(),
        "info_hash": found.file_id().to_string(),
        "size": found.file_size(),
        "chunk_size": found.chunk_size(),
        "chunks": hashes.len(),
        "chunk_hashes": hashes,
        "trackers": found.trackers,
        "comment": found.comment,
    })
}
