//! The bytes of a torrent on the disk: any range of its stream can be read, and those of a download written. Files are
//! opened when they are needed. Shared by all disk threads.

use super::descriptors::Descriptors;
use super::durable::Progress;
use super::job::Trouble;
use super::large::LargePieces;
use super::leaves::LeafCache;
use super::output::{Output, State};
use super::root::Access;
use super::trust::Stamp;
use crate::content::Content;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weightless::torrent::layout::Segment;

/// The files of one torrent.
pub struct Storage {
    pub(super) content: Arc<Content>,
    pub(super) place: Place,
    pub(super) descriptors: Descriptors,
    /// What the resume file says; `None` when nothing is recorded.
    pub(super) progress: Option<Mutex<Progress>>,
    pub(super) changes: Mutex<Changes>,
    pub(super) leaves: LeafCache,
    pub(super) large: LargePieces,
}

/// Where the files are.
pub enum Place {
    /// Below an output directory, to be written.
    Output(Output),
    /// Wherever the user has them, to be read.
    Local {
        /// Every file's path, in torrent order.
        paths: Vec<PathBuf>,
        /// What each looked like at the start.
        stamps: Vec<Stamp>,
    },
}

/// What was written and may not be on the disk yet.
#[derive(Default)]
pub struct Changes {
    /// The files, or [`PADS`].
    pub files: HashSet<usize>,
    /// A file that the system could not write back: what it says afterwards is worth nothing.
    pub lost: Option<PathBuf>,
}

/// The number of the file of unselected bytes.
pub const PADS: usize = usize::MAX;

/// Most descriptors a storage keeps.
pub const DESCRIPTORS_MAX: usize = 256;

impl Storage {
    pub(super) fn new(content: Arc<Content>, place: Place, progress: Option<Progress>) -> Self {
        Self {
            content,
            place,
            descriptors: Descriptors::new(DESCRIPTORS_MAX),
            progress: progress.map(Mutex::new),
            changes: Mutex::default(),
            leaves: LeafCache::default(),
            large: LargePieces::default(),
        }
    }

    /// What is stored.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Where a file is now, for people.
    pub fn path(&self, file: usize) -> PathBuf {
        match &self.place {
            Place::Output(output) => output.shown(file),
            Place::Local { paths, .. } => paths.get(file).cloned().unwrap_or_default(),
        }
    }

    /// Where a file is when it is complete, for people.
    pub fn final_path(&self, file: usize) -> PathBuf {
        match &self.place {
            Place::Output(output) => output.root.shown(output.names.of(file)),
            Place::Local { .. } => self.path(file),
        }
    }

    /// Fills `buffer` with the stream from `at` on. What no file covers is zeros.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
        let mut next = at;
        let mut rest = buffer;
        for segment in self.content.layout().segments(at..at + rest.len() as u64) {
            let (gap, behind) = rest.split_at_mut((segment.at - next) as usize);
            gap.fill(0);
            let (part, behind) = behind.split_at_mut(segment.length as usize);
            self.read_segment(&segment, part)?;
            next = segment.at + segment.length;
            rest = behind;
        }
        rest.fill(0);
        Ok(())
    }

    fn read_segment(&self, segment: &Segment, buffer: &mut [u8]) -> Result<(), Trouble> {
        let (key, offset) = self.locate(segment)?;
        let file = self.open(key, Access::Read)?;
        file.read_exact_at(buffer, offset).map_err(|error| self.trouble(key, error))
    }

    /// Writes `bytes` at `at` of the stream. What no file covers is dropped; complete files are left as they are.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Trouble> {
        for segment in self.content.layout().segments(at..at + bytes.len() as u64) {
            let from = (segment.at - at) as usize;
            let part = bytes.get(from..from + segment.length as usize).unwrap_or_default();
            self.write_segment(&segment, part)?;
        }
        Ok(())
    }

    fn write_segment(&self, segment: &Segment, bytes: &[u8]) -> Result<(), Trouble> {
        let (key, offset) = self.locate(segment)?;
        match self.state(segment.file) {
            State::Final | State::Nothing => return Ok(()),
            State::Unproven => return self.compare(segment, bytes),
            State::Part | State::Unselected => {}
        }
        let file = self.open(key, Access::Write)?;
        file.write_all_at(bytes, offset).map_err(|error| self.trouble(key, error))?;
        // Not before: a checkpoint that ran meanwhile would have counted these bytes as synced.
        let mut changes = self.changes();
        if !changes.files.contains(&key) {
            changes.files.insert(key);
        }
        Ok(())
    }

    /// A file that was there before us must already hold what has come.
    fn compare(&self, segment: &Segment, bytes: &[u8]) -> Result<(), Trouble> {
        let mut there = vec![0; bytes.len()];
        self.read_segment(segment, &mut there)?;
        if there == bytes {
            return Ok(());
        }
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "exists and differs");
        Err(self.trouble(segment.file, error))
    }

    fn state(&self, file: usize) -> State {
        match &self.place {
            Place::Output(output) => output.state(file),
            Place::Local { .. } => State::Final,
        }
    }

    /// Which file holds a run of bytes, and where in it.
    pub(super) fn locate(&self, segment: &Segment) -> Result<(usize, u64), Trouble> {
        match &self.place {
            Place::Output(output) if output.state(segment.file) == State::Unselected => {
                let offset = output.pads.as_ref().and_then(|pads| pads.offset(segment));
                let offset = offset.ok_or_else(|| self.trouble(PADS, io::ErrorKind::NotFound.into()))?;
                Ok((PADS, offset))
            }
            _ => Ok((segment.file, segment.offset)),
        }
    }

    /// An open file.
    pub(super) fn open(&self, key: usize, access: Access) -> Result<Arc<File>, Trouble> {
        let opened = self.descriptors.get(key, access, || match &self.place {
            Place::Output(output) if key == PADS => output.open_pads(access),
            Place::Output(output) => output.open(key, access),
            Place::Local { paths, .. } if access == Access::Read => {
                paths.get(key).ok_or(io::ErrorKind::NotFound.into()).and_then(File::open)
            }
            Place::Local { .. } => Err(io::ErrorKind::PermissionDenied.into()),
        });
        opened.map_err(|error| self.trouble(key, error))
    }

    pub(super) fn trouble(&self, key: usize, error: io::Error) -> Trouble {
        let path = match &self.place {
            Place::Output(output) if key == PADS => output.root.shown(&output.pads_name),
            _ => self.path(key),
        };
        Trouble { path, error }
    }

    pub(super) fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
