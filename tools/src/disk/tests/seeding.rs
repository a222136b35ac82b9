//! Local files for a seeder: read only, wherever they are.

use super::{Made, listing, made, set};
use crate::cmd::verify_data::locate;
use crate::disk::opening::{NotOpened, Opened};
use crate::disk::{Check, Job, Outcome, Pool, Verdict, open_for_seed};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};
use weightless::torrent::Kind;

fn seed(made: &Made, place: &Path, check: Check) -> (Opened, u64) {
    let local =
        locate(made.content.metainfo().expect("a torrent"), place).map_err(|f| f.message).expect("there");
    let mut hashed = 0;
    let stop = AtomicBool::new(false);
    let opened = open_for_seed(&made.content, &local, check, 2, &stop, &mut |done, _| hashed = done);
    let opened = opened.map_err(|why| match why {
        NotOpened::Failed(failure) => failure.message,
        NotOpened::Interrupted => "interrupted".into(),
    });
    (opened.expect("opens"), hashed)
}

#[test]
fn good_pieces_are_offered_and_nothing_is_written() {
    for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
        let made = made(kind, 16384, &[("a", 40000), ("b", 0), ("c", 20000)]);
        let dir = tempfile::tempdir().expect("a folder");
        made.plant(dir.path());
        let (opened, hashed) = seed(&made, dir.path(), Check::Hash);
        assert!(opened.complete && hashed > 0);
        assert_eq!(set(&opened.have).len() as u32, made.count());
        let pool = Pool::start(&opened.storage, 1, Arc::new(|| ()));
        let job = Job::Store { piece: 0, bytes: made.pieces[0].clone(), expected: made.expected(0) };
        pool.submit(job).expect("there is room");
        pool.submit(Job::Checkpoint { bits: opened.have, uploaded: 1, clean: true }).expect("there is room");
        pool.submit(Job::Close).expect("there is room");
        let outcomes = pool.stop();
        assert!(matches!(
            outcomes[..],
            [
                Outcome::Stored { verdict: Verdict::Good, .. },
                Outcome::Checkpointed(Ok(())),
                Outcome::Closed(Ok(()))
            ]
        ));
        assert!(made.is_finished(dir.path()));

        File::options()
            .write(true)
            .open(dir.path().join("t/c"))
            .and_then(|f| f.write_all_at(b"#", 17000))
            .expect("writes");
        fs::remove_file(dir.path().join("t/b")).expect("there");
        let (opened, _) = seed(&made, &dir.path().join("t"), Check::Hash);
        assert!(!opened.complete);
        assert_eq!(set(&opened.have).len() as u32, made.count() - 1);
        fs::remove_file(dir.path().join("t/a")).expect("there");
        let (opened, _) = seed(&made, dir.path(), Check::Hash);
        let left: Vec<u32> = set(&opened.have).into_iter().collect();
        assert_eq!(
            left,
            if kind == Kind::V1 { vec![] } else { vec![3] },
            "the front of c shares a piece with a"
        );
    }
}

#[test]
fn a_record_spares_hashing_until_something_changes() {
    let made = made(Kind::Hybrid, 16384, &[("a", 40000), ("c", 20000)]);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    let (_, hashed) = seed(&made, dir.path(), Check::TrustRecord);
    assert!(hashed > 0 && listing(dir.path()).len() == 3, "recorded");
    let (opened, hashed) = seed(&made, dir.path(), Check::TrustRecord);
    assert!(opened.complete && hashed == 0);
    assert_eq!(set(&opened.have).len() as u32, made.count());
    let (_, hashed) = seed(&made, dir.path(), Check::Hash);
    assert!(hashed > 0);

    let file = File::options().write(true).open(dir.path().join("t/c")).expect("there");
    file.write_all_at(b"#", 17000)
        .and_then(|()| file.set_modified(SystemTime::now() + Duration::from_secs(5)))
        .expect("changed");
    let (opened, hashed) = seed(&made, dir.path(), Check::TrustRecord);
    assert!(!opened.complete && hashed > 0);
    // Nothing good is to be recorded, and the old record is as wrong as before.
    let (opened, hashed) = seed(&made, dir.path(), Check::TrustRecord);
    assert!(!opened.complete && hashed > 0);
}

#[test]
fn files_that_change_or_vanish_are_noticed() {
    let made = made(Kind::V1, 16384, &[("a", 40000), ("b", 0), ("c", 20000), ("d", 5)]);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    let (opened, _) = seed(&made, dir.path(), Check::Hash);
    let changed = || {
        let pool = Pool::start(&opened.storage, 1, Arc::new(|| ()));
        pool.submit(Job::Inspect).expect("there is room");
        match pool.stop().pop() {
            Some(Outcome::Inspected { changed }) => changed,
            outcome => panic!("{outcome:?}"),
        }
    };
    assert!(changed().is_empty());
    fs::remove_file(dir.path().join("t/c")).expect("there");
    File::options()
        .write(true)
        .open(dir.path().join("t/a"))
        .and_then(|file| file.set_len(39999))
        .expect("cut");
    assert_eq!(changed(), [0, 2]);
}
