//! Before a download: what is there already, what of it can be used, and room for the rest. Nothing in the output
//! directory is changed before it is clear that the download can begin.

use super::durable::Progress;
use super::existing::{self, Seen};
use super::job::Trouble;
use super::lock::{Locked, NotLocked};
use super::making::Making;
use super::names::{self, Names};
use super::output::{Output, State};
use super::pads::Pads;
use super::resume::{Record, bits_bytes, bytes_of};
use super::root::{Found, Root};
use super::scan::{NotScanned, scan};
use super::storage::{Place, Storage};
use super::trust::{self, Step, Trust};
use crate::content::Content;
use crate::failure::{Class, Failure};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Files that are ready.
pub struct Opened {
    /// The files.
    pub storage: Arc<Storage>,
    /// The verified pieces, as on the wire.
    pub have: Vec<u8>,
    /// Bytes uploaded in earlier runs.
    pub uploaded: u64,
    /// Whether every piece of the wanted files is there.
    pub complete: bool,
    /// Wanted files that are complete and do not have their final names yet: the first to be finished.
    pub finish: Vec<usize>,
    /// Pieces on the disk about which only a piece layer can tell: worth a check once there is one, before they are
    /// asked for.
    pub open: Vec<u32>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// How a download begins.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Existing files of other content may be taken over.
    pub overwrite: bool,
    /// What the resume file says is not believed.
    pub recheck: bool,
    /// Room is reserved at once.
    pub preallocate: bool,
    /// Hashing threads.
    pub threads: usize,
    /// Set when the work is to stop.
    pub stop: &'a AtomicBool,
}

/// Why nothing was opened.
#[derive(Debug)]
pub enum NotOpened {
    /// Somebody asked to stop.
    Interrupted,
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for NotOpened {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Trouble> for NotOpened {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.into_failure())
    }
}

