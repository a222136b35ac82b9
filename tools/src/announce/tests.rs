//! The rules of announcing, row by row.

use super::*;

const TOTALS: Totals = Totals { uploaded: 1, downloaded: 2, left: 3 };
const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;

struct Bench {
    announcer: Announcer,
    now: Millis,
    totals: Totals,
    peers: usize,
}

impl Bench {
    fn new(tiers: &[&[&str]]) -> Self {
        Self::with(tiers, |_| {})
    }

    fn with(tiers: &[&[&str]], change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            private: false,
            hybrid: false,
            persistence: Persistence::Get,
            seed: 1,
            wire: Wire::Announce,
        };
        change(&mut setup);
        let mut hashes = vec![(SwarmKey([1; 20]), HashOf::V1)];
        hashes.extend(setup.hybrid.then_some((SwarmKey([2; 20]), HashOf::V2)));
        let identity = Identity {
            wire: setup.wire,
            peer_id: PeerId([7; 20]),
            key: 9,
            port: 6881,
            hashes,
            peers_enough: 100,
        };
        let url = |url: &&str| TrackerUrl { url: (*url).into(), trusted: url.contains("trusted") };
        let tiers = tiers.iter().map(|tier| tier.iter().map(url).collect()).collect();
        let announcer =
            Announcer::new(tiers, setup.private, identity, setup.persistence, Rng::new(setup.seed));
        Self { announcer, now: 10, totals: TOTALS, peers: 0 }
    }

    fn poll(&mut self) -> Vec<Call> {
        let mut out = Vec::new();
        self.announcer.poll(self.now, self.totals, self.peers, &mut out);
        out
    }

    /// The URLs of the calls that are due now.
    fn urls(&mut self) -> Vec<String> {
        self.poll().into_iter().map(|call| call.url).collect()
    }

    fn one(&mut self) -> Call {
        let mut calls = self.poll();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    fn serve(&mut self, id: u64) -> Option<Learned> {
        self.announcer.answered(self.now, id, Ok(served(1800)))
    }

    fn fail(&mut self, id: u64) {
        assert_eq!(self.announcer.answered(self.now, id, Err(Problem::Failed("timeout".into()))), None);
    }

    fn refuse(&mut self, id: u64, retry: Retry) {
        let problem = Problem::Refused { reason: "no".into(), retry };
        assert_eq!(self.announcer.answered(self.now, id, Err(problem)), None);
    }

    /// Waits until something is due and says how long that took.
    fn wait(&mut self) -> Millis {
        let due = self.announcer.next_due().expect("something is due");
        let before = self.now;
        if due > self.now {
            self.now = due - 1;
            assert_eq!(self.poll(), [], "nothing is due before its time");
        }
        self.now = due.max(self.now);
        self.now - before
    }
}

struct Setup {
    private: bool,
    hybrid: bool,
    persistence: Persistence,
    seed: u64,
    wire: Wire,
}

fn served(interval_s: u32) -> Answer {
    Answer { interval_s, ..Answer::default() }
}

#[test]
fn an_announce_says_who_and_how_much() {
    let mut bench = Bench::new(&[&["http://trusted/announce"]]);
    let call = bench.one();
    let request = call.request;
    assert_eq!((call.url.as_str(), call.trusted, call.key), ("http://trusted/announce", true, 9));
    assert_eq!((request.port, request.peer_id, request.event), (6881, PeerId([7; 20]), Event::Started));
    assert_eq!((request.uploaded, request.downloaded, request.left), (1, 2, Some(3)));
    assert_eq!((request.peers_wanted, request.info_hash.key()), (Some(50), SwarmKey([1; 20])));
    assert_eq!(bench.poll(), [], "one at a time");
    let peers = vec!["192.0.2.1:1".parse().expect("an address"); 1500];
    let learned = bench.announcer.answered(bench.now, call.id, Ok(Answer { peers, ..served(60) }));
    let learned = learned.expect("an answer");
    assert_eq!((learned.peers.len(), learned.hash), (PEERS_MAX, HashOf::V1));
    assert_eq!(bench.serve(call.id), None, "an answer counts once");
    bench.peers = 99;
    bench.wait();
    assert_eq!(bench.one().request.peers_wanted, Some(50));
    let mut crowded = Bench::new(&[&["http://a/announce"]]);
    crowded.peers = 100;
    assert_eq!(crowded.one().request.peers_wanted, Some(0));
}

