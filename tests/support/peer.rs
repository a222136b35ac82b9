//! A libtorrent client: `tests/clients/peer.py` in a process of its own.

use super::{PATIENCE, ended};
use serde_json::Value;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

/// A running client. Dropped, it is killed without a word to the tracker.
pub struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
}

impl Peer {
    /// Starts a client that shares `torrent` in `folder`, knows only `tracker` and listens on `listen`.
    pub fn start(torrent: &Path, folder: &Path, tracker: &str, listen: &str) -> Self {
        let python = env::var_os("WL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/peer.py"))
            .arg("--torrent")
            .arg(torrent)
            .arg("--dir")
            .arg(folder)
            .args(["--tracker", tracker, "--listen", listen])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a python, see WL_TEST_PYTHON");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            for line in lines {
                let event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { stdin: child.stdin.take(), child, events }
    }

    /// Waits for the next event of this name. A refusal in between is a failure.
    pub fn wait(&self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|e| {
                panic!(
                    "libtorrent did not say \"{name}\" ({e}); is libtorrent there? `make test` installs it"
                )
            });
            if event["event"] == name {
                return event;
            }
            assert_ne!(event["event"], "refused", "{event}");
            assert!(name != "scraped" || event["event"] != "scrape refused", "{event}");
        }
    }

    /// Waits until the tracker answered this many announces in all.
    pub fn wait_announced(&self, count: u64) {
        while self.wait("announced")["count"].as_u64() < Some(count) {}
    }

    /// Lets the client say goodbye to the tracker and end; returns how it found its peers.
    pub fn leave(mut self) -> Vec<String> {
        self.stdin = None;
        let left = self.wait("left");
        assert!(ended("libtorrent", &mut self.child).success());
        let sources = left["sources"].as_array().expect("a list").iter();
        sources.map(|name| name.as_str().expect("a name").to_owned()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
