//! The life of a swarm in four short stories, for a first look at what the tracker does.

use std::net::SocketAddr;
use weightless::base::{InfoHashes, Now, PeerId, SwarmKey, V1Hash, V2Hash};
use weightless::tracker::{Access, FORESEEN_MAX, Families, Policy, Reach, Tracker, table, upkeep};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal};

const NOW: Now = Now { mono: 10_000_000, unix: 1_700_000_000 };
const HTTP: Reach = Reach { peers_max: 50, families: Families::Both };

fn tracker(access: Access) -> Tracker {
    let policy =
        Policy { access, peer_ttl_s: 3600, idt_peer_ttl_s: 900, flush_interval_s: 10, total_peers_max: 0 };
    Tracker::new(policy, 42, 7)
}

fn request(hash: AnnouncedHash, id: u8, left: u64) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: hash,
        peer_id: PeerId([id; 20]),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: Some(left),
        event: Event::None,
        peers_wanted: None,
    }
}

fn from(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 6881))
}

#[test]
fn a_hybrid_is_one_swarm_with_two_lists() {
    let mut tracker = tracker(Access::Registered);
    let (v1, v2) = (V1Hash([0x11; 20]), V2Hash([0xee; 32]));
    let (a1, a2) = (AnnouncedHash::Short(v1.key()), AnnouncedHash::Full(v2));
    let mut answer = AnnounceResponse::default();
    let refused = tracker.announce(NOW, from(1), &request(a1, 1, 5), HTTP, &mut answer);
    assert_eq!(refused, Err(Refusal::Unregistered));
    tracker.register(NOW, InfoHashes::Hybrid(v1, v2), None, 0);
    for (who, hash) in [(1, a1), (1, a2), (2, a1), (3, a2)] {
        tracker.announce(NOW, from(who), &request(hash, who, 5), HTTP, &mut answer).expect("registered");
    }
    assert_eq!((answer.complete, answer.incomplete), (0, 3));
    assert_eq!(answer.peers4, [192, 0, 2, 1, 0x1a, 0xe1], "the v2 client gets the one that announced v2");
    tracker.announce(NOW, from(1), &request(a1, 1, 5), HTTP, &mut answer).expect("registered");
    assert_eq!(answer.peers4, [192, 0, 2, 2, 0x1a, 0xe1]);
    let stop = AnnounceRequest { event: Event::Stopped, ..request(a1, 1, 5) };
    tracker.announce(NOW, from(1), &stop, HTTP, &mut answer).expect("registered");
    assert_eq!(answer.incomplete, 3, "its v2 identity is still here");
    let other = AnnouncedHash::Full(V2Hash(std::array::from_fn(|i| if i < 20 { 0xee } else { 0 })));
    let refused = tracker.announce(NOW, from(1), &request(other, 1, 5), HTTP, &mut answer);
    assert_eq!(refused, Err(Refusal::Unregistered), "the first 20 bytes are not enough");
}

#[test]
fn a_download_is_counted_once_however_it_is_told() {
    let mut tracker = tracker(Access::Open);
    let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
    let mut answer = AnnounceResponse::default();
    for (left, event) in [(5, Event::Started), (0, Event::Completed), (0, Event::None), (0, Event::Completed)]
    {
        let request = AnnounceRequest { event, ..request(hash, 1, left) };
        tracker.announce(NOW, from(1), &request, HTTP, &mut answer).expect("open");
    }
    tracker.announce(NOW, from(2), &request(hash, 2, 0), HTTP, &mut answer).expect("open");
    let stats = tracker.scrape(NOW, &hash).expect("open");
    assert_eq!((stats.downloaded, stats.complete, stats.incomplete), (1, 2, 0));
}

#[test]
fn a_restart_brings_the_swarm_back_and_forgets_the_old() {
    let mut before = tracker(Access::Open);
    let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
    let mut answer = AnnounceResponse::default();
    for n in 0..200 {
        let late = Now { mono: NOW.mono + u64::from(n) * 1000, ..NOW };
        before.announce(late, from(n), &request(hash, n, u64::from(n % 2)), HTTP, &mut answer).expect("open");
    }
    let now = Now { mono: NOW.mono + 200_000, ..NOW };
    let steps = before.flush_all(now);
    let mut after = tracker(Access::Open);
    let later = Now { mono: 500, unix: NOW.unix + 3500 };
    for step in &steps {
        if let upkeep::FlushStep::Slice(slice) = step {
            assert!(after.restore(later, slice));
            let mut damaged = slice.clone();
            damaged.bytes[30] ^= 1;
            assert!(!tracker(Access::Open).restore(later, &damaged));
        }
    }
    let stats = after.scrape(later, &hash).expect("open");
    assert_eq!(stats.complete + stats.incomplete, 100, "those who were last seen 3,600 s ago or less");
}

/// A board without a clock of its own comes up in 1970: its clients are no older than now, and no younger either.
#[test]
fn a_snapshot_from_the_future_is_one_from_now() {
    let mut before = tracker(Access::Open);
    let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
    let mut answer = AnnounceResponse::default();
    for n in 0..50 {
        before.announce(NOW, from(n), &request(hash, n, 1), HTTP, &mut answer).expect("open");
    }
    let steps = before.flush_all(NOW);
    let mut after = tracker(Access::Open);
    let early = Now { mono: NOW.mono, unix: 17 };
    for step in &steps {
        if let upkeep::FlushStep::Slice(slice) = step {
            assert!(after.restore(early, slice));
        }
    }
    let count = |tracker: &mut Tracker, mono: u64| {
        let stats = tracker.scrape(Now { mono, ..early }, &hash).expect("open");
        stats.complete + stats.incomplete
    };
    assert_eq!(count(&mut after, NOW.mono + 3_590_000), 50);
    assert_eq!(count(&mut after, NOW.mono + 3_700_000), 0);
}

#[test]
fn the_sweep_frees_who_has_gone_and_then_sleeps() {
    let mut tracker = tracker(Access::Open);
    let mut answer = AnnounceResponse::default();
    for n in 0..100 {
        let hash = AnnouncedHash::Short(SwarmKey([n; 20]));
        tracker.announce(NOW, from(n), &request(hash, n, 1), HTTP, &mut answer).expect("open");
    }
    let mut now = NOW;
    while let Some(due) = tracker.next_deadline() {
        now.mono = due;
        tracker.sweep(now);
        while tracker.flush(now).is_some() {}
        assert!(now.mono < NOW.mono + 3_700_000, "freed within a minute after the last lifetime");
    }
    assert_eq!(tracker.totals(), &table::Totals::default());
}

#[test]
fn looking_ahead_changes_nothing_whatever_is_asked() {
    let mut tracker = tracker(Access::Open);
    let mut answer = AnnounceResponse::default();
    let key = SwarmKey([9; 20]);
    let request = request(AnnouncedHash::Short(key), 1, 5);
    for n in 0..100 {
        tracker.announce(NOW, from(n), &request, HTTP, &mut answer).expect("open");
    }
    let before = *tracker.totals();
    let v6 = SocketAddr::from(([0x2001, 0, 0, 0, 0, 0, 0, 1], 6881));
    for count in [0, 1, FORESEEN_MAX, FORESEEN_MAX + 1] {
        let known = std::iter::repeat_n((key, from(1)), count);
        tracker.foresee(known.chain([(SwarmKey([8; 20]), from(2)), (key, v6)]));
    }
    assert_eq!(*tracker.totals(), before);
}
