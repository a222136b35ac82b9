//! What the live tests share: the programs under test, small clients of our own, and time limits.

pub mod apart;
pub mod aria2;
pub mod daemon;
pub mod files;
pub mod http;
pub mod hub;
pub mod network;
pub mod nginx;
pub mod peer;
pub mod relay;
pub mod rqbit;
pub mod tls;
pub mod transfer;
pub mod transmission;
pub mod udp;
pub mod wl;

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything here may take before a test fails: generous, because machines may be slow and busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it has something, and fails with `what` when PATIENCE ends.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a program to end.
pub fn ended(what: &str, child: &mut Child) -> ExitStatus {
    until(&format!("{what} to end"), || child.try_wait().expect("a child can be waited for"))
}
