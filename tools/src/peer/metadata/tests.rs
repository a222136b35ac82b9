//! Fetching metadata against honest, silent, rejecting and lying peers.

use super::*;
use weightless::base::Rng;
use weightless::torrent::{v1_hash, v2_hash};

fn info(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..length).map(|_| rng.u64() as u8).collect()
}

fn hybrid(info: &[u8]) -> InfoHashes {
    InfoHashes::Hybrid(v1_hash(info), v2_hash(info))
}

fn requests(fetch: &mut MetadataFetch, now: Millis) -> Vec<(u64, u32)> {
    let mut out = Vec::new();
    fetch.next_requests(now, &mut out);
    out
}

fn piece_of(info: &[u8], piece: u32) -> MetadataMessage<'_> {
    MetadataQuota::default().answer(0, Some(info), piece)
}

/// Answers every request with what `has` gives for the peer, until nothing is asked or something but `More` comes.
fn run<'a>(
    fetch: &mut MetadataFetch,
    now: Millis,
    has: impl Fn(u64, u32) -> MetadataMessage<'a>,
) -> (Progress, Vec<(u64, u32)>) {
    let mut asked = Vec::new();
    loop {
        let out = requests(fetch, now);
        if out.is_empty() {
            return (Progress::More, asked);
        }
        for (peer, piece) in out {
            asked.push((peer, piece));
            match fetch.received(now, peer, &has(peer, piece)) {
                Progress::More => {}
                other => return (other, asked),
            }
        }
    }
}

#[test]
fn one_peer_is_enough() {
    for length in [1, 16383, 16384, 16385, 100_000] {
        let info = info(length, 1);
        for wanted in [InfoHashes::V1(v1_hash(&info)), InfoHashes::V2(v2_hash(&info)), hybrid(&info)] {
            let mut fetch = MetadataFetch::new(wanted);
            assert_eq!(requests(&mut fetch, 0), []);
            fetch.peer_offers(7, length as u32);
            let (progress, asked) = run(&mut fetch, 0, |_, piece| piece_of(&info, piece));
            assert_eq!(progress, Progress::Complete(info.clone()));
            let pieces: Vec<u32> = asked.iter().map(|(_, piece)| *piece).collect();
            assert_eq!(pieces, (0..length.div_ceil(16384) as u32).collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_hash_that_is_wanted_must_match() {
    let info = info(100, 1);
    for wanted in [
        InfoHashes::Hybrid(v1_hash(&info), v2_hash(b"other")),
        InfoHashes::Hybrid(v1_hash(b"other"), v2_hash(&info)),
        InfoHashes::V1(v1_hash(b"other")),
        InfoHashes::V2(v2_hash(b"other")),
    ] {
        let mut fetch = MetadataFetch::new(wanted);
        fetch.peer_offers(7, 100);
        let (progress, _) = run(&mut fetch, 0, |_, piece| piece_of(&info, piece));
        assert_eq!(progress, Progress::Ban(vec![7]));
        assert_eq!(fetch.tried(), (1, Some("metadata does not match the info hash")));
        assert_eq!(requests(&mut fetch, 0), []);
    }
}

#[test]
fn sizes_are_bounded() {
    let mut fetch = MetadataFetch::new(hybrid(b"x"));
    for size in [0, METADATA_BYTES_MAX + 1, u32::MAX] {
        fetch.peer_offers(1, size);
    }
    assert_eq!(requests(&mut fetch, 0), []);
    assert_eq!(fetch.tried(), (0, None));
    fetch.peer_offers(1, METADATA_BYTES_MAX);
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (1, 1)]);
}

#[test]
fn four_peers_are_asked_two_pieces_each() {
    let info = info(16384 * 20, 1);
    let mut fetch = MetadataFetch::new(hybrid(&info));
    (1..=5).for_each(|peer| fetch.peer_offers(peer, info.len() as u32));
    let first = requests(&mut fetch, 0);
    assert_eq!(first, [(1, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5), (4, 6), (4, 7)]);
    assert_eq!(requests(&mut fetch, 1), [], "two are under way with each");
    assert_eq!(fetch.received(1, 2, &piece_of(&info, 3)), Progress::More);
    assert_eq!(requests(&mut fetch, 1), [(2, 8)]);
}

#[test]
fn the_last_pieces_are_asked_for_twice() {
    let info = info(100, 1);
    let mut fetch = MetadataFetch::new(hybrid(&info));
    (1..=3).for_each(|peer| fetch.peer_offers(peer, 100));
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (2, 0)]);
    assert_eq!(fetch.received(5, 2, &piece_of(&info, 0)), Progress::Complete(info.clone()));
    assert_eq!(requests(&mut fetch, 5), []);
}

