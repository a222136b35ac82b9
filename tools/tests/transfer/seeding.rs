//! `wl seed`: what it checks, what it offers, what ends it.

use crate::support::{Place, generated};
use crate::swarm::{PATIENCE, Running, Seeder, command, create, free_port, get};
use crate::web::Web;
use std::fs;
use std::time::Instant;

fn published(length: usize) -> Place {
    let place = Place::new();
    place.file("f.bin", length);
    create(&place, "f.bin", &["--piece-length", "65536"]);
    place
}

fn seed(place: &Place, words: &[&str]) -> crate::support::Ran {
    Running::wl(place, &[&["seed", "--port", "0"], words].concat()).wait()
}

#[test]
fn the_ready_line_names_the_torrent_and_a_signal_is_its_normal_end() {
    let place = published(200_000);
    let hash = place.json("show f.bin.torrent")["info_hash"].as_str().expect("a hash").to_owned();
    for signal in ["INT", "TERM", "HUP"] {
        let mut running = Running::wl(&place, &["seed", "--port", "0", "f.bin.torrent"]);
        let line = running.line();
        let (front, port) = line.rsplit_once(' ').expect("words");
        assert_eq!(front, format!("Seeding: f.bin {hash} port"));
        assert!(port.parse::<u16>().is_ok_and(|port| port > 0));
        running.signal(signal);
        let ran = running.wait();
        assert_eq!(ran.code, 0, "{signal}: {}", ran.stderr);
    }
}

#[test]
fn incomplete_data_is_refused_with_counts_or_offered_in_part() {
    let place = published(640_000);
    let mut data = generated(640_000);
    data[300_000] ^= 1;
    place.bytes("bad/f.bin", &data);
    let ran = seed(&place, &["f.bin.torrent", "bad"]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("wl: f.bin: 9 of 10 pieces are good\n  hint: "), "{}", ran.stderr);
    let ran = seed(&place, &["--partial", "f.bin.torrent", "empty"]);
    assert_eq!(ran.code, 3, "no such directory: {}", ran.stderr);
    fs::create_dir(place.path().join("empty")).expect("a directory");
    assert_eq!(seed(&place, &["--partial", "f.bin.torrent", "empty"]).code, 7);

    let before = fs::read(place.path().join("bad/f.bin")).expect("a file");
    let part = Seeder::start(&place, &["--partial", "f.bin.torrent", "bad"]);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--timeout", "2", "--peer", &part.address]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("89 % complete, run the same command to resume"), "{}", ran.stderr);
    // The missing piece from one who has it; the rest is here.
    let whole = Seeder::start(&place, &["f.bin.torrent", "f.bin"]);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--json", "--peer", &whole.address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["downloaded"].as_u64(), Some(65536), "{said}");
    part.running.signal("TERM");
    part.running.wait();
    assert_eq!(fs::read(place.path().join("bad/f.bin")).expect("a file"), before, "never written");
}

#[test]
fn the_tracker_hears_the_truth() {
    let place = published(640_000);
    let mut data = generated(640_000);
    data[0] ^= 1;
    place.bytes("bad/f.bin", &data);
    for (words, left) in [(["f.bin.torrent", "."], 0), (["f.bin.torrent", "bad"], 65536)] {
        let web = Web::answering(&[("/announce", "200 OK", b"d8:intervali1800e5:peers0:e")]);
        let seeder = Seeder::start(&place, &[&["--partial", "--tracker", &web.url], &words[..]].concat());
        let begun = Instant::now();
        while web.seen().len() < 2 && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        seeder.running.signal("TERM");
        assert_eq!(seeder.running.wait().code, 0);
        let seen = web.seen();
        let (started, rest) = seen.split_at(2);
        assert!(
            started
                .iter()
                .all(|line| line.contains("event=started") && line.contains(&format!("left={left}&"))),
            "{seen:?}"
        );
        assert!(rest.iter().all(|line| line.contains("event=stopped")) && rest.len() == 2, "{seen:?}");
    }
}

