//! Accounts on disk: cuts, seals, what the hub answers (accounts, sections 3, 4 and 7). The hub's thread is this test.

use super::support::*;
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;
use weightless::base::limits::{BATCH_ITEM_BYTES_MAX, BATCHES_A_TICK, USAGE_CUT_SESSIONS};
use weightless::base::{PeerId, SwarmKey};
use weightless::mailbox::{
    Base, Cut, CutRow, FromHub, FromStore, HubVerdict, StoredSession, ToHub, ToWriter, UsageBatch,
};

fn row(user: &str, session: u8, uploaded: u64, last: u64) -> CutRow {
    let base = Some(Base { uploaded: last, downloaded: 0, seen: 7 });
    let (entry, peer_id) = (SwarmKey([session; 20]), PeerId([session; 20]));
    CutRow { place: u32::from(session), user: user.into(), entry, peer_id, uploaded, downloaded: 0, base }
}

fn cut(rows: Vec<CutRow>) -> Cut {
    Cut { rows, ..Cut::default() }
}

impl Desk {
    /// A flush with a cut; what came back of it.
    fn flush(&mut self, cut: Cut) -> (u32, Vec<Cut>) {
        self.store.to_writer.send(ToWriter::Usage(cut)).expect("the writer lives");
        self.tick()
    }

    fn tick(&mut self) -> (u32, Vec<Cut>) {
        self.store.to_writer.send(ToWriter::Flush).expect("the writer lives");
        self.flushed()
    }

    fn flushed(&mut self) -> (u32, Vec<Cut>) {
        loop {
            if let FromStore::Flushed { cuts, lost, .. } = self.next_mail() {
                return (cuts, lost);
            }
        }
    }

    fn say(&self, mail: FromHub) {
        self.store.to_writer.send(ToWriter::Hub(mail)).expect("the writer lives");
    }

    fn answer(&self, batch: &UsageBatch, verdict: HubVerdict, status: u16) {
        self.say(FromHub::Answered { sync_id: batch.sync_id.clone(), verdict, status, at: 1_000 });
    }

    /// The batch that the hub's thread is given next.
    fn batch(&self) -> UsageBatch {
        match self.store.hub_mail.recv_timeout(Duration::from_secs(20)).expect("a batch") {
            ToHub::Batch(batch) => batch,
            ToHub::Last => panic!("no batch"),
        }
    }

    /// Nothing is given to it: the writer has answered a later message without.
    fn no_batch(&mut self) {
        // Twice, because the hub is served after whoever asks in the same breath.
        (0..2).for_each(|_| drop(self.verify(&short(1), true)));
        assert!(self.store.hub_mail.try_recv().is_err());
    }
}

fn numbers(path: &Path, sql: &str) -> Vec<i64> {
    let db = Connection::open(path).expect("opens");
    let mut statement = db.prepare(sql).expect("SQL");
    statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("numbers")
}

#[test]
fn a_cut_is_pool_and_bases_in_one_commit() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    assert_eq!(
        desk.flush(cut(vec![row("b", 1, 10, 10), row("a", 2, 0, 5), row("b", 3, 5, 50)])),
        (1, vec![])
    );
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_backlog"), [15], "nobody with nothing");
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_base ORDER BY entry"), [10, 5, 50]);
    let gone = CutRow { base: None, ..row("b", 1, 7, 0) };
    assert_eq!(desk.flush(cut(vec![gone])), (1, vec![]));
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_backlog"), [22]);
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_base ORDER BY entry"), [5, 50]);

    // A lock: neither of both, and the cut comes back.
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let lost = cut(vec![row("b", 3, 1, 51)]);
    assert_eq!(desk.flush(lost.clone()), (1, vec![lost.clone()]));
    other.execute_batch("ROLLBACK").expect("unlocks");
    // What follows it without knowing of it must not be stored either; what knows of it may.
    let follower = Cut { follows_unanswered: true, ..cut(vec![row("b", 3, 1, 52)]) };
    assert_eq!(desk.flush(follower.clone()), (1, vec![follower]));
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_base ORDER BY entry"), [5, 50]);
    assert_eq!(desk.flushed(), (0, vec![]), "of the rest of that flush");
    assert_eq!(desk.flush(cut(vec![row("b", 3, 2, 52)])), (1, vec![]));
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_backlog"), [24]);

    let end = Cut { forget_bases: true, ..Cut::default() };
    assert_eq!(desk.flush(end), (1, vec![]));
    desk.close();
    assert!(Desk::file(&path).loaded.sessions.is_empty());
}

