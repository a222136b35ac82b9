//! The rules of sections 7 and 8 of the HTTP tracker's page, and of its acceptance examples, one by one.

use crate::desk::*;
use weightless::tracker::{Access, Policy};
use weightless::wire::announce::{AnnounceResponse, Refusal};

fn desk_for(total_peers_max: u64) -> Desk {
    Desk::with(Policy { total_peers_max, ..policy(Access::Open) })
}

#[test]
fn max_total_peers_admits_the_last_and_refuses_one_more() {
    let mut desk = desk_for(3);
    for n in 0..3 {
        assert_eq!(desk.announce(v4(n), &leech(key(n), 1)), Ok(()));
    }
    assert_eq!(desk.announce(v4(9), &leech(key(0), 1)), Err(Refusal::Full), "a known swarm");
    assert_eq!(desk.announce(v4(9), &leech(key(9), 1)), Err(Refusal::Full), "a new swarm");
    assert_eq!(desk.announce(v4(2), &seed(key(2), 1)), Ok(()), "a known client");
    assert_eq!(desk.tracker.totals().peers(), 3);
}

#[test]
fn a_refusal_leaves_the_response_empty() {
    let mut desk = desk_for(1);
    desk.announce(v4(1), &leech(key(1), 1)).expect("the first");
    assert_eq!(desk.announce(v4(2), &leech(key(1), 2)), Err(Refusal::Full));
    assert_eq!(desk.response, AnnounceResponse::default());
}

#[test]
fn who_has_expired_makes_room_at_once() {
    let mut desk = desk_for(1);
    desk.announce(v4(1), &leech(key(1), 1)).expect("the first");
    desk.sleep_s(3601);
    assert_eq!(desk.announce(v4(2), &leech(key(1), 2)), Ok(()));
    assert_eq!(desk.told(), (0, 1));
}
