//! Idtorrents at the registry: idtorrent section 3, "Registry", row by row.

use super::support::*;
use data_encoding::BASE64;
use serde_json::{Value, json};
use weightless::base::{InfoHashes, V1Hash};
use weightless::mailbox::AdmissionChange;
use weightless::registry::registration::sha256_hex;
use weightless::registry::{Answer, FileKind, HashText, Personal, Question};
use weightless::store::DbPath;
use weightless::torrent::signature::SecretKey;
use weightless::torrent::small::Idtorrent;
use weightless::torrent::v1_hash;

/// `f.bin` of the specification's vectors.
const ID: &str = "6740ead71df2a688d9845bc14bab1f985930a127";

fn metafile() -> Vec<u8> {
    let hash = |hex: &str| V1Hash::from_hex(hex.as_bytes()).expect("hex").0;
    let hashes = vec![
        hash("0ac28084ff74933d05123496dafd3791684d9b53"),
        hash("12cb9b5124006e2075855a436aa9774ff8c00467"),
        hash("7888638c14116343eb7e13f282a132be5ac6efe5"),
    ];
    let made = Idtorrent::new("f.bin".to_owned(), 2500, 1024, hashes).expect("within the rules");
    assert_eq!(made.file_id().to_string(), ID);
    made.write()
}

/// A registration of it with some fields changed.
fn body(more: Value) -> String {
    let mut body = json!({"info_hash": ID, "name": "label", "idt_data": BASE64.encode(&metafile())});
    more.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
    body.to_string()
}

fn id() -> HashText {
    HashText(ID.to_owned())
}

fn file(desk: &mut Desk) -> (Vec<u8>, FileKind, String) {
    match desk.ask(download(id())) {
        Answer::File { bytes, kind, name, .. } => (bytes, kind, name),
        other => panic!("no file but {other:?}"),
    }
}

#[test]
fn an_idtorrent_is_registered_found_and_fetched_byte_for_byte() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let (answer, changes) = desk.register_at(&body(json!({"tags": "a"})), 1000);
    assert_eq!(answer, created());
    let hashes = InfoHashes::V1(V1Hash::from_hex(ID.as_bytes()).expect("hex"));
    assert_eq!(changes, [AdmissionChange::Registered { hashes, before: None, completions: 0 }]);
    let entry = format!(
        r#"{{"info_hash":"{ID}","name":"label","verified":false,"completions":0,"kind":"idtorrent","size":2500,"tags":"a","#
    );
    assert_eq!(desk.entry_json(ID), entry);
    assert_eq!(desk.search(text("LAB")), (vec!["label".to_owned()], 1));
    let expected = (metafile(), FileKind::Idtorrent, "f.bin".to_owned());
    assert_eq!(file(&mut desk), expected);
    let known = format!("\"{}\"", &sha256_hex(&metafile())[..32]);
    let question = Question::Torrent { hash: id(), known: Some(known), personal: None };
    assert!(matches!(desk.ask(question), Answer::NotModified { .. }));
    let personal = Some(Personal { passkey: "u.00".to_owned(), hosts: Vec::new() });
    let Answer::File { bytes, kind, name, sha256: None, .. } =
        desk.ask(Question::Torrent { hash: id(), known: None, personal })
    else {
        panic!("no copy")
    };
    assert_eq!((bytes, kind, name), expected);
    let meta = r#"{"name":"f.bin","piece_length":1024,"piece_count":3,"total_size":2500,"files":[{"path":"f.bin","length":2500}]}"#;
    assert_eq!(desk.ask(Question::Meta(id())), Answer::Json { status: 200, body: meta.as_bytes().to_vec() });
    let magnet = Question::Magnet { hash: id(), trackers: Vec::new() };
    assert_eq!(desk.ask(magnet), error(404, "No magnet link for an idtorrent"));
    desk.close();
    let mut again = Desk::file(&path);
    assert_eq!(again.loaded.registered, [(hashes, 0)], "who announces it is let in");
    assert_eq!(file(&mut again), expected);
}

