//! What an operator does with a running daemon: reads its log, copies its database, ends it twice.

use crate::support::daemon::{self, Daemon};
use crate::support::{ended, http, until};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

#[test]
fn log_lines_are_json_if_asked_and_their_level_changes_on_sighup() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("settings.env");
    fs::write(&file, "RUST_LOG=error\n").expect("a file");
    let tracker = Daemon::start(home.path(), &[("LOG_FORMAT", "json"), ("PICO_TRACKER__PROT", "1")]);
    assert_eq!(tracker.log(), "", "a warning is not an error");
    fs::write(&file, "RUST_LOG=info\n").expect("a file");
    // The first one may be told before the level changes.
    tracker.hang_up();
    tracker.hang_up();
    until("a line", || {
        tracker.hang_up();
        tracker.log().contains("settings reloaded").then_some(())
    });
    for line in tracker.log().lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(object["level"], "info", "{line}");
        assert!(object["time"].as_f64() > Some(1.7e9) && object["target"].is_string(), "{line}");
    }
}

/// The journal knows the time, and is told how bad it is.
#[test]
fn lines_for_the_journal_of_systemd_have_their_level_and_no_time() {
    let home = tempfile::tempdir().expect("a folder");
    let file =
        fs::File::create(home.path().join("daemon.log")).and_then(|file| file.metadata()).expect("a log");
    let stream = format!("{}:{}", file.dev(), file.ino());
    let settings = [("PICO_TRACKER__PROT", "1"), ("JOURNAL_STREAM", &stream)];
    let tracker = Daemon::start(home.path(), &settings);
    assert!(tracker.log().contains("<4>weightless: PICO_TRACKER__PROT is not"), "{}", tracker.log());
    let other = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(other.path(), &settings);
    assert!(tracker.log().contains("Z WARN  weightless: PICO_TRACKER__PROT is not"), "{}", tracker.log());
}

#[test]
fn a_name_that_is_nearly_a_setting_is_warned_about() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("PICO_TRACKER__PROT", "1")]);
    assert!(tracker.log().contains("PICO_TRACKER__PROT is not a setting"), "{}", tracker.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    // An upload that has begun is waited for.
    let mut upload = TcpStream::connect(tracker.http(Ipv4Addr::LOCALHOST)).expect("accepts");
    upload
        .write_all(b"POST /api/registry HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .expect("takes it");
    // Seen by the daemon before the signal: this later request is answered.
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status, 200);
    tracker.signal("TERM");
    until("the end to begin", || tracker.log().contains("stopping").then_some(()));
    tracker.signal("INT");
    assert_eq!(tracker.ended().code(), Some(130));
    let mut rest = Vec::new();
    let _ = upload.read_to_end(&mut rest);
}

/// They wait for a lock of another program when the signal comes; announces go on until then.
#[test]
fn sigterm_lets_every_request_that_was_read_be_answered() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let other = Connection::open(home.path().join("weightless.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let statuses = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..20_u32)
            .map(|n| {
                let entry = json!({"info_hash": format!("{n:040x}"), "name": "under load"});
                scope.spawn(move || http::register(at, &entry).status)
            })
            .collect();
        // An announce and the metrics for each of them, so that all have been read.
        until("all requests to be read", || {
            http::announce(at, &[9; 20], b"-TS0001-under-load-1", 1, 1, "");
            let metrics = http::get(at, "/metrics").text();
            let open = metrics.lines().find_map(|line| line.strip_prefix("tracker_connections "))?;
            (open.parse::<u32>().ok()? == 21).then_some(())
        });
        tracker.signal("TERM");
        until("the end to begin", || tracker.log().contains("stopping").then_some(()));
        other.execute_batch("ROLLBACK").expect("unlocks");
        waiting.into_iter().map(|request| request.join().expect("an answer")).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [201; 20]);
    assert_eq!(tracker.ended().code(), Some(0));
}

#[test]
fn a_backup_is_made_while_registrations_go_on() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("FLUSH_INTERVAL", "1")]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let (stop, stored) = (AtomicBool::new(false), AtomicU32::new(0));
    let copy = home.path().join("copy.db");
    let before = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let n = stored.load(Ordering::Relaxed);
                let entry = json!({"info_hash": format!("{n:040x}"), "name": "backed up"});
                assert_eq!(http::register(at, &entry).status, 201);
                stored.store(n + 1, Ordering::Relaxed);
            }
        });
        until("some entries", || (stored.load(Ordering::Relaxed) > 20).then_some(()));
        let before = stored.load(Ordering::Relaxed);
        let made = backup(home.path(), &copy);
        let until_then = stored.load(Ordering::Relaxed);
        assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
        until("more entries after it", || (stored.load(Ordering::Relaxed) > until_then).then_some(()));
        stop.store(true, Ordering::Relaxed);
        before
    });
    let db = Connection::open(&copy).expect("opens");
    let rows: u32 = db.query_row("SELECT count(*) FROM registry", [], |row| row.get(0)).expect("a count");
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert!(rows >= before && verdict == "ok", "{rows} rows of {before}: {verdict}");
    drop(db);
    let bytes = fs::read(&copy).expect("the copy");
    let refused = backup(home.path(), &copy);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && why.contains("copy.db"), "{why}");
    assert_eq!(fs::read(&copy).expect("the copy"), bytes, "it is left alone");

    // What was copied serves.
    let other = tempfile::tempdir().expect("a folder");
    fs::copy(&copy, other.path().join("weightless.db")).expect("a copy");
    let restored = Daemon::start(other.path(), &[]);
    let found = http::get(restored.http(Ipv4Addr::LOCALHOST), &format!("/api/registry?info_hash={:040x}", 0));
    assert_eq!(found.status, 200, "{}", found.text());
}

fn backup(home: &Path, to: &Path) -> Output {
    let mut command = daemon::command(home);
    command.env("DB_PATH", home.join("weightless.db")).arg("--backup").arg(to);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    ended("the backup", &mut child);
    child.wait_with_output().expect("it ended")
}
