//! Idtorrents through the real programs: `wl create --idt` makes and registers one, clients meet by `/register_peer` and
//! by UDP in one swarm, and it is found again by its id, also after a restart.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::{files, udp, wl};
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn create(tracker: &Daemon, home: &std::path::Path, more: &[&str]) -> Value {
    let url = tracker.base_url();
    let words = [&["create", "--idt", "--json", "--tracker", &url], more].concat();
    let (code, said, why) = wl::run(home, &words);
    assert_eq!(code, Some(0), "{why}");
    said.parse().expect("JSON")
}

fn enter(at: SocketAddr, id: &str, port: u16, state: &str) -> http::Reply {
    http::post(at, "/register_peer", &json!({"file_id": id, "port": port, "state": state}).to_string())
}

fn ports(at: SocketAddr, id: &str) -> Vec<u64> {
    let answer = http::get(at, &format!("/get_peers?file_id={id}")).json();
    let mut ports: Vec<_> = answer["peers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|peer| peer["port"].as_u64().expect("a port"))
        .collect();
    ports.sort_unstable();
    ports
}

#[test]
fn a_small_file_is_published_and_its_peers_meet() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("note.bin"), files::noise(1, 25_000)).expect("a file");
    let mut tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    let created = create(&tracker, home.path(), &["--name", "A note", "note.bin"]);
    assert_eq!(created["registered"], true, "{created}");
    let id = created["file_id"].as_str().expect("an id").to_owned();

    let entry = http::get(at, &format!("/api/registry?info_hash={id}")).json();
    assert_eq!(
        (&entry["kind"], &entry["name"], &entry["size"]),
        (&json!("idtorrent"), &json!("A note"), &json!(25_000))
    );
    let file = http::get(at, &format!("/api/registry/torrent?info_hash={id}"));
    assert!(file.body == fs::read(home.path().join("note.bin.idtorrent")).expect("the file"));
    assert_eq!(file.field("content-type"), Some("application/json"));
    assert_eq!(file.field("content-disposition"), Some("attachment; filename=\"note.bin.idtorrent\""));
    let meta = http::get(at, &format!("/api/registry/meta?info_hash={id}")).json();
    assert_eq!((&meta["piece_length"], &meta["piece_count"]), (&json!(10_240), &json!(3)));
    let url = tracker.base_url();
    let (code, text, why) = wl::run(home.path(), &["verify", "--tracker", &url, &id]);
    assert_eq!((code, text.lines().next()), (Some(0), Some("OK note.bin")), "{why}");

    // A closed tracker serves what is registered and nothing else.
    assert_eq!(enter(at, &"ab".repeat(20), 1, "seeding").status, 403);
    assert_eq!(enter(at, &id, 7001, "seeding").status, 200);
    let key: [u8; 20] =
        data_encoding::HEXLOWER.decode(id.as_bytes()).expect("hex").try_into().expect("20 bytes");
    let peers =
        udp::Client::connect(tracker.udp(LOCALHOST)).announce(&key, b"-TS0001-abcdefghijkl", 7002, 5, 0);
    let Announced::Peers { seeders, leechers, peers } = peers else { panic!("{peers:?}") };
    assert_eq!((seeders, leechers, peers), (1, 1, vec![127, 0, 0, 1, 0x1b, 0x59]));
    assert_eq!(ports(at, &id), [7001, 7002]);
    let entry = http::get(at, &format!("/api/registry?info_hash={id}")).json();
    assert_eq!((&entry["seeders"], &entry["leechers"]), (&json!(1), &json!(1)));

    assert!(tracker.terminate().success());
    tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    assert_eq!(ports(at, &id), [7001, 7002], "after a restart");
    assert_eq!(enter(at, &id, 7001, "stopped").json()["status"], "removed");
    assert_eq!(ports(at, &id), [7002]);
    let delete = format!("/api/registry?info_hash={id}&reason=test");
    assert_eq!(http::ask(at, "DELETE", &delete, "").status, 200);
    let refused = enter(at, &id, 7001, "seeding");
    assert_eq!((refused.status, refused.text().as_str()), (403, "{\"error\":\"info_hash is blocked\"}\n"));
    assert_eq!(http::get(at, &format!("/get_peers?file_id={id}")).status, 403);
}

/// Its metafile is so large that the upload goes to the store in parts.
#[test]
fn a_metafile_of_many_chunks_is_registered() {
    let home = tempfile::tempdir().expect("a folder");
    fs::File::create(home.path().join("zeros")).expect("a file").set_len(25 << 20).expect("a length");
    let tracker = Daemon::start(home.path(), &[]);
    let created = create(&tracker, home.path(), &["--max-size", "25M", "--chunk-size", "1K", "zeros"]);
    assert_eq!((&created["registered"], &created["chunks"]), (&json!(true), &json!(25_600)), "{created}");
    let metafile = fs::read(home.path().join("zeros.idtorrent")).expect("the file");
    assert!(metafile.len() > 1 << 20);
    let target = format!("/api/registry/torrent?info_hash={}", created["file_id"].as_str().expect("an id"));
    assert!(http::get(tracker.http(LOCALHOST), &target).body == metafile);
}
