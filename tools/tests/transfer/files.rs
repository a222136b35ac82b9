//! Which files are fetched, and what happens to those that are there.

use crate::support::{Place, generated};
use crate::swarm::{Seeder, below, create, get, names};
use std::fs;

fn directory() -> (Place, Seeder) {
    let place = Place::new();
    place.file("d/a.csv", 300_000);
    place.file("d/b.bin", 500_000);
    place.file("d/empty", 0);
    place.file("d/sub/c.csv", 70_000);
    create(&place, "d", &["--piece-length", "65536"]);
    let seeder = Seeder::start(&place, &["d.torrent"]);
    (place, seeder)
}

#[test]
fn a_list_needs_no_peer_and_writes_nothing() {
    let (place, _seeder) = directory();
    let ran = get(&place, &["--list", "-o", "out", "d.torrent"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "0  293.0 KB  a.csv\n1  488.3 KB  b.bin\n2  0 B  empty\n3  68.4 KB  sub/c.csv\n");
    assert!(ran.stderr.contains("Pieces: ") && ran.stderr.contains("Total:  849.6 KB"), "{}", ran.stderr);
    assert!(!place.path().join("out").exists());
    let listed = place.json("get --list d.torrent");
    assert_eq!(listed["files"][3]["path"].as_str(), Some("sub/c.csv"), "{listed}");
}

#[test]
fn only_the_files_that_were_asked_for_are_made() {
    let (place, seeder) = directory();
    let peer = ["--peer", &seeder.address, "--no-save-torrent"];
    for (output, lists, expected) in [
        ("o1", &["0,2-3"][..], &["d/a.csv", "d/empty", "d/sub/c.csv"][..]),
        ("o2", &["*.csv"], &["d/a.csv", "d/sub/c.csv"]),
        ("o3", &["1", "sub/*"], &["d/b.bin", "d/sub/c.csv"]),
        ("o4", &["sub/c.csv"], &["d/sub/c.csv"]),
    ] {
        let chosen = lists.iter().flat_map(|list| ["--files", list]);
        let words: Vec<&str> = ["d.torrent", "-o", output].into_iter().chain(peer).chain(chosen).collect();
        let ran = get(&place, &words);
        assert_eq!(ran.code, 0, "{lists:?}: {}", ran.stderr);
        let found: Vec<String> =
            names(&place.path().join(output)).into_iter().filter(|name| !name.starts_with('.')).collect();
        assert_eq!(found, expected, "{lists:?}");
        for name in expected {
            let there = fs::read(place.path().join(output).join(name)).expect("a file");
            assert_eq!(there, fs::read(place.path().join(name)).expect("the original"), "{name}");
        }
    }
    // The rest later, beside what is there already.
    let words: Vec<&str> = ["d.torrent", "-o", "o1", "--json"].into_iter().chain(peer).collect();
    let ran = get(&place, &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["downloaded"].as_u64(), Some(500_000), "{said}");
    assert_eq!(below(&place.path().join("o1/d")), below(&place.path().join("d")));
}

#[test]
fn where_nothing_matches_the_list_is_shown() {
    let (place, _seeder) = directory();
    for list in ["*.txt", "4-9"] {
        let ran = get(&place, &["d.torrent", "-o", "out", "--files", list]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr.starts_with("wl: no file matches; the torrent has:\n  0  a.csv\n"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("\n  3  sub/c.csv\n"), "{}", ran.stderr);
        assert!(!place.path().join("out").exists());
    }
}

#[test]
fn a_complete_download_is_told_from_another_file_of_its_name() {
    let place = Place::new();
    place.file("f.bin", 1_000_000);
    create(&place, "f.bin", &["--piece-length", "65536"]);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    // Where the data is: nobody is needed.
    let ran = get(&place, &["f.bin.torrent", "-o", "."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Done: ./f.bin\n"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("already complete: ./f.bin\n"), "{}", ran.stderr);

    let mut other = generated(1_000_000);
    other[10] ^= 1;
    place.bytes("out/f.bin", &other);
    let before = below(&place.path().join("out"));
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--no-save-torrent", "--peer", &seeder.address]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let says = "wl: out/f.bin exists and differs (93 % matches); use --overwrite or another --output\n";
    assert!(ran.stderr.ends_with(says), "{}", ran.stderr);
    assert_eq!(below(&place.path().join("out")), before, "nothing is touched");

    let words = ["f.bin.torrent", "-o", "out", "--overwrite", "--json", "--peer", &seeder.address];
    let ran = get(&place, &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["downloaded"].as_u64(), Some(65536), "matching pieces are kept");
    assert_eq!(fs::read(place.path().join("out/f.bin")).expect("a file"), generated(1_000_000));
    assert_eq!(names(&place.path().join("out")), ["f.bin", "f.bin.torrent"]);
}

/// A torrent of the same name and another content keeps its place; ours gets a number.
#[test]
fn a_torrent_that_is_there_is_not_replaced() {
    let place = Place::new();
    place.file("f.bin", 5);
    create(&place, "f.bin", &[]);
    place.file("out/f.bin", 5);
    place.bytes("out/f.bin.torrent", b"something else");
    for _ in 0..2 {
        let ran = get(&place, &["f.bin.torrent", "-o", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(names(&place.path().join("out")), ["f.bin", "f.bin (2).torrent", "f.bin.torrent"]);
    }
    assert_eq!(fs::read(place.path().join("out/f.bin.torrent")).expect("a file"), b"something else");
}

#[test]
fn preallocated_space_is_there_before_the_data() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    place.file("f.bin", 3_000_000);
    create(&place, "f.bin", &[]);
    for (output, flag, least) in [("plain", "--quiet", 0), ("reserved", "--preallocate", 3_000_000)] {
        let ran = get(&place, &["f.bin.torrent", "-o", output, flag, "--timeout", "1"]);
        assert_eq!(ran.code, 5, "{}", ran.stderr);
        let part = fs::metadata(place.path().join(output).join("f.bin.wlpart")).expect("the part");
        assert_eq!(part.len(), 3_000_000);
        let allocated = part.blocks() * 512;
        assert!(if least == 0 { allocated < 3_000_000 } else { allocated >= least }, "{output}: {allocated}");
    }
}
