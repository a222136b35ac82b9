//! Whole swarms around one tracker: ten clients of four makes, and what is counted of their downloads.

use super::Scene;
use crate::support::aria2::{Aria2, Seeds};
use crate::support::peer::Peer;
use crate::support::rqbit::Rqbit;
use crate::support::transfer::Transfer;
use crate::support::{files, http, until, wl};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// Waits for the count of completed downloads of an entry, and makes sure that it stays there.
fn wait_completions(scene: &Scene, info_hash: &str, expected: u64) {
    let target = format!("/api/registry?info_hash={info_hash}");
    let count = || {
        let entry = http::get(scene.tracker.http(Ipv4Addr::LOCALHOST), &target).json();
        entry["completions"].as_u64().expect("a count")
    };
    until("completed downloads to be stored", || (count() >= expected).then_some(()));
    assert_eq!(count(), expected);
}

/// The acceptance row of `wl seed` and `wl get` on one machine.
#[test]
fn a_download_is_counted_once_and_the_ratio_is_one() {
    let scene = Scene::set();
    let data = scene.folder("original").join("data.bin");
    fs::write(&data, files::noise(5, 5_000_000)).expect("a file");
    let created = wl::create(scene.home(), &scene.tracker.base_url(), &data, &[]);
    assert!(created.registered, "{created:?}");
    let (seed, _) =
        Transfer::seed(scene.home(), &created.torrent, &scene.folder("original"), &["--ratio", "1"]);
    let copy = scene.folder("copy");
    let base = scene.tracker.base_url();
    Transfer::get(scene.home(), &created.info_hash, &copy, &["--tracker", &base]).end();
    assert!(fs::read(copy.join("data.bin")).expect("the copy") == fs::read(&data).expect("the original"));
    // It ends by itself at this ratio, and not a block was sent twice.
    assert_eq!(seed.end()["uploaded"], 5_000_000);
    wait_completions(&scene, &created.info_hash, 1);
}

/// A download that is complete before the tracker has answered the first announce is counted all the same.
#[test]
fn a_download_faster_than_the_tracker_is_counted() {
    let scene = Scene::set();
    let data = scene.folder("original").join("data.bin");
    fs::write(&data, files::noise(5, 100_000)).expect("a file");
    let created = wl::create(scene.home(), &scene.tracker.base_url(), &data, &[]);
    let nobody = ["--tracker", "http://127.0.0.1:9"];
    let (_seed, port) = Transfer::seed(scene.home(), &created.torrent, &scene.folder("original"), &nobody);
    let peer = format!("127.0.0.1:{port}");
    for round in 0..5 {
        let copy = scene.folder(&format!("copy {round}"));
        let torrent = created.torrent.to_str().expect("UTF-8");
        Transfer::get(scene.home(), torrent, &copy, &["--peer", &peer]).end();
    }
    wait_completions(&scene, &created.info_hash, 5);
}

/// Two seeders and eight downloaders: four `wl`, three libtorrents, two aria2, one rqbit. v1, because that is what all
/// of them speak.
#[test]
fn ten_mixed_clients_complete_one_swarm() {
    let scene = Scene::set();
    let original = scene.folder("original/dir");
    files::nested_folder(&original);
    fs::write(original.join("large.bin"), files::noise(11, 6_000_000)).expect("a file");
    let flags = ["--format", "v1", "--piece-length", "64K"];
    let created = wl::create(scene.home(), &scene.tracker.base_url(), &original, &flags);
    assert!(created.registered, "{created:?}");
    let (torrent, url) = (created.torrent.as_path(), scene.http("127.0.0.1"));
    let home = scene.home();

    let from = scene.folder("original");
    let (_seed, _) = Transfer::seed(home, torrent, &from, &["--up", "4M"]);
    let seeder = Peer::start(torrent, &from, &url, "127.0.0.1:0");
    seeder.wait_announced(1);

    let copies: Vec<_> = (0..8).map(|n| scene.folder(&format!("copy {n}"))).collect();
    let copy = |n: usize| copies[n].as_path();
    let path = torrent.to_str().expect("UTF-8");
    // rqbit makes no folder of the torrent's name.
    let mut rqbit = Rqbit::start(home, torrent, &copy(7).join("dir"));
    let gets = [0, 1, 2].map(|n| Transfer::get(home, path, copy(n), &["--seed", "--ratio", "99"]));
    let peers = [3, 4].map(|n| Peer::start(torrent, copy(n), &url, "127.0.0.1:0"));
    let _aria2 = [5, 6].map(|n| Aria2::start(home, torrent, copy(n), &url, Seeds::AMinute));

    for get in &gets {
        get.wait("complete");
    }
    for peer in peers {
        peer.wait("complete");
        peer.leave();
    }
    rqbit.wait_complete();
    let whole = files::contents(&original);
    for n in 0..8 {
        until("the copies to be whole", || is_whole(&whole, &copy(n).join("dir")).then_some(()));
    }
    // rqbit tells no tracker that it is complete; the seven others do.
    wait_completions(&scene, &created.info_hash, 7);
}

fn is_whole(original: &std::collections::BTreeMap<String, Vec<u8>>, copy: &Path) -> bool {
    copy.is_dir() && files::contents(copy) == *original
}
