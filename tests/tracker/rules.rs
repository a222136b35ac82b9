//! The rules of sections 7 and 8 of the HTTP tracker's page, and of its acceptance examples, one by one.

use crate::desk::*;
use std::net::SocketAddr;
use weightless::base::{InfoHashes, SwarmKey, V1Hash, V2Hash};
use weightless::tracker::upkeep::FlushStep;
use weightless::tracker::{Access, Lease, Policy};
use weightless::wire::announce::{AnnounceResponse, AnnouncedHash, Event, Refusal};

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

#[test]
fn a_changed_registration_keeps_what_was_completed_since() {
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::V2(V2), None, 5);
    desk.announce(v4(1), &leech(by_v2(), 1)).expect("registered");
    desk.announce(v4(1), &seed(by_v2(), 1)).expect("registered");
    assert_eq!(desk.scrape(by_v2()).downloaded, 6);
    // The database has not heard of the sixth yet.
    desk.register(InfoHashes::Hybrid(V1, V2), Some(InfoHashes::V2(V2)), 5);
    assert_eq!(desk.scrape(by_v1()).downloaded, 6);
    desk.announce(v4(1), &leech(by_v1(), 1)).expect("registered");
    let now = desk.now();
    let told: Vec<_> = desk.tracker.flush_all(now).into_iter().filter_map(completions).collect();
    assert_eq!(told, [[(InfoHashes::Hybrid(V1, V2), 6)]]);
}

fn completions(step: FlushStep) -> Option<Vec<(InfoHashes, u64)>> {
    match step {
        FlushStep::Completions(counts) => Some(counts),
        _ => None,
    }
}

/// A row that an old database had with a hash of another entry is known to the tracker without it; the next change
/// of that row names the hash as one it had.
#[test]
fn an_entry_gives_up_no_hash_that_another_has() {
    let other = V2Hash([0x77; 32]);
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.register(InfoHashes::V2(other), None, 0);
    desk.register(InfoHashes::Hybrid(V1Hash([0x12; 20]), other), Some(InfoHashes::Hybrid(V1, other)), 0);
    assert_eq!(desk.announce(v4(1), &leech(by_v1(), 1)), Ok(()), "still served");
}

#[test]
fn what_becomes_a_hybrid_is_one_whatever_the_caller_knew() {
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::V2(V2), None, 0);
    desk.announce(v4(1), &leech(by_v2(), 1)).expect("registered");
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.announce(v4(2), &leech(by_v2(), 2)).expect("registered");
    assert_eq!(desk.response.peers4.len(), 6, "those from before have announced v2");
}

/// Two entries can share no hash: the registry refuses that. If it ever fails to, the first keeps it.
#[test]
fn a_hash_of_another_entry_is_not_taken_over() {
    let other = V2Hash([0x77; 32]);
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.register(InfoHashes::Hybrid(V1, other), None, 0);
    desk.register(InfoHashes::V1(V1), None, 0);
    desk.announce(v4(1), &leech(by_v1(), 1)).expect("registered");
    assert_eq!(desk.scrape(by_v2()).incomplete, 1);
    let now = desk.now();
    desk.tracker.block(now, &[other.key()]);
    assert_eq!(desk.announce(v4(1), &leech(by_v1(), 1)), Ok(()), "its own takedown takes nothing else along");
    assert_eq!(desk.tracker.totals().registered, 1);
}

#[test]
fn seeders_from_before_a_registration_are_told_to_the_registry() {
    let mut desk = Desk::open();
    desk.announce(v4(1), &seed(by_v2(), 1)).expect("open");
    desk.announce(v4(2), &seed(by_v1(), 2)).expect("open");
    assert_eq!(desk.tracker.take_seeder_changes(), [], "not registered");
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    assert_eq!(desk.tracker.take_seeder_changes(), [(V2.key(), 2)]);
    desk.register(InfoHashes::V2(V2), Some(InfoHashes::Hybrid(V1, V2)), 0);
    assert_eq!(desk.tracker.take_seeder_changes(), [(V2.key(), 1)], "one had announced v1 alone");
}

