//! Running `wl` in a directory of its own with an environment of its own.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory that goes away.
pub struct Place {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
}

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub bytes: Vec<u8>,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), env: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Writes a file of the specification's generator: byte i is `i % 251`.
    pub fn file(&self, path: &str, length: usize) -> PathBuf {
        self.bytes(path, &generated(length))
    }

    pub fn bytes(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The directory `dir` of the specification.
    pub fn dir(&self) {
        for (path, length) in [
            ("a/b.bin", 20000),
            ("a/empty", 0),
            ("a.txt", 5),
            ("z.bin", 3),
            ("é.bin", 16385),
            ("日本.bin", 262145),
        ] {
            self.file(&format!("dir/{path}"), length);
        }
    }

    /// Runs `wl` with words separated by spaces.
    pub fn wl(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wl"));
        command.args(words).current_dir(self.path()).env_clear().env("SOURCE_DATE_EPOCH", "1700000000");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        Ran::of(command.output().expect("wl runs"))
    }

    /// Runs `wl --json` and reads its object; the command must succeed.
    pub fn json(&self, line: &str) -> Value {
        let ran = self.wl(&format!("{line} --json"));
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("one JSON object")
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

pub fn generated(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(path)
}

/// Python that has libtorrent: WL_TEST_PYTHON, else python3.
pub fn python() -> String {
    std::env::var("WL_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Runs a program on a terminal of so many columns; how it ended, and everything that appeared.
pub fn on_terminal(columns: u16, program: &Command) -> Ran {
    let mut command = Command::new(python());
    command.arg(repository("tests/clients/terminal.py")).arg(columns.to_string());
    command.arg(program.get_program()).args(program.get_args()).env_clear();
    command.current_dir(program.get_current_dir().expect("a place to run in"));
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(command.output().expect("python runs"));
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    ran
}

/// Has libtorrent load torrents and recheck the data below the directories beside them.
pub fn recheck(pairs: &[(PathBuf, PathBuf)]) -> Vec<Value> {
    let mut command = Command::new(python());
    command.arg(repository("tests/clients/recheck.py"));
    command.args(pairs.iter().flat_map(|(torrent, data)| [torrent, data]));
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {}: {error}", python()));
    assert!(
        output.status.success(),
        "libtorrent did not run ({}): {}\nThis test needs the Python module libtorrent: \
         `python3 -m venv .venv && .venv/bin/pip install libtorrent`, then set WL_TEST_PYTHON to .venv/bin/python \
         (`make test` does both).",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(reports.len(), pairs.len());
    reports
}
