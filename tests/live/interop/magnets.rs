//! A magnet link and nothing else: the info dictionary comes from peers (BEP 9), and so do the piece layers (BEP 52).

use super::Scene;
use crate::support::files;
use crate::support::peer::Peer;
use crate::support::transfer::Transfer;
use std::fs;

#[test]
fn libtorrent_gets_v1_from_wl_by_magnet_only() {
    by_magnet("v1");
}

#[test]
fn a_hybrid_by_magnet_only_both_ways() {
    by_magnet("hybrid");
}

#[test]
fn v2_only_by_magnet_only_both_ways() {
    by_magnet("v2");
}

fn by_magnet(format: &str) {
    let scene = Scene::set();
    let original = scene.folder("original/dir");
    files::nested_folder(&original);
    // More than 512 pieces: the layer comes in several answers.
    fs::write(original.join("many pieces.bin"), files::noise(7, 12_000_000)).expect("a file");
    let from = scene.folder("original");
    let made = scene.torrent(&original, None, &["--format", format, "--piece-length", "16K"]);
    let url = scene.http("127.0.0.1");
    let base = scene.tracker.base_url();

    let seeder = Peer::start(&made.path, &from, &url, "127.0.0.1:0");
    assert_eq!(seeder.wait("checked")["complete"], true);
    seeder.wait_announced(if format == "hybrid" { 2 } else { 1 });
    let copy = scene.folder("copy of wl");
    let get = Transfer::get(scene.home(), &made.magnet, &copy, &["--tracker", &base]);
    get.end();
    files::assert_same(&original, &copy.join("dir"));
    let saved = fs::read(copy.join("dir.torrent")).expect("the torrent is saved");
    let saved = weightless::torrent::Metainfo::read(&saved).expect("a whole one, with its layers");
    assert_eq!(saved.hashes(), made.metainfo.hashes());
    seeder.leave();

    let (seed, _) = Transfer::seed(scene.home(), &made.path, &from, &["--tracker", &base]);
    seed.wait("tracker");
    let copy = scene.folder("copy of libtorrent");
    let flags = ["--magnet", &made.magnet, "--tracker", &url, "--listen", "127.0.0.1:0"];
    let leecher = Peer::with(&copy, &flags);
    leecher.wait("complete");
    leecher.leave();
    files::assert_same(&original, &copy.join("dir"));
    seed.interrupt();
}
