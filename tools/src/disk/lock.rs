//! The resume file on the disk: who holds it may write the data. It is locked, read once, and replaced as a whole; each
//! new one is locked before it takes the old one's name, so the name always stands for a locked file.

use super::root::{Access, Root};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};

/// A resume file, locked.
pub struct Locked {
    name: String,
    held: File,
    made: bool,
}

/// Why a resume file could not be locked.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process holds it.
    Held,
    /// The system refused.
    Failed(io::Error),
}

impl From<io::Error> for NotLocked {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Locked {
    /// Locks the resume file `name`, which is made if it is missing.
    pub fn take(root: &Root, name: &str) -> Result<Self, NotLocked> {
        loop {
            let (held, made) = match root.open_file(name, Access::Write) {
                Ok(file) => (file, false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => match root.create(name) {
                    Ok(file) => (file, true),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(error) => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            };
            match held.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(NotLocked::Held),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // Between opening and locking its holder may have replaced or removed it: then the lock is worth nothing.
            if is_at(root, name, &held)? {
                return Ok(Self { name: name.into(), held, made });
            }
        }
    }

    /// What is in it; `None` when it is longer than `bytes_max`.
    pub fn read(&self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        read(&self.held, bytes_max)
    }

    /// Replaces it durably: after a crash at any moment there is the old one or the new one.
    pub fn replace(&mut self, root: &Root, bytes: &[u8]) -> io::Result<()> {
        let next = self.write_beside(root, bytes)?;
        self.put_in_place(root, next)?;
        root.sync_directory("")
    }

    /// First step: the new bytes, durable, under a name of their own.
    pub(super) fn write_beside(&self, root: &Root, bytes: &[u8]) -> io::Result<File> {
        let beside = self.beside();
        // What a crash has left, or somebody has put there.
        root.remove(&beside)?;
        let mut file = root.create(&beside)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| file.lock()) {
            let _ = root.remove(&beside);
            return Err(error);
        }
        Ok(file)
    }

    /// Second step: they take the name.
    pub(super) fn put_in_place(&mut self, root: &Root, next: File) -> io::Result<()> {
        root.replace(&self.beside(), &self.name)?;
        self.held = next;
        self.made = false;
        Ok(())
    }

    /// Removes it.
    pub fn remove(&self, root: &Root) -> io::Result<()> {
        root.remove(&self.beside())?;
        root.remove(&self.name)?;
        root.sync_directory("")
    }

    /// Whether there was none before.
    pub fn is_new(&self) -> bool {
        self.made
    }

    /// It stays, even if nothing is put into it.
    pub fn keep(&mut self) {
        self.made = false;
    }

    /// Removes it if it was made by [`Locked::take`] and nothing was put into it.
    pub fn give_up(self, root: &Root) {
        if self.made {
            let _ = root.remove(&self.name);
        }
    }

    fn beside(&self) -> String {
        format!("{}.tmp", self.name)
    }
}

/// What is in a file; `None` when it is longer than `bytes_max`.
pub fn read(file: &File, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

fn is_at(root: &Root, name: &str, held: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let there = match root.open_file(name, Access::Read) {
        Ok(file) => file.metadata()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let held = held.metadata()?;
    Ok((there.dev(), there.ino()) == (held.dev(), held.ino()))
}
