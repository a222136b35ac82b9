//! A copy of the database while it is in use: SQLite's online backup, in one read transaction, so that a busy writer
//! neither waits nor makes it start again.

use super::{StoreError, connect, open_private};
use rusqlite::OpenFlags;
use rusqlite::backup::Backup;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Copies the database at `from` to the new file `to`, checks the copy and makes it durable; returns its bytes. It is
/// written beside `to` first, so `to` is whole or absent. An existing `to` is left alone and is an error.
pub fn backup(from: &Path, to: &Path) -> Result<u64, StoreError> {
    if !from.exists() {
        let why = io::Error::new(io::ErrorKind::NotFound, "there is no such database");
        return Err(StoreError::CannotOpen(from.to_owned(), why));
    }
    if to.exists() {
        let why = io::Error::new(io::ErrorKind::AlreadyExists, "it exists, and no file is replaced");
        return Err(StoreError::CannotOpen(to.to_owned(), why));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let copied = copy(from, part).and_then(|bytes| keep(part, to).map(|()| bytes));
    if copied.is_err() {
        let _ = fs::remove_file(part);
    }
    copied
}

fn copy(from: &Path, part: &Path) -> Result<u64, StoreError> {
    let named = |path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::Sqlite(path, error)
    };
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(named(from))?;
    open_private(part)?.set_len(0).map_err(|error| StoreError::CannotOpen(part.to_owned(), error))?;
    let mut target = connect(part, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(named(part))?;
    // All pages in one step: a copy in several starts again whenever another process has written.
    Backup::new(&source, &mut target).and_then(|backup| backup.step(-1)).map_err(named(part))?;
    // A copy needs no log beside it; who opens it for serving turns that on again.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(named(part))?;
    let verdict: String =
        target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(named(part))?;
    drop(target);
    if verdict != "ok" {
        return Err(StoreError::Corrupt(from.to_owned()));
    }
    part.metadata()
        .map(|metadata| metadata.len())
        .map_err(|error| StoreError::CannotOpen(part.to_owned(), error))
}

/// The copy under its name, durable.
fn keep(part: &Path, to: &Path) -> Result<(), StoreError> {
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let durable = || -> io::Result<()> {
        File::open(part)?.sync_all()?;
        // Not a rename, which would replace a file that has appeared meanwhile.
        fs::hard_link(part, to)?;
        fs::remove_file(part)?;
        File::open(directory)?.sync_all()
    };
    durable().map_err(|error| StoreError::CannotOpen(to.to_owned(), error))
}