#[test]
fn seeder_changes_are_told_once_and_only_of_registered_entries() {
    let mut desk = Desk::open();
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.announce(v4(1), &leech(by_v1(), 1)).expect("open");
    assert_eq!(desk.tracker.take_seeder_changes(), [], "a leecher");
    desk.announce(v4(1), &seed(by_v1(), 1)).expect("open");
    desk.announce(v4(2), &seed(by_v2(), 2)).expect("open");
    assert_eq!(desk.tracker.take_seeder_changes(), [(V2.key(), 2)]);
    assert_eq!(desk.tracker.take_seeder_changes(), []);
    desk.sleep_s(3601);
    desk.minute();
    assert_eq!(desk.tracker.take_seeder_changes(), [(V2.key(), 0)], "they expired");
    desk.announce(v4(1), &seed(by_v1(), 1)).expect("open");
    let now = desk.now();
    desk.tracker.block(now, &[V2.key(), V1.key()]);
    assert_eq!(desk.tracker.take_seeder_changes(), [], "taken down since");
}

fn at_port(n: u32, port: u16) -> SocketAddr {
    SocketAddr::new(v4(n).ip(), port)
}

#[test]
fn a_client_that_changed_its_port_is_one_client() {
    let mut desk = Desk::open();
    desk.announce(at_port(1, 1000), &leech(key(1), 1)).expect("open");
    desk.announce(at_port(1, 2000), &leech(key(1), 2)).expect("open");
    assert_eq!(desk.told(), (0, 2), "two clients behind one address");
    desk.announce(at_port(1, 3000), &seed(key(1), 1)).expect("open");
    assert_eq!(desk.told(), (1, 1), "the first has moved");
    assert_eq!(desk.scrape(key(1)).downloaded, 1, "and has finished on the way");
    desk.announce(at_port(1, 4000), &with(Event::Completed, seed(key(1), 1))).expect("open");
    assert_eq!(desk.scrape(key(1)).downloaded, 1, "which is counted once");
}

#[test]
fn every_former_self_goes() {
    let mut desk = Desk::open();
    desk.announce(at_port(1, 1000), &leech(key(1), 1)).expect("open");
    desk.announce(at_port(1, 2000), &leech(key(1), 2)).expect("open");
    desk.announce(at_port(1, 2000), &leech(key(1), 1)).expect("open");
    assert_eq!(desk.told(), (0, 2), "a known address is overwritten and no more");
    desk.announce(at_port(1, 3000), &leech(key(1), 1)).expect("open");
    assert_eq!(desk.told(), (0, 1));
}

/// A swarm that was large keeps its shape until it is half as large as it might be; the rule does not wait for that.
#[test]
fn a_changed_port_is_seen_up_to_sixty_four_records_and_not_at_sixty_five() {
    for (count, told) in [(63, 63), (64, 64), (65, 66)] {
        let mut desk = Desk::open();
        for n in 0..count {
            desk.announce(v4(n), &leech(key(1), 1)).expect("open");
        }
        desk.announce(at_port(1, 9), &leech(key(1), 1)).expect("open");
        assert_eq!(desk.told(), (0, told), "grown to {count}");
    }
    let mut desk = Desk::open();
    for n in 0..70 {
        desk.announce(v4(n), &leech(key(1), 1)).expect("open");
    }
    for n in 64..70 {
        desk.announce(v4(n), &with(Event::Stopped, leech(key(1), 1))).expect("open");
    }
    desk.announce(at_port(1, 9), &leech(key(1), 1)).expect("open");
    assert_eq!(desk.told(), (0, 64), "shrunk to 64");
}

