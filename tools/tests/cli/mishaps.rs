//! What can go wrong on a disk while a torrent is made: the written answer each time, and nothing half done left behind.

use crate::support::Place;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

const WL: &str = env!("CARGO_BIN_EXE_wl");

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

fn create(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(WL);
    command.args(["create", "--no-register"]).args(words).current_dir(place.path()).env_clear();
    command.stdin(Stdio::null());
    command
}

/// Root can read everything, so the program runs as somebody else then: as a copy, where that user can reach it.
#[test]
fn what_cannot_be_read_is_named_and_nothing_is_written() {
    let place = Place::new();
    place.file("t/d/fine", 5);
    let (file, directory) = (place.file("t/d/secret", 5), place.path().join("t/d"));
    fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
    let wl = place.path().join("wl");
    fs::copy(WL, &wl).unwrap();
    let run = |says: &str| {
        let mut command = Command::new(&wl);
        command
            .args(["create", "--no-register", "--out", "x.torrent", "t"])
            .current_dir(place.path())
            .env_clear();
        if is_root() {
            command.uid(65534).gid(65534);
        }
        let output = command.output().expect("wl runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert!(!place.path().join("x.torrent").exists());
    };
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    run("t/d/secret: permission denied");
    fs::set_permissions(&directory, Permissions::from_mode(0o000)).unwrap();
    run("t/d: permission denied");
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
}

/// Changes a file without pause from before the program starts until it has ended.
fn while_changing(place: &Place, mut change: impl FnMut(u64)) {
    let mut child =
        create(place, &["--out", "x.torrent", "t"]).stderr(Stdio::piped()).spawn().expect("wl runs");
    for round in 0.. {
        change(round);
        if child.try_wait().expect("our child").is_some() {
            break;
        }
        std::thread::yield_now();
    }
    let output = child.wait_with_output().expect("our child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("t/big: file changed while hashing"), "{stderr}");
    assert!(!place.path().join("x.torrent").exists());
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_hashed_ends_the_work() {
    let place = Place::new();
    let big = place.file("t/big", 24 << 20);
    place.file("t/small", 5);
    let mut file = OpenOptions::new().append(true).open(&big).unwrap();
    while_changing(&place, |_| file.write_all(b"more").unwrap());
    let file = OpenOptions::new().write(true).open(&big).unwrap();
    while_changing(&place, |round| file.set_len((24 << 20) - round % 2).unwrap());
}

#[test]
fn a_full_disk_leaves_no_part_of_a_torrent_and_the_old_one_whole() {
    let place = Place::new();
    place.file("old.bin", 5);
    place.file("f.bin", 8 << 20);
    fs::create_dir(place.path().join("out")).unwrap();
    let script = "mount -t tmpfs -o size=16k none out || exit 99
        $WL create -q --no-register --out out/x.torrent old.bin > /dev/null || exit 98
        cp out/x.torrent before
        $WL create --no-register --force --piece-length 16K --out out/x.torrent f.bin
        code=$?
        cmp before out/x.torrent || exit 97
        [ \"$(ls -A out)\" = x.torrent ] || exit 96
        exit $code";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .current_dir(place.path())
        .env("WL", WL)
        .output();
    let Ok(output) = output else { return eprintln!("not tried: no unshare") };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !is_root() || output.status.code() == Some(99) {
        return eprintln!("not tried: no small disk to be had ({})", stderr.trim());
    }
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("wl: cannot write out/x.torrent: no space left\n"), "{stderr}");
}

#[test]
fn standard_output_may_be_full_or_gone() {
    let place = Place::new();
    place.file("f.bin", 5);
    for words in [&["f.bin"][..], &["--out", "-", "f.bin"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = create(&place, words).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(4) && stderr.contains("wl: stdout: no space left"), "{stderr}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = create(&place, &["-q", "f.bin"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn links_and_pipes_as_the_argument_do_not_hang() {
    let place = Place::new();
    let at = |name: &str| place.path().join(name);
    symlink("self", at("self")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    for (name, says) in [
        ("self", "self: too many levels of symbolic links\n"),
        ("broken", "broken: no such file or directory"),
        ("pipe", "pipe: not a file or directory"),
        ("/dev/null", "/dev/null: not a file or directory"),
    ] {
        let ran = place.wl(&format!("create --no-register {name}"));
        assert!(ran.code == 3 && ran.stderr.contains(says), "{name}: {}", ran.stderr);
    }
    // Below a directory: skipped, whatever is done with links.
    place.file("t/real", 5);
    symlink("self", at("t/self")).unwrap();
    symlink("two", at("t/one")).unwrap();
    symlink("one", at("t/two")).unwrap();
    for how in ["skip", "follow"] {
        let ran = place.wl(&format!("create --no-register --force --symlinks {how} t"));
        assert_eq!((ran.code, ran.stderr.matches("symbolic link").count()), (0, 3), "{}", ran.stderr);
    }
}

#[test]
fn a_hundred_directory_levels_are_too_many() {
    let place = Place::new();
    place.file(&format!("t/{}f", "d/".repeat(100)), 5);
    let ran = place.wl("create --no-register t");
    assert!(ran.code == 3 && ran.stderr.contains("more than 95 levels deep"), "{}", ran.stderr);
    assert!(!Path::new(&place.path().join("t.torrent")).exists());
    // One of them excluded, the rest is made.
    File::create(place.path().join("t/other")).unwrap().write_all(b"x").unwrap();
    assert_eq!(place.wl("create --no-register --exclude d t").code, 0);
}
