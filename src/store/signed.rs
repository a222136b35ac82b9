//! Which publisher's signature an entry has after a registration: a new one is judged before it is stored, an old one
//! stays only for the content it was made for.

use super::columns::text;
use super::lookup::Known;
use super::problem::Problem;
use crate::base::InfoHashes;
use crate::registry::{FileKind, Registration, Update, api};
use crate::torrent::inspect;
use crate::torrent::signature::{Invalid, Signature};
use rusqlite::{Connection, OptionalExtension};

/// The signature of an entry as it will be stored.
#[derive(Debug, Default)]
pub(super) struct Signed {
    /// 64 hex digits, or empty.
    pub key: String,
    /// 128 hex digits, or empty.
    pub signature: String,
    /// Another key than before: what the operator vouched for was the entry without it.
    pub new_key: bool,
    /// The old one was not made for the content the entry has now.
    pub dropped: bool,
}

impl Signed {
    /// Judges what `registration` brings for an entry that will have the hashes `after`.
    pub fn after(
        db: &Connection,
        registration: &Registration,
        existing: Option<&Known>,
        after: InfoHashes,
    ) -> Result<Self, Problem> {
        let old = existing.map(|row| stored(db, row.row)).transpose()?.unwrap_or_default();
        match &registration.signature {
            Update::Clear => Ok(Self::default()),
            Update::Set(signature) => {
                let content = content(db, registration, existing, after)?;
                signature.verify(&content).map_err(|invalid| match invalid {
                    Invalid::WeakKey => api::WEAK_KEY,
                    _ => api::SIGNATURE_MISMATCH,
                })?;
                let (key, signature) = (signature.key_hex(), signature.hex());
                Ok(Self { new_key: key != old.key, key, signature, dropped: false })
            }
            Update::Keep if old.key.is_empty() => Ok(Self::default()),
            // It was made for a torrent.
            Update::Keep if is_idtorrent(registration) => Ok(Self { dropped: true, ..Self::default() }),
            Update::Keep if existing.and_then(Known::hashes) == Some(after) => Ok(old),
            Update::Keep => {
                let signature = Signature::from_hex(old.key.as_bytes(), old.signature.as_bytes());
                let content = content(db, registration, existing, after)?;
                let holds = signature.is_some_and(|signature| signature.verify(&content).is_ok());
                Ok(if holds { old } else { Self { dropped: true, ..Self::default() } })
            }
        }
    }
}

fn is_idtorrent(registration: &Registration) -> bool {
    matches!(&registration.torrent, Update::Set(upload) if upload.kind == FileKind::Idtorrent)
}

/// The hashes a signature must be about: of the torrent that comes, else of the one that is stored and stays, else
/// those the entry names.
fn content(
    db: &Connection,
    registration: &Registration,
    existing: Option<&Known>,
    after: InfoHashes,
) -> rusqlite::Result<InfoHashes> {
    let row = match &registration.torrent {
        Update::Set(upload) => return Ok(upload.hashes),
        Update::Clear => None,
        Update::Keep => existing.map(|row| row.row),
    };
    let Some(row) = row else { return Ok(after) };
    let mut statement =
        db.prepare_cached("SELECT CAST(torrent_data AS BLOB) FROM registry WHERE rowid = ?1")?;
    let file: Option<Vec<u8>> = statement.query_row([row], |row| row.get(0)).optional()?.flatten();
    Ok(file.and_then(|file| inspect(&file).ok().map(|summary| summary.hashes)).unwrap_or(after))
}

fn stored(db: &Connection, row: i64) -> rusqlite::Result<Signed> {
    let mut statement =
        db.prepare_cached("SELECT publisher_key, signature FROM registry WHERE rowid = ?1")?;
    statement.query_row([row], |row| {
        Ok(Signed { key: text(row, 0)?, signature: text(row, 1)?, ..Signed::default() })
    })
}