#[test]
fn what_is_wrong_with_one_is_told() {
    let mut desk = Desk::memory();
    let data = |change: &dyn Fn(String) -> String| {
        let changed = change(String::from_utf8(metafile()).expect("UTF-8"));
        json!({"idt_data": BASE64.encode(changed.as_bytes())})
    };
    let not_one = "idt_data is not a valid idtorrent";
    let mismatch = "idt_data does not match info_hash";
    let signature = SecretKey::from_seed(&[1; 32]).sign(&InfoHashes::V1(V1Hash([7; 20])));
    let signed = json!({"publisher_key": signature.key_hex(), "signature": signature.hex()});
    let torrent = BASE64.encode(&torrent(V1_INFO));
    for (more, status, text) in [
        (json!({"idt_data": "YQ"}), 400, not_one),
        (json!({"idt_data": "YQ==YQ=="}), 400, not_one),
        (json!({"idt_data": torrent}), 400, not_one),
        (data(&|text| text.replace("f.bin", "../f")), 400, not_one),
        (data(&|text| text.replace("2500", "2501")), 400, not_one),
        (data(&|text| text + "x"), 400, not_one),
        (data(&|text| text + &" ".repeat(8 << 20)), 400, not_one),
        (data(&|text| text.replace(&format!(",\n  \"file_id\": \"{ID}\""), "")), 400, not_one),
        (json!({"info_hash": "ab".repeat(20)}), 422, mismatch),
        (json!({"info_hash": format!("{ID}{}", "0".repeat(24))}), 422, mismatch),
        (json!({"torrent_data": torrent}), 400, "torrent_data and idt_data exclude each other"),
        (json!({"torrent_data": ""}), 400, "torrent_data and idt_data exclude each other"),
        (signed, 400, "signature needs a torrent"),
    ] {
        assert_eq!(desk.register(&body(more.clone())), error(status, text), "{:.80}", more.to_string());
    }
    assert_eq!(desk.entry(ID), error(404, "Not found"));
    // Null is absent, and what was chosen by the uploader stays.
    assert_eq!(desk.register(&body(json!({"torrent_data": null, "size": 7}))), created());
    assert!(desk.entry_json(ID).contains(r#""size":7"#));
    let upper = body(json!({"info_hash": ID.to_uppercase(), "v1_info_hash": ID}));
    assert_eq!(desk.register(&upper), created());
}

/// With as many chunks as there may be, which is more than the other fields of a body may take up.
#[test]
fn a_large_metafile_is_taken() {
    let hashes = (0..102_400u32).map(|n| std::array::from_fn(|at| (n >> (at % 4 * 8)) as u8)).collect();
    let made = Idtorrent::new("large".to_owned(), 102_400 * 1024, 1024, hashes).expect("within the rules");
    let id = made.file_id().to_string();
    let body = json!({"info_hash": id, "name": "n", "idt_data": BASE64.encode(&made.write())}).to_string();
    assert!(body.len() > 5 << 20);
    let mut desk = Desk::memory();
    assert_eq!(desk.register(&body), created());
    assert!(desk.entry_json(&id).contains(r#""kind":"idtorrent","size":104857600"#));
}

#[test]
fn an_update_without_a_file_keeps_it_and_an_empty_one_clears_it() {
    let mut desk = Desk::memory();
    assert_eq!(desk.register(&body(json!({}))), created());
    assert_eq!(desk.register(&body(json!({"idt_data": null, "name": "other"}))), created());
    assert!(
        desk.entry_json(ID).contains(r#""name":"other","verified":false,"completions":0,"kind":"idtorrent""#)
    );
    assert_eq!(file(&mut desk).1, FileKind::Idtorrent);
    let signature = SecretKey::from_seed(&[1; 32]).sign(&InfoHashes::V1(V1Hash([7; 20])));
    let signed =
        json!({"idt_data": null, "publisher_key": signature.key_hex(), "signature": signature.hex()});
    assert_eq!(desk.register(&body(signed)), error(400, "signature needs a torrent"));
    assert_eq!(desk.register(&body(json!({"idt_data": ""}))), created());
    assert!(!desk.entry_json(ID).contains("kind"));
    assert_eq!(desk.ask(download(id())), error(404, "Torrent not found"));
    assert_eq!(desk.register(&body(json!({}))), created());
    assert!(desk.entry_json(ID).contains(r#""kind":"idtorrent""#));
}

/// Decision 5 of section 2. (Nobody can make an id equal a real torrent's hash; a row can be there without a check.)
#[test]
fn an_id_that_is_a_torrents_hash_is_taken() {
    let mut desk = Desk::memory();
    let hybrid = json!({"info_hash": "cd".repeat(32), "v1_info_hash": ID, "name": "a hybrid"}).to_string();
    assert_eq!(desk.register(&hybrid), created());
    assert_eq!(desk.register(&body(json!({}))), error(409, "hash already belongs to another entry"));

    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let v1 = v1_hash(V1_INFO.as_bytes()).to_string();
    let torrent = BASE64.encode(&torrent(V1_INFO));
    let registration = json!({"info_hash": v1, "name": "t", "torrent_data": torrent}).to_string();
    assert_eq!(desk.register(&registration), created());
    desk.close();
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute("UPDATE registry SET info_hash = ?1", [ID]).expect("a row");
    drop(db);
    let mut desk = Desk::file(&path);
    assert_eq!(desk.register(&body(json!({}))), error(409, "hash already belongs to another entry"));
    assert_eq!(desk.register(&body(json!({"idt_data": null}))), created(), "it is still a torrent's row");
}

#[test]
fn a_takedown_blocks_the_id() {
    let mut desk = Desk::open(DbPath::Memory).expect("the store opens");
    assert_eq!(desk.register(&body(json!({}))), created());
    let (answer, changes) = desk.takedown(ID, "why");
    assert_eq!(answer, ok("deleted"));
    let key = V1Hash::from_hex(ID.as_bytes()).expect("hex").key();
    assert_eq!(changes, [AdmissionChange::Blocked { keys: vec![key] }]);
    assert_eq!(desk.search(text("label")), (vec![], 0));
    assert_eq!(desk.register(&body(json!({}))), error(403, "info_hash is blocked"));
    assert_eq!(desk.unblock(ID).0, ok("unblocked"));
    assert_eq!(desk.register(&body(json!({}))), created());
}

/// A file of the Go tracker has no column for it.
#[test]
fn an_old_database_takes_them_after_its_migration() {
    let (_directory, path) = place();
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute_batch(
        "CREATE TABLE registry (info_hash TEXT PRIMARY KEY, v1_info_hash TEXT, name TEXT NOT NULL, description TEXT,
             publisher TEXT, license TEXT, size INTEGER, category TEXT, tags TEXT, torrent_data BLOB,
             verified BOOLEAN DEFAULT 0, completions INTEGER DEFAULT 0, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO registry (info_hash, name) VALUES ('abababababababababababababababababababab', 'old');",
    )
    .expect("the old schema");
    drop(db);
    let mut desk = Desk::file(&path);
    assert_eq!(desk.register(&body(json!({}))), created());
    assert_eq!(file(&mut desk), (metafile(), FileKind::Idtorrent, "f.bin".to_owned()));
    assert!(!desk.entry_json(&"ab".repeat(20)).contains("kind"));
}
