//! Storing a registration: the rules of registry-api section 4 that depend on other rows, checked and applied inside
//! one transaction.

use super::columns::text;
use super::load::keys_of;
use super::lookup::{Known, find, sharing_key};
use super::problem::Problem;
use super::schema::TimeForm;
use super::signed::Signed;
use super::write::Done;
use crate::base::{InfoHashes, UnixSeconds};
use crate::mailbox::AdmissionChange;
use crate::registry::catalogue::{Change, Listing};
use crate::registry::{Answer, FileKind, HashText, Registration, Update, api, hashes_of};
use rusqlite::{Connection, ToSql, named_params};

/// Stores a registration that came at `at`, or says why not.
pub(super) fn upsert(
    db: &Connection,
    registration: &Registration,
    at: UnixSeconds,
    times: TimeForm,
) -> Result<Done, Problem> {
    let existing = same_hash(db, &registration.info_hash)?;
    let v1_info_hash = match &registration.v1_info_hash {
        Update::Set(v1) => v1.clone(),
        Update::Clear => String::new(),
        Update::Keep => existing.as_ref().map(|row| row.v1_info_hash.clone()).unwrap_or_default(),
    };
    let hashes = hashes_of(&registration.info_hash, &v1_info_hash).ok_or(api::INVALID_INFO_HASH_LENGTH)?;
    let own_row = existing.as_ref().map(|row| row.row);
    refuse_blocked_and_taken(db, hashes, own_row)?;
    refuse_another_kind(db, registration, own_row)?;
    let signed = Signed::after(db, registration, existing.as_ref(), hashes)?;
    let columns = Columns { v1_info_hash: &v1_info_hash, signed: &signed };
    let row = match own_row {
        Some(row) => update(db, registration, columns, at, row)?,
        None => insert(db, registration, columns, at, times)?,
    };
    let completions = existing.as_ref().map_or(0, |row| row.completions);
    let created_at = existing.as_ref().map_or(at.cast_signed(), |row| row.created_at);
    let before = existing.as_ref().and_then(Known::hashes);
    let body: &[u8] = match signed.dropped {
        true => br#"{"status":"created","signature":"dropped"}"#,
        false => br#"{"status":"created"}"#,
    };
    Ok(Done {
        answer: Answer::Json { status: 201, body: body.to_vec() },
        admission: Some(AdmissionChange::Registered { hashes, before, completions }),
        changes: vec![Change::Stored(listing(registration, row, created_at, completions))],
    })
}

/// The columns that are decided by more than the registration.
#[derive(Clone, Copy)]
struct Columns<'a> {
    v1_info_hash: &'a str,
    signed: &'a Signed,
}

/// A blocked hash is told before a taken one, whichever of the entry's hashes it is.
fn refuse_blocked_and_taken(
    db: &Connection,
    hashes: InfoHashes,
    own_row: Option<i64>,
) -> Result<(), Problem> {
    let keys: Vec<String> = keys_of(hashes).map(|key| key.to_string()).collect();
    for key in &keys {
        if is_blocked(db, key)? {
            return Err(Problem::Refused(api::BLOCKED));
        }
    }
    for key in &keys {
        if sharing_key(db, key)?.iter().any(|other| Some(other.row) != own_row) {
            return Err(Problem::Refused(api::HASH_TAKEN));
        }
    }
    Ok(())
}

/// An id that is also an info hash names one of the two; and nobody signs an idtorrent.
fn refuse_another_kind(
    db: &Connection,
    registration: &Registration,
    own_row: Option<i64>,
) -> Result<(), Problem> {
    let Some(row) = own_row else { return Ok(()) };
    let mut statement =
        db.prepare_cached("SELECT kind, length(torrent_data) > 0 FROM registry WHERE rowid = ?1")?;
    let stored = statement.query_row([row], |row| {
        let has_file: Option<bool> = row.get(1)?;
        Ok(has_file.unwrap_or(false).then_some(FileKind::of(&text(row, 0)?)))
    })?;
    let after = match &registration.torrent {
        Update::Set(upload) if stored.is_some_and(|kind| kind != upload.kind) => {
            return Err(Problem::Refused(api::HASH_TAKEN));
        }
        Update::Set(upload) => Some(upload.kind),
        Update::Clear => None,
        Update::Keep => stored,
    };
    match registration.signature {
        Update::Set(_) if after == Some(FileKind::Idtorrent) => {
            Err(Problem::Refused(api::SIGNATURE_NEEDS_TORRENT))
        }
        _ => Ok(()),
    }
}