#[test]
fn enough_is_enough() {
    let place = published(500_000);
    let ran = seed(&place, &["--for", "1", "f.bin.torrent"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let seeder = Seeder::start(&place, &["--ratio", "2", "f.bin.torrent"]);
    for output in ["a", "b"] {
        assert_eq!(get(&place, &["f.bin.torrent", "-o", output, "--peer", &seeder.address]).code, 0);
    }
    let ran = seeder.running.wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // A download goes on as a seeder, for as long.
    let first = Seeder::start(&place, &["f.bin.torrent"]);
    let ran = get(&place, &["f.bin.torrent", "-o", "c", "--seed", "--for", "1", "--peer", &first.address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Done: c/f.bin\n"), "{}", ran.stderr);
}

#[test]
fn several_torrents_are_seeded_at_once() {
    let place = published(300_000);
    place.file("elsewhere/g.bin", 400_000);
    create(&place, "elsewhere/g.bin", &[]);
    let mut seeder = Seeder::start(&place, &["f.bin.torrent", ".", "--also", "g.bin.torrent=elsewhere"]);
    assert!(seeder.running.line().starts_with("Seeding: g.bin "));
    for torrent in ["f.bin.torrent", "g.bin.torrent"] {
        let ran = get(&place, &[torrent, "-o", "out", "--peer", &seeder.address]);
        assert_eq!(ran.code, 0, "{torrent}: {}", ran.stderr);
    }
    let ran = seed(&place, &["f.bin.torrent", ".", "--also", "g.bin.torrent"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

/// A record is made once everything was good; after that a change of the file's time is a reason to look again.
#[test]
fn a_record_saves_the_next_check_and_is_not_believed_about_changed_files() {
    let place = published(500_000);
    let record = || {
        let mut names = fs::read_dir(place.path()).expect("a directory").filter_map(Result::ok);
        names.any(|entry| entry.file_name().to_string_lossy().ends_with(".wlresume"))
    };
    seed(&place, &["--for", "0", "f.bin.torrent"]);
    assert!(!record());
    seed(&place, &["--for", "0", "--trust-resume", "f.bin.torrent"]);
    assert!(record());
    let mut data = generated(500_000);
    data[7] ^= 1;
    place.bytes("f.bin", &data);
    assert_eq!(seed(&place, &["--for", "0", "--trust-resume", "f.bin.torrent"]).code, 7);
}

#[test]
fn files_that_change_or_vanish_are_no_longer_offered() {
    let place = Place::new();
    place.file("d/a.bin", 400_000);
    place.file("d/b.bin", 400_000);
    create(&place, "d", &["--piece-length", "65536"]);
    let mut seeder = Seeder::start(&place, &["--json-events", "d.torrent"]);
    fs::remove_file(place.path().join("d/a.bin")).expect("a file");
    assert!(seeder.running.line_with("withdrawn").contains("d/a.bin"));
    let ran = get(&place, &["d.torrent", "-o", "out", "--timeout", "3", "--peer", &seeder.address]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert_eq!(fs::read(place.path().join("out/d/b.bin")).expect("the other file"), generated(400_000));
    assert!(seeder.running.ended().is_none(), "one file is left");
    fs::remove_file(place.path().join("d/b.bin")).expect("a file");
    let begun = Instant::now();
    let ran = seeder.running.wait();
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("d/a.bin: changed or gone; its pieces are no longer offered"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.ends_with("wl: no file is left to seed\n"), "{}", ran.stderr);
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_link_or_a_hash_names_what_to_seed() {
    let place = published(300_000);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    let link = place.wl("magnet f.bin.torrent").stdout.trim().to_owned();
    let second = Seeder::start(&place, &[&link, ".", "--peer", &seeder.address]);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--peer", &second.address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let torrent = fs::read(place.path().join("f.bin.torrent")).expect("a torrent");
    let registry = Web::answering(&[("/api/registry/torrent", "200 OK", &torrent)]);
    let hash = place.json("show f.bin.torrent")["info_hash"].as_str().expect("a hash").to_owned();
    let ran = seed(&place, &["--for", "0", "--tracker", &registry.url, &hash]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_download_that_seeds_on_ends_at_its_ratio() {
    let place = published(500_000);
    let first = Seeder::start(&place, &["f.bin.torrent"]);
    let port = free_port().to_string();
    let words =
        ["get", "f.bin.torrent", "-o", "a", "--seed", "--ratio", "2", "--port", &port, "--json-events"];
    let mut second = Running::wl(&place, &[&words[..], &["--peer", &first.address]].concat());
    second.line_with("\"complete\"");
    let address = format!("127.0.0.1:{port}");
    let peer = ["--no-pex", "--peer", &address];
    assert_eq!(get(&place, &[&["f.bin.torrent", "-o", "b"], &peer[..]].concat()).code, 0);
    assert!(second.ended().is_none(), "half of it");
    assert_eq!(get(&place, &[&["f.bin.torrent", "-o", "c"], &peer[..]].concat()).code, 0);
    let ran = second.wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().last().expect("a result")).expect("JSON");
    assert_eq!(said["uploaded"].as_u64(), Some(1_000_000), "{said}");
}

/// Nobody named the default tracker: it is for links and hashes.
#[test]
fn a_torrent_without_trackers_is_announced_where_a_person_says_or_nowhere() {
    let place = Place::new();
    place.file("f.bin", 100_000);
    create(&place, "f.bin", &["--no-tracker"]);
    let without = |words: &[&str]| {
        let mut wl = command(place.path(), words);
        wl.env_remove("WL_TRACKER");
        Running::start(wl)
    };
    let ran = without(&["seed", "--port", "0", "-v", "--for", "1", "f.bin.torrent"]).wait();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "not a word of a tracker");
    let ran = without(&["get", "-o", "out", "f.bin.torrent"]).wait();
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let says = "wl: no peers: no tracker is named\n  hint: name one with --tracker, or a peer with --peer\n";
    assert!(ran.stderr.ends_with(says), "{}", ran.stderr);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    let ran = without(&["get", "-o", "out", "f.bin.torrent", "--peer", &seeder.address]).wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let web = Web::answering(&[("/announce", "200 OK", b"d8:intervali1800e5:peers0:e")]);
    let ran = without(&["seed", "--port", "0", "--for", "1", "--tracker", &web.url, "f.bin.torrent"]).wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(web.seen().iter().any(|line| line.contains("event=started")), "{:?}", web.seen());
}

#[test]
fn as_many_descriptors_as_the_system_allows() {
    let place = published(1000);
    let mut shell = std::process::Command::new("sh");
    let script = "ulimit -Sn 64 && exec \"$@\"";
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_wl"), "seed", "--port", "0", "f.bin.torrent"]);
    shell.current_dir(place.path()).env("WL_TRACKER", crate::swarm::NOBODY);
    let seeder = Seeder::ready(Running::start(shell));
    let limits = fs::read_to_string(format!("/proc/{}/limits", seeder.running.id())).expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words[3] == words[4] && words[3] != "64", "{line}");
}
