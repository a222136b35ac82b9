//! What is found at the start: every row of the trust table with real files, existing files and what is said of them.

use super::{Desk, Made, listing, made, made_of, open, plainly, set};
use crate::disk::opening::{NotOpened, open_for_get};
use crate::failure::Class;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use weightless::torrent::Kind;

const KINDS: [Kind; 3] = [Kind::V1, Kind::V2, Kind::Hybrid];

fn three(kind: Kind) -> Made {
    made(kind, 16384, &[("a", 5 * 16384), ("b", 3 * 16384), ("c", 20000)])
}

/// A download that has pieces 0, 2 and 6 and was stopped.
fn stopped(made: &Made, clean: bool) -> (Arc<tempfile::TempDir>, std::path::PathBuf) {
    let mut desk = Desk::new(made);
    for piece in [0, 2, 6] {
        desk.store(piece);
    }
    desk.checkpoint(clean);
    desk.leave()
}

fn have(made: &Made, output: &Path) -> Vec<u32> {
    let opened = open(made, output, &made.all(), |_| ()).expect("opens");
    set(&opened.have).into_iter().collect()
}

fn spoil(path: &Path, at: u64) {
    let file = File::options().write(true).read(true).open(path).expect("there");
    let time = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("writes");
    // The kernel's clock may not have moved since the download.
    file.set_modified(time + Duration::from_secs(1)).expect("a time");
}

fn keeping_time(path: &Path, change: impl FnOnce()) {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    change();
    let file = File::options().write(true).open(path).expect("there");
    file.set_modified(time).expect("a time");
}

#[test]
fn a_clean_record_is_believed_about_files_that_look_the_same() {
    for kind in KINDS {
        let made = three(kind);
        let (_dir, output) = stopped(&made, true);
        assert_eq!(have(&made, &output), [0, 2, 6]);
        // That opening has not ended in order, and no longer claims so; its file is as good.
        assert_eq!(have(&made, &output), [0, 2, 6]);

        let (_dir, output) = stopped(&made, true);
        let path = output.join("t/a.wlpart");
        keeping_time(&path, || spoil(&path, 2 * 16384));
        let file = File::options().write(true).open(&path).expect("there");
        keeping_time(&path, || file.write_all_at(&made.pieces[1], 16384).expect("writes"));
        assert_eq!(have(&made, &output), [0, 2, 6], "nothing is hashed: neither loss nor gain is seen");
    }
}

#[test]
fn a_clean_record_is_not_believed_about_a_file_that_looks_different() {
    let made = three(Kind::Hybrid);
    let (_dir, output) = stopped(&made, true);
    spoil(&output.join("t/a.wlpart"), 2 * 16384);
    assert_eq!(have(&made, &output), [0, 6]);

    let (_dir, output) = stopped(&made, true);
    File::options().write(true).open(output.join("t/a.wlpart")).and_then(|f| f.set_len(20000)).expect("cut");
    assert_eq!(have(&made, &output), [0, 6]);
    assert_eq!(fs::metadata(output.join("t/a.wlpart")).expect("there").len(), 5 * 16384);

    let (_dir, output) = stopped(&made, true);
    fs::remove_file(output.join("t/a.wlpart")).expect("there");
    assert_eq!(have(&made, &output), [6]);
}

#[test]
fn after_a_crash_set_bits_are_believed_and_other_data_is_hashed() {
    for kind in KINDS {
        let made = three(kind);
        let (_dir, output) = stopped(&made, false);
        let path = output.join("t/a.wlpart");
        // One written after the last checkpoint, one written half; one that is set is not looked at.
        let file = File::options().write(true).open(&path).expect("there");
        file.write_all_at(&made.pieces[1], 16384).expect("writes");
        file.write_all_at(&made.pieces[3][..9000], 3 * 16384).expect("writes");
        spoil(&path, 0);
        assert_eq!(have(&made, &output), [0, 1, 2, 6]);

        let (_dir, output) = stopped(&made, false);
        let path = output.join("t/a.wlpart");
        spoil(&path, 0);
        File::options().append(true).open(&path).and_then(|file| file.set_len(6 * 16384)).expect("longer");
        assert_eq!(have(&made, &output), [2, 6], "another size: all of it is hashed");
    }
}

#[test]
fn without_a_record_or_with_recheck_everything_is_hashed() {
    let made = three(Kind::Hybrid);
    for damage in [
        |output: &Path| fs::remove_file(resume(output)).expect("there"),
        |output: &Path| fs::write(resume(output), b"").expect("writes"),
        |output: &Path| {
            let mut bytes = fs::read(resume(output)).expect("there");
            bytes[95] ^= 1;
            fs::write(resume(output), bytes).expect("writes");
        },
    ] {
        let (_dir, output) = stopped(&made, true);
        keeping_time(&output.join("t/a.wlpart"), || spoil(&output.join("t/a.wlpart"), 0));
        damage(&output);
        assert_eq!(have(&made, &output), [2, 6]);
    }
    let (_dir, output) = stopped(&made, true);
    keeping_time(&output.join("t/a.wlpart"), || spoil(&output.join("t/a.wlpart"), 0));
    let opened = open(&made, &output, &made.all(), |options| options.recheck = true).expect("opens");
    assert_eq!(set(&opened.have).into_iter().collect::<Vec<_>>(), [2, 6]);
    assert_eq!(opened.uploaded, 7, "that is not a matter of hashes");
}

