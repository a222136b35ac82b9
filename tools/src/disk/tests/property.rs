//! Random torrents, random orders of pieces, random selections and stops: what a run finds is what was stored, and the
//! files are right in the end. WL_TEST_SEED repeats a run.

use super::{Desk, made_of, open, set};
use crate::disk::{Job, Outcome, Verdict};
use std::collections::BTreeSet;

use std::sync::Arc;
use weightless::torrent::Kind;

fn size(rng: &mut fastrand::Rng, piece_length: usize) -> usize {
    let edge = |n: usize, rng: &mut fastrand::Rng| (n + rng.usize(0..3)).saturating_sub(1);
    match rng.u32(0..6) {
        0 => 0,
        1 => rng.usize(1..40),
        2 => edge(16384 * rng.usize(1..4), rng),
        3 => edge(piece_length * rng.usize(1..4), rng),
        _ => rng.usize(0..3 * piece_length),
    }
}

#[test]
fn random_downloads_end_with_the_right_files() {
    let given = std::env::var("WL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in given.map_or(0..40, |seed: u64| seed..seed + 1) {
        println!("WL_TEST_SEED={seed}");
        download(seed);
    }
}

fn download(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let kind = [Kind::V1, Kind::V2, Kind::Hybrid][rng.usize(0..3)];
    let piece_length = 16384 << rng.u32(0..3);
    let count = rng.usize(2..9);
    let names: Vec<String> = (0..count).map(|n| format!("{}/{n}", n / 3)).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let files: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            // Some zeros: holes are good pieces then.
            let (length, zeros) = (size(&mut rng, piece_length), rng.u32(0..8) == 0);
            (0..length).map(|_| if zeros { 0 } else { rng.u8(..) }).collect()
        })
        .collect();
    let made = made_of(kind, piece_length as u32, &paths, files, true);
    let layout = made.content.layout();
    let touches = |piece: u32, wanted: &[bool]| {
        layout.segments(layout.piece(u64::from(piece))).any(|segment| wanted[segment.file])
    };
    let dir = Arc::new(tempfile::tempdir().expect("a folder"));
    let output = dir.path().to_path_buf();
    let mut stored: BTreeSet<u32> = BTreeSet::new();
    let mut before: Option<Vec<bool>> = None;
    for run in 0..8 {
        let last = run == 7;
        let wanted: Vec<bool> = match &before {
            _ if last => vec![true; count],
            Some(before) if rng.bool() => before.clone(),
            _ => (0..count).map(|_| rng.u32(0..4) > 0).collect(),
        };
        let mut desk = Desk::at(&made, Arc::clone(&dir), output.clone(), &wanted);
        for piece in &desk.have {
            let block = crate::peer::wire::Block {
                piece: *piece,
                begin: 0,
                length: made.content.piece_bytes(*piece),
            };
            let Outcome::Loaded { result: Ok(bytes), .. } = desk.ask(Job::Load { block }) else {
                panic!("piece {piece} cannot be read")
            };
            assert!(bytes == made.pieces[*piece as usize], "piece {piece} is not what was promised");
        }
        if before.as_ref() == Some(&wanted) {
            let lost: Vec<_> =
                stored.difference(&desk.have).filter(|piece| touches(**piece, &wanted)).collect();
            assert!(lost.is_empty(), "lost {lost:?} of {stored:?}");
        }
        stored = desk.have.clone();
        let mut missing: Vec<u32> =
            (0..made.count()).filter(|piece| !stored.contains(piece) && touches(*piece, &wanted)).collect();
        rng.shuffle(&mut missing);
        if !last {
            missing.truncate(rng.usize(0..=missing.len()));
        }
        for piece in missing {
            if rng.u32(0..5) == 0 {
                let mut bytes = made.pieces[piece as usize].clone();
                bytes[0] ^= 1;
                assert!(matches!(desk.store_bytes(piece, bytes), Verdict::Bad));
            }
            let verdict = desk.store(piece);
            assert!(matches!(verdict, Verdict::Good), "{piece}: {verdict:?}");
            stored.insert(piece);
            if rng.u32(0..6) == 0 {
                desk.checkpoint(false);
            }
        }
        match rng.u32(0..3) {
            _ if last => {}
            0 => desk.checkpoint(true),
            1 => desk.checkpoint(false),
            _ => {}
        }
        let done: Vec<usize> = (0..count)
            .filter(|file| {
                wanted[*file] && layout.pieces_of(*file).all(|piece| stored.contains(&(piece as u32)))
            })
            .collect();
        if last || rng.bool() {
            desk.finish(done.clone());
        }
        if done.len() == wanted.iter().filter(|wanted| **wanted).count() && (last || rng.bool()) {
            desk.finish(done);
            desk.close();
        }
        before = Some(wanted);
        desk.leave();
    }
    assert!(made.is_finished(&output), "{kind:?}: {:?}", super::listing(&output).keys());
    let opened = open(&made, &output, &made.all(), |_| ()).expect("opens");
    assert!(opened.complete && set(&opened.have).len() as u32 == made.count());
    drop(opened);
}
