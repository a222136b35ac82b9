//! The crash table of section 5: the daemon is killed at each point, and started again.

use super::*;
use crate::support::hub::Fate;
use std::path::PathBuf;

/// A lock as another program would hold it: whoever writes waits.
struct Lock(Connection);

impl Lock {
    fn take(home: &Path) -> Self {
        let db = Connection::open(home.join("weightless.db")).expect("the tracker's database");
        db.busy_timeout(crate::support::PATIENCE).expect("a time limit");
        db.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        Self(db)
    }
}

struct Place {
    _folder: tempfile::TempDir,
    home: PathBuf,
    hub: Hub,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, hub) = (folder.path().to_owned(), Hub::start(folder.path(), KEY));
    Place { _folder: folder, home, hub }
}

/// A user with 100 bytes at the hub, and a session that goes on.
fn begin(place: &Place) -> Daemon {
    let tracker = tracker(&place.home, &place.hub, &[]);
    let client = Client::of(&tracker, "u");
    [0, 100].into_iter().for_each(|up| client.reports(up, 0, ""));
    wait_sent(&tracker);
    assert_eq!(place.hub.total("u"), (100, 0));
    tracker
}

/// The session goes on at the next daemon, and the hub's total is what was reported last.
fn goes_on(place: &Place, up: u64) {
    let tracker = tracker(&place.home, &place.hub, &[]);
    Client::of(&tracker, "u").reports(up, 0, "");
    wait_sent(&tracker);
    assert_eq!(place.hub.total("u"), (up, 0));
    assert_eq!(number(&place.home, "SELECT count(*) FROM usage_batch_item"), 0);
    assert_eq!(tracker.terminate().code(), Some(0));
    assert_eq!(place.hub.total("u"), (up, 0), "not twice either");
}

#[test]
fn after_announces_and_before_the_cut_commits() {
    let place = place();
    let tracker = begin(&place);
    let lock = Lock::take(&place.home);
    Client::of(&tracker, "u").reports(700, 0, "");
    tracker.kill();
    drop(lock);
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_base"), 100, "the cut before");
    goes_on(&place, 1_000);
}

/// The commit waits for a lock when the kill comes: the state is the one before.
#[test]
fn during_a_commit() {
    let place = place();
    let tracker = begin(&place);
    let lock = Lock::take(&place.home);
    Client::of(&tracker, "u").reports(700, 0, "");
    // The cut is on its way to the disk: it has begun to wait, and is still counted as not stored.
    until("a commit that waits", || {
        let age = http::get(tracker.http(Ipv4Addr::LOCALHOST), "/metrics").text();
        let age = age.lines().find_map(|line| line.strip_prefix("tracker_snapshot_age_seconds "));
        (age.and_then(|age| age.parse::<u64>().ok()) >= Some(2)).then_some(())
    });
    assert_eq!(pending(&tracker, "ram"), (600, 0));
    tracker.kill();
    drop(lock);
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_base"), 100);
    goes_on(&place, 1_000);
}

#[test]
fn after_the_cut_and_before_the_seal() {
    let place = place();
    begin(&place).kill();
    // Without a hub nothing is sealed.
    let tracker = Daemon::start(&place.home, &without_hub(&[]));
    Client::of(&tracker, "u").reports(700, 0, "");
    wait_cut(&tracker);
    tracker.kill();
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_backlog"), 600);
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_base"), 700, "of the same cut");
    goes_on(&place, 1_000);
}

/// `fate` is the point: what happens to the request that is under way when the kill comes.
fn killed_while_sending(fate: Fate, applied: u64) {
    let place = place();
    let tracker = begin(&place);
    place.hub.next([fate]);
    let before = place.hub.seen().len();
    Client::of(&tracker, "u").reports(700, 0, "");
    place.hub.wait_seen(before + 1);
    until("the hub's part", || (place.hub.total("u") == (applied, 0)).then_some(()));
    tracker.kill();
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_batch_item"), 600);
    goes_on(&place, 1_000);
    let ids = place.hub.ids();
    assert_eq!(ids[before], ids[before + 1], "the same batch under the same id");
    assert_eq!(place.hub.seen()[before], place.hub.seen()[before + 1]);
}

