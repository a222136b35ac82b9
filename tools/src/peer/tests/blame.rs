//! Wrong data: who sent it is found, nobody else suffers, and little is fetched twice.

use super::lab::{FULL, Lab, PLAIN, Role, V1_FAST, at};
use super::node::START;
use crate::disk::tests::{contradiction, made};
use crate::peer::action::Failed;
use weightless::torrent::Kind;

const GOOD: Role = Role::Seed { wrong_one_in: 0 };
const SEEDS: u64 = 4;

/// Three seeds of which the first sends one wrong block in fifty.
fn three(kind: Kind, greeting: super::lab::Greeting, piece_length: u32, seed: u64) -> Lab {
    let pieces = made(kind, piece_length, &[("a", (2 << 20) + 77), ("b", 300_000)]);
    let mut lab = Lab::with(pieces, true, |plan| plan.seed = seed);
    for (number, role) in [Role::Seed { wrong_one_in: 50 }, GOOD, GOOD].into_iter().enumerate() {
        let key = lab.join_seed(&format!("203.0.113.{}:1", number + 1), greeting, role);
        lab.peer(key).per_turn = 4;
    }
    assert!(lab.until(50, 20_000, |lab| lab.node.is_complete()), "seed {seed}");
    lab
}

#[test]
fn with_v2_only_the_corrupter_is_banned_and_its_good_blocks_stay() {
    for seed in 0..SEEDS {
        for kind in [Kind::V2, Kind::Hybrid] {
            let lab = three(kind, FULL, 262_144, seed);
            let corrupter = &lab.peers[lab.peers.keys().next().expect("three")];
            let banned = &lab.node.banned;
            assert!(banned.iter().all(|address| *address == at("203.0.113.1:1")), "seed {seed}: {banned:?}");
            if corrupter.served.1 > 0 {
                assert_eq!(banned.len(), 1, "seed {seed}");
            }
            // What is thrown away is not more than what it sent.
            let (wasted, share) = (lab.node.swarm().totals().wasted, u64::from(corrupter.served.0) * 16384);
            assert!(wasted <= share, "seed {seed}: {wasted} of {share}");
        }
    }
}

#[test]
fn with_v1_the_piece_is_fetched_from_one_peer_and_the_blocks_compared() {
    for seed in 0..SEEDS {
        let lab = three(Kind::V1, V1_FAST, 262_144, seed);
        let wrong = lab.peers[lab.peers.keys().next().expect("three")].served.1;
        let banned = &lab.node.banned;
        assert!(banned.iter().all(|address| *address == at("203.0.113.1:1")), "seed {seed}: {banned:?}");
        assert!(wrong == 0 || banned.len() == 1, "seed {seed}");
    }
}

#[test]
fn with_pieces_in_stripes_the_corrupter_is_found_as_well() {
    for (kind, greeting) in [(Kind::V1, V1_FAST), (Kind::V2, FULL)] {
        let mut lab = Lab::fetching(kind, 8 << 20, (16 << 20) + 9);
        for (number, role) in [Role::Seed { wrong_one_in: 30 }, GOOD, GOOD].into_iter().enumerate() {
            lab.join_seed(&format!("203.0.113.{}:1", number + 1), greeting, role);
        }
        assert!(lab.until(50, 20_000, |lab| lab.node.is_complete()));
        assert_eq!(lab.node.banned, [at("203.0.113.1:1")], "{kind:?}");
    }
}

#[test]
fn who_alone_sends_a_wrong_piece_is_banned_at_once() {
    for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
        let mut lab = Lab::fetching(kind, 65536, 300_000);
        lab.join_seed("203.0.113.1:1", FULL, Role::Seed { wrong_one_in: 1 });
        assert!(lab.until(50, 100, |lab| !lab.node.banned.is_empty()));
        assert_eq!(lab.node.banned, [at("203.0.113.1:1")]);
        // Its address is not let in again, from whatever port.
        let again = lab.join("203.0.113.1:2", FULL);
        assert!(lab.is_closed(again));
        lab.join_seed("203.0.113.2:1", FULL, GOOD);
        assert!(lab.until(50, 1000, |lab| lab.node.is_complete()));
        assert_eq!(lab.node.banned.len(), 1);
    }
}

#[test]
fn a_piece_that_comes_wrong_from_five_alone_never_matches() {
    let mut lab = Lab::fetching(Kind::V1, 65536, 65536);
    for number in 1..=5 {
        assert!(lab.node.failed.is_none(), "{number}");
        lab.join_seed(&format!("203.0.113.{number}:1"), FULL, Role::Seed { wrong_one_in: 1 });
        lab.until(50, 40, |lab| lab.node.failed.is_some());
    }
    assert!(matches!(lab.node.failed, Some(Failed::NeverMatches { piece: 0 })), "{:?}", lab.node.failed);
}

#[test]
fn hashes_that_contradict_each_other_end_it_and_ban_nobody() {
    let torrent = contradiction(&made(Kind::Hybrid, 65536, &[("a", 100_000)]));
    let mut lab = Lab::with(torrent, true, |_| ());
    lab.join_seed("203.0.113.1:1", FULL, GOOD);
    assert!(lab.until(50, 1000, |lab| lab.node.failed.is_some()));
    assert!(matches!(lab.node.failed, Some(Failed::Contradiction)));
    assert!(lab.node.banned.is_empty());
}

#[test]
fn liars_about_block_hashes_do_not_get_others_banned() {
    // Both seeds speak v2, but nobody gives block hashes: parole finds the corrupter all the same.
    for seed in 0..SEEDS {
        let mut lab =
            Lab::with(made(Kind::Hybrid, 262_144, &[("a", 3 << 20)]), true, |plan| plan.seed = seed);
        lab.join_seed("203.0.113.1:1", PLAIN, Role::Seed { wrong_one_in: 40 });
        lab.join_seed("203.0.113.2:1", PLAIN, GOOD);
        assert!(lab.until(50, 20_000, |lab| lab.node.is_complete()), "seed {seed}");
        assert!(lab.node.banned.iter().all(|address| *address == at("203.0.113.1:1")), "seed {seed}");
        assert!(lab.now - START < 600_000);
    }
}
