//! Peers that say too much, too slowly, or listen to nothing.

use super::lab::{FULL, Lab, Role, Said, at};
use crate::peer::outgoing::WAITING_BYTES_MAX;
use crate::peer::wire::{Block, Message, write};
use weightless::torrent::Kind;

const BLOCK: Block = Block { piece: 0, begin: 0, length: 16384 };

/// One peer with a slot at an engine that has everything.
fn served() -> (Lab, u64) {
    let mut lab = Lab::seeding(Kind::Hybrid, 16384, 200_000);
    let key = lab.join("203.0.113.5:1", FULL);
    lab.say(key, &Message::Interested);
    lab.turn(0);
    lab.heard(key);
    (lab, key)
}

fn repeat(lab: &mut Lab, key: u64, message: &Message<'_>, times: usize) {
    let mut bytes = Vec::new();
    (0..times).for_each(|_| write(&mut bytes, message));
    lab.bytes(key, &bytes);
}

/// It is closed, and not let in again for ten minutes, but not banned.
fn is_shunned(lab: &mut Lab, key: u64) -> bool {
    let is_out = |lab: &mut Lab| {
        let again = lab.join("203.0.113.5:9", FULL);
        lab.is_closed(again)
    };
    if !lab.is_closed(key) || !lab.node.banned.is_empty() || !is_out(lab) {
        return false;
    }
    lab.turn(599_000);
    let still = is_out(lab);
    lab.turn(2000);
    still && !is_out(lab)
}

#[test]
fn floods_end_the_connection_for_ten_minutes() {
    for (message, most) in [
        (Message::KeepAlive, 100),
        (Message::Have(0), 101),
        (Message::Unchoke, 101),
        (Message::Choke, 100),
        (Message::Suggest(0), 100),
        (Message::AllowedFast(0), 100),
        (Message::Interested, 100),
        (Message::Unknown(99), 100),
        (Message::Extended { id: 0, payload: b"de" }, 100),
        (Message::Extended { id: 2, payload: b"de" }, 100),
        (Message::Cancel(BLOCK), 4000),
    ] {
        let (mut lab, key) = served();
        match message {
            Message::Unknown(id) => {
                let bytes: Vec<u8> = (0..most).flat_map(|_| [0, 0, 0, 1, id]).collect();
                lab.bytes(key, &bytes);
                assert!(!lab.is_closed(key));
                lab.bytes(key, &[0, 0, 0, 1, id]);
            }
            _ => {
                repeat(&mut lab, key, &message, most);
                assert!(!lab.is_closed(key), "{message:?}");
                repeat(&mut lab, key, &message, 1);
            }
        }
        assert!(is_shunned(&mut lab, key), "{message:?}");
        // The same spread over time is nothing.
        let (mut lab, key) = served();
        for _ in 0..4 {
            let many = if let Message::Unknown(_) = message { 0 } else { most - 1 };
            repeat(&mut lab, key, &message, many);
            lab.turn(1100);
        }
        assert!(!lab.is_closed(key), "{message:?}");
    }
}

#[test]
fn late_cancels_at_the_end_do_not_make_a_keep_alive_a_flood() {
    let (mut lab, key) = served();
    repeat(&mut lab, key, &Message::Cancel(BLOCK), 500);
    repeat(&mut lab, key, &Message::KeepAlive, 2);
    assert!(!lab.is_closed(key));
}

#[test]
fn interest_changes_sixty_times_a_minute() {
    let (mut lab, key) = served();
    for _ in 0..29 {
        lab.say(key, &Message::NotInterested);
        lab.say(key, &Message::Interested);
    }
    lab.say(key, &Message::NotInterested);
    assert!(!lab.is_closed(key));
    lab.turn(1000);
    lab.say(key, &Message::Interested);
    lab.say(key, &Message::NotInterested);
    assert!(is_shunned(&mut lab, key));
}

#[test]
fn requests_queue_up_to_a_bound_then_are_rejected_then_end_it() {
    let (mut lab, key) = served();
    // It reads nothing, so nothing leaves the queue but what is ahead of the socket.
    lab.clog(key);
    repeat(&mut lab, key, &Message::Request(BLOCK), 2200);
    lab.turn(0);
    assert!(!lab.is_closed(key));
    repeat(&mut lab, key, &Message::Request(BLOCK), 2000);
    lab.turn(0);
    assert!(is_shunned(&mut lab, key));
}

#[test]
fn who_reads_is_served_however_much_is_asked() {
    let (mut lab, key) = served();
    repeat(&mut lab, key, &Message::Request(BLOCK), 500);
    lab.until(10, 400, |_| false);
    let pieces = lab.heard(key).into_iter().filter(|said| matches!(said, Said::Piece(..))).count();
    assert_eq!(pieces, 500);
}

#[test]
fn who_never_reads_costs_a_mebibyte_and_thirty_seconds() {
    let (mut lab, key) = served();
    lab.clog(key);
    repeat(&mut lab, key, &Message::Request(BLOCK), 400);
    lab.turn(0);
    lab.clog(key);
    let waits = |lab: &Lab| lab.node.engine.unsent(key).map_or(0, |out| out.len());
    assert!(waits(&lab) > 0 && waits(&lab) < 200_000, "{} bytes ahead", waits(&lab));
    lab.turn(29_000);
    assert!(!lab.is_closed(key));
    lab.turn(2000);
    assert!(lab.is_closed(key) && lab.node.banned.is_empty());
}

