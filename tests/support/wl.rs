//! `wl`, as built beside the daemon.

use super::ended;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `wl create --json` said.
#[derive(Debug)]
pub struct Created {
    /// The file it wrote.
    pub torrent: PathBuf,
    /// The best hash, in hex.
    pub info_hash: String,
    /// The v1 hash of a hybrid, in hex.
    pub v1_info_hash: Option<String>,
    /// Whether the registry took it.
    pub registered: bool,
    /// The link.
    pub magnet: String,
}

/// Runs `wl create` on `path` in `home`, where it leaves the torrent; it must end with 0.
pub fn create(home: &Path, tracker: &str, path: &Path, flags: &[&str]) -> Created {
    let mut child = Command::new(program())
        .current_dir(home)
        .env_clear()
        .args(["create", "--json", "--quiet", "--tracker", tracker])
        .args(flags)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("wl starts");
    // One short object: it fits the pipe, so reading after the end cannot block it.
    let status = ended("wl create", &mut child);
    let mut text = String::new();
    child.stdout.take().expect("stdout is piped").read_to_string(&mut text).expect("UTF-8");
    assert!(status.success(), "wl create: {status}: {text}");
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let string = |key: &str| said[key].as_str().map(str::to_owned);
    Created {
        torrent: home.join(string("torrent").expect("torrent")),
        info_hash: string("info_hash").expect("info_hash"),
        v1_info_hash: string("v1_info_hash"),
        registered: said["registered"].as_bool().expect("registered"),
        magnet: string("magnet").expect("magnet"),
    }
}

/// `cargo test` builds the daemon for this test, but not the program of another package.
pub fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_weightless")).with_file_name("wl");
    assert!(program.exists(), "{} is missing: `cargo build -p wl` first, or `make test`", program.display());
    program
}

/// Runs `wl` in `home` and returns its exit code and what it printed on stdout and on stderr.
pub fn run(home: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(program()).current_dir(home).env_clear().args(words).output().expect("wl starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs `wl check` and returns its exit code and what it printed.
pub fn check(flags: &[&str], url: &str) -> (Option<i32>, String) {
    let output =
        Command::new(program()).env_clear().arg("check").args(flags).arg(url).output().expect("wl starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
