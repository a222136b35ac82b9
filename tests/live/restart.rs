//! What was acknowledged survives `kill -9`, and the swarm is back with it.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::{udp, until};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use std::net::Ipv4Addr;
use std::path::Path;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SEEDER: &[u8; 20] = b"-TS0001-survivor0001";
const LEECHER: &[u8; 20] = b"-TS0001-survivor0002";

#[test]
fn after_kill_9_registrations_and_swarms_are_back() {
    let home = tempfile::tempdir().expect("a folder");
    let settings = [("FLUSH_INTERVAL", "1")];
    let tracker = Daemon::start(home.path(), &settings);
    let hash = [0x77; 20];
    let entry = json!({"info_hash": "77".repeat(20), "name": "survivor"});
    assert_eq!(http::register(tracker.http(LOCALHOST), &entry).status, 201);
    let before = stored_slice(home.path(), hash[0]);
    http::announce(tracker.http(LOCALHOST), &hash, SEEDER, 7777, 0, "&event=completed");
    until("the swarm to be on disk", || {
        let stored = stored_slice(home.path(), hash[0]);
        (stored.is_some() && stored != before).then_some(())
    });
    tracker.kill();

    let tracker = Daemon::start(home.path(), &settings);
    let found = http::get(tracker.http(LOCALHOST), &format!("/api/registry?info_hash={}", "77".repeat(20)));
    assert_eq!((found.status, &found.json()["seeders"]), (200, &json!(1)), "{}", found.text());
    let udp = udp::Client::connect(tracker.udp(LOCALHOST));
    let expected = Announced::Peers { seeders: 1, leechers: 1, peers: vec![127, 0, 0, 1, 0x1e, 0x61] };
    assert_eq!(udp.announce(&hash, LEECHER, 7778, 5, 2), expected);
}

#[test]
fn a_registration_is_on_disk_when_it_is_answered() {
    let home = tempfile::tempdir().expect("a folder");
    for round in 0..5_u8 {
        let tracker = Daemon::start(home.path(), &[]);
        let hash = format!("{round:02x}").repeat(32);
        let reply = http::register(tracker.http(LOCALHOST), &json!({"info_hash": hash, "name": "durable"}));
        assert_eq!(reply.status, 201, "{}", reply.text());
        tracker.kill();
    }
    let tracker = Daemon::start(home.path(), &[]);
    let found = http::get(tracker.http(LOCALHOST), "/api/registry/search?q=durable").json();
    assert_eq!(found.as_array().map(Vec::len), Some(5), "{found}");
}

#[test]
fn the_clients_of_a_go_database_are_there_after_the_first_start_and_the_second() {
    let home = tempfile::tempdir().expect("a folder");
    let db = Connection::open(home.path().join("weightless.db")).expect("opens");
    db.execute_batch(
        "CREATE TABLE registry (info_hash TEXT PRIMARY KEY, v1_info_hash TEXT DEFAULT '', name TEXT,
             created_at INTEGER, verified BOOLEAN DEFAULT 0, completions INTEGER DEFAULT 0,
             description TEXT DEFAULT '', publisher TEXT DEFAULT '', license TEXT DEFAULT '',
             size INTEGER DEFAULT 0, category TEXT DEFAULT '', tags TEXT DEFAULT '', torrent_data BLOB);
         CREATE TABLE blocklist (info_hash TEXT PRIMARY KEY, reason TEXT DEFAULT '', created_at INTEGER);
         CREATE TABLE usage_backlog (user_id TEXT, uploaded INTEGER DEFAULT 0, downloaded INTEGER DEFAULT 0,
             created_at INTEGER);
         CREATE TABLE peers (info_hash TEXT, peer_id TEXT, addr TEXT, updated_at INTEGER, left INTEGER DEFAULT 0,
             downloaded INTEGER DEFAULT 0, uploaded INTEGER DEFAULT 0, PRIMARY KEY (info_hash, peer_id));",
    )
    .expect("the Go schema");
    let (v2, v1) = ("42".repeat(32), "41".repeat(20));
    db.execute("INSERT INTO registry (info_hash, v1_info_hash, name) VALUES (?1, ?2, 'n')", [&v2, &v1])
        .expect("inserts");
    let peer = |hash: &str, id: &[u8; 20], address: &str, age: u32, left: u32| {
        let sql = "INSERT INTO peers VALUES (?1, CAST(?2 AS TEXT), ?3, unixepoch() - ?4, ?5, 0, 0)";
        db.execute(sql, (hash, id, address, age, left)).expect("inserts");
    };
    // One client by both hashes of a hybrid, one that is no UTF-8, one that is too old.
    peer(&v2, SEEDER, "192.0.2.1:7777", 5, 0);
    peer(&v1, SEEDER, "192.0.2.1:7777", 5, 0);
    peer(&v1, &[0xff; 20], "192.0.2.2:7778", 1800, 9);
    peer(&v1, &[0xfe; 20], "192.0.2.3:7779", 3700, 9);
    drop(db);
    for start in ["first", "second"] {
        let tracker = Daemon::start(home.path(), &[("FLUSH_INTERVAL", "1")]);
        let counts = udp::Client::connect(tracker.udp(LOCALHOST)).scrape(&[0x41; 20]);
        assert_eq!((counts.0, counts.2), (1, 1), "{start} start");
        assert_eq!(tracker.terminate().code(), Some(0));
    }
    // The Go tracker can go on with the file.
    let db = Connection::open(home.path().join("weightless.db")).expect("opens");
    let sql = "INSERT INTO peers (info_hash, peer_id, addr, updated_at, left, downloaded, uploaded) VALUES (?, ?, ?, 1, 0, 0, 0)";
    assert_eq!(db.execute(sql, [&v1, "a", "b"]), Ok(1));
    let sql = "INSERT INTO usage_backlog (user_id, uploaded, downloaded, created_at) VALUES ('u', 1, 2, 3)";
    assert_eq!((db.execute(sql, []), db.execute(sql, [])), (Ok(1), Ok(1)));
}

/// The stored snapshot of the slice of the table that keys with this first byte are in.
fn stored_slice(home: &Path, slice: u8) -> Option<Vec<u8>> {
    let db =
        Connection::open_with_flags(home.join("weightless.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    db.query_row("SELECT snapshot FROM swarm_slice WHERE slice = ?1", [slice], |row| row.get(0)).ok()
}