#[test]
fn another_peer_id_at_a_known_address_is_a_restarted_client() {
    let mut desk = Desk::open();
    desk.announce(v4(1), &with(Event::Completed, leech(key(1), 1))).expect("open");
    desk.announce(v4(1), &leech(key(1), 2)).expect("open");
    assert_eq!(desk.told(), (0, 1), "one record, now a leecher");
    desk.announce(v4(1), &seed(key(1), 2)).expect("open");
    assert_eq!(desk.scrape(key(1)).downloaded, 2, "which has a download of its own");
    desk.announce(v4(1), &seed(key(1), 3)).expect("open");
    assert_eq!(desk.scrape(key(1)).downloaded, 2, "first seen complete");
}

#[test]
fn kinds_come_in_their_order_in_swarms_of_any_size() {
    for count in [9, 60, 300] {
        let mut desk = Desk::open();
        for n in 0..count {
            let request = match n % 3 {
                0 => seed(key(1), 1),
                1 => leech(key(1), 1),
                _ => with(Event::Paused, leech(key(1), 1)),
            };
            desk.announce(v4(n), &request).expect("open");
        }
        let kind = |address: &[u8; 6]| u32::from_be_bytes([0, address[1], address[2], address[3]]) % 3;
        for _ in 0..20 {
            desk.reach.peers_max = count as usize * 5 / 6;
            desk.announce(v4(count), &leech(key(1), 2)).expect("open");
            let kinds: Vec<u32> = desk.response.peers4.as_chunks::<6>().0.iter().map(kind).collect();
            assert!(kinds.is_sorted(), "{count}: {kinds:?}");
            let partial = kinds.iter().filter(|kind| **kind == 2).count();
            assert_eq!(partial, kinds.len() - count as usize / 3 * 2, "{count}");
            desk.announce(v4(count), &with(Event::Paused, leech(key(1), 2))).expect("open");
            assert_eq!(desk.response.peers4.len(), count as usize / 3 * 6, "leechers alone");
            desk.announce(v4(count), &with(Event::Stopped, leech(key(1), 2))).expect("open");
        }
    }
}

#[test]
fn who_has_expired_joins_no_hybrid() {
    let mut desk = Desk::open();
    desk.announce(v4(1), &with(Event::Completed, leech(by_v1(), 1))).expect("open");
    desk.announce(v4(2), &leech(by_v1(), 2)).expect("open");
    desk.sleep_s(3601);
    desk.announce(v4(1), &leech(by_v2(), 1)).expect("open");
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.announce(v4(3), &leech(by_v1(), 3)).expect("open");
    assert_eq!((desk.told(), desk.response.peers4.len()), ((0, 2), 0), "nobody alive has announced v1");
    desk.announce(v4(1), &with(Event::Completed, leech(by_v2(), 1))).expect("open");
    assert_eq!(desk.scrape(by_v2()).downloaded, 1);
}

/// Large swarms are not searched for the dead by every announce; who comes back must not be taken for alive.
#[test]
fn who_comes_back_after_its_lifetime_is_new() {
    for others in [1, 100] {
        let mut desk = Desk::open();
        desk.announce(v4(1), &leech(key(1), 1)).expect("open");
        desk.sleep_s(1800);
        for n in 2..2 + others {
            desk.announce(v4(n), &leech(key(1), 2)).expect("open");
        }
        desk.sleep_s(1801);
        desk.announce(v4(1), &seed(key(1), 1)).expect("open");
        assert_eq!(desk.scrape(key(1)).downloaded, 0, "first seen complete, among {others}");
        assert_eq!(desk.told(), (1, others));
    }
}

#[test]
fn a_scrape_that_finds_everybody_gone_forgets_the_torrent() {
    let mut desk = Desk::open();
    desk.announce(v4(1), &with(Event::Completed, leech(key(1), 1))).expect("open");
    desk.announce(v4(1), &leech(key(2), 1)).expect("open");
    desk.sleep_s(3601);
    assert_eq!(desk.scrape(key(1)).downloaded, 1);
    assert_eq!(desk.scrape(key(2)).incomplete, 0);
    assert_eq!((desk.tracker.torrents(), desk.tracker.totals().ghosts), (1, 1), "the count is kept, no more");
}

