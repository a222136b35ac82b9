//! The pool: answers as they go on the wire, bounded queues, an end that loses nothing.

use super::{Desk, made, open};
use crate::disk::{Job, Outcome, Pool, Verdict};
use crate::peer::wire::Block;
use crossbeam_channel::bounded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use weightless::torrent::{Kind, merkle};

#[test]
fn blocks_are_read_as_piece_messages() {
    for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
        let made = made(kind, 32768, &[("a", 20000), ("b", 70000), ("c", 9)]);
        let mut desk = Desk::new(&made);
        for piece in 0..made.count() {
            assert!(matches!(desk.store(piece), Verdict::Good));
        }
        for round in 0..3u32 {
            let mut blocks: Vec<Block> = Vec::new();
            for (piece, bytes) in (0..).zip(&made.pieces) {
                let length = bytes.len() as u32;
                for begin in (0..length).step_by(16384 >> round) {
                    blocks.push(Block { piece, begin, length: (length - begin).min(16384 >> round) });
                }
            }
            let Outcome::Read { ticket: 5, result: Ok(answer) } =
                desk.ask(Job::Read { ticket: 5, blocks: blocks.clone() })
            else {
                panic!("not read")
            };
            let mut expected = Vec::new();
            for block in blocks {
                expected.extend_from_slice(&(9 + block.length).to_be_bytes());
                expected.push(7);
                expected.extend_from_slice(&block.piece.to_be_bytes());
                expected.extend_from_slice(&block.begin.to_be_bytes());
                let (from, to) = (block.begin as usize, (block.begin + block.length) as usize);
                expected.extend_from_slice(&made.pieces[block.piece as usize][from..to]);
            }
            assert!(answer == expected, "{kind:?} {round}");
            let mut dirty = answer;
            dirty.fill(0xff);
            desk.pool.recycle(dirty);
        }
    }
}

#[test]
fn leaves_of_stored_pieces_are_those_of_the_tree() {
    let made = made(Kind::Hybrid, 65536, &[("a", 70000), ("b", 300)]);
    let mut desk = Desk::new(&made);
    for piece in 0..made.count() {
        desk.store(piece);
    }
    for _ in 0..2 {
        for (piece, data) in
            [(0, &made.files[0][..65536]), (1, &made.files[0][65536..]), (2, &made.files[1][..])]
        {
            let Outcome::Leaves { ticket: 9, result: Ok(leaves) } =
                desk.ask(Job::Leaves { ticket: 9, piece })
            else {
                panic!("no leaves")
            };
            let right: Vec<_> = data.chunks(16384).map(merkle::leaf).collect();
            assert_eq!(leaves, right, "pads have none");
        }
    }
}

/// One thread stands still, because nobody takes what it has done: then no more is taken on, and nothing is lost.
#[test]
fn queues_are_bounded_and_the_end_loses_nothing() {
    let made = made(Kind::V1, 16384, &[("a", 16384)]);
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&made, dir.path(), &made.all(), |_| ()).expect("opens");
    let rings = Arc::new(AtomicUsize::new(0));
    let (ring, bell) = bounded(100);
    let counted = Arc::clone(&rings);
    let notify = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = ring.try_send(());
    });
    let pool = Pool::start(&opened.storage, 1, notify);
    let store = || Job::Store { piece: 0, bytes: made.pieces[0].clone(), expected: made.expected(0) };
    let mut taken = 0;
    // Both queues and the thread's hands: it ends when all of them are full.
    let full = loop {
        match pool.submit(store()) {
            Ok(()) => taken += 1,
            Err(job) if taken > 2 * 32 => break job,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert!(matches!(full, Job::Store { .. }));
    assert_eq!(taken, 65);
    bell.recv_timeout(Duration::from_secs(30)).expect("a ring");
    assert_eq!(rings.load(Ordering::SeqCst), 1, "once until they are taken");
    let first = pool.outcomes().take(1).count();
    bell.recv_timeout(Duration::from_secs(30)).expect("a ring for what came afterwards");
    let rest = pool.stop();
    assert_eq!(first + rest.len(), taken);
    assert!(rest.iter().all(|outcome| matches!(outcome, Outcome::Stored { verdict: Verdict::Good, .. })));
}

#[test]
fn all_threads_end_with_the_pool() {
    let made = made(Kind::V2, 16384, &[("a", 16384 * 40), ("b", 5)]);
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&made, dir.path(), &made.all(), |_| ()).expect("opens");
    let pool = Pool::start(&opened.storage, 4, Arc::new(|| ()));
    for piece in 0..made.count() {
        let bytes = made.pieces[piece as usize].clone();
        pool.submit(Job::Store { piece, bytes, expected: made.expected(piece) }).expect("there is room");
    }
    let mut rest = pool.stop();
    assert_eq!(rest.len(), 41);
    rest.retain(|outcome| !matches!(outcome, Outcome::Stored { verdict: Verdict::Good, .. }));
    assert!(rest.is_empty());
    assert_eq!(Arc::strong_count(&opened.storage), 1);
}
