//! Comparing local data with a torrent: where the files are, which pieces are good.

use crate::Context;
use crate::failure::{Class, Failure};
use crate::hash::finished::Finished;
use crate::hash::judge::Judge;
use crate::hash::pool::{self, Plan, Source};
use crate::progress::Progress;
use std::cell::RefCell;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use weightless::torrent::names::{Platform, disk_paths};
use weightless::torrent::{File, Metainfo, Shape};

/// The local files of a torrent.
pub struct Local {
    /// The file or directory itself.
    pub root: PathBuf,
    /// Every file's place, in torrent order.
    pub paths: Vec<PathBuf>,
}

/// What was found.
pub struct Verdict {
    /// For every piece whether it is good.
    pub good: Vec<bool>,
    /// For every file what is wrong with it apart from its pieces.
    pub faults: Vec<Option<String>>,
}

const PLATFORM: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

/// Finds the files of a torrent at `place`: the file or directory itself, or the directory it is in.
pub fn locate(metainfo: &Metainfo, place: &Path) -> Result<Local, Failure> {
    let metadata = std::fs::metadata(place).map_err(|error| Failure::reading(place, &error))?;
    let clean = disk_paths(metainfo, PLATFORM)
        .map_err(|_| Failure::new(Class::Storage, "the torrent has a path too long for a disk"))?;
    let name = clean.first().and_then(|path| path.split('/').next()).unwrap_or_default();
    let root = match metainfo.shape() {
        Shape::SingleFile if metadata.is_file() => place.to_path_buf(),
        Shape::SingleFile => own_name(place, &[metainfo.name()]).unwrap_or_else(|| place.join(name)),
        Shape::Directory if metadata.is_file() => {
            return Err(Failure::input(format!("{}: not a directory", place.display())));
        }
        Shape::Directory => {
            let inside = own_name(place, &[metainfo.name()]).unwrap_or_else(|| place.join(name));
            if inside.is_dir() { inside } else { place.to_path_buf() }
        }
    };
    let paths = match metainfo.shape() {
        Shape::SingleFile => vec![root.clone()],
        Shape::Directory => metainfo
            .files()
            .iter()
            .zip(&clean)
            .map(|(file, clean)| {
                let below = clean.split_once('/').map_or("", |(_, below)| below);
                own_name(&root, &metainfo.path(file)).unwrap_or_else(|| root.join(below))
            })
            .collect(),
    };
    Ok(Local { root, paths })
}

/// The place of a file under its own name, if such a file is there and the name cannot lead elsewhere. Data that a
/// torrent was made from still has the names that a download would have changed.
fn own_name(root: &Path, components: &[&[u8]]) -> Option<PathBuf> {
    let mut path = root.to_path_buf();
    for component in components {
        let plain = !component.is_empty() && *component != b"." && *component != b"..";
        if !plain || component.iter().any(|b| [b'/', 0].contains(b)) {
            return None;
        }
        path.push(os_name(component)?);
    }
    path.symlink_metadata().is_ok().then_some(path)
}

#[cfg(unix)]
fn os_name(component: &[u8]) -> Option<&std::ffi::OsStr> {
    Some(std::os::unix::ffi::OsStrExt::from_bytes(component))
}

#[cfg(not(unix))]
fn os_name(component: &[u8]) -> Option<&str> {
    std::str::from_utf8(component).ok().filter(|name| !name.contains(['\\', ':']))
}

/// Hashes what is there and compares every piece. Fails only when v1 and v2 disagree about the same bytes.
pub fn check(
    context: &Context,
    metainfo: &Metainfo,
    local: &Local,
    threads: usize,
) -> Result<Verdict, Failure> {
    let layout = metainfo.layout();
    let count = layout.piece_count() as usize;
    let mut faults: Vec<Option<String>> = Vec::new();
    let mut sources = Vec::new();
    for (file, path) in metainfo.files().iter().zip(&local.paths) {
        let metadata = std::fs::metadata(path);
        // A file of another size can still hold good pieces; only a missing one is not looked at.
        let there = metadata.as_ref().is_ok_and(Metadata::is_file) && !file.symlink;
        let fault = size_fault(file, metadata);
        sources.push(Source { path: there.then(|| path.clone()), length: file.length });
        faults.push(fault);
    }
    let mut good = vec![false; count];
    let mut judge = Judge::new(metainfo);
    let plan = Plan { kind: metainfo.kind(), layout, sources: &sources, threads };
    let progress = RefCell::new(Progress::new(context, "verifying", metainfo.total_bytes()));
    let files = metainfo.files();
    let mut finished = context.voice.is_detailed().then(|| Finished::new(layout, files.len()));
    let mut tell = |piece| {
        let Some(finished) = &mut finished else { return };
        finished.piece(piece, |file| {
            let path = files.get(file).map(|file| metainfo.shown_path(file)).unwrap_or_default();
            progress.borrow_mut().note(context, &format!("checked {path}"));
        });
    };
    pool::hash(
        &plan,
        |done| progress.borrow_mut().at(done),
        |piece, outcome| {
            tell(piece);
            if let Ok(hashes) = outcome {
                let judged = judge.piece(piece, &hashes);
                if let Some(slot) = good.get_mut(piece as usize) {
                    *slot = judged;
                }
            }
            !judge.is_contradicted()
        },
    );
    progress.borrow_mut().end();
    judge.prove(&mut good);
    if judge.is_contradicted() {
        return Err(Failure::new(Class::Verification, "v1 and v2 hashes describe different data"));
    }
    Ok(Verdict { good, faults })
}

/// What is wrong with a file before it is read.
fn size_fault(file: &File, metadata: io::Result<Metadata>) -> Option<String> {
    if file.symlink {
        return None;
    }
    match metadata {
        Err(_) => Some("missing".into()),
        Ok(metadata) if !metadata.is_file() => Some("not a regular file".into()),
        Ok(metadata) if metadata.len() != file.length => {
            Some(format!("{} bytes instead of {}", metadata.len(), file.length))
        }
        Ok(_) => None,
    }
}
