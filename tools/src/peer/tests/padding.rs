//! Padding behind the files of a hybrid: asked for only to fill a block that data ends in, only over v1, and never
//! believed, stored or counted.

use super::lab::{FULL, Greeting, Lab, Role, Said, V1_FAST};
use crate::disk::tests::made;
use crate::peer::wire::{Block, Message};
use weightless::torrent::Kind;
use weightless::torrent::merkle::BLOCK_BYTES;

/// Pieces of four blocks; where each file ends in its last one, and what of it.
const FILES: [(&str, usize); 4] = [("a", 20_000), ("b", 65536 + 1), ("c", 65535), ("d", 40_000)];
const DATA: u64 = 20_000 + 65537 + 65535 + 40_000;

fn fetching() -> Lab {
    Lab::with(made(Kind::Hybrid, 65536, &FILES), true, |_| ())
}

/// Joins as one who has everything, and says what is asked of it.
fn asked(lab: &mut Lab, address: &str, greeting: Greeting) -> (u64, Vec<Block>) {
    let key = lab.join_seed(address, greeting, Role::Script);
    let requests = lab.heard(key).into_iter().filter_map(|said| match said {
        Said::Request(block) => Some(block),
        _ => None,
    });
    (key, requests.collect())
}

/// Serves what is asked until nothing more is; the padding in it is `fill`.
fn serve(lab: &mut Lab, key: u64, mut requests: Vec<Block>, fill: u8) -> Vec<Block> {
    let mut all = Vec::new();
    while let Some(block) = requests.pop() {
        let mut bytes = lab.data(block);
        let data = crate::peer::ledger::data_bytes(lab.content(), block.piece);
        if let Some(pads) = bytes.get_mut(data.saturating_sub(block.begin) as usize..) {
            pads.fill(fill);
        }
        lab.block(key, block, &bytes);
        lab.turn(1);
        all.push(block);
        let more = lab.heard(key);
        requests.extend(more.iter().filter_map(|said| match said {
            Said::Request(block) => Some(*block),
            _ => None,
        }));
    }
    all
}

#[test]
fn over_v1_whole_blocks_are_asked_for_and_nothing_in_the_padding_counts() {
    for fill in [0, 0xaa] {
        let mut lab = fetching();
        let (key, requests) = asked(&mut lab, "203.0.113.1:1", V1_FAST);
        let all = serve(&mut lab, key, requests, fill);
        assert!(lab.node.is_complete() && lab.node.banned.is_empty(), "{fill}: {all:?}");
        // Blocks of padding alone are not among them: 2 + 4 + 1 + 4 + 3.
        assert_eq!(all.len(), 14, "{all:?}");
        for block in &all {
            let end = lab.content().piece_bytes(block.piece);
            assert_eq!(block.length, BLOCK_BYTES.min(end - block.begin), "{block:?}");
        }
        let totals = lab.node.swarm().totals();
        assert_eq!((totals.downloaded, totals.wasted), (DATA, 0), "{fill}");
        for (piece, bytes) in (0..).zip(&lab.made.pieces) {
            assert_eq!(lab.node.disk.as_ref().expect("a disk").piece(piece), bytes, "{fill}: piece {piece}");
        }
    }
}

#[test]
fn over_v2_a_file_ends_where_it_ends() {
    let mut lab = fetching();
    let (key, requests) = asked(&mut lab, "203.0.113.1:1", FULL);
    let all = serve(&mut lab, key, requests, 0xaa);
    assert!(lab.node.is_complete());
    assert_eq!(all.iter().map(|block| u64::from(block.length)).sum::<u64>(), DATA);
}

#[test]
fn a_block_without_the_padding_that_was_asked_for_is_of_a_wrong_length() {
    let mut lab = Lab::with(made(Kind::Hybrid, 65536, &[("a", 20_000), ("b", 5)]), true, |_| ());
    let (key, requests) = asked(&mut lab, "203.0.113.1:1", V1_FAST);
    let whole = Block { piece: 0, begin: 16384, length: 16384 };
    assert!(requests.contains(&whole), "{requests:?}");
    let short = Block { length: 20_000 - 16384, ..whole };
    let bytes = lab.data(short);
    lab.block(key, short, &bytes);
    lab.turn(0);
    assert!(lab.is_banned("203.0.113.1:1"));
}

/// Near the end the last block is asked of both, of each in the words of its connection, and so is it cancelled.
#[test]
fn what_two_were_asked_for_is_cancelled_as_each_was_asked() {
    for v1_first in [false, true] {
        let mut lab = Lab::with(made(Kind::Hybrid, 65536, &[("a", 5000), ("b", 65536)]), true, |_| ());
        let (one, of_one) = asked(&mut lab, "203.0.113.1:1", V1_FAST);
        let (two, of_two) = asked(&mut lab, "203.0.113.2:1", FULL);
        let is_last = |block: &&Block| block.piece == 0 && block.begin == 0;
        let long = *of_one.iter().find(is_last).expect("of the first");
        let short = *of_two.iter().find(is_last).expect("of the second");
        assert_eq!((long.length, short.length), (16384, 5000));
        let (key, came, other, cancelled) =
            if v1_first { (one, long, two, short) } else { (two, short, one, long) };
        let bytes = lab.data(came);
        lab.block(key, came, &bytes);
        lab.turn(0);
        assert!(lab.heard(other).contains(&Said::Cancel(cancelled)), "{v1_first}");
        // It was on its way already: that is nobody's fault, and counts as wasted.
        let bytes = lab.data(cancelled);
        lab.block(other, cancelled, &bytes);
        lab.say(other, &Message::Reject(cancelled));
        lab.turn(0);
        assert!(!lab.is_closed(other) && lab.node.swarm().totals().wasted >= 5000, "{v1_first}");
    }
}