impl From<NotScanned> for NotOpened {
    fn from(why: NotScanned) -> Self {
        match why {
            NotScanned::Interrupted => Self::Interrupted,
            NotScanned::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// Opens the files of a download below `output`. `wanted` tells for every file whether it is selected. `progress` is told
/// how many bytes of what is there are hashed, and of how many.
pub fn open_for_get(
    content: &Arc<Content>,
    output: &Path,
    wanted: &[bool],
    options: &Options<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Opened, NotOpened> {
    let paths = content
        .disk_paths()
        .map_err(|_| Failure::new(Class::Storage, "the torrent has a path too long for a disk"))?;
    let root = open_root(output)?;
    let mut lock = Lock::take(&root, content)?;
    let opened = open(content, &root, Names::new(paths), wanted, &mut lock, options, progress);
    if opened.is_err() {
        lock.give_up(&root);
    }
    opened
}

fn open(
    content: &Arc<Content>,
    root: &Root,
    names: Names,
    wanted: &[bool],
    lock: &mut Lock,
    options: &Options<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Opened, NotOpened> {
    let seen = existing::look(content, root, &names, wanted)?;
    let states: Vec<State> = seen.iter().map(|seen| seen.state).collect();
    let pads = wanted.contains(&false).then(|| Pads::new(content.layout()));
    let output = Output::new(root.again(), names, &states, pads, names::pads(content));
    let mut storage = Storage::new(Arc::clone(content), Place::Output(output), None);
    let record = lock.record.as_ref().filter(|_| !options.recheck);
    let mut have = Vec::new();
    let mut to_hash = Vec::new();
    for (piece, step) in (0..).zip(steps(&storage, &seen, record)) {
        have.push(step == Step::Have);
        if matches!(step, Step::Hash | Step::HashData) {
            to_hash.push((piece, step));
        }
    }
    let scanned = scan(&storage, &to_hash, options.threads, options.stop, progress)?;
    have.iter_mut().zip(&scanned.good).for_each(|(have, good)| *have |= good);

    let mut making = Making::new(content, wanted, seen, have, options);
    let taken_over = making.settle(&storage, lock.is_new())?;
    let stamps = making.make(&storage, &taken_over, lock)?;
    let bits = bits_of(&making.have, content);
    let uploaded = lock.record.as_ref().map_or(0, |record| record.uploaded);
    let finish: Vec<usize> = making.complete(&storage, State::Part).collect();
    let complete = making.is_complete();
    let record = Record { clean: false, uploaded, files: stamps, bits: bits.clone() };
    // A download that was complete before leaves no trace, not even that of a run that was killed at its very end.
    if !complete || !finish.is_empty() {
        storage.progress = lock.keep(root, content, record)?.map(Mutex::new);
    } else {
        lock.remove(root, &storage)?;
    }
    let open = scanned.open;
    let notes = making.notes;
    Ok(Opened { storage: Arc::new(storage), have: bits, uploaded, complete, finish, open, notes })
}

fn open_root(output: &Path) -> Result<Root, Failure> {
    let opened = std::fs::create_dir_all(output).and_then(|()| Root::open(output));
    opened.map_err(|error| Failure::writing(output, &error))
}

/// What is to be done about each piece, in order.
fn steps<'a>(
    storage: &'a Storage,
    seen: &'a [Seen],
    record: Option<&'a Record>,
) -> impl Iterator<Item = Step> + 'a {
    let Place::Output(output) = &storage.place else { unreachable!("a download has an output directory") };
    let layout = storage.content.layout();
    let pads_there = matches!(output.root.look(&output.pads_name), Ok(Some(Found::File { .. })));
    let trusts: Vec<Trust> = (0..seen.len())
        .map(|file| {
            let now = seen.get(file).and_then(|seen| seen.there).map(|there| there.stamp);
            let trust = trust::of_file(record, file, now);
            if output.state(file) == State::Final { trust.of_final() } else { trust }
        })
        .collect();
    (0..storage.content.piece_count()).map(move |piece| {
        let recorded = record.is_some_and(|record| bit(&record.bits, piece));
        let mut segments = layout.segments(layout.piece(u64::from(piece))).peekable();
        if segments.peek().is_none() {
            // Nothing but pads.
            return Step::Hash;
        }
        let files = segments.map(|segment| match output.state(segment.file) {
            // The record knows nothing of that file; there are few such pieces.
            State::Unselected if pads_there && output.pads.is_some() => match storage.locate(&segment) {
                Ok(_) => Trust::Nothing,
                Err(_) => Trust::Gone,
            },
            State::Unselected => Trust::Gone,
            _ => trusts.get(segment.file).copied().unwrap_or(Trust::Gone),
        });
        trust::of_piece(files, recorded)
    })
}

/// Whether a piece is set.
fn bit(bits: &[u8], piece: u32) -> bool {
    bits.get(piece as usize / 8).is_some_and(|byte| byte & (0x80 >> (piece % 8)) != 0)
}

/// Pieces as on the wire.
pub fn bits_of(have: &[bool], content: &Content) -> Vec<u8> {
    let mut bits = vec![0; bits_bytes(content)];
    for (piece, _) in have.iter().enumerate().filter(|(_, have)| **have) {
        if let Some(byte) = bits.get_mut(piece / 8) {
            *byte |= 0x80 >> (piece % 8);
        }
    }
    bits
}

/// The right to write, or why there is none. A complete download needs none.
pub struct Lock {
    locked: Result<Locked, io::Error>,
    record: Option<Record>,
    /// Whether there was no resume file before.
    new: bool,
}

impl Lock {
    fn take(root: &Root, content: &Content) -> Result<Self, Failure> {
        let name = names::resume(content);
        match Locked::take(root, &name) {
            Ok(locked) => {
                let bytes = locked.read(bytes_of(content));
                let bytes = bytes.map_err(|error| Failure::reading(&root.shown(&name), &error))?;
                let record = bytes.and_then(|bytes| Record::read(content, &bytes));
                let new = locked.is_new();
                Ok(Self { locked: Ok(locked), record, new })
            }
            Err(NotLocked::Held) => Err(Failure::new(
                Class::Storage,
                format!("{}: already being downloaded", content.shown_name()),
            )),
            Err(NotLocked::Failed(error)) => Ok(Self { locked: Err(error), record: None, new: true }),
        }
    }

    fn is_new(&self) -> bool {
        self.new
    }

    /// Files are about to be made: from now on an empty resume file says that they are ours.
    pub fn begin(&mut self, path: &Path) -> Result<(), Failure> {
        match &mut self.locked {
            Ok(locked) => {
                locked.keep();
                Ok(())
            }
            Err(error) => Err(Failure::writing(path, error)),
        }
    }

    /// Writes the first record of this run.
    fn keep(&mut self, root: &Root, content: &Content, record: Record) -> Result<Option<Progress>, Trouble> {
        let refused = Err(io::ErrorKind::PermissionDenied.into());
        let Ok(locked) = std::mem::replace(&mut self.locked, refused) else { return Ok(None) };
        let shown = root.shown(&names::resume(content));
        let mut progress = Progress { locked, record, shown, root: root.again() };
        progress.save(content)?;
        Ok(Some(progress))
    }

    /// Nothing is to be recorded.
    fn remove(&self, root: &Root, storage: &Storage) -> Result<(), Trouble> {
        let Ok(locked) = &self.locked else { return Ok(()) };
        storage.remove_pads()?;
        locked.remove(root).map_err(|error| Trouble::new(root.shown(""), error))
    }

    fn give_up(&mut self, root: &Root) {
        let refused = Err(io::ErrorKind::PermissionDenied.into());
        if let Ok(locked) = std::mem::replace(&mut self.locked, refused) {
            locked.give_up(root);
        }
    }
}
