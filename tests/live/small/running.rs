//! `wl` while it runs, as its `--json-events` tell it.

use crate::support::{PATIENCE, ended};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

/// A running `wl get` or `wl seed`. Dropped, it is killed.
pub struct Wl {
    child: Child,
    events: Receiver<Value>,
}

impl Wl {
    /// Starts it in `home`, on any port.
    pub fn start(home: &Path, words: &[&str]) -> Self {
        Self::start_with(home, words, &[])
    }

    /// The same with variables.
    pub fn start_with(home: &Path, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_weightless")).with_file_name("wl");
        let mut child = Command::new(program)
            .current_dir(home)
            .env_clear()
            .envs(variables.iter().copied())
            .args(words)
            .args(["--json-events", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wl starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // The last line, where there is one, is for people.
            lines.filter_map(|line| line.parse().ok()).try_for_each(|event| sender.send(event))
        });
        Self { child, events }
    }

    /// Waits for the first event that fits.
    pub fn wait_for(&mut self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if fits(&event) => return event,
                Ok(_) => {}
                Err(_) => panic!("no {what}: {}", self.complaint()),
            }
        }
    }

    /// Waits until it seeds and says on which port.
    pub fn ready(&mut self) -> u16 {
        let event = self.wait_for("ready event", |event| event["event"] == "ready");
        event["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
    }

    /// Waits until a tracker has been told.
    pub fn announced(&mut self) {
        self.wait_for("tracker event", |event| event["event"] == "tracker");
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// Waits for its end: the exit code, the events that nobody has waited for, and what it said on stderr.
    pub fn end(mut self) -> (Option<i32>, Vec<Value>, String) {
        let code = ended("wl", &mut self.child).code();
        let events = self.events.iter().collect();
        (code, events, self.complaint())
    }

    fn complaint(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
        text
    }
}

impl Drop for Wl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
