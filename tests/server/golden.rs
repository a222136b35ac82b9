//! Requests as real clients write them (`tests/golden/`), fed to the machine in every cut.
//!
//! `.http`: one connection's requests, as recorded but for the path, which was the recording tracker's own, and for
//! what the record left out because it was the same as in the request before. `.udp`: one announce as a hex dump, put
//! together from the recorded fields; its key is a real one but not always that client's, and its connection id is
//! filled in here. In both, the client's torrent is registered; over UDP two others are in its swarm already.

use crate::support::{Daemon, Reply};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use weightless::base::{InfoHashes, V1Hash, V2Hash};
use weightless::server::Next;

const PEER: &str = "192.0.2.1:40000";

fn files(kind: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|found| found == kind) {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            files.insert(name, fs::read(path).expect("a file"));
        }
    }
    files
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex");
    }
    bytes
}

/// The torrents of the recorded clients.
fn daemon() -> Daemon {
    let v1 = V1Hash(hex("9af3591de3b24201a5d474a830bb9ba2748298db"));
    let v2 = V2Hash(hex("9baee2654a169b52ac4f07ea4605ab92e9da4dcd"));
    let v2_only = V2Hash(hex("479473a71743aa3c5315d2d26ea415b779e25459"));
    let single = V1Hash(hex("b98c05e4da43d2135939ccc10160b34c9f4477f7"));
    Daemon::registered(&[InfoHashes::Hybrid(v1, v2), InfoHashes::V2(v2_only), InfoHashes::V1(single)])
}

#[test]
fn http_requests_of_real_clients() {
    // Answers on the connection: counts after it, or a status; and whether the connection stays.
    let expected: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::from([
        ("libtorrent-2.1.1-started-v1", (vec!["0 1"], false)),
        ("libtorrent-2.1.1-started-v2", (vec!["0 1"], false)),
        ("libtorrent-2.1.1-stopped", (vec!["0 0"], false)),
        ("libtorrent-2.1.1-v2-only", (vec!["0 1"], false)),
        ("libtorrent-2.1.1-foreign-path", (vec!["404"], false)),
        ("qbittorrent-4.5.2-completed", (vec!["1 0"], false)),
        ("transmission-3.00-announce-then-scrape", (vec!["0 1", "scrape 1"], true)),
        ("aria2-1.36.0-one-connection", (vec!["0 1", "1 0", "0 0"], true)),
        ("rqbit-9.1.0", (vec!["0 1"], true)),
        ("rtorrent-0.9.8", (vec!["0 1"], true)),
        ("ctorrent-3.3.2-http10", (vec!["0 1"], false)),
        ("go-seed-wl", (vec!["1 0"], true)),
    ]);
    let found = files("http");
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    for (name, bytes) in found {
        let (answers, stays) = &expected[name.as_str()];
        for cut in 1..=bytes.len() {
            let mut daemon = daemon();
            let conn = daemon.open(PEER);
            let (mut out, mut next) = daemon.send(conn, &bytes[..cut]);
            if cut < bytes.len() {
                let (more, then) = daemon.send(conn, &bytes[cut..]);
                out.extend(more);
                next = then;
            }
            assert_eq!(next == Next::Read, *stays, "{name}");
            let replies: Vec<String> = Reply::all(&out).iter().map(shown).collect();
            assert_eq!(&replies, answers, "{name} cut at {cut}");
        }
    }
}

/// Counts, or a status, or the leechers of a scrape.
fn shown(reply: &Reply) -> String {
    if reply.status != 200 {
        return reply.status.to_string();
    }
    if let Some(files) = reply.dict().get(b"files") {
        let (_, stats) = files.as_dict().and_then(|mut files| files.next()).expect("one file");
        return format!("scrape {}", stats.get(b"incomplete").and_then(|n| n.as_int()).expect("a count"));
    }
    let (complete, incomplete) = reply.counts();
    format!("{complete} {incomplete}")
}

#[test]
fn udp_announces_of_real_clients() {
    // Bytes of the datagram; seeders and leechers after it; peers offered when a leecher and a seeder are there.
    let expected = BTreeMap::from([
        ("libtorrent-2.1.1-started-v1", (126, 1, 2, 2)),
        ("libtorrent-2.1.1-started-v2", (126, 1, 2, 2)),
        ("libtorrent-2.1.1-completed", (126, 2, 1, 1)),
        ("libtorrent-2.1.1-stopped", (126, 1, 1, 0)),
        ("transmission-3.00-stopped-first", (98, 1, 1, 0)),
        ("transmission-3.00-started", (98, 1, 2, 2)),
        ("rqbit-9.1.0", (98, 1, 2, 2)),
        ("rtorrent-0.9.8", (98, 1, 2, 2)),
    ]);
    let found = files("udp");
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        expected.keys().copied().collect::<Vec<_>>()
    );
    for (name, dump) in found {
        let (bytes, seeders, leechers, peers) = expected[name.as_str()];
        let text = String::from_utf8(dump).expect("a hex dump");
        let digits: Vec<&str> = text.split_whitespace().collect();
        let mut packet: Vec<u8> = digits.iter().map(|pair| hex::<1>(pair)[0]).collect();
        assert_eq!(packet.len(), bytes, "{name}");
        let mut daemon = daemon();
        let escaped: String = packet[16..36].iter().map(|byte| format!("%{byte:02x}")).collect();
        daemon.announce("198.51.100.1:1", &escaped, "left=0&port=1");
        daemon.announce("198.51.100.2:1", &escaped, "left=5&port=2");
        packet[..8].copy_from_slice(&daemon.connection_id(PEER).to_be_bytes());
        let reply = daemon.datagram(PEER, &packet).expect("an answer");
        let head = [&[0, 0, 0, 1, 0x0b, 0xad, 0xca, 0xfe][..], &1800u32.to_be_bytes()].concat();
        assert_eq!(reply[..12], head, "{name}");
        assert_eq!(reply[12..20], [0, 0, 0, leechers, 0, 0, 0, seeders], "{name}");
        assert_eq!(reply.len(), 20 + 6 * peers, "{name}");
    }
}
