//! Hash transfer against trees filled up leaf by leaf: the table of the specification, serving, asking, lying.

use super::*;
use crate::peer::limits::{
    BLOCK_HASH_PEERS_MAX, HASH_REQUESTS_LATE_MAX, HASHES_ASKED_MAX, HASHES_BYTES_MAX, HASHES_SERVED_MAX,
};
use crate::peer::wire::HashRange;
use std::collections::BTreeMap;
use weightless::base::{Millis, Rng};
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// A file whose whole tree is there, padding included: `levels[0]` are the leaves, the last one is the root.
struct File {
    shape: TreeShape,
    levels: Vec<Vec<Hash>>,
    blocks: Vec<Vec<Hash>>,
    layer: Vec<u8>,
    tops: Option<Tops>,
}

impl File {
    fn new(bytes: u64, piece_length: u32, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let shape = TreeShape::of(bytes, piece_length);
        let real = bytes.div_ceil(BLOCK_BYTES.into()) as usize;
        let leaves: Vec<Hash> = (0..real).map(|_| merkle::leaf(&rng.u64().to_be_bytes())).collect();
        let padded = if bytes <= piece_length.into() {
            real.next_power_of_two()
        } else {
            let pieces = bytes.div_ceil(piece_length.into()).next_power_of_two();
            pieces as usize * (piece_length / BLOCK_BYTES) as usize
        };
        let mut level = leaves.clone();
        level.resize(padded, [0; 32]);
        let mut levels = vec![level];
        while levels.last().is_some_and(|level| level.len() > 1) {
            let below = levels.last().expect("not empty");
            levels.push(below.chunks(2).map(|pair| merkle::parent(&pair[0], &pair[1])).collect());
        }
        let is_small = bytes <= piece_length.into();
        let blocks = leaves.chunks((piece_length / BLOCK_BYTES) as usize).map(<[Hash]>::to_vec).collect();
        let layer = if is_small {
            Vec::new()
        } else {
            levels[shape.piece_level() as usize][..shape.pieces() as usize].concat()
        };
        let tops = Tops::of(shape, &layer);
        Self { shape, levels, blocks, layer, tops }
    }

    fn root(&self) -> Hash {
        self.levels.last().expect("a root")[0]
    }

    fn answer(&self, range: &HashRange) -> Option<Vec<u8>> {
        let leaves = |piece: u32| self.blocks.get(piece as usize).map(Vec::as_slice);
        let tops = self.tops.as_ref();
        answer(range, &FileTree { shape: self.shape, layer: &self.layer, tops, leaves: &leaves })
    }

    /// What the specification says, looked up in the whole tree.
    fn expected(&self, range: &HashRange) -> Vec<u8> {
        let (first, length) = (range.index as usize, range.length as usize);
        let mut out = self.levels[range.base as usize][first..first + length].concat();
        let inside = range.length.ilog2();
        for step in 0..(range.proofs + 1).saturating_sub(inside) {
            let level = range.base + inside + step;
            out.extend(self.levels[level as usize][(range.index as usize >> (inside + step)) ^ 1]);
        }
        out
    }
}

fn range(base: u32, index: u32, length: u32, proofs: u32) -> HashRange {
    HashRange { root: [0; 32], base, index, length, proofs }
}

/// 1048577 bytes, pieces of 256 KiB: 65 blocks, 5 pieces, 128 padded leaves.
fn example() -> File {
    File::new(1_048_577, 262_144, 1)
}

#[test]
fn the_table_of_the_specification() {
    let file = example();
    assert_eq!((file.levels[0].len(), file.levels[4].len(), file.shape.piece_level()), (128, 8, 4));
    let node = |level: usize, index: usize| file.levels[level][index].to_vec();
    let nodes = |level: usize, indexes: std::ops::Range<usize>| file.levels[level][indexes].concat();
    for (asked, expected) in [
        (range(4, 0, 8, 0), nodes(4, 0..8)),
        (range(4, 0, 4, 2), [nodes(4, 0..4), node(6, 1)].concat()),
        (range(4, 0, 2, 2), [nodes(4, 0..2), node(5, 1), node(6, 1)].concat()),
        (range(0, 64, 16, 6), [nodes(0, 64..80), node(4, 5), node(5, 3), node(6, 0)].concat()),
    ] {
        assert_eq!(file.answer(&asked), Some(expected), "{asked:?}");
    }
    // "8 hashes, the last 3 padding"
    assert_eq!(file.answer(&range(4, 0, 8, 0)).expect("hashes")[5 * 32..], merkle::pad(4).repeat(3));
    for rejected in [range(4, 0, 2, 3), range(4, 0, 512, 0), range(7, 0, 1, 0)] {
        assert_eq!(file.answer(&rejected), None, "{rejected:?}");
    }
}

