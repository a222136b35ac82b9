//! What is said while it runs, to whom: a line that moves, plain lines, JSON, nothing.

use crate::support::{Place, on_terminal};
use crate::swarm::{Running, Seeder, command, create, free_port, get, wait_listening};

fn published(length: usize) -> (Place, Seeder) {
    let place = Place::new();
    place.file("f.bin", length);
    create(&place, "f.bin", &["--piece-length", "65536"]);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    (place, seeder)
}

#[test]
fn the_result_is_one_object_on_request() {
    let (place, seeder) = published(1_000_000);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--json", "--peer", &seeder.address]);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    let shown = place.json("show f.bin.torrent");
    for (key, value) in [
        ("name", "f.bin".into()),
        ("info_hash", shown["info_hash"].clone()),
        ("v1_info_hash", shown["v1_info_hash"].clone()),
        ("path", "out/f.bin".into()),
        ("size", 1_000_000.into()),
        ("files", 1.into()),
        ("downloaded", 1_000_000.into()),
        ("uploaded", 0.into()),
        ("wasted", 0.into()),
        ("peers", 1.into()),
        ("webseeds", 0.into()),
        ("signature", "none".into()),
        ("publisher_keys", serde_json::json!([])),
    ] {
        assert_eq!(said[key], value, "{key}: {said}");
    }
    assert!(said["duration_s"].as_f64().is_some_and(|seconds| seconds > 0.0), "{said}");
    let failed = get(&place, &["nothing", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&failed.stdout).expect("one object");
    assert_eq!((said["error"]["kind"].as_str(), said["exit"].as_u64()), (Some("input"), Some(3)));
}

#[test]
fn events_are_objects_one_a_line_and_the_result_is_the_last() {
    let (place, seeder) = published(2_000_000);
    let words = ["f.bin.torrent", "-o", "out", "--json-events", "--down", "800K", "--peer", &seeder.address];
    let ran = get(&place, &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    for event in ["peer", "progress", "file", "complete"] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }
    let progress = lines.iter().find(|line| line["event"] == "progress").expect("progress");
    assert_eq!(
        (progress["total"].as_u64(), progress["peers"].as_u64()),
        (Some(2_000_000), Some(1)),
        "{progress}"
    );
    assert_eq!(lines.last().expect("a result")["downloaded"].as_u64(), Some(2_000_000));
    assert_eq!(events.len(), lines.len() - 1);
}

#[test]
fn quiet_is_quiet_and_verbose_names_peers_and_files() {
    let (place, seeder) = published(200_000);
    let ran = get(&place, &["f.bin.torrent", "-o", "a", "--quiet", "--peer", &seeder.address]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "Done: a/f.bin\n", ""));
    let ran = get(&place, &["f.bin.torrent", "-o", "b", "-v", "--peer", &seeder.address]);
    assert!(ran.stderr.contains(&format!("peer {}: connected (", seeder.address)), "{}", ran.stderr);
    assert!(ran.stderr.contains("finished b/f.bin\n"), "{}", ran.stderr);
}

#[test]
fn a_terminal_shows_a_line_that_fits_and_goes_away() {
    let (place, seeder) = published(3_000_000);
    for columns in [130, 70] {
        let output = format!("out{columns}");
        let words = ["get", "f.bin.torrent", "-o", &output, "--down", "1M", "--peer", &seeder.address];
        let ran = on_terminal(columns, &command(place.path(), &words));
        let seen = ran.stdout;
        assert_eq!(ran.code, 0, "{seen:?}");
        let lines: Vec<&str> = seen.split('\r').filter(|line| line.starts_with("f.bin  ")).collect();
        assert!(lines.len() > 3, "{seen:?}");
        for line in &lines {
            assert!(line.chars().count() < columns.into(), "{line:?}");
            assert_eq!(line.contains("[#") || line.contains("[-"), columns == 130, "{line:?}");
        }
        assert!(lines.iter().any(|line| line.contains("/2.9 MB") && line.contains("ETA 0:0")), "{lines:?}");
        if columns == 130 {
            assert!(lines.iter().any(|line| line.contains("peers 1 (1 seed)")), "{lines:?}");
        }
        let behind = seen.rsplit("f.bin  ").next().expect("the end");
        let after: Vec<&str> = behind.split('\r').skip(1).collect();
        assert!(after[0].trim().is_empty() && after[1].starts_with("Done: "), "{seen:?}");
    }
}

