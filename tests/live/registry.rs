//! The registry decides who is tracked: at once, on both wires.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::{files, udp, wl};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const UNREGISTERED: &str = "Unregistered torrent: info_hash not found in registry";

#[test]
fn an_unregistered_hash_is_refused_until_it_is_registered() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let (http_at, udp) = (tracker.http(LOCALHOST), udp::Client::connect(tracker.udp(LOCALHOST)));
    let (hash, peer_id) = ([0xab; 20], b"-TS0001-registry0001");

    let refused = Announced::Refused(UNREGISTERED.to_owned());
    assert_eq!(http::announce(http_at, &hash, peer_id, 6881, 0, ""), refused);
    assert_eq!(udp.announce(&hash, peer_id, 6881, 0, 2), refused);

    let reply = http::register(http_at, &json!({"info_hash": "ab".repeat(20), "name": "by hand"}));
    assert_eq!((reply.status, &*reply.text()), (201, "{\"status\":\"created\"}\n"));

    // Nothing is waited for: whoever has read the 201 finds it served.
    let alone = Announced::Peers { seeders: 1, leechers: 0, peers: Vec::new() };
    assert_eq!(udp.announce(&hash, peer_id, 6881, 0, 2), alone);
    assert_eq!(http::announce(http_at, &hash, peer_id, 6881, 0, ""), alone);
}

#[test]
fn an_open_tracker_takes_any_hash() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let alone = Announced::Peers { seeders: 0, leechers: 1, peers: Vec::new() };
    let peer_id = b"-TS0001-openopenopen";
    assert_eq!(http::announce(tracker.http(LOCALHOST), &[1; 20], peer_id, 1, 9, ""), alone);
    assert_eq!(udp::Client::connect(tracker.udp(LOCALHOST)).announce(&[2; 20], peer_id, 1, 9, 2), alone);
}

#[test]
fn what_wl_registers_can_be_found_and_fetched() {
    let home = tempfile::tempdir().expect("a folder");
    files::nested_folder(&home.path().join("Météo 2026"));
    let tracker = Daemon::start(home.path(), &[]);
    let flags = ["--publisher", "A lab", "--category", "datasets", "--tags", "weather,europe"];
    let created = wl::create(home.path(), &tracker.base_url(), &home.path().join("Météo 2026"), &flags);
    let hash = &created.info_hash;
    assert!(created.registered && created.magnet.contains(hash), "{created:?}");

    let get = |target: &str| http::get(tracker.http(LOCALHOST), target);
    let entry = get(&format!("/api/registry?info_hash={hash}"));
    assert_eq!(entry.status, 200, "{}", entry.text());
    assert_eq!(entry.json()["name"], "Météo 2026");
    assert_eq!(entry.json()["v1_info_hash"].as_str(), created.v1_info_hash.as_deref());
    let found = get("/api/registry/search?q=m%C3%A9t%C3%A9o&category=datasets&tags=EUROPE").json();
    assert_eq!(found[0]["info_hash"], **hash, "{found}");
    assert_eq!(get("/api/registry/search?q=nowhere").json(), json!([]));

    let v1 = created.v1_info_hash.as_deref().expect("a hybrid");
    let torrent = get(&format!("/api/registry/torrent?info_hash={v1}"));
    assert!(
        torrent.body == fs::read(&created.torrent).expect("the file wl wrote"),
        "the stored torrent differs"
    );
    let meta = get(&format!("/api/registry/meta?info_hash={hash}")).json();
    assert_eq!(meta["files"].as_array().map(Vec::len), Some(8), "{meta}");
}

#[test]
fn wl_create_works_while_no_tracker_does() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("data.bin"), files::noise(7, 100_000)).expect("a file");
    // Nobody listens on port 1.
    let created = wl::create(home.path(), "http://127.0.0.1:1", &home.path().join("data.bin"), &[]);
    assert!(!created.registered && created.torrent.exists(), "{created:?}");
}
