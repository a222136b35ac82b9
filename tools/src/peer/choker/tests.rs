//! Upload slots: how many, for whom, and when they change.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn contender(peer: u64) -> Contender {
    Contender {
        peer,
        interested: true,
        rate_to_us: 0,
        rate_from_us: 0,
        served: 0,
        snubbed: false,
        unchoked: false,
        connected_at: 0,
    }
}

fn choker(slots: Slots) -> Choker {
    Choker::new(slots, Rng::new(1))
}

/// Decides and carries it out; returns who is unchoked.
fn apply(
    choker: &mut Choker,
    now: Millis,
    mode: Mode,
    upload: u64,
    peers: &mut [Contender],
) -> BTreeSet<u64> {
    for (peer, unchoke) in choker.decide(now, mode, upload, peers) {
        let peer = peers.iter_mut().find(|other| other.peer == peer).expect("one of them");
        assert_ne!(peer.unchoked, unchoke, "changes only");
        peer.unchoked = unchoke;
    }
    peers.iter().filter(|peer| peer.unchoked).map(|peer| peer.peer).collect()
}

#[test]
fn slots_by_rate_are_the_root_of_kilobytes() {
    for (up, slots) in
        [(0, 4), (1, 4), (16_000, 4), (16_001, 5), (25_000, 5), (25_001, 6), (100_000, 10), (1_000_000, 32)]
    {
        assert_eq!(choker(Slots::ByRate(up)).slots(), slots, "{up}");
    }
    assert_eq!(choker(Slots::ByRate(u64::MAX)).slots(), 135_818_792);
    assert_eq!(choker(Slots::Fixed(7)).slots(), 7);
}

#[test]
fn everybody_is_served_while_there_are_slots() {
    let mut choker = choker(Slots::Fixed(4));
    let mut peers: Vec<_> = (1..=4).map(contender).collect();
    peers[0].snubbed = true;
    assert_eq!(apply(&mut choker, 0, Mode::Leeching, 0, &mut peers), (1..=4).collect());
    // Interest that comes between rounds does not wait for the next one.
    let mut choker = self::choker(Slots::Fixed(4));
    let mut peers: Vec<_> = (1..=2).map(contender).collect();
    peers[1].interested = false;
    assert_eq!(apply(&mut choker, 0, Mode::Leeching, 0, &mut peers), [1].into());
    peers[1].interested = true;
    assert_eq!(apply(&mut choker, 5, Mode::Leeching, 0, &mut peers), [1, 2].into());
}

#[test]
fn the_fastest_get_the_slots_but_one() {
    let mut choker = choker(Slots::Fixed(4));
    let mut peers: Vec<_> =
        (1..=10).map(|peer| Contender { rate_to_us: peer * 100, ..contender(peer) }).collect();
    let served = apply(&mut choker, 0, Mode::Leeching, 0, &mut peers);
    assert!(served.is_superset(&[8, 9, 10].into()) && served.len() == 4, "{served:?}");
    peers[9].snubbed = true;
    peers[8].interested = false;
    let served = apply(&mut choker, 10_000, Mode::Leeching, 0, &mut peers);
    assert!(served.is_superset(&[6, 7, 8].into()) && served.len() == 4, "{served:?}");
    assert!(!served.contains(&9), "no interest, no slot");
}

#[test]
fn a_snubbed_peer_gets_a_slot_by_chance_only() {
    let mut choker = choker(Slots::Fixed(3));
    let mut peers: Vec<_> =
        (1..=5).map(|peer| Contender { snubbed: true, rate_to_us: peer, ..contender(peer) }).collect();
    assert_eq!(apply(&mut choker, 0, Mode::Leeching, 0, &mut peers).len(), 1);
    assert_eq!(apply(&mut choker, 5, Mode::Leeching, 0, &mut peers).len(), 1, "nor between rounds");
}

#[test]
fn a_seed_serves_the_fast_and_those_who_had_little() {
    let mut choker = choker(Slots::Fixed(5));
    let mut peers: Vec<_> = (1..=10)
        .map(|peer| Contender { rate_from_us: peer * 100, served: peer * 1000, ..contender(peer) })
        .collect();
    let served = apply(&mut choker, 0, Mode::Seeding, 0, &mut peers);
    assert!(served.is_superset(&[9, 10, 1, 2].into()) && served.len() == 5, "{served:?}");
}

