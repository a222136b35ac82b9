//! Counting, at its bounds and over time. Its rules are tested where users meet them, against a real hub; the
//! simulation compares every cut with a naive model.

use crate::desk::*;
use weightless::base::limits::{USAGE_CUT_SESSIONS, USER_SESSIONS_MAX};
use weightless::base::{InfoHashes, UserId};
use weightless::tracker::upkeep::FlushStep;
use weightless::tracker::usage::{Base, Cut, StoredSession};
use weightless::tracker::{Access, Policy};
use weightless::wire::announce::{AnnounceRequest, Event};

fn accounting() -> Desk {
    accounting_for(0)
}

fn accounting_for(total_peers_max: u64) -> Desk {
    let mut desk = Desk::with(Policy { total_peers_max, ..policy(Access::Open) });
    let now = desk.now();
    desk.tracker.set_accounting(now, true, &[]);
    desk
}

impl Desk {
    fn counts(&mut self, user: &str, request: AnnounceRequest) {
        let (now, user) = (self.now(), UserId::new(user.as_bytes()).expect("a user id"));
        self.tracker.account(now, &user, v4(1), &request);
    }

    /// All cuts of a last flush.
    fn cuts(&mut self) -> Vec<Cut> {
        let now = self.now();
        let steps = self.tracker.flush_all(now).into_iter();
        steps.filter_map(|step| if let FlushStep::Usage(cut) = step { Some(cut) } else { None }).collect()
    }

    /// The cut of a regular flush, if it has one.
    fn flush(&mut self) -> Option<Cut> {
        let mut found = None;
        self.sleep_s(10);
        loop {
            let now = self.now();
            match self.tracker.flush(now)? {
                FlushStep::Done => return found,
                FlushStep::Usage(cut) => found = Some(cut),
                _ => {}
            }
            self.mono_ms += 2;
        }
    }
}

fn up(id: u8, uploaded: u64) -> AnnounceRequest {
    AnnounceRequest { uploaded, ..leech(key(1), id) }
}

fn bytes(cut: &Cut) -> Vec<(u64, u64, bool)> {
    cut.rows.iter().map(|row| (row.uploaded, row.downloaded, row.base.is_some())).collect()
}

#[test]
fn a_session_lives_as_long_as_a_client() {
    let mut desk = accounting();
    desk.counts("u", up(1, 100));
    desk.sleep_s(3600);
    desk.counts("u", up(1, 150));
    desk.sleep_s(3601);
    desk.counts("u", up(1, 900));
    let cuts = desk.cuts();
    assert_eq!(bytes(&cuts[0]), [(50, 0, true)], "what was expired is not measured against");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    desk.sleep_s(3601);
    desk.minute();
    assert_eq!(bytes(&desk.cuts()[0]), [(0, 0, false)], "swept, and forgotten on disk too");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    assert_eq!(desk.tracker.usage_sessions().0, 0);
}

#[test]
fn a_stored_session_goes_on_as_if_no_time_had_passed() {
    let mut before = accounting();
    before.counts("u", up(1, 100));
    before.sleep_s(3000);
    before.counts("other", up(2, 0));
    let stored: Vec<_> = before.cuts()[0].rows.iter().map(stored).collect();
    // Down for a year, and the clock on the wall is wrong as well.
    let mut after = Desk::open();
    after.mono_ms = 5_000;
    let now = after.now();
    after.tracker.set_accounting(now, true, &stored);
    after.sleep_s(600);
    after.counts("u", up(1, 300));
    assert_eq!(bytes(&after.cuts()[0]), [(200, 0, true)]);
    let now = after.now();
    after.tracker.cuts_stored(now, 1);
    // Of the other one, 3 600 seconds of accounting have passed by then.
    after.sleep_s(3001);
    after.counts("other", up(2, 300));
    assert_eq!(bytes(&after.cuts()[0]), [(0, 0, true)]);
}

fn stored(row: &weightless::tracker::usage::CutRow) -> StoredSession {
    let base = row.base.expect("a base");
    StoredSession {
        place: row.place,
        user: row.user.to_string(),
        entry: row.entry,
        peer_id: row.peer_id,
        base,
    }
}

