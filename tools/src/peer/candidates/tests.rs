//! The pool of addresses: order, retries, spread, bounds.

use super::*;
use Offers::{V1, V2};

fn at(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

fn pool() -> Candidates {
    Candidates::new(Rng::new(1))
}

/// An address in a network of its own.
fn far(n: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::from((0x0b00_0001 + (n << 8)).to_be_bytes()), 1)
}

fn next(pool: &mut Candidates, now: Millis) -> Option<SocketAddr> {
    pool.next(now, |_| false).map(|(address, _)| address)
}

#[test]
fn nobody_is_dialled_twice_at_once() {
    let mut pool = pool();
    assert!(pool.add(0, at("192.0.2.1:1"), Origin::Tracker, V1));
    assert!(!pool.add(0, at("[::ffff:192.0.2.1]:1"), Origin::Tracker, V1), "known");
    assert_eq!(next(&mut pool, 0), Some(at("192.0.2.1:1")));
    assert_eq!(next(&mut pool, 0), None);
    pool.connected(at("192.0.2.1:1"));
    assert_eq!(next(&mut pool, 9_999_999), None);
    let mut pool = self::pool();
    pool.add(0, at("192.0.2.1:1"), Origin::Tracker, V1);
    assert_eq!(pool.next(0, |address| *address == at("192.0.2.1:1")), None, "it has dialled us");
}

#[test]
fn port_0_unspecified_multicast_and_own_addresses_are_never_dialled() {
    let mut pool = pool();
    for text in ["192.0.2.1:0", "0.0.0.0:1", "224.0.0.1:1", "[::]:1", "[ff02::1]:1", "255.255.255.255:1"] {
        assert!(!pool.add(0, at(text), Origin::User, V1), "{text}");
    }
    pool.add(0, at("192.0.2.1:1"), Origin::Tracker, V1);
    pool.forget(at("192.0.2.1:1"));
    assert_eq!(pool.len(), 0);
    assert!(!pool.add(0, at("192.0.2.1:1"), Origin::Tracker, V1));
    (0..100).for_each(|n| pool.forget(far(n)));
    assert_eq!(pool.own.len(), OWN_ADDRESSES_MAX);
}

#[test]
fn untried_come_first_then_the_fewest_failures() {
    let mut pool = pool();
    for (n, failures) in [(1, 2), (2, 1)] {
        pool.add(0, far(n), Origin::Tracker, V1);
        for _ in 0..failures {
            assert_eq!(next(&mut pool, 3_600_000), Some(far(n)));
            pool.failed(0, far(n));
        }
        pool.retain(|_| true);
        assert_eq!(next(&mut pool, 3_600_000), Some(far(n)));
    }
    pool.failed(0, far(1));
    pool.failed(0, far(2));
    pool.add(0, far(3), Origin::Tracker, V1);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut pool, 3_600_000)).collect();
    assert_eq!(order, [far(3), far(2), far(1)]);
}

#[test]
fn what_the_user_names_comes_first() {
    for seed in 0..20 {
        let mut pool = Candidates::new(Rng::new(seed));
        (0..20).for_each(|n| _ = pool.add(0, far(n), Origin::Tracker, V1));
        pool.add(0, far(99), Origin::User, V1);
        assert_eq!(next(&mut pool, 0), Some(far(99)));
    }
}

#[test]
fn failures_are_retried_ever_more_rarely_and_five_are_enough() {
    let mut pool = pool();
    pool.add(0, far(1), Origin::Tracker, V1);
    let mut now = 0;
    for wait in [60_000, 120_000, 240_000, 480_000] {
        assert_eq!(next(&mut pool, now), Some(far(1)));
        pool.failed(now, far(1));
        assert_eq!(pool.next_due(now), Some(now + wait));
        assert_eq!(next(&mut pool, now + wait - 1), None);
        now += wait;
    }
    assert_eq!(next(&mut pool, now), Some(far(1)));
    pool.failed(now, far(1));
    assert_eq!((pool.len(), pool.next_due(now)), (0, None));
}

