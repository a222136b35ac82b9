//! Section 10: scrapes over HTTP.

use crate::support::{Daemon, PEER, hash, hybrid};
use weightless::base::SwarmKey;
use weightless::mailbox::Loaded;
use weightless::tracker::Access;

fn files(daemon: &mut Daemon, query: &str) -> Vec<(Vec<u8>, String)> {
    let reply = daemon.get(PEER, &format!("/scrape?{query}"));
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/plain")), "{query}");
    let files = reply.dict().get(b"files").expect("files");
    let text = |raw: &[u8]| String::from_utf8(raw.to_vec()).expect("only numbers");
    files.as_dict().expect("a dictionary").map(|(key, value)| (key.to_vec(), text(value.raw()))).collect()
}

const ZERO: &str = "d8:completei0e10:downloadedi0e11:downloadersi0e10:incompletei0ee";

#[test]
fn no_hash_gives_no_files() {
    let mut daemon = Daemon::new();
    daemon.announce(PEER, &hash(1), "left=1");
    for query in ["", "x=y", "info_hash=", "info_hash"] {
        assert_eq!(files(&mut daemon, query), [], "{query}");
    }
    assert_eq!(daemon.get(PEER, "/scrape").text(), "d5:filesdee");
}

#[test]
fn keys_are_as_sent_sorted_and_merged() {
    let mut daemon = Daemon::registered(&[hybrid(9, 2)]);
    daemon.announce(PEER, &hash(9), "left=1");
    let one = "d8:completei0e10:downloadedi0e11:downloadersi1e10:incompletei1ee".to_owned();
    let query = format!(
        "info_hash={}&info_hash={}&info_hash={}&info_hash={}&info_hash={}",
        hash(9),
        "%02".repeat(32),
        hash(2),
        hash(9),
        hash(7)
    );
    let expected = [(vec![2; 20], one.clone()), (vec![2; 32], one.clone()), (vec![9; 20], one)];
    assert_eq!(files(&mut daemon, &query), expected);
}

#[test]
fn what_is_no_hash_or_not_served_is_skipped() {
    let loaded = Loaded { blocked: vec![SwarmKey([9; 20])], ..Loaded::default() };
    let mut daemon = Daemon::loaded(&loaded, |_| {});
    let bad = ["abc", "%zz", "%", &"x".repeat(21), &"x".repeat(33), &hash(9)]
        .map(|h| format!("info_hash={h}&"))
        .concat();
    assert_eq!(files(&mut daemon, &format!("{bad}info_hash={}", hash(1))), [(vec![1; 20], ZERO.to_owned())]);
    let mut daemon = Daemon::loaded(&loaded, |settings| settings.policy.access = Access::Registered);
    assert_eq!(files(&mut daemon, &format!("info_hash={}", hash(1))), []);
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    let two = format!("info_hash={}&info_hash={}", hash(1), hash(3));
    assert_eq!(files(&mut daemon, &two), [(vec![1; 20], ZERO.to_owned())]);
}

#[test]
fn partial_seeds_are_incomplete_but_no_downloaders() {
    let mut daemon = Daemon::new();
    daemon.announce("192.0.2.1:1", &hash(1), "left=1");
    daemon.announce("192.0.2.2:1", &hash(1), "left=1&event=paused");
    daemon.announce("[2001:db8::1]:1", &hash(1), "left=1&event=completed");
    let stats = "d8:completei1e10:downloadedi1e11:downloadersi1e10:incompletei2ee".to_owned();
    assert_eq!(files(&mut daemon, &format!("info_hash={}", hash(1))), [(vec![1; 20], stats)]);
}

#[test]
fn as_many_hashes_as_the_head_takes() {
    let mut daemon = Daemon::new();
    let query: Vec<String> = (0..114u8).map(|n| format!("info_hash={}", hash(n))).collect();
    assert_eq!(files(&mut daemon, &query.join("&")).len(), 114);
}

#[test]
fn a_scrape_leaves_no_swarm_behind() {
    let mut daemon = Daemon::new();
    files(&mut daemon, &format!("info_hash={}", hash(1)));
    assert!(daemon.get(PEER, "/metrics").text().contains("\ntracker_swarms_total 0\n"));
}
