//! Whether the files that are open are still those at their paths.
//!
//! A database that was moved, removed or replaced while it is in use can still be written to, and nothing of that would
//! be there after a restart. SQLite looks for that only when it keeps a rollback journal; with a write-ahead log we have
//! to, before each commit: two calls of `stat`.

use rusqlite::ffi;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and number of a file.
type Identity = (u64, u64);

/// The files of a database by what they were when they were opened.
#[derive(Debug)]
pub(super) struct Place {
    files: [(PathBuf, Option<Identity>); 2],
}

impl Place {
    /// Notes what the database at `path` and its log are now: both are open.
    pub fn of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self {
            files: [path.to_owned(), PathBuf::from(log)].map(|path| {
                let identity = identity(&path);
                (path, identity)
            }),
        }
    }

    /// An error in SQLite's own words for it when one of them is no longer there.
    pub fn check(&self) -> rusqlite::Result<()> {
        for (path, then) in &self.files {
            if then.is_some() && identity(path) != *then {
                let why = format!(
                    "{} was moved, removed or replaced while it is in use: put it back, or restart",
                    path.display()
                );
                let code = ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED);
                return Err(rusqlite::Error::SqliteFailure(code, Some(why)));
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}
