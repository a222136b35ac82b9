//! Sections 7, 8, 9: hybrids, state changes, peer selection, and the answer's shape.

use crate::support::{Daemon, PEER, hash, hybrid};
use weightless::base::{InfoHashes, V1Hash, V2Hash};
use weightless::mailbox::{AdmissionChange, FromStore};

const A: &str = "192.0.2.1:1";
const B: &str = "192.0.2.2:1";
const C: &str = "192.0.2.3:1";

/// The hashes of the hybrid `hybrid(1, 2)`, as a client sends them.
fn v1() -> String {
    hash(1)
}

fn v2() -> String {
    hash(2)
}

fn full_v2() -> String {
    "%02".repeat(32)
}

fn completed(daemon: &mut Daemon, hash: &str) -> i64 {
    let reply = daemon.get(PEER, &format!("/scrape?info_hash={hash}"));
    let text = reply.text();
    let at = text.find("10:downloadedi").expect("a hash that is served") + 14;
    text[at..].split('e').next().expect("a number").parse().expect("a number")
}

#[test]
fn a_hybrid_is_one_swarm_by_any_of_its_hashes() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    let first = daemon.announce(A, &full_v2(), "left=5");
    assert_eq!((first.counts(), first.bytes("peers")), ((0, 1), Some(&b""[..])));
    for hash in [v1(), v2(), full_v2()] {
        assert_eq!(daemon.announce(A, &hash, "left=5").counts(), (0, 1), "each client counts once");
        assert_eq!(daemon.announce(A, &hash, "left=0").counts(), (1, 0));
        assert_eq!(daemon.announce(A, &hash, "left=5").counts(), (0, 1));
    }
    let wrong_tail = format!("{}{}", "%02".repeat(20), "%03".repeat(12));
    let unregistered = Some("Unregistered torrent: info_hash not found in registry");
    assert_eq!(daemon.announce(A, &wrong_tail, "left=5").failure(), unregistered);
}

#[test]
fn single_hashes_resolve_as_the_table_says() {
    let v2_only = InfoHashes::V2(V2Hash([4; 32]));
    let mut daemon = Daemon::registered(&[InfoHashes::V1(V1Hash([3; 20])), v2_only]);
    for (hash, served) in [
        (hash(3), true),
        (hash(4), true),
        ("%04".repeat(32), true),
        (format!("{}{}", hash(4), "%05".repeat(12)), false),
        (format!("{}{}", hash(3), "%05".repeat(12)), false),
        (hash(5), false),
    ] {
        assert_eq!(daemon.announce(A, &hash, "left=1").failure().is_none(), served, "{hash}");
    }
    // In open mode a long hash that nobody registered is its first 20 bytes.
    let mut daemon = Daemon::new();
    daemon.announce(A, &hash(6), "left=1");
    assert_eq!(daemon.announce(B, &"%06".repeat(32), "left=1").counts(), (0, 2));
}

#[test]
fn peers_of_one_identity_never_meet_those_of_the_other() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    daemon.announce(B, &v1(), "left=5&port=2");
    daemon.announce(C, &v2(), "left=5&port=3");
    assert_eq!(daemon.announce(A, &v1(), "left=5&port=1").ports(), [2]);
    assert_eq!(daemon.announce(A, &full_v2(), "left=5&port=1").ports(), [3]);
    assert_eq!(daemon.announce(B, &v1(), "left=5&port=2").ports(), [1]);
    assert_eq!(daemon.announce(C, &v2(), "left=5&port=3").ports(), [1]);
    assert_eq!(daemon.announce(C, &v2(), "left=5&port=3").counts(), (0, 3));
}

#[test]
fn stopped_takes_back_one_identity() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    for hash in [v1(), v2()] {
        daemon.announce(A, &hash, "left=5&port=1");
        daemon.announce(B, &hash, "left=5&port=2");
    }
    assert_eq!(daemon.announce(A, &v1(), "event=stopped&port=1").counts(), (0, 2));
    assert_eq!(daemon.announce(B, &v1(), "left=5&port=2").ports(), [0u16; 0]);
    assert_eq!(daemon.announce(B, &v2(), "left=5&port=2").ports(), [1]);
    assert_eq!(daemon.announce(A, &v2(), "event=stopped&port=1").counts(), (0, 1));
}

