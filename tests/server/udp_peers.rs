//! The UDP tracker, sections 5 and 6: who the client is, and how many peers an answer carries.

use crate::support::{Daemon, UdpAnnounce};

const V4: &str = "192.0.2.1:5000";
const V6: &str = "[2001:db8::1]:5000";

fn fill(daemon: &mut Daemon, count: u16) {
    for n in 0..count {
        let peer_id = (n % 251) as u8;
        let announce = UdpAnnounce { port: 1000 + n, peer_id, wanted: 1, ..UdpAnnounce::default() };
        daemon.udp_announce(&format!("198.51.100.{}:{}", n % 250 + 1, 1000 + n), announce.clone());
        daemon.udp_announce(&format!("[2001:db8:1::{n:x}]:{}", 1000 + n), announce);
    }
}

#[test]
fn the_table_of_num_want() {
    let mut daemon = Daemon::new();
    fill(&mut daemon, 250);
    for (from, peer_bytes, cap) in [(V4, 6, 200), (V6, 18, 67)] {
        for (wanted, peers) in [
            (u32::MAX, 50),
            (0, 50),
            (1, 1),
            (49, 49),
            (51, 51),
            (60, 60),
            (10_000, cap),
            (u32::MAX - 1, cap),
            (i32::MIN as u32, cap),
        ] {
            let reply = daemon.udp_announce(from, UdpAnnounce { wanted, ..UdpAnnounce::default() });
            assert_eq!(reply.len(), 20 + peers * peer_bytes, "{from} wants {wanted}");
        }
        for wanted in [0, 10_000, u32::MAX] {
            let announce = UdpAnnounce { wanted, event: 3, ..UdpAnnounce::default() };
            assert_eq!(daemon.udp_announce(from, announce).len(), 20, "stopped");
        }
    }
}

#[test]
fn an_answer_never_exceeds_1220_or_1226_bytes() {
    let mut daemon = Daemon::with(|settings| settings.peers_max = 1000);
    fill(&mut daemon, 250);
    for wanted in [0, 10_000, u32::MAX] {
        let announce = UdpAnnounce { wanted, ..UdpAnnounce::default() };
        assert_eq!(daemon.udp_announce(V4, announce.clone()).len(), 1220);
        assert_eq!(daemon.udp_announce(V6, announce).len(), 1226);
    }
}

#[test]
fn the_settings_lower_the_caps() {
    let mut daemon = Daemon::with(|settings| (settings.peers_max, settings.udp_peers_max) = (10, 30));
    fill(&mut daemon, 40);
    for (wanted, peers) in [(0, 10), (20, 20), (10_000, 30)] {
        let announce = UdpAnnounce { wanted, ..UdpAnnounce::default() };
        assert_eq!(daemon.udp_announce(V4, announce).len(), 20 + 6 * peers, "{wanted}");
    }
    let mut daemon = Daemon::with(|settings| settings.udp_peers_max = 30);
    fill(&mut daemon, 40);
    assert_eq!(daemon.udp_announce(V4, UdpAnnounce::default()).len(), 20 + 6 * 30);
}

/// Whom another client in the swarm is told of.
fn told(daemon: &mut Daemon, asker: &str) -> Vec<u8> {
    let asker_is = UdpAnnounce { port: 9, peer_id: 9, ..UdpAnnounce::default() };
    daemon.udp_announce(asker, asker_is)[20..].to_vec()
}

#[test]
fn the_ip_field_is_ignored() {
    let named = UdpAnnounce { ip: [203, 0, 113, 9], ..UdpAnnounce::default() };
    for from in [V4, "10.0.0.5:5000", "127.0.0.1:5000"] {
        let mut daemon = Daemon::new();
        daemon.udp_announce(from, named.clone());
        let own = from.split(':').next().expect("an address").parse::<std::net::Ipv4Addr>().expect("one");
        assert_eq!(told(&mut daemon, "192.0.2.99:1"), [&own.octets()[..], &[0x1a, 0xe1]].concat());
    }
    let mut daemon = Daemon::new();
    assert_eq!(daemon.udp_announce(V6, named).len(), 20, "no error over IPv6");
}

#[test]
fn on_a_private_network_the_ip_field_names_the_client_when_allowed() {
    for (from, ip, taken) in [
        ("10.0.0.5:1", [203, 0, 113, 9], true),
        ("127.0.0.1:1", [203, 0, 113, 9], true),
        ("169.254.1.1:1", [203, 0, 113, 9], true),
        ("192.0.2.5:1", [203, 0, 113, 9], false),
        ("10.0.0.5:1", [0, 0, 0, 0], false),
        ("10.0.0.5:1", [224, 0, 0, 1], false),
        ("10.0.0.5:1", [255, 255, 255, 255], false),
    ] {
        let mut daemon = Daemon::with(|settings| settings.trust_ip_param = true);
        daemon.udp_announce(from, UdpAnnounce { ip, ..UdpAnnounce::default() });
        let own = from.split(':').next().expect("an address").parse::<std::net::Ipv4Addr>().expect("one");
        let expected = if taken { ip } else { own.octets() };
        assert_eq!(told(&mut daemon, "192.0.2.99:1")[..4], expected, "{from} {ip:?}");
    }
    let mut daemon = Daemon::with(|settings| settings.trust_ip_param = true);
    daemon.udp_announce("[fd00::1]:1", UdpAnnounce { ip: [203, 0, 113, 9], ..UdpAnnounce::default() });
    assert_eq!(told(&mut daemon, "192.0.2.99:1"), [0u8; 0], "IPv6 stays IPv6");
}

#[test]
fn a_mapped_source_gets_ipv4_peers() {
    let mut daemon = Daemon::new();
    daemon.udp_announce(V4, UdpAnnounce::default());
    let mapped = UdpAnnounce { port: 2, peer_id: 2, ..UdpAnnounce::default() };
    assert_eq!(daemon.udp_announce("[::ffff:192.0.2.2]:1", mapped).len(), 26);
}
