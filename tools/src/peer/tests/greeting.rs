//! Handshakes, and which connections there may be.

use super::lab::{FULL, Lab, PLAIN, Role, Said, V1_FAST, answer_of, at};
use crate::disk::tests::made;
use crate::peer::candidates::Origin;
use crate::peer::handshake::Offers;
use crate::peer::limits::LOBBY_MAX;
use crate::peer::wire::{Message, write};
use weightless::torrent::Kind;

#[test]
fn messages_may_follow_the_handshake_in_the_same_packet() {
    for split in [1, 20, 47, 48, 60, 68, 69, 75] {
        let mut lab = Lab::fetching(Kind::V1, 16384, 40_000);
        let key = lab.connect(at("10.0.0.2:1")).expect("room");
        let mut bytes = lab.greeting(PLAIN);
        write(&mut bytes, &Message::Bitfield(&[0b1110_0000]));
        write(&mut bytes, &Message::Unchoke);
        lab.bytes(key, &bytes[..split]);
        lab.bytes(key, &bytes[split..]);
        lab.turn(0);
        let heard = lab.heard(key);
        assert!(heard.contains(&Said::Interested), "split at {split}: {heard:?}");
        assert!(heard.iter().any(|said| matches!(said, Said::Request(_))), "split at {split}: {heard:?}");
    }
}

#[test]
fn who_asks_for_another_torrent_or_talks_nonsense_gets_no_answer() {
    let mut lab = Lab::fetching(Kind::V1, 16384, 40_000);
    let mut bytes = lab.greeting(PLAIN);
    bytes[30] ^= 1;
    for bytes in [bytes.as_slice(), b"GET / HTTP/1.1\r\n\r\n"] {
        let key = lab.connect(at("10.0.0.2:1")).expect("room");
        lab.bytes(key, bytes);
        assert!(lab.is_closed(key) && lab.peer(key).answered().is_none());
    }
    assert!(lab.node.banned.is_empty());
}

#[test]
fn the_hash_of_the_answer_follows_the_table() {
    let lab = || Lab::seeding(Kind::Hybrid, 16384, 40_000);
    for (greeting, by_v2, expect_v2, bit) in [
        (FULL, false, true, 0),
        (FULL, true, true, 0),
        (V1_FAST, false, false, 0x10),
        (V1_FAST, true, true, 0),
    ] {
        let mut lab = lab();
        let key = lab.join("10.0.0.2:1", super::lab::Greeting { v2: by_v2, ..greeting });
        let answer = lab.peer(key).answered().expect("an answer");
        assert_eq!(answer.swarm, lab.key_of_swarm(expect_v2));
        assert_eq!(answer.reserved, [0, 0, 0, 0, 0, 0x10, 0, 4 | bit]);
    }
}

#[test]
fn a_dialled_peer_may_answer_with_either_hash_of_a_hybrid_and_no_other() {
    for (what, is_welcome) in [(0, true), (1, true), (2, false)] {
        let mut lab = Lab::fetching(Kind::Hybrid, 16384, 40_000);
        let key = dial(&mut lab, "10.0.0.9:6881");
        let mut swarm = lab.key_of_swarm(what == 1);
        swarm.0[0] ^= u8::from(what == 2);
        lab.bytes(key, &answer_of(swarm, b"-PEER00-0000000000zz", Offers::V1));
        lab.turn(0);
        assert_eq!(lab.node.swarm().peer_counts().0, usize::from(is_welcome));
    }
}

/// Has the engine dial an address, and connects it.
fn dial(lab: &mut Lab, address: &str) -> u64 {
    let now = lab.now;
    lab.node.engine.swarm(0).expect("one").add_candidates(now, [at(address)], Origin::Tracker);
    lab.turn(1000);
    let (key, dialled) = lab.node.dials.pop().expect("it dials");
    assert_eq!(dialled, at(address));
    lab.node.engine.connected(lab.now, key);
    lab.turn(0);
    key
}

#[test]
fn our_own_id_is_our_own_address_and_never_dialled_again() {
    let mut lab = Lab::fetching(Kind::V1, 16384, 40_000);
    let key = dial(&mut lab, "10.0.0.9:6881");
    let swarm = lab.key_of_swarm(false);
    lab.bytes(key, &answer_of(swarm, b"-XX0000-theengineone", Offers::V1));
    assert_eq!(lab.node.swarm().connections(), 0);
    let now = lab.now;
    lab.node.engine.swarm(0).expect("one").add_candidates(now, [at("10.0.0.9:6881")], Origin::Tracker);
    assert!(!lab.until(60_000, 100, |lab| !lab.node.dials.is_empty()));
    assert!(lab.node.banned.is_empty());
}

#[test]
fn of_twins_the_older_connection_stays() {
    let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
    let first = lab.join("10.0.0.2:1", FULL);
    let id = first_id(&mut lab);
    let second = lab.connect(at("10.0.0.2:2")).expect("room");
    let swarm = lab.key_of_swarm(false);
    lab.bytes(second, &answer_of(swarm, &id, Offers::V1));
    lab.turn(0);
    assert!(lab.is_closed(second) && !lab.is_closed(first));
}

fn first_id(lab: &mut Lab) -> [u8; 20] {
    let mut id = *b"-PEER00-000000000000";
    id[19] = 1;
    assert!(lab.peers.len() == 1);
    id
}