#[test]
fn a_success_forgives_failures_and_endings_are_at_most_an_hour_apart() {
    let mut pool = pool();
    pool.add(0, far(1), Origin::Tracker, V1);
    let mut now = 0;
    for _ in 0..4 {
        assert_eq!(next(&mut pool, now), Some(far(1)));
        pool.failed(now, far(1));
        now += 3_600_000;
    }
    for wait in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000] {
        assert_eq!(next(&mut pool, now), Some(far(1)));
        pool.connected(far(1));
        pool.closed(now, far(1));
        assert_eq!(pool.next_due(now), Some(now + wait));
        now += wait;
    }
    assert_eq!(next(&mut pool, now), Some(far(1)));
    pool.failed(now, far(1));
    assert_eq!(pool.len(), 1, "the failures before the success do not count");
}

#[test]
fn the_pool_is_bounded_and_one_sender_has_a_third_of_it_at_most() {
    let mut pool = pool();
    let told = (0..3000).filter(|n| pool.add(0, far(*n), Origin::Pex(1), V1)).count();
    assert_eq!((told, pool.len()), (600, 600));
    assert!(!pool.add(0, far(5000), Origin::Pex(1), V1));
    let told = (3000..6000).filter(|n| pool.add(0, far(*n), Origin::Tracker, V1)).count();
    assert_eq!(told, 2000, "what trackers tell replaces hearsay");
    assert_eq!(pool.len(), CANDIDATES_MAX);
    assert!(!pool.add(0, far(9000), Origin::Tracker, V1));
    assert!(!pool.add(0, far(9000), Origin::Pex(2), V1));
    let failed = next(&mut pool, 0).expect("an address");
    pool.failed(0, failed);
    assert!(pool.add(0, far(9000), Origin::Pex(2), V1), "what has failed makes room");
    assert_eq!(pool.len(), CANDIDATES_MAX);
}

#[test]
fn tries_spread_over_networks() {
    let mut pool = pool();
    for port in 1..=50 {
        pool.add(0, SocketAddr::from(([192, 0, 2, port as u8], port)), Origin::Tracker, V1);
    }
    pool.add(0, at("198.51.100.1:1"), Origin::Tracker, V1);
    pool.add(0, at("[2001:db8::1]:1"), Origin::Tracker, V1);
    let networks: Vec<_> = (0..3).filter_map(|_| next(&mut pool, 0)).map(|a| neighbourhood(a.ip())).collect();
    let mut distinct = networks.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "{networks:?}");
}

#[test]
fn one_ip_gets_two_connections_and_a_local_one_ten() {
    for (ip, bound) in
        [("192.0.2.1", 2), ("[2001:db8::1]", 2), ("127.0.0.1", 10), ("10.0.0.1", 10), ("[fd00::1]", 10)]
    {
        let mut pool = pool();
        for port in 1..=20 {
            pool.add(0, at(&format!("{ip}:{port}")), Origin::Tracker, V1);
        }
        let dialled: Vec<_> = std::iter::from_fn(|| next(&mut pool, 0)).collect();
        assert_eq!(dialled.len(), bound, "{ip}");
        pool.failed(0, dialled[0]);
        assert!(next(&mut pool, 0).is_some(), "one has gone");
    }
}

#[test]
fn an_address_found_by_both_hashes_is_dialled_by_v2() {
    let mut pool = pool();
    pool.add(0, far(1), Origin::Tracker, V1);
    pool.add(0, far(1), Origin::Tracker, V2);
    pool.add(0, far(1), Origin::Tracker, V1);
    assert_eq!(pool.next(0, |_| false), Some((far(1), V2)));
}

#[test]
fn equals_are_taken_at_random() {
    let mut firsts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut pool = Candidates::new(Rng::new(seed));
        (0..10).for_each(|n| _ = pool.add(0, far(n), Origin::Tracker, V1));
        firsts.insert(next(&mut pool, 0));
    }
    assert_eq!(firsts.len(), 10);
}

#[test]
fn the_banned_are_left_out() {
    let mut pool = pool();
    (0..4).for_each(|n| _ = pool.add(0, far(n), Origin::Tracker, V1));
    pool.retain(|address| *address != far(2));
    assert_eq!(pool.len(), 3);
}
