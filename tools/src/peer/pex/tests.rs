//! Peer exchange: what is taken, what is told, and how much of it.

use super::*;
use crate::peer::extended::{PEX_REACHABLE, PEX_SEED, write_pex};
use std::collections::BTreeSet;
use weightless::base::Rng;

const SENDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn at(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn far(n: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::from((0x0b00_0000 + n).to_be_bytes()), 6881)
}

fn payload(added: impl IntoIterator<Item = SocketAddr>) -> Vec<u8> {
    let added = added.into_iter().map(|address| (address, PEX_SEED)).collect();
    let mut out = Vec::new();
    write_pex(&mut out, &PexMessage { added, dropped: Vec::new() });
    out
}

fn added(message: &PexMessage) -> Vec<SocketAddr> {
    message.added.iter().map(|(address, _)| *address).collect()
}

#[test]
fn one_message_in_thirty_seconds_counts() {
    let mut inbox = PexInbox::default();
    let message = payload([far(1)]);
    assert_eq!(inbox.received(5, SENDER, &message), [(far(1), PEX_SEED)]);
    assert_eq!(inbox.received(30_004, SENDER, &message), []);
    assert_eq!(inbox.received(30_005, SENDER, &message).len(), 1);
    assert_eq!(inbox.received(60_004, SENDER, &message), []);
    // Those that came too early do not move the next time.
    assert_eq!(inbox.received(60_005, SENDER, &message).len(), 1);
    let mut inbox = PexInbox::default();
    assert_eq!(inbox.received(0, SENDER, b"d5:added"), []);
}

#[test]
fn fifty_of_a_family_count_and_two_hundred_in_the_first_message() {
    let v6 =
        |n: u32| SocketAddr::new(IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(n)).to_be_bytes()), 1);
    let message = payload((1..=300).map(far).chain((1..=300).map(v6)));
    let mut inbox = PexInbox::default();
    assert_eq!(inbox.received(0, SENDER, &message).len(), 400);
    assert_eq!(inbox.received(30_000, SENDER, &message).len(), 100);
}

#[test]
fn who_cannot_be_there_or_is_out_of_reach_is_left_out() {
    let never = [
        "192.0.2.9:0",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "169.254.1.1:1",
        "[::]:1",
        "[ff02::1]:1",
        "[fe80::1]:1",
    ];
    let loopback = ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"];
    let private = ["10.0.0.1:1", "172.16.0.1:1", "192.168.0.1:1", "100.64.0.1:1", "[fd00::1]:1"];
    let public = ["198.51.100.1:1", "[2001:db8::1]:1"];
    let taken = |sender: &str, texts: &[&str]| {
        let message = payload(texts.iter().map(|text| at(text)));
        PexInbox::default().received(0, ip(sender), &message).len()
    };
    for (sender, loopbacks, privates) in [
        ("198.51.100.7", 0, 0),
        ("2001:db8::7", 0, 0),
        ("10.9.9.9", 0, 5),
        ("::ffff:192.168.7.7", 0, 5),
        ("fd00::7", 0, 5),
        ("127.0.0.1", 3, 5),
        ("::1", 3, 5),
    ] {
        assert_eq!(taken(sender, &never), 0, "{sender}");
        assert_eq!(taken(sender, &loopback), loopbacks, "{sender}");
        assert_eq!(taken(sender, &private), privates, "{sender}");
        assert_eq!(taken(sender, &public), 2, "{sender}");
    }
}

#[test]
fn a_peer_is_told_after_ten_seconds_then_every_minute_if_something_changed() {
    let mut board = PexBoard::new();
    board.joined(far(1), PEX_SEED);
    board.joined(far(2), PEX_REACHABLE);
    let mut outbox = PexOutbox::new(1000, &board);
    assert_eq!(outbox.next(10_999, &board, None), None);
    let first = outbox.next(11_000, &board, None).expect("a message");
    assert_eq!(first.added, [(far(1), PEX_SEED), (far(2), PEX_REACHABLE)]);
    assert_eq!(first.dropped, []);
    assert_eq!(outbox.next_due(), 71_000);
    board.joined(far(3), 0);
    assert_eq!(outbox.next(70_999, &board, None), None);
    let second = outbox.next(71_000, &board, None).expect("a message");
    assert_eq!(added(&second), [far(3)]);
    assert_eq!(outbox.next(131_000, &board, None), None, "nothing has changed");
    board.left(far(1));
    assert_eq!(outbox.next(190_999, &board, None), None);
    let third = outbox.next(191_000, &board, None).expect("a message");
    assert_eq!((added(&third), third.dropped), (vec![], vec![far(1)]));
}

