//! Peers of peers (BEP 11): one client is told of another by the only one it knows.

use super::{Made, Scene};
use crate::support::files;
use crate::support::peer::Peer;
use crate::support::transfer::Transfer;
use crate::support::until;
use std::fs;

/// Slow enough that nobody is complete before the first exchange.
const UP: &str = "40000";

fn scene() -> (Scene, Made) {
    let scene = Scene::set();
    let data = scene.folder("original").join("data.bin");
    fs::write(&data, files::noise(5, 2_000_000)).expect("a file");
    let made = scene.torrent(&data, None, &[]);
    (scene, made)
}

/// libtorrent tells two `wl get` of each other.
#[test]
fn wl_finds_a_peer_through_libtorrent() {
    let (scene, made) = scene();
    let flags = ["--torrent", made.path(), "--listen", "127.0.0.1:0", "--pex", "--up", UP];
    let middle = Peer::with(&scene.folder("original"), &flags);
    let known = format!("127.0.0.1:{}", middle.port());
    // Before it has looked at its files it takes nobody in.
    middle.wait("checked");
    let gets = ["one", "two"].map(|name| {
        Transfer::get(
            scene.home(),
            made.path(),
            &scene.folder(name),
            &["--peer", &known, "--tracker", NOBODY],
        )
    });
    let is_wl = |event: &serde_json::Value| event["client"].as_str().is_some_and(|c| c.starts_with("-WL"));
    for get in &gets {
        get.wait_for("peer", is_wl);
    }
}

/// `wl seed` tells two libtorrents of each other.
#[test]
fn libtorrent_finds_a_peer_through_wl() {
    let (scene, made) = scene();
    let (_seed, port) = Transfer::seed(
        scene.home(),
        &made.path,
        &scene.folder("original"),
        &["--up", UP, "--tracker", NOBODY],
    );
    let known = format!("127.0.0.1:{port}");
    let flags = ["--torrent", made.path(), "--listen", "127.0.0.1:0", "--pex", "--peer", &known];
    let two = ["one", "two"].map(|name| Peer::with(&scene.folder(name), &flags));
    // Either may be the one that connects.
    until("one to find the other", || two.iter().any(|peer| peer.has_met("libtorrent", "pex")).then_some(()));
}

/// A tracker that is not there.
const NOBODY: &str = "http://127.0.0.1:9";