#[test]
fn a_public_torrent_announces_to_every_tier_a_private_one_to_the_first() {
    let tiers: &[&[&str]] = &[&["http://a/"], &["udp://b:1"], &["http://c/"]];
    assert_eq!(Bench::new(tiers).urls(), ["http://a/", "udp://b:1", "http://c/"]);
    let mut private = Bench::with(tiers, |setup| setup.private = true);
    private.peers = 50;
    let first = private.one();
    assert_eq!(first.url, "http://a/");
    private.fail(first.id);
    let second = private.one();
    assert_eq!(second.url, "udp://b:1");
    private.serve(second.id);
    assert_eq!(private.poll(), [], "b works: c is not asked");
    assert_eq!(private.wait(), 1800 * SECOND);
    assert_eq!(private.one().url, "http://a/", "each round starts at the first tier");
}

#[test]
fn eight_tiers_at_once_and_a_dead_one_makes_room() {
    let urls: Vec<String> = (0..12).map(|n| format!("http://t{n}/")).collect();
    let tiers: Vec<Vec<&str>> = urls.iter().map(|url| vec![url.as_str()]).collect();
    let tiers: Vec<&[&str]> = tiers.iter().map(Vec::as_slice).collect();
    let mut bench = Bench::new(&tiers);
    let calls = bench.poll();
    assert_eq!(calls.len(), 8);
    bench.fail(calls[2].id);
    assert_eq!(bench.urls(), ["http://t8/"]);
    bench.serve(calls[0].id);
    assert_eq!(bench.poll(), []);
}

#[test]
fn urls_stand_once_bad_ones_not_at_all_and_there_is_a_bound() {
    let mut bench = Bench::new(&[
        &["http://a/", "http://a/", "ftp://x/", "http://", "wss://y/"],
        &["http://a/"],
        &["udp://b:2"],
    ]);
    assert_eq!(bench.urls(), ["http://a/", "udp://b:2"]);
    for (count, kept) in [(TRACKERS_MAX, TRACKERS_MAX), (TRACKERS_MAX + 1, TRACKERS_MAX)] {
        let urls: Vec<String> = (0..count).map(|n| format!("http://t{n}/")).collect();
        let tier: Vec<&str> = urls.iter().map(String::as_str).collect();
        assert_eq!(Bench::new(&[&tier]).announcer.status().count(), kept);
    }
    let mut none = Bench::new(&[]);
    assert_eq!((none.poll(), none.announcer.next_due()), (vec![], None));
    assert!(!none.announcer.has_failed_everywhere());
}

#[test]
fn a_tier_is_shuffled_once_and_a_success_moves_to_the_front() {
    let tier: &[&[&str]] = &[&["http://a/", "http://b/", "http://c/"]];
    let firsts: std::collections::HashSet<_> =
        (0..30).map(|seed| Bench::with(tier, |setup| setup.seed = seed).one().url).collect();
    assert_eq!(firsts.len(), 3);
    let mut bench = Bench::new(tier);
    let first = bench.one();
    bench.fail(first.id);
    let second = bench.one();
    assert_ne!(first.url, second.url);
    bench.serve(second.id);
    assert_eq!(bench.announcer.status().next().expect("a tracker").url, second.url);
    for _ in 0..3 {
        bench.wait();
        let again = bench.one();
        assert_eq!(again.url, second.url);
        bench.serve(again.id);
    }
}

#[test]
fn a_hybrid_announces_both_hashes_on_their_own() {
    let mut bench = Bench::with(&[&["http://a/", "http://b/"]], |setup| setup.hybrid = true);
    let calls = bench.poll();
    let keys: Vec<_> = calls.iter().map(|call| call.request.info_hash.key().0[0]).collect();
    assert_eq!(keys, [1, 2]);
    assert_eq!(calls[0].url, calls[1].url);
    assert_eq!(bench.serve(calls[1].id).expect("an answer").hash, HashOf::V2);
    bench.refuse(calls[0].id, Retry::Never);
    let elsewhere = bench.one();
    assert_eq!(elsewhere.request.info_hash.key().0[0], 1);
    assert_ne!(elsewhere.url, calls[0].url);
}

