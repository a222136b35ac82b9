//! Registry-api section 4, row by row.

use super::support::*;
use weightless::base::InfoHashes;
use weightless::mailbox::{AdmissionChange, FromStore, ToWriter};
use weightless::registry::{Answer, HashText, Question};

fn body(changes: &[(&str, serde_json::Value)]) -> String {
    let mut body = serde_json::json!({ "info_hash": long(1), "name": "n" });
    for (field, value) in changes {
        body[*field] = value.clone();
    }
    body.to_string()
}

#[test]
fn each_field_has_its_rule_and_its_text() {
    let mut desk = Desk::memory();
    let long_text = |bytes: usize| serde_json::json!("x".repeat(bytes));
    let cases: Vec<(&str, serde_json::Value, u16, &str)> = vec![
        ("info_hash", "".into(), 400, "Missing info_hash or name"),
        ("info_hash", serde_json::Value::Null, 400, "Missing info_hash or name"),
        ("info_hash", "abc".into(), 400, "Invalid info_hash: must be 40 or 64 hex characters"),
        ("info_hash", "g".repeat(64).into(), 400, "Invalid info_hash: must be 40 or 64 hex characters"),
        ("name", "".into(), 400, "Missing info_hash or name"),
        ("name", long_text(256), 400, "Invalid name: must be 1-255 bytes without control characters"),
        ("name", "a\tb".into(), 400, "Invalid name: must be 1-255 bytes without control characters"),
        ("v1_info_hash", "abc".into(), 400, "Invalid v1_info_hash"),
        ("v1_info_hash", long(2).into(), 400, "Invalid v1_info_hash"),
        ("description", long_text(65_537), 400, "Invalid description"),
        ("description", "a\u{7}".into(), 400, "Invalid description"),
        ("publisher", long_text(256), 400, "Invalid publisher"),
        ("license", "a\nb".into(), 400, "Invalid license"),
        ("category", long_text(256), 400, "Invalid category"),
        ("tags", long_text(1025), 400, "Invalid tags"),
        ("size", (-1).into(), 400, "Invalid size"),
        ("size", 1.5.into(), 400, "Invalid size"),
        ("size", (i64::MAX as u64 + 1).into(), 400, "Invalid size"),
        ("size", "1".into(), 400, "Invalid JSON body"),
        ("tags", serde_json::json!(["a"]), 400, "Invalid JSON body"),
        ("torrent_data", "a".into(), 400, "Invalid torrent_data"),
        ("torrent_data", "YQ".into(), 400, "Invalid torrent_data"),
        ("torrent_data", "YQ==".into(), 400, "torrent_data is not a valid torrent"),
        ("idt_data", "YQ==".into(), 400, "idt_data is not a valid idtorrent"),
        ("idt_data", "YQ".into(), 400, "idt_data is not a valid idtorrent"),
        ("signature", "ab".into(), 400, "publisher_key and signature must come together"),
    ];
    for (field, value, status, text) in cases {
        let answer = desk.register(&body(&[(field, value.clone())]));
        assert_eq!(
            answer,
            error(status, text),
            "{field} {}",
            &value.to_string()[..value.to_string().len().min(40)]
        );
    }
    assert_eq!(desk.entry(&long(1)), error(404, "Not found"), "nothing of all that was stored");
}

