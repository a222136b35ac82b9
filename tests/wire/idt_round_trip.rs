//! What a client of `/register_peer` and `/get_peers` writes the tracker reads, and the other way round; and what neither
//! of them would write.

use crate::support::{address, bytes, request};
use serde_json::json;
use std::net::SocketAddr;
use weightless::base::{Rng, V1Hash};
use weightless::wire::announce::{AnnounceRequest, Event};
use weightless::wire::idt_client as client;
use weightless::wire::idt_peers::{self as wire, GetPeers, RegisterPeer, Registered, State, Swarm};

#[test]
fn registrations_come_back_as_the_announces_they_stand_for() {
    let mut rng = Rng::new(1);
    for _ in 0..2000 {
        let sent = request(&mut rng);
        let read = RegisterPeer::parse(client::register_body(&sent).as_bytes()).expect("by the rules");
        let ip = address(&mut rng);
        let announced = read.announce(ip);
        let seeds = sent.left == Some(0) || sent.event == Event::Completed;
        let stops = sent.event == Event::Stopped;
        assert_eq!(
            announced,
            AnnounceRequest {
                peer_id: announced.peer_id,
                event: if stops { Event::Stopped } else { Event::None },
                left: if seeds && !stops { Some(0) } else { sent.left },
                peers_wanted: Some(0),
                ..sent
            }
        );
        let asked = GetPeers::parse(client::peers_query(&sent).as_bytes()).expect("by the rules");
        let limit = sent.peers_wanted.map(|wanted| wanted.min(1000));
        assert_eq!(
            (asked.file_id.key(), asked.port, asked.limit),
            (sent.info_hash.key(), Some(sent.port), limit)
        );
    }
}

fn state(rng: &mut Rng) -> State {
    if rng.below(2) == 0 { State::Seeding } else { State::Leeching }
}

#[test]
fn answers_come_back_the_same() {
    let mut rng = Rng::new(2);
    for _ in 0..500 {
        let file_id = V1Hash(bytes(&mut rng));
        let peers: Vec<_> = (0..rng.below(60))
            .map(|_| (SocketAddr::new(address(&mut rng), rng.below(65_535) as u16 + 1), state(&mut rng)))
            .collect();
        let (seeders, leechers, interval_s) = (rng.u64() as u32, rng.u64() as u32, rng.below(900));
        let swarm = Swarm { file_id, seeders, leechers, interval_s };
        let json = wire::peers_json(&swarm, peers.iter().copied());
        let read = client::Peers { peers: peers.clone(), seeders, leechers, interval_s: Some(interval_s) };
        assert_eq!(client::parse_peers(json.as_bytes()), Some(read), "{json}");
        for end in (0..json.len() - 2).step_by(101) {
            assert_eq!(client::parse_peers(&json.as_bytes()[..end]), None);
        }
        let text = wire::peers_text(peers.iter().map(|(peer, _)| *peer));
        let lines: Vec<SocketAddr> = text.lines().map(|line| line.parse().expect("an address")).collect();
        assert!(lines.iter().eq(peers.iter().map(|(peer, _)| peer)));

        let your_ip = address(&mut rng);
        let told = Registered { file_id, state: state(&mut rng), interval_s, ttl_s: 900, peers: 7, your_ip };
        let read = client::Registered { interval_s: Some(interval_s), your_ip: Some(your_ip) };
        assert_eq!(client::parse_registered(wire::registered(&told).as_bytes()), Some(read));
    }
}

#[test]
fn what_another_tracker_says_is_taken_as_far_as_it_makes_sense() {
    let read = |json: serde_json::Value| client::parse_peers(json.to_string().as_bytes());
    let odd = json!({
        "peers": [
            {"ip": "192.0.2.1", "port": 1, "state": "seeding", "more": [1]},
            {"ip": "::ffff:192.0.2.2", "port": 2},
            {"ip": "[2001:db8::1]", "port": 3},
            {"ip": "t.example", "port": 4},
            {"ip": "192.0.2.5", "port": 0},
            {"ip": "192.0.2.6", "port": 65_536},
            {"ip": "192.0.2.7"},
            "192.0.2.8:8",
            null,
        ],
        "seeders": -1, "leechers": u64::MAX, "interval": "300",
    });
    let peers = vec![
        ("192.0.2.1:1".parse().expect("an address"), State::Seeding),
        ("192.0.2.2:2".parse().expect("an address"), State::Leeching),
    ];
    assert_eq!(read(odd), Some(client::Peers { peers, seeders: 0, leechers: u32::MAX, interval_s: None }));
    for none in [json!([]), json!({}), json!({"peers": {}}), json!(null)] {
        assert_eq!(read(none), None);
    }
    let many: Vec<_> =
        (0..client::PEERS_MAX + 1).map(|at| json!({"ip": "192.0.2.1", "port": at + 1})).collect();
    assert_eq!(read(json!({"peers": many})).map(|read| read.peers.len()), Some(client::PEERS_MAX));
    let bare = client::Registered { interval_s: None, your_ip: None };
    assert_eq!(client::parse_registered(b"{\"your_ip\":\"x\"}"), Some(bare));
    assert_eq!(client::parse_registered(b"OK"), None);
    assert_eq!(client::parse_error(b"{\"error\":\"no\"}\n").as_deref(), Some("no"));
    assert_eq!(client::parse_error(b"no"), None);
}