#[test]
fn the_tree_is_that_of_the_torrent() {
    for (bytes, piece_length) in [(1_048_577, 262_144), (16385, 16384), (5_000_000, 65536)] {
        let file = File::new(bytes, piece_length, 2);
        let (layer, _) = file.layer.as_chunks::<32>();
        assert_eq!(merkle::file_root(layer.to_vec(), piece_length), file.root());
        for (piece, blocks) in file.blocks.iter().enumerate() {
            assert_eq!(merkle::piece_hash(&mut blocks.clone(), piece_length), layer[piece]);
        }
    }
    for bytes in [1, 16384, 16385, 49153, 262_144] {
        let file = File::new(bytes, 262_144, 2);
        assert_eq!(merkle::small_file_root(&mut file.blocks[0].clone()), file.root(), "{bytes}");
        assert_eq!((file.shape.pieces(), file.shape.piece_level()), (1, file.shape.height()));
    }
}

/// Every request that can be made of some small trees, and what is one past each of its bounds.
#[test]
fn every_request_gets_what_the_whole_tree_says() {
    for (bytes, piece_length) in
        [(1_048_577, 262_144), (49153, 16384), (32769, 65536), (16384, 16384), (300_000, 32768)]
    {
        let file = File::new(bytes, piece_length, 3);
        let height = file.shape.height();
        for base in 0..=height + 1 {
            let width = file.levels.get(base as usize).map_or(0, Vec::len) as u32;
            for length in (0..=9).map(|log| 1 << log).chain([0, 3, 6]) {
                for index in 0..=width {
                    for proofs in 0..=height + 1 {
                        let asked = range(base, index, length, proofs);
                        let makes_sense = length >= 2
                            && length.is_power_of_two()
                            && index % length == 0
                            && index + length <= width
                            && base + proofs < height;
                        assert_eq!(file.shape.accepts(&asked), makes_sense, "{asked:?}");
                        let is_served = makes_sense && (base == 0 || base == file.shape.piece_level());
                        let expected = is_served.then(|| file.expected(&asked));
                        assert_eq!(file.answer(&asked), expected, "{asked:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn huge_numbers_are_rejected() {
    let file = example();
    for asked in [
        range(u32::MAX, 0, 2, 0),
        range(0, u32::MAX, 2, 0),
        range(0, u32::MAX - 1, 2, 0),
        range(0, 0, 1 << 31, 0),
        range(0, 1 << 31, 1 << 31, 0),
        range(0, 0, 2, u32::MAX),
    ] {
        assert_eq!((file.answer(&asked), file.shape.pieces_under(&asked)), (None, 0..0), "{asked:?}");
    }
    // The largest file: more blocks than an index can name, but none of them is served beyond.
    let shape = TreeShape::of((1 << 48) - 1, BLOCK_BYTES);
    assert_eq!(shape.height(), 34);
    assert!(shape.accepts(&range(0, u32::MAX - 1, 2, 33)));
    assert!(!shape.accepts(&range(0, u32::MAX - 1, 2, 34)));
}

#[test]
fn eight_thousand_hashes_are_served_and_not_more() {
    let file = File::new(16384 * 8200, 16384, 4);
    let asked = range(0, 0, HASHES_SERVED_MAX, 13);
    assert_eq!(file.answer(&asked), Some(file.expected(&asked)));
    // A whole tree of twice as many would make sense, and is too much.
    let twice = range(0, 0, 2 * HASHES_SERVED_MAX, 0);
    assert!(file.shape.accepts(&twice));
    assert_eq!(file.answer(&twice), None);
}

#[test]
fn the_kept_levels_change_no_answer() {
    for pieces in [512, 513, 1024, 1025, 1700] {
        let file = File::new(pieces * 32768, 32768, pieces);
        assert_eq!(file.tops.is_some(), pieces > 512);
        let leaves = |piece: u32| file.blocks.get(piece as usize).map(Vec::as_slice);
        let slow = FileTree { shape: file.shape, layer: &file.layer, tops: None, leaves: &leaves };
        for (base, index, length) in
            [(1, 0, 512), (1, 512, 512), (1, 0, 2), (1, 510, 2), (0, 1022, 2), (0, 0, 1024)]
        {
            let asked = range(base, index, length, file.shape.height() - base - 1);
            let answered = answer(&asked, &slow);
            assert_eq!(answered, file.answer(&asked), "{pieces} pieces, {asked:?}");
            assert_eq!(answered, file.shape.accepts(&asked).then(|| file.expected(&asked)));
        }
    }
}

#[test]
fn block_hashes_that_are_not_at_hand_are_rejected() {
    let file = example();
    let only_the_last = |piece: u32| (piece == 4).then(|| file.blocks[4].as_slice());
    let tree = FileTree { shape: file.shape, layer: &file.layer, tops: None, leaves: &only_the_last };
    assert_eq!(file.shape.pieces_under(&range(0, 64, 16, 6)), 4..5);
    assert!(answer(&range(0, 64, 16, 6), &tree).is_some());
    assert_eq!(file.shape.pieces_under(&range(0, 32, 32, 6)), 2..4);
    assert_eq!(answer(&range(0, 32, 32, 6), &tree), None);
    // Behind the end of the file there is nothing to have.
    assert_eq!(file.shape.pieces_under(&range(0, 64, 64, 6)), 4..5);
    assert!(answer(&range(0, 64, 64, 6), &tree).is_some());
    assert_eq!(file.shape.pieces_under(&range(0, 96, 16, 6)), 5..5);
    assert!(answer(&range(0, 96, 16, 6), &tree).is_some());
    assert_eq!(file.shape.pieces_under(&range(4, 0, 8, 0)), 0..0);
}

fn wanted(file: usize, of: &File, bytes: u64, first_piece: u32) -> WantedLayer {
    WantedLayer { file, root: of.root(), bytes, first_piece }
}

fn ask(fetch: &mut LayerFetch, now: Millis, peers: &[u64]) -> Vec<(u64, HashRange)> {
    let mut out = Vec::new();
    fetch.next_requests(now, peers, &|_, _| true, &mut out);
    out
}

#[test]
fn layers_come_whole_and_proved() {
    for pieces in [2, 3, 5, 511, 512, 513, 1025] {
        let bytes = pieces * 16384;
        let file = File::new(bytes, 16384, pieces);
        let mut fetch = LayerFetch::new(&[wanted(7, &file, bytes, 100)], 16384);
        let mut seen = 0;
        while !fetch.is_done() {
            let requests = ask(&mut fetch, 0, &[1, 2, 3]);
            assert!(!requests.is_empty() && requests.len() <= 6);
            for (peer, range) in requests {
                let height = file.shape.height();
                assert_eq!(range.proofs, height - range.base - 1, "the most that may be asked");
                assert_eq!(range.length, (pieces as u32).next_power_of_two().min(HASHES_ASKED_MAX));
                let hashes = file.answer(&range).expect("it is a proper request");
                assert!(hashes.len() <= HASHES_BYTES_MAX as usize);
                let count = (pieces as u32 - range.index).min(HASHES_ASKED_MAX);
                seen += count;
                let accepted = LayerAnswer::Accepted { files: vec![7], first: range.index, count };
                assert_eq!(fetch.received(peer, &range, &hashes), accepted);
            }
        }
        assert_eq!(u64::from(seen), pieces);
        assert_eq!(fetch.take_complete(), Some((vec![7], file.layer.clone())));
        assert_eq!(fetch.take_complete(), None);
        assert_eq!(ask(&mut fetch, 0, &[1]), []);
    }
}

#[test]
fn files_of_one_piece_need_no_layer_and_equal_files_share_one() {
    let (small, large) = (File::new(16384, 16384, 1), File::new(40000, 16384, 2));
    let all = [wanted(0, &small, 16384, 0), wanted(1, &large, 40000, 1), wanted(2, &large, 40000, 4)];
    let mut fetch = LayerFetch::new(&all, 16384);
    let requests = ask(&mut fetch, 0, &[1]);
    let [(1, range)] = requests[..] else { panic!("one request: {requests:?}") };
    let hashes = file_hashes(&large, &range);
    let accepted = LayerAnswer::Accepted { files: vec![1, 2], first: 0, count: 3 };
    assert_eq!(fetch.received(1, &range, &hashes), accepted);
    assert_eq!(fetch.take_complete(), Some((vec![1, 2], large.layer)));
    assert!(LayerFetch::new(&all[..1], 16384).is_done());
}

fn file_hashes(file: &File, range: &HashRange) -> Vec<u8> {
    file.answer(range).expect("a proper request")
}

#[test]
fn what_was_not_asked_is_told_apart_from_what_is_wrong() {
    let file = File::new(1500 * 16384, 16384, 1);
    let mut fetch = LayerFetch::new(&[wanted(0, &file, 1500 * 16384, 0)], 16384);
    let (peer, first) = ask(&mut fetch, 0, &[1])[0];
    let hashes = file_hashes(&file, &first);
    assert_eq!(fetch.received(2, &first, &hashes), LayerAnswer::Unasked, "of another peer");
    let other = HashRange { index: 512 * 2, ..first };
    assert_eq!(fetch.received(1, &other, &file_hashes(&file, &other)), LayerAnswer::Unasked, "another range");
    let mut at = 0;
    for length in [0, 31, 32, hashes.len() - 32, hashes.len() + 32] {
        let mut fetch = LayerFetch::new(&[wanted(0, &file, 1500 * 16384, 0)], 16384);
        let (_, range) = ask(&mut fetch, 0, &[1])[0];
        let mut wrong = hashes.clone();
        wrong.resize(length, 0);
        assert_eq!(fetch.received(1, &range, &wrong), LayerAnswer::Wrong, "{length}");
        // It is asked for again, now of somebody else.
        fetch.peer_gone(1);
        assert!(ask(&mut fetch, 0, &[2]).contains(&(2, range)));
    }
    while at < hashes.len() {
        let mut fetch = LayerFetch::new(&[wanted(0, &file, 1500 * 16384, 0)], 16384);
        let (_, range) = ask(&mut fetch, 0, &[1])[0];
        let mut wrong = hashes.clone();
        wrong[at] ^= 1;
        assert_eq!(fetch.received(1, &range, &wrong), LayerAnswer::Wrong, "byte {at}");
        assert_eq!(fetch.received(1, &range, &hashes), LayerAnswer::Unasked, "once only");
        at += 1501;
    }
    assert!(!matches!(fetch.received(peer, &first, &hashes), LayerAnswer::Unasked));
}

#[test]
fn two_requests_a_peer_and_only_of_those_who_have_a_piece_there() {
    let bytes = 1500 * 16384;
    let file = File::new(bytes, 16384, 1);
    let mut fetch = LayerFetch::new(&[wanted(0, &file, bytes, 10)], 16384);
    let mut out = Vec::new();
    // Peer 1 has nothing, peer 2 piece 10 + 1030 of the torrent, peer 3 everything.
    let has = |peer, pieces: std::ops::Range<u32>| peer == 3 || (peer == 2 && pieces.contains(&1040));
    fetch.next_requests(0, &[1, 2, 3], &has, &mut out);
    let indexes: Vec<_> = out.iter().map(|(peer, range)| (*peer, range.index)).collect();
    assert_eq!(indexes, [(2, 1024), (3, 0), (3, 512)]);
    out.clear();
    fetch.next_requests(1, &[1, 2, 3], &has, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_rejected_request_goes_to_another_peer_and_comes_back_after_half_a_minute() {
    let bytes = 100 * 16384;
    let file = File::new(bytes, 16384, 1);
    let mut fetch = LayerFetch::new(&[wanted(0, &file, bytes, 0)], 16384);
    let requests = ask(&mut fetch, 0, &[1, 2]);
    let [(1, range)] = requests[..] else { panic!("one chunk: {requests:?}") };
    assert!(!fetch.rejected(0, 2, &range), "it was not asked");
    assert!(fetch.rejected(0, 1, &range));
    assert_eq!(ask(&mut fetch, 0, &[1]), []);
    assert_eq!(fetch.next_due(0), Some(30_000));
    assert_eq!(ask(&mut fetch, 1, &[1, 2]), [(2, range)]);
    assert!(fetch.rejected(1, 2, &range));
    assert_eq!(ask(&mut fetch, 29_999, &[1, 2]), []);
    assert_eq!(ask(&mut fetch, 30_000, &[1, 2]), [(1, range)]);
}

#[test]
fn an_answer_may_take_ten_seconds_and_a_late_one_is_still_good() {
    let bytes = 100 * 16384;
    let file = File::new(bytes, 16384, 1);
    let mut fetch = LayerFetch::new(&[wanted(0, &file, bytes, 0)], 16384);
    let (_, range) = ask(&mut fetch, 0, &[1])[0];
    let hashes = file_hashes(&file, &range);
    assert_eq!(fetch.next_due(0), Some(10_000));
    assert_eq!(ask(&mut fetch, 9_999, &[1, 2]), []);
    assert_eq!(ask(&mut fetch, 10_000, &[1, 2]), [(2, range)]);
    assert!(matches!(fetch.received(1, &range, &hashes), LayerAnswer::Accepted { .. }));
    assert!(fetch.is_done());
    assert_eq!(fetch.received(2, &range, &hashes), LayerAnswer::Known);
    assert_eq!(fetch.received(2, &range, &hashes), LayerAnswer::Unasked);
}

#[test]
fn late_requests_are_bounded() {
    let bytes = 65536 * 16384;
    let shape = TreeShape::of(bytes, 16384);
    assert_eq!(shape.pieces(), 65536);
    let layer = WantedLayer { file: 0, root: [1; 32], bytes, first_piece: 0 };
    let mut fetch = LayerFetch::new(&[layer], 16384);
    let mut all = Vec::new();
    for round in 0..40 {
        all.extend(ask(&mut fetch, round * 40_000, &[1]));
        ask(&mut fetch, round * 40_000 + 10_000, &[]);
    }
    assert_eq!(all.len(), 80);
    let known = all.iter().filter(|(peer, range)| fetch.rejected(9_999_999, *peer, range)).count();
    assert_eq!(known, HASH_REQUESTS_LATE_MAX);
}

/// Honest, silent, lying, rejecting and vanishing peers: every layer arrives as it is.
#[test]
fn a_mixed_swarm_brings_every_layer() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let sizes: Vec<u64> = (0..5).map(|_| u64::from(rng.below(700) + 2) * 16384 - 5).collect();
        let files: Vec<File> =
            sizes.iter().zip(0..).map(|(bytes, at)| File::new(*bytes, 16384, seed * 10 + at)).collect();
        let all: Vec<_> = files.iter().enumerate().map(|(at, file)| wanted(at, file, sizes[at], 0)).collect();
        let roots: BTreeMap<Hash, &File> = files.iter().map(|file| (file.root(), file)).collect();
        let mut fetch = LayerFetch::new(&all, 16384);
        let mut peers: Vec<u64> = (0..8).collect();
        let mut complete = BTreeMap::new();
        let mut now = 0;
        while !fetch.is_done() {
            for (peer, range) in ask(&mut fetch, now, &peers) {
                let hashes = file_hashes(roots[&range.root], &range);
                match rng.below(10) {
                    0 => {}
                    1 => assert!(fetch.rejected(now, peer, &range) || !peers.contains(&peer)),
                    2 if peers.contains(&peer) && peers.len() > 2 => {
                        assert_eq!(fetch.received(peer, &range, &hashes[32..]), LayerAnswer::Wrong);
                        fetch.peer_gone(peer);
                        peers.retain(|other| *other != peer);
                    }
                    _ => {
                        let answer = fetch.received(peer, &range, &hashes);
                        assert!(
                            matches!(answer, LayerAnswer::Accepted { .. }) || !peers.contains(&peer),
                            "{answer:?}"
                        );
                    }
                }
            }
            while let Some((of, layer)) = fetch.take_complete() {
                complete.insert(of[0], layer);
            }
            now += 2_000;
            assert!(now < 10_000_000, "it does not end");
        }
        for (at, file) in files.iter().enumerate() {
            assert_eq!(complete[&at], file.layer);
        }
    }
}

fn blocks_of(file: &File, piece: u32) -> Option<BlockHashFetch> {
    let level = &file.levels[file.shape.piece_level() as usize];
    BlockHashFetch::new(file.root(), file.shape, piece, level[piece as usize])
}

fn ask_blocks(fetch: &mut BlockHashFetch, now: Millis, peers: &[u64]) -> Vec<(u64, HashRange)> {
    let mut out = Vec::new();
    fetch.next_requests(now, peers, &mut out);
    out
}

#[test]
fn block_hashes_of_a_piece_come_proved() {
    // Several pieces; one that ends early; one chunk and several; a small file.
    for (bytes, piece_length) in [
        (1_048_577, 262_144),
        (16 << 20, 8 << 20),
        (40_000_000, 16 << 20),
        (300_000, 1 << 20),
        (40_000, 32768),
    ] {
        let file = File::new(bytes, piece_length, 5);
        for piece in 0..file.shape.pieces() {
            let mut fetch = blocks_of(&file, piece).expect("more than one block");
            let mut complete = None;
            while complete.is_none() {
                let requests = ask_blocks(&mut fetch, 0, &[1, 2]);
                assert!(!requests.is_empty());
                for (peer, range) in requests {
                    assert!(file.shape.accepts(&range) && range.length <= HASHES_ASKED_MAX, "{range:?}");
                    match fetch.received(peer, &range, &file_hashes(&file, &range)) {
                        BlockHashes::More => {}
                        BlockHashes::Complete(hashes) => complete = Some(hashes),
                        other => panic!("{other:?}"),
                    }
                }
            }
            let blocks = 1 << file.shape.piece_level();
            let first = piece as usize * blocks;
            assert_eq!(complete.as_deref(), Some(&file.levels[0][first..first + blocks]));
        }
    }
}

#[test]
fn a_piece_of_one_block_tells_its_liar_itself() {
    assert!(blocks_of(&File::new(100_000, 16384, 1), 2).is_none());
    assert!(blocks_of(&File::new(100, 262_144, 1), 0).is_none());
    let file = example();
    assert!(BlockHashFetch::new(file.root(), file.shape, 5, [0; 32]).is_none(), "there is no such piece");
}

#[test]
fn wrong_block_hashes_are_found() {
    let file = example();
    let mut fetch = blocks_of(&file, 2).expect("more than one block");
    let (_, range) = ask_blocks(&mut fetch, 0, &[1])[0];
    let hashes = file_hashes(&file, &range);
    assert_eq!(fetch.received(2, &range, &hashes), BlockHashes::Unasked);
    let mut wrong = hashes.clone();
    wrong[0] ^= 1;
    assert_eq!(fetch.received(1, &range, &wrong), BlockHashes::Wrong);
    assert_eq!(fetch.received(1, &range, &hashes), BlockHashes::Unasked);
    assert_eq!(ask_blocks(&mut fetch, 0, &[1, 2]), [(2, range)]);
    assert_eq!(fetch.received(2, &range, &hashes[32..]), BlockHashes::Wrong);
    assert_eq!(ask_blocks(&mut fetch, 0, &[1, 2, 3]), [(3, range)]);
    assert!(matches!(fetch.received(3, &range, &hashes), BlockHashes::Complete(_)));
}

#[test]
fn up_to_five_peers_are_asked_for_block_hashes() {
    let file = example();
    let mut fetch = blocks_of(&file, 0).expect("more than one block");
    let peers: Vec<u64> = (0..10).collect();
    let mut asked = Vec::new();
    for round in 0..10 {
        for (peer, range) in ask_blocks(&mut fetch, round * 10_000, &peers) {
            asked.push(peer);
            match round % 3 {
                0 => assert!(fetch.rejected(peer, &range)),
                1 => fetch.peer_gone(peer),
                _ => assert!(fetch.is_waiting() && fetch.next_due() == Some((round + 1) * 10_000)),
            }
        }
    }
    assert_eq!(asked, [0, 1, 2, 3, 4]);
    assert_eq!(asked.len(), BLOCK_HASH_PEERS_MAX);
    assert!(fetch.has_failed() && !fetch.is_waiting());
}
