//! Whole downloads: pieces in any order, names while it lasts, names at the end.

use super::{Desk, listing, made};
use crate::disk::{Job, Outcome, Verdict};
use std::fs;
use weightless::torrent::Kind;

const FILES: &[(&str, usize)] =
    &[("a/b.bin", 20000), ("a/empty", 0), ("a.txt", 5), ("m.bin", 32768), ("z.bin", 3), ("é.bin", 16385)];

#[test]
fn files_have_other_names_until_they_are_finished() {
    for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
        for piece_length in [16384, 65536] {
            let made = made(kind, piece_length, FILES);
            let mut desk = Desk::new(&made);
            assert!(!desk.opened.complete && desk.opened.finish.is_empty() && desk.have.is_empty());
            let names: Vec<String> = listing(desk.output()).into_keys().collect();
            assert!(names.contains(&"t/a/b.bin.wlpart".into()) && names.contains(&"t/a/empty".into()));
            assert!(!names.contains(&"t/a/b.bin".into()) && !names.contains(&"t/a/empty.wlpart".into()));
            assert_eq!(fs::metadata(desk.output().join("t/m.bin.wlpart")).expect("there").len(), 32768);
            for piece in (0..made.count()).rev() {
                let verdict = desk.store(piece);
                assert!(matches!(verdict, Verdict::Good), "{kind:?} {piece}: {verdict:?}");
            }
            desk.checkpoint(false);
            assert!(listing(desk.output()).keys().any(|name| name.ends_with(".wlresume")));
            desk.finish((0..FILES.len()).collect());
            desk.finish(vec![0]);
            desk.close();
            assert!(made.is_finished(desk.output()), "{kind:?} {piece_length}");
            // What is finished can still be served.
            let Outcome::Loaded { result: Ok(bytes), .. } =
                desk.ask(Job::Load { block: crate::peer::wire::Block { piece: 0, begin: 1, length: 9 } })
            else {
                panic!("not read")
            };
            assert_eq!(bytes, made.pieces[0][1..10]);
        }
    }
}

#[test]
fn bad_pieces_are_not_written_and_say_what_they_hashed_to() {
    let made = made(Kind::Hybrid, 32768, &[("f", 70000), ("g", 70000)]);
    let mut desk = Desk::new(&made);
    let before = listing(desk.output());
    let mut bytes = made.pieces[1].clone();
    bytes[20000] ^= 1;
    let job = Job::Store { piece: 1, bytes: bytes.clone(), expected: made.expected(1) };
    let Outcome::Stored { bytes: back, verdict: Verdict::Bad, leaves, .. } = desk.ask(job) else {
        panic!("taken")
    };
    assert_eq!(back, bytes, "the buffer comes back");
    let right: Vec<_> = made.pieces[1].chunks(16384).map(weightless::torrent::merkle::leaf).collect();
    assert!(leaves.len() == 2 && leaves[0] == right[0] && leaves[1] != right[1], "for blame");
    let mut expected = made.expected(1);
    expected.sha256 = Some([0; 32]);
    let job = Job::Store { piece: 1, bytes: made.pieces[1].clone(), expected };
    assert!(matches!(desk.ask(job), Outcome::Stored { verdict: Verdict::Contradiction, .. }));
    (expected.sha1, expected.sha256) = (None, None);
    let job = Job::Store { piece: 1, bytes: made.pieces[1].clone(), expected };
    assert!(matches!(desk.ask(job), Outcome::Stored { verdict: Verdict::Bad, .. }), "nothing vouches for it");
    assert_eq!(listing(desk.output()), before);
    expected = made.expected(1);
    expected.with_leaves = true;
    let job = Job::Store { piece: 1, bytes: made.pieces[1].clone(), expected };
    let Outcome::Stored { verdict: Verdict::Good, leaves, hashes, .. } = desk.ask(job) else { panic!("bad") };
    assert_eq!((leaves, hashes.sha1, hashes.sha256), (right, expected.sha1, expected.sha256));
    assert!(matches!(desk.store(4), Verdict::Good), "the second file's");
}

#[test]
fn many_files_share_few_descriptors_and_few_calls() {
    let names: Vec<String> = (0..700).map(|n| format!("{:03}/{n:04}", n / 3)).collect();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 3)).collect();
    for kind in [Kind::V1, Kind::V2] {
        let made = made(kind, 16384, &files);
        let mut desk = Desk::new(&made);
        for piece in 0..made.count() {
            assert!(matches!(desk.store(piece), Verdict::Good));
        }
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        assert!(open < 256 + 200, "{open}");
        desk.checkpoint(false);
        desk.finish((0..350).collect());
        desk.finish((350..700).collect());
        desk.close();
        assert!(made.is_finished(desk.output()));
    }
}

#[test]
fn names_are_made_safe_and_stay_apart() {
    let long = "z".repeat(300);
    let longest = format!("{}.bin", "y".repeat(251));
    let files =
        [("A.bin", 5), ("a.bin", 20000), ("a.bin.wlpart", 7), (longest.as_str(), 9), (long.as_str(), 10)];
    for kind in [Kind::V1, Kind::Hybrid] {
        let made = made(kind, 16384, &files);
        let mut desk = Desk::new(&made);
        for piece in 0..made.count() {
            assert!(matches!(desk.store(piece), Verdict::Good));
        }
        desk.checkpoint(true);
        let mut desk = desk.again(&made.all());
        assert_eq!(desk.have.len() as u32, made.count());
        assert!(desk.opened.complete);
        let finish = std::mem::take(&mut desk.opened.finish);
        assert_eq!(finish, [0, 1, 2, 3, 4]);
        desk.finish(finish);
        desk.close();
        assert!(made.is_finished(desk.output()));
        assert!(listing(desk.output()).contains_key("t/a (2).bin"));
    }
}

#[test]
fn a_final_name_taken_meanwhile_is_not_replaced() {
    let made = made(Kind::V2, 16384, &[("f", 5)]);
    let mut desk = Desk::new(&made);
    desk.store(0);
    // A v2 torrent of one file cannot be told from a single file, so there is no directory.
    let path = desk.storage().final_path(0);
    fs::write(&path, "mine").expect("writes");
    let Outcome::Finished { result: Err(trouble), .. } = desk.ask(Job::Finish { files: vec![0] }) else {
        panic!("replaced")
    };
    assert_eq!(trouble.path, path);
    assert!(trouble.into_failure().message.ends_with("file exists"));
    assert_eq!(fs::read(&path).expect("there"), b"mine");
    fs::remove_file(&path).expect("ours");
    desk.finish(vec![0]);
    assert_eq!(fs::read(&path).expect("there"), made.files[0]);
}
