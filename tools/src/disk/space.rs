//! How full the disk is, which parts of a file are holes, and reserving room.

use super::root::Access;
use super::storage::Storage;
use std::fs::File;
use std::io;
use weightless::torrent::layout::Segment;

impl Storage {
    /// Whether a run of bytes was ever written, as far as the system can tell; holes read as zeros.
    pub(super) fn has_data(&self, segment: &Segment) -> bool {
        let Ok((key, offset)) = self.locate(segment) else { return false };
        let Ok(file) = self.open(key, Access::Read) else { return false };
        next_data(&file, offset).is_none_or(|data| data < offset + segment.length)
    }
}

/// Where the next data begins; `None` when the system cannot tell.
#[cfg(target_os = "linux")]
fn next_data(file: &File, offset: u64) -> Option<u64> {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Some(data),
        // Holes up to the end.
        Err(rustix::io::Errno::NXIO) => Some(u64::MAX),
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn next_data(_: &File, _: u64) -> Option<u64> {
    None
}

/// Reserves room for all of a file. File systems that cannot do it are no error.
#[cfg(target_os = "linux")]
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reserves room for all of a file, where the system can.
#[cfg(not(target_os = "linux"))]
pub fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}
