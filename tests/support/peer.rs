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
        let torrent = torrent.to_str().expect("UTF-8");
        Self::with(folder, &["--torrent", torrent, "--tracker", tracker, "--listen", listen])
    }

    /// Starts a client that keeps its data in `folder`; what it shares and whom it knows is in the flags.
    pub fn with(folder: &Path, flags: &[&str]) -> Self {
        let python = env::var_os("WL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/peer.py"))
            .arg("--dir")
            .arg(folder)
            .args(flags)
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

    /// The port it listens on.
    pub fn port(&self) -> u64 {
        self.wait("listening")["port"].as_u64().expect("a port")
    }

    /// Whether it has said by now that it met a client of this name in this way.
    pub fn has_met(&self, client: &str, how: &str) -> bool {
        self.events.try_iter().filter(|event| event["event"] == "met").any(|met| {
            let is_client = met["client"].as_str().is_some_and(|name| name.starts_with(client));
            is_client && met["how"].as_array().is_some_and(|ways| ways.iter().any(|way| way == how))
        })
    }

    /// Waits until the tracker answered this many announces in all.
    pub fn wait_announced(&self, count: u64) {
        while self.wait("announced")["count"].as_u64() < Some(count) {}
    }

    /// Waits until it would tell a tracker of so many uploaded bytes.
    pub fn wait_uploaded(&self, bytes: u64) {
        while self.wait("moved")["up"].as_u64() < Some(bytes) {}
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
