//! What the tracker needs before its first announce, read once at start.

use super::columns::{natural, text, time};
use super::usage;
use crate::base::{InfoHashes, SwarmKey, UnixSeconds};
use crate::mailbox::{Loaded, SliceSnapshot};
use crate::registry::{HashText, Named, hashes_of};
use rusqlite::Connection;

/// Reads everything in one transaction.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Loaded> {
    let snapshot = db.unchecked_transaction()?;
    let registered = registered(&snapshot)?;
    Ok(Loaded {
        registered,
        blocked: blocked(&snapshot)?,
        slices: slices(&snapshot)?,
        former_peers: Vec::new(),
        sessions: usage::sessions(&snapshot)?,
        usage: usage::report(&snapshot)?,
        tag_key: tag_key(&snapshot)?,
    })
}

struct Claim {
    hashes: InfoHashes,
    completions: u64,
    created_at: i64,
}

fn registered(db: &Connection) -> rusqlite::Result<Vec<(InfoHashes, u64)>> {
    let mut statement =
        db.prepare("SELECT info_hash, v1_info_hash, completions, created_at FROM registry")?;
    let mut rows = statement.query([])?;
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(hashes) = hashes_of(&text(row, 0)?, &text(row, 1)?) {
            claims.push(Claim { hashes, completions: natural(row, 2)?, created_at: time(row, 3)? });
        }
    }
    Ok(settle(claims))
}

/// In an old database two rows may claim one hash. The older owns it; the other keeps what is left of it.
fn settle(mut claims: Vec<Claim>) -> Vec<(InfoHashes, u64)> {
    if has_rivals(&claims) {
        claims.sort_by_key(|claim| claim.created_at);
        let mut owned = std::collections::HashSet::new();
        claims.retain_mut(|claim| {
            let Some(left) = keep_unowned(claim.hashes, &owned) else {
                log::warn!("registry: {} is claimed by two rows; the older owns it", claim.hashes.best_hex());
                return false;
            };
            if left != claim.hashes {
                log::warn!("registry: the v1 hash of {} belongs to an older row", left.best_hex());
            }
            owned.extend(keys_of(left));
            claim.hashes = left;
            true
        });
    }
    claims.into_iter().map(|claim| (claim.hashes, claim.completions)).collect()
}

fn has_rivals(claims: &[Claim]) -> bool {
    let mut keys: Vec<SwarmKey> = claims.iter().flat_map(|claim| keys_of(claim.hashes)).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

fn keep_unowned(hashes: InfoHashes, owned: &std::collections::HashSet<SwarmKey>) -> Option<InfoHashes> {
    if owned.contains(&hashes.primary_key()) {
        return None;
    }
    Some(match hashes {
        InfoHashes::Hybrid(v1, v2) if owned.contains(&v1.key()) => InfoHashes::V2(v2),
        other => other,
    })
}

/// Every key a client can announce an entry by.
pub(super) fn keys_of(hashes: InfoHashes) -> impl Iterator<Item = SwarmKey> {
    let v1 = hashes.v1().map(|v1| v1.key());
    hashes.v2().map(|v2| v2.key()).into_iter().chain(v1)
}

fn blocked(db: &Connection) -> rusqlite::Result<Vec<SwarmKey>> {
    let mut statement = db.prepare("SELECT info_hash FROM blocklist")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.extend(key_of(&HashText(text(row, 0)?)));
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// The key that a hash is announced by; `None` for text that is no hash.
pub(super) fn key_of(hash: &HashText) -> Option<SwarmKey> {
    match hash.named() {
        Named::V2(v2) => Some(v2.key()),
        Named::Short(key) => Some(key),
        Named::Other(_) => None,
    }
}

/// The stored slices as they are: whether their bytes mean anything is the tracker's to say.
fn slices(db: &Connection) -> rusqlite::Result<Vec<SliceSnapshot>> {
    let mut statement = db.prepare(
        "SELECT slice, taken_at, snapshot FROM swarm_slice
         WHERE slice BETWEEN 0 AND 255 AND typeof(snapshot) = 'blob'",
    )?;
    let slices = statement.query_map([], |row| {
        let taken_at = UnixSeconds::try_from(time(row, 1)?).unwrap_or(0);
        Ok(SliceSnapshot { slice: row.get(0)?, taken_at, bytes: row.get(2)? })
    })?;
    slices.collect()
}

fn tag_key(db: &Connection) -> rusqlite::Result<u64> {
    let key: i64 = db.query_row("SELECT value FROM meta WHERE key = 'tag_key'", [], |row| row.get(0))?;
    Ok(key.cast_unsigned())
}