#[test]
fn the_slot_by_chance_changes_every_thirty_seconds() {
    let mut choker = choker(Slots::Fixed(1));
    let mut peers: Vec<_> = (1..=5).map(contender).collect();
    let mut now = 0;
    for _ in 0..20 {
        let first = apply(&mut choker, now, Mode::Seeding, 0, &mut peers);
        assert_eq!(first.len(), 1);
        for later in [10_000, 20_000] {
            assert_eq!(apply(&mut choker, now + later, Mode::Seeding, 0, &mut peers), first);
        }
        now += 30_000;
        assert_ne!(apply(&mut choker, now, Mode::Seeding, 0, &mut peers), first);
    }
}

#[test]
fn new_peers_are_three_times_as_likely() {
    let mut counts = BTreeMap::<u64, u32>::new();
    for seed in 0..4000 {
        let mut choker = Choker::new(Slots::Fixed(1), Rng::new(seed));
        let peers = [
            Contender { connected_at: 40_001, ..contender(1) },
            Contender { connected_at: 40_000, ..contender(2) },
        ];
        let [(peer, true)] = choker.decide(100_000, Mode::Seeding, 0, &peers)[..] else { panic!("one slot") };
        *counts.entry(peer).or_default() += 1;
    }
    assert!((2850..=3150).contains(&counts[&1]), "{counts:?}");
}

#[test]
fn without_a_rate_slots_come_while_the_upload_grows() {
    let mut choker = choker(Slots::Auto);
    let mut peers: Vec<_> = (1..=200).map(contender).collect();
    let mut now = 0;
    let mut round = |upload, peers: &mut [Contender]| {
        now += 10_000;
        apply(&mut choker, now, Mode::Seeding, upload, peers).len()
    };
    assert_eq!(round(0, &mut peers), 4);
    assert_eq!(round(1000, &mut peers), 5);
    assert_eq!(round(1000, &mut peers), 5, "it does not grow");
    assert_eq!(round(900, &mut peers), 5);
    for upload in 2..100 {
        round(upload * 1000, &mut peers);
    }
    assert_eq!(round(1_000_000, &mut peers), 50);
    let mut few = peers[..3].to_vec();
    let mut choker = self::choker(Slots::Auto);
    for at in 0..10 {
        apply(&mut choker, at * 10_000, Mode::Seeding, at * 1000, &mut few);
    }
    assert_eq!(choker.slots(), 4, "nobody waits for more");
}

#[test]
fn rounds_are_ten_seconds_apart_and_free_slots_do_not_wait() {
    let mut choker = choker(Slots::Fixed(2));
    let mut peers: Vec<_> = (1..=4).map(contender).collect();
    let served = apply(&mut choker, 0, Mode::Leeching, 0, &mut peers);
    assert_eq!((served.len(), choker.next_due()), (2, 10_000));
    // Better peers wait for the round.
    peers.iter_mut().filter(|peer| !peer.unchoked).for_each(|peer| peer.rate_to_us = 1000);
    assert_eq!(apply(&mut choker, 9_999, Mode::Leeching, 0, &mut peers), served);
    // One goes, and another one takes its place.
    let gone = *served.first().expect("two");
    peers.retain(|peer| peer.peer != gone);
    let after = apply(&mut choker, 9_999, Mode::Leeching, 0, &mut peers);
    assert_eq!(after.len(), 2);
    assert_eq!(apply(&mut choker, 10_000, Mode::Leeching, 0, &mut peers).len(), 2);
    assert_eq!(choker.next_due(), 20_000);
}

#[test]
fn chokes_come_first() {
    let mut choker = choker(Slots::Fixed(2));
    let peers = [
        Contender { rate_to_us: 9, ..contender(1) },
        Contender { interested: false, unchoked: true, ..contender(2) },
        Contender { unchoked: true, snubbed: true, ..contender(3) },
        Contender { rate_to_us: 1, ..contender(4) },
    ];
    let changes = choker.decide(0, Mode::Leeching, 0, &peers);
    assert!(changes.is_sorted_by_key(|(_, unchoke)| *unchoke), "{changes:?}");
    assert!(changes.contains(&(2, false)) && changes.contains(&(1, true)), "{changes:?}");
}
