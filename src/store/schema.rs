//! The tables (operations, section 5), and how a file gets them: a new one, one of ours, or one of the Go tracker.
//!
//! Every change is additive and all of them are one transaction, so a failure leaves the file as it was and the Go
//! tracker can open it again. A file from a later version of this program is left alone.

use super::StoreError;
use super::former::take_peers;
use crate::base::limits::USAGE_CUT_SESSIONS;
use crate::mailbox::FormerPeer;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// What this program knows to read and write.
pub(super) const VERSION: i64 = 2;

/// How a table holds times: the Go tracker's files say it in the column's declared type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeForm {
    /// Seconds since 1970.
    Seconds,
    /// `2025-01-31 23:59:59`, UTC.
    Text,
}

impl TimeForm {
    /// The form of `created_at` in a table.
    pub fn of(db: &Connection, table: &str) -> rusqlite::Result<Self> {
        let declared: Option<String> = db
            .query_row("SELECT type FROM pragma_table_info(?1) WHERE name = 'created_at'", [table], |row| {
                row.get(0)
            })
            .optional()?;
        let declared = declared.unwrap_or_default().to_ascii_uppercase();
        let is_text = ["DATE", "TIME", "TEXT", "CHAR"].iter().any(|word| declared.contains(word));
        Ok(if is_text { Self::Text } else { Self::Seconds })
    }

    /// SQL that turns a parameter in seconds into what the column holds.
    pub fn sql(self, parameter: &str) -> String {
        match self {
            Self::Seconds => parameter.to_owned(),
            Self::Text => format!("datetime({parameter}, 'unixepoch')"),
        }
    }
}