fn resume(output: &Path) -> std::path::PathBuf {
    let all = fs::read_dir(output).expect("a directory").map(|entry| entry.expect("an entry").path());
    all.into_iter().find(|path| path.extension().is_some_and(|e| e == "wlresume")).expect("a resume file")
}

#[test]
fn what_is_complete_is_used_and_leaves_no_trace() {
    for kind in KINDS {
        let made = made(kind, 16384, &[("a", 40000), ("b", 0), ("c", 20000)]);
        let dir = tempfile::tempdir().expect("a folder");
        made.plant(dir.path());
        let times =
            |path: &str| fs::metadata(dir.path().join(path)).and_then(|m| m.modified()).expect("a time");
        let before = (times("t/a"), times("t/c"));
        let opened = open(&made, dir.path(), &made.all(), |_| ()).expect("opens");
        assert!(opened.complete && opened.finish.is_empty());
        assert_eq!(set(&opened.have).len() as u32, made.count());
        drop(opened);
        assert!(made.is_finished(dir.path()));
        assert_eq!((times("t/a"), times("t/c")), before);
    }
}

#[test]
fn part_of_it_is_kept_and_the_rest_is_fetched() {
    for kind in KINDS {
        let made = made(kind, 16384, &[("a", 40000), ("b", 0), ("c", 20000), ("d", 30000)]);
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        let output = dir.path().to_path_buf();
        made.plant(&output);
        fs::remove_file(output.join("t/b")).expect("there");
        fs::remove_file(output.join("t/c")).expect("there");
        let mut desk = Desk::at(&made, dir, output, &made.all());
        let missing: Vec<u32> = (0..made.count()).filter(|piece| !desk.have.contains(piece)).collect();
        let of_c = made.content.layout().pieces_of(2);
        assert_eq!(missing, of_c.map(|piece| piece as u32).collect::<Vec<_>>(), "{kind:?}");
        for piece in missing {
            assert!(matches!(desk.store(piece), crate::disk::Verdict::Good));
        }
        desk.checkpoint(false);
        desk.finish(vec![0, 1, 2, 3]);
        desk.close();
        assert!(made.is_finished(desk.output()));
    }
}

#[test]
fn a_file_of_other_content_is_refused_and_nothing_is_touched() {
    for kind in KINDS {
        let made = three(kind);
        let dir = tempfile::tempdir().expect("a folder");
        made.plant(dir.path());
        spoil(&dir.path().join("t/b"), 0);
        let before = listing(dir.path());
        let failure = open(&made, dir.path(), &made.all(), |_| ()).err().expect("refused");
        let path = dir.path().join("t/b").display().to_string();
        assert_eq!(
            (failure.class, failure.message),
            (
                Class::Storage,
                format!("{path} exists and differs (66 % matches); use --overwrite or another --output")
            )
        );
        assert_eq!(listing(dir.path()), before);
        // Longer and shorter ones differ too, however much matches.
        for (length, percent) in [(3 * 16384 + 1, 100), (2 * 16384 + 5, 66), (0, 0)] {
            made.plant(dir.path());
            let file = File::options().write(true).open(dir.path().join("t/b")).expect("there");
            file.set_len(length).expect("a length");
            let before = listing(dir.path());
            let failure = open(&made, dir.path(), &made.all(), |_| ()).err().expect("refused");
            assert!(failure.message.contains(&format!("({percent} % matches)")), "{}", failure.message);
            assert_eq!(listing(dir.path()), before);
        }
        made.plant(dir.path());
        fs::remove_file(dir.path().join("t/b")).expect("there");
        fs::create_dir(dir.path().join("t/b")).expect("a directory");
        let failure = open(&made, dir.path(), &made.all(), |_| ()).err().expect("refused");
        assert_eq!(
            (failure.class, failure.message),
            (Class::Storage, format!("cannot write {path}: is a directory"))
        );
    }
}

