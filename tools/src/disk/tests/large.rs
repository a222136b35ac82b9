//! Pieces too large to be held: written as they come, judged at the end.

use super::{Desk, Made, made, made_of};
use crate::disk::{Expected, Job, Outcome, Verdict};
use crate::hash::piece::PieceHashes;
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, Hash};

const BLOCK: usize = 16384;

/// Writes a run of blocks of a piece, bytes of pads left out.
fn write(desk: &Desk<'_>, piece: u32, begin: usize, bytes: &[u8]) {
    let begin = u32::try_from(begin).expect("small");
    let outcome = desk.ask(Job::Write { piece, begin, bytes: bytes.to_vec() });
    let Outcome::Written { result: Ok(()), bytes: back, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(back.as_slice(), bytes);
}

fn check(desk: &Desk<'_>, piece: u32, expected: Expected) -> (Verdict, PieceHashes, Vec<Hash>) {
    match desk.ask(Job::Check { piece, expected }) {
        Outcome::Checked { verdict, hashes, leaves, .. } => (verdict, hashes, leaves),
        outcome => panic!("{outcome:?}"),
    }
}

/// Bytes of a piece that a peer would be asked for.
fn data(made: &Made, piece: u32) -> usize {
    let layout = made.content.layout();
    let range = layout.piece(u64::from(piece));
    let last = layout.segments(range.clone()).last().expect("data");
    (last.at + last.length - range.start) as usize
}

#[test]
fn blocks_in_any_order_are_judged_without_being_held() {
    for (piece_length, kinds, orders) in [
        (4 << 20, &[Kind::V1, Kind::V2, Kind::Hybrid][..], 0..3),
        (8 << 20, &[Kind::Hybrid], 1..2),
        (32 << 20, &[Kind::Hybrid], 2..3),
    ] {
        for &kind in kinds {
            let length = piece_length as usize + 100_000;
            let made = made(kind, piece_length, &[("a", length), ("b", 70_000)]);
            let mut rng = fastrand::Rng::with_seed(u64::from(piece_length));
            for order in orders.clone() {
                let mut desk = Desk::new(&made);
                for piece in 0..made.count() {
                    let end = data(&made, piece);
                    let run = BLOCK << order;
                    let mut begins: Vec<usize> = (0..end).step_by(run).collect();
                    match order {
                        0 => {}
                        1 => begins.reverse(),
                        _ => rng.shuffle(&mut begins),
                    }
                    for begin in begins {
                        let bytes = &made.pieces[piece as usize][begin..end.min(begin + run)];
                        write(&desk, piece, begin, bytes);
                    }
                    let expected = made.expected(piece);
                    let (verdict, hashes, leaves) = check(&desk, piece, expected);
                    assert!(matches!(verdict, Verdict::Good), "{kind:?} {piece_length} {piece}: {verdict:?}");
                    assert_eq!((hashes.sha1, hashes.sha256), (expected.sha1, expected.sha256));
                    assert!(leaves.is_empty());
                    desk.have.insert(piece);
                }
                desk.checkpoint(false);
                desk.finish(vec![0, 1]);
                desk.close();
                assert!(made.is_finished(desk.output()));
            }
        }
    }
}

#[test]
fn a_bad_block_is_told_by_its_leaf_and_put_right() {
    for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
        let made = made(kind, 8 << 20, &[("a", (8 << 20) + 5)]);
        let desk = Desk::new(&made);
        let mut bytes = made.pieces[0].clone();
        bytes[3 * BLOCK + 7] ^= 1;
        for begin in (0..bytes.len()).step_by(16 * BLOCK) {
            write(&desk, 0, begin, &bytes[begin..begin + 16 * BLOCK]);
        }
        let (verdict, _, leaves) = check(&desk, 0, made.expected(0));
        assert!(matches!(verdict, Verdict::Bad), "{verdict:?}");
        if kind != Kind::V1 {
            let right = made.pieces[0].chunks(BLOCK).map(merkle::leaf);
            let wrong: Vec<usize> = right
                .zip(&leaves)
                .enumerate()
                .filter(|(_, (a, b))| a != *b)
                .map(|(block, _)| block)
                .collect();
            assert_eq!((leaves.len(), wrong), (512, vec![3]));
        }
        write(&desk, 0, 3 * BLOCK, &made.pieces[0][3 * BLOCK..4 * BLOCK]);
        let (verdict, ..) = check(&desk, 0, made.expected(0));
        assert!(matches!(verdict, Verdict::Good), "{kind:?} {verdict:?}");
    }
}

#[test]
fn what_was_written_in_an_earlier_run_is_read_back() {
    let made = made(Kind::Hybrid, 8 << 20, &[("a", 9 << 20), ("b", 5)]);
    let desk = Desk::new(&made);
    for piece in 0..made.count() {
        write(&desk, piece, 0, &made.pieces[piece as usize][..data(&made, piece)]);
    }
    desk.checkpoint(false);
    let desk = desk.again(&made.all());
    assert_eq!(desk.have.len(), 3, "there is data, so it is hashed");
    let mut expected = made.expected(1);
    expected.with_leaves = true;
    let (verdict, _, leaves) = check(&desk, 1, expected);
    assert!(matches!(verdict, Verdict::Good) && leaves.len() == 64, "{verdict:?}");
    let (verdict, ..) = check(&desk, 2, made.expected(2));
    assert!(matches!(verdict, Verdict::Good), "{verdict:?}");
}

/// More pieces begun than are remembered: the hashes of the first are gone, their bytes are not.
#[test]
fn forgotten_hashes_are_computed_again() {
    let data = vec![(0..80 * BLOCK * 2).map(|at| (at % 251) as u8).collect::<Vec<u8>>()];
    let made = made_of(Kind::Hybrid, 2 * BLOCK as u32, &["a"], data, true);
    let desk = Desk::new(&made);
    for piece in 0..made.count() {
        write(&desk, piece, 0, &made.pieces[piece as usize]);
    }
    for piece in 0..made.count() {
        let (verdict, ..) = check(&desk, piece, made.expected(piece));
        assert!(matches!(verdict, Verdict::Good), "{piece}: {verdict:?}");
    }
}

#[test]
fn v1_pieces_over_many_files_are_judged_too() {
    let names: Vec<String> = (0..40).map(|n| format!("{n:02}")).collect();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 300_000)).collect();
    let made = made(Kind::V1, 8 << 20, &files);
    let desk = Desk::new(&made);
    for piece in 0..made.count() {
        let bytes = &made.pieces[piece as usize];
        for begin in (0..bytes.len()).step_by(64 * BLOCK).rev() {
            write(&desk, piece, begin, &bytes[begin..bytes.len().min(begin + 64 * BLOCK)]);
        }
        let (verdict, ..) = check(&desk, piece, made.expected(piece));
        assert!(matches!(verdict, Verdict::Good), "{piece}: {verdict:?}");
    }
    desk.finish((0..40).collect());
    desk.close();
    assert!(made.is_finished(desk.output()));
}