#[test]
fn an_answer_may_take_ten_seconds() {
    let info = info(16384 * 3, 1);
    let mut fetch = MetadataFetch::new(hybrid(&info));
    fetch.peer_offers(1, info.len() as u32);
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (1, 1)]);
    assert_eq!(fetch.next_due(0), Some(10_000));
    fetch.peer_offers(2, info.len() as u32);
    assert_eq!(requests(&mut fetch, 9_999), [(2, 2), (2, 0)][..1]);
    assert_eq!(requests(&mut fetch, 10_000), [(2, 0)]);
    assert_eq!(fetch.tried().1, Some("timed out"));
    // A late answer is still an answer.
    assert_eq!(fetch.received(10_001, 1, &piece_of(&info, 1)), Progress::More);
    assert_eq!(fetch.received(10_001, 2, &piece_of(&info, 2)), Progress::More);
    assert_eq!(fetch.received(10_001, 2, &piece_of(&info, 0)), Progress::Complete(info.clone()));
}

#[test]
fn a_silent_peer_is_asked_again_after_a_rest() {
    let mut fetch = MetadataFetch::new(hybrid(b"x"));
    fetch.peer_offers(1, 1);
    assert_eq!(requests(&mut fetch, 0), [(1, 0)]);
    assert_eq!(requests(&mut fetch, 10_000), []);
    assert_eq!(fetch.next_due(10_000), Some(40_000));
    assert_eq!(requests(&mut fetch, 39_999), []);
    assert_eq!(requests(&mut fetch, 40_000), [(1, 0)]);
}

#[test]
fn a_reject_sends_us_to_another_peer() {
    let info = info(100, 1);
    let mut fetch = MetadataFetch::new(hybrid(&info));
    (1..=3).for_each(|peer| fetch.peer_offers(peer, 100));
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (2, 0)]);
    assert_eq!(fetch.received(0, 1, &MetadataMessage::Reject { piece: 0 }), Progress::More);
    assert_eq!(fetch.tried().1, Some("rejected"));
    assert_eq!(requests(&mut fetch, 0), [(3, 0)]);
    // Of what was not asked nobody rejects anything.
    assert_eq!(fetch.received(0, 2, &MetadataMessage::Reject { piece: 5 }), Progress::More);
    assert_eq!(requests(&mut fetch, 0), []);
}

#[test]
fn what_is_wrong_or_was_not_asked_drops_the_peer() {
    let info = info(16384 + 5, 1);
    let total = info.len() as u32;
    let bytes = &info[..16384];
    for wrong in [
        MetadataMessage::Data { piece: 0, total: total + 1, bytes },
        MetadataMessage::Data { piece: 0, total, bytes: &bytes[1..] },
        MetadataMessage::Data { piece: 1, total, bytes: &bytes[..6] },
        MetadataMessage::Data { piece: 1, total, bytes: &[] },
        MetadataMessage::Data { piece: 2, total, bytes: &[] },
        MetadataMessage::Data { piece: u32::MAX, total, bytes },
    ] {
        let mut fetch = MetadataFetch::new(hybrid(&info));
        fetch.peer_offers(1, total);
        requests(&mut fetch, 0);
        assert_eq!(fetch.received(0, 1, &wrong), Progress::Drop(1), "{wrong:?}");
        assert_eq!(requests(&mut fetch, 0), []);
    }
    let mut fetch = MetadataFetch::new(hybrid(&info));
    fetch.peer_offers(1, total);
    assert_eq!(fetch.received(0, 1, &piece_of(&info, 0)), Progress::Drop(1), "nothing was asked");
    assert_eq!(fetch.received(0, 9, &piece_of(&info, 0)), Progress::More, "a peer that offered nothing");
}

