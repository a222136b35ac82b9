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

/// The stored snapshot of the slice of the table that keys with this first byte are in.
fn stored_slice(home: &Path, slice: u8) -> Option<Vec<u8>> {
    let db =
        Connection::open_with_flags(home.join("weightless.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    db.query_row("SELECT snapshot FROM swarm_slice WHERE slice = ?1", [slice], |row| row.get(0)).ok()
}
