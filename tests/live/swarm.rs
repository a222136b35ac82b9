//! The main job: `wl create` on a folder, then one libtorrent seeds and another downloads, and the tracker is the
//! only way for them to find each other. Over both wires and both families.

use crate::support::daemon::Daemon;
use crate::support::peer::Peer;
use crate::support::{files, http, wl};
use std::fs;
use std::net::Ipv4Addr;

#[test]
fn a_folder_reaches_another_client_over_http_and_ipv4() {
    shared_through("127.0.0.1:0", |tracker| format!("http://127.0.0.1:{}/announce", tracker.http_port));
}

#[test]
fn a_folder_reaches_another_client_over_udp_and_ipv4() {
    shared_through("127.0.0.1:0", |tracker| format!("udp://127.0.0.1:{}/announce", tracker.udp_port));
}

#[test]
fn a_folder_reaches_another_client_over_http_and_ipv6() {
    shared_through("[::1]:0", |tracker| format!("http://[::1]:{}/announce", tracker.http_port));
}

#[test]
fn a_folder_reaches_another_client_over_udp_and_ipv6() {
    shared_through("[::1]:0", |tracker| format!("udp://[::1]:{}/announce", tracker.udp_port));
}

fn shared_through(listen: &str, announce_url: impl Fn(&Daemon) -> String) {
    let home = tempfile::tempdir().expect("a folder");
    let (original, copy) = (home.path().join("original/Daten"), home.path().join("copy"));
    files::nested_folder(&original);
    fs::create_dir(&copy).expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let created = wl::create(home.path(), &tracker.base_url(), &original, &[]);
    assert!(created.registered, "{created:?}");

    let url = announce_url(&tracker);
    let seeder = Peer::start(&created.torrent, &home.path().join("original"), &url, listen);
    let checked = seeder.wait("checked");
    assert_eq!(checked["complete"], true, "libtorrent finds every piece in what wl made");
    assert_eq!(checked["v2"].as_str(), Some(&*created.info_hash));
    assert_eq!(checked["v1"].as_str(), created.v1_info_hash.as_deref());
    // Both hashes of the hybrid are announced before the other client asks.
    seeder.wait_announced(2);

    let leecher = Peer::start(&created.torrent, &copy, &url, listen);
    leecher.wait("complete");
    let scraped = leecher.wait("scraped");
    assert!(scraped["complete"].as_u64() >= Some(1), "{scraped}");
    let target = format!("/api/registry?info_hash={}", created.info_hash);
    let entry = http::get(tracker.http(Ipv4Addr::LOCALHOST), &target);
    assert!(entry.json()["seeders"].as_u64().expect("a count") >= 1, "{}", entry.text());

    // A piece is complete for libtorrent before it is on disk; when the client has ended, everything is.
    let mut sources = leecher.leave();
    files::assert_same(&original, &copy.join("Daten"));
    sources.extend(seeder.leave());
    assert!(sources.iter().all(|source| source == "tracker" || source == "incoming"), "{sources:?}");
}
