//! The last look at a file before it gets its name. Somebody else writes to it while it is downloaded: after every chunk
//! but one has been stored and just before the last one comes.

use super::Made;
use super::running::Wl;
use super::seeder::Seeder;
use crate::support::{files, until};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHUNK: usize = 10_240;

/// Waits until all chunks but `last` are stored, and then spoils another one. Says which.
fn spoil(part: &Path, content: &[u8], last: usize) -> usize {
    let stored = |chunk: usize, there: &[u8]| {
        let range = chunk * CHUNK..content.len().min((chunk + 1) * CHUNK);
        there.get(range.clone()) == content.get(range)
    };
    let chunks = content.len().div_ceil(CHUNK);
    until("all chunks but one", || {
        let there = fs::read(part).unwrap_or_default();
        (0..chunks).all(|chunk| chunk == last || stored(chunk, &there)).then_some(())
    });
    let victim = (last + 1) % chunks;
    let file = File::options().write(true).open(part).expect("the file");
    file.write_all_at(b"spoiled", (victim * CHUNK) as u64).expect("written");
    victim
}

/// Spoils a chunk `times` times.
fn get(times: usize) -> (Option<i32>, Vec<usize>, String, tempfile::TempDir) {
    let home = tempfile::tempdir().expect("a folder");
    let made = Made::new(home.path(), "f.bin", files::noise(11, 100_000), CHUNK, &["--no-register"]);
    let copy = home.path().join("copy");
    fs::create_dir(&copy).expect("a folder");
    let (part, content) = (copy.join("f.bin.wlpart"), made.content.clone());
    let (served, spoiled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let seeder = Seeder::start(&made, move |chunk, _| {
        let served = served.fetch_add(1, Ordering::SeqCst) + 1;
        if served >= 10 && spoiled.load(Ordering::SeqCst) < times {
            spoil(&part, &content, chunk);
            spoiled.fetch_add(1, Ordering::SeqCst);
        }
    });
    let at = seeder.at.to_string();
    let (code, _, why) =
        Wl::start(&copy, &["get", "--tracker", "http://127.0.0.1:1", "--peer", &at, made.path()]).end();
    if code == Some(0) {
        assert!(fs::read(copy.join("f.bin")).expect("the copy") == made.content);
    } else {
        assert!(!copy.join("f.bin").exists(), "it does not get its name");
    }
    let asked = seeder.take_asked().into_iter().map(|(chunk, _)| chunk).collect();
    (code, asked, why, home)
}

#[test]
fn a_chunk_that_is_spoiled_on_the_disk_is_fetched_again() {
    let (code, asked, why, _home) = get(1);
    assert_eq!(code, Some(0), "{why}");
    let spoiled = (asked[9] + 1) % 10;
    assert_eq!(asked[10..], [spoiled], "that chunk and nothing else: {asked:?}");
}

#[test]
fn a_file_that_is_spoiled_again_is_given_up() {
    let (code, asked, why, _home) = get(2);
    assert_eq!((code, asked.len()), (Some(7), 11), "{why}");
    let spoiled = (asked[10] + 1) % 10;
    assert!(why.contains(&format!("final check failed: chunks {spoiled} are not what was written")), "{why}");
}
