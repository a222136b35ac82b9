//! `wl get` of an idtorrent.

use super::Made;
use super::running::Wl;
use super::seeder::Seeder;
use crate::support::daemon::Daemon;
use crate::support::{files, until, wl};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

fn folder(home: &Path, name: &str) -> std::path::PathBuf {
    let folder = home.join(name);
    fs::create_dir(&folder).expect("a folder");
    folder
}

/// 20 MiB, three seeders: one serves garbage, one is killed half way.
#[test]
fn three_seeders_of_which_one_lies_and_one_dies() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let url = tracker.base_url();
    let made = Made::new(home.path(), "big.bin", files::noise(7, 20 << 20), 10_240, &["--tracker", &url]);
    let seed = || {
        let mut seeder = Wl::start(home.path(), &["seed", "--tracker", &url, made.path()]);
        seeder.ready();
        seeder.announced();
        seeder
    };
    let (dying, staying) = (seed(), seed());
    let liar = Seeder::start(&made, |_, block| block.iter_mut().for_each(|byte| *byte ^= 0x55));
    let copy = folder(home.path(), "copy");
    let lies_at = liar.at.to_string();
    let words = ["get", "--tracker", &url, "--peer", &lies_at, "--down", "6M", &made.id];
    let mut get = Wl::start(&copy, &words);
    let banned = get.wait_for("ban", |event| event["event"] == "banned");
    assert_eq!(
        (banned["address"].as_str(), banned["why"].as_str()),
        (Some(&*lies_at), Some("sent a wrong piece"))
    );
    let half = get.wait_for("half of it", |event| event["done"].as_u64() > Some(10 << 20));
    assert!(half["chunks_done"].as_u64() > Some(1000) && half["chunks"] == 2048, "{half}");
    dying.signal("KILL");
    dying.end();
    let (code, events, why) = get.end();
    assert_eq!(code, Some(0), "{why}");
    assert!(events.iter().any(|event| event["event"] == "complete"), "{events:?}");
    assert!(fs::read(copy.join("big.bin")).expect("the copy") == made.content);
    let metafile = fs::read(copy.join("big.bin.idtorrent")).expect("the metafile");
    assert!(metafile == fs::read(&made.file).expect("the metafile"));
    let left: BTreeSet<_> =
        fs::read_dir(&copy).expect("ours").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    drop(staying);
}

/// Killed at half of it, and run again: what is on the disk is not asked for, and everything else once.
#[test]
fn after_a_kill_only_what_is_missing_is_fetched() {
    let home = tempfile::tempdir().expect("a folder");
    let made = Made::new(home.path(), "f.bin", files::noise(8, 5_000_000), 10_240, &["--no-register"]);
    let copy = folder(home.path(), "copy");
    let start = |seeder: &Seeder| {
        let at = seeder.at.to_string();
        let flags = ["get", "--tracker", "http://127.0.0.1:1", "--peer", &at];
        Wl::start(&copy, &[&flags[..], &[made.path()]].concat())
    };
    let (half, served) = (made.chunks() / 2, AtomicUsize::new(0));
    let before = Seeder::start(&made, move |_, _| {
        while served.fetch_add(1, Ordering::SeqCst) >= half {
            std::thread::park();
        }
    });
    let part = copy.join("f.bin.wlpart");
    let first = start(&before);
    until("half of it", || (made.good_in(&part).len() == half).then_some(()));
    first.signal("KILL");
    first.end();
    let there = made.good_in(&part);
    let record = fs::read(copy.join(format!(".{}.wlresume", &made.id[..16]))).expect("a record");
    assert_eq!((&record[..12], &record[32..52]), (b"WLRESUM1\0\0\0\x02".as_slice(), made.key.as_slice()));

    let after = Seeder::honest(&made);
    let (code, _, why) = start(&after).end();
    assert_eq!(code, Some(0), "{why}");
    assert!(fs::read(copy.join("f.bin")).expect("the copy") == made.content);
    let mut asked: Vec<usize> = after.take_asked().into_iter().map(|(chunk, _)| chunk).collect();
    asked.sort_unstable();
    let missing: Vec<usize> = (0..made.chunks()).filter(|chunk| !there.contains(chunk)).collect();
    assert_eq!(asked, missing);
}

