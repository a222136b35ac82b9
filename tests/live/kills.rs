//! `kill -9` at random moments under concurrent registrations, takedowns and announces: every write that was answered is
//! there, every takedown holds, the database is sound. `WL_TEST_KILLS=200` for more rounds.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What is known of an entry: an unanswered request may or may not have been done.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Known {
    Unsure,
    There,
    TakenDown,
}

#[test]
fn what_was_answered_survives_kill_9_at_any_moment() {
    let rounds: u32 = std::env::var("WL_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let home = tempfile::tempdir().expect("a folder");
    let known = Mutex::new(BTreeMap::new());
    let next = AtomicU32::new(0);
    let mut chance = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    eprintln!("seed {chance}");
    for round in 0..rounds {
        let tracker = Daemon::start(home.path(), &[("FLUSH_INTERVAL", "1")]);
        verify(&tracker, &known.lock().expect("a map"), round);
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let at = tracker.http(Ipv4Addr::LOCALHOST);
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| write(at, &next, &known, &killed));
            }
            scope.spawn(|| {
                while !killed.load(Ordering::Relaxed) {
                    let n = next.load(Ordering::Relaxed).saturating_sub(5);
                    request(
                        at,
                        &format!(
                            "GET {} HTTP/1.1",
                            http::announce_target(&hash(n), b"-TS0001-killed-often", 7, 1)
                        ),
                        "",
                    );
                }
            });
            // The moment of the kill is what is random here.
            std::thread::sleep(Duration::from_micros(20_000 + (chance >> 33) % 300_000));
            killed.store(true, Ordering::Relaxed);
            tracker.kill();
        });
        let db = Connection::open(home.path().join("weightless.db")).expect("opens");
        let verdict: String =
            db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        assert_eq!(verdict, "ok", "round {round}");
    }
    let tracker = Daemon::start(home.path(), &[]);
    let known = known.lock().expect("a map");
    verify(&tracker, &known, u32::MAX);
    let count = |what| known.values().filter(|(_, known)| *known == what).count();
    eprintln!(
        "{} there, {} taken down, {} unsure",
        count(Known::There),
        count(Known::TakenDown),
        count(Known::Unsure)
    );
    assert!(count(Known::There) > 0 && count(Known::TakenDown) > 0);
}

/// Registers entries and takes every third down again, until the daemon is gone.
fn write(at: SocketAddr, next: &AtomicU32, known: &Mutex<BTreeMap<u32, (u32, Known)>>, killed: &AtomicBool) {
    let note = |n, state| {
        known.lock().expect("a map").insert(n, (n, state));
    };
    while !killed.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let entry = json!({"info_hash": hex(n), "name": format!("entry {n}")}).to_string();
        note(n, Known::Unsure);
        if request(at, "POST /api/registry HTTP/1.1", &entry) != Some(201) {
            continue;
        }
        note(n, Known::There);
        if n.is_multiple_of(3) {
            note(n, Known::Unsure);
            let target = format!("DELETE /api/registry?info_hash={} HTTP/1.1", hex(n));
            if request(at, &target, "") == Some(200) {
                note(n, Known::TakenDown);
            }
        }
    }
}

/// The newest few hundred each round, everything in the end.
fn verify(tracker: &Daemon, known: &BTreeMap<u32, (u32, Known)>, round: u32) {
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let newest = if round == u32::MAX { known.len() } else { 200 };
    for (n, state) in known.values().rev().take(newest) {
        let status = http::get(at, &format!("/api/registry?info_hash={}", hex(*n))).status;
        match state {
            Known::There => assert_eq!(status, 200, "entry {n}, round {round}"),
            Known::TakenDown => {
                assert_eq!(status, 404, "entry {n}, round {round}");
                let answer = http::announce(at, &hash(*n), b"-TS0001-taken-down-a", 7, 1, "");
                assert!(matches!(answer, Announced::Refused(_)), "entry {n}, round {round}: {answer:?}");
            }
            Known::Unsure => {}
        }
    }
}

/// The status, if there was an answer before the daemon was gone.
fn request(at: SocketAddr, line: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    let text = format!("{line}\r\nHost: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn hex(n: u32) -> String {
    hash(n).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(n: u32) -> [u8; 20] {
    let mut hash = [0x4b; 20];
    hash[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
    hash
}
