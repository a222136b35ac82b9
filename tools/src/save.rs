//! Writing a file so that it is either the old one or the whole new one, even when the power goes.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Has `write` fill the file at `path`: a temporary file beside it, flushed to the disk, renamed over it. A device or a
/// pipe is written to instead, because renaming would put a file in its place.
pub fn durably(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let outcome = if is_special(path) {
        OpenOptions::new().write(true).open(path).and_then(|file| fill(&file, write))
    } else {
        Temporary::create(path).and_then(|temporary| temporary.finish(path, write))
    };
    outcome.map_err(|error| Failure::writing(path, &error))
}

fn fill(file: &File, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, file);
    write(&mut out)?;
    out.flush()
}

/// Finds out before long work whether a file could be written at `path`: one is made beside it, and taken away.
pub fn probe(path: &Path) -> Result<(), Failure> {
    if is_special(path) {
        return Ok(());
    }
    Temporary::create(path).map(drop).map_err(|error| Failure::writing(path, &error))
}

/// Whether something is there that is neither a file nor a directory.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// A file that disappears again unless it is finished.
struct Temporary {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Temporary {
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let short: String = name.chars().take(60).collect();
        let path = target.with_file_name(format!(".{short}.{}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        Ok(Self { path, file, finished: false })
    }

    fn finish(
        mut self,
        target: &Path,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> io::Result<()> {
        fill(&self.file, write)?;
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        self.finished = true;
        sync_directory(target)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The rename itself is only on the disk once its directory is.
#[cfg(unix)]
fn sync_directory(target: &Path) -> io::Result<()> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