/// Where nobody watches a line is said now and then; half a minute is long, so this test has company.
#[test]
fn a_log_gets_a_plain_line_every_half_minute() {
    let (place, seeder) = published(2_200_000);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--down", "64K", "--peer", &seeder.address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("f.bin  ")).collect();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    assert!(lines[0].contains("%  [") && lines[0].contains("/s  ETA 0:"), "{}", lines[0]);
    assert!(!ran.stderr.contains('\r') && !ran.stderr.contains('\x1b'), "{}", ran.stderr);
}

/// The acceptance row says 1 GiB: WL_TEST_MIB=1024 makes it so.
#[test]
fn a_seeder_that_gave_everything_once_shows_a_ratio_of_one() {
    let mib: usize = std::env::var("WL_TEST_MIB").map_or(24, |mib| mib.parse().expect("a number of MiB"));
    let place = Place::new();
    place.file("f.bin", (mib << 20) + 77);
    create(&place, "f.bin", &[]);
    let port = free_port().to_string();
    // Far longer than it takes: nothing but the time ends it.
    let seconds = (12 + mib / 8).to_string();
    let words = ["seed", "--port", &port, "--for", &seconds, "f.bin.torrent"];
    let seed = command(place.path(), &words);
    let seed = std::thread::spawn(move || on_terminal(100, &seed));
    wait_listening(port.parse().expect("a port"));
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--peer", &format!("127.0.0.1:{port}")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let read = |path: &str| std::fs::read(place.path().join(path)).expect("a file");
    assert!(read("out/f.bin") == read("f.bin"));
    let ran = seed.join().expect("no panic");
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let last = ran.stdout.rsplit('\r').find(|line| line.contains("ratio")).expect("a line");
    assert!(last.contains("  ratio 1.00  "), "{last:?}");
}

/// A disk that has gone bad behind its owner's back: one block in each piece of a file that a record calls good.
#[test]
fn a_peer_that_sends_a_corrupt_block_is_banned_and_named() {
    let place = Place::new();
    place.file("f.bin", 1_500_000);
    create(&place, "f.bin", &["--piece-length", "65536", "--format", "v2"]);
    let path = place.file("bad/f.bin", 1_500_000);
    let ran =
        Running::wl(&place, &["seed", "--port", "0", "--for", "0", "--trust-resume", "f.bin.torrent", "bad"])
            .wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let modified = std::fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
    let mut data = std::fs::read(&path).expect("a file");
    data.chunks_mut(65536).for_each(|piece| piece[piece.len() / 2] ^= 1);
    std::fs::write(&path, &data).expect("written");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(modified))
        .expect("set back");

    // The good one is slow, so that the other is surely asked for some of what is corrupt.
    let bad = Seeder::start(&place, &["--trust-resume", "f.bin.torrent", "bad"]);
    let good = Seeder::start(&place, &["--up", "400K", "f.bin.torrent"]);
    let words = ["f.bin.torrent", "-o", "out", "-v", "--peer", &bad.address, "--peer", &good.address];
    let ran = get(&place, &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let banned: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("banned, ")).collect();
    // On one machine a ban is of an address and port, so it may call from another one and be banned again.
    let named = banned.first().expect("a ban");
    let front = format!("peer {}: banned, sent a wrong ", bad.address);
    assert!(named.starts_with(&front) && (named.ends_with(" block") || named.ends_with(" piece")), "{named}");
    assert!(banned.iter().all(|line| !line.contains(&good.address)), "{banned:?}");
    let read = |path: &str| std::fs::read(place.path().join(path)).expect("a file");
    assert!(read("out/f.bin") == read("f.bin"));
}
