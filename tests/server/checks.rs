//! Section 5: the order of the checks and the failure dictionaries.

use crate::support::{Daemon, HOST, PEER, announce, hash, hybrid};
use weightless::base::{InfoHashes, SwarmKey, V1Hash};
use weightless::mailbox::{AdmissionChange, FromStore, Loaded};
use weightless::tracker::Access;
use weightless::wire::passkey::PasskeyKey;

/// A refusal is a 200 with sorted keys, the pace, and BEP 31's hint where the table has one.
#[test]
fn every_refusal_says_when_to_come_back() {
    let key = PasskeyKey::new(b"k").sign("u").expect("a user id");
    let full = |daemon: &mut Daemon| {
        daemon.get(
            "192.0.2.9:1",
            &announce(&hash(5), "left=1").replace("/announce", &format!("/announce/{key}")),
        );
    };
    let loaded = Loaded { blocked: vec![SwarmKey([9; 20])], ..Loaded::default() };
    let mut daemon = Daemon::loaded(&loaded, |settings| {
        settings.tracker_secret = Some(b"k".to_vec());
        settings.policy.total_peers_max = 1;
        settings.rate = (1, 4);
        settings.trusted_proxies = vec!["10.0.0.1".parse().expect("a network")];
    });
    full(&mut daemon);
    let junk = "X-Forwarded-For: unknown\r\n";
    let keyed = |target: String| target.replace("/announce", &format!("/announce/{key}"));
    for (peer, fields, target, reason, retry_in) in [
        ("10.0.0.1:1", junk, "/announce/x".to_owned(), "Invalid remote address", None),
        (PEER, "", "/announce/x?info_hash=a".to_owned(), "Unauthorized", None),
        (
            PEER,
            "",
            "/announce?info_hash=a".to_owned(),
            "Unauthorized: Passkey required in path (/announce/ID.SIG)",
            None,
        ),
        (
            PEER,
            "",
            keyed("/announce?info_hash=a".to_owned()),
            "Invalid announce: info_hash must be 20 or 32 bytes, got 1",
            None,
        ),
        (
            PEER,
            "",
            keyed(announce(&hash(9), "left=x")),
            "Invalid announce: invalid left: must be a non-negative integer",
            None,
        ),
        (PEER, "", "/announce/x".to_owned(), "Rate limit exceeded. Please slow down.", Some("1")),
        ("192.0.2.2:1", "", keyed(announce(&hash(9), "left=1")), "info_hash is blocked", Some("never")),
        ("192.0.2.2:1", "", keyed(announce(&hash(1), "left=1")), "Tracker is full", Some("10")),
    ] {
        let reply = daemon.ask(peer, format!("GET {target} HTTP/1.1\r\n{HOST}{fields}\r\n"));
        assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/plain")), "{target}");
        assert_eq!(reply.failure(), Some(reason), "{target}");
        assert_eq!((reply.int("interval"), reply.int("min interval")), (Some(1800), Some(60)), "{target}");
        assert_eq!(reply.bytes("retry in"), retry_in.map(str::as_bytes), "{target}");
        let keys = reply.dict().as_dict().expect("a dictionary").count();
        assert_eq!(keys, 3 + usize::from(retry_in.is_some()));
    }
    // A client that is known already is served however full the tracker is.
    let known = keyed(announce(&hash(5), "left=1"));
    assert_eq!(daemon.get("192.0.2.9:1", &known).failure(), None);
}

#[test]
fn the_access_rules_in_their_order() {
    let registered = || vec![(InfoHashes::V1(V1Hash([1; 20])), 0), (InfoHashes::V1(V1Hash([9; 20])), 0)];
    let unregistered = Some("Unregistered torrent: info_hash not found in registry");
    for (access, hash_byte, reason) in [
        (Access::Open, 1, None),
        (Access::Open, 2, None),
        (Access::Open, 9, Some("info_hash is blocked")),
        (Access::Registered, 1, None),
        (Access::Registered, 2, unregistered),
        (Access::Registered, 9, Some("info_hash is blocked")),
        (Access::Listed, 2, Some("torrent not authorized")),
        (Access::Listed, 1, Some("torrent not authorized")),
        (Access::Listed, 9, Some("info_hash is blocked")),
    ] {
        let loaded =
            Loaded { registered: registered(), blocked: vec![SwarmKey([9; 20])], ..Loaded::default() };
        let mut daemon = Daemon::loaded(&loaded, |settings| settings.policy.access = access);
        let reply = daemon.announce(PEER, &hash(hash_byte), "left=1");
        assert_eq!(reply.failure(), reason, "{access:?} {hash_byte}");
        let scraped = daemon.get(PEER, &format!("/scrape?info_hash={}", hash(hash_byte)));
        assert_eq!(scraped.text().contains("8:complete"), reason.is_none(), "{access:?} {hash_byte}");
    }
}

#[test]
fn admission_follows_the_store_at_once() {
    let mut daemon = Daemon::registered(&[]);
    let change =
        |daemon: &mut Daemon, change| daemon.server.delivered(daemon.now, FromStore::Admission(change));
    let served = |daemon: &mut Daemon| daemon.announce(PEER, &hash(1), "left=1").failure().map(str::to_owned);
    let unregistered = "Unregistered torrent: info_hash not found in registry";
    assert_eq!(served(&mut daemon).as_deref(), Some(unregistered));
    let register = || AdmissionChange::Registered { hashes: hybrid(1, 2), before: None, completions: 0 };
    change(&mut daemon, register());
    assert_eq!(served(&mut daemon), None);
    let keys = || vec![SwarmKey([1; 20]), SwarmKey([2; 20])];
    change(&mut daemon, AdmissionChange::Blocked { keys: keys() });
    assert_eq!(served(&mut daemon).as_deref(), Some("info_hash is blocked"));
    change(&mut daemon, AdmissionChange::Unblocked { keys: keys() });
    assert_eq!(served(&mut daemon).as_deref(), Some(unregistered));
    change(&mut daemon, register());
    assert_eq!(daemon.announce(PEER, &hash(1), "left=1").counts(), (0, 1));
}

#[test]
fn min_interval_is_never_above_the_interval() {
    let mut daemon = Daemon::with(|settings| settings.interval_s = 30);
    let reply = daemon.announce(PEER, &hash(1), "left=1");
    assert_eq!((reply.int("interval"), reply.int("min interval")), (Some(30), Some(30)));
}

#[test]
fn a_refused_announce_leaves_no_record() {
    let mut daemon = Daemon::new();
    daemon.announce(PEER, &hash(1), "left=x");
    daemon.announce(PEER, &hash(1), "port=0");
    assert_eq!(daemon.announce("192.0.2.2:1", &hash(1), "left=1").counts(), (0, 1));
}
