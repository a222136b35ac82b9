//! Disks that go bad under a running daemon, and files that somebody moves away from under it: announces go on, nothing
//! is acknowledged that a restart would not find, and what passes passes without a restart.

use crate::support::daemon::{self, Daemon};
use crate::support::http::{self, Announced, Reply};
use crate::support::{PATIENCE, apart, until};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A folder whose files can be made to fail, and the word that says how.
struct Disk {
    shim: PathBuf,
    folder: PathBuf,
    now: PathBuf,
}

impl Disk {
    fn below(home: &Path) -> Self {
        let (shim, folder, now) = (home.join("fault.so"), home.join("disk"), home.join("now"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fault.c");
        apart::run(
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).args([source, "-ldl"]),
        );
        fs::create_dir(&folder).expect("a folder");
        Self { shim, folder, now }
    }

    fn daemon(&self, home: &Path) -> Daemon {
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let (shim, folder, now) = (text(&self.shim), text(&self.folder), text(&self.now));
        let database = text(&self.folder.join("weightless.db"));
        let settings = [
            ("LD_PRELOAD", shim.as_str()),
            ("FAULT_IN", &folder),
            ("FAULT_NOW", &now),
            ("DB_PATH", &database),
            ("FLUSH_INTERVAL", "1"),
        ];
        Daemon::start(home, &settings)
    }

    fn does(&self, what: &str) {
        fs::write(&self.now, what).expect("a file");
    }
}

#[test]
fn a_disk_that_turns_read_only_or_bad_refuses_writes_until_it_is_well() {
    let home = tempfile::tempdir().expect("a folder");
    let disk = Disk::below(home.path());
    let tracker = disk.daemon(home.path());
    assert_eq!(register(&tracker, 1).status, 201);
    for (round, fault) in (1..).zip(["erofs", "eio"]) {
        disk.does(fault);
        let refused = register(&tracker, 10 * round);
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (503, &json!("Storage unavailable")),
            "{fault}"
        );
        assert_eq!(refused.field("retry-after"), Some("1"));
        announces(&tracker);
        assert_eq!(health(&tracker), 503, "{fault}");
        assert_eq!(found(&tracker, 1), 200, "reading goes on");
        assert_eq!(found(&tracker, 10 * round), 404);
        disk.does("");
        // The next flush finds out by itself.
        until("the disk to be found well", || (health(&tracker) == 200).then_some(()));
        assert_eq!(register(&tracker, 10 * round + 1).status, 201, "no restart is needed");
    }
    // Nobody announces, registers or asks for anything else: it still finds out.
    disk.does("eio");
    assert_eq!(register(&tracker, 30).status, 503);
    disk.does("");
    until("a quiet disk to be found well", || (health(&tracker) == 200).then_some(()));
    tracker.kill();
    let tracker = disk.daemon(home.path());
    for n in [1, 11, 21] {
        assert_eq!(found(&tracker, n), 200, "entry {n} was acknowledged");
    }
    for n in [10, 20, 30] {
        assert_eq!(found(&tracker, n), 404, "entry {n} was refused");
    }
}

/// A card that does not answer at all: that cannot be told from a slow one. Announces do not notice, the end does not
/// wait for ever.
#[test]
fn a_disk_that_hangs_holds_up_neither_announces_nor_the_end() {
    let home = tempfile::tempdir().expect("a folder");
    let disk = Disk::below(home.path());
    let tracker = disk.daemon(home.path());
    assert_eq!(register(&tracker, 1).status, 201);
    disk.does("hang");
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask_to_register(at, 2));
        until("the registration to wait for the store", || {
            let page = http::get(at, "/metrics").text();
            let waiting = page.lines().find_map(|line| line.strip_prefix("tracker_store_queue "))?;
            (waiting != "0").then_some(())
        });
        for _ in 0..50 {
            announces(&tracker);
        }
        assert_eq!(found(&tracker, 1), 200, "reading goes on");
        let begun = Instant::now();
        tracker.signal("TERM");
        assert_eq!(tracker.ended().code(), Some(1), "what counts is the last flush");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let answer = waiting.join().expect("it ends");
        assert!(!answer.starts_with(b"HTTP/1.1 201"), "nothing that hangs is acknowledged");
    });
    disk.does("");
    let tracker = disk.daemon(home.path());
    assert_eq!(found(&tracker, 1), 200);
}