#[test]
fn registering_a_hybrid_joins_its_swarms() {
    let mut daemon = Daemon::new();
    daemon.announce(A, &v1(), "left=5&port=1");
    daemon.announce(A, &v2(), "left=5&port=1");
    daemon.announce(B, &v1(), "left=5&port=2");
    daemon.announce(C, &v2(), "left=5&port=3");
    let change =
        |before, hashes| FromStore::Admission(AdmissionChange::Registered { hashes, before, completions: 0 });
    daemon.server.delivered(daemon.now, change(None, hybrid(1, 2)));
    let asked = daemon.announce(A, &v1(), "left=5&port=1");
    assert_eq!((asked.counts(), asked.ports()), ((0, 3), vec![2]));
    assert_eq!(daemon.announce(A, &v2(), "left=5&port=1").ports(), [3]);
    // Without its v1 hash it keeps those that were announced as v2 only.
    let v2_only = InfoHashes::V2(V2Hash([2; 32]));
    daemon.server.delivered(daemon.now, change(Some(hybrid(1, 2)), v2_only));
    assert_eq!(daemon.announce(C, &v2(), "left=5&port=3").counts(), (0, 2));
}

#[test]
fn every_event_has_its_effect() {
    for (more, counts) in [
        ("left=5", (0, 1)),
        ("left=5&event=started", (0, 1)),
        ("left=5&event=empty", (0, 1)),
        ("left=5&event=paused", (0, 1)),
        ("left=0", (1, 0)),
        ("left=0&event=paused", (1, 0)),
        ("left=5&event=completed", (1, 0)),
        ("event=completed", (1, 0)),
        ("", (0, 1)),
        ("left=5&event=stopped", (0, 0)),
        ("left=0&event=stopped", (0, 0)),
    ] {
        let mut daemon = Daemon::new();
        assert_eq!(daemon.announce(A, &hash(1), more).counts(), counts, "{more}");
        assert_eq!(daemon.announce(A, &hash(1), more).counts(), counts, "{more} again");
        assert_eq!(daemon.announce(A, &hash(1), "event=stopped").counts(), (0, 0), "{more} and gone");
    }
}

#[test]
fn completions_count_once_for_each_client() {
    let id = |byte: char| format!("peer_id={}", byte.to_string().repeat(20));
    for (announces, count) in [
        (vec!["left=0"], 0),
        (vec!["left=0", "left=0&event=completed"], 1),
        (vec!["left=5", "left=0"], 1),
        (vec!["left=5", "left=0&event=completed", "left=0&event=completed"], 1),
        (vec!["left=5", "left=0", "left=5", "left=0"], 1),
        (vec!["left=5", "left=0", "left=0&event=completed"], 1),
        (vec!["event=completed"], 1),
        (vec!["", "left=0"], 1),
        (vec!["left=0&event=stopped"], 0),
    ] {
        let mut daemon = Daemon::new();
        for more in &announces {
            daemon.announce(A, &hash(1), &format!("{more}&{}", id('a')));
        }
        assert_eq!(completed(&mut daemon, &hash(1)), count, "{announces:?}");
    }
    // Both hashes of a hybrid count as one download.
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    for hash in [v1(), v2()] {
        daemon.announce(A, &hash, "left=5");
    }
    for hash in [v1(), v2()] {
        daemon.announce(A, &hash, "left=0&event=completed");
    }
    for hash in [v1(), v2(), full_v2()] {
        assert_eq!(completed(&mut daemon, &hash), 1);
    }
    // Another peer id at the same address is another client.
    daemon.announce(A, &v1(), &format!("left=5&{}", id('z')));
    daemon.announce(A, &v1(), &format!("left=0&{}", id('z')));
    assert_eq!(completed(&mut daemon, &v1()), 2);
}

#[test]
fn a_client_that_moved_to_another_port_replaces_itself_in_a_small_swarm() {
    let mut daemon = Daemon::new();
    daemon.announce(A, &hash(1), "left=5&port=1");
    assert_eq!(daemon.announce(A, &hash(1), "left=5&port=2").counts(), (0, 1));
    let other = daemon.announce(A, &hash(1), "left=5&port=3&peer_id=aaaaaaaaaaaaaaaaaaaa");
    assert_eq!((other.counts(), other.ports()), ((0, 2), vec![2]));
}

#[test]
fn a_client_is_forgotten_after_its_time() {
    let mut daemon = Daemon::new();
    daemon.announce(A, &hash(1), "left=5&port=1");
    daemon.advance(3_599_000);
    let asked = daemon.announce(B, &hash(1), "left=5&port=2");
    assert_eq!((asked.counts(), asked.ports()), ((0, 2), vec![1]));
    daemon.advance(2_000);
    let asked = daemon.announce(B, &hash(1), "left=5&port=2");
    assert_eq!((asked.counts(), asked.ports()), ((0, 1), vec![]));
    daemon.advance(3_661_000);
    assert!(daemon.get(PEER, "/metrics").text().contains("\ntracker_active_peers 0\n"));
}

