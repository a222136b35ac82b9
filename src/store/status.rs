//! `--usage-status`: what the accounts of a database hold, for the operator. It only reads, also beside a tracker that
//! is serving from the file.

use super::columns::{natural, text, time};
use super::{StoreError, connect, usage};
use crate::wire::http1::log_date;
use rusqlite::{Connection, OpenFlags};
use std::fmt::Write;
use std::io;
use std::path::Path;

/// The accounts in the database at `path`, a line for the pool and one for each batch.
pub fn usage_status(path: &Path) -> Result<String, StoreError> {
    if !path.exists() {
        return Err(StoreError::CannotOpen(path.to_owned(), io::ErrorKind::NotFound.into()));
    }
    let read = || -> rusqlite::Result<String> {
        let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let snapshot = db.transaction()?;
        render(&snapshot)
    };
    read().map_err(|error| StoreError::Sqlite(path.to_owned(), error))
}

fn render(db: &Connection) -> rusqlite::Result<String> {
    let known: bool = db.query_row(
        "SELECT count(*) = 4 FROM sqlite_schema WHERE type = 'table'
             AND name IN ('usage_backlog', 'usage_batch', 'usage_batch_item', 'usage_base')",
        [],
        |row| row.get(0),
    )?;
    if !known {
        return Ok("no accounts in this database: no tracker of this version has opened it yet\n".to_owned());
    }
    let report = usage::report(db)?;
    let count = |sql: &str| db.query_row(sql, [], |row| natural(row, 0));
    let users = count(
        "SELECT count(DISTINCT user_id) FROM usage_backlog WHERE typeof(user_id) = 'text' AND (uploaded > 0 OR downloaded > 0)",
    )?;
    let sessions = count("SELECT count(*) FROM usage_base")?;
    let mut out = String::new();
    let [up, down] = report.backlog;
    let _ = writeln!(out, "waiting: {users} users, {up} bytes up, {down} bytes down");
    let mut statement = db.prepare(
        "SELECT batch.sync_id, ifnull(batch.state, ''), count(item.user_id), ifnull(sum(item.uploaded), 0),
                ifnull(sum(item.downloaded), 0), batch.created_at, batch.attempts, batch.last_status,
                batch.last_attempt_at
         FROM usage_batch AS batch LEFT JOIN usage_batch_item AS item USING (sync_id)
         GROUP BY batch.sync_id ORDER BY batch.created_at, batch.sync_id",
    )?;
    let mut rows = statement.query([])?;
    let (mut sealed, mut rejected) = (0, 0);
    while let Some(row) = rows.next()? {
        let is_rejected = text(row, 1)? == "rejected";
        *if is_rejected { &mut rejected } else { &mut sealed } += 1;
        let word = if is_rejected { "rejected" } else { "sealed" };
        let (id, users) = (text(row, 0)?, natural(row, 2)?);
        let (up, down) = (natural(row, 3)?, natural(row, 4)?);
        let _ = write!(
            out,
            "{word} batch {id}: {users} users, {up} bytes up, {down} bytes down, made {}",
            date(time(row, 5)?)
        );
        match natural(row, 6)? {
            0 => out.push_str(", not sent yet"),
            attempts => {
                let status = match natural(row, 7)? {
                    0 => "no answer".to_owned(),
                    status => format!("status {status}"),
                };
                let _ = write!(out, ", sent {attempts} times, last {} with {status}", date(time(row, 8)?));
            }
        }
        out.push('\n');
    }
    let _ = writeln!(out, "batches: {sealed} sealed, {rejected} rejected");
    let _ = writeln!(out, "sessions: {sessions}");
    Ok(out)
}

/// A moment in UTC, as the log has it.
fn date(unix: i64) -> String {
    format!("{}Z", log_date(u64::try_from(unix).unwrap_or(0)))
}