#[test]
fn restored_clients_of_v1_alone_do_not_join_what_is_v2_only_now() {
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.announce(v4(1), &leech(by_v1(), 1)).expect("registered");
    desk.announce(v4(2), &leech(by_v2(), 2)).expect("registered");
    let now = desk.now();
    let steps = desk.tracker.flush_all(now);
    let mut after = Desk::with(policy(Access::Registered));
    after.mono_ms = desk.mono_ms;
    after.register(InfoHashes::V2(V2), None, 0);
    for step in steps {
        if let FlushStep::Slice(slice) = step {
            assert!(after.tracker.restore(now, &slice));
        }
    }
    after.announce(v4(3), &leech(by_v2(), 3)).expect("registered");
    assert_eq!((after.told(), after.response.peers4.len()), ((0, 2), 6));
}

/// A client that registered by the idtorrent route comes back from disk with the lifetime it had.
#[test]
fn a_lease_outlives_a_restart_and_no_more() {
    let mut desk = Desk::open();
    let now = desk.now();
    let (from, mut response) = (v4(1), AnnounceResponse::default());
    let reach = desk.reach;
    let announced =
        desk.tracker.announce_for(now, from, &leech(by_v1(), 1), reach, Lease::Registered, &mut response);
    announced.expect("open");
    desk.announce(v4(2), &leech(by_v1(), 2)).expect("open");
    let steps = desk.tracker.flush_all(now);
    for (seconds, left) in [(899, 2), (902, 1)] {
        let mut after = Desk::open();
        (0..seconds).for_each(|_| after.mono_ms += 1000);
        for step in &steps {
            if let FlushStep::Slice(slice) = step {
                assert!(after.tracker.restore(after.now(), slice));
            }
        }
        assert_eq!(after.scrape(by_v1()).incomplete, left, "after {seconds} s");
    }
}

/// The last slice may change while a flush is under way, and on a busy tracker it always does.
#[test]
fn a_flush_ends_however_busy_the_last_slice_is() {
    let mut desk = Desk::open();
    let last = AnnouncedHash::Short(SwarmKey([255; 20]));
    desk.announce(v4(0), &leech(last, 1)).expect("open");
    desk.sleep_s(10);
    let mut steps = 0;
    for n in 1..100 {
        let now = desk.now();
        match desk.tracker.flush(now) {
            Some(FlushStep::Done) => break,
            Some(_) => steps += 1,
            None => {}
        }
        desk.announce(v4(n), &leech(last, 1)).expect("open");
        desk.mono_ms += 2;
    }
    assert_eq!(steps, 1);
}

#[test]
fn completions_that_did_not_reach_the_disk_keep_no_torrent_alive() {
    let mut desk = Desk::open();
    desk.register(InfoHashes::V2(V2), None, 0);
    desk.announce(v4(1), &with(Event::Completed, leech(by_v2(), 1))).expect("open");
    let now = desk.now();
    desk.tracker.flush_all(now);
    desk.tracker.block(now, &[V2.key()]);
    desk.tracker.unblock(now, &[V2.key()]);
    desk.announce(v4(1), &leech(by_v2(), 1)).expect("open");
    desk.tracker.flush_failed(now, &[], &[InfoHashes::V2(V2)]);
    desk.announce(v4(1), &with(Event::Stopped, leech(by_v2(), 1))).expect("open");
    assert_eq!(desk.tracker.torrents(), 0);
}

#[test]
fn a_client_lives_for_peer_ttl_and_no_second_longer() {
    for count in [1, 200] {
        let mut desk = Desk::open();
        (0..count).for_each(|n| desk.announce(v4(n), &leech(key(1), 1)).expect("open"));
        desk.sleep_s(3600);
        assert_eq!(desk.scrape(key(1)).incomplete, count, "at its bound");
        desk.sleep_s(1);
        desk.announce(v4(900), &leech(key(1), 2)).expect("open");
        assert_eq!(desk.response.peers4.len(), 0, "past it, never offered");
        desk.minute();
        assert_eq!(desk.tracker.totals().peers(), 1, "and freed within a minute");
    }
}