#[test]
fn overwriting_keeps_what_matches() {
    for kind in KINDS {
        for length in [3 * 16384 + 500, 3 * 16384, 2 * 16384 + 5] {
            let made = three(kind);
            let dir = Arc::new(tempfile::tempdir().expect("a folder"));
            let output = dir.path().to_path_buf();
            made.plant(&output);
            spoil(&output.join("t/b"), 16384);
            let file = File::options().write(true).open(output.join("t/b")).expect("there");
            file.set_len(length).expect("a length");
            let opened =
                open(&made, &output, &made.all(), |options| options.overwrite = true).expect("opens");
            assert!(!opened.complete);
            drop(opened);
            assert!(!output.join("t/b").exists() && output.join("t/a").exists());
            let mut desk = Desk::at(&made, dir, output, &made.all());
            let missing: Vec<u32> = (0..made.count()).filter(|piece| !desk.have.contains(piece)).collect();
            assert_eq!(missing, if length < 3 * 16384 { vec![6, 7] } else { vec![6] });
            for piece in missing {
                assert!(matches!(desk.store(piece), crate::disk::Verdict::Good));
            }
            desk.finish(vec![0, 1, 2]);
            desk.close();
            assert!(made.is_finished(desk.output()));
        }
    }
}

#[test]
fn an_empty_file_must_be_empty() {
    let made = made(Kind::V1, 16384, &[("a", 5), ("b", 0)]);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    fs::write(dir.path().join("t/b"), "x").expect("writes");
    let failure = open(&made, dir.path(), &made.all(), |_| ()).err().expect("refused");
    assert!(failure.message.contains("t/b exists and differs (0 % matches)"), "{}", failure.message);
    let opened = open(&made, dir.path(), &made.all(), |options| options.overwrite = true).expect("opens");
    assert!(opened.complete);
    assert_eq!(fs::metadata(dir.path().join("t/b")).expect("there").len(), 0);
}

/// An incomplete file with data of which nothing matches, and no resume file: somebody else's.
#[test]
fn another_downloads_incomplete_file_is_not_written_over() {
    let (ours, theirs) = (three(Kind::V1), made(Kind::V1, 16384, &[("a", 5 * 16384), ("b", 7), ("c", 7)]));
    let mut desk = Desk::new(&theirs);
    desk.store(1);
    let before = listing(desk.output());
    let failure = open(&ours, desk.output(), &ours.all(), |_| ()).err().expect("refused");
    assert!(failure.message.contains("t/a.wlpart exists and differs (0 % matches)"), "{}", failure.message);
    assert_eq!(listing(desk.output()), before);
    open(&ours, desk.output(), &ours.all(), |options| options.overwrite = true).expect("by order");
}

#[test]
fn two_processes_cannot_download_into_one_place() {
    let made = three(Kind::Hybrid);
    let mut desk = Desk::new(&made);
    for round in 0..3 {
        let failure = open(&made, desk.output(), &made.all(), |_| ()).err().expect("refused");
        assert_eq!((failure.class, failure.message), (Class::Storage, "t: already being downloaded".into()));
        // The file that is locked changes with every checkpoint.
        desk.store(round);
        desk.checkpoint(false);
    }
    let desk = desk.again(&made.all());
    assert_eq!(desk.have.len(), 3);
}

#[test]
fn hashing_can_be_interrupted() {
    let made = three(Kind::V1);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    let before = listing(dir.path());
    let stop = AtomicBool::new(true);
    let opened = open_for_get(&made.content, dir.path(), &made.all(), &plainly(&stop), &mut |_, _| ());
    assert!(matches!(opened, Err(NotOpened::Interrupted)));
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn progress_counts_what_is_hashed() {
    let made = three(Kind::V1);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    let stop = AtomicBool::new(false);
    let mut last = (0, 0);
    let mut progress = |done, total| {
        assert!(last.0 <= done && done <= total);
        last = (done, total);
    };
    open_for_get(&made.content, dir.path(), &made.all(), &plainly(&stop), &mut progress)
        .map_err(drop)
        .expect("opens");
    let total = made.content.total_bytes();
    assert_eq!(last, (total, total));
}

#[test]
fn a_torrent_that_contradicts_itself_is_found_out() {
    let good = three(Kind::Hybrid);
    let made = super::contradiction(&good);
    let dir = tempfile::tempdir().expect("a folder");
    good.plant(dir.path());
    let failure = open(&made, dir.path(), &made.all(), |_| ()).err().expect("refused");
    assert_eq!(
        (failure.class as u8, failure.message.as_str()),
        (7, "v1 and v2 hashes describe different data")
    );
}

#[test]
fn without_layers_a_whole_file_proves_itself_and_parts_wait() {
    let data = three(Kind::V2).files;
    let made = made_of(Kind::V2, 16384, &["a", "b", "c"], data, false);
    let dir = tempfile::tempdir().expect("a folder");
    made.plant(dir.path());
    let opened = open(&made, dir.path(), &made.all(), |_| ()).expect("opens");
    assert!(opened.complete && opened.open.is_empty());
    drop(opened);
    for name in ["a", "b", "c"] {
        fs::rename(dir.path().join("t").join(name), dir.path().join(format!("t/{name}.wlpart")))
            .expect("there");
    }
    spoil(&dir.path().join("t/b.wlpart"), 0);
    let opened = open(&made, dir.path(), &made.all(), |_| ()).expect("opens");
    assert_eq!(set(&opened.have).into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 8, 9]);
    assert_eq!(opened.open, [5, 6, 7], "one of them is bad, and only a layer can tell which");
}
