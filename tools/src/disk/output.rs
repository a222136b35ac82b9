//! The files of a download: which name each has at the moment, and how it is opened.

use super::names::Names;
use super::pads::Pads;
use super::root::{Access, Root};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

/// The output directory and the files in it.
pub struct Output {
    /// The directory.
    pub root: Root,
    /// What the files are called.
    pub names: Names,
    states: Vec<AtomicU8>,
    /// Where bytes of files without a file go; there only when some file has none.
    pub pads: Option<Pads>,
    /// What that file is called.
    pub pads_name: String,
}

/// From so many directories on, one call that writes back the whole file system costs less than one for each.
const SYNC_ALL_DIRECTORIES: usize = 64;

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It has no bytes of its own: empty, or a symlink.
    Nothing,
    /// Not selected, and not on the disk.
    Unselected,
    /// Under its temporary name.
    Part,
    /// There before us, and as far as could be hashed right; the rest of it is compared when it comes.
    Unproven,
    /// Complete, under its final name.
    Final,
}

impl Output {
    /// Files of these states.
    pub fn new(root: Root, names: Names, states: &[State], pads: Option<Pads>, pads_name: String) -> Self {
        let states = states.iter().map(|&state| AtomicU8::new(state as u8)).collect();
        Self { root, names, states, pads, pads_name }
    }

    /// How a file stands.
    pub fn state(&self, file: usize) -> State {
        match self.states.get(file).map(|state| state.load(Ordering::Acquire)) {
            Some(1) => State::Unselected,
            Some(2) => State::Part,
            Some(3) => State::Unproven,
            Some(4) => State::Final,
            _ => State::Nothing,
        }
    }

    /// Notes how a file stands from now on.
    pub fn set_state(&self, file: usize, state: State) {
        if let Some(slot) = self.states.get(file) {
            slot.store(state as u8, Ordering::Release);
        }
    }

    /// Every file of a state.
    pub fn files_in(&self, state: State) -> impl Iterator<Item = usize> + '_ {
        (0..self.states.len()).filter(move |&file| self.state(file) == state)
    }

    /// Where a file is now, below the root.
    pub fn name(&self, file: usize) -> String {
        match self.state(file) {
            State::Part => self.names.part(file),
            State::Unselected => self.pads_name.clone(),
            _ => self.names.of(file).into(),
        }
    }

    /// Where a file is now, for people.
    pub fn shown(&self, file: usize) -> PathBuf {
        self.root.shown(&self.name(file))
    }

    /// Makes the names of files, and of the directories they are in, durable.
    pub fn sync_names(&self, files: impl IntoIterator<Item = usize>) -> io::Result<()> {
        let mut directories = BTreeSet::new();
        for file in files {
            let mut path = self.names.of(file);
            while let Some((parent, _)) = path.rsplit_once('/')
                && directories.insert(parent)
            {
                path = parent;
            }
        }
        if directories.len() > SYNC_ALL_DIRECTORIES
            && self.are_here(directories.iter().copied())
            && let Some(synced) = self.root.sync_all()
        {
            return synced;
        }
        for directory in directories {
            self.root.sync_directory(directory)?;
        }
        self.root.sync_directory("")
    }

    /// Whether all of these lie on the file system of the output directory.
    pub fn are_here<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let Some(here) = self.root.device() else { return false };
        names.into_iter().all(|name| self.root.device_of(name) == Some(here))
    }

    /// Opens a file. Its name may change while this happens: then the new one is tried.
    pub fn open(&self, file: usize, access: Access) -> io::Result<File> {
        let before = self.state(file);
        match self.root.open_file(&self.name(file), access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.state(file) != before => {
                self.root.open_file(&self.name(file), access)
            }
            outcome => outcome,
        }
    }

    /// Opens the file of unselected bytes; it is made when it is first written to.
    pub fn open_pads(&self, access: Access) -> io::Result<File> {
        match self.root.open_file(&self.pads_name, access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && access == Access::Write => {
                self.root.create(&self.pads_name)
            }
            outcome => outcome,
        }
    }
}
