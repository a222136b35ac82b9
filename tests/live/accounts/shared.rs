//! libtorrent with a passkey in its announce URL: what it moves is accounted, over both wires (over UDP by BEP 41).

use super::*;
use crate::support::peer::Peer;
use crate::support::{files, wl};
use std::fs;

#[test]
fn what_libtorrent_moves_is_accounted_over_http() {
    accounted(|tracker, passkey| format!("http://127.0.0.1:{}/announce/{passkey}", tracker.http_port));
}

#[test]
fn what_libtorrent_moves_is_accounted_over_udp() {
    accounted(|tracker, passkey| format!("udp://127.0.0.1:{}/announce/{passkey}", tracker.udp_port));
}

fn accounted(announce_url: impl Fn(&Daemon, &str) -> String) {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let (original, copy) = (home.path().join("original/Daten"), home.path().join("copy"));
    files::nested_folder(&original);
    fs::create_dir(&copy).expect("a folder");
    let tracker = tracker(home.path(), &hub, &[]);
    let created = wl::create(home.path(), &tracker.base_url(), &original, &["--api-key", KEY]);
    assert!(created.registered, "{created:?}");
    let bytes = bytes_below(&original);

    let url = |user: &str| announce_url(&tracker, &passkey(user));
    // A scrape over UDP carries no passkey and is refused; libtorrent then tells that tracker nothing more, not even
    // that it leaves.
    let client = |folder: &Path, user: &str| {
        let torrent = created.torrent.to_str().expect("UTF-8");
        let known = ["--torrent", torrent, "--tracker", &url(user), "--listen", "127.0.0.1:0", "--no-scrape"];
        Peer::with(folder, &known)
    };
    let seeder = client(&home.path().join("original"), "seeder");
    seeder.wait("checked");
    seeder.wait_announced(2);
    let leecher = client(&copy, "leecher");
    leecher.wait("complete");
    leecher.leave();
    // Gone before it has added up what it sent, the seeder would tell the tracker of nothing.
    seeder.wait_uploaded(bytes);
    seeder.leave();
    files::assert_same(&original, &copy.join("Daten"));

    wait_sent(&tracker);
    eprintln!("{bytes} bytes, seeder {:?}, leecher {:?}", hub.total("seeder"), hub.total("leecher"));
    // Payload only, both hashes of the hybrid counted once. Pads between files are never on the wire, but libtorrent
    // counts those of the pieces it took; the last partial piece may be requested twice.
    let (up, down) = (hub.total("seeder"), hub.total("leecher"));
    assert_eq!((up.1, down.0), (0, 0), "the seeder took nothing, the leecher gave nothing");
    for moved in [up.0, down.1] {
        assert!((bytes..=bytes * 3 / 2).contains(&moved), "{moved} of {bytes}");
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| match entry.metadata().expect("its data") {
            data if data.is_dir() => bytes_below(&entry.path()),
            data => data.len(),
        })
        .sum()
}
