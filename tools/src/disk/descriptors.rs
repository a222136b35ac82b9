//! Open files, at most a given number of them: the one not used for longest is closed for the next.

use super::root::Access;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Open files by number.
pub struct Descriptors {
    open: Mutex<Open>,
    limit: usize,
}

#[derive(Default)]
struct Open {
    files: HashMap<usize, Entry>,
    /// Counts uses.
    clock: u64,
}

struct Entry {
    file: Arc<File>,
    access: Access,
    used: u64,
}

impl Descriptors {
    /// At most `limit` files, at least one.
    pub fn new(limit: usize) -> Self {
        Self { open: Mutex::default(), limit: limit.max(1) }
    }

    /// The file `key`, opened with `open` unless it is open for that already.
    pub fn get(
        &self,
        key: usize,
        access: Access,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        if let Some(file) = self.lock().find(key, access) {
            return Ok(file);
        }
        // Opening may wait for the disk: the others go on meanwhile. Two that open the same file both succeed.
        let file = Arc::new(open()?);
        let mut all = self.lock();
        all.clock += 1;
        let used = all.clock;
        all.files.insert(key, Entry { file: Arc::clone(&file), access, used });
        while all.files.len() > self.limit
            && let Some(oldest) = all.files.iter().min_by_key(|(_, entry)| entry.used).map(|(&key, _)| key)
        {
            all.files.remove(&oldest);
        }
        Ok(file)
    }

    /// Closes a file once nobody is using it.
    pub fn forget(&self, key: usize) {
        self.lock().files.remove(&key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn find(&mut self, key: usize, access: Access) -> Option<Arc<File>> {
        self.clock += 1;
        let entry = self.files.get_mut(&key)?;
        if entry.access == Access::Read && access == Access::Write {
            return None;
        }
        entry.used = self.clock;
        Some(Arc::clone(&entry.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_used_for_longest_is_closed() {
        let descriptors = Descriptors::new(2);
        let mut opened = Vec::new();
        for (key, access) in [
            (1, Access::Read),
            (2, Access::Read),
            (1, Access::Read),
            (3, Access::Read),
            (1, Access::Read),
            (2, Access::Read),
            (2, Access::Write),
            (2, Access::Read),
        ] {
            descriptors
                .get(key, access, || {
                    opened.push(key);
                    File::open("/")
                })
                .expect("opens");
        }
        assert_eq!(opened, [1, 2, 3, 2, 2], "reading uses what is open for writing, not the reverse");
        assert_eq!(descriptors.lock().files.len(), 2);
    }
}
