//! Searches and entries as pages for people: the same rows as in the JSON, and what somebody registered stays text.

use super::support::*;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use weightless::registry::html::Html;
use weightless::registry::{Answer, HashText, Question, Search};

fn page(desk: &mut Desk, question: Question) -> Html {
    match desk.ask(question) {
        Answer::Html(page) => page,
        other => panic!("no page but {other:?}"),
    }
}

fn whole(page: &Html) -> String {
    page.parts.iter().map(|part| part.html.as_str()).chain([page.tail.as_str()]).collect()
}

fn entry_page(hash: &str) -> Question {
    let trackers = vec!["http://t.example/announce".to_owned()];
    Question::EntryPage { hash: HashText::new(hash.to_owned()), trackers }
}

#[test]
fn a_list_has_the_rows_of_the_search_in_its_order() {
    let mut desk = Desk::memory();
    for (n, name) in [(1, "alpha"), (2, "beta <b>"), (3, "alphabet")] {
        assert_eq!(desk.register_at(&plain(&long(n), name), u64::from(n)).0, created());
    }
    let search = |words: &str| Question::ListPage(Search { limit: 25, ..text(words) });
    let all = page(&mut desk, search(""));
    assert_eq!(all.title, "Browse");
    assert_eq!(all.parts.len(), 3);
    let at = |name: &str| whole(&all).find(&format!(">{name}</a>")).unwrap_or_else(|| panic!("no {name}"));
    assert!(at("alphabet") < at("beta &lt;b&gt;") && at("beta &lt;b&gt;") < at("alpha"), "newest first");
    assert!(all.parts.iter().all(|part| part.hashes.is_some()), "their counts can be looked up");
    let some = page(&mut desk, search("ALPHA"));
    assert_eq!((some.parts.len(), some.title.as_str()), (2, "ALPHA"));
    assert!(whole(&some).contains("<h1>2 entries</h1>"));
    assert!(whole(&page(&mut desk, search("nothing like it"))).contains("No match"));
    assert!(whole(&page(&mut Desk::memory(), search(""))).contains("Nothing here yet"));
}

#[test]
fn an_entry_offers_what_is_there() {
    let mut desk = Desk::memory();
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(HYBRID_INFO));
    let bare = plain(&hash, "a & b");
    assert_eq!(desk.register(&bare), created());
    let before = whole(&page(&mut desk, entry_page(&hash)));
    assert!(!before.contains("/api/registry/torrent") && before.contains("was not uploaded"), "{before}");
    assert!(
        before.contains("href=\"magnet:?xt=urn:btmh:1220") && before.contains("<h1>a &amp; b</h1>"),
        "{before}"
    );

    let file = BASE64.encode(&torrent(HYBRID_INFO));
    let body = serde_json::json!({
        "info_hash": hash, "name": "n", "torrent_data": file, "description": "d<", "license": "CC0", "tags": "x, y",
    });
    assert_eq!(desk.register(&body.to_string()), created());
    let after = whole(&page(&mut desk, entry_page(&hash)));
    for part in [
        format!("href=\"api/registry/torrent?info_hash={hash}\""),
        "xt=urn:btih:".to_owned(),
        "tr=http%3A%2F%2Ft.example%2Fannounce".to_owned(),
        "<p class=\"description\">d&lt;</p>".to_owned(),
        "<dt>Licence</dt><dd>CC0</dd>".to_owned(),
        "href=\"./?tags=y\"".to_owned(),
        "<dt>Size</dt><dd>5 B".to_owned(),
        "not signed".to_owned(),
        format!("wl get {hash} --tracker http://t.example"),
    ] {
        assert!(after.contains(&part), "{part} is not in {after}");
    }
    // By any of its hashes, as everywhere.
    let by_cut = whole(&page(&mut desk, entry_page(&hash[..40])));
    assert_eq!(by_cut, after);
    assert_eq!(desk.ask(entry_page(&long(9))), error(404, "Not found"));
    desk.takedown(&hash, "");
    assert_eq!(desk.ask(entry_page(&hash)), error(404, "Not found"));
}
