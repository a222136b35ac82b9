//! What is said when two clients meet: a hybrid's connection is a v2 one whoever begins it, and a private torrent knows
//! no exchange of peers.

use super::{Made, Scene};
use crate::support::files;
use crate::support::peer::Peer;
use crate::support::relay::{Relay, Talk};
use crate::support::transfer::Transfer;
use std::fs;
use std::path::PathBuf;

/// In the last reserved byte: v2 is possible.
const V2_BIT: u8 = 0x10;

fn data(scene: &Scene) -> PathBuf {
    let data = scene.folder("original").join("data.bin");
    fs::write(&data, files::noise(5, 700_000)).expect("a file");
    data
}

#[test]
fn wl_and_libtorrent_speak_v2_about_a_hybrid() {
    let scene = Scene::set();
    let data = data(&scene);
    let made = scene.torrent(&data, None, &[]);
    let flags = ["--torrent", made.path(), "--listen", "127.0.0.1:0"];

    let seeder = Peer::with(&scene.folder("original"), &flags);
    let relay = Relay::to(([127, 0, 0, 1], port(seeder.port())).into());
    // Before it has looked at its files it takes nobody in.
    assert_eq!(seeder.wait("checked")["complete"], true);
    let base = scene.tracker.base_url();
    let copy = scene.folder("copy of wl");
    let more = ["--tracker", &base, "--peer", &relay.address()];
    Transfer::get(scene.home(), made.path(), &copy, &more).end();
    assert_v2(&relay.talk("handshakes", |talk| talk.server.len() >= 68), &made);
    seeder.leave();

    let (seed, at) =
        Transfer::seed(scene.home(), &made.path, &scene.folder("original"), &["--tracker", &base]);
    let relay = Relay::to(([127, 0, 0, 1], port(at)).into());
    let copy = scene.folder("copy of libtorrent");
    let leecher = Peer::with(&copy, &[&flags[..], &["--peer", &relay.address()]].concat());
    leecher.wait("complete");
    assert_v2(&relay.talk("handshakes", |talk| talk.server.len() >= 68), &made);
    seed.interrupt();
}

/// Asked for by the v1 hash with the bit, or by the v2 hash at once; answered with the v2 hash.
fn assert_v2(talk: &Talk, made: &Made) {
    let hashes = made.metainfo.hashes();
    let v1 = hashes.v1().expect("a hybrid").0;
    let v2 = &hashes.v2().expect("a hybrid").0[..20];
    let asked = &talk.client[28..48];
    assert!(asked == v2 || asked == v1 && talk.client[27] & V2_BIT != 0, "{:?}", &talk.client[..48]);
    assert_eq!(&talk.server[28..48], v2);
}

#[test]
fn only_a_public_torrent_knows_ut_pex() {
    for (flags, knows) in [(&[][..], true), (&["--private"][..], false)] {
        let scene = Scene::set();
        let data = data(&scene);
        let made = scene.torrent(&data, None, flags);
        let base = scene.tracker.base_url();
        let (seed, at) =
            Transfer::seed(scene.home(), &made.path, &scene.folder("original"), &["--tracker", &base]);
        let relay = Relay::to(([127, 0, 0, 1], port(at)).into());
        let copy = scene.folder("copy");
        let more = ["--tracker", &base, "--peer", &relay.address()];
        Transfer::get(scene.home(), made.path(), &copy, &more).end();
        let greeted = |talk: &Talk| holds(&talk.client, "ut_metadata") && holds(&talk.server, "ut_metadata");
        let talk = relay.talk("both extension handshakes", greeted);
        assert_eq!(holds(&talk.client, "6:ut_pex"), knows, "wl get");
        assert_eq!(holds(&talk.server, "6:ut_pex"), knows, "wl seed");
        seed.interrupt();
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn port(number: u64) -> u16 {
    u16::try_from(number).expect("a port")
}