/// Leechers see seeders first, then leechers; seeders see leechers that still want something.
#[test]
fn who_is_offered_to_whom() {
    let fill = |daemon: &mut Daemon| {
        daemon.announce("192.0.2.10:1", &hash(1), "left=0&port=10");
        daemon.announce("192.0.2.11:1", &hash(1), "left=5&port=11");
        daemon.announce("192.0.2.12:1", &hash(1), "left=5&event=paused&port=12");
        daemon.announce("[2001:db8::13]:1", &hash(1), "left=0&port=13");
        daemon.announce("[2001:db8::14]:1", &hash(1), "left=5&port=14");
    };
    for (more, ports) in [
        ("left=5", vec![10, 11, 12, 13, 14]),
        ("", vec![10, 11, 12, 13, 14]),
        ("left=5&numwant=-1", vec![10, 11, 12, 13, 14]),
        ("left=0", vec![11, 14]),
        ("left=5&event=paused", vec![11, 14]),
        ("left=5&event=completed", vec![11, 14]),
        ("left=5&event=stopped", vec![]),
        ("left=5&numwant=0", vec![]),
        ("left=5&numwant=1", vec![10]),
        ("left=0&numwant=1", vec![11]),
    ] {
        let mut daemon = Daemon::new();
        fill(&mut daemon);
        let reply = daemon.announce(A, &hash(1), &format!("{more}&port=1"));
        assert_eq!(reply.ports(), ports, "{more}");
    }
}

#[test]
fn the_own_family_comes_first_and_both_share_one_limit() {
    let mut daemon = Daemon::with(|settings| settings.peers_max = 5);
    for n in 10..20u16 {
        daemon.announce(&format!("192.0.2.{n}:1"), &hash(1), &format!("left=0&port={n}"));
    }
    for n in 20..23u16 {
        daemon.announce(&format!("[2001:db8::{n}]:1"), &hash(1), &format!("left=5&port={n}"));
    }
    let v4 = daemon.announce(A, &hash(1), "left=5&port=1");
    assert_eq!((v4.bytes("peers").map(<[u8]>::len), v4.bytes("peers6")), (Some(30), None));
    let v6 = daemon.announce("[2001:db8::99]:1", &hash(1), "left=5&port=2");
    assert_eq!(
        (v6.bytes("peers").map(<[u8]>::len), v6.bytes("peers6").map(<[u8]>::len)),
        (Some(12), Some(54))
    );
    let clamped = daemon.announce(A, &hash(1), "left=5&port=1&numwant=99999");
    assert_eq!(clamped.ports().len(), 5);
}

#[test]
fn the_default_is_fifty_peers_and_nobody_twice() {
    let mut daemon = Daemon::new();
    for n in 0..200u16 {
        let peer = format!("198.51.100.{}:1", n + 1);
        daemon.announce(&peer, &hash(1), &format!("left=5&port={}", 1000 + n));
    }
    let mut starts = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let reply = daemon.announce(A, &hash(1), "left=5&port=1");
        let mut ports = reply.ports();
        assert_eq!(ports.len(), 50);
        ports.dedup();
        assert_eq!(ports.len(), 50, "nobody twice");
        assert!(!ports.contains(&1), "not the client itself");
        starts.insert(reply.bytes("peers").expect("peers")[..6].to_vec());
    }
    assert!(starts.len() > 5, "the start is random");
}

#[test]
fn the_answer_has_these_keys_and_no_others() {
    let mut daemon = Daemon::new();
    let keys = |reply: &crate::support::Reply| -> Vec<String> {
        let name = |(key, _): (&[u8], _)| String::from_utf8(key.to_vec()).expect("text");
        reply.dict().as_dict().expect("a dictionary").map(name).collect()
    };
    let reply = daemon.announce(A, &hash(1), "left=5&port=1&trackerid=x");
    let base = ["complete", "external ip", "incomplete", "interval", "min interval", "peers"];
    assert_eq!(keys(&reply), base);
    assert_eq!(reply.bytes("external ip"), Some(&[192, 0, 2, 1][..]));
    daemon.announce("[2001:db8::2]:1", &hash(1), "left=5&port=2");
    let reply = daemon.announce("[2001:db8::3]:1", &hash(1), "left=5&port=3");
    assert_eq!(keys(&reply)[..6], base);
    assert_eq!(keys(&reply)[6..], ["peers6"]);
    assert_eq!(reply.bytes("external ip").map(<[u8]>::len), Some(16));
}

#[test]
fn without_compact_both_families_are_in_one_list() {
    let mut daemon = Daemon::new();
    daemon.announce("192.0.2.10:1", &hash(1), "left=0&port=10");
    daemon.announce("[2001:db8:0:0:0:0:0:13]:1", &hash(1), "left=0&port=13");
    let reply = daemon.announce(A, &hash(1), "left=5&port=1&compact=0");
    assert!(
        reply.text().ends_with("5:peersld2:ip10:192.0.2.104:porti10eed2:ip12:2001:db8::134:porti13eeee"),
        "{}",
        reply.text()
    );
    let empty = daemon.announce(A, &hash(1), "event=stopped&port=1&compact=0");
    assert!(empty.text().ends_with("5:peerslee"));
}
