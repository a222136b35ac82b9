//! Accounts on disk (accounts, sections 3 and 4): the pool, batches for the hub, and what sessions are measured
//! against. Every function is a part of one transaction of the writer.

use super::columns::{natural, text};
use super::schema::TimeForm;
use crate::base::limits::{BATCH_ITEM_BYTES_MAX, BATCH_USERS_MAX};
use crate::base::{PeerId, SwarmKey, UnixSeconds};
use crate::mailbox::{Base, Cut, StoredSession, UsageBatch, UsageItem, UsageReport};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// Adds a cut: bytes to the pool, bases beside them. Both or neither, by the transaction it is part of.
pub(super) fn add_cut(
    db: &Connection,
    cut: &Cut,
    at: UnixSeconds,
    form: TimeForm,
) -> rusqlite::Result<[u64; 2]> {
    if cut.forget_bases {
        db.execute("DELETE FROM usage_base", [])?;
    }
    let mut keep =
        db.prepare_cached("INSERT OR REPLACE INTO usage_base VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let mut drop = db.prepare_cached("DELETE FROM usage_base WHERE place = ?1")?;
    let mut sums = HashMap::<&str, [u64; 2]>::new();
    // They come in the order of the table, so that neighbours are written together.
    for row in &cut.rows {
        match row.base {
            Some(Base { uploaded, downloaded, seen }) => keep.execute(params![
                row.place,
                &*row.user,
                &row.entry.0[..],
                &row.peer_id.0[..],
                signed(uploaded),
                signed(downloaded),
                signed(seen)
            ])?,
            None => drop.execute([row.place])?,
        };
        if (row.uploaded, row.downloaded) != (0, 0) {
            let sum = sums.entry(&row.user).or_default();
            *sum = [sum[0].saturating_add(row.uploaded), sum[1].saturating_add(row.downloaded)];
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable();
    let mut added = [0_u64; 2];
    for (user, sum) in sums {
        let sum = sum.map(|bytes| bytes.min(BYTES_MAX));
        add_to_pool(db, user, sum, at, form)?;
        added = [added[0].saturating_add(sum[0]), added[1].saturating_add(sum[1])];
    }
    Ok(added)
}

/// One row for each user is ours to keep; another program may have added more of them.
fn add_to_pool(
    db: &Connection,
    user: &str,
    [uploaded, downloaded]: [u64; 2],
    at: UnixSeconds,
    form: TimeForm,
) -> rusqlite::Result<()> {
    let mut add = db.prepare_cached(ADD_TO_POOL)?;
    if add.execute(params![user, signed(uploaded), signed(downloaded)])? == 0 {
        let time = form.sql("?4");
        let mut new = db.prepare_cached(&format!(
            "INSERT INTO usage_backlog (user_id, uploaded, downloaded, created_at) VALUES (?1, ?2, ?3, {time})"
        ))?;
        new.execute(params![user, signed(uploaded), signed(downloaded), at.cast_signed()])?;
    }
    Ok(())
}

/// Moves the users that have waited longest from the pool into a new batch. `None`: nobody has anything.
pub(super) fn seal(db: &Connection, sync_id: &str, at: UnixSeconds) -> rusqlite::Result<Option<UsageBatch>> {
    let oldest: Vec<String> = db
        .prepare_cached(
            "SELECT user_id FROM usage_backlog
             WHERE typeof(user_id) = 'text' AND (uploaded > 0 OR downloaded > 0)
             GROUP BY user_id
             ORDER BY min(CASE typeof(created_at) WHEN 'integer' THEN created_at
                                                  ELSE ifnull(unixepoch(created_at), 0) END), user_id
             LIMIT ?1",
        )?
        .query_map([BATCH_USERS_MAX as i64], |row| text(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    if oldest.is_empty() {
        return Ok(None);
    }
    db.execute(
        "INSERT INTO usage_batch (sync_id, created_at, state, attempts) VALUES (?1, ?2, 'sealed', 0)",
        params![sync_id, at.cast_signed()],
    )?;
    let mut items = Vec::with_capacity(oldest.len());
    for user in oldest {
        items.push(take_out(db, sync_id, user)?);
    }
    items.sort_unstable_by(|a, b| a.user.cmp(&b.user));
    Ok(Some(UsageBatch { sync_id: sync_id.to_owned(), items, is_rejected: false }))
}

/// Moves what fits into a batch of one user's bytes.
fn take_out(db: &Connection, sync_id: &str, user: String) -> rusqlite::Result<UsageItem> {
    let mut rows =
        db.prepare_cached("SELECT rowid, uploaded, downloaded FROM usage_backlog WHERE user_id = ?1")?;
    let found: Vec<(i64, u64, u64)> = rows
        .query_map([&user], |row| Ok((row.get(0)?, natural(row, 1)?, natural(row, 2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut item = UsageItem { user, uploaded: 0, downloaded: 0 };
    for (row, uploaded, downloaded) in found {
        let up = uploaded.min(BATCH_ITEM_BYTES_MAX - item.uploaded);
        let down = downloaded.min(BATCH_ITEM_BYTES_MAX - item.downloaded);
        item.uploaded += up;
        item.downloaded += down;
        if (up, down) == (uploaded, downloaded) {
            db.prepare_cached("DELETE FROM usage_backlog WHERE rowid = ?1")?.execute([row])?;
        } else {
            db.prepare_cached("UPDATE usage_backlog SET uploaded = ?2, downloaded = ?3 WHERE rowid = ?1")?
                .execute(params![row, signed(uploaded - up), signed(downloaded - down)])?;
        }
    }
    db.prepare_cached(
        "INSERT INTO usage_batch_item (sync_id, user_id, uploaded, downloaded) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![sync_id, item.user, signed(item.uploaded), signed(item.downloaded)])?;
    Ok(item)
}

/// The batch that is sealed and not rejected, if there is one.
pub(super) fn sealed(db: &Connection) -> rusqlite::Result<Option<UsageBatch>> {
    let sql = "SELECT sync_id FROM usage_batch WHERE ifnull(state, '') <> 'rejected' ORDER BY created_at, sync_id LIMIT 1";
    let id: Option<String> = db.prepare_cached(sql)?.query_row([], |row| text(row, 0)).optional()?;
    id.map(|id| batch(db, id, false)).transpose()
}

/// A rejected batch, if it is still there.
pub(super) fn rejected(db: &Connection, sync_id: &str) -> rusqlite::Result<Option<UsageBatch>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM usage_batch WHERE sync_id = ?1 AND state = 'rejected')";
    let is_there: bool = db.prepare_cached(sql)?.query_row([sync_id], |row| row.get(0))?;
    is_there.then(|| batch(db, sync_id.to_owned(), true)).transpose()
}

/// The ids of all rejected batches, oldest first.
pub(super) fn all_rejected(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(
        "SELECT sync_id FROM usage_batch WHERE state = 'rejected' ORDER BY created_at, sync_id",
    )?
    .query_map([], |row| text(row, 0))?
    .collect()
}

fn batch(db: &Connection, sync_id: String, is_rejected: bool) -> rusqlite::Result<UsageBatch> {
    let items = db
        .prepare_cached(
            "SELECT user_id, uploaded, downloaded FROM usage_batch_item WHERE sync_id = ?1 ORDER BY user_id",
        )?
        .query_map([&sync_id], |row| {
            Ok(UsageItem { user: text(row, 0)?, uploaded: natural(row, 1)?, downloaded: natural(row, 2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(UsageBatch { sync_id, items, is_rejected })
}

/// The hub has applied a batch: it is done with. Returns the bytes that were in it.
pub(super) fn delete(db: &Connection, sync_id: &str) -> rusqlite::Result<[u64; 2]> {
    let items = batch(db, sync_id.to_owned(), false)?.items;
    let bytes = items.iter().fold([0_u64; 2], |[up, down], item| {
        [up.saturating_add(item.uploaded), down.saturating_add(item.downloaded)]
    });
    db.prepare_cached("DELETE FROM usage_batch_item WHERE sync_id = ?1")?.execute([sync_id])?;
    db.prepare_cached("DELETE FROM usage_batch WHERE sync_id = ?1")?.execute([sync_id])?;
    Ok(bytes)
}

/// An attempt that did not end a batch. `rejected`: it steps aside for the others.
pub(super) fn note_attempt(
    db: &Connection,
    sync_id: &str,
    status: u16,
    at: UnixSeconds,
    is_rejected: bool,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE usage_batch SET attempts = ifnull(attempts, 0) + 1, last_status = ?2, last_attempt_at = ?3,
                                state = CASE WHEN ?4 THEN 'rejected' ELSE state END
         WHERE sync_id = ?1",
    )?
    .execute(params![sync_id, status, at.cast_signed(), is_rejected])?;
    Ok(())
}

/// What is where, counted anew.
pub(super) fn report(db: &Connection) -> rusqlite::Result<UsageReport> {
    let sum = |sql: &str| -> rusqlite::Result<[u64; 2]> {
        let mut sum = [0_u64; 2];
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sum = [sum[0].saturating_add(natural(row, 0)?), sum[1].saturating_add(natural(row, 1)?)];
        }
        Ok(sum)
    };
    Ok(UsageReport {
        backlog: sum("SELECT uploaded, downloaded FROM usage_backlog WHERE typeof(user_id) = 'text'")?,
        batched: sum("SELECT uploaded, downloaded FROM usage_batch_item")?,
        rejected: db.query_row("SELECT count(*) FROM usage_batch WHERE state = 'rejected'", [], |row| {
            row.get::<_, i64>(0).map(i64::cast_unsigned)
        })?,
        ..UsageReport::default()
    })
}

/// Every stored session that can be read.
pub(super) fn sessions(db: &Connection) -> rusqlite::Result<Vec<StoredSession>> {
    let mut statement =
        db.prepare("SELECT user_id, entry, peer_id, uploaded, downloaded, seen, place FROM usage_base")?;
    let mut rows = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        let twenty = |column| -> rusqlite::Result<Option<[u8; 20]>> {
            Ok(row.get_ref(column)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok()))
        };
        let place = row.get_ref(6)?.as_i64().ok().and_then(|place| u32::try_from(place).ok());
        let (Some(entry), Some(peer_id), Some(place)) = (twenty(1)?, twenty(2)?, place) else { continue };
        let base = Base { uploaded: natural(row, 3)?, downloaded: natural(row, 4)?, seen: natural(row, 5)? };
        sessions.push(StoredSession {
            place,
            user: text(row, 0)?,
            entry: SwarmKey(entry),
            peer_id: PeerId(peer_id),
            base,
        });
    }
    Ok(sessions)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

const BYTES_MAX: u64 = i64::MAX as u64;

/// SQLite would turn a sum that does not fit into a floating-point number.
const ADD_TO_POOL: &str = "UPDATE usage_backlog SET
         uploaded = CASE WHEN ifnull(uploaded, 0) > 9223372036854775807 - ?2 THEN 9223372036854775807
                         ELSE ifnull(uploaded, 0) + ?2 END,
         downloaded = CASE WHEN ifnull(downloaded, 0) > 9223372036854775807 - ?3 THEN 9223372036854775807
                           ELSE ifnull(downloaded, 0) + ?3 END
     WHERE rowid = (SELECT min(rowid) FROM usage_backlog WHERE user_id = ?1)";

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    /// It runs for every user of every cut, and compiling it costs ten times what it does.
    #[test]
    fn adding_to_the_pool_is_compiled_once() {
        let mut db = Connection::open_in_memory().expect("opens");
        super::super::keep_plans(&db).expect("a setting SQLite has");
        super::super::schema::prepare(&mut db, 1).expect("a new file");
        for _ in 0..3 {
            add_to_pool(&db, "u", [1, 2], 7, TimeForm::Seconds).expect("written");
        }
        let add = db.prepare_cached(ADD_TO_POOL).expect("it is there");
        let told = [StatementStatus::Run, StatementStatus::RePrepare].map(|status| add.get_status(status));
        assert_eq!((told, report(&db).expect("read").backlog), ([3, 0], [3, 6]));
    }
}
