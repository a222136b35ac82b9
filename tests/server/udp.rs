//! The UDP tracker, sections 2, 3, 8 and 9: packets, connection ids, the rate of connects, one swarm for both wires.

use crate::support::{Daemon, UdpAnnounce, connect, hash, hybrid, udp_error, udp_scrape};
use weightless::base::SwarmKey;
use weightless::mailbox::Loaded;
use weightless::tracker::Access;

const V4: &str = "192.0.2.1:5000";
const V6: &str = "[2001:db8::1]:5000";

#[test]
fn a_connect_is_answered_with_sixteen_bytes() {
    let mut daemon = Daemon::new();
    for from in [V4, V6, "[::ffff:192.0.2.1]:5000", "127.0.0.1:1"] {
        let reply = daemon.datagram(from, &connect(0x0102_0304)).expect("an answer");
        assert_eq!((reply.len(), &reply[..8]), (16, &[0, 0, 0, 0, 1, 2, 3, 4][..]));
        assert_ne!(reply[8..], [0; 8]);
        let long = [connect(0x0102_0304), vec![0xff; 100]].concat();
        assert_eq!(daemon.datagram(from, &long), Some(reply));
    }
    let mapped = daemon.connection_id("[::ffff:192.0.2.1]:5000");
    assert_eq!(mapped, daemon.connection_id(V4), "a mapped source is IPv4");
}

#[test]
fn an_id_is_good_for_two_to_three_minutes_for_one_address_on_any_port() {
    for start in [0, 59_999] {
        for (age_s, good) in [(0, true), (119, true), (120, true), (181, false), (100_000, false)] {
            let mut daemon = Daemon::new();
            daemon.advance(start);
            let id = daemon.connection_id(V4);
            daemon.advance(age_s * 1000);
            let announce = UdpAnnounce { id, ..UdpAnnounce::default() }.bytes();
            for from in [V4, "192.0.2.1:6000"] {
                let reply = daemon.datagram(from, &announce).expect("an answer");
                let error = (!good).then_some("invalid connection ID");
                assert_eq!(udp_error(&reply), error, "{age_s} s old");
            }
            let stranger = daemon.datagram("192.0.2.2:5000", &announce).expect("an answer");
            assert_eq!(udp_error(&stranger), Some("invalid connection ID"));
        }
    }
}

#[test]
fn instances_with_one_secret_accept_each_others_ids() {
    let mut ahead = Daemon::new();
    ahead.advance(59_000);
    let id = ahead.connection_id(V4);
    let mut behind = Daemon::new();
    let announce = UdpAnnounce { id, ..UdpAnnounce::default() }.bytes();
    assert_eq!(behind.datagram(V4, &announce).map(|reply| reply.len()), Some(20));
    let mut other = Daemon::with(|settings| settings.connection_id_secret = b"another".to_vec());
    let reply = other.datagram(V4, &announce).expect("an answer");
    assert_eq!(udp_error(&reply), Some("invalid connection ID"));
}

#[test]
fn connects_have_a_rate_for_each_socket() {
    let mut daemon = Daemon::with(|settings| settings.udp_rate = (5, 10));
    for _ in 0..10 {
        assert_eq!(daemon.datagram(V4, &connect(9)).map(|reply| reply.len()), Some(16));
    }
    let told = daemon.datagram(V4, &connect(9)).expect("told once");
    assert_eq!((told.len(), udp_error(&told)), (16, Some("rate lim")));
    for _ in 12..=20 {
        assert_eq!(daemon.datagram(V4, &connect(9)), None);
    }
    assert!(daemon.datagram("192.0.2.1:5001", &connect(9)).is_some(), "another port");
    daemon.advance(200);
    assert_eq!(daemon.datagram(V4, &connect(9)).map(|reply| reply[3]), Some(0));
    let long = [connect(9), vec![0; 100]].concat();
    let told = daemon.datagram(V4, &long).expect("a new episode");
    assert_eq!(udp_error(&told), Some("rate limit exceeded, try again later"));
}

#[test]
fn announces_and_scrapes_have_no_rate() {
    let mut daemon = Daemon::with(|settings| settings.udp_rate = (1, 1));
    let id = daemon.connection_id(V4);
    let announce = UdpAnnounce { id, ..UdpAnnounce::default() }.bytes();
    for _ in 0..1000 {
        assert_eq!(daemon.datagram(V4, &announce).map(|reply| reply.len()), Some(20));
        assert_eq!(daemon.datagram(V4, &udp_scrape(id, [1])).map(|reply| reply.len()), Some(20));
    }
    for rate in [(0, 1), (1, 0)] {
        let mut daemon = Daemon::with(|settings| settings.udp_rate = rate);
        assert!((0..1000).all(|_| daemon.datagram(V4, &connect(9)).is_some_and(|reply| reply.len() == 16)));
    }
}

