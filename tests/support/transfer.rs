//! `wl get` and `wl seed` while they run.

use super::{PATIENCE, ended, wl};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

/// A running transfer. Dropped, it is killed without a word to the tracker.
pub struct Transfer {
    child: Child,
    lines: Receiver<Value>,
    log: PathBuf,
}

impl Transfer {
    /// `wl seed` of `torrent`, whose data is at `place`; returns when peers may come, with the port.
    pub fn seed(home: &Path, torrent: &Path, place: &Path, more: &[&str]) -> (Self, u64) {
        let paths = [torrent, place].map(|path| path.to_str().expect("UTF-8"));
        let seed = Self::start(home, &[&["seed", paths[0], paths[1]], more].concat());
        let port = seed.wait("ready")["port"].as_u64().expect("a port");
        (seed, port)
    }

    /// `wl get` of `source` into `folder`.
    pub fn get(home: &Path, source: &str, folder: &Path, more: &[&str]) -> Self {
        let folder = folder.to_str().expect("UTF-8");
        Self::start(home, &[&["get", "--output", folder, "--timeout", "50", source], more].concat())
    }

    fn start(home: &Path, words: &[&str]) -> Self {
        let log = tempfile::Builder::new().prefix("wl-").suffix(".log").tempfile_in(home).expect("a file");
        let log = log.keep().expect("it stays").1;
        let mut child = Command::new(wl::program())
            .current_dir(home)
            .env_clear()
            .args(words)
            .args(["--port", "0", "--json-events", "--json", "--verbose"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file in the test's folder"))
            .spawn()
            .expect("wl starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let object = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if sender.send(object).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, log }
    }

    /// Waits for the next event of this name.
    pub fn wait(&self, event: &str) -> Value {
        self.wait_for(event, |_| true)
    }

    /// Waits for an event of this name that `is_it`.
    pub fn wait_for(&self, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|e| panic!("wl: no \"{event}\" ({e})"));
            if line["event"] == event && is_it(&line) {
                return line;
            }
        }
    }

    /// Waits for the end, which must be a good one; gives the result.
    pub fn end(mut self) -> Value {
        let status = ended("wl", &mut self.child);
        let result = self.lines.iter().find(|line| line["event"].is_null());
        assert!(status.success(), "wl: {status}: {result:?}");
        result.expect("a result")
    }

    /// Ctrl-C, and the end.
    pub fn interrupt(self) -> Value {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        self.end()
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("wl said:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}
