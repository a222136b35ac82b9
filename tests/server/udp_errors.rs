//! The UDP tracker, section 4: errors or silence.

use crate::support::{Daemon, UdpAnnounce, connect, udp_error, udp_scrape};
use weightless::base::SwarmKey;
use weightless::mailbox::Loaded;
use weightless::tracker::Access;

const V4: &str = "192.0.2.1:5000";

fn packet(id: u64, action: u32, bytes: usize) -> Vec<u8> {
    let mut packet = [&id.to_be_bytes()[..], &action.to_be_bytes(), &[0, 0, 0, 9]].concat();
    packet.resize(bytes, 0);
    packet
}

#[test]
fn fewer_than_sixteen_bytes_are_met_with_silence() {
    let mut daemon = Daemon::new();
    let id = daemon.connection_id(V4);
    for bytes in 0..16 {
        for from in [V4, "127.0.0.1:1"] {
            assert_eq!(daemon.datagram(from, &connect(9)[..bytes]), None);
            assert_eq!(daemon.datagram(from, &packet(id, 1, 16)[..bytes]), None);
        }
    }
}

#[test]
fn a_connect_without_the_protocol_id_is_met_with_silence() {
    let mut daemon = Daemon::new();
    let id = daemon.connection_id(V4);
    for wrong in [0, 1, id, 0x0417_2710_1981] {
        assert_eq!(daemon.datagram(V4, &packet(wrong, 0, 16)), None);
        assert_eq!(daemon.datagram("127.0.0.1:1", &packet(wrong, 0, 98)), None);
    }
}

#[test]
fn a_bad_id_gets_an_error_no_longer_than_the_request() {
    let mut daemon = Daemon::new();
    for action in [1, 2] {
        for bytes in [16, 17, 28, 29, 30, 98, 2048] {
            let reply = daemon.datagram(V4, &packet(77, action, bytes)).expect("an error");
            let text = "invalid connection ID";
            assert_eq!(udp_error(&reply), Some(&text[..text.len().min(bytes - 8)]));
            assert!(reply.len() <= bytes);
        }
    }
}

#[test]
fn other_actions() {
    let mut daemon = Daemon::new();
    let id = daemon.connection_id(V4);
    for action in [3, 4, 99, u32::MAX] {
        let reply = daemon.datagram(V4, &packet(id, action, 16)).expect("a verified source is told");
        assert_eq!(udp_error(&reply), Some("unknown action"));
        assert_eq!(daemon.datagram(V4, &packet(77, action, 16)), None);
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            let probe = daemon.datagram(local, &packet(77, action, 16));
            assert_eq!(probe.as_deref(), Some(&b"unknown action\n"[..]));
        }
    }
}

/// A short announce, whatever else is wrong with it; then the port; then the rest.
#[test]
fn verified_errors_are_told_in_full_and_in_order() {
    let loaded = Loaded { blocked: vec![SwarmKey([9; 20])], ..Loaded::default() };
    let mut daemon = Daemon::loaded(&loaded, |settings| settings.policy.access = Access::Registered);
    let id = daemon.connection_id(V4);
    let whole = UdpAnnounce { id, port: 0, hash: 9, ..UdpAnnounce::default() };
    for bytes in [16, 36, 97] {
        let reply = daemon.datagram(V4, &whole.bytes()[..bytes]).expect("an error");
        assert_eq!(udp_error(&reply), Some("invalid packet size"), "{bytes}");
    }
    for (announce, text) in [
        (whole.clone(), "port cannot be 0"),
        (UdpAnnounce { port: 1, ..whole.clone() }, "info_hash is blocked"),
        (UdpAnnounce { port: 1, hash: 8, ..whole }, "Unregistered torrent: info_hash not found in registry"),
    ] {
        let reply = daemon.datagram(V4, &announce.bytes()).expect("an error");
        assert_eq!(udp_error(&reply), Some(text));
    }
    for bytes in [16, 20, 35] {
        let reply = daemon.datagram(V4, &udp_scrape(id, [1])[..bytes]).expect("an error");
        assert_eq!(udp_error(&reply), Some("no info hashes provided"));
    }
    let mut daemon = Daemon::with(|settings| settings.policy.access = Access::Listed);
    let reply = daemon.udp_announce(V4, UdpAnnounce::default());
    assert_eq!(udp_error(&reply), Some("torrent not authorized"));
}

#[test]
fn a_full_tracker_serves_whom_it_knows() {
    let mut daemon = Daemon::with(|settings| settings.policy.total_peers_max = 1);
    assert_eq!(daemon.udp_announce(V4, UdpAnnounce::default()).len(), 20);
    for hash in [1, 2] {
        let stranger = daemon.udp_announce("192.0.2.2:1", UdpAnnounce { hash, ..UdpAnnounce::default() });
        assert_eq!(udp_error(&stranger), Some("Tracker is full"));
    }
    assert_eq!(daemon.udp_announce(V4, UdpAnnounce::default()).len(), 20);
    assert_eq!(daemon.udp_announce(V4, UdpAnnounce { event: 3, ..UdpAnnounce::default() }).len(), 20);
    assert_eq!(daemon.udp_announce("192.0.2.2:1", UdpAnnounce::default()).len(), 20);
}

#[test]
fn while_it_ends_everything_is_met_with_silence() {
    let mut daemon = Daemon::new();
    let id = daemon.connection_id(V4);
    daemon.server.stopping();
    for packet in [connect(9), UdpAnnounce { id, ..UdpAnnounce::default() }.bytes(), udp_scrape(id, [1])] {
        assert_eq!(daemon.datagram(V4, &packet), None);
    }
    assert_eq!(daemon.datagram("127.0.0.1:1", &packet(7, 9, 16)), None);
}

#[test]
fn a_stopped_from_nobody_is_harmless() {
    let mut daemon = Daemon::new();
    let stopped = UdpAnnounce { event: 3, wanted: 0, ..UdpAnnounce::default() };
    assert_eq!(daemon.udp_announce(V4, stopped)[12..], [0; 8]);
    assert!(daemon.get(V4, "/metrics").text().contains("\ntracker_swarms_total 0\n"));
}
