//! How a download ends when it does not end well: each message, its exit code, and what is left for the next run.

use crate::support::Place;
use crate::swarm::{NOBODY, PATIENCE, Running, Seeder, command, create, get};
use crate::web::Web;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn published(length: usize) -> (Place, Seeder) {
    let place = Place::new();
    place.file("f.bin", length);
    create(&place, "f.bin", &["--piece-length", "65536"]);
    let seeder = Seeder::start(&place, &["--up", "1M", "f.bin.torrent"]);
    (place, seeder)
}

/// A download of twenty seconds that has something of it.
fn under_way(place: &Place, seeder: &Seeder, more: &[&str]) -> Running {
    let words =
        ["get", "f.bin.torrent", "-o", "out", "--down", "300K", "--json-events", "--peer", &seeder.address];
    let mut running = Running::wl(place, &[&words, more].concat());
    loop {
        let line: serde_json::Value = serde_json::from_str(&running.line_with("progress")).expect("JSON");
        if line["done"].as_u64().is_some_and(|done| done > 0) {
            return running;
        }
    }
}

#[test]
fn signals_save_what_is_there_and_say_how_to_go_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let (place, seeder) = published(6_000_000);
        let running = under_way(&place, &seeder, &[]);
        running.signal(signal);
        let ran = running.wait();
        assert_eq!(ran.code, code, "{}", ran.stderr);
        let last = ran.stderr.lines().last().expect("a line");
        assert!(
            last.starts_with("stopped at ") && last.ends_with(" %; run the same command to resume"),
            "{last}"
        );
        let object: serde_json::Value =
            serde_json::from_str(ran.stdout.lines().last().expect("a result")).expect("JSON");
        assert_eq!(object["exit"].as_u64(), Some(code as u64), "{object}");
        assert_eq!(object["error"]["kind"].as_str(), Some("stopped"), "{object}");
        let had = object["downloaded"].as_u64().expect("a count");
        assert!(had > 0);

        let ran = get(&place, &["f.bin.torrent", "-o", "out", "--json", "--peer", &seeder.address]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let more = object["downloaded"].as_u64().expect("a count");
        // What was in memory and not whole when it stopped comes again.
        assert!(more <= 6_000_000 - had + 32 * 65536 && more < 6_000_000, "{had} and {more}");
    }
}

/// A tracker that does not take leave keeps a farewell waiting; a second signal does not wait.
#[test]
fn a_second_signal_leaves_at_once() {
    let (place, seeder) = published(6_000_000);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let tracker = format!("http://{}", listener.local_addr().expect("an address"));
    let (leaving, left) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            if String::from_utf8_lossy(&head[..read]).contains("event=stopped") {
                let _ = leaving.send(());
                held.push(stream);
                continue;
            }
            let body = "d8:intervali1800e5:peers0:e";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let running = under_way(&place, &seeder, &["--tracker", &tracker]);
    running.signal("INT");
    left.recv_timeout(PATIENCE).expect("it says farewell");
    let begun = std::time::Instant::now();
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(begun.elapsed() < std::time::Duration::from_millis(2000), "{:?}", begun.elapsed());
    assert!(ran.stderr.contains("run the same command to resume"), "{}", ran.stderr);
}

#[test]
fn without_peers_it_gives_up_after_the_timeout() {
    let place = Place::new();
    place.file("f.bin", 100_000);
    create(&place, "f.bin", &["--no-tracker"]);
    let empty = Web::answering(&[("/announce", "200 OK", b"d8:intervali1800e5:peers0:e")]);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--timeout", "2", "--tracker", &empty.url]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let last = ran.stderr.lines().last().expect("a line");
    assert_eq!(last, "wl: no peers found after 2 s; 0 % complete, run the same command to resume");
    let seen = empty.seen();
    assert!(
        seen.iter().any(|line| line.contains("event=started") && line.contains("left=100000")),
        "{seen:?}"
    );
    assert!(seen.iter().any(|line| line.contains("event=stopped")), "{seen:?}");
}

