//! Registry-api sections 5 and 6.

use super::support::*;
use weightless::mailbox::AdmissionChange;
use weightless::registry::{Answer, HashText, Page, Question};

fn blocklist(desk: &mut Desk) -> (serde_json::Value, u64) {
    match desk.ask(Question::Blocklist(Page { limit: 50, offset: 0 })) {
        Answer::List { body, total } => (serde_json::from_slice(&body).expect("JSON"), total),
        other => panic!("no list but {other:?}"),
    }
}

fn blocked_keys(changes: &[AdmissionChange]) -> Vec<String> {
    match changes {
        [AdmissionChange::Blocked { keys }] => keys.iter().map(ToString::to_string).collect(),
        other => panic!("no takedown but {other:?}"),
    }
}

#[test]
fn a_takedown_by_any_hash_blocks_all_of_them_for_good() {
    for by in [long(1), short(1), short(2)] {
        let (_directory, path) = place();
        let mut desk = Desk::file(&path);
        let hybrid = format!(r#"{{"info_hash":"{}","name":"n","v1_info_hash":"{}"}}"#, long(1), short(2));
        assert_eq!(desk.register(&hybrid), created());
        let (answer, changes) = desk.takedown(&by, "because");
        assert_eq!(answer, ok("deleted"));
        assert_eq!(blocked_keys(&changes), [short(1), short(2)]);
        assert_eq!(desk.entry(&long(1)), error(404, "Not found"));
        assert_eq!(desk.search(text("n")), (vec![], 0));
        for body in [plain(&long(1), "n"), plain(&short(1), "n"), plain(&short(2), "n"), plain(&long(2), "n")]
        {
            assert_eq!(desk.register(&body), error(403, "info_hash is blocked"), "{body}");
        }
        desk.close();
        let mut again = Desk::file(&path);
        let mut keys: Vec<_> = again.loaded.blocked.iter().map(ToString::to_string).collect();
        keys.sort();
        assert_eq!(keys, [short(1), short(2)]);
        assert!(again.loaded.registered.is_empty());
        assert_eq!(again.register(&hybrid), error(403, "info_hash is blocked"));
    }
}

#[test]
fn an_unknown_hash_is_blocked_all_the_same_and_the_first_reason_stands() {
    let mut desk = Desk::memory();
    for reason in ["first", "second"] {
        let (answer, changes) = desk.takedown(&short(1), reason);
        assert_eq!((answer, blocked_keys(&changes)), (ok("deleted"), vec![short(1)]));
    }
    let (list, total) = blocklist(&mut desk);
    assert_eq!(total, 1);
    assert_eq!(list[0]["reason"], "first");
    assert_eq!(desk.register(&plain(&long(1), "n")), error(403, "info_hash is blocked"), "section 5 rule 5");
    assert_eq!(desk.takedown("odd", "").0, error(400, "Invalid info_hash"));
    assert_eq!(desk.takedown(&short(2), &"x".repeat(1024)).0, ok("deleted"));
    assert_eq!(desk.takedown(&short(3), &"x".repeat(1025)).0, error(400, "Invalid reason"));
}

#[test]
fn the_blocklist_is_newest_first_in_pages() {
    let mut desk = Desk::memory();
    for n in 1..=3 {
        desk.takedown(&short(n), "r\"");
    }
    let (list, total) = blocklist(&mut desk);
    let hashes: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|item| item["info_hash"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!((hashes, total), (vec![short(3), short(2), short(1)], 3));
    let page = desk.ask(Question::Blocklist(Page { limit: 1, offset: 1 }));
    let body = format!(r#"[{{"info_hash":"{}","reason":"r\"","created_at":2002}}]"#, short(2)).into_bytes();
    assert_eq!(page, Answer::List { body, total: 3 });
    let beyond = desk.ask(Question::Blocklist(Page { limit: 1, offset: u64::MAX }));
    assert_eq!(beyond, Answer::List { body: b"[]".to_vec(), total: 3 });
}

#[test]
fn unblocking_takes_the_partner_along_and_the_row_stays_gone() {
    for by in [long(1), short(1), short(2)] {
        let mut desk = Desk::memory();
        let hybrid = format!(r#"{{"info_hash":"{}","name":"n","v1_info_hash":"{}"}}"#, long(1), short(2));
        desk.register(&hybrid);
        assert_eq!(desk.unblock(&by).0, error(404, "Not found"), "nothing is blocked yet");
        desk.takedown(&short(2), "");
        let (answer, changes) = desk.unblock(&by);
        assert_eq!(answer, ok("unblocked"));
        let [AdmissionChange::Unblocked { keys }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(keys.len(), 2);
        assert_eq!(blocklist(&mut desk).1, 0);
        assert_eq!(desk.entry(&long(1)), error(404, "Not found"));
        assert_eq!(desk.register(&hybrid), created());
    }
}

#[test]
fn the_operator_verifies_entries_by_any_hash() {
    let mut desk = Desk::memory();
    desk.register(&plain(&long(1), "n"));
    assert_eq!(desk.verify(&short(1), true), ok("updated"));
    assert!(desk.entry_json(&long(1)).contains(r#""verified":true"#));
    assert_eq!(desk.verify(&long(1), false), ok("updated"));
    assert!(desk.entry_json(&long(1)).contains(r#""verified":false"#));
    assert_eq!(desk.verify(&long(2), true), error(404, "Not found"));
    assert_eq!(desk.ask(download(HashText::new("x".to_owned()))), error(404, "Torrent not found"));
}