/// A crash between two cuts can leave a session under two numbers: it goes on from where it was last, and the next cut
/// forgets the other.
#[test]
fn of_a_session_stored_twice_the_later_one_counts() {
    let at = |place, seen, uploaded| StoredSession {
        place,
        ..stored_session(Base { uploaded, downloaded: 0, seen })
    };
    for (first, second, gone) in [((0, 70, 500), (9, 60, 100), 9), ((3, 60, 100), (7, 70, 500), 3)] {
        let stored = [first, second].map(|(place, seen, uploaded)| at(place, seen, uploaded));
        let mut desk = Desk::open();
        let now = desk.now();
        desk.tracker.set_accounting(now, true, &stored);
        desk.counts("u", up(1, 530));
        let mut rows = desk.cuts().remove(0).rows;
        rows.sort_by_key(|row| row.base.is_some());
        let told: Vec<_> = rows.iter().map(|row| (row.place, row.uploaded, row.base.is_some())).collect();
        assert_eq!(told, [(gone, 0, false), (if gone == 9 { 0 } else { 7 }, 30, true)]);
        let now = desk.now();
        desk.tracker.cuts_stored(now, 1);
        assert_eq!(desk.tracker.usage_sessions().0, 1);
    }
}

/// The number stays, so that there is no moment at which the disk has both names of a session, or none.
#[test]
fn a_session_keeps_its_number_when_its_torrent_becomes_a_hybrid() {
    let mut desk = accounting();
    let by = |hash, uploaded| AnnounceRequest { uploaded, ..leech(hash, 1) };
    desk.announce(v4(1), &leech(by_v1(), 1)).expect("open");
    desk.counts("u", by(by_v1(), 0));
    desk.counts("u", by(by_v1(), 40));
    let before = desk.flush().expect("a cut");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    desk.register(InfoHashes::Hybrid(V1, V2), None, 0);
    desk.counts("u", by(by_v2(), 60));
    let after = desk.flush().expect("a cut");
    assert_eq!(bytes(&after), [(20, 0, true)]);
    assert_eq!((after.rows[0].place, &after.rows[0].entry), (before.rows[0].place, &V2.key()));
    assert_eq!((before.rows[0].entry, desk.tracker.usage_sessions().0), (V1.key(), 1));
}

/// The client had been there by the v2 hash before, and had left: what it moved then is not lost either.
#[test]
fn a_session_that_is_over_gives_its_name_to_the_one_that_goes_on() {
    let mut desk = accounting();
    let by = |hash, uploaded| AnnounceRequest { uploaded, ..leech(hash, 1) };
    desk.register(InfoHashes::V2(V2), None, 0);
    desk.counts("u", by(by_v2(), 0));
    desk.counts("u", with(Event::Stopped, by(by_v2(), 7)));
    desk.counts("u", by(by_v1(), 40));
    desk.register(InfoHashes::Hybrid(V1, V2), Some(InfoHashes::V2(V2)), 0);
    desk.counts("u", by(by_v2(), 60));
    let cut = desk.flush().expect("a cut");
    assert_eq!(bytes(&cut), [(7, 0, false), (20, 0, true)]);
    assert_eq!(cut.rows[1].entry, V2.key());
    // The cut is lost, and the next says the same.
    let now = desk.now();
    desk.tracker.cut_failed(now, cut.clone());
    assert_eq!(desk.flush().expect("a cut").rows, cut.rows);
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    assert_eq!(desk.tracker.usage_sessions().0, 1);
    desk.counts("u", by(by_v2(), 65));
    assert_eq!(bytes(&desk.flush().expect("a cut")), [(5, 0, true)]);
}

/// Its place is another's only once the disk has forgotten it: what a lost cut said comes back to the right one.
#[test]
fn a_place_is_not_given_away_before_the_disk_has_forgotten_it() {
    let mut desk = accounting();
    desk.counts("u", up(1, 0));
    desk.counts("u", with(Event::Stopped, up(1, 7)));
    let lost = desk.flush().expect("a cut");
    desk.counts("other", up(2, 0));
    desk.counts("other", up(2, 9));
    // The first client comes back before that.
    desk.counts("u", up(1, 100));
    let now = desk.now();
    desk.tracker.cut_failed(now, lost);
    let cut = desk.flush().expect("a cut");
    let rows: Vec<_> =
        cut.rows.iter().map(|row| (row.place, &*row.user, row.uploaded, row.base.is_some())).collect();
    assert_eq!(rows, [(0, "u", 7, true), (1, "other", 9, true)]);
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    desk.counts("u", with(Event::Stopped, up(1, 100)));
    desk.flush().expect("a cut");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    desk.counts("third", up(3, 0));
    assert_eq!(desk.flush().expect("a cut").rows[0].place, 0, "free by now");
}

