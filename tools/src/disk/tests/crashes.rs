//! Ends without a word at every step of a checkpoint: what the record says is true, and nothing it said before is lost.

use super::{Desk, Made, made, open, set};
use crate::disk::resume::Record;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use weightless::torrent::Kind;

fn seven() -> Made {
    made(Kind::Hybrid, 16384, &[("a", 5 * 16384), ("b", 20000)])
}

/// Which pieces a new run has, believing the record, and which it has when it believes nothing.
fn after(made: &Made, output: &Path) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let have = |recheck| {
        let opened = open(made, output, &made.all(), |options| options.recheck = recheck).expect("opens");
        set(&opened.have)
    };
    let believed = have(false);
    (believed, have(true))
}

/// What a resume file says, without opening anything.
fn recorded(made: &Made, output: &Path) -> BTreeSet<u32> {
    let bytes = fs::read(output.join(crate::disk::names::resume(&made.content))).expect("a resume file");
    set(&Record::read(&made.content, &bytes).expect("a record").bits)
}

#[test]
fn a_checkpoint_can_end_after_each_of_its_steps() {
    let made = seven();
    for steps in 0..=4 {
        let mut desk = Desk::new(&made);
        desk.store(0);
        desk.checkpoint(false);
        desk.store(1);
        desk.store(5);
        let storage = desk.storage();
        {
            let mut progress =
                storage.progress.as_ref().expect("recorded").lock().unwrap_or_else(PoisonError::into_inner);
            let progress = &mut *progress;
            if steps >= 1 {
                storage.sync_changed(&mut progress.record.files).expect("synced");
            }
            progress.record.bits = vec![0b1100_0100];
            let bytes = progress.record.write(&made.content);
            if steps == 2 {
                // Half of the new one is written.
                let beside = desk.output().join(format!("{}.tmp", crate::disk::names::resume(&made.content)));
                fs::write(beside, &bytes[..bytes.len() / 2]).expect("writes");
            }
            let next =
                (steps >= 3).then(|| progress.locked.write_beside(&progress.root, &bytes).expect("written"));
            if steps >= 4 {
                let next = next.expect("written");
                progress.locked.put_in_place(&progress.root, next).expect("renamed");
            }
        }
        let expected = if steps >= 4 { BTreeSet::from([0, 1, 5]) } else { BTreeSet::from([0]) };
        assert_eq!(recorded(&made, desk.output()), expected, "after step {steps}");
        let (_dir, output) = desk.leave();
        let (believed, hashed) = after(&made, &output);
        assert_eq!(
            believed,
            BTreeSet::from([0, 1, 5]),
            "after step {steps}: data is found even without a record"
        );
        assert_eq!(hashed, believed);
    }
}

#[test]
fn finishing_can_end_after_each_rename() {
    let made = seven();
    for finished in 0..=2 {
        let mut desk = Desk::new(&made);
        for piece in 0..made.count() {
            desk.store(piece);
        }
        desk.checkpoint(finished == 1);
        desk.finish((0..finished).collect());
        let desk = desk.again(&made.all());
        assert!(desk.opened.complete);
        assert_eq!(desk.opened.finish, (finished..2).collect::<Vec<_>>());
        desk.finish(desk.opened.finish.clone());
        desk.close();
        assert!(made.is_finished(desk.output()));
    }
}

/// A child process stores and checkpoints without end; it is killed as soon as it has said a random number of pieces.
/// Whatever it had checkpointed when it said so must be there without hashing, and must be true.
#[test]
fn sigkill_at_random_moments_loses_no_checkpointed_piece() {
    const PLACE: &str = "WL_TEST_DISK_PLACE";
    let made = made(Kind::Hybrid, 16384, &[("a", 40 * 16384), ("b", 60 * 16384 + 5)]);
    if let Some(place) = std::env::var_os(PLACE) {
        let dir = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
        let mut desk = Desk::at(&made, dir, place.into(), &made.all());
        println!("has {:?}", desk.have);
        let mut missing: Vec<u32> = (0..made.count()).filter(|piece| !desk.have.contains(piece)).collect();
        fastrand::Rng::new().shuffle(&mut missing);
        for piece in missing {
            desk.store(piece);
            if piece % 3 == 0 {
                desk.checkpoint(false);
                println!("safe {:?}", desk.have);
            }
        }
        desk.checkpoint(false);
        println!("safe {:?}", desk.have);
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut rng = fastrand::Rng::with_seed(6);
    let mut safe = BTreeSet::new();
    for _ in 0..40 {
        let mut child = Command::new(std::env::current_exe().expect("the test binary"))
            .args(["--exact", "--nocapture"])
            .arg("disk::tests::crashes::sigkill_at_random_moments_loses_no_checkpointed_piece")
            .env(PLACE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut left = rng.usize(0..6);
        for line in lines.by_ref() {
            // The test harness writes the test's name in front of the first line.
            if let Some((_, has)) = line.split_once("has ") {
                let has = numbers(has);
                assert!(safe.is_subset(&has), "lost: {:?}", safe.difference(&has));
                safe = has;
            } else if let Some(said) = line.strip_prefix("safe ") {
                safe = numbers(said);
            } else {
                continue;
            }
            if left == 0 || safe.len() == made.pieces.len() {
                break;
            }
            left -= 1;
        }
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        // What it had said and not been heard yet.
        for line in lines {
            if let Some(said) = line.strip_prefix("safe ").filter(|said| said.ends_with('}')) {
                safe = numbers(said);
            }
        }
        if safe.len() == made.pieces.len() {
            break;
        }
    }
    let (believed, hashed) = after(&made, dir.path());
    assert!(safe.is_subset(&believed) && believed == hashed, "{safe:?} {believed:?} {hashed:?}");
    assert!(!safe.is_empty());
}

fn numbers(text: &str) -> BTreeSet<u32> {
    let text = text.trim_matches(['{', '}']);
    text.split(", ").filter_map(|number| number.parse().ok()).collect()
}