#[test]
fn after_the_seal_while_sending() {
    killed_while_sending(Fate::Swallow, 100);
}

#[test]
fn after_the_seal_while_the_hub_is_down() {
    killed_while_sending(Fate::Status(500), 100);
}

#[test]
fn the_hub_has_applied_and_the_answer_is_lost() {
    killed_while_sending(Fate::LoseAnswer, 700);
}

/// The answer has come, but the batch cannot be deleted before the kill.
#[test]
fn the_answer_has_come_and_the_batch_is_not_deleted() {
    let place = place();
    let tracker = begin(&place);
    place.hub.next([Fate::HoldAnswer]);
    let before = place.hub.seen().len();
    Client::of(&tracker, "u").reports(700, 0, "");
    place.hub.wait_seen(before + 1);
    until("the hub to apply", || (place.hub.total("u") == (700, 0)).then_some(()));
    let lock = Lock::take(&place.home);
    place.hub.release();
    // The store waits for the lock while announces go on; then the daemon is gone.
    for up in 701..720 {
        Client::of(&tracker, "u").reports(up, 0, "");
    }
    tracker.kill();
    drop(lock);
    assert_eq!(number(&place.home, "SELECT uploaded FROM usage_batch_item"), 600, "still there");
    goes_on(&place, 1_000);
    let ids = place.hub.ids();
    assert_eq!(ids[before], ids[before + 1]);
}

#[test]
fn after_the_delete() {
    let place = place();
    begin(&place).kill();
    let seen = place.hub.seen().len();
    goes_on(&place, 1_000);
    let ids = place.hub.ids();
    assert!(ids[seen..].iter().all(|id| !ids[..seen].contains(id)), "done is done: {ids:?}");
}

/// What the table says is lost: the last report of a session that never comes back. And no more than that.
#[test]
fn the_last_words_of_a_session_that_ends_before_the_cut_are_lost() {
    let place = place();
    let tracker = begin(&place);
    let lock = Lock::take(&place.home);
    Client::of(&tracker, "u").reports(700, 0, "stopped");
    tracker.kill();
    drop(lock);
    let tracker = super::tracker(&place.home, &place.hub, &[]);
    let other = Client { peer_id: *b"-TS0001-accounted-09", ..Client::of(&tracker, "u") };
    [0, 50].into_iter().for_each(|up| other.reports(up, 0, ""));
    wait_sent(&tracker);
    assert_eq!(place.hub.total("u"), (150, 0));
}

/// Time while the tracker is down does not count: a session that outlives an outage is credited in full.
#[test]
fn an_outage_longer_than_a_session_lives_costs_nothing() {
    let place = place();
    let short = [("PEER_TTL", "61"), ("ANNOUNCE_INTERVAL", "60")];
    let tracker = tracker(&place.home, &place.hub, &short);
    let client = Client::of(&tracker, "u");
    [0, 100].into_iter().for_each(|up| client.reports(up, 0, ""));
    wait_sent(&tracker);
    assert_eq!(tracker.terminate().code(), Some(0));
    // As if the last announce had been long ago, by any clock on the wall.
    let db = Connection::open(place.home.join("weightless.db")).expect("the tracker's database");
    db.execute("UPDATE usage_base SET seen = seen - 1000000", []).expect("written");
    drop(db);
    let tracker = super::tracker(&place.home, &place.hub, &short);
    Client::of(&tracker, "u").reports(5_000, 0, "");
    wait_sent(&tracker);
    assert_eq!(place.hub.total("u"), (5_000, 0));
    let _ = &tracker;
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}
