//! A torrent, a seeder and a downloader as processes in a directory of their own.

use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// The data and its torrent.
pub struct Scene {
    home: TempDir,
}

impl Scene {
    /// So many MiB, no two of them alike.
    pub fn new(mib: u32, create_flags: &[&str]) -> Self {
        let scene = Self { home: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(scene.path().join("data")).expect("a directory");
        let mut file = File::create(scene.path().join("data/data.bin")).expect("a file");
        let mut block = vec![0x5a; 1 << 20];
        for number in 0..mib {
            block[..4].copy_from_slice(&number.to_be_bytes());
            file.write_all(&block).expect("room on the disk");
        }
        let status = scene
            .wl()
            .args(["create", "-q", "--no-register", "--no-tracker", "--no-date", "-o", "data.torrent"])
            .args(create_flags)
            .arg("data/data.bin")
            .stdout(Stdio::null())
            .status()
            .expect("wl runs");
        assert!(status.success(), "wl create: {status}");
        scene
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    fn wl(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wl"));
        // Nobody listens there, so no tracker of this machine hears of the test.
        command
            .current_dir(self.path())
            .env_clear()
            .env("WL_TRACKER", "http://127.0.0.1:1")
            .stdin(Stdio::null());
        command
    }

    /// What `wl show --json` says of the torrent.
    pub fn shown(&self) -> Value {
        let output = self.wl().args(["show", "--json", "data.torrent"]).output().expect("wl runs");
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    }

    /// Starts `wl seed`, once it says that it is ready.
    pub fn seed(&self, flags: &[&str]) -> Running {
        let words = ["seed", "-q", "--no-pex", "--json-events", "--port", "0"];
        let mut running = Running::start(self.wl().args(words).args(flags).args(["data.torrent", "data"]));
        running.port = running.wait_for("ready")["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        running
    }

    /// Starts `wl get` from one peer into `copy`; once complete, it goes on as a seeder.
    pub fn get(&self, peer: SocketAddr) -> Running {
        let peer = peer.to_string();
        let words = ["get", "-q", "--no-pex", "--json-events", "--port", "0", "--seed", "-o", "copy"];
        Running::start(self.wl().args(words).args(["--peer", &peer, "data.torrent"]))
    }

    /// What was downloaded is what was offered.
    pub fn assert_copied(&self) {
        let read = |path: PathBuf| fs::read(path).expect("a file that can be read");
        assert!(read(self.path().join("data/data.bin")) == read(self.path().join("copy/data.bin")));
    }
}

/// A process that is ended with its owner.
pub struct Running {
    child: Child,
    events: BufReader<ChildStdout>,
    port: Option<u16>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("wl starts");
        let events = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, events, port: None }
    }

    /// Its next event of this kind.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.events.read_line(&mut line).expect("UTF-8");
            assert!(count > 0, "wl ended before the event {kind}");
            let event: Value = serde_json::from_str(&line).expect("one JSON object a line");
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Where it listens, at any loopback address.
    pub fn port(&self) -> u16 {
        self.port.expect("the ready event had it")
    }

    /// KiB, as `VmRSS` or `VmHWM` has it.
    pub fn memory_kib(&self, mark: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(mark)).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