#[test]
fn what_is_stored_is_loaded() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.flush(cut(vec![row("u", 4, 10, 90)]));
    desk.close();
    let desk = Desk::file(&path);
    let [session] = &desk.loaded.sessions[..] else { panic!("one session") };
    assert_eq!(
        (session.user.as_str(), session.entry, session.peer_id),
        ("u", SwarmKey([4; 20]), PeerId([4; 20]))
    );
    assert_eq!(session.base, Base { uploaded: 90, downloaded: 0, seen: 7 });
    assert_eq!(desk.loaded.usage.backlog, [10, 0]);
}

/// Version 1 found sessions by their names.
#[test]
fn sessions_of_version_1_get_numbers() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.flush(cut(vec![row("kept", 9, 10, 90)]));
    desk.close();
    let db = Connection::open(&path).expect("opens");
    db.execute_batch(
        "DROP TABLE usage_base;
         CREATE TABLE usage_base (user_id TEXT, entry BLOB, peer_id BLOB, uploaded INTEGER, downloaded INTEGER,
             seen INTEGER, PRIMARY KEY (user_id, entry, peer_id)) WITHOUT ROWID;
         UPDATE meta SET value = 1 WHERE key = 'schema_version'",
    )
    .expect("as version 1 had it");
    let mut put = db.prepare("INSERT INTO usage_base VALUES (?1, ?2, ?2, ?3, 5, 7)").expect("SQL");
    for (user, id, uploaded) in [("b", 1_u8, 10), ("a", 2, 20), ("b", 3, 30)] {
        put.execute(rusqlite::params![user, [id; 20], uploaded]).expect("written");
    }
    drop(put);
    drop(db);
    let loaded = |path| {
        let desk = Desk::file(path);
        let told =
            |stored: &StoredSession| (stored.place, stored.user.clone(), stored.peer_id.0[0], stored.base);
        let sessions = desk.loaded.sessions.iter().map(told).collect::<Vec<_>>();
        desk.close();
        sessions
    };
    let base = |uploaded| Base { uploaded, downloaded: 5, seen: 7 };
    let numbered = [(0, "a", 2, base(20)), (1, "b", 1, base(10)), (2, "b", 3, base(30))];
    let numbered = numbered.map(|(place, user, id, base)| (place, user.to_owned(), id, base));
    assert_eq!(loaded(&path), numbered);
    assert_eq!(loaded(&path), numbered, "once");
    assert_eq!(numbers(&path, "SELECT value FROM meta WHERE key = 'schema_version'"), [2]);
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_backlog"), [10], "the rest stays");
    let mut desk = Desk::file(&path);
    desk.flush(cut(vec![row("b", 1, 1, 11)]));
    desk.close();
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_base ORDER BY place"), [20, 11, 30]);
}

/// The highest number decides how much memory sessions take.
#[test]
fn numbers_out_of_proportion_are_given_anew() {
    let (_directory, path) = place();
    Desk::file(&path).close();
    let most = 2 * 2 + USAGE_CUT_SESSIONS as i64;
    for (highest, places) in [(most, [3, most]), (most + 1, [0, 1]), (-1, [0, 1]), (i64::MAX, [0, 1])] {
        let db = Connection::open(&path).expect("opens");
        db.execute("DELETE FROM usage_base", []).expect("emptied");
        let mut put = db.prepare("INSERT INTO usage_base VALUES (?1, 'u', ?2, ?2, 1, 1, 1)").expect("SQL");
        put.execute(rusqlite::params![3, [1_u8; 20]]).expect("written");
        put.execute(rusqlite::params![highest, [2_u8; 20]]).expect("written");
        drop(put);
        drop(db);
        let desk = Desk::file(&path);
        let found: Vec<_> = desk.loaded.sessions.iter().map(|session| i64::from(session.place)).collect();
        assert_eq!(found, places, "{highest}");
        desk.close();
    }
}