/// Chunks need not be made of whole blocks.
#[test]
fn chunks_of_any_size_are_fetched_in_blocks_of_at_most_16_kib() {
    let home = tempfile::tempdir().expect("a folder");
    for (number, (chunk, bytes)) in [
        (1025, 40_000),
        (1024, 1),
        (10_240, 204_800),
        (16_385, 100_000),
        (40_000, 123_456),
        (1_048_576, 3_000_000),
    ]
    .into_iter()
    .enumerate()
    {
        let made = Made::new(
            home.path(),
            &format!("{chunk}.bin"),
            files::noise(9, bytes),
            chunk,
            &["--no-register"],
        );
        let seeder = Seeder::honest(&made);
        let copy = folder(home.path(), &number.to_string());
        let at = seeder.at.to_string();
        let (code, _, why) =
            Wl::start(&copy, &["get", "--tracker", "http://127.0.0.1:1", "--peer", &at, made.path()]).end();
        assert_eq!(code, Some(0), "{chunk}: {why}");
        assert!(fs::read(copy.join(format!("{chunk}.bin"))).expect("the copy") == made.content, "{chunk}");
        let blocks: BTreeSet<_> = seeder.take_asked().into_iter().collect();
        let expected: BTreeSet<_> = (0..made.chunks())
            .flat_map(|at| (0..made.bytes(at).len()).step_by(16_384).map(move |begin| (at, begin)))
            .collect();
        assert_eq!(blocks, expected, "{chunk}");
    }
}

#[test]
fn a_peer_may_say_late_what_it_has() {
    let home = tempfile::tempdir().expect("a folder");
    let made = Made::new(home.path(), "f.bin", files::noise(12, 100_000), 10_240, &["--no-register"]);
    let copy = folder(home.path(), "copy");
    let at = Seeder::late(&made).at.to_string();
    let (code, _, why) =
        Wl::start(&copy, &["get", "--tracker", "http://127.0.0.1:1", "--peer", &at, made.path()]).end();
    assert_eq!(code, Some(0), "{why}");
    assert!(fs::read(copy.join("f.bin")).expect("the copy") == made.content);
}

#[test]
fn peers_are_found_at_the_trackers_of_the_metafile() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    // What stands behind the port is not believed.
    let named = format!("{}/admin", tracker.base_url());
    let made = Made::new(
        home.path(),
        "f.bin",
        files::noise(10, 50_000),
        10_240,
        &["--no-register", "--announce", &named, "--announce", "http://127.0.0.1:22/announce"],
    );
    let nobody = ["--tracker", "http://127.0.0.1:1"];
    let mut seeder = Wl::start(home.path(), &[&["seed"], &nobody[..], &[made.path()]].concat());
    seeder.ready();
    seeder.wait_for("our tracker", |event| {
        event["said"].as_str().is_some_and(|said| said.contains("1 seeders"))
    });
    let copy = folder(home.path(), "copy");
    let (code, events, why) = Wl::start(&copy, &[&["get"], &nobody[..], &[made.path()]].concat()).end();
    assert_eq!(code, Some(0), "{why}");
    assert!(fs::read(copy.join("f.bin")).expect("the copy") == made.content);
    let odd = events.iter().find(|event| event["url"].as_str().is_some_and(|url| url.contains(":22/")));
    let said = odd.and_then(|event| event["said"].as_str()).unwrap_or_default();
    assert_eq!(said, "ports below 1024 other than 80 and 443 are not allowed");
}

#[test]
fn an_empty_file_is_made_and_a_complete_one_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let nobody = ["get", "--tracker", "http://127.0.0.1:1"];
    for (name, content) in [("empty.txt", Vec::new()), ("full.txt", b"hello\n".to_vec())] {
        let made = Made::new(home.path(), name, content, 10_240, &["--no-register"]);
        let copy = folder(home.path(), &format!("of {name}"));
        if !made.content.is_empty() {
            fs::write(copy.join(name), &made.content).expect("a file");
        }
        let (code, said, why) = wl::run(&copy, &[&nobody[..], &[made.path()]].concat());
        assert_eq!((code, said), (Some(0), format!("Done: ./{name}\n")), "{why}");
        assert!(fs::read(copy.join(name)).expect("the file") == made.content);
    }
    // JSON as others write it is the same idtorrent: no second metafile is saved.
    let other = folder(home.path(), "other");
    let text =
        fs::read_to_string(home.path().join("empty.txt.idtorrent")).expect("text").replace('\n', " \n");
    fs::write(other.join("empty.txt.idtorrent"), text).expect("a file");
    let (code, _, why) = wl::run(&other, &[&nobody[..], &["empty.txt.idtorrent"]].concat());
    assert_eq!(code, Some(0), "{why}");
    assert_eq!(fs::read_dir(&other).expect("ours").count(), 2);
}
