//! Large uploads through the daemon: what arrives is what was sent, several at once, and memory stays bounded.

use crate::support::daemon::Daemon;
use crate::support::http;
use crate::support::udp;
use data_encoding::BASE64;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

const MIB: usize = 1024 * 1024;

/// A v1 torrent of about so many bytes, most of them in a key that nobody reads, and its hash.
fn torrent(n: usize, bytes: usize) -> (String, Vec<u8>) {
    let info = format!("d6:lengthi{n}e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae");
    let half = crate::support::files::noise(n as u64, bytes / 2);
    let length = format!("{}:", half.len());
    // No string may be longer than 64 MiB.
    let file = [
        b"d1:a",
        length.as_bytes(),
        &half,
        b"1:b",
        length.as_bytes(),
        &half,
        b"4:info",
        info.as_bytes(),
        b"e",
    ];
    let file = file.concat();
    (weightless::torrent::v1_hash(info.as_bytes()).to_string(), file)
}

/// Four uploads of this size at the same time; everything must arrive. The most memory that took.
fn four_at_once(body_bytes: usize) -> u64 {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let file_bytes = (body_bytes - 1000) / 4 * 3;
    let idle = tracker.peak_bytes();
    thread::scope(|scope| {
        for n in 1..=4 {
            scope.spawn(move || upload(at, n, file_bytes));
        }
        // Announces are served meanwhile.
        let client = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
        client.announce(&[9; 20], b"-TS0001-abcdefghijkl", 6881, 1, 0);
    });
    let peak = tracker.peak_bytes() - idle;
    for n in 1..=4 {
        let (hash, file) = torrent(n, file_bytes);
        let stored = http::get(at, &format!("/api/registry/torrent?info_hash={hash}"));
        assert!(stored.body == file, "upload {n} was changed on its way");
    }
    peak
}

fn upload(at: SocketAddr, n: usize, file_bytes: usize) {
    let (hash, file) = torrent(n, file_bytes);
    let entry = json!({"info_hash": hash, "name": "large", "torrent_data": BASE64.encode(&file)});
    let reply = http::register(at, &entry);
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[test]
fn four_large_uploads_at_once_arrive_whole() {
    // Decoded they are 36 MiB, and while one of them is stored SQLite holds it twice more.
    let bytes = four_at_once(12 * MIB);
    assert!(bytes < 64 * MIB as u64, "{} MiB", bytes / MIB as u64);
}

#[test]
fn a_broken_large_upload_is_refused_and_the_next_one_is_not() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let (hash, file) = torrent(1, 2 * MIB);
    let data = BASE64.encode(&file);
    for (data, status, text) in [
        (format!("{}!", &data[..data.len() - 1]), 400, "Invalid torrent_data"),
        (BASE64.encode(&file[1..]), 400, "torrent_data is not a valid torrent"),
        (BASE64.encode(&torrent(2, 2 * MIB).1), 422, "torrent_data does not match info_hash"),
        (data, 201, ""),
    ] {
        let reply = http::register(at, &json!({"info_hash": hash, "name": "n", "torrent_data": data}));
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!((reply.status, error.as_str()), (status, text));
    }
}

#[test]
#[ignore = "takes a minute: four uploads of 100 MiB at once, prints the memory they took"]
fn memory_of_four_uploads_of_a_hundred_mebibytes() {
    let bytes = four_at_once(100 * MIB);
    println!("four uploads of 100 MiB: {} MiB at most", bytes / MIB as u64);
    assert!(bytes < 320 * MIB as u64);
}
