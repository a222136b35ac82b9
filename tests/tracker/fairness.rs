//! Every peer that qualifies is offered about equally often: a swarm is as connected as its peer lists are mixed.

use crate::desk::*;
use std::collections::HashMap;
use weightless::base::InfoHashes;
use weightless::tracker::{Access, Policy};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash};

/// Announces `rounds` times from outside the swarm and counts how often each of its `count` peers came up. The
/// expected spread of fair draws is `sqrt(mean)`; the walk from a random start may add to it, but within a bound.
fn check(name: &str, desk: &mut Desk, hash: AnnouncedHash, count: u32, limit: usize, spread_max: f64) {
    desk.reach.peers_max = limit;
    let rounds = count * 400 / limit as u32;
    let mut seen: HashMap<[u8; 6], u32> = HashMap::new();
    for _ in 0..rounds {
        desk.announce(v4(1_000_000), &leech(hash, 9)).expect("admitted");
        assert_eq!(desk.response.peers4.len(), 6 * limit, "{name}");
        for address in desk.response.peers4.as_chunks::<6>().0 {
            *seen.entry(*address).or_default() += 1;
        }
    }
    assert_eq!(seen.len() as u32, count, "{name}: everybody comes up");
    let mean = f64::from(rounds) * limit as f64 / f64::from(count);
    let variance = seen.values().map(|n| (f64::from(*n) - mean).powi(2)).sum::<f64>() / f64::from(count);
    let spread = variance.sqrt() / mean;
    let (least, most) = (seen.values().min().expect("some"), seen.values().max().expect("some"));
    println!("{name}: mean {mean:.0}, spread {spread:.3}, least {least}, most {most}");
    assert!(spread < spread_max, "{name}: spread {spread:.3}, least {least}, most {most}, mean {mean:.0}");
}

fn fill(desk: &mut Desk, count: u32, request: impl Fn(u32) -> AnnounceRequest) {
    (0..count).for_each(|n| desk.announce(v4(n), &request(n)).expect("admitted"));
}

#[test]
fn peers_of_one_kind_are_offered_alike() {
    for (count, limit) in [(40, 20), (500, 50), (3000, 50), (3000, 200), (3500, 50)] {
        let mut desk = Desk::open();
        fill(&mut desk, count, |_| leech(key(1), 1));
        check(&format!("{limit} of {count}"), &mut desk, key(1), count, limit, 0.1);
    }
}

/// One in twenty has announced v1 alone, the others both hashes: each list mixes them.
#[test]
fn peers_of_a_hybrid_are_offered_alike() {
    for (count, limit) in [(40, 20), (500, 50), (3000, 50)] {
        let mut desk = Desk::with(Policy { ..policy(Access::Registered) });
        desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
        fill(&mut desk, count, |_| leech(by_v1(), 1));
        (0..count).filter(|n| n % 20 != 0).for_each(|n| {
            desk.announce(v4(n), &leech(by_v2(), 1)).expect("registered");
        });
        check(&format!("{limit} of {count}, v1"), &mut desk, by_v1(), count, limit, 0.1);
    }
}