#[test]
fn the_same_piece_twice_from_one_peer_drops_it() {
    let info = info(16384 * 3, 1);
    let mut fetch = MetadataFetch::new(hybrid(&info));
    fetch.peer_offers(1, info.len() as u32);
    requests(&mut fetch, 0);
    assert_eq!(fetch.received(0, 1, &piece_of(&info, 0)), Progress::More);
    assert_eq!(fetch.received(0, 1, &piece_of(&info, 0)), Progress::Drop(1));
}

/// One of three lies. Together they fail, then each is asked alone: the liar is banned, the next one completes.
#[test]
fn a_liar_among_several_is_found_by_asking_one_alone() {
    let (good, bad) = (info(16384 * 12, 1), info(16384 * 12, 2));
    let mut fetch = MetadataFetch::new(hybrid(&good));
    (1..=3).for_each(|peer| fetch.peer_offers(peer, good.len() as u32));
    let has = |peer: u64, piece| piece_of(if peer == 1 { &bad } else { &good }, piece);
    let (progress, asked) = run(&mut fetch, 0, has);
    assert_eq!(progress, Progress::Ban(vec![1]));
    let alone = asked.iter().rev().take_while(|(peer, _)| *peer == 1).count();
    assert_eq!(alone, 12, "all of it came from the one who is banned");
    let (progress, asked) = run(&mut fetch, 0, has);
    assert_eq!(progress, Progress::Complete(good.clone()));
    assert!(asked.windows(2).all(|pair| pair[0].0 == pair[1].0), "from one peer");
}

#[test]
fn alone_means_alone() {
    let (good, bad) = (info(16384 * 4, 1), info(16384 * 4, 2));
    let size = good.len() as u32;
    let mut fetch = MetadataFetch::new(hybrid(&good));
    fetch.peer_offers(1, size);
    fetch.peer_offers(2, size);
    let first = requests(&mut fetch, 0);
    assert_eq!(first, [(1, 0), (1, 1), (2, 2), (2, 3)]);
    for (peer, piece) in first {
        assert_eq!(fetch.received(0, peer, &piece_of(&bad, piece)), Progress::More);
    }
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (1, 1)]);
    assert_eq!(fetch.received(0, 1, &piece_of(&good, 0)), Progress::More);
    // It goes: what it sent is worth nothing, the other one starts anew.
    fetch.peer_gone(1);
    assert_eq!(requests(&mut fetch, 0), [(2, 0), (2, 1)]);
}

/// The one that is asked alone has a minute, then it is the turn of whoever waits.
#[test]
fn the_one_that_is_asked_alone_has_a_minute() {
    let (good, bad) = (info(16384 * 40, 1), info(16384 * 40, 2));
    let mut fetch = MetadataFetch::new(hybrid(&good));
    fetch.peer_offers(1, good.len() as u32);
    fetch.peer_offers(2, good.len() as u32);
    let mut open = Vec::new();
    while fetch.tried().1.is_none() {
        open = requests(&mut fetch, 0);
        for (peer, piece) in open.drain(..) {
            assert_eq!(fetch.received(0, peer, &piece_of(&bad, piece)), Progress::More);
        }
    }
    for now in (0..60_000).step_by(5_000) {
        for (peer, piece) in open.drain(..) {
            assert_eq!(fetch.received(now, peer, &piece_of(&good, piece)), Progress::More);
        }
        open = requests(&mut fetch, now);
        assert!(open.iter().all(|(peer, _)| *peer == 1), "{now}: {open:?}");
    }
    assert_eq!(requests(&mut fetch, 60_000), [(2, 0), (2, 1)]);
}