/// Torrents that are kept for their count of completed downloads alone: 262,144 and one, which strangers could make
/// more of.
#[test]
fn ghosts_are_bounded() {
    let mut desk = Desk::open();
    desk.reach.peers_max = 0;
    for n in 0..262_144 + 1000 {
        desk.announce(v4(1), &with(Event::Completed, seed(key(n), 1))).expect("open");
        desk.announce(v4(1), &with(Event::Stopped, seed(key(n), 1))).expect("open");
    }
    assert_eq!(desk.tracker.totals().ghosts, 262_144);
    assert_eq!(desk.tracker.torrents(), 262_144);
    assert_eq!(desk.scrape(key(0)).downloaded, 1, "the first are kept");
    assert_eq!(desk.scrape(key(262_144)).downloaded, 0);
}

#[test]
fn each_list_of_a_hybrid_holds_who_announced_its_hash() {
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    let (a, b, c) = (v4(1), v4(2), v6(3));
    for (from, hash) in [(a, by_v1()), (a, by_v2()), (b, by_v1()), (c, by_v2())] {
        desk.announce(from, &leech(hash, 1)).expect("registered");
    }
    desk.announce(a, &leech(by_v1(), 1)).expect("registered");
    assert_eq!((desk.response.peers4.len(), desk.response.peers6.len()), (6, 0), "A on v1 gets B");
    desk.announce(a, &leech(by_v2(), 1)).expect("registered");
    assert_eq!((desk.response.peers4.len(), desk.response.peers6.len()), (0, 18), "A on v2 gets C");
    desk.announce(b, &leech(by_v1(), 1)).expect("registered");
    assert_eq!((desk.response.peers4.len(), desk.response.peers6.len()), (6, 0), "B gets A");
    assert_eq!(desk.told(), (0, 3), "each counted once");
}

#[test]
fn a_changed_v1_hash_drops_who_knew_no_other() {
    let mut desk = Desk::open();
    let (before, after) = (InfoHashes::Hybrid(V1, V2), InfoHashes::Hybrid(V1Hash([0x12; 20]), V2));
    desk.register(before, None, 0);
    for (from, hash) in [(v4(1), by_v1()), (v4(2), by_v2()), (v4(3), by_v1()), (v4(3), by_v2())] {
        desk.announce(from, &leech(hash, 1)).expect("open");
    }
    desk.register(after, Some(before), 0);
    assert_eq!(desk.scrape(by_v2()).incomplete, 2);
    assert_eq!(desk.scrape(by_v1()).incomplete, 0, "a hash of nothing now");
    desk.announce(v4(4), &leech(AnnouncedHash::Short(SwarmKey([0x12; 20])), 2)).expect("open");
    assert_eq!((desk.told(), desk.response.peers4.len()), ((0, 3), 0), "nobody has announced the new one");
}

#[test]
fn a_stranger_that_stops_leaves_no_record() {
    let mut desk = Desk::open();
    assert_eq!(desk.announce(v6(1), &with(Event::Stopped, leech(key(1), 1))), Ok(()));
    assert_eq!((desk.told(), desk.tracker.torrents()), ((0, 0), 0));
    desk.announce(v4(1), &leech(key(1), 1)).expect("open");
    desk.announce(v6(1), &with(Event::Stopped, leech(key(1), 1))).expect("open");
    assert_eq!((desk.told(), desk.response.peers4.len()), ((0, 1), 0));
}

/// Nobody can make such a torrent, but anybody can say so in a registration without a file.
#[test]
fn a_v1_hash_that_is_the_beginning_of_the_v2_hash_is_one_key() {
    let mut desk = Desk::with(policy(Access::Registered));
    desk.register(InfoHashes::Hybrid(V1Hash([0xee; 20]), V2Hash([0xee; 32])), None, 3);
    desk.tracker.check_invariants();
    assert_eq!(desk.scrape(AnnouncedHash::Short(SwarmKey([0xee; 20]))).downloaded, 3);
}