#[test]
fn sums_that_do_not_fit_stay_at_the_largest() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let most = i64::MAX as u64;
    desk.flush(cut(vec![row("u", 1, most, most), row("u", 2, most, most)]));
    desk.flush(cut(vec![row("u", 1, 5, most)]));
    assert_eq!(numbers(&path, "SELECT uploaded FROM usage_backlog"), [i64::MAX]);
    // A hub that counts in JavaScript gets it in pieces.
    desk.say(FromHub::On(true));
    let first = desk.batch();
    assert_eq!(first.items[0].uploaded, BATCH_ITEM_BYTES_MAX);
    desk.answer(&first, HubVerdict::Applied, 200);
    let second = desk.batch();
    assert_eq!(second.items[0].uploaded, BATCH_ITEM_BYTES_MAX);
    assert_ne!(first.sync_id, second.sync_id);
    let left = numbers(&path, "SELECT uploaded FROM usage_backlog");
    assert_eq!(left, [i64::MAX - 2 * BATCH_ITEM_BYTES_MAX as i64]);
}

#[test]
fn batches_hold_a_thousand_users_oldest_first_and_come_one_at_a_time() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.flush(cut((0..2_500).map(|n| row(&format!("user-{n:04}"), 1, 1 + n, 1 + n)).collect()));
    let db = Connection::open(&path).expect("opens");
    // The last users have waited longest.
    db.execute("UPDATE usage_backlog SET created_at = 5 WHERE user_id >= 'user-2000'", []).expect("written");
    desk.no_batch();
    desk.say(FromHub::On(true));
    let first = desk.batch();
    let users: Vec<_> = first.items.iter().map(|item| item.user.as_str()).collect();
    assert_eq!((users.len(), users[0], users[500]), (1000, "user-0000", "user-2000"));
    assert!(users.is_sorted());
    assert_eq!(desk.tick(), (0, vec![]));
    desk.no_batch();
    assert_eq!(numbers(&path, "SELECT count(*) FROM usage_batch"), [1]);
    let mut sum: u64 = first.items.iter().map(|item| item.uploaded).sum();
    desk.answer(&first, HubVerdict::Applied, 200);
    for _ in 0..2 {
        let next = desk.batch();
        sum += next.items.iter().map(|item| item.uploaded).sum::<u64>();
        desk.answer(&next, HubVerdict::Applied, 200);
    }
    desk.no_batch();
    assert_eq!(sum, (1..=2_500).sum::<u64>());
    assert_eq!(
        numbers(
            &path,
            "SELECT (SELECT count(*) FROM usage_batch_item) + (SELECT count(*) FROM usage_backlog)"
        ),
        [0]
    );
}

#[test]
fn a_tick_sends_so_many_batches_and_no_more() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let most = i64::MAX as u64;
    desk.say(FromHub::On(true));
    desk.flush(cut(vec![row("u", 1, most, most)]));
    for _ in 0..BATCHES_A_TICK {
        let batch = desk.batch();
        desk.answer(&batch, HubVerdict::Applied, 200);
    }
    desk.no_batch();
    desk.tick();
    desk.batch();
}

/// A crash with a sealed batch: the same bytes under the same id (I3), before anything else (I5).
#[test]
fn a_sealed_batch_survives_and_never_changes() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.say(FromHub::On(true));
    desk.flush(cut(vec![row("b", 1, 1, 1), row("a", 1, 2, 2)]));
    let batch = desk.batch();
    desk.answer(&batch, HubVerdict::Retry, 503);
    desk.flush(cut(vec![row("a", 1, 40, 42)]));
    desk.no_batch();
    desk.close();
    let db = Connection::open(&path).expect("opens");
    let (attempts, status): (i64, i64) = db
        .query_row("SELECT attempts, last_status FROM usage_batch", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a batch");
    assert_eq!((attempts, status), (1, 503));
    let desk = Desk::file(&path);
    assert_eq!((desk.loaded.usage.backlog, desk.loaded.usage.batched), ([40, 0], [3, 0]));
    desk.say(FromHub::On(true));
    assert_eq!(desk.batch(), batch);
    // An answer to something else changes nothing.
    desk.say(FromHub::Answered { sync_id: "x".into(), verdict: HubVerdict::Retry, status: 0, at: 1 });
    desk.answer(&batch, HubVerdict::Applied, 200);
    let next = desk.batch();
    assert_eq!((next.items.len(), next.items[0].uploaded), (1, 40));
    assert_ne!(next.sync_id, batch.sync_id);
}