#[test]
fn sizes_that_differ_are_candidates_of_their_own() {
    let good = info(16384 * 2, 1);
    let mut fetch = MetadataFetch::new(hybrid(&good));
    (1..=5).for_each(|peer| fetch.peer_offers(peer, 16384 * 3));
    fetch.peer_offers(6, good.len() as u32);
    let out = requests(&mut fetch, 0);
    assert!(out.contains(&(6, 0)) && out.contains(&(6, 1)), "the rarer size has a place too: {out:?}");
    assert_eq!(fetch.received(0, 6, &piece_of(&good, 0)), Progress::More);
    assert_eq!(fetch.received(0, 6, &piece_of(&good, 1)), Progress::Complete(good.clone()));
}

/// Four peers answer just fast enough to keep their places; the fifth is asked after half a minute all the same.
#[test]
fn dripping_peers_do_not_keep_others_out() {
    let good = info(100, 1);
    let mut fetch = MetadataFetch::new(hybrid(&good));
    (1..=4).for_each(|peer| fetch.peer_offers(peer, METADATA_BYTES_MAX - peer as u32));
    let mut open = requests(&mut fetch, 0);
    fetch.peer_offers(5, 100);
    let zeros = vec![0; 16384];
    for now in (9_000..).step_by(9_000).take(5) {
        for (peer, piece) in std::mem::take(&mut open) {
            if peer == 5 {
                assert_eq!(fetch.received(now, 5, &piece_of(&good, piece)), Progress::Complete(good.clone()));
                return;
            }
            let total = METADATA_BYTES_MAX - peer as u32;
            let data = MetadataMessage::Data { piece, total, bytes: &zeros };
            assert_eq!(fetch.received(now, peer, &data), Progress::More);
        }
        open = requests(&mut fetch, now);
    }
    panic!("the fifth peer was never asked");
}

#[test]
fn what_is_held_is_bounded() {
    let zeros = vec![0; 16384];
    let mut fetch = MetadataFetch::new(hybrid(b"x"));
    (1..=4).for_each(|peer| fetch.peer_offers(peer, METADATA_BYTES_MAX - peer as u32));
    let mut most = 0;
    for _ in 0..1500 {
        for (peer, piece) in requests(&mut fetch, 0) {
            let data =
                MetadataMessage::Data { piece, total: METADATA_BYTES_MAX - peer as u32, bytes: &zeros };
            assert_eq!(fetch.received(0, peer, &data), Progress::More);
            let held: usize = fetch.candidates.values().map(|candidate| candidate.pieces.len() * 16384).sum();
            assert!(held as u64 <= METADATA_HELD_BYTES_MAX, "{held}");
            most = most.max(held);
        }
    }
    assert_eq!(most as u64, METADATA_HELD_BYTES_MAX, "the bound is reached");
}

#[test]
fn peers_that_go_take_their_questions_along() {
    let good = info(16384 * 2, 1);
    let mut fetch = MetadataFetch::new(hybrid(&good));
    fetch.peer_offers(1, good.len() as u32);
    fetch.peer_offers(2, good.len() as u32);
    assert_eq!(requests(&mut fetch, 0), [(1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(fetch.received(0, 1, &piece_of(&good, 0)), Progress::More);
    fetch.peer_gone(1);
    assert_eq!(fetch.received(0, 2, &piece_of(&good, 1)), Progress::Complete(good.clone()));
}

#[test]
fn a_peer_may_have_three_times_the_metadata_in_ten_minutes() {
    let info = info(16384 * 2 + 1, 1);
    let mut quota = MetadataQuota::default();
    let mut take = |now, piece| matches!(quota.answer(now, Some(&info), piece), MetadataMessage::Data { .. });
    for at in 0..9 {
        assert!(take(1000, at % 3), "{at}");
    }
    assert!(!take(1000, 0));
    assert!(!take(599_999, 0));
    assert!(take(601_000, 0));
    let reject = MetadataMessage::Reject { piece: 3 };
    assert_eq!(MetadataQuota::default().answer(0, Some(&info), 3), reject);
    assert_eq!(MetadataQuota::default().answer(0, None, 3), reject);
    assert_eq!(
        MetadataQuota::default().answer(0, Some(&info), u32::MAX),
        MetadataMessage::Reject { piece: u32::MAX }
    );
}