#[test]
fn a_download_faster_than_the_first_answer_is_told_all_the_same() {
    let mut bench = Bench::new(&[&["http://a/"]]);
    let started = bench.one();
    bench.announcer.completed();
    bench.totals.left = 0;
    assert!(bench.announcer.owes_completed(), "who is being greeted will know us");
    bench.serve(started.id);
    let completed = bench.one();
    assert_eq!(completed.request.event, Event::Completed);
    bench.serve(completed.id);
    assert!(!bench.announcer.owes_completed());
}

#[test]
fn started_first_completed_once_stopped_to_whoever_knows_us() {
    let mut bench = Bench::new(&[&["http://a/"], &["http://b/"]]);
    bench.peers = 50;
    let calls = bench.poll();
    assert!(calls.iter().all(|call| call.request.event == Event::Started));
    bench.serve(calls[0].id);
    bench.fail(calls[1].id);
    bench.now += 10;
    bench.announcer.completed();
    bench.totals.left = 0;
    let completed = bench.one();
    assert_eq!((completed.url.as_str(), completed.request.event), ("http://a/", Event::Completed));
    bench.fail(completed.id);
    assert_eq!(bench.wait(), 30 * SECOND - 10);
    assert_eq!(bench.one().request.event, Event::Started, "b still does not know us");
    bench.wait();
    let again = bench.one();
    assert_eq!(again.request.event, Event::Completed, "until it was heard");
    bench.serve(again.id);
    bench.wait();
    assert_eq!(bench.one().request.event, Event::None);
    bench.announcer.stop(bench.now);
    let farewell = bench.one();
    assert_eq!((farewell.url.as_str(), farewell.request.event), ("http://a/", Event::Stopped));
    assert_eq!((farewell.request.peers_wanted, farewell.udp_tries), (Some(0), 1));
    assert_eq!(bench.poll(), []);
    assert!(!bench.announcer.is_finished(bench.now));
    bench.serve(farewell.id);
    assert!(!bench.announcer.is_finished(bench.now), "b may have heard our start");
    assert_eq!(bench.announcer.next_due(), Some(bench.now + FAREWELL_MS));
    assert!(bench.announcer.is_finished(bench.now + FAREWELL_MS));
}

#[test]
fn a_start_that_is_answered_while_we_leave_gets_its_farewell() {
    let mut bench = Bench::new(&[&["http://a/"]]);
    let started = bench.one();
    bench.announcer.stop(bench.now);
    assert_eq!(bench.poll(), []);
    assert!(!bench.announcer.is_finished(bench.now));
    bench.serve(started.id);
    assert_eq!(bench.announcer.next_due(), Some(bench.now));
    let farewell = bench.one();
    assert_eq!(farewell.request.event, Event::Stopped);
    bench.fail(farewell.id);
    assert!(bench.announcer.is_finished(bench.now));
}

#[test]
fn nobody_is_told_of_a_stop_who_never_heard_of_a_start() {
    let mut bench = Bench::new(&[&["http://a/"]]);
    let id = bench.one().id;
    bench.fail(id);
    bench.announcer.stop(bench.now);
    assert_eq!(bench.poll(), []);
    assert!(bench.announcer.is_finished(bench.now));
}

#[test]
fn the_interval_is_the_trackers_within_reason() {
    for (interval_s, min_s, peers, left, wait_s) in [
        (1800, None, 50, 1, 1800),
        (5, None, 50, 1, 60),
        (u32::MAX, None, 50, 1, 14_400),
        (60, Some(900), 50, 1, 900),
        (1800, None, 9, 1, 300),
        (1800, None, 10, 1, 1800),
        (1800, None, 0, 0, 1800),
        (120, None, 0, 1, 120),
        (1800, Some(600), 0, 1, 600),
        (1800, Some(1800), 0, 1, 1800),
        (1800, Some(u32::MAX), 0, 1, 14_400),
    ] {
        let mut bench = Bench::new(&[&["http://a/"]]);
        bench.peers = peers;
        bench.totals.left = left;
        let id = bench.one().id;
        let answer = Answer { min_interval_s: min_s, ..served(interval_s) };
        bench.announcer.answered(bench.now, id, Ok(answer));
        assert_eq!(bench.wait(), wait_s * SECOND, "{interval_s} {min_s:?} {peers} {left}");
        assert_eq!(bench.poll().len(), 1);
    }
}