/// The row with this very primary key, in whatever case an old database has it. A row that is only known by the hash
/// otherwise is another entry.
fn same_hash(db: &Connection, info_hash: &str) -> rusqlite::Result<Option<Known>> {
    let found = find(db, &HashText(info_hash.to_owned()))?;
    Ok(found.filter(|row| row.info_hash.eq_ignore_ascii_case(info_hash)))
}

fn is_blocked(db: &Connection, key: &str) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM blocklist WHERE lower(substr(info_hash, 1, 40)) = ?1
                        AND length(info_hash) IN (40, 64))",
    )?;
    statement.query_row([key], |row| row.get(0))
}

fn insert(
    db: &Connection,
    registration: &Registration,
    columns: Columns<'_>,
    at: UnixSeconds,
    times: TimeForm,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "INSERT INTO registry (info_hash, v1_info_hash, name, description, publisher, license, size, category,
             tags, created_at, verified, completions, updated_at, torrent_sha256, torrent_data, kind,
             publisher_key, signature)
         VALUES (:info_hash, :v1, :name, :description, :publisher, :license, :size, :category,
             :tags, {}, 0, 0, :at, :sha256, :file, :kind, :key, :signature)",
        times.sql(":at")
    );
    let (file, sha256, kind) = match &registration.torrent {
        Update::Set(upload) => (Some(&upload.bytes), Some(&upload.sha256), upload.kind.column()),
        Update::Keep | Update::Clear => (None, None, None),
    };
    let mut statement = db.prepare_cached(&sql)?;
    let (at, size) = (at.cast_signed(), registration.size.cast_signed());
    let mut values = described(registration, &columns, &size);
    let rest: &[(&str, &dyn ToSql)] = named_params! {
        ":info_hash": registration.info_hash, ":at": at, ":sha256": sha256, ":file": file,
        ":kind": kind,
    };
    values.extend_from_slice(rest);
    statement.execute(&values[..])?;
    Ok(db.last_insert_rowid())
}

fn update(
    db: &Connection,
    registration: &Registration,
    columns: Columns<'_>,
    at: UnixSeconds,
    row: i64,
) -> rusqlite::Result<i64> {
    let mut statement = db.prepare_cached(
        "UPDATE registry SET v1_info_hash = :v1, name = :name, description = :description,
             publisher = :publisher, license = :license, size = :size, category = :category, tags = :tags,
             publisher_key = :key, signature = :signature,
             verified = CASE WHEN :new_key THEN 0 ELSE verified END, updated_at = :at WHERE rowid = :row",
    )?;
    let (at, size) = (at.cast_signed(), registration.size.cast_signed());
    let mut values = described(registration, &columns, &size);
    let rest: &[(&str, &dyn ToSql)] =
        named_params! { ":at": at, ":row": row, ":new_key": columns.signed.new_key };
    values.extend_from_slice(rest);
    statement.execute(&values[..])?;
    let (file, sha256, kind) = match &registration.torrent {
        Update::Keep => return Ok(row),
        Update::Clear => (None, None, None),
        Update::Set(upload) => (Some(&upload.bytes), Some(&upload.sha256), upload.kind.column()),
    };
    let mut statement = db.prepare_cached(
        "UPDATE registry SET torrent_data = ?1, torrent_sha256 = ?2, kind = ?3 WHERE rowid = ?4",
    )?;
    statement.execute((file, sha256, kind, row))?;
    Ok(row)
}

/// The columns that every registration replaces.
fn described<'a>(
    registration: &'a Registration,
    columns: &'a Columns<'a>,
    size: &'a i64,
) -> Vec<(&'static str, &'a dyn ToSql)> {
    let values: [(&'static str, &'a dyn ToSql); 10] = [
        (":key", &columns.signed.key),
        (":signature", &columns.signed.signature),
        (":name", &registration.name),
        (":description", &registration.description),
        (":publisher", &registration.publisher),
        (":license", &registration.license),
        (":size", size),
        (":category", &registration.category),
        (":tags", &registration.tags),
        (":v1", &columns.v1_info_hash),
    ];
    values.to_vec()
}

fn listing(registration: &Registration, row: i64, created_at: i64, completions: u64) -> Listing {
    Listing {
        row,
        info_hash: registration.info_hash.clone(),
        name: registration.name.clone(),
        category: registration.category.clone(),
        publisher: registration.publisher.clone(),
        tags: registration.tags.clone(),
        created_at,
        completions,
    }
}
