//! Watching the whitelist file: a thread that reads it again when it has changed, so that the reactor never reads a
//! file. A file that is missing or cannot be read blocks everything: a typing error must not open a tracker.

use crate::tracker::whitelist::Whitelist;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The other end of the watching thread.
pub struct Watcher {
    /// Lists to put in force, newest last.
    pub lists: Receiver<Whitelist>,
    look: Sender<()>,
}

impl Watcher {
    /// Reads the file once and watches it from then on. `wake` is called when a list has been put into `lists`.
    pub fn start(path: PathBuf, wake: impl Fn() + Send + 'static) -> Self {
        Self::looking_every(EVERY, path, wake)
    }

    fn looking_every(every: Duration, path: PathBuf, wake: impl Fn() + Send + 'static) -> Self {
        let (to_reactor, lists) = bounded(1);
        let (look, looks) = bounded(1);
        let mut seen = identity(&path);
        let _ = to_reactor.send(read(&path));
        let watch = move || {
            let mut pause = every;
            // Asked, or a minute is over; the end of the reactor ends it.
            while !matches!(looks.recv_timeout(pause), Err(error) if error.is_disconnected()) {
                let now = identity(&path);
                // Soon again after a change: it may have been read while somebody was still writing it.
                pause = if now == seen { every } else { SOON.min(every) };
                if now == seen {
                    continue;
                }
                seen = now;
                if to_reactor.send(read(&path)).is_err() {
                    return;
                }
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("whitelist".to_owned()).spawn(watch);
        thread.expect("the system lets a starting process have its threads");
        Self { lists, look }
    }

    /// Looks now (SIGHUP).
    pub fn look_now(&self) {
        let _ = self.look.try_send(());
    }
}

/// Reads the file. Errors are logged, and leave nothing on the list.
pub fn read(path: &Path) -> Whitelist {
    let bytes = fs::read(path).unwrap_or_else(|error| {
        log::error!("whitelist {}: {error}; every torrent is refused", path.display());
        Vec::new()
    });
    let mut bad = 0;
    let list = Whitelist::parse(&bytes, |line| {
        bad += 1;
        if bad <= BAD_LINES_TOLD {
            log::warn!("whitelist {}: line {line} is not an info hash", path.display());
        }
    });
    if list.is_empty() {
        log::error!("whitelist {} names no torrent; every torrent is refused", path.display());
    } else {
        log::info!("whitelist {}: {} info hashes", path.display(), list.len());
    }
    list
}

/// What tells one content of the file from another, without reading it.
fn identity(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let of = |data: Metadata| (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec());
    fs::metadata(path).ok().map(of)
}

const EVERY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(1);
const BAD_LINES_TOLD: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Nobody sends SIGHUP here.
    #[test]
    fn a_file_that_changes_vanishes_or_comes_back_is_noticed_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        let line = |byte: &str| byte.repeat(20) + "\n";
        // Written beside it and moved into its place, so that no half of it is seen.
        let put = |text: String| {
            let beside = folder.path().join("new");
            fs::write(&beside, text).expect("a file");
            fs::rename(&beside, &path).expect("a rename");
        };
        put(line("ab"));
        let (woken, wakes) = bounded(8);
        let watcher = Watcher::looking_every(Duration::from_millis(10), path.clone(), move || {
            let _ = woken.try_send(());
        });
        let next = || watcher.lists.recv_timeout(Duration::from_secs(20)).expect("a list").len();
        assert_eq!(next(), 1);
        put(line("ab") + &line("cd"));
        assert_eq!(next(), 2);
        fs::remove_file(&path).expect("ours");
        assert_eq!(next(), 0, "a list that is gone blocks everything");
        put(line("ef"));
        assert_eq!(next(), 1);
        assert!(wakes.recv_timeout(Duration::from_secs(20)).is_ok(), "and the reactor is woken");
        // Nothing new: nothing is read.
        thread::sleep(Duration::from_millis(50));
        assert!(watcher.lists.try_recv().is_err());
    }
}
