//! `wl get` and `wl seed` with the clients that people have: whole transfers in both directions, with data that is easy
//! to get wrong, through a tracker that knows nothing but addresses.

mod formats;
mod handshakes;
mod magnets;
mod others;
mod pex;
mod swarms;
mod webseeds;

use crate::support::daemon::Daemon;
use crate::support::wl;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use weightless::torrent::Metainfo;

/// A folder, and a tracker that serves whoever comes.
struct Scene {
    home: TempDir,
    tracker: Daemon,
}

impl Scene {
    fn set() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true"), ("FLUSH_INTERVAL", "1")]);
        Self { home, tracker }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// A new folder with a name of its own.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// A way to the tracker.
    fn http(&self, host: &str) -> String {
        format!("http://{host}:{}/announce", self.tracker.http_port)
    }

    fn udp(&self, host: &str) -> String {
        format!("udp://{host}:{}/announce", self.tracker.udp_port)
    }

    /// The torrent of `data` that names only this tracker, if any. Nobody is told of it.
    fn torrent(&self, data: &Path, announce: Option<&str>, flags: &[&str]) -> Made {
        let made = tempfile::tempdir_in(self.home()).expect("a folder").keep();
        let flags = [&["--no-tracker", "--no-register"], flags].concat();
        let created = wl::create(&made, &self.tracker.base_url(), data, &flags);
        let mut bytes = fs::read(&created.torrent).expect("the torrent");
        if let Some(url) = announce {
            // The first of the keys.
            bytes.splice(..1, format!("d8:announce{}:{url}", url.len()).into_bytes());
            fs::write(&created.torrent, &bytes).expect("a file");
        }
        let metainfo = Metainfo::read(&bytes).expect("a good torrent");
        Made { path: created.torrent, magnet: created.magnet, metainfo }
    }
}

/// A torrent.
struct Made {
    path: PathBuf,
    magnet: String,
    metainfo: Metainfo,
}

impl Made {
    fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }
}