#[test]
fn nobody_is_told_of_itself() {
    let mut board = PexBoard::new();
    board.joined(far(1), 0);
    let mut outbox = PexOutbox::new(0, &board);
    assert_eq!(outbox.next(10_000, &board, Some(far(1))), None);
    board.joined(far(2), 0);
    board.joined(at("10.0.0.1:0"), 0);
    let message = outbox.next(70_000, &board, Some(far(1))).expect("a message");
    assert_eq!(added(&message), [far(2)], "where nobody listens is not told");
}

#[test]
fn who_came_and_went_untold_is_never_mentioned() {
    let mut board = PexBoard::new();
    board.joined(far(1), 0);
    board.left(far(1));
    let mut outbox = PexOutbox::new(0, &board);
    board.joined(far(2), 0);
    board.left(far(2));
    assert_eq!(outbox.next(10_000, &board, None), None);
}

#[test]
fn who_went_and_came_again_is_added_only() {
    let mut board = PexBoard::new();
    board.joined(far(1), 0);
    let mut outbox = PexOutbox::new(0, &board);
    assert!(outbox.next(10_000, &board, None).is_some());
    board.left(far(1));
    board.joined(far(1), 0);
    let message = outbox.next(70_000, &board, None).expect("a message");
    assert_eq!((added(&message), message.dropped), (vec![far(1)], vec![]));
    board.left(far(1));
    assert_eq!(outbox.next(130_000, &board, None).expect("a message").dropped, [far(1)]);
}

#[test]
fn fifty_at_a_time_are_told_until_all_are() {
    let mut board = PexBoard::new();
    (0..120).for_each(|n| board.joined(far(n), 0));
    let mut outbox = PexOutbox::new(0, &board);
    let mut told = BTreeSet::new();
    for (now, count) in [(10_000, 50), (70_000, 50), (130_000, 20)] {
        let message = outbox.next(now, &board, None).expect("a message");
        assert_eq!(message.added.len(), count);
        told.extend(added(&message));
    }
    assert_eq!(told.len(), 120);
    (0..120).for_each(|n| board.left(far(n)));
    for (now, count) in [(190_000, 50), (250_000, 50), (310_000, 20)] {
        let message = outbox.next(now, &board, None).expect("a message");
        told.retain(|address| !message.dropped.contains(address));
        assert_eq!(message.dropped.len(), count);
    }
    assert!(told.is_empty());
    assert_eq!(outbox.next(370_000, &board, None), None);
}

#[test]
fn departures_are_bounded() {
    let mut board = PexBoard::new();
    for n in 0..PEX_DEPARTURES_MAX as u32 + 5 {
        board.joined(far(n), 0);
        board.left(far(n));
    }
    assert_eq!(board.departures.len(), PEX_DEPARTURES_MAX);
    assert_eq!((board.present.len(), board.places.len()), (0, 0));
}

/// A random swarm: what a peer believes, from its messages alone, is the swarm once it is quiet.
#[test]
fn a_peer_learns_the_swarm_from_its_messages() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut board = PexBoard::new();
        let mut swarm = BTreeSet::new();
        let mut outbox = PexOutbox::new(0, &board);
        let mut believed = BTreeSet::new();
        let mut now = 10_000;
        for step in 0..60 {
            for _ in 0..rng.below(30).min(if step < 40 { 30 } else { 0 }) {
                let address = far(rng.below(100));
                if swarm.remove(&address) {
                    board.left(address);
                } else {
                    swarm.insert(address);
                    board.joined(address, 0);
                }
            }
            if let Some(message) = outbox.next(now, &board, None) {
                let (added, dropped) = (added(&message), message.dropped);
                assert!(added.len() <= PEX_TOLD_MAX && dropped.len() <= PEX_TOLD_MAX);
                assert!(added.iter().all(|address| !dropped.contains(address)), "never in both");
                dropped.iter().for_each(|address| _ = believed.remove(address));
                believed.extend(added);
            }
            now += 60_000;
        }
        assert_eq!(believed, swarm, "seed {seed}");
    }
}
