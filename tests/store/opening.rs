//! Operations section 5: what is on disk after a restart, the lock, other people's files.

use super::support::*;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use weightless::base::InfoHashes;
use weightless::mailbox::{FromStore, SliceSnapshot, ToWriter};
use weightless::registry::{Answer, HashText, Question};
use weightless::store::StoreError;

#[test]
fn everything_is_back_after_a_restart() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let tag_key = desk.loaded.tag_key;
    assert!(desk.loaded.registered.is_empty() && desk.loaded.slices.is_empty());
    desk.register(&with_torrent(&v2_of(HYBRID_INFO), HYBRID_INFO, ""));
    desk.register(&plain(&short(1), "v1"));
    let slice = |slice, bytes: &[u8]| SliceSnapshot { slice, taken_at: 9, bytes: bytes.to_vec() };
    for snapshot in [slice(255, b"old"), slice(0, b""), slice(255, b"new")] {
        desk.store.to_writer.send(ToWriter::Snapshot(snapshot)).expect("the writer lives");
    }
    desk.close();
    let mut again = Desk::file(&path);
    assert_eq!(again.loaded.tag_key, tag_key, "digests keep their meaning");
    assert_eq!(again.loaded.slices, [slice(0, b""), slice(255, b"new")]);
    let mut registered = again.loaded.registered.clone();
    registered.sort_by_key(|(hashes, _)| hashes.best_hex().len());
    assert!(matches!(registered[..], [(InfoHashes::V1(_), 0), (InfoHashes::Hybrid(..), 0)]));
    let file = again.ask(download(HashText::new(v2_of(HYBRID_INFO))));
    assert!(matches!(file, Answer::File { bytes, .. } if bytes == stored(HYBRID_INFO)));
    assert_eq!(again.search(text("v1")).1, 1);
}

#[test]
fn a_flush_is_reported_with_its_slices() {
    let mut desk = Desk::memory();
    let snapshot = SliceSnapshot { slice: 7, taken_at: 9, bytes: vec![1] };
    desk.store.to_writer.send(ToWriter::Snapshot(snapshot)).expect("the writer lives");
    desk.store.to_writer.send(ToWriter::Flush).expect("the writer lives");
    let FromStore::Flushed { slices, completed, durable, .. } = desk.next_mail() else { panic!("no flush") };
    assert_eq!((slices, completed, durable), (vec![7], vec![], true));
}

#[test]
fn a_second_tracker_is_kept_out_until_the_first_ends() {
    let (_directory, path) = place();
    let first = Desk::file(&path);
    assert!(matches!(try_open(&path), Err(StoreError::InUse(_))));
    first.close();
    Desk::file(&path).close();
}

#[test]
fn new_files_are_for_their_owner_only_and_settings_are_as_promised() {
    let (directory, path) = place();
    let mut desk = Desk::file(&path);
    desk.register(&plain(&short(1), "n"));
    for file in std::fs::read_dir(directory.path()).expect("a directory") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
    let db = Connection::open(&path).expect("opens");
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("a mode");
    assert_eq!(mode, "wal");
}

#[test]
fn files_that_are_no_database_of_ours_are_left_alone() {
    let (directory, path) = place();
    assert!(matches!(try_open(&directory.path().join("no/such.db")), Err(StoreError::CannotOpen(..))));
    std::fs::write(&path, b"this is no database, only text that is long enough to look at").expect("writes");
    let error = try_open(&path).err().expect("refused");
    assert!(error.to_string().contains("weightless.db"), "{error}");
    assert!(std::fs::read(&path).expect("reads").starts_with(b"this is no database"));
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    for n in 0..400 {
        desk.register(&plain(&long(n), "a name of some length"));
    }
    desk.close();
    let mut bytes = std::fs::read(&path).expect("reads");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(&path, &bytes).expect("writes");
    let error = try_open(&path).err().expect("refused");
    assert!(matches!(error, StoreError::Corrupt(_) | StoreError::Sqlite(..)), "{error}");
    assert_eq!(std::fs::read(&path).expect("reads"), bytes, "not a byte was changed");
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let (_directory, path) = place();
    Desk::file(&path).close();
    let db = Connection::open(&path).expect("opens");
    db.execute("UPDATE meta SET value = 3 WHERE key = 'schema_version'", []).expect("updates");
    drop(db);
    assert!(matches!(try_open(&path), Err(StoreError::NewerSchema { found: 3, known: 2 })));
}

