//! Registry-api section 3: lookups, search, metadata.

use super::support::*;
use weightless::base::V2Hash;
use weightless::mailbox::{FromStore, ToReader, ToWriter};
use weightless::registry::{Answer, HashText, Question, Search, Sort};

fn filled() -> Desk {
    let mut desk = Desk::memory();
    let rows = [
        (1, "Linux ISO", "os", "acme", "a,b", 30),
        (2, "linux 100%_done", "os", "ACME", "B,c", 20),
        (3, "Ärzte\\live", "music", "acme", "", 20),
        (4, "li", "", "", "x_y%", 10),
    ];
    for (n, name, category, publisher, tags, at) in rows {
        let body = serde_json::json!({
            "info_hash": long(n), "name": name, "category": category, "publisher": publisher, "tags": tags,
        });
        assert_eq!(desk.register_at(&body.to_string(), at).0, created());
    }
    desk
}

fn names(desk: &mut Desk, search: Search) -> Vec<String> {
    let (names, total) = desk.search(search);
    assert_eq!(names.len() as u64, total);
    names
}

#[test]
fn every_filter_is_exact_and_wildcards_are_letters() {
    let mut desk = filled();
    let base = || text("");
    assert_eq!(names(&mut desk, base()), ["Linux ISO", "linux 100%_done", "Ärzte\\live", "li"]);
    assert_eq!(names(&mut desk, text("LINUX")), ["Linux ISO", "linux 100%_done"]);
    assert_eq!(names(&mut desk, text("li")), ["Linux ISO", "linux 100%_done", "Ärzte\\live", "li"]);
    assert_eq!(names(&mut desk, text("äRZ")), ["Ärzte\\live"]);
    assert_eq!(names(&mut desk, text("%")), ["linux 100%_done"]);
    assert_eq!(names(&mut desk, text("0%_")), ["linux 100%_done"]);
    assert_eq!(names(&mut desk, text("_")), ["linux 100%_done"]);
    assert_eq!(names(&mut desk, text("\\")), ["Ärzte\\live"]);
    let category = Search { category: "os".to_owned(), ..base() };
    assert_eq!(names(&mut desk, category), ["Linux ISO", "linux 100%_done"]);
    assert!(names(&mut desk, Search { category: "OS".to_owned(), ..base() }).is_empty());
    let publisher = Search { publisher: "acme".to_owned(), ..base() };
    assert_eq!(names(&mut desk, publisher), ["Linux ISO", "Ärzte\\live"]);
    assert_eq!(names(&mut desk, Search { tags: "b".to_owned(), ..base() }), ["Linux ISO", "linux 100%_done"]);
    assert_eq!(names(&mut desk, Search { tags: "_Y%".to_owned(), ..base() }), ["li"]);
    let both = Search { category: "os".to_owned(), publisher: "acme".to_owned(), ..text("iso") };
    assert_eq!(names(&mut desk, both), ["Linux ISO"]);
}

#[test]
fn the_three_orders_rank_every_match() {
    let mut desk = filled();
    let sorted = |sort| Search { sort, ..text("") };
    let key = |n| V2Hash::from_hex(long(n).as_bytes()).expect("hex").key();
    desk.store.to_reader.send(ToReader::Seeders(vec![(key(4), 3), (key(2), 1), (key(9), 5)])).expect("lives");
    let expected = ["li", "linux 100%_done", "Linux ISO", "Ärzte\\live"];
    assert_eq!(names(&mut desk, sorted(Sort::Seeders)), expected);
    desk.store.to_reader.send(ToReader::Seeders(vec![(key(4), 0)])).expect("lives");
    assert_eq!(names(&mut desk, sorted(Sort::Seeders))[0], "linux 100%_done");
    let hashes = weightless::base::InfoHashes::V2(V2Hash::from_hex(long(3).as_bytes()).expect("hex"));
    desk.store.to_writer.send(ToWriter::Completions(vec![(hashes, 7)])).expect("lives");
    desk.store.to_writer.send(ToWriter::Flush).expect("lives");
    assert!(matches!(desk.next_mail(), FromStore::Flushed { durable: true, .. }));
    assert_eq!(names(&mut desk, sorted(Sort::Completions))[0], "Ärzte\\live");
    assert!(desk.entry_json(&long(3)).contains(r#""completions":7"#));
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let mut desk = filled();
    let mut seen = Vec::new();
    for offset in 0..5 {
        let (page, total) = desk.search(Search { limit: 1, offset, ..text("") });
        assert_eq!(total, 4);
        seen.extend(page);
    }
    assert_eq!(seen, ["Linux ISO", "linux 100%_done", "Ärzte\\live", "li"]);
}

#[test]
fn what_a_change_did_is_found_by_the_next_search() {
    let mut desk = filled();
    assert_eq!(desk.register(&plain(&long(4), "renamed")), created());
    assert_eq!(desk.search(text("renamed")).1, 1);
    desk.takedown(&long(4), "");
    assert_eq!(desk.search(text("renamed")).1, 0);
}

#[test]
fn metadata_lists_files_without_pads() {
    let mut desk = Desk::memory();
    let info = "d5:filesld6:lengthi3e4:pathl1:d1:beed4:attr1:p6:lengthi16381e4:pathl4:.pad5:16381ee\
                d6:lengthi16384e4:pathl1:ceee4:name2:t\"12:piece lengthi16384e6:pieces40:\
                aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbe";
    assert_eq!(desk.register(&with_torrent(&v1_of(info), info, "")), created());
    let Answer::Json { status: 200, body } = desk.ask(Question::Meta(HashText::new(v1_of(info)))) else {
        panic!("no metadata")
    };
    let expected = concat!(
        r#"{"name":"t\"","piece_length":16384,"piece_count":2,"total_size":16387,"#,
        r#""files":[{"path":"d/b","length":3},{"path":"c","length":16384}]}"#
    );
    assert_eq!(String::from_utf8(body).expect("UTF-8"), expected);
    assert!(desk.entry_json(&v1_of(info)).contains(r#""size":16387"#));
    assert_eq!(desk.ask(Question::Meta(HashText::new(short(1)))), error(404, "Not found"));
    assert_eq!(desk.ask(Question::Ping), Answer::Json { status: 200, body: vec![] });
}