#[test]
fn a_cut_that_failed_is_part_of_the_next() {
    let mut desk = accounting();
    desk.counts("u", up(1, 0));
    desk.counts("u", up(1, 10));
    let lost = desk.flush().expect("a cut");
    desk.counts("u", up(1, 30));
    assert_eq!(desk.tracker.usage_pending(), [30, 0], "what is under way is not on disk");
    assert_eq!(desk.flush(), None, "one at a time");
    let now = desk.now();
    desk.tracker.cut_failed(now, lost);
    assert_eq!(desk.tracker.usage_pending(), [30, 0]);
    let cut = desk.flush().expect("a cut");
    assert_eq!((bytes(&cut), cut.follows_unanswered), (vec![(30, 0, true)], false));
    // The last cut does not wait, but says that it follows another one.
    desk.counts("u", up(1, 35));
    let last = desk.cuts();
    assert_eq!((bytes(&last[0]), last[0].follows_unanswered), (vec![(5, 0, true)], true));
}

#[test]
fn a_deleted_session_whose_cut_failed_is_deleted_by_the_next() {
    let mut desk = accounting();
    desk.counts("u", up(1, 0));
    desk.counts("u", with(Event::Stopped, up(1, 7)));
    let lost = desk.flush().expect("a cut");
    assert_eq!(bytes(&lost), [(7, 0, false)]);
    let now = desk.now();
    desk.tracker.cut_failed(now, lost.clone());
    assert_eq!(desk.flush().expect("a cut").rows, lost.rows);
    assert_eq!(desk.tracker.usage_sessions(), (1, 0), "its place is kept until the disk has forgotten it");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    assert_eq!(desk.tracker.usage_sessions(), (0, 0));
}

#[test]
fn counters_and_sums_end_at_63_bits() {
    let most = i64::MAX as u64;
    let mut desk = accounting();
    for uploaded in [0, most] {
        desk.counts("u", up(1, uploaded));
    }
    desk.counts("u", with(Event::Started, up(1, 0)));
    desk.counts("u", up(1, most));
    assert_eq!(bytes(&desk.cuts()[0]), [(most, 0, true)]);
}

#[test]
fn nobody_takes_the_room_of_others() {
    let mut desk = accounting();
    let session = |n: u32| AnnounceRequest { info_hash: key(n), ..leech(key(n), 1) };
    (0..USER_SESSIONS_MAX).for_each(|n| desk.counts("greedy", session(n)));
    assert_eq!(desk.tracker.usage_sessions(), (u64::from(USER_SESSIONS_MAX), 0));
    desk.counts("greedy", session(USER_SESSIONS_MAX));
    assert_eq!(desk.tracker.usage_sessions(), (u64::from(USER_SESSIONS_MAX), 1));
    desk.counts("other", session(0));
    assert_eq!(desk.tracker.usage_sessions(), (u64::from(USER_SESSIONS_MAX) + 1, 1));
    // One cut takes so many and leaves the rest to the next, which does not wait.
    let cut = desk.flush().expect("a cut");
    assert_eq!(cut.rows.len(), USAGE_CUT_SESSIONS);
    assert_eq!(&*desk.cuts()[0].rows[0].user, "other");
}

#[test]
fn all_sessions_together_are_bounded_like_clients() {
    let mut desk = accounting_for(3);
    (1..=4).for_each(|id| desk.counts(&format!("user-{id}"), up(id, 0)));
    assert_eq!(desk.tracker.usage_sessions(), (3, 1));
    desk.counts("user-1", with(Event::Stopped, up(1, 5)));
    let cut = desk.flush().expect("a cut");
    assert_eq!(cut.rows.len(), 3);
    desk.counts("user-4", up(4, 0));
    assert_eq!(desk.tracker.usage_sessions(), (3, 2), "the disk has not forgotten anybody yet");
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    desk.counts("user-4", up(4, 0));
    assert_eq!(desk.tracker.usage_sessions(), (3, 2), "a place was free");
}

#[test]
fn without_passkeys_nothing_is_measured_and_what_was_is_forgotten() {
    let mut desk = accounting();
    desk.counts("u", up(1, 0));
    desk.counts("u", up(1, 10));
    let now = desk.now();
    desk.tracker.set_accounting(now, false, &[]);
    desk.counts("u", up(1, 500));
    let cut = desk.flush().expect("a cut");
    assert!(cut.forget_bases);
    assert_eq!(bytes(&cut), [(10, 0, false)]);
    let now = desk.now();
    desk.tracker.cuts_stored(now, 1);
    assert_eq!(desk.flush(), None);

    // The same for what an earlier run has left.
    let base = Base { uploaded: 1, downloaded: 1, seen: 1 };
    let left = stored_session(base);
    let now = desk.now();
    desk.tracker.set_accounting(now, false, &[left]);
    let cut = desk.flush().expect("a cut");
    assert!(cut.forget_bases && cut.rows.is_empty());
}

fn stored_session(base: Base) -> StoredSession {
    let (entry, peer_id) = (key(1).key(), leech(key(1), 1).peer_id);
    StoredSession { place: 0, user: "u".to_owned(), entry, peer_id, base }
}