/// The tables of the Go tracker with rows of every odd kind.
fn go_database(path: &std::path::Path) {
    let db = Connection::open(path).expect("opens");
    db.execute_batch(
        "CREATE TABLE registry (info_hash TEXT PRIMARY KEY, v1_info_hash TEXT, name TEXT, description TEXT,
             publisher TEXT, license TEXT, size INTEGER, category TEXT, tags TEXT, torrent_data BLOB,
             created_at DATETIME DEFAULT CURRENT_TIMESTAMP, verified BOOLEAN DEFAULT 0,
             completions INTEGER DEFAULT 0);
         CREATE TABLE blocklist (info_hash TEXT PRIMARY KEY, reason TEXT,
             created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
         CREATE TABLE usage_backlog (id INTEGER PRIMARY KEY, user_id TEXT, uploaded INTEGER, downloaded INTEGER,
             created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
         CREATE TABLE peers (info_hash TEXT, peer_id TEXT, addr TEXT, updated_at INTEGER, left INTEGER DEFAULT 0,
             downloaded INTEGER DEFAULT 0, uploaded INTEGER DEFAULT 0, PRIMARY KEY (info_hash, peer_id));
         INSERT INTO usage_backlog (user_id, uploaded, downloaded) VALUES ('u', 1, 2), ('u', 3, 4), ('v', 5, 6);
         INSERT INTO blocklist VALUES ('00000009', 'junk', '2020-01-01 00:00:00');",
    )
    .expect("the Go schema");
    let mut insert = db
        .prepare(
            "INSERT INTO registry (info_hash, v1_info_hash, name, created_at, torrent_data) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .expect("a statement");
    let mut row = |hash: &str, v1: Option<&str>, name: Option<&str>, at: &str, file: Option<&[u8]>| {
        insert.execute((hash, v1, name, at, file)).expect("inserts");
    };
    row(&long(0xAB).to_uppercase(), Some(&short(1)), Some("mixed"), "2020-01-02 00:00:00", None);
    row(&long(2), Some(&short(1)), Some("older"), "2020-01-01 00:00:00", Some(b"not a torrent"));
    row("Odd Key", None, None, "2020-01-03 00:00:00", None);
    let mut insert = db
        .prepare("INSERT INTO peers (info_hash, peer_id, addr, updated_at, left) VALUES (?1, CAST(?2 AS TEXT), ?3, ?4, ?5)")
        .expect("a statement");
    let mut peer = |hash: &str, id: &[u8], address: &str, at: i64, left: i64| {
        insert.execute((hash, id, address, at, left)).expect("inserts");
    };
    peer(&long(2).to_uppercase(), &[0xff; 20], "192.0.2.1:6881", 1_000, 0);
    peer(&short(1), b"-TR3000-abcdefghijkl", "[2001:db8::1]:6882", 2_000, 77);
    peer(&short(1), &[0xfe; 20], "[::ffff:192.0.2.2]:6883", 3_000, 1);
    for (id, address) in [(1, "somewhere"), (2, "192.0.2.3:0"), (3, "192.0.2.4"), (4, "")] {
        peer(&short(1), &[id; 20], address, 1, 1);
    }
    peer(&short(1), b"short", "192.0.2.5:1", 1, 1);
    peer("nonsense", &[5; 20], "192.0.2.6:1", 1, 1);
}

#[test]
fn a_go_database_that_cannot_be_migrated_is_left_byte_for_byte() {
    let (_directory, path) = place();
    go_database(&path);
    let db = Connection::open(&path).expect("opens");
    // The last of the tables we would add has a name that something else has.
    db.execute_batch("CREATE VIEW swarm_meta AS SELECT 1").expect("a view");
    drop(db);
    let before = std::fs::read(&path).expect("reads");
    let error = try_open(&path).err().expect("refused");
    assert!(
        error.to_string().contains("swarm_meta") && error.to_string().contains("weightless.db"),
        "{error}"
    );
    assert!(std::fs::read(&path).expect("reads") == before);
    let db = Connection::open(&path).expect("opens");
    db.execute_batch("DROP VIEW swarm_meta").expect("ours");
    drop(db);
    Desk::file(&path).close();
}

/// A row whose hash was blocked by somebody else's program is not served, so it is not offered either.
#[test]
fn rows_whose_hash_is_blocked_are_not_found_by_searches() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    for n in 1..=3 {
        assert_eq!(desk.register(&plain(&long(n), "n")), created());
    }
    desk.close();
    let db = Connection::open(&path).expect("opens");
    let sql = "INSERT INTO blocklist (info_hash, reason, created_at) VALUES (?1, '', 1)";
    db.execute(sql, [long(1).to_uppercase()]).expect("inserts");
    db.execute(sql, [&long(2)[..40]]).expect("inserts");
    drop(db);
    assert_eq!(Desk::file(&path).search(text("n")).1, 1);
}

#[test]
fn a_database_of_the_go_tracker_is_taken_over_in_place() {
    let (_directory, path) = place();
    go_database(&path);
    let mut desk = Desk::file(&path);
    let mut registered: Vec<_> = desk.loaded.registered.iter().map(|(hashes, _)| *hashes).collect();
    registered.sort_by_key(|hashes| hashes.v1().is_none());
    assert_eq!(registered[0].best_hex(), long(2), "the older row owns the v1 hash");
    assert!(matches!(registered[0], InfoHashes::Hybrid(..)));
    assert_eq!(registered[1].best_hex(), long(0xab));
    assert!(matches!(registered[1], InfoHashes::V2(_)));
    let peers: Vec<_> = (desk.loaded.former_peers.iter())
        .map(|peer| (peer.key, peer.peer_id.0[0], peer.address.to_string(), peer.seen, peer.complete))
        .collect();
    let (v1, v2) = (registered[0].v1().expect("a hybrid").key(), registered[0].primary_key());
    assert_eq!(
        peers,
        [
            (v2, 0xff, "192.0.2.1:6881".to_owned(), 1_000, true),
            (v1, b'-', "[2001:db8::1]:6882".to_owned(), 2_000, false),
            (v1, 0xfe, "192.0.2.2:6883".to_owned(), 3_000, false),
        ]
    );
    assert_eq!(desk.search(text("")).0, ["", "mixed", "older"]);
    assert!(
        desk.entry_json(&long(0xab))
            .starts_with(&format!(r#"{{"info_hash":"{}","#, long(0xAB).to_uppercase()))
    );
    assert!(desk.entry_json(&short(1)).contains("older"));
    assert!(desk.entry_json("Odd Key").contains(r#""info_hash":"Odd Key","name":"","verified":false"#));
    assert_eq!(
        desk.ask(Question::Meta(HashText::new(long(2)))),
        error(500, "Error parsing torrent data"),
        "kept as it is"
    );
    assert_eq!(desk.register_at(&plain(&short(7), "new"), 1_600_000_000).0, created());
    assert_eq!(desk.search(text("")).0[0], "new");
    assert_eq!(desk.takedown("Odd Key", "").0, ok("deleted"));
    assert_eq!(desk.takedown("Odd Key", "").0, ok("deleted"), "and again");
    assert_eq!(
        desk.register(&plain(&long(0xab), "again")),
        error(409, "hash already belongs to another entry")
    );
    desk.close();
    let db = Connection::open(&path).expect("opens");
    let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).expect(sql);
    assert_eq!(one("SELECT created_at FROM registry WHERE name = 'new'"), "2020-09-13 12:26:40");
    assert_eq!(
        one("SELECT group_concat(user_id || uploaded || downloaded) FROM usage_backlog ORDER BY 1"),
        "v56,u46"
    );
    assert_eq!(db.query_row("SELECT count(*) FROM peers", [], |row| row.get(0)), Ok(0));
    Desk::file(&path).close();
}
