//! An aria2 client.

use super::ended;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running client. Dropped, it is killed without a word to the tracker.
pub struct Aria2(Child);

impl Aria2 {
    /// Shares `torrent` in `folder` and knows only `tracker`. It seeds for a minute, or not at all.
    pub fn start(home: &Path, torrent: &Path, folder: &Path, tracker: &str, seeds: Seeds) -> Self {
        let child = Command::new("aria2c")
            .arg(torrent)
            .arg("--dir")
            .arg(folder)
            .args(["--bt-exclude-tracker=*", &format!("--bt-tracker={tracker}")])
            .arg(if seeds == Seeds::No { "--seed-time=0" } else { "--seed-time=1" })
            .args([
                "--seed-ratio=0",
                "--check-integrity=true",
                "--enable-dht6=false",
                "--bt-enable-lpd=false",
            ])
            // The port of its DHT is where it hears from UDP trackers; it needs one of the two.
            .arg(format!("--enable-dht={}", tracker.starts_with("udp")))
            .arg("--dht-entry-point=127.0.0.1:9")
            .arg("--dht-listen-port=20000-60000")
            .arg(format!("--dht-file-path={}", home.join("dht.dat").display()))
            .args(["--enable-peer-exchange=false", "--listen-port=20000-60000", "--no-conf", "--quiet"])
            // Should the first announce come too early, the next one is not half an hour away.
            .args(["--bt-tracker-interval=2", "--bt-stop-timeout=50"])
            .stdin(Stdio::null())
            .spawn()
            .expect("aria2c: `make test` installs it");
        Self(child)
    }

    /// Waits for the end, which must be a good one.
    pub fn end(mut self) {
        assert!(ended("aria2c", &mut self.0).success());
    }
}

/// What it does when it is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seeds {
    /// It ends.
    No,
    /// It stays for a while.
    AMinute,
}

impl Drop for Aria2 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