#[test]
fn a_failure_is_retried_ever_later_and_never_is_never() {
    let mut bench = Bench::new(&[&["http://a/"]]);
    for wait_s in [30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800, 1800, 1800] {
        let id = bench.one().id;
        bench.fail(id);
        assert_eq!(bench.wait(), wait_s * SECOND);
    }
    let id = bench.one().id;
    bench.refuse(id, Retry::AfterS(7 * 60));
    assert_eq!(bench.wait(), 7 * MINUTE);
    let id = bench.one().id;
    bench.serve(id);
    bench.wait();
    let id = bench.one().id;
    bench.fail(id);
    assert_eq!(bench.wait(), 30 * SECOND, "a success starts over");
    let id = bench.one().id;
    bench.refuse(id, Retry::Never);
    assert_eq!(bench.announcer.next_due(), None);
    bench.now += 1_000_000 * MINUTE;
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_url_that_cannot_be_used_is_not_tried_again() {
    let mut bench = Bench::new(&[&["http://a/"]]);
    let id = bench.one().id;
    bench.announcer.answered(bench.now, id, Err(Problem::Unusable("not allowed".into())));
    assert_eq!(bench.announcer.next_due(), None);
    assert!(bench.announcer.has_failed_everywhere());
}

#[test]
fn who_has_nobody_else_and_time_asks_a_udp_tracker_for_long() {
    for (persistence, tier, tries) in [
        (Persistence::Get, &["udp://a:1"][..], 3),
        (Persistence::Seed, &["udp://a:1"], 9),
        (Persistence::Seed, &["udp://a:1", "udp://b:1"], 3),
    ] {
        let mut bench = Bench::with(&[tier], |setup| setup.persistence = persistence);
        assert_eq!(bench.one().udp_tries, tries);
    }
}

#[test]
fn the_status_says_what_went_wrong() {
    let mut bench = Bench::new(&[&["http://a/"], &["http://b/"]]);
    let calls = bench.poll();
    bench.fail(calls[0].id);
    assert!(!bench.announcer.has_failed_everywhere(), "b has not answered yet");
    bench.refuse(calls[1].id, Retry::Unsaid);
    assert!(bench.announcer.has_failed_everywhere());
    let status: Vec<_> = bench.announcer.status().collect();
    assert_eq!(status[0].problem, Some(&Problem::Failed("timeout".into())));
    assert!(matches!(status[1].problem, Some(Problem::Refused { reason, .. }) if reason == "no"));
    bench.wait();
    let again = bench.poll();
    bench.serve(again[0].id);
    assert!(!bench.announcer.has_failed_everywhere());
    assert!(bench.announcer.status().any(|status| status.answered && status.problem.is_none()));
}

#[test]
fn an_idtorrent_is_registered_as_often_as_its_tracker_needs() {
    for (wire, interval_s, wait) in [
        (Wire::PeerRoutes, 300, 300),
        (Wire::PeerRoutes, 20, 20),
        (Wire::PeerRoutes, 1, 20),
        (Wire::Announce, 20, 60),
    ] {
        let mut bench = Bench::with(&[&["http://a/announce"], &["udp://b:1"]], |setup| setup.wire = wire);
        let calls = bench.poll();
        assert!(calls.len() == 2 && calls.iter().all(|call| call.wire == wire));
        bench.peers = 50;
        for call in calls {
            bench.announcer.answered(bench.now, call.id, Ok(served(interval_s)));
        }
        assert_eq!(bench.wait(), wait * SECOND, "{wire:?} {interval_s}");
    }
}

#[test]
fn a_changed_address_is_told_once_and_not_before_the_tracker_wants_it() {
    let mut bench = Bench::new(&[&["http://a/"], &["http://b/"]]);
    bench.peers = 50;
    let calls = bench.poll();
    bench.serve(calls[0].id);
    let later = Answer { min_interval_s: Some(60), ..served(1800) };
    bench.announcer.answered(bench.now, calls[1].id, Ok(later));
    bench.now += 10 * SECOND;
    assert_eq!(bench.poll(), []);
    bench.announcer.renew();
    let told = bench.one();
    assert_eq!((told.url.as_str(), told.request.event), ("http://a/", Event::None));
    bench.serve(told.id);
    assert_eq!(bench.wait(), 50 * SECOND);
    let told = bench.one();
    assert_eq!(told.url, "http://b/");
    bench.serve(told.id);
    assert_eq!(bench.wait(), 29 * MINUTE + 10 * SECOND, "the usual interval of the first");
}
