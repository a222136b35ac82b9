//! Section 2: which path leads where, and with which method.

use crate::support::{Daemon, HOST, PEER, announce, hash};

#[test]
fn every_path_of_the_tracker_has_the_same_methods() {
    let mut daemon = Daemon::new();
    for path in
        ["/announce", "/announce/", "/announce/x", "/announce/x/", "/announce/a/b", "/scrape", "/scrape/x/"]
    {
        for (method, status) in
            [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("PUT", 405), ("DELETE", 405), ("get", 405)]
        {
            let reply = daemon.ask(PEER, format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n"));
            assert_eq!(reply.status, status, "{method} {path}");
            let allow = (status >= 204).then_some("GET, HEAD, OPTIONS");
            assert_eq!(reply.field("allow"), allow, "{method} {path}");
        }
        let post = format!("POST {path} HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n{{}}");
        let reply = daemon.ask(PEER, post);
        assert_eq!((reply.status, reply.field("allow")), (405, Some("GET, HEAD, OPTIONS")), "{path}");
    }
}

#[test]
fn paths_are_never_normalised() {
    let mut daemon = Daemon::new();
    for path in [
        "//announce",
        "/announce/../x",
        "/announce/./x",
        "/Announce",
        "/ANNOUNCE",
        "/announcer",
        "/announce//",
        "/announce//x",
        "/./announce",
        "/scrape//",
        "/Scrape",
        "/scraper",
        "/x/announce",
        "/%61nnounce",
        "/nothing",
    ] {
        let reply = daemon.get(PEER, path);
        assert_eq!((reply.status, reply.text().as_str()), (404, "404 page not found"), "{path}");
        assert_eq!(reply.field("content-type"), Some("text/plain"));
    }
    let reply = daemon.get(PEER, "/api/nothing");
    assert_eq!((reply.status, reply.text().as_str()), (404, "{\"error\":\"Not found\"}\n"));
    assert_eq!(reply.field("content-type"), Some("application/json"));
}

#[test]
fn two_segments_are_a_bad_passkey() {
    for secret in [None, Some(b"secret".to_vec())] {
        let mut daemon = Daemon::with(|settings| settings.tracker_secret = secret);
        for path in ["/announce/a/b", "/announce/a/b/", "/announce/a/b/c", "/scrape/a/b"] {
            assert_eq!(daemon.get(PEER, path).failure(), Some("Unauthorized"), "{path}");
        }
    }
}

#[test]
fn head_answers_headers_only_and_changes_no_swarm() {
    let mut daemon = Daemon::new();
    let target = announce(&hash(1), "left=5");
    let reply = daemon.ask(PEER, format!("HEAD {target} HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let other = daemon.announce("192.0.2.2:1", &hash(1), "left=5");
    assert_eq!(other.counts(), (0, 1));
    let gone = announce(&hash(1), "event=stopped");
    daemon.ask("192.0.2.2:1", format!("HEAD {gone} HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(daemon.announce(PEER, &hash(1), "left=5").counts(), (0, 2));
}

/// The vector of the accounts page.
const PASSKEY: &str = "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221";

#[test]
fn a_passkey_is_one_segment_decoded_once() {
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(b"super-secret-key".to_vec()));
    let query = announce(&hash(1), "left=1").replace("/announce", "");
    let served =
        [PASSKEY.to_owned(), format!("{PASSKEY}/"), PASSKEY.replace('.', "%2E"), PASSKEY.replace('_', "%5f")];
    for path in &served {
        assert_eq!(daemon.get(PEER, &format!("/announce/{path}{query}")).failure(), None, "{path}");
        assert_eq!(daemon.get(PEER, &format!("/scrape/{path}{query}")).failure(), None, "{path}");
    }
    let long = "u".repeat(65);
    for path in [
        PASSKEY.replace('5', "6"),
        PASSKEY.replace('.', ""),
        PASSKEY.replace('.', ".."),
        PASSKEY.to_uppercase(),
        PASSKEY.replace("user_clerk_123", ""),
        "user_clerk_123.".to_owned(),
        "%00".to_owned(),
        "%zz".to_owned(),
        PASSKEY.replace('.', "%252E"),
        PASSKEY.replace("user_clerk_123", "%C3%A9"),
        PASSKEY.replace("user_clerk_123", &long),
    ] {
        assert_eq!(
            daemon.get(PEER, &format!("/announce/{path}{query}")).failure(),
            Some("Unauthorized"),
            "{path}"
        );
        assert_eq!(
            daemon.get(PEER, &format!("/scrape/{path}{query}")).failure(),
            Some("Unauthorized"),
            "{path}"
        );
    }
    for path in ["", "/"] {
        for (route, text) in [
            ("announce", "Unauthorized: Passkey required in path (/announce/ID.SIG)"),
            ("scrape", "Unauthorized: Passkey required in path (/scrape/ID.SIG)"),
        ] {
            assert_eq!(daemon.get(PEER, &format!("/{route}{path}{query}")).failure(), Some(text));
        }
    }
}

#[test]
fn a_plus_in_a_path_stays_a_plus() {
    // `a+b` is a user id, `a b` is none.
    let key = weightless::wire::passkey::PasskeyKey::new(b"k").sign("a+b").expect("a user id");
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(b"k".to_vec()));
    let query = announce(&hash(1), "left=1").replace("/announce", "");
    assert_eq!(daemon.get(PEER, &format!("/announce/{key}{query}")).failure(), None);
}

#[test]
fn a_passkey_where_none_are_in_use_is_unauthorized() {
    let mut daemon = Daemon::new();
    let query = announce(&hash(1), "left=1").replace("/announce", "");
    assert_eq!(daemon.get(PEER, &format!("/announce/{PASSKEY}{query}")).failure(), Some("Unauthorized"));
    assert_eq!(daemon.get(PEER, &format!("/scrape/{PASSKEY}{query}")).failure(), Some("Unauthorized"));
}

#[test]
fn what_browsers_and_crawlers_ask_for_is_answered() {
    let mut daemon = Daemon::new();
    let icon = daemon.get(PEER, "/favicon.ico");
    assert_eq!((icon.status, icon.body.len()), (204, 0));
    let robots = daemon.get(PEER, "/robots.txt");
    assert_eq!((robots.status, robots.text().as_str()), (200, "User-agent: *\nDisallow: /\n"));
}