/// Brings the file to this version. `tag_key` is kept if the file has none yet. Returns the clients that a file of the
/// Go tracker still had.
pub(super) fn prepare(db: &mut Connection, tag_key: u64) -> Result<Vec<FormerPeer>, StoreError> {
    match version(db)? {
        Some(VERSION) => return close_up_usage_bases(db).map(|()| Vec::new()),
        Some(found) if found > VERSION => return Err(StoreError::NewerSchema { found, known: VERSION }),
        _ => {}
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    number_usage_bases(&change)?;
    for (table, columns) in TABLES {
        create_or_extend(&change, table, columns)?;
    }
    change.execute_batch(INDEXES)?;
    merge_usage_of_one_user(&change)?;
    let mut note = change.prepare("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)")?;
    note.execute(params!["schema_version", VERSION])?;
    note.execute(params!["tag_key", tag_key.cast_signed()])?;
    change.execute("UPDATE meta SET value = ?1 WHERE key = 'schema_version'", [VERSION])?;
    drop(note);
    change.execute("INSERT OR IGNORE INTO meta VALUES ('first_start', unixepoch())", [])?;
    let former = if has_table(&change, "peers")? { take_peers(&change)? } else { Vec::new() };
    change.commit()?;
    Ok(former)
}

/// The version the file says it has; `None` for a new file and for one of the Go tracker. What cannot be read as a
/// number was not written by us: later than anything we know.
fn version(db: &Connection) -> Result<Option<i64>, StoreError> {
    if !has_table(db, "meta")? {
        return Ok(None);
    }
    let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'schema_version'";
    let found: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(Some(found.filter(|version| *version > 0).unwrap_or(i64::MAX)))
}

fn has_table(db: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    db.query_row(sql, [table], |row| row.get(0))
}

fn create_or_extend(change: &Transaction<'_>, table: &str, columns: &[&str]) -> rusqlite::Result<()> {
    if !has_table(change, table)? {
        return change.execute_batch(&format!("CREATE TABLE {table} ({})", columns.join(", ")));
    }
    let mut names = change.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let known = names.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let is_missing = |column: &&&str| {
        let name = column.split(' ').next().unwrap_or_default();
        name != "PRIMARY" && !known.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    for column in columns.iter().filter(is_missing) {
        change.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column}"))?;
    }
    Ok(())
}

/// Version 1 found a session by its name. Now it has a number, so that one cut writes neighbours.
fn number_usage_bases(change: &Transaction<'_>) -> rusqlite::Result<()> {
    match has_table(change, "usage_base")? {
        true => change.execute_batch(&renumbered("user_id, entry, peer_id")),
        false => Ok(()),
    }
}

/// The numbers of sessions decide how much memory they take. Where most of them are of sessions long gone, those that
/// are left get new ones.
fn close_up_usage_bases(db: &mut Connection) -> Result<(), StoreError> {
    let sql = "SELECT ifnull(min(place), 0) < 0 OR ifnull(max(place), 0) > 2 * count(*) + ?1 FROM usage_base";
    if db.query_row(sql, [USAGE_CUT_SESSIONS as i64], |row| row.get(0))? {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(&renumbered("place"))?;
        change.commit()?;
    }
    Ok(())
}

/// SQL that writes all sessions anew, numbered from 0 in an order.
fn renumbered(order: &str) -> String {
    let columns =
        TABLES.iter().find(|(table, _)| *table == "usage_base").map(|(_, columns)| columns.join(", "));
    let columns = columns.unwrap_or_default();
    format!(
        "ALTER TABLE usage_base RENAME TO usage_base_before;
         CREATE TABLE usage_base ({columns});
         INSERT INTO usage_base
             SELECT row_number() OVER (ORDER BY {order}) - 1, user_id, entry, peer_id, uploaded, downloaded, seen
             FROM usage_base_before ORDER BY {order};
         DROP TABLE usage_base_before;"
    )
}

/// The Go tracker adds a row for every announce it could not deliver; we keep one row for each user.
fn merge_usage_of_one_user(change: &Transaction<'_>) -> rusqlite::Result<()> {
    change.execute_batch(
        "CREATE TEMP TABLE merged AS
             SELECT user_id, SUM(uploaded) AS uploaded, SUM(downloaded) AS downloaded,
                    MIN(created_at) AS created_at
             FROM usage_backlog GROUP BY user_id HAVING COUNT(*) > 1;
         DELETE FROM usage_backlog WHERE user_id IN (SELECT user_id FROM merged);
         INSERT INTO usage_backlog (user_id, uploaded, downloaded, created_at)
             SELECT user_id, uploaded, downloaded, created_at FROM merged;
         DROP TABLE merged;",
    )
}

/// Every table with its columns. In `registry` the file comes last, after all small columns: SQLite has to walk
/// through a long value to reach what stands behind it. (In a file of the Go tracker it stands in the middle, and
/// the columns that are missing are added at the end.)
const TABLES: [(&str, &[&str]); 9] = [
    (
        "registry",
        &[
            "info_hash TEXT PRIMARY KEY",
            "v1_info_hash TEXT",
            "name TEXT",
            "description TEXT",
            "publisher TEXT",
            "license TEXT",
            "size INTEGER",
            "category TEXT",
            "tags TEXT",
            "created_at INTEGER",
            "verified INTEGER",
            "completions INTEGER",
            "updated_at INTEGER",
            "torrent_sha256 TEXT",
            "kind TEXT",
            "publisher_key TEXT",
            "signature TEXT",
            "torrent_data BLOB",
        ],
    ),
    ("blocklist", &["info_hash TEXT PRIMARY KEY", "reason TEXT", "created_at INTEGER", "pair TEXT"]),
    ("usage_backlog", &["user_id TEXT", "uploaded INTEGER", "downloaded INTEGER", "created_at INTEGER"]),
    (
        "usage_batch",
        &[
            "sync_id TEXT PRIMARY KEY",
            "created_at INTEGER",
            "state TEXT",
            "attempts INTEGER",
            "last_status INTEGER",
            "last_attempt_at INTEGER",
        ],
    ),
    (
        "usage_batch_item",
        &[
            "sync_id TEXT",
            "user_id TEXT",
            "uploaded INTEGER",
            "downloaded INTEGER",
            "PRIMARY KEY (sync_id, user_id)",
        ],
    ),
    (
        "usage_base",
        &[
            "place INTEGER PRIMARY KEY",
            "user_id TEXT",
            "entry BLOB",
            "peer_id BLOB",
            "uploaded INTEGER",
            "downloaded INTEGER",
            "seen INTEGER",
        ],
    ),
    ("swarm_slice", &["slice INTEGER PRIMARY KEY", "taken_at INTEGER", "snapshot BLOB"]),
    ("swarm_meta", &["entry BLOB PRIMARY KEY", "completed INTEGER"]),
    ("meta", &["key TEXT PRIMARY KEY", "value"]),
];

/// Hashes are looked up by the 20 bytes that clients announce, in lower case whatever an old row holds.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS registry_key ON registry (lower(substr(info_hash, 1, 40)));
    CREATE INDEX IF NOT EXISTS registry_v1 ON registry (lower(v1_info_hash));
    CREATE INDEX IF NOT EXISTS blocklist_key ON blocklist (lower(substr(info_hash, 1, 40)));
    CREATE INDEX IF NOT EXISTS usage_backlog_user ON usage_backlog (user_id);
";
