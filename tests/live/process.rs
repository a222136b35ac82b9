//! The daemon as a process: what it prints, how it ends.

use crate::support::daemon::{self, Daemon};
use crate::support::{ended, http};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a command that ends by itself.
fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the daemon starts");
    ended("the daemon", &mut child);
    child.wait_with_output().expect("it ended")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code 2, nothing on stdout, one line on stderr.
fn refused(command: &mut Command) -> String {
    let output = run(command);
    let line = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn settings_that_are_wrong_end_it_with_2() {
    let home = tempfile::tempdir().expect("a folder");
    let line = refused(daemon::command(home.path()).env("PORT", "abc"));
    assert!(line.contains("PORT") && line.contains("abc") && line.contains("0-65535"), "{line}");
    assert!(refused(daemon::command(home.path()).arg("--frobnicate")).contains("--frobnicate"));
    assert!(refused(daemon::command(home.path()).arg("serve")).contains("serve"));
}

#[test]
fn help_version_and_check_print_and_end_with_0() {
    let home = tempfile::tempdir().expect("a folder");
    let printed = |command: &mut Command| {
        let output = run(command);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(printed(daemon::command(home.path()).arg("--help")).contains("--udp-port"));
    let version = printed(daemon::command(home.path()).arg("--version"));
    assert!(version.starts_with(&format!("weightless {} (", env!("CARGO_PKG_VERSION"))), "{version}");
    let check = printed(daemon::command(home.path()).arg("--check-config").env("REGISTRY_KEY", "hush-hush"));
    assert!(check.contains("set (9 bytes)") && !check.contains("hush"), "{check}");
    assert!(!home.path().join("weightless.db").exists(), "a check writes nothing");
}

#[test]
fn sigterm_ends_it_cleanly() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").text(), "OK");
    assert_eq!(tracker.terminate().code(), Some(0));
}

#[test]
fn a_second_daemon_on_one_database_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let second = |home: &Path| {
        let mut command = daemon::command(home);
        command.envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1")]);
        run(command.env("DB_PATH", home.join("weightless.db")))
    };
    assert_eq!(second(home.path()).status.code(), Some(1));
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status, 200);
}

/// Where there is one core, searches and uploads must not hold announces up.
#[test]
fn the_threads_of_the_store_step_back_for_the_network() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    // Both have begun to work.
    assert_eq!(http::get(at, "/api/registry/search").status, 200);
    let entry = serde_json::json!({"info_hash": "ab".repeat(20), "name": "n"});
    assert_eq!(http::register(at, &entry).status, 201);
    let threads = tracker.niceness();
    let (store, rest): (Vec<_>, Vec<_>) = threads.iter().partition(|(name, _)| name.starts_with("store-"));
    assert_eq!(store.len(), 2, "{threads:?}");
    let network = rest.iter().map(|(_, nice)| *nice).max().expect("the main thread");
    assert!(store.iter().all(|(_, nice)| *nice > network || *nice == 19), "{threads:?}");
}
