//! Before seeding: where the user has the files, and which pieces of them are good. Nothing is ever written into them.

use super::job::Trouble;
use super::lock::Locked;
use super::names;
use super::opening::{NotOpened, Opened, bits_of};
use super::resume::{Record, bytes_of};
use super::root::Root;
use super::scan::scan;
use super::storage::{Place, Storage};
use super::trust::{Stamp, Step};
use crate::cmd::verify_data::Local;
use crate::content::Content;
use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How far local files are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check<'a> {
    /// Everything is hashed.
    Hash,
    /// Files that look as they did when they were hashed last are believed. Where there is no record of that, everything
    /// is hashed, and if all of it is good, recorded for the next time.
    TrustRecord,
    /// The same with the record in this directory instead of beside the data.
    TrustRecordIn(&'a Path),
}

/// Opens the files of a seeder. What is missing or wrong is told by the pieces.
pub fn open_for_seed(
    content: &Arc<Content>,
    local: &Local,
    check: Check<'_>,
    threads: usize,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Opened, NotOpened> {
    let stamps = stamps_of(content, local);
    let place = Place::Local { paths: local.paths.clone(), stamps: stamps.clone() };
    let storage = Arc::new(Storage::new(Arc::clone(content), place, None));
    let beside = match check {
        Check::Hash => None,
        Check::TrustRecord => local.root.parent(),
        Check::TrustRecordIn(directory) => Some(directory),
    };
    if let Some(bits) = beside.and_then(|beside| recorded(content, beside, &stamps)) {
        return Ok(opened(storage, bits, Vec::new()));
    }
    let there = |file: usize| stamps.get(file).is_some_and(|stamp| *stamp != Stamp::ABSENT);
    let layout = content.layout();
    let pieces: Vec<(u32, Step)> = (0..content.piece_count())
        .filter(|&piece| layout.segments(layout.piece(u64::from(piece))).all(|segment| there(segment.file)))
        .map(|piece| (piece, Step::Hash))
        .collect();
    let scanned = scan(&storage, &pieces, threads, stop, progress)?;
    let bits = bits_of(&scanned.good, content);
    let all_good = scanned.good.iter().all(|&good| good);
    let mut opened = opened(storage, bits, scanned.open);
    opened.complete = all_good;
    if let Some(beside) = beside.filter(|_| all_good) {
        let record = Record { clean: true, uploaded: 0, files: stamps, bits: opened.have.clone() };
        if let Err(trouble) = keep(content, beside, &record) {
            opened
                .notes
                .push(format!("cannot record that the data is good: {}", trouble.into_failure().message));
        }
    }
    Ok(opened)
}

/// What the files look like now, in torrent order.
pub fn stamps_of(content: &Content, local: &Local) -> Vec<Stamp> {
    (0..content.file_count())
        .map(|file| match local.paths.get(file).map(std::fs::metadata) {
            Some(Ok(metadata)) if metadata.is_file() && !content.is_symlink(file) => Stamp::of(&metadata),
            _ => Stamp::ABSENT,
        })
        .collect()
}

/// Whether a record in `directory` says that files which look like this are good in every piece.
pub fn is_recorded(content: &Content, directory: &Path, stamps: &[Stamp]) -> bool {
    recorded(content, directory, stamps).is_some()
}

/// Records in `directory` that files which look like this are good in every piece.
pub fn record_good(content: &Content, directory: &Path, stamps: Vec<Stamp>) -> Result<(), Failure> {
    let bits = bits_of(&vec![true; content.piece_count() as usize], content);
    let record = Record { clean: true, uploaded: 0, files: stamps, bits };
    keep(content, directory, &record).map_err(Trouble::into_failure)
}

fn opened(storage: Arc<Storage>, have: Vec<u8>, open: Vec<u32>) -> Opened {
    let (finish, notes) = (Vec::new(), Vec::new());
    Opened { storage, have, uploaded: 0, complete: true, finish, open, notes }
}

/// The pieces of a record that says: all files looked as they do now, and every piece was good.
fn recorded(content: &Content, beside: &Path, stamps: &[Stamp]) -> Option<Vec<u8>> {
    let root = Root::open(beside).ok()?;
    let file = root.open_file(&names::resume(content), super::root::Access::Read).ok()?;
    let record = Record::read(content, &super::lock::read(&file, bytes_of(content)).ok()??)?;
    let all = bits_of(&vec![true; content.piece_count() as usize], content);
    (record.clean && record.files == stamps && record.bits == all).then_some(record.bits)
}

fn keep(content: &Content, beside: &Path, record: &Record) -> Result<(), Trouble> {
    let name = names::resume(content);
    let path = beside.join(&name);
    let root = Root::open(beside).map_err(|error| Trouble::new(path.clone(), error))?;
    // A download of the same torrent that is under way here has a better record.
    let Ok(mut locked) = Locked::take(&root, &name) else { return Ok(()) };
    locked.replace(&root, &record.write(content)).map_err(|error| Trouble::new(path, error))
}