#[test]
fn answers_for_who_does_not_read_are_bounded_within_one_read() {
    // Rejects are as long as requests: without a bound in the same step they would grow with what comes.
    let mut lab = Lab::seeding(Kind::V1, 16384, 200_000);
    let key = lab.join("203.0.113.5:1", FULL);
    lab.clog(key);
    let mut most = 0;
    for _ in 0..2000 {
        repeat(&mut lab, key, &Message::Request(BLOCK), 200);
        most = most.max(lab.node.engine.unsent(key).map_or(0, |out| out.len()));
        if lab.is_closed(key) {
            break;
        }
    }
    assert!(lab.is_closed(key) && most <= WAITING_BYTES_MAX + 8192, "{most}");
}

#[test]
fn metadata_and_hashes_for_who_does_not_read_are_bounded_too() {
    let mut lab = Lab::seeding(Kind::V2, 16384, 16384 * 1024);
    let key = lab.join("203.0.113.5:1", FULL);
    lab.clog(key);
    let root = lab.content().file_root(0).expect("v2");
    let range = crate::peer::wire::HashRange { root, base: 0, index: 0, length: 1024, proofs: 0 };
    repeat(&mut lab, key, &Message::HashRequest(range), 3000);
    lab.turn(0);
    assert!(!lab.is_closed(key));
    let waits = lab.node.engine.unsent(key).map_or(0, |out| out.len());
    assert!(waits <= WAITING_BYTES_MAX, "{waits}");
}

#[test]
fn a_message_that_does_not_end_is_given_a_minute() {
    let (mut lab, key) = served();
    lab.bytes(key, &[0, 0, 0, 13]);
    for byte in [6, 0, 0, 0, 0, 0] {
        lab.turn(11_000);
        assert!(!lab.is_closed(key) || byte == 0);
        lab.bytes(key, &[byte]);
    }
    assert!(lab.is_closed(key) && lab.node.banned.is_empty());
}

#[test]
fn silence_is_two_minutes_long_and_we_say_something_before() {
    let (mut lab, key) = served();
    for _ in 0..11 {
        lab.turn(10_000);
    }
    assert!(!lab.is_closed(key) && lab.heard(key).contains(&Said::KeepAlive));
    lab.turn(10_500);
    assert!(lab.is_closed(key));
}

#[test]
fn rejects_of_what_was_never_asked_for_end_it_and_storms_of_others_do_not_spin() {
    let mut lab = Lab::fetching(Kind::V1, 16384, 400_000);
    let key = lab.join_seed("203.0.113.5:1", FULL, Role::Script);
    let mut asked = 0;
    for _ in 0..100 {
        lab.turn(100);
        for said in lab.heard(key) {
            if let Said::Request(block) = said {
                asked += 1;
                lab.say(key, &Message::Reject(block));
            }
        }
    }
    assert!((8..=200).contains(&asked), "{asked} requests in ten seconds");
    assert!(!lab.is_closed(key));
    lab.join_seed("203.0.113.6:1", FULL, Role::Seed { wrong_one_in: 0 });
    assert!(lab.until(100, 300, |lab| lab.node.is_complete()), "{}", lab.node.swarm().picture());

    let (mut lab, key) = served();
    for number in 0..32 {
        assert!(!lab.is_closed(key));
        lab.say(key, &Message::Reject(Block { begin: 16 * number, ..BLOCK }));
    }
    assert!(lab.is_closed(key));
}

#[test]
fn who_stalls_or_lies_does_not_hold_up_the_others() {
    for fast_count in [1, 3] {
        let mut lab = Lab::fetching(Kind::Hybrid, 65536, 2_000_000);
        let liar = lab.join_seed("203.0.113.5:1", FULL, Role::Liar);
        lab.turn(100);
        for number in 0..fast_count {
            lab.join_seed(&format!("203.0.113.{}:1", 10 + number), FULL, Role::Seed { wrong_one_in: 0 });
        }
        assert!(lab.until(200, 600, |lab| lab.node.is_complete()));
        assert!(lab.now - super::node::START < 30_000, "the end game does not wait for the liar");
        assert!(lab.peers[&liar].deepest <= 250 && lab.node.banned.is_empty());
    }
}

#[test]
fn a_liar_alone_is_snubbed_and_makes_room_for_somebody_else() {
    let mut lab = Lab::with(crate::disk::tests::made(Kind::V1, 16384, &[("a", 400_000)]), true, |plan| {
        plan.peers_max = 1;
    });
    let liar = lab.join_seed("203.0.113.5:1", FULL, Role::Liar);
    let now = lab.now;
    let swarm = lab.node.engine.swarm(0).expect("one");
    swarm.add_candidates(now, [at("203.0.113.9:1")], crate::peer::candidates::Origin::Tracker);
    // It keeps talking, so it is not silent.
    for _ in 0..13 {
        lab.turn(10_000);
        if !lab.is_closed(liar) {
            lab.say(liar, &Message::KeepAlive);
        }
    }
    assert!(lab.is_closed(liar) && !lab.node.dials.is_empty());
}

/// A peer that sends a block every half minute is never silent, never late, and must not keep the last piece for itself.
#[test]
fn who_drips_does_not_keep_the_last_piece() {
    let mut lab = Lab::fetching(Kind::V1, 1 << 20, 3 << 20);
    let slow = lab.join_seed("203.0.113.5:1", FULL, Role::Script);
    let mut asked = Vec::new();
    for _ in 0..10 {
        lab.turn(5000);
        asked.extend(lab.heard(slow).into_iter().filter_map(|said| match said {
            Said::Request(block) => Some(block),
            _ => None,
        }));
        if let Some(block) = asked.pop() {
            let data = lab.data(block);
            lab.block(slow, block, &data);
        }
    }
    lab.join_seed("203.0.113.6:1", FULL, Role::Seed { wrong_one_in: 0 });
    let since = lab.now;
    assert!(lab.until(250, 1000, |lab| lab.node.is_complete()));
    assert!(lab.now - since < 60_000, "it took {} s", (lab.now - since) / 1000);
}