#[test]
fn each_field_is_taken_at_its_bound() {
    let mut desk = Desk::memory();
    let text = |bytes: usize| serde_json::json!("x".repeat(bytes));
    let answer = desk.register(&body(&[
        ("info_hash", long(0xabcd).to_uppercase().into()),
        ("name", text(255)),
        ("v1_info_hash", short(0xef).to_uppercase().into()),
        ("description", serde_json::json!(format!("\t\n\r{}", "x".repeat(65_533)))),
        ("publisher", text(255)),
        ("license", text(255)),
        ("category", text(255)),
        ("tags", text(1024)),
        ("size", i64::MAX.into()),
        ("unknown", serde_json::json!({ "a": [1, null] })),
    ]));
    assert_eq!(answer, created());
    let json = desk.entry_json(&short(0xef));
    let start = format!(r#"{{"info_hash":"{}","v1_info_hash":"{}","name":"xxx"#, long(0xabcd), short(0xef));
    assert!(json.starts_with(&start), "{}", &json[..150]);
    assert!(json.contains(r#""size":9223372036854775807,"#));
    assert!(json.ends_with(','));
}

#[test]
fn bodies_that_are_too_long_are_refused_but_torrents_do_not_count() {
    let mut desk = Desk::memory();
    let padded = |bytes: usize| {
        let bare = body(&[("x", "".into())]).len();
        body(&[("x", "y".repeat(bytes - bare).into())])
    };
    assert_eq!(desk.register(&padded(1024 * 1024)), created());
    assert_eq!(desk.register(&padded(1024 * 1024 + 1)), error(413, "Request body too large"));
    // Two MiB of payload in a key that nobody reads is still a torrent.
    let info = V1_INFO;
    let filler = "z".repeat(2 * 1024 * 1024);
    let file = format!("d7:comment{}:{filler}4:info{info}e", filler.len());
    let big = format!(
        r#"{{"info_hash":"{}","name":"t","torrent_data":"{}"}}"#,
        v1_of(info),
        base64(file.as_bytes()).replace('/', "\\/")
    );
    assert_eq!(desk.register(&big), created());
}

#[test]
fn a_torrent_must_be_the_one_it_is_registered_as() {
    let mut desk = Desk::memory();
    let (v1, v2) = (v1_of(HYBRID_INFO), v2_of(HYBRID_INFO));
    let given = |v1: &str| format!(r#","v1_info_hash":"{v1}""#);
    let cases = [
        (with_torrent(&v2_of(V2_INFO), HYBRID_INFO, ""), 422, "torrent_data does not match info_hash"),
        (with_torrent(&v1_of(V2_INFO), V1_INFO, ""), 422, "torrent_data does not match info_hash"),
        (with_torrent(&v2_of(V1_INFO), V1_INFO, ""), 422, "torrent_data does not match info_hash"),
        (with_torrent(&v1_of(V2_INFO), V2_INFO, ""), 422, "torrent_data does not match info_hash"),
        (with_torrent(&v1, HYBRID_INFO, ""), 422, "info_hash must be the v2 hash of a hybrid torrent"),
        (with_torrent(&v2, HYBRID_INFO, &given(&short(9))), 422, "torrent_data does not match v1_info_hash"),
        (
            with_torrent(&v2_of(V2_INFO), V2_INFO, &given(&v1_of(V2_INFO))),
            422,
            "torrent_data does not match v1_info_hash",
        ),
    ];
    for (body, status, text) in cases {
        assert_eq!(desk.register(&body), error(status, text), "{body}");
    }
    assert_eq!(desk.register(&with_torrent(&v2, HYBRID_INFO, &given(&v1))), created());
    assert_eq!(desk.register(&with_torrent(&v1_of(V1_INFO), V1_INFO, "")), created());
    assert_eq!(desk.register(&with_torrent(&v2_of(V2_INFO), V2_INFO, "")), created());
}

#[test]
fn a_torrent_fills_in_what_was_left_out_and_loses_its_passkey() {
    let mut desk = Desk::memory();
    let (v1, v2) = (v1_of(HYBRID_INFO), v2_of(HYBRID_INFO));
    let (answer, changes) = desk.register_at(&with_torrent(&v2, HYBRID_INFO, ""), 5);
    assert_eq!(answer, created());
    let [AdmissionChange::Registered { hashes: InfoHashes::Hybrid(..), before: None, completions: 0 }] =
        &changes[..]
    else {
        panic!("{changes:?}")
    };
    let expected = format!(
        r#"{{"info_hash":"{v2}","v1_info_hash":"{v1}","name":"t","verified":false,"completions":0,"size":5,"#
    );
    assert_eq!(desk.entry_json(&v1), expected);
    assert_eq!(desk.entry_json(&v2[..40]), expected, "the cut v2 hash finds it too");
    let Answer::File { bytes, name, hash, sha256, .. } = desk.ask(download(HashText::new(v1))) else {
        panic!("no file")
    };
    assert_eq!((bytes.as_slice(), name.as_str(), hash), (&stored(HYBRID_INFO)[..], "t", v2.clone()));
    assert_eq!(sha256, Some(weightless::registry::registration::sha256_hex(&bytes)));
    assert_eq!(desk.register(&with_torrent(&v2, HYBRID_INFO, r#","size":7"#)), created());
    assert!(desk.entry_json(&v2).contains(r#""size":7,"#), "a size that is given stands");
}

#[test]
fn an_update_replaces_what_it_must_and_keeps_what_it_may() {
    let mut desk = Desk::memory();
    let v2 = v2_of(HYBRID_INFO);
    let first = with_torrent(&v2, HYBRID_INFO, r#","tags":"a","category":"c","description":"d""#);
    desk.register_at(&first, 100);
    desk.verify(&v2, true);
    let (_, changes) = desk.register_at(&plain(&v2, "new"), 200);
    let [AdmissionChange::Registered { hashes, before, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(Some(hashes), before.as_ref(), "the v1 hash is kept");
    let json = desk.entry_json(&v2);
    assert!(json.contains(r#""name":"new","verified":true"#), "{json}");
    assert!(!json.contains("tags") && !json.contains("category") && !json.contains("description"), "{json}");
    // It is still as old as it was: one that was registered between the two comes before it.
    desk.register_at(&plain(&long(7), "between"), 150);
    assert_eq!(desk.search(text("")).0, ["between", "new"]);
    desk.store.to_writer.send(ToWriter::Completions(vec![(*hashes, 5)])).expect("the writer lives");
    desk.register_at(&plain(&v2, "new"), 250);
    assert!(desk.entry_json(&v2).contains(r#""completions":5,"#), "{}", desk.entry_json(&v2));
    assert!(matches!(desk.ask(download(HashText::new(v2.clone()))), Answer::File { .. }));
    let null = format!(r#"{{"info_hash":"{v2}","name":"n","torrent_data":null,"v1_info_hash":null}}"#);
    assert_eq!(desk.register(&null), created());
    assert!(matches!(desk.ask(download(HashText::new(v2.clone()))), Answer::File { .. }));
    let clear = format!(r#"{{"info_hash":"{v2}","name":"n","torrent_data":"","v1_info_hash":""}}"#);
    let (_, changes) = desk.register_at(&clear, 300);
    assert!(
        matches!(
            &changes[..],
            [AdmissionChange::Registered {
                hashes: InfoHashes::V2(_),
                before: Some(InfoHashes::Hybrid(..)),
                ..
            }]
        ),
        "{changes:?}"
    );
    assert_eq!(desk.ask(download(HashText::new(v2.clone()))), error(404, "Torrent not found"));
    assert_eq!(desk.ask(Question::Meta(HashText::new(v2))), error(404, "No torrent data available"));
}

#[test]
fn a_hash_belongs_to_one_entry() {
    let mut desk = Desk::memory();
    let hybrid = |v2: &str, v1: &str| {
        serde_json::json!({ "info_hash": v2, "name": "n", "v1_info_hash": v1 }).to_string()
    };
    let taken = || error(409, "hash already belongs to another entry");
    assert_eq!(desk.register(&hybrid(&long(1), &short(2))), created());
    assert_eq!(desk.register(&hybrid(&long(3), &short(2))), taken(), "v1 of both");
    assert_eq!(desk.register(&plain(&short(2), "n")), taken(), "v1 as an entry of its own");
    assert_eq!(desk.register(&plain(&short(1), "n")), taken(), "v1 equal to a cut v2");
    assert_eq!(desk.register(&hybrid(&long(4), &short(1))), taken(), "v1 equal to a cut v2 of another");
    assert_eq!(desk.register(&plain(&long(2), "n")), taken(), "cut v2 equal to another's v1");
    assert_eq!(desk.register(&hybrid(&long(1), &short(5))), created(), "its own row may change");
    assert_eq!(desk.register(&plain(&short(2), "n")), created(), "so the old hash is free");
}

#[test]
fn one_bad_request_does_not_spoil_its_batch() {
    let mut desk = Desk::memory();
    let bodies = [plain(&long(1), "a"), plain(&short(1), "taken"), "junk".to_owned(), plain(&long(2), "b")];
    let tickets: Vec<_> = bodies.iter().map(|_| desk.ticket()).collect();
    for (ticket, body) in tickets.iter().zip(&bodies) {
        let mail = ToWriter::Register { ticket: *ticket, body: body.clone().into_bytes(), at: 1 };
        desk.store.to_writer.send(mail).expect("the writer lives");
    }
    let mut answers = std::collections::HashMap::new();
    while answers.len() < 4 {
        if let FromStore::Answered { ticket, answer } = desk.next_mail() {
            answers.insert(ticket, answer);
        }
    }
    assert_eq!(answers[&tickets[0]], created());
    assert_eq!(answers[&tickets[1]], error(409, "hash already belongs to another entry"));
    assert_eq!(answers[&tickets[2]], error(400, "Invalid JSON body"));
    assert_eq!(answers[&tickets[3]], created());
    assert_eq!(desk.search(text("")).1, 2);
}
