//! Operations section 5, "Failures", with the running daemon: announces go on, writes get the documented answer, and
//! what can pass passes without a restart.

use crate::support::daemon::{self, Daemon};
use crate::support::http::{self, Announced, Reply};
use crate::support::{apart, ended, until};
use rusqlite::Connection;
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let disk = home.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    apart::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(&disk));
    let tracker = on(&disk, home.path());
    assert_eq!(register(&tracker, 1).status, 201);
    let filler = disk.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}

    // What fits into pages that are there already may still be written.
    let refused = until("a write that finds no room", || {
        (0..50).map(|n| register(&tracker, 100 + n)).find(|reply| reply.status != 201)
    });
    assert_eq!((refused.status, &refused.json()["error"]), (503, &json!("Storage unavailable")));
    announces(&tracker);
    assert_eq!(health(&tracker), 503);
    drop(file);
    fs::remove_file(&filler).expect("ours");
    assert_eq!(register(&tracker, 3).status, 201, "no restart is needed");
    assert_eq!(health(&tracker), 200);
    assert_eq!(tracker.terminate().code(), Some(0));
}

#[test]
fn a_disk_that_cannot_be_written_ends_the_start_with_its_path() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let disk = home.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    apart::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(&disk));
    let tracker = on(&disk, home.path());
    assert_eq!(register(&tracker, 1).status, 201);
    assert_eq!(tracker.terminate().code(), Some(0));
    apart::run(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
    let path = disk.join("weightless.db");
    let mut command = daemon::command(home.path());
    command.envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1")]).env("DB_PATH", &path);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    ended("the daemon", &mut child);
    let output = child.wait_with_output().expect("it ended");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && why.contains(path.to_str().expect("UTF-8")), "{why}");
    apart::run(Command::new("mount").args(["-o", "remount,rw"]).arg(&disk));
    let tracker = on(&disk, home.path());
    assert_eq!(register(&tracker, 1).status, 201, "everything is as it was");
}

#[test]
fn a_lock_of_the_sqlite3_program_delays_and_passes() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    assert_eq!(register(&tracker, 1).status, 201);
    let mut sqlite3 = Command::new("sqlite3")
        .arg(home.path().join("weightless.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3: `make test` installs it");
    let mut shell = sqlite3.stdin.take().expect("piped");
    shell.write_all(b"BEGIN IMMEDIATE; SELECT 'locked';\n").expect("it reads");
    let mut line = String::new();
    BufReader::new(sqlite3.stdout.take().expect("piped")).read_line(&mut line).expect("it answers");
    assert_eq!(line, "locked\n");

    let begun = Instant::now();
    let refused = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| register(&tracker, 2));
        while !waiting.is_finished() {
            announces(&tracker);
        }
        waiting.join().expect("an answer")
    });
    assert_eq!((refused.status, &refused.json()["error"]), (503, &json!("Database busy")));
    assert!(begun.elapsed() >= Duration::from_secs(5), "it is waited for");
    shell.write_all(b"ROLLBACK;\n").expect("it reads");
    drop(shell);
    ended("sqlite3", &mut sqlite3);
    assert_eq!(register(&tracker, 2).status, 201, "no restart is needed");
    assert_eq!(health(&tracker), 200);
}

#[test]
fn damage_while_running_stops_writing_but_not_announces() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("FLUSH_INTERVAL", "3600")]);
    for n in 0..200 {
        assert_eq!(register(&tracker, n).status, 201);
    }
    let path = home.path().join("weightless.db");
    // Everything goes into the database, and a change by another program makes the daemon read it again.
    let db = Connection::open(&path).expect("opens");
    db.execute("UPDATE meta SET value = value WHERE key = 'first_start'", []).expect("updates");
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    drop(db);
    let mut bytes = fs::read(&path).expect("reads");
    bytes[4096..].fill(0x5a);
    File::options().write(true).open(&path).and_then(|mut file| file.write_all(&bytes)).expect("writes");

    let refused = register(&tracker, 1000);
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert_eq!(health(&tracker), 503);
    announces(&tracker);
    let damaged = fs::read(&path).expect("reads");
    assert_eq!(register(&tracker, 1001).status, 500);
    assert_eq!(fs::read(&path).expect("reads"), damaged, "nothing more is written");
    assert!(tracker.log().contains("ERROR"), "{}", tracker.log());
}

fn on(disk: &Path, home: &Path) -> Daemon {
    let path = disk.join("weightless.db");
    Daemon::start(home, &[("DB_PATH", path.to_str().expect("UTF-8")), ("FLUSH_INTERVAL", "1")])
}

fn register(tracker: &Daemon, n: u32) -> Reply {
    let entry = json!({"info_hash": format!("{n:040x}"), "name": "n", "description": "d".repeat(3000)});
    http::register(tracker.http(Ipv4Addr::LOCALHOST), &entry)
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