#[test]
fn an_announce_is_answered_with_the_pace_and_the_counts() {
    let mut daemon = Daemon::new();
    daemon.announce("192.0.2.8:1", &hash(1), "left=0&port=8");
    daemon.announce("[2001:db8::8]:1", &hash(1), "left=5&port=8");
    let reply = daemon.udp_announce(V4, UdpAnnounce::default());
    let expected = [
        &[0, 0, 0, 1, 0, 0, 0, 9][..],
        &1800u32.to_be_bytes(),
        &2u32.to_be_bytes(),
        &1u32.to_be_bytes(),
        &[192, 0, 2, 8, 0, 8],
    ];
    assert_eq!(reply, expected.concat());
    let reply = daemon.udp_announce(V6, UdpAnnounce::default());
    assert_eq!((reply.len(), &reply[36..38]), (38, &[0, 8][..]), "only IPv6 peers");
}

#[test]
fn only_peers_of_the_own_family_but_the_counts_of_both() {
    let mut daemon = Daemon::new();
    daemon.udp_announce(V6, UdpAnnounce::default());
    let reply = daemon.udp_announce(V4, UdpAnnounce::default());
    assert_eq!((reply.len(), &reply[12..20]), (20, &[0, 0, 0, 2, 0, 0, 0, 0][..]));
}

#[test]
fn both_wires_see_one_client() {
    let mut daemon = Daemon::new();
    daemon.announce(
        "192.0.2.1:77",
        &hash(1),
        "left=5&port=6881&peer_id=%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07%07",
    );
    let reply = daemon.udp_announce(V4, UdpAnnounce::default());
    assert_eq!(reply[12..20], [0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(reply.len(), 20);
}

#[test]
fn events_have_the_effects_of_http() {
    for (event, left, counts) in [
        (0, 5, (0, 1)),
        (2, 5, (0, 1)),
        (4, 5, (0, 1)),
        (99, 5, (0, 1)),
        (0, u64::MAX, (0, 1)),
        (0, u64::MAX - 1, (0, 1)),
        (0, 0, (1, 0)),
        (1, 5, (1, 0)),
        (3, 5, (0, 0)),
    ] {
        let mut daemon = Daemon::new();
        let announce = UdpAnnounce { event, left, ..UdpAnnounce::default() };
        for _ in 0..2 {
            let reply = daemon.udp_announce(V4, announce.clone());
            assert_eq!((reply[19], reply[15]), counts, "event {event}, left {left}");
        }
        let id = daemon.connection_id(V4);
        let scraped = daemon.datagram(V4, &udp_scrape(id, [1])).expect("an answer");
        assert_eq!(scraped[15], u8::from(event == 1), "a completion counts once, and only by its event");
    }
}

#[test]
fn a_scrape_answers_seventy_four_hashes_in_their_order() {
    let mut daemon = Daemon::new();
    daemon.udp_announce(V4, UdpAnnounce { hash: 3, ..UdpAnnounce::default() });
    daemon.udp_announce("192.0.2.2:1", UdpAnnounce { hash: 3, event: 1, ..UdpAnnounce::default() });
    let id = daemon.connection_id(V4);
    let reply = daemon.datagram(V4, &udp_scrape(id, [9, 3, 9, 3])).expect("an answer");
    let three = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(reply, [&[0, 0, 0, 2, 0, 0, 0, 9][..], &[0; 12], &three, &[0; 12], &three].concat());
    for (hashes, bytes) in [(1, 20), (73, 884), (74, 896), (75, 896), (80, 896)] {
        let reply = daemon.datagram(V4, &udp_scrape(id, (0..hashes).map(|_| 3))).expect("an answer");
        assert_eq!(reply.len(), bytes, "{hashes} hashes");
    }
    let partial = [udp_scrape(id, [3]), vec![3; 7]].concat();
    assert_eq!(daemon.datagram(V4, &partial).map(|reply| reply.len()), Some(20));
}

#[test]
fn a_scrape_of_what_is_not_served_is_zero() {
    let loaded = Loaded {
        registered: vec![(hybrid(1, 2), 40)],
        blocked: vec![SwarmKey([9; 20])],
        ..Loaded::default()
    };
    let mut daemon = Daemon::loaded(&loaded, |settings| settings.policy.access = Access::Registered);
    daemon.udp_announce(V4, UdpAnnounce { hash: 2, ..UdpAnnounce::default() });
    let id = daemon.connection_id(V4);
    let reply = daemon.datagram(V4, &udp_scrape(id, [1, 2, 9, 5])).expect("an answer");
    let live = [0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 1];
    assert_eq!(reply[8..], [&live[..], &live, &[0; 24]].concat());
}

#[test]
fn a_counter_too_large_is_sent_as_the_largest() {
    let loaded = Loaded { registered: vec![(hybrid(1, 2), u64::MAX)], ..Loaded::default() };
    let mut daemon = Daemon::loaded(&loaded, |settings| settings.policy.access = Access::Registered);
    let id = daemon.connection_id(V4);
    let reply = daemon.datagram(V4, &udp_scrape(id, [1])).expect("an answer");
    assert_eq!(reply[12..16], [0xff; 4]);
}
