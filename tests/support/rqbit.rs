//! An rqbit client: `tests/clients/rqbit.py` in a process of its own.

use super::until;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running client. Dropped, it is killed.
pub struct Rqbit {
    child: Child,
    said: PathBuf,
}

impl Rqbit {
    /// Starts a client that shares `torrent` in `folder` and knows the trackers in it. `home` gets its output.
    pub fn start(home: &Path, torrent: &Path, folder: &Path) -> Self {
        let said = tempfile::Builder::new().prefix("rqbit-").tempfile_in(home).expect("a file");
        let said = said.keep().expect("it stays").1;
        let python = env::var_os("WL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/rqbit.py"))
            .args([torrent, folder])
            // It keeps a state of its own there.
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(File::create(&said).expect("a file"))
            .spawn()
            .expect("a python, see WL_TEST_PYTHON");
        Self { child, said }
    }

    /// Waits until it has everything.
    pub fn wait_complete(&mut self) {
        until("rqbit to be complete", || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "rqbit ended: {ended:?}; `make test` installs pyrqbit");
            fs::read_to_string(&self.said).ok()?.contains("complete").then_some(())
        });
    }
}

impl Drop for Rqbit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
