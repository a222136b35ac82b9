//! Every format with small and large pieces, both ways with libtorrent, over both wires and families.

use super::Scene;
use crate::support::files;
use crate::support::peer::Peer;
use crate::support::transfer::Transfer;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn v1_both_ways_with_libtorrent() {
    small_and_large_pieces("v1");
}

#[test]
fn hybrids_both_ways_with_libtorrent() {
    small_and_large_pieces("hybrid");
}

#[test]
fn v2_only_both_ways_with_libtorrent() {
    small_and_large_pieces("v2");
}

#[test]
fn both_ways_over_ipv6_and_http() {
    both_ways("hybrid", "64K", "[::1]", nested, |scene| scene.http("[::1]"));
}

#[test]
fn both_ways_over_ipv6_and_udp() {
    both_ways("hybrid", "64K", "[::1]", nested, |scene| scene.udp("[::1]"));
}

fn small_and_large_pieces(format: &str) {
    both_ways(format, "16K", "127.0.0.1", of_the_specification, |scene| scene.udp("127.0.0.1"));
    both_ways(format, "1M", "127.0.0.1", nested, |scene| scene.http("127.0.0.1"));
}

fn both_ways(
    format: &str,
    piece_length: &str,
    host: &str,
    fill: impl Fn(&Path),
    url: impl Fn(&Scene) -> String,
) {
    let scene = Scene::set();
    let original = scene.folder("original/dir");
    fill(&original);
    let from = scene.folder("original");
    let url = url(&scene);
    let made = scene.torrent(&original, Some(&url), &["--format", format, "--piece-length", piece_length]);
    let listen = format!("{host}:0");
    let hashes = if format == "hybrid" { 2 } else { 1 };

    let seeder = Peer::start(&made.path, &from, &url, &listen);
    assert_eq!(seeder.wait("checked")["complete"], true);
    seeder.wait_announced(hashes);
    let copy = scene.folder("copy of wl");
    let result = Transfer::get(scene.home(), made.path(), &copy, &[]).end();
    files::assert_same(&original, &copy.join("dir"));
    assert_eq!(result["downloaded"], made.metainfo.total_bytes(), "{result}");
    assert_eq!(result["wasted"], 0, "{result}");
    seeder.leave();

    let (seed, _) = Transfer::seed(scene.home(), &made.path, &from, &[]);
    for _ in 0..hashes {
        seed.wait("tracker");
    }
    let copy = scene.folder("copy of libtorrent");
    let leecher = Peer::start(&made.path, &copy, &url, &listen);
    leecher.wait("complete");
    leecher.leave();
    files::assert_same(&original, &copy.join("dir"));
    seed.interrupt();
}

/// The folder `dir` of the specification, where byte i of a file is i % 251.
fn of_the_specification(root: &Path) {
    for (name, length) in [
        ("a/b.bin", 20_000),
        ("a/empty", 0),
        ("a.txt", 5),
        ("z.bin", 3),
        ("é.bin", 16_385),
        ("日本.bin", 262_145),
    ] {
        let path: PathBuf = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, (0..length).map(|i| (i % 251) as u8).collect::<Vec<_>>()).expect("a file");
    }
}

/// What is easy to get wrong, and a file of several large pieces.
fn nested(root: &Path) {
    files::nested_folder(root);
    fs::write(root.join("several pieces.bin"), files::noise(99, 3_500_000)).expect("a file");
}