#[test]
fn a_database_that_was_moved_away_acknowledges_nothing_until_it_is_back() {
    let home = tempfile::tempdir().expect("a folder");
    let (path, away) = (home.path().join("weightless.db"), home.path().join("away.db"));
    let tracker = Daemon::start(home.path(), &[("FLUSH_INTERVAL", "1")]);
    assert_eq!(register(&tracker, 1).status, 201);
    let refused = |n: u32, why: &str| {
        let reply = register(&tracker, n);
        assert_eq!((reply.status, &reply.json()["error"]), (503, &json!("Storage unavailable")), "{why}");
        announces(&tracker);
        assert_eq!(health(&tracker), 503, "{why}");
    };
    fs::rename(&path, &away).expect("ours");
    refused(2, "moved away");
    fs::copy(&away, &path).expect("a copy");
    refused(3, "replaced by a copy");
    assert!(tracker.log().contains("weightless.db was moved, removed or replaced"), "{}", tracker.log());
    fs::rename(&away, &path).expect("ours");
    until("it to be found again", || (health(&tracker) == 200).then_some(()));
    assert_eq!(register(&tracker, 4).status, 201, "no restart is needed");

    // Its log: what is in there reaches the database at the end, but not after a crash.
    fs::remove_file(home.path().join("weightless.db-wal")).expect("its log");
    refused(5, "the log was removed");
    assert_eq!(tracker.terminate().code(), Some(0));
    let tracker = Daemon::start(home.path(), &[]);
    let there = [1, 2, 3, 4, 5].map(|n| found(&tracker, n));
    assert_eq!(there, [200, 404, 404, 200, 404], "what was acknowledged, and nothing else");
}

/// What is in the log belongs to the file that was moved away: it must be there in the end, and the log must not be read
/// into the file that has come instead.
#[test]
fn the_log_of_a_database_that_was_replaced_goes_with_it() {
    let home = tempfile::tempdir().expect("a folder");
    let [path, away, copy] = ["weightless.db", "away.db", "copy.db"].map(|name| home.path().join(name));
    let tracker = Daemon::start(home.path(), &[]);
    assert_eq!(register(&tracker, 1).status, 201);
    let mut backup = daemon::command(home.path());
    apart::run(backup.env("DB_PATH", &path).arg("--backup").arg(&copy));
    for n in 2..50 {
        assert_eq!(register(&tracker, n).status, 201);
    }
    fs::rename(&path, &away).expect("ours");
    fs::rename(&copy, &path).expect("ours");
    assert_eq!(register(&tracker, 100).status, 503);
    assert_eq!(tracker.terminate().code(), Some(0));
    let rows = |path: &Path| {
        let db = Connection::open(path).expect("opens");
        let verdict: String =
            db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        let rows: u32 = db.query_row("SELECT count(*) FROM registry", [], |row| row.get(0)).expect("a count");
        (verdict, rows)
    };
    assert_eq!(rows(&away), ("ok".to_owned(), 49));
    assert_eq!(rows(&path), ("ok".to_owned(), 1), "the copy is as it was made");
    let tracker = Daemon::start(home.path(), &[]);
    assert_eq!([1, 2].map(|n| found(&tracker, n)), [200, 404]);
}

fn entry(n: u32) -> serde_json::Value {
    json!({"info_hash": format!("{n:040x}"), "name": "n"})
}

fn register(tracker: &Daemon, n: u32) -> Reply {
    http::register(tracker.http(Ipv4Addr::LOCALHOST), &entry(n))
}

/// What comes back, whole answer or none.
fn ask_to_register(at: SocketAddr, n: u32) -> Vec<u8> {
    let (body, mut answer) = (entry(n).to_string(), Vec::new());
    let mut stream = TcpStream::connect(at).expect("accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let head = format!("POST /api/registry HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head, body].concat().into_bytes()).expect("takes it");
    // It may be reset when the daemon ends.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn found(tracker: &Daemon, n: u32) -> u16 {
    http::get(tracker.http(Ipv4Addr::LOCALHOST), &format!("/api/registry?info_hash={n:040x}")).status
}

fn health(tracker: &Daemon) -> u16 {
    http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status
}

/// The first entry is announced, and answered with peers.
fn announces(tracker: &Daemon) {
    let mut hash = [0; 20];
    hash[19] = 1;
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let answer = http::announce(at, &hash, b"-TS0001-through-it-a", 6881, 1, "");
    assert!(matches!(answer, Announced::Peers { .. }), "{answer:?}");
}
