//! Choosing files: links, pipes, odd names, deep trees, patterns.

use crate::support::Place;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

fn paths(place: &Place, line: &str) -> String {
    let ran = place.wl(&format!("create -q --no-register --force --out t.torrent {line}"));
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    let shown = place.json("show t.torrent");
    let files = shown["files"].as_array().unwrap();
    files.iter().map(|file| file["path"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn patterns_leave_files_out() {
    let place = Place::new();
    for path in ["a.txt", "a.tmp", "d/b.tmp", "d/e/c.txt", ".hidden", "x1"] {
        place.file(&format!("t/{path}"), 5);
    }
    assert_eq!(paths(&place, "t"), ".hidden a.tmp a.txt d/b.tmp d/e/c.txt x1");
    assert_eq!(paths(&place, "--exclude *.tmp --exclude .* t"), "a.txt d/e/c.txt x1");
    assert_eq!(paths(&place, "--exclude d t"), ".hidden a.tmp a.txt x1");
    assert_eq!(paths(&place, "--exclude **/c.txt --exclude [a-x]? t"), ".hidden a.tmp a.txt d/b.tmp");
    let ran = place.wl("create --no-register --exclude * t");
    assert_eq!((ran.code, ran.stderr.as_str()), (3, "wl: no files found in directory\n"));
}

#[test]
fn links_are_skipped_followed_or_an_error() {
    let place = Place::new();
    place.file("t/real", 5);
    place.file("t/d/inner", 6);
    place.file("outside", 7);
    let at = |name: &str| place.path().join("t").join(name);
    symlink("real", at("link")).unwrap();
    symlink("d", at("linked")).unwrap();
    symlink("..", at("d/loop")).unwrap();
    symlink("../outside", at("out")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    let ran = place.wl("create --no-register t");
    assert_eq!(ran.stderr.matches("symbolic link").count(), 5, "{}", ran.stderr);
    assert_eq!(paths(&place, "t"), "d/inner real");
    assert_eq!(paths(&place, "--symlinks follow t"), "d/inner link linked/inner real");
    let ran = place.wl("create --no-register --symlinks follow --force t");
    for word in ["directory loop", "out of the directory", "broken symbolic link"] {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    assert_eq!(place.wl("create --no-register --symlinks error t").code, 3);
    // A link as the argument is followed and keeps its own name.
    symlink("t", place.path().join("alias")).unwrap();
    assert_eq!(place.json("create --no-register alias")["torrent"], "alias.torrent");
}

#[test]
fn pipes_do_not_block() {
    let place = Place::new();
    place.file("t/real", 5);
    let made = std::process::Command::new("mkfifo").arg(place.path().join("t/pipe")).status().unwrap();
    assert!(made.success());
    let ran = place.wl("create --no-register t");
    assert!(ran.code == 0 && ran.stderr.contains("not a regular file"), "{}", ran.stderr);
}

#[test]
fn odd_names_are_refused_or_warned_about() {
    let place = Place::new();
    place.file("t/back\\slash", 5);
    place.file("t/CON.txt", 5);
    let ran = place.wl("create --no-register t");
    assert_eq!(ran.stderr.matches("will be renamed").count(), 2, "{}", ran.stderr);
    assert_eq!(place.wl("verify t.torrent").code, 0);
    place.file("c/Name", 5);
    place.file("c/name", 5);
    assert!(place.wl("create --no-register c").stderr.contains("one file where case is ignored"));
    // One name, composed and decomposed.
    place.file("n/\u{e9}.bin", 5);
    place.file("n/e\u{301}.bin", 5);
    assert!(place.wl("create --no-register n").stderr.contains("the ways to write an accent do not differ"));
    assert_eq!(place.wl("verify n.torrent").code, 0);
    std::fs::create_dir(place.path().join("r")).unwrap();
    let raw = Path::new(std::ffi::OsStr::from_bytes(b"r/\xff.bin"));
    std::fs::write(place.path().join(raw), b"12345").unwrap();
    let ran = place.wl("create --no-register r");
    assert!(ran.code == 3 && ran.stderr.contains("file name is not UTF-8"), "{}", ran.stderr);
    assert_eq!(place.wl("create --no-register --raw-names r").code, 0);
    assert_eq!(place.wl("verify r.torrent").code, 0);
}

#[test]
fn depth_is_bounded_where_libtorrent_bounds_it() {
    let place = Place::new();
    place.file(&format!("t/{}f", "d/".repeat(94)), 5);
    assert_eq!(place.wl("create --no-register t").code, 0);
    assert_eq!(place.wl("verify t.torrent").code, 0);
    place.file(&format!("t/{}f", "e/".repeat(95)), 5);
    let ran = place.wl("create --no-register --force t");
    assert!(ran.code == 3 && ran.stderr.contains("more than 95 levels deep"), "{}", ran.stderr);
}

#[test]
fn the_output_is_not_in_its_own_torrent() {
    let place = Place::new();
    place.file("t/real", 5);
    assert_eq!(paths(&place, "t"), "real");
    for _ in 0..2 {
        assert_eq!(place.wl("create --no-register --force --out t/t.torrent t").code, 0);
        assert_eq!(place.json("show t/t.torrent")["files"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn names_come_from_the_absolute_path() {
    let place = Place::new();
    place.file("t/d/real", 5);
    for line in ["t/d", "t/d/", "t/d/.", "t/d/../d", "./t/d"] {
        let made = place.json(&format!("create --no-register --out x.torrent {line}"));
        assert_eq!(made["name"], "d", "{line}");
    }
    let ran = place.wl("create --no-register /");
    assert_eq!((ran.code, ran.stderr.as_str()), (2, "wl: cannot derive a name; pass --name\n"));
    let made = place.json("create --no-register --out y.torrent t/d/..");
    assert_eq!(made["name"], "t");
    // A single file keeps its own name in the torrent whatever the label.
    let made = place.json("create --no-register --name Label t/d/real");
    assert_eq!((&made["name"], &made["torrent"]), (&"Label".into(), &"Label.torrent".into()));
    assert_eq!(place.json("show Label.torrent")["name"], "real");
}

#[test]
fn only_empty_files_make_a_torrent_with_a_warning() {
    let place = Place::new();
    place.file("t/empty", 0);
    let ran = place.wl("create --no-register t");
    assert!(
        ran.code == 0 && ran.stderr.contains("other clients refuse a torrent without data"),
        "{}",
        ran.stderr
    );
    assert_eq!(place.wl("verify t.torrent").code, 0);
}
