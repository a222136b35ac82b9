//! What an operator changes while the daemon runs: the whitelist, and what SIGHUP takes over.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::until;
use std::fs;
use std::net::Ipv4Addr;

const PEER_ID: &[u8; 20] = b"-TS0001-reloadtest01";

fn refusal(tracker: &Daemon, hash: [u8; 20]) -> Option<String> {
    match http::announce(tracker.http(Ipv4Addr::LOCALHOST), &hash, PEER_ID, 6881, 10, "") {
        Announced::Refused(why) => Some(why),
        Announced::Peers { .. } => None,
    }
}

#[test]
fn a_whitelist_decides_alone_and_is_read_again_on_sighup() {
    let home = tempfile::tempdir().expect("a folder");
    let list = home.path().join("list");
    fs::write(&list, format!("# ours\n{}\n", "01".repeat(20))).expect("a file");
    let path = list.to_str().expect("UTF-8");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true"), ("WHITELIST", path)]);
    assert_eq!(refusal(&tracker, [1; 20]), None);
    assert_eq!(refusal(&tracker, [2; 20]).as_deref(), Some("torrent not authorized"));

    fs::write(&list, format!("{}\n{}\n", "02".repeat(20), "03".repeat(32))).expect("a file");
    tracker.hang_up();
    until("the new list", || refusal(&tracker, [2; 20]).is_none().then_some(()));
    assert_eq!(refusal(&tracker, [3; 20]), None);
    assert_eq!(refusal(&tracker, [1; 20]).as_deref(), Some("torrent not authorized"));

    // A list that is gone blocks everything.
    fs::remove_file(&list).expect("removed");
    tracker.hang_up();
    until("nothing to be tracked", || refusal(&tracker, [2; 20]));
}

#[test]
fn keys_in_the_environment_file_are_rotated_by_sighup() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("settings.env");
    fs::write(&file, "REGISTRY_KEY=first\n").expect("a file");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let entry = serde_json::json!({"info_hash": "0a".repeat(20), "name": "n"});
    let post = |key: &str| http::register_with_key(at, &entry, key).status;
    assert_eq!((post("first"), post("second")), (201, 401));
    fs::write(&file, "REGISTRY_KEY=second\n").expect("a file");
    tracker.hang_up();
    until("the new key", || (post("second") == 201).then_some(()));
    assert_eq!(post("first"), 401);

    // A value that cannot be read leaves everything as it was.
    fs::write(&file, "REGISTRY_KEY=third\nTRUSTED_PROXIES=nonsense\n").expect("a file");
    tracker.hang_up();
    until("the error", || tracker.log().contains("TRUSTED_PROXIES").then_some(()));
    assert_eq!(post("second"), 201);
}
