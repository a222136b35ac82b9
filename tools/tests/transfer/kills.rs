//! A download that is killed at random moments and begun again: the file comes out right, and nothing that was on record
//! is fetched a second time.

use crate::support::{Place, generated};
use crate::swarm::{Running, Seeder, create};
use std::fs;
use std::path::Path;
use std::time::Duration;

const LENGTH: usize = 24_000_000;
const PIECE: u64 = 65536;

/// Bytes that the record in a directory says are verified.
fn on_record(directory: &Path) -> u64 {
    let mut entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let Some(entry) = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(".wlresume")) else {
        return 0;
    };
    let record = fs::read(entry.path()).unwrap_or_default();
    let Some(bits) = record.len().checked_sub(32).and_then(|end| record.get(92 + 24..end)) else { return 0 };
    let set: u64 = bits.iter().map(|byte| u64::from(byte.count_ones())).sum();
    // The last piece is shorter than the others.
    let pieces = (LENGTH as u64).div_ceil(PIECE);
    let has_last =
        bits.get((pieces as usize - 1) / 8).is_some_and(|byte| byte & (0x80 >> ((pieces - 1) % 8)) != 0);
    set * PIECE - if has_last { pieces * PIECE - LENGTH as u64 } else { 0 }
}

/// Kills `rounds` times (WL_TEST_KILLS, else 4), then lets it end. In each run what comes is at most what was not on record
/// when it began.
#[test]
fn a_download_survives_sigkill_at_any_moment() {
    let rounds: u32 = std::env::var("WL_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let seed =
        std::env::var("WL_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("WL_TEST_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    place.file("f.bin", LENGTH);
    create(&place, "f.bin", &["--piece-length", &PIECE.to_string()]);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    let output = place.path().join("out");
    let words = ["get", "f.bin.torrent", "-o", "out", "--json-events", "--peer", &seeder.address];
    let slow = [&words[..], &["--down", "4M"]].concat();
    let mut kept = 0;
    for round in 0..rounds {
        let running = Running::wl(&place, &slow);
        std::thread::sleep(Duration::from_millis(chance.u64(0..700)));
        // Every other time something is put on record first, as after half a minute.
        running.signal(if round % 2 == 0 { "KILL" } else { "TERM" });
        let ran = running.wait();
        assert!([-9, 143, -15, 0].contains(&ran.code), "{}: {}", ran.code, ran.stderr);
        let now = on_record(&output);
        if ran.code != 0 {
            assert!(now >= kept, "round {round}: {now} bytes on record after {kept}");
        }
        kept = now;
    }
    let ran = Running::wl(&place, &words).wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let result: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().last().expect("a result")).expect("JSON");
    let fetched =
        result["downloaded"].as_u64().expect("a count") + result["wasted"].as_u64().expect("a count");
    assert!(fetched <= LENGTH as u64 - kept, "{kept} bytes were on record, {fetched} came");
    assert_eq!(fs::read(output.join("f.bin")).expect("the file"), generated(LENGTH));
    assert_eq!(crate::swarm::names(&output), ["f.bin", "f.bin.torrent"]);
}

/// Without a clean end the record is that of the last checkpoint, every 256 MiB; what lies on the disk beside it is hashed
/// and kept too.
#[test]
fn what_is_on_the_disk_but_not_on_record_is_found() {
    let place = Place::new();
    place.file("f.bin", 6_000_000);
    create(&place, "f.bin", &["--piece-length", &PIECE.to_string()]);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    let words = ["get", "f.bin.torrent", "-o", "out", "--json-events", "--peer", &seeder.address];
    let mut running = Running::wl(&place, &[&words[..], &["--down", "1M"]].concat());
    let done = loop {
        let line: serde_json::Value = serde_json::from_str(&running.line_with("progress")).expect("JSON");
        match line["done"].as_u64() {
            Some(done) if done > 2_000_000 => break done,
            _ => {}
        }
    };
    running.signal("KILL");
    running.wait();
    let ran = Running::wl(&place, &words).wait();
    let result: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().last().expect("a result")).expect("JSON");
    assert!(result["downloaded"].as_u64().is_some_and(|more| more <= 6_000_000 - done), "{done}: {result}");
    // Forgotten on request.
    let ran = Running::wl(&place, &[&words[..], &["--recheck"]].concat()).wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