#[test]
fn of_twins_opened_at_once_the_one_of_the_smaller_id_stays_on_both_sides() {
    for (theirs, dialled_stays) in [(b"-AA0000-000000000000", false), (b"-ZZ0000-000000000000", true)] {
        for incoming_first in [false, true] {
            let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
            let swarm = lab.key_of_swarm(false);
            let hello = answer_of(swarm, theirs, Offers::V1);
            let out = dial(&mut lab, "10.0.0.9:6881");
            let incoming = lab.connect(at("10.0.0.9:50000")).expect("room");
            let order = if incoming_first { [incoming, out] } else { [out, incoming] };
            order.into_iter().for_each(|key| lab.bytes(key, &hello));
            lab.turn(0);
            assert_eq!(lab.node.swarm().peer_counts().0, 1);
            assert_eq!(lab.is_closed(incoming), dialled_stays, "{incoming_first}");
        }
    }
}

#[test]
fn one_address_gets_three_connections_and_a_private_one_ten() {
    for (ip, bound) in [("203.0.113.5", 3), ("10.0.0.5", 10), ("127.0.0.1", 10)] {
        let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
        for port in 0..bound {
            let key = lab.join(&format!("{ip}:{}", 1000 + port), FULL);
            assert!(!lab.is_closed(key), "{ip}: {port}");
        }
        let key = lab.join(&format!("{ip}:2000"), FULL);
        assert!(lab.is_closed(key), "{ip}");
        // Those who said nothing yet count among themselves.
        let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
        let silent = (0..bound).filter_map(|port| lab.connect(at(&format!("{ip}:{}", 1000 + port)))).count();
        assert!(silent == bound && lab.connect(at(&format!("{ip}:2000"))).is_none());
        assert!(lab.connect(at("198.51.100.1:1")).is_some(), "others have their place");
    }
}

#[test]
fn who_says_nothing_has_ten_seconds() {
    let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
    let keys: Vec<u64> = (0..LOBBY_MAX)
        .map(|at| lab.connect(super::lab::at(&format!("203.0.{}.{}:1", at / 200, at % 200))).expect("room"))
        .collect();
    assert!(lab.connect(at("198.51.100.1:1")).is_none(), "a hundred wait already");
    lab.turn(9000);
    assert!(keys.iter().all(|key| !lab.is_closed(*key)));
    lab.turn(2000);
    assert!(keys.iter().all(|key| lab.is_closed(*key)));
    assert!(lab.connect(at("198.51.100.1:1")).is_some());
}

#[test]
fn a_swarm_has_twenty_unfinished_handshakes_at_most() {
    let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
    let keys: Vec<u64> = (0..21)
        .map(|number| {
            let key = lab.connect(at(&format!("203.0.113.{number}:1"))).expect("room");
            let bytes = lab.greeting(FULL);
            lab.bytes(key, &bytes[..48]);
            key
        })
        .collect();
    assert!(keys[..20].iter().all(|key| !lab.is_closed(*key)) && lab.is_closed(keys[20]));
    // The hash is known, so they have their answer; without an id they are closed after ten seconds.
    assert!(lab.peer(keys[0]).answered().is_some());
    lab.turn(11_000);
    assert!(keys.iter().all(|key| lab.is_closed(*key)));
}

#[test]
fn nobody_is_dropped_for_an_address_that_is_not_dialled() {
    let mut lab = Lab::with(made(Kind::V1, 16384, &[("a", 40_000)]), true, |plan| plan.peers_max = 1);
    let key = lab.join("10.0.0.2:1", FULL);
    lab.hello(key, |own| own.port = Some(6881));
    let now = lab.now;
    lab.node.engine.swarm(0).expect("one").add_candidates(now, [at("10.0.0.2:6881")], Origin::Tracker);
    for _ in 0..10 {
        lab.turn(10_000);
    }
    assert!(!lab.is_closed(key) && lab.node.dials.is_empty(), "it is the same peer");
    let now = lab.now;
    lab.node.engine.swarm(0).expect("one").add_candidates(now, [at("10.0.0.3:6881")], Origin::Tracker);
    lab.turn(1000);
    assert!(lab.is_closed(key) && lab.node.dials.len() == 1, "it was useless");
}

#[test]
fn pex_names_only_peers_that_were_greeted() {
    let made = made(Kind::V1, 16384, &[("a", 40_000)]);
    let mut lab = Lab::unbegun(made, |_| ());
    let now = lab.now;
    lab.node.engine.swarm(0).expect("one").add_candidates(now, [at("10.0.0.66:6881")], Origin::Tracker);
    lab.turn(1000);
    assert_eq!(lab.node.dials.len(), 1, "it never connects");
    let key = lab.join("10.0.0.2:1", FULL);
    lab.hello(key, |own| own.port = Some(7000));
    let content = std::sync::Arc::clone(lab.content());
    lab.node.begin(lab.now, &content, &[]);
    let other = lab.join("10.0.0.3:1", FULL);
    lab.hello(other, |own| own.port = Some(7001));
    // Both go on talking, or they would be closed.
    let mut told = Vec::new();
    for _ in 0..20 {
        lab.turn(1000);
        told.extend(lab.heard(other).into_iter().filter_map(|said| match said {
            Said::Extended(2, payload) => Some(payload),
            _ => None,
        }));
    }
    let told = crate::peer::extended::parse_pex(&told[0], 50).expect("a message").added;
    let addresses: Vec<_> = told.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, [at("10.0.0.2:7000")]);
}

#[test]
fn a_closed_bitten_seed_is_not_kept_by_a_partial_seeder() {
    // Wanted files are complete, others were never asked for: a seed and we have nothing for each other.
    let mut lab = Lab::seeding(Kind::V1, 16384, 40_000);
    let key = lab.join_seed("10.0.0.2:1", FULL, Role::Script);
    lab.turn(1000);
    assert!(lab.is_closed(key));
    let key = lab.join("10.0.0.3:1", FULL);
    lab.say(key, &Message::Interested);
    lab.turn(1000);
    assert!(!lab.is_closed(key));
}