#[test]
fn nobody_with_the_metadata_is_told_apart_from_nobody_at_all() {
    let place = Place::new();
    let empty = Web::answering(&[("/announce", "200 OK", b"d8:intervali1800e5:peers0:e")]);
    let hash = "0123456789012345678901234567890123456789";
    let ran = get(&place, &[hash, "--timeout", "1", "--tracker", &empty.url]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("wl: no peer served the metadata (0 tried): no peers found\n"),
        "{}",
        ran.stderr
    );
    assert!(empty.seen().iter().any(|line| line.contains("left=1&")), "{:?}", empty.seen());
}

#[test]
fn trackers_that_fail_are_named_and_do_not_matter_while_there_is_somebody() {
    let place = Place::new();
    place.file("f.bin", 3_000_000);
    create(&place, "f.bin", &["--announce", "udp://127.0.0.1:9/announce"]);
    create(&place, "f.bin", &["--out", "one.torrent"]);
    let ran = get(&place, &["one.torrent", "-o", "out"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let last = ran.stderr.lines().last().expect("a line");
    assert!(last.starts_with(&format!("wl: no tracker answered: {NOBODY}/announce: ")), "{last}");
    // With somebody it goes on: here somebody slow enough that the tracker has failed before the end.
    let seeder = Seeder::start(&place, &["--up", "1M", "f.bin.torrent"]);
    let ran = get(&place, &["one.torrent", "-o", "out", "--peer", &seeder.address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("Warning: no tracker answered: "), "{}", ran.stderr);
}

#[test]
fn a_tracker_that_refuses_says_why_and_what_to_do() {
    let place = Place::new();
    place.file("f.bin", 100_000);
    create(&place, "f.bin", &["--no-tracker"]);
    for (answer, says, hint) in [
        (&b"d14:failure reason12:not here \x1b[2e"[..], "wl: tracker refused: not here \\x1b[2", false),
        (
            b"d14:failure reason29:Unauthorized: passkey neededXe",
            "wl: tracker refused: Unauthorized: passkey neededX",
            true,
        ),
    ] {
        let web = Web::answering(&[("/announce", "200 OK", answer)]);
        let ran = get(&place, &["f.bin.torrent", "-o", "out", "--tracker", &web.url]);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        assert_eq!(
            ran.stderr.contains("\n  hint: pass --user-id and set TRACKER_SECRET\n"),
            hint,
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn two_at_once_are_one_too_many() {
    let (place, seeder) = published(6_000_000);
    let first = under_way(&place, &seeder, &[]);
    let second = get(&place, &["f.bin.torrent", "-o", "out", "--peer", &seeder.address]);
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(second.stderr.ends_with("wl: f.bin: already being downloaded\n"), "{}", second.stderr);
    first.signal("INT");
    assert_eq!(first.wait().code, 130, "the first is not disturbed");
}

/// In a mount namespace of its own, on a small file system that somebody else fills meanwhile.
#[test]
fn a_full_disk_keeps_what_is_there() {
    let (place, seeder) = published(6_000_000);
    let torrent = place.path().join("f.bin.torrent");
    let script = "mount -t tmpfs -o size=8m none out || exit 99
        \"$@\" --down 400K & child=$!
        until test -e out/f.bin.wlpart; do sleep 0.05; done
        dd if=/dev/zero of=out/filler bs=64k 2>/dev/null
        wait $child; code=$?
        ls -a out; rm out/filler
        \"$@\" --quiet && cmp out/f.bin f.bin && exit $code";
    std::fs::create_dir(place.path().join("out")).expect("a directory");
    let wl = command(place.path(), &["get"]);
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(wl.get_program());
    shell.args(["get", "-o", "out", "--no-save-torrent", "--peer", &seeder.address]).arg(torrent);
    shell.current_dir(place.path()).env("WL_TRACKER", NOBODY);
    let ran = Running::start(shell).wait();
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    let failed = ran.stderr.lines().find(|line| line.starts_with("wl: ")).expect("a failure");
    let (path, rest) = failed.split_once(": no space left (need ").expect("the written words");
    assert_eq!(path, "wl: out/f.bin.wlpart");
    assert!(rest.ends_with(" MB more); progress saved"), "{failed}");
    assert!(ran.stdout.contains(".wlresume"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_written_is_named() {
    let place = Place::new();
    place.file("f.bin", 100_000);
    create(&place, "f.bin", &[]);
    place.bytes("file", b"x");
    let ran = get(&place, &["f.bin.torrent", "-o", "file"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("wl: cannot write file: "), "{}", ran.stderr);
    let script = "mount -t tmpfs none out && mount -o remount,ro out || exit 99; exec \"$@\"";
    std::fs::create_dir(place.path().join("out")).expect("a directory");
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_wl")]);
    shell.args(["get", "-o", "out", "f.bin.torrent"]).current_dir(place.path());
    let ran = Running::start(shell).wait();
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("wl: cannot write out/") && ran.stderr.contains("read-only"),
        "{}",
        ran.stderr
    );
}

/// The same torrent with another v1 hash of its last piece: the roots say one thing, `pieces` another.
#[test]
fn v1_and_v2_hashes_of_different_data_are_an_inconsistent_torrent() {
    let place = Place::new();
    let data = std::fs::read(place.file("f.bin", 200_000)).expect("a file");
    let web = Web::answering(&[("/f.bin", "200 OK", &data)]);
    create(&place, "f.bin", &["--piece-length", "65536", "--webseed", &format!("{}/f.bin", web.url)]);
    let mut torrent = std::fs::read(place.path().join("f.bin.torrent")).expect("a torrent");
    let marker = b"6:pieces80:";
    let at = torrent.windows(marker.len()).position(|bytes| bytes == marker).expect("v1 hashes");
    torrent[at + marker.len() + 79] ^= 1;
    place.bytes("other.torrent", &torrent);
    let ran = get(&place, &["other.torrent", "-o", "out"]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.ends_with("wl: v1 and v2 hashes describe different data\n"), "{}", ran.stderr);
    assert!(!place.path().join("out/f.bin").exists(), "nothing is called complete");
}

/// As somebody who owns neither the directory nor the rights of root.
#[test]
fn a_directory_that_belongs_to_somebody_else_is_named() {
    const NOBODY_ID: u32 = 65534;
    let place = Place::new();
    place.file("f.bin", 100_000);
    create(&place, "f.bin", &[]);
    let out = place.path().join("out");
    std::fs::create_dir(&out).expect("a directory");
    let allow =
        |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("mode");
    allow(&out, 0o555);
    allow(place.path(), 0o755);
    // Where the program lies, others may not be allowed to look.
    let wl = place.path().join("wl");
    std::fs::copy(env!("CARGO_BIN_EXE_wl"), &wl).expect("a copy");
    let mut command = Command::new(&wl);
    command.args(["get", "-o", "out", "f.bin.torrent"]).current_dir(place.path()).env("WL_TRACKER", NOBODY);
    if std::fs::metadata(&out).expect("a directory").uid() == 0 {
        command.uid(NOBODY_ID).gid(NOBODY_ID);
    }
    let ran = Running::start(command).wait();
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let last = ran.stderr.lines().last().expect("a line");
    assert!(last.starts_with("wl: cannot write out") && last.ends_with(": permission denied"), "{last}");
    assert_eq!(std::fs::read_dir(&out).expect("a directory").count(), 0);
    allow(&out, 0o755);
}

#[test]
fn values_beyond_their_range_are_refused_before_anything_is_done() {
    let place = Place::new();
    place.file("f.bin", 1000);
    create(&place, "f.bin", &["--out", "t.torrent"]);
    for (flag, values, says) in [
        ("--memory", &["3M", "4194303", "1025M", "2G", "x", ""][..], "wl: --memory must be 4M-1G"),
        ("--max-peers", &["0", "10001", "-1"], "wl: --max-peers must be 1-10000"),
        ("--port", &["65536", "x"], "wl: --port must be 0-65535"),
        ("--ratio", &["-1", "NaN", "inf"], "wl: --ratio must be a number from 0 on"),
        ("--down", &["1023", "fast"], "wl: --down must be bytes per second"),
    ] {
        for value in values {
            let ran = get(&place, &["t.torrent", "-o", "out", &format!("{flag}={value}")]);
            assert_eq!(ran.code, 2, "{flag} {value}: {}", ran.stderr);
            assert!(ran.stderr.starts_with(says), "{flag} {value}: {}", ran.stderr);
        }
    }
    assert!(!place.path().join("out").exists());
    for value in ["4M", "1G"] {
        let ran = get(&place, &["t.torrent", "-o", ".", "--memory", value]);
        assert_eq!(ran.code, 0, "{value}: {}", ran.stderr);
    }
}
