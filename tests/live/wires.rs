//! One client is one client, whichever wire, hash or family of packets it uses.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::udp;
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr};

const PEER_ID: &[u8; 20] = b"-TS0001-oneclient001";
const OTHER: &[u8; 20] = b"-TS0001-oneclient002";

#[test]
fn the_same_client_over_udp_and_http_is_counted_once() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let (http_at, udp) =
        (tracker.http(Ipv4Addr::LOCALHOST), udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST)));
    let hash = [3; 20];
    let alone = Announced::Peers { seeders: 0, leechers: 1, peers: Vec::new() };
    assert_eq!(udp.announce(&hash, PEER_ID, 6881, 10, 2), alone);
    assert_eq!(http::announce(http_at, &hash, PEER_ID, 6881, 10, "&event=started"), alone);
    assert_eq!(udp.scrape(&hash), (0, 0, 1));

    // Another one is another, and each wire names the first.
    let expected = Announced::Peers { seeders: 0, leechers: 2, peers: vec![127, 0, 0, 1, 0x1a, 0xe1] };
    assert_eq!(http::announce(http_at, &hash, OTHER, 6882, 10, ""), expected);
    assert_eq!(udp.announce(&hash, OTHER, 6882, 10, 0), expected);

    // It finishes over one wire and leaves over the other.
    let finished = http::announce(http_at, &hash, PEER_ID, 6881, 0, "&event=completed");
    assert!(matches!(finished, Announced::Peers { seeders: 1, leechers: 1, .. }), "{finished:?}");
    assert_eq!(udp.scrape(&hash), (1, 1, 1));
    udp.announce(&hash, PEER_ID, 6881, 0, 3);
    assert_eq!(udp.scrape(&hash), (0, 1, 1));
}

#[test]
fn both_hashes_of_a_hybrid_lead_to_one_swarm() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let http_at = tracker.http(Ipv4Addr::LOCALHOST);
    let entry = json!({"info_hash": "cd".repeat(32), "v1_info_hash": "ef".repeat(20), "name": "hybrid"});
    assert_eq!(http::register(http_at, &entry).status, 201);
    let (v1, v2_cut, v2) = ([0xef; 20], [0xcd; 20], [0xcd; 32]);

    let udp = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
    let alone = Announced::Peers { seeders: 1, leechers: 0, peers: Vec::new() };
    assert_eq!(udp.announce(&v1, PEER_ID, 6881, 0, 2), alone);
    assert_eq!(udp.announce(&v2_cut, PEER_ID, 6881, 0, 2), alone);
    assert_eq!(http::announce(http_at, &v2, PEER_ID, 6881, 0, ""), alone);
    assert_eq!(udp.scrape(&v1), (1, 0, 0));
    assert_eq!(udp.scrape(&v2_cut), (1, 0, 0));
}

#[test]
fn each_family_is_told_addresses_of_its_own() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let over_v4 = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
    let over_v6 = udp::Client::connect(tracker.udp(Ipv6Addr::LOCALHOST));
    let hash = [4; 20];
    over_v4.announce(&hash, PEER_ID, 1000, 0, 2);
    over_v6.announce(&hash, OTHER, 1001, 0, 2);

    let asker = b"-TS0001-oneclient003";
    let Announced::Peers { seeders: 2, peers, .. } = over_v4.announce(&hash, asker, 1002, 9, 2) else {
        panic!()
    };
    assert_eq!(peers, [127, 0, 0, 1, 0x03, 0xe8]);
    let Announced::Peers { seeders: 2, peers, .. } = over_v6.announce(&hash, asker, 1002, 9, 2) else {
        panic!()
    };
    assert_eq!(peers, [&Ipv6Addr::LOCALHOST.octets()[..], &[0x03, 0xe9]].concat());
}

/// A connected socket takes answers only from the address it asked, as clients do. Most of 127.0.0.0/8 has no socket
/// of its own here, so both kinds of socket are asked.
#[test]
fn every_address_answers_for_itself() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true"), EVERYWHERE]);
    let hash = [4; 20];
    for (port, asked) in ["127.0.0.1", "127.0.0.2", "127.200.1.9", "::1"].into_iter().enumerate() {
        let asked: std::net::IpAddr = asked.parse().expect("an address");
        let client = udp::Client::connect(tracker.udp(asked));
        let answer = client.announce(&hash, PEER_ID, 7000 + port as u16, 10, 0);
        assert!(matches!(answer, Announced::Peers { .. }), "{asked}: {answer:?}");
    }
}

/// Nobody else may bind beside us and take our datagrams, and a second tracker on the port is told.
#[test]
fn the_udp_port_is_ours_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[EVERYWHERE]);
    let port = tracker.udp(Ipv4Addr::LOCALHOST).port();
    for taken in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST] {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        let address = std::net::SocketAddr::from((taken, port));
        assert!(socket.bind(&address.into()).is_err(), "{address} could be bound twice");
    }
}

/// As a daemon binds that was told nothing.
const EVERYWHERE: (&str, &str) = ("BIND", "0.0.0.0,[::]");
