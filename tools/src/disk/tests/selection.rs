//! Some files of a torrent: shared pieces, later runs for other files, files nobody asked for.

use super::{Desk, listing, made, open, set};
use crate::disk::Verdict;
use std::fs;
use std::sync::Arc;
use weightless::torrent::Kind;

const FILES: &[(&str, usize)] = &[("a", 20000), ("b", 3), ("c", 40000), ("d", 0), ("e", 50000), ("f", 9)];

/// Stores every piece that touches a wanted file.
fn fetch(desk: &mut Desk<'_>, wanted: &[bool]) -> Vec<u32> {
    let layout = desk.made.content.layout();
    let mut fetched = Vec::new();
    for piece in 0..desk.made.count() {
        let mut files = layout.segments(layout.piece(u64::from(piece))).map(|segment| segment.file);
        if files.any(|file| wanted[file]) && !desk.have.contains(&piece) {
            assert!(matches!(desk.store(piece), Verdict::Good), "{piece}");
            fetched.push(piece);
        }
    }
    fetched
}

fn end(desk: &Desk<'_>, wanted: &[bool]) {
    desk.checkpoint(false);
    desk.finish((0..wanted.len()).filter(|file| wanted[*file]).collect());
    desk.close();
}

#[test]
fn bytes_of_unselected_files_go_beside_and_are_found_again() {
    let made = made(Kind::V1, 16384, FILES);
    let first = [false, false, true, false, false, false];
    let dir = Arc::new(tempfile::tempdir().expect("a folder"));
    let output = dir.path().to_path_buf();
    let mut desk = Desk::at(&made, Arc::clone(&dir), output.clone(), &first);
    assert_eq!(fetch(&mut desk, &first), [1, 2, 3]);
    // They can be served at once.
    for piece in [1, 3] {
        let block = crate::peer::wire::Block { piece, begin: 0, length: 16384 };
        let outcome = desk.ask(crate::disk::Job::Load { block });
        assert!(
            matches!(outcome, crate::disk::Outcome::Loaded { result: Ok(bytes), .. } if bytes == made.pieces[piece as usize])
        );
    }
    end(&desk, &first);
    let names: Vec<String> = listing(&output).into_keys().collect();
    assert!(names.len() == 2 && names[0].ends_with(".wlpads") && names[1] == "t/c", "{names:?}");

    // The same once more: nothing is missing, because the shared pieces can be judged.
    let desk = desk.again(&first);
    assert!(desk.opened.complete && desk.opened.finish.is_empty());

    // Two more files, one of which shares a piece with the first one.
    let second = [true, false, false, false, true, true];
    let mut desk = desk.again(&second);
    let fetched = fetch(&mut desk, &second);
    assert_eq!(fetched, [0, 1, 3, 4, 5, 6], "shared ones again, for their other halves");
    end(&desk, &second);
    assert_eq!(fs::read(output.join("t/e")).expect("there"), made.files[4]);
    assert!(listing(&output).into_keys().any(|name| name.ends_with(".wlpads")));

    let all = made.all();
    let mut desk = desk.again(&all);
    fetch(&mut desk, &all);
    end(&desk, &all);
    assert!(made.is_finished(&output), "nothing is left beside them");
}

#[test]
fn a_stop_with_a_selection_loses_no_piece() {
    let made = made(Kind::V1, 16384, FILES);
    let wanted = [false, true, false, false, true, false];
    for clean in [true, false] {
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        let mut desk = Desk::at(&made, Arc::clone(&dir), dir.path().into(), &wanted);
        let fetched = fetch(&mut desk, &wanted);
        desk.checkpoint(clean);
        let desk = desk.again(&wanted);
        assert_eq!(desk.have.iter().copied().collect::<Vec<_>>(), fetched);
        assert!(desk.opened.complete);
        assert_eq!(desk.opened.finish, [1, 4]);
        // Without the file beside, the shared ones are not there.
        let (_dir, output) = desk.leave();
        let pads = fs::read_dir(&output).expect("a directory").map(|entry| entry.expect("an entry").path());
        let pads =
            pads.into_iter().find(|path| path.extension().is_some_and(|e| e == "wlpads")).expect("there");
        fs::remove_file(pads).expect("there");
        let opened = open(&made, &output, &wanted, |_| ()).expect("opens");
        assert_eq!(set(&opened.have).into_iter().collect::<Vec<_>>(), [4, 5]);
    }
}

/// Small files that were there before, next to ones that are not: their pieces cannot be judged, so they are believed
/// until the pieces come, and compared then.
#[test]
fn a_file_that_cannot_be_proven_is_compared_when_its_piece_comes() {
    let made = made(Kind::V1, 16384, &[("a", 10), ("b", 20), ("c", 30)]);
    for same in [true, false] {
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        made.plant(dir.path());
        fs::remove_file(dir.path().join("t/b")).expect("there");
        if !same {
            fs::write(dir.path().join("t/c"), [1; 30]).expect("writes");
        }
        let mut desk = Desk::at(&made, Arc::clone(&dir), dir.path().into(), &made.all());
        assert!(!desk.opened.complete);
        match desk.store(0) {
            Verdict::Good => assert!(same),
            Verdict::Failed(trouble) => {
                let message = trouble.into_failure().message;
                assert!(!same && message.ends_with("t/c: exists and differs"), "{message}");
                continue;
            }
            verdict => panic!("{verdict:?}"),
        }
        desk.checkpoint(true);
        let desk = desk.again(&made.all());
        assert!(desk.opened.complete);
        desk.finish(vec![0, 1, 2]);
        desk.close();
        assert!(made.is_finished(desk.output()));
    }
}

#[test]
fn files_nobody_asked_for_are_used_when_they_are_right_and_left_alone_when_not() {
    for kind in [Kind::V1, Kind::Hybrid] {
        let made = made(kind, 16384, FILES);
        let wanted = [false, false, true, false, false, false];
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        made.plant(dir.path());
        fs::write(dir.path().join("t/e"), vec![1; 50000]).expect("writes");
        fs::write(dir.path().join("t/f"), "longer than it should be").expect("writes");
        fs::remove_file(dir.path().join("t/c")).expect("there");
        let mut desk = Desk::at(&made, Arc::clone(&dir), dir.path().into(), &wanted);
        // A v1 file cannot be judged whole while its neighbour is missing.
        assert_eq!(desk.have.contains(&0), kind == Kind::Hybrid);
        fetch(&mut desk, &wanted);
        end(&desk, &wanted);
        let found = listing(dir.path());
        assert_eq!(found["t/c"], made.files[2]);
        assert_eq!(found["t/e"], vec![1; 50000]);
        assert_eq!(found["t/f"], b"longer than it should be");
    }
}

#[test]
fn nothing_wanted_is_nothing_to_do() {
    let made = made(Kind::Hybrid, 16384, FILES);
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&made, dir.path(), &[false; 6], |_| ()).expect("opens");
    assert!(opened.complete);
    drop(opened);
    assert!(listing(dir.path()).is_empty());
}
