//! Section 10: what is counted, seen at the hub.

use super::*;
use crate::support::udp;
use serde_json::json;
use std::net::Ipv6Addr;

/// Everything that was reported is at the hub, and this is its sum.
#[track_caller]
fn sums_up(tracker: &Daemon, hub: &Hub, user: &str, total: (u64, u64)) {
    wait_sent(tracker);
    assert_eq!(hub.total(user), total, "{user}");
}

#[test]
fn each_rule_of_counting_arrives_at_the_hub() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[]);
    let client = |user: &str| Client::of(&tracker, user);

    let plain = client("plain");
    [0, 1_000, 5_000].into_iter().for_each(|up| plain.reports(up, 0, ""));
    let late = client("late");
    [7_000, 9_000].into_iter().for_each(|up| late.reports(up, 0, ""));
    let restarted = client("restarted");
    restarted.reports(0, 0, "started");
    restarted.reports(1_000, 0, "");
    restarted.reports(200, 0, "started");
    restarted.reports(500, 0, "");
    let reordered = client("reordered");
    [0, 1_000, 200, 1_100].into_iter().for_each(|up| reordered.reports(up, 0, ""));
    let half = client("half");
    half.reports(1_000, 100, "");
    half.reports(10, 150, "started");
    let gone = client("gone");
    gone.reports(0, 0, "started");
    gone.reports(1_000, 20, "");
    gone.reports(1_600, 20, "stopped");
    gone.reports(1_600, 20, "stopped");
    let refused = Client { hash: vec![1; 19], ..client("refused") };
    assert!(refused.tries(0, 0, "").is_some() && refused.tries(9_000, 0, "").is_some());

    for (user, total) in [
        ("plain", (5_000, 0)),
        ("late", (2_000, 0)),
        ("restarted", (1_300, 0)),
        ("reordered", (1_100, 0)),
        ("half", (0, 50)),
        ("gone", (1_600, 20)),
        ("refused", (0, 0)),
    ] {
        sums_up(&tracker, &hub, user, total);
    }
    // Users who have moved nothing are never sent.
    assert!(
        hub.seen()
            .iter()
            .all(|body| !body.contains("refused") && !body.contains(":{\"Uploaded\":0,\"Downloaded\":0}"))
    );
    assert_eq!(tracker.terminate().code(), Some(0));
}

#[test]
fn both_hashes_of_a_hybrid_are_one_session() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[("OPEN_TRACKER", "false")]);
    let entry = json!({"info_hash": "cd".repeat(32), "v1_info_hash": "ef".repeat(20), "name": "hybrid"});
    assert_eq!(http::register_with_key(tracker.http(Ipv4Addr::LOCALHOST), &entry, KEY).status, 201);
    let v1 = Client { hash: vec![0xef; 20], ..Client::of(&tracker, "hybrid") };
    let v2 = Client { hash: vec![0xcd; 32], ..v1.clone() };
    for up in [0, 1_000] {
        v1.reports(up, 0, "");
        v2.reports(up, 0, "");
    }
    sums_up(&tracker, &hub, "hybrid", (1_000, 0));
    // The first goodbye is not the last: what the other says is still measured.
    v1.reports(1_500, 0, "stopped");
    v2.reports(1_700, 0, "stopped");
    sums_up(&tracker, &hub, "hybrid", (1_700, 0));
    wait_sessions(home.path(), 0);
}

#[test]
fn both_families_and_both_wires_are_one_session() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[]);
    let over_v4 = Client::of(&tracker, "dual");
    let over_v6 = Client { at: tracker.http(Ipv6Addr::LOCALHOST), ..over_v4.clone() };
    let path = format!("/announce/{}", over_v4.passkey);
    let udp4 = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
    let udp6 = udp::Client::connect(tracker.udp(Ipv6Addr::LOCALHOST));
    for up in [0, 1_000] {
        over_v4.reports(up, 0, "");
        over_v6.reports(up, 0, "");
        for udp in [&udp4, &udp6] {
            let answer = udp.report(&[7; 20], &over_v4.peer_id, (up, 0), &path);
            assert!(matches!(answer, http::Announced::Peers { .. }), "{answer:?}");
        }
    }
    sums_up(&tracker, &hub, "dual", (1_000, 0));
    over_v4.reports(1_200, 0, "stopped");
    over_v6.reports(1_300, 0, "stopped");
    sums_up(&tracker, &hub, "dual", (1_300, 0));
}

/// More than one packet's option can hold, percent-encoded, and the texts for those without.
#[test]
fn a_passkey_over_udp_may_come_in_pieces() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[]);
    let udp = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
    let id = b"-TS0001-accounted-02";
    let path = format!("/announce/{}?a=b", passkey("pieces").replace('.', "%2e"));
    for up in [0, 700] {
        let answer = udp.report(&[8; 20], id, (up, 0), &path);
        assert!(matches!(answer, http::Announced::Peers { .. }), "{answer:?}");
    }
    let refused = |text: &str| http::Announced::Refused(text.to_owned());
    let missing = "Unauthorized: Passkey required in path (/announce/ID.SIG)";
    assert_eq!(udp.report(&[8; 20], id, (900, 0), "/announce"), refused(missing));
    assert_eq!(
        udp.report(&[8; 20], id, (900, 0), &format!("{path}x").replace("?a=bx", "0")),
        refused("Unauthorized")
    );
    sums_up(&tracker, &hub, "pieces", (700, 0));
}

/// The swarm of a v1 hash becomes a part of a hybrid: what was measured there goes on.
#[test]
fn a_registration_in_between_loses_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[]);
    let client = Client { hash: vec![0xef; 20], ..Client::of(&tracker, "joined") };
    client.reports(0, 0, "started");
    client.reports(300, 0, "");
    let entry = json!({"info_hash": "cd".repeat(32), "v1_info_hash": "ef".repeat(20), "name": "hybrid"});
    assert_eq!(http::register_with_key(tracker.http(Ipv4Addr::LOCALHOST), &entry, KEY).status, 201);
    client.reports(1_000, 0, "");
    Client { hash: vec![0xcd; 32], ..client.clone() }.reports(1_100, 0, "");
    sums_up(&tracker, &hub, "joined", (1_100, 0));
    wait_sessions(home.path(), 1);
}