#[test]
fn rejected_batches_step_aside_and_come_back_one_by_one() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.say(FromHub::On(true));
    let mut rejected = Vec::new();
    for n in 1..=2 {
        desk.flush(cut(vec![row("u", 1, n, n)]));
        let batch = desk.batch();
        desk.answer(&batch, HubVerdict::Rejected, 422);
        rejected.push(UsageBatch { is_rejected: true, ..batch });
    }
    desk.no_batch();
    desk.say(FromHub::TryRejected);
    let (one, other) = (desk.batch(), {
        desk.answer(&rejected[0].clone(), HubVerdict::Rejected, 422);
        desk.batch()
    });
    let mut tried = vec![one, other.clone()];
    tried.sort_by(|a, b| a.sync_id.cmp(&b.sync_id));
    rejected.sort_by(|a, b| a.sync_id.cmp(&b.sync_id));
    assert_eq!(tried, rejected, "each once");
    desk.answer(&other, HubVerdict::Retry, 500);
    desk.no_batch();
    // At the next start they are tried too, after what is new.
    desk.close();
    let mut desk = Desk::file(&path);
    assert_eq!(desk.loaded.usage.rejected, 2);
    desk.flush(cut(vec![row("u", 1, 9, 12)]));
    desk.say(FromHub::On(true));
    let new = desk.batch();
    assert!(!new.is_rejected && new.items[0].uploaded == 9);
    desk.answer(&new, HubVerdict::Applied, 200);
    for _ in 0..2 {
        let batch = desk.batch();
        assert!(batch.is_rejected);
        desk.answer(&batch, HubVerdict::Applied, 200);
    }
    desk.no_batch();
    assert_eq!(numbers(&path, "SELECT count(*) FROM usage_batch"), [0]);
}

/// The answer cannot be written down: nothing else is sent, and the answer is not forgotten.
#[test]
fn a_lock_while_the_hub_answers_loses_neither_answer_nor_batch() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.say(FromHub::On(true));
    desk.flush(cut(vec![row("u", 1, 9, 9)]));
    let batch = desk.batch();
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    desk.answer(&batch, HubVerdict::Applied, 200);
    loop {
        if desk.next_mail() == (FromStore::Health { writable: false }) {
            break;
        }
    }
    other.execute_batch("ROLLBACK").expect("unlocks");
    // Without any mail: the writer looks whether writing works again.
    loop {
        if let FromStore::Usage(report) = desk.next_mail()
            && report.batched == [0; 2]
        {
            break;
        }
    }
    assert_eq!(numbers(&path, "SELECT count(*) FROM usage_batch"), [0]);
    desk.no_batch();
}

/// Rows that the Go tracker has left, or leaves after a way back: several for a user, times as text, zeros.
#[test]
fn rows_of_the_go_tracker_are_sent_with_the_others() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.flush(cut(vec![row("b", 1, 5, 5)]));
    desk.close();
    let db = Connection::open(&path).expect("opens");
    db.execute_batch(
        "INSERT INTO usage_backlog VALUES ('a', 1, 2, '2025-01-31 23:59:59'), ('a', 10, 20, '2025-02-01 00:00:00'),
                                          ('zero', 0, 0, 5), (NULL, 7, 7, 5), ('b', 100, NULL, 6)",
    )
    .expect("rows");
    let desk = Desk::file(&path);
    desk.say(FromHub::On(true));
    let items = desk.batch().items;
    let items: Vec<_> =
        items.iter().map(|item| (item.user.as_str(), item.uploaded, item.downloaded)).collect();
    assert_eq!(items, [("a", 11, 22), ("b", 105, 0)]);
}
