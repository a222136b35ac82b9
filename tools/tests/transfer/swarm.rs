//! Running transfers: a seeder that is ready, a program whose lines are read as they come, signals.

use crate::support::{Place, Ran};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Where nobody listens, as everybody knows.
pub const NOBODY: &str = "http://127.0.0.1:9";

/// A program that runs. Dropped, it is killed.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts `wl` in a place, which names no tracker that answers.
    pub fn wl(place: &Place, words: &[&str]) -> Self {
        Self::start(command(place.path(), words))
    }

    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped");
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut stderr = child.stderr.take().expect("piped");
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, lines, stderr: Some(stderr) }
    }

    /// The next line of stdout.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(_) => {
                let _ = self.child.kill();
                panic!("no further line; stderr: {}", self.said());
            }
        }
    }

    /// The first line of stdout, from here on, that has `word` in it.
    pub fn line_with(&mut self, word: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(word) {
                return line;
            }
        }
    }

    fn said(&mut self) -> String {
        self.stderr.take().map_or_else(String::new, |thread| thread.join().unwrap_or_default())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => {
                    let _ = self.child.kill();
                    panic!("it does not end; stderr: {}", self.said());
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let stderr = self.said();
        let stdout: String = self.lines.iter().map(|line| line + "\n").collect();
        let code = std::os::unix::process::ExitStatusExt::signal(&status).map_or(0, |signal| -signal);
        Ran { code: status.code().unwrap_or(code), bytes: stdout.clone().into_bytes(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `wl` with a tracker that does not answer.
pub fn command(place: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wl"));
    command.args(words).current_dir(place).env_clear().env("WL_TRACKER", NOBODY);
    command
}

/// A running `wl seed`.
pub struct Seeder {
    pub running: Running,
    /// For `--peer`.
    pub address: String,
}

impl Seeder {
    /// Seeds on any port; `words` follow `wl seed`.
    pub fn start(place: &Place, words: &[&str]) -> Self {
        let all: Vec<&str> = ["seed", "--port", "0"].iter().chain(words).copied().collect();
        Self::ready(Running::wl(place, &all))
    }

    /// Waits for the line that says that peers may come.
    pub fn ready(mut running: Running) -> Self {
        let line = running.line();
        let port = match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(event) => event["port"].to_string(),
            Err(_) => line.rsplit(' ').next().expect("a port").to_owned(),
        };
        Self { address: format!("127.0.0.1:{port}"), running }
    }
}

/// Runs `wl get` to its end.
pub fn get(place: &Place, words: &[&str]) -> Ran {
    let all: Vec<&str> = ["get"].iter().chain(words).copied().collect();
    Running::wl(place, &all).wait()
}

/// Makes a torrent of `path`, which names a tracker that does not answer, and tells no registry.
pub fn create(place: &Place, path: &str, more: &[&str]) -> String {
    let all: Vec<&str> = ["create", "--json", "--no-register", path].iter().chain(more).copied().collect();
    let ran = Running::wl(place, &all).wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    said["torrent"].as_str().expect("a path").to_owned()
}

/// Everything below a directory: paths, and what is in the files.
pub fn below(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below").display().to_string();
                found.push((name, std::fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}

/// Their names.
pub fn names(root: &Path) -> Vec<String> {
    below(root).into_iter().map(|(name, _)| name).collect()
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each once, and below those that the system gives to whoever names none: nobody takes it between now and its use.
    let ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take(1000);
    let start = std::process::id() % 10_000;
    let mut ports = ports.map(|next| 20_000 + (start as u16 + next) % 12_000);
    let is_free = |port: &u16| ["0.0.0.0", "::"].iter().all(|any| TcpListener::bind((*any, *port)).is_ok());
    ports.find(is_free).expect("a free port")
}

/// Waits until somebody listens there.
pub fn wait_listening(port: u16) {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nobody listens on {port}");
        thread::sleep(Duration::from_millis(20));
    }
}
