//! Takedowns and what undoes them, and the operator's word for an entry (registry-api, sections 5 and 6).

use super::load::key_of;
use super::lookup::{Known, find, sharing_key};
use super::problem::Problem;
use super::schema::TimeForm;
use super::write::Done;
use crate::base::limits::TAKEDOWN_REASON_BYTES_MAX;
use crate::base::{SwarmKey, UnixSeconds};
use crate::mailbox::AdmissionChange;
use crate::registry::catalogue::Change;
use crate::registry::{Answer, HashText, api};
use rusqlite::{Connection, OptionalExtension, params};

/// Removes the entry and blocks all its hashes; a hash nobody registered is blocked all the same.
pub(super) fn takedown(
    db: &Connection,
    hash: &HashText,
    reason: &str,
    at: UnixSeconds,
    times: TimeForm,
) -> Result<Done, Problem> {
    if reason.len() > TAKEDOWN_REASON_BYTES_MAX {
        return Err(Problem::Refused(api::INVALID_REASON));
    }
    let key = key_of(hash);
    let entry = match (find(db, hash)?, key) {
        // A v2 hash that is not registered blocks its first 20 bytes too. Whose they are goes with it: no entry is
        // left that clients are refused.
        (None, Some(key)) => sharing_key(db, &key.to_string())?.into_iter().next(),
        (found, _) => found,
    };
    if entry.is_none() && key.is_none() && !was_taken_down(db, &hash.0)? {
        return Err(Problem::Refused(api::INVALID_INFO_HASH));
    }
    let names = names_to_block(hash, entry.as_ref());
    for (index, name) in names.iter().enumerate() {
        // Every hybrid has two names, so the pair of one is the other.
        let pair = if names.len() == 2 { Some(&names[1 - index]) } else { None };
        block(db, name, reason, at, pair, times)?;
    }
    let mut keys: Vec<SwarmKey> = names.iter().filter_map(|name| key_of(&HashText(name.clone()))).collect();
    keys.dedup();
    forget_peers(db, &keys)?;
    let mut changes = Vec::new();
    if let Some(entry) = &entry {
        db.prepare_cached("DELETE FROM registry WHERE rowid = ?1")?.execute([entry.row])?;
        changes.push(Change::Removed { row: entry.row });
    }
    Ok(Done { answer: status("deleted"), admission: Some(AdmissionChange::Blocked { keys }), changes })
}

/// The v2 and the v1 hash of the entry; without an entry what was asked for. An odd row of an old database is noted
/// by its text, so that taking it down again finds that it is gone.
fn names_to_block(hash: &HashText, entry: Option<&Known>) -> Vec<String> {
    let Some(entry) = entry else { return vec![hash.0.clone()] };
    let Some(hashes) = entry.hashes() else { return vec![entry.info_hash.clone()] };
    let v2 = hashes.v2().map(|v2| v2.to_string());
    v2.into_iter().chain(hashes.v1().map(|v1| v1.to_string())).collect()
}

fn was_taken_down(db: &Connection, text: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM blocklist WHERE info_hash IN (?1, ?2))";
    db.query_row(sql, [text, &text.to_ascii_lowercase()], |row| row.get(0))
}

/// A hash that is blocked already keeps its first reason and learns only its partner.
fn block(
    db: &Connection,
    name: &str,
    reason: &str,
    at: UnixSeconds,
    pair: Option<&String>,
    times: TimeForm,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO blocklist (info_hash, reason, created_at, pair) VALUES (?1, ?2, {}, ?4)
         ON CONFLICT (info_hash) DO UPDATE SET pair = coalesce(pair, excluded.pair)",
        times.sql("?3")
    );
    db.prepare_cached(&sql)?.execute(params![name, reason, at.cast_signed(), pair])?;
    Ok(())
}

/// What is stored of the swarms by key. The slices are snapshots of the tracker's memory: it drops the swarm with the
/// `Blocked` it gets, refuses blocked keys when it loads a slice, and the next snapshot replaces this one.
fn forget_peers(db: &Connection, keys: &[SwarmKey]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM swarm_meta WHERE entry = ?1")?;
    for key in keys {
        statement.execute([&key.0[..]])?;
    }
    Ok(())
}

/// Lifts a takedown for the hash and its partner.
pub(super) fn unblock(db: &Connection, hash: &HashText) -> Result<Done, Problem> {
    let mut names = blocked_as(db, hash)?;
    if names.is_empty() {
        return Err(Problem::Refused(api::NOT_FOUND));
    }
    let mut partner = db.prepare_cached("SELECT pair FROM blocklist WHERE info_hash = ?1")?;
    for name in names.clone() {
        names.extend(partner.query_row([name], |row| row.get::<_, Option<String>>(0)).optional()?.flatten());
    }
    let mut remove = db.prepare_cached("DELETE FROM blocklist WHERE info_hash = ?1")?;
    for name in &names {
        remove.execute([name])?;
    }
    let mut keys: Vec<SwarmKey> = names.into_iter().filter_map(|name| key_of(&HashText(name))).collect();
    keys.sort_unstable();
    keys.dedup();
    let admission = Some(AdmissionChange::Unblocked { keys });
    Ok(Done { answer: status("unblocked"), admission, changes: Vec::new() })
}

/// The rows of the blocklist that keep a hash out: those with its 20-byte key.
fn blocked_as(db: &Connection, hash: &HashText) -> rusqlite::Result<Vec<String>> {
    let (sql, wanted) = match key_of(hash) {
        Some(key) => (
            "SELECT info_hash FROM blocklist WHERE lower(substr(info_hash, 1, 40)) = ?1
             AND length(info_hash) IN (40, 64)",
            key.to_string(),
        ),
        None => ("SELECT info_hash FROM blocklist WHERE info_hash = ?1", hash.0.clone()),
    };
    db.prepare_cached(sql)?.query_map([wanted], |row| row.get(0))?.collect()
}

/// Sets or takes away the operator's word.
pub(super) fn verify(db: &Connection, hash: &HashText, verified: bool) -> Result<Done, Problem> {
    let entry = find(db, hash)?.ok_or(api::NOT_FOUND)?;
    let mut statement = db.prepare_cached("UPDATE registry SET verified = ?1 WHERE rowid = ?2")?;
    statement.execute(params![verified, entry.row])?;
    Ok(Done { answer: status("updated"), admission: None, changes: Vec::new() })
}

fn status(word: &str) -> Answer {
    Answer::Json { status: 200, body: format!(r#"{{"status":"{word}"}}"#).into_bytes() }
}
