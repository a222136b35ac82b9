//! `wl seed` of an idtorrent.

use super::Made;
use super::line::{
    BITFIELD, CHOKE, HAVE, INTERESTED, Line, PIECE, REQUEST, UNCHOKE, all_of, numbers, written,
};
use super::running::Wl;
use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::{files, udp, until};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The peers a tracker tells of.
fn peers(tracker: &Daemon, id: &str) -> serde_json::Value {
    http::get(tracker.http(LOCALHOST), &format!("/get_peers?file_id={id}")).json()["peers"].clone()
}

/// A leecher that does the least: one request at a time. Chunks of 20 000 bytes are two blocks, the second shorter.
fn leech(at: SocketAddr, made: &Made) -> Vec<u8> {
    let mut line = Line::dial(at, &made.key).expect("it answers");
    assert_eq!(line.reserved[7] & 0x10, 0, "no BEP 52");
    let mut there = BTreeSet::new();
    let mut open = false;
    line.say(INTERESTED, &[]).expect("it reads");
    while !open || there.len() < made.chunks() {
        match line.hear().expect("it speaks") {
            (BITFIELD, bits) if bits == all_of(made.chunks()) => there.extend(0..made.chunks()),
            (HAVE, body) => there.extend(numbers(&body)),
            (UNCHOKE, _) => open = true,
            (CHOKE, _) => open = false,
            _ => {}
        }
    }
    let mut content = Vec::new();
    for chunk in 0..made.chunks() {
        let mut bytes = Vec::new();
        let length = made.bytes(chunk).len();
        while bytes.len() < length {
            let asked = [chunk, bytes.len(), (length - bytes.len()).min(16_384)];
            line.say(REQUEST, &written(&asked)).expect("it reads");
            let block = loop {
                match line.hear().expect("it serves") {
                    (PIECE, body) => break body,
                    (CHOKE, _) => panic!("choked"),
                    _ => {}
                }
            };
            assert_eq!((numbers(&block[..8]), block.len() - 8), (asked[..2].to_vec(), asked[2]));
            bytes.extend_from_slice(&block[8..]);
        }
        assert_eq!(Sha1::digest(&bytes), Sha1::digest(made.bytes(chunk)));
        content.extend(bytes);
    }
    content
}

#[test]
fn the_smallest_leecher_gets_a_file_and_udp_knows_the_seeder_until_it_leaves() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let url = tracker.base_url();
    let made = Made::new(home.path(), "s.bin", files::noise(5, 333_333), 20_000, &["--tracker", &url]);
    let mut seeder = Wl::start(home.path(), &["seed", "--tracker", &url, made.path()]);
    let port = seeder.ready();
    seeder.announced();
    assert_eq!(peers(&tracker, &made.id), json!([{"ip": "127.0.0.1", "port": port, "state": "seeding"}]));
    let client = udp::Client::connect(tracker.udp(LOCALHOST));
    let met = client.announce(&made.key, b"-TS0001-abcdefghijkl", 7002, 5, 0);
    let Announced::Peers { seeders, peers: met, .. } = met else { panic!("{met:?}") };
    let [high, low] = port.to_be_bytes();
    assert_eq!((seeders, met), (1, vec![127, 0, 0, 1, high, low]));

    assert!(leech((LOCALHOST, port).into(), &made) == made.content);
    seeder.signal("INT");
    let (code, _, why) = seeder.end();
    assert_eq!(code, Some(0), "{why}");
    let left = peers(&tracker, &made.id);
    assert_eq!(left, json!([{"ip": "127.0.0.1", "port": 7002, "state": "leeching"}]), "stopped was told");
}

#[test]
fn it_is_found_by_its_id_and_seeded_from_elsewhere() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let url = tracker.base_url();
    let made = Made::new(home.path(), "s.bin", files::noise(5, 30_000), 10_240, &["--tracker", &url]);
    let elsewhere = home.path().join("another name");
    std::fs::rename(home.path().join("s.bin"), &elsewhere).expect("a file");
    let place = elsewhere.to_str().expect("UTF-8");
    let long = format!("{url}/api/registry/torrent?info_hash={}", made.id);
    for source in [&made.id, &long] {
        let mut seeder = Wl::start(home.path(), &["seed", "--tracker", &url, source, place]);
        let port = seeder.ready();
        assert!(leech((LOCALHOST, port).into(), &made) == made.content);
    }
    // A changed byte is noticed before anything is offered.
    let mut content = made.content.clone();
    content[20_000] ^= 1;
    std::fs::write(&elsewhere, content).expect("a file");
    let (code, _, why) = Wl::start(home.path(), &["seed", "--tracker", &url, &made.id, place]).end();
    assert_eq!(code, Some(7), "{why}");
    assert!(why.contains("s.bin: 2 of 3 chunks are good"), "{why}");
}

#[test]
fn a_tracker_with_passkeys_is_told_with_one() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("TRACKER_SECRET", "a secret"), ("OPEN_TRACKER", "true")]);
    let url = tracker.base_url();
    let made = Made::new(home.path(), "s.bin", files::noise(5, 30_000), 10_240, &["--no-register"]);
    let words = ["seed", "--tracker", &url, made.path()];
    let mut bare = Wl::start(home.path(), &words);
    let said = bare.wait_for("tracker event", |event| event["event"] == "tracker");
    assert_eq!(said["said"], "refused: Unauthorized");
    drop(bare);
    let secret = [("TRACKER_SECRET", "a secret"), ("WL_USER_ID", "anna")];
    let mut seeder = Wl::start_with(home.path(), &words, &secret);
    let said = seeder.wait_for("tracker event", |event| event["event"] == "tracker");
    assert_eq!(said["said"], "0 peers; 1 seeders, 0 leechers; again in 300 s");
    assert!(!said.to_string().contains("anna."), "{said}");
}

#[test]
fn a_udp_tracker_is_told_by_bep_15() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let made = Made::new(home.path(), "s.bin", files::noise(5, 30_000), 10_240, &["--no-register"]);
    let url = format!("udp://127.0.0.1:{}", tracker.udp_port);
    let mut seeder = Wl::start(home.path(), &["seed", "--tracker", &url, made.path()]);
    let port = seeder.ready();
    let expected = json!([{"ip": "127.0.0.1", "port": port, "state": "seeding"}]);
    until("the seeder to be known", || (peers(&tracker, &made.id) == expected).then_some(()));
}
