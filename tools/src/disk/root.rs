//! A directory below which files are looked up, made and renamed. It is opened once; every component below it is opened
//! on its own and is never a symbolic link, so nothing that lies in the directory leads out of it.

use super::trust::Stamp;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The directory.
pub struct Root {
    path: PathBuf,
    directory: Arc<OwnedFd>,
    /// The directory used last: files come in torrent order, so the next one mostly lies in it too.
    last: Mutex<Option<(String, Arc<OwnedFd>)>>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file.
    File {
        /// Its size and time.
        stamp: Stamp,
        /// The bytes it takes on the disk.
        allocated: u64,
    },
    /// Anything else, a symbolic link too.
    Other(What),
}

/// What is not a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Special,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

impl Root {
    /// Opens the directory; the path itself may lead through symbolic links, because the user typed it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { path: path.to_path_buf(), directory: Arc::new(directory), last: Mutex::new(None) })
    }

    /// The same directory once more.
    pub fn again(&self) -> Self {
        let directory = Arc::clone(&self.directory);
        Self { path: self.path.clone(), directory, last: Mutex::new(None) }
    }

    /// The file system it is on.
    pub fn device(&self) -> Option<u64> {
        Some(rustix::fs::fstat(&*self.directory).ok()?.st_dev)
    }

    /// A path below the root, for people.
    pub fn shown(&self, relative: &str) -> PathBuf {
        if relative.is_empty() { self.path.clone() } else { self.path.join(relative) }
    }

    /// What stands there; `None` when nothing does.
    pub fn look(&self, relative: &str) -> io::Result<Option<Found>> {
        let looked = self.parent(relative).and_then(|(directory, name)| {
            Ok(rustix::fs::statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
        });
        match looked {
            Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Found::File {
                    stamp: Stamp {
                        size: stat.st_size,
                        seconds: stat.st_mtime,
                        nanoseconds: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
                    },
                    allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
                },
                FileType::Directory => Found::Other(What::Directory),
                FileType::Symlink => Found::Other(What::Link),
                _ => Found::Other(What::Special),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file that is there.
    pub fn open_file(&self, relative: &str, access: Access) -> io::Result<File> {
        let (directory, name) = self.parent(relative)?;
        let how = if access == Access::Read { OFlags::RDONLY } else { OFlags::RDWR };
        // A pipe put in the place of a file must not keep us waiting for its other end.
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::openat(&*directory, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
    }

    /// Makes a file that is not there yet.
    pub fn create(&self, relative: &str) -> io::Result<File> {
        let (directory, name) = self.parent(relative)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&*directory, name, flags, Mode::from_raw_mode(0o666))?))
    }

    /// Makes the directories a path needs.
    pub fn make_parents(&self, relative: &str) -> io::Result<()> {
        let Some((parents, _)) = relative.rsplit_once('/') else { return Ok(()) };
        if self.parent(relative).is_ok() {
            return Ok(());
        }
        let mut at = Arc::clone(&self.directory);
        for component in parents.split('/') {
            let component = plain(component)?;
            match rustix::fs::mkdirat(&*at, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = Arc::new(below(&at, component)?);
        }
        Ok(())
    }

    /// Renames a file; fails with `AlreadyExists` when the new name is taken.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_at, from_name), (to_at, to_name)) = (self.parent(from)?, self.parent(to)?);
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        match rustix::fs::renameat_with(&*from_at, from_name, &*to_at, to_name, RenameFlags::NOREPLACE) {
            // File systems that cannot do it say so; then a hard link does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            outcome => return Ok(outcome?),
        }
        rustix::fs::linkat(&*from_at, from_name, &*to_at, to_name, AtFlags::empty())?;
        Ok(rustix::fs::unlinkat(&*from_at, from_name, AtFlags::empty())?)
    }

    /// Renames a file over whatever has the new name.
    pub fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_at, from_name), (to_at, to_name)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(&*from_at, from_name, &*to_at, to_name)?)
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, relative: &str) -> io::Result<()> {
        let (directory, name) = self.parent(relative)?;
        match rustix::fs::unlinkat(&*directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The file system of what stands there.
    pub fn device_of(&self, relative: &str) -> Option<u64> {
        let (directory, name) = self.parent(relative).ok()?;
        Some(rustix::fs::statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?.st_dev)
    }

    /// Makes the names in a directory durable; the root itself is the empty path.
    pub fn sync_directory(&self, relative: &str) -> io::Result<()> {
        if relative.is_empty() {
            return Ok(rustix::fs::fsync(&*self.directory)?);
        }
        let (directory, name) = self.parent(relative)?;
        Ok(rustix::fs::fsync(&below(&directory, plain(name)?)?)?)
    }

    /// Makes everything on this file system durable with one call, where the system can.
    #[cfg(target_os = "linux")]
    pub fn sync_all(&self) -> Option<io::Result<()>> {
        Some(rustix::fs::syncfs(&*self.directory).map_err(io::Error::from))
    }

    /// Makes everything on this file system durable with one call, where the system can.
    #[cfg(not(target_os = "linux"))]
    pub fn sync_all(&self) -> Option<io::Result<()>> {
        None
    }

    /// Bytes that may still be written; `None` where the system does not know.
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(&*self.directory).ok()?;
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The opened directory of a path, and the name in it.
    fn parent<'p>(&self, relative: &'p str) -> io::Result<(Arc<OwnedFd>, &'p str)> {
        let Some((parents, name)) = relative.rsplit_once('/') else {
            return Ok((Arc::clone(&self.directory), plain(relative)?));
        };
        let name = plain(name)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, directory)) = &*last
            && path == parents
        {
            return Ok((Arc::clone(directory), name));
        }
        let mut at = Arc::clone(&self.directory);
        for component in parents.split('/') {
            at = Arc::new(below(&at, plain(component)?)?);
        }
        *last = Some((parents.into(), Arc::clone(&at)));
        Ok((at, name))
    }
}

fn below(directory: &OwnedFd, component: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, component, flags, Mode::empty())?)
}

/// Names are made safe long before; this is the last look.
fn plain(component: &str) -> io::Result<&str> {
    match component {
        "" | "." | ".." => Err(io::ErrorKind::InvalidInput.into()),
        component if component.contains('/') => Err(io::ErrorKind::InvalidInput.into()),
        component => Ok(component),
    }
}

fn not_a_file() -> io::Error {
    io::Error::other("not a regular file")
}
