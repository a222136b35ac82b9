//! Finding the row a person means by a hash.

use super::columns::{natural, text, time};
use crate::base::InfoHashes;
use crate::registry::{HashText, Named, hashes_of};
use rusqlite::{Connection, Row};

/// A row of the registry, as far as changing it needs.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its number.
    pub row: i64,
    /// The primary key as stored.
    pub info_hash: String,
    /// The v1 hash as stored.
    pub v1_info_hash: String,
    /// When it was first registered.
    pub created_at: i64,
    /// Completed downloads.
    pub completions: u64,
}

impl Known {
    /// What clients announce it by.
    pub fn hashes(&self) -> Option<InfoHashes> {
        hashes_of(&self.info_hash, &self.v1_info_hash)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            info_hash: text(row, 1)?,
            v1_info_hash: text(row, 2)?,
            created_at: time(row, 3)?,
            completions: natural(row, 4)?,
        })
    }
}

/// The entry a hash names: by its primary key if there is such a row, else by its v1 or cut v2 hash. Of several rows
/// of an old database the oldest has the say.
pub(super) fn find(db: &Connection, hash: &HashText) -> rusqlite::Result<Option<Known>> {
    let rows = match hash.named() {
        Named::V2(v2) => {
            let mut rows = sharing_key(db, &v2.key().to_string())?;
            rows.retain(|row| row.info_hash.eq_ignore_ascii_case(&hash.0));
            rows
        }
        Named::Short(_) => sharing_key(db, &hash.0)?,
        Named::Other(text) => odd(db, text)?,
    };
    Ok(rows.into_iter().min_by_key(|row| {
        let distance = match () {
            () if row.info_hash == hash.0 => 0,
            () if row.info_hash.eq_ignore_ascii_case(&hash.0) => 1,
            () => 2,
        };
        (distance, row.created_at, row.row)
    }))
}

/// The rows that a client can announce by this key (40 hex digits, lower case): at most one, but for an old database.
pub(super) fn sharing_key(db: &Connection, key: &str) -> rusqlite::Result<Vec<Known>> {
    let mut statement = db.prepare_cached(
        "SELECT rowid, info_hash, v1_info_hash, created_at, completions FROM registry
         WHERE lower(substr(info_hash, 1, 40)) = ?1 OR lower(v1_info_hash) = ?1",
    )?;
    let rows = statement.query_map([key], Known::read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().filter(|row| row.hashes().is_some()).collect())
}

fn odd(db: &Connection, text: &str) -> rusqlite::Result<Vec<Known>> {
    let mut statement = db.prepare_cached(
        "SELECT rowid, info_hash, v1_info_hash, created_at, completions FROM registry
         WHERE info_hash IN (?1, ?2)",
    )?;
    statement.query_map([text, &text.to_ascii_lowercase()], Known::read)?.collect()
}
