//! Whatever is written over UDP is read back the same, in both directions.

use crate::support::{bytes, request, response};
use std::net::Ipv4Addr;
use weightless::base::{Rng, SwarmKey};
use weightless::wire::announce::Event;
use weightless::wire::tracker_client::{self as client, UdpReply};
use weightless::wire::udp_tracker::{self as wire, AddressFamily, BadPacket, action};

#[test]
fn announces_come_back_the_same() {
    let mut rng = Rng::new(1);
    for _ in 0..2000 {
        let sent = request(&mut rng);
        let (id, transaction, address) = (rng.u64(), rng.u64() as u32, Ipv4Addr::from(rng.u64() as u32));
        let url: Vec<u8> = (0..rng.below(1000)).map(|_| rng.u64() as u8).collect();
        let mut packet = Vec::new();
        let sender = client::Sender { address, key: rng.u64() as u32 };
        client::write_udp_announce(&mut packet, id, transaction, &sent, sender);
        assert_eq!(packet[88..92], sender.key.to_be_bytes());
        assert_eq!(packet.len(), 98);
        client::write_url_data(&mut packet, &url);
        let preamble = wire::parse_preamble(&packet).expect("whole");
        assert_eq!((preamble.connection_id, preamble.action), (id, action::ANNOUNCE));
        assert_eq!(preamble.transaction, transaction);
        let read = wire::parse_announce(&packet).expect("whole");
        assert_eq!((read.request, read.address_field), (sent, address));
        let mut collected = Vec::new();
        wire::url_data(read.options, &mut collected);
        assert_eq!(collected, url);
        let at_once = wire::url_data_at_once(read.options);
        assert_eq!(at_once, (1..=255).contains(&url.len()).then_some(&url[..]), "{}", url.len());
    }
}

#[test]
fn scrapes_come_back_the_same() {
    let mut rng = Rng::new(2);
    for count in (0..=80).chain([500]) {
        let keys: Vec<_> = (0..count).map(|_| SwarmKey(bytes(&mut rng))).collect();
        let mut packet = Vec::new();
        client::write_udp_scrape(&mut packet, 1, 2, &keys);
        assert_eq!(packet.len(), 16 + 20 * count);
        // A partial hash at the end is ignored.
        packet.extend_from_slice(&[9; 19]);
        match wire::parse_scrape(&packet) {
            Err(bad) => assert_eq!((bad, count), (BadPacket::NoHashes, 0)),
            Ok(read) => assert_eq!(read.collect::<Vec<_>>(), keys[..count.min(74)]),
        };
    }
}

#[test]
fn answers_come_back_the_same() {
    let mut rng = Rng::new(3);
    for _ in 0..500 {
        let sent = response(&mut rng);
        let (transaction, interval_s) = (rng.u64() as u32, rng.below(86_400));
        for (family, expected) in [(AddressFamily::V4, &sent.peers4), (AddressFamily::V6, &sent.peers6)] {
            let mut packet = Vec::new();
            wire::write_announce(&mut packet, transaction, interval_s, &sent, family);
            let (complete, incomplete) = (sent.complete, sent.incomplete);
            let reply = UdpReply::Announce { interval_s, incomplete, complete, peers: expected };
            assert_eq!(client::parse_udp_reply(&packet), Ok((transaction, reply)));
        }
        let id = rng.u64();
        let mut packet = Vec::new();
        wire::write_connect(&mut packet, transaction, id);
        let reply = UdpReply::Connect { connection_id: id };
        assert_eq!(client::parse_udp_reply(&packet), Ok((transaction, reply)));
    }
}

/// The numbers that mean something else, and the sizes at the bound and one past it.
#[test]
fn special_values_of_an_announce() {
    let mut packet = Vec::new();
    let sender = client::Sender { address: Ipv4Addr::UNSPECIFIED, key: 3 };
    client::write_udp_announce(&mut packet, 1, 2, &request(&mut Rng::new(4)), sender);
    let with = |at: usize, field: &[u8]| {
        let mut packet = packet.clone();
        packet[at..at + field.len()].copy_from_slice(field);
        packet
    };
    let read = |packet: &[u8]| wire::parse_announce(packet).map(|announce| announce.request);
    assert_eq!(read(&packet[..97]), Err(BadPacket::Short));
    assert!(read(&packet).is_ok());
    assert_eq!(read(&with(96, &[0, 0])), Err(BadPacket::PortZero));
    assert_eq!(read(&with(96, &[0xff, 0xff])).map(|r| r.port), Ok(u16::MAX));
    assert_eq!(read(&with(64, &[0xff; 8])).map(|r| r.left), Ok(None));
    let almost = (u64::MAX - 1).to_be_bytes();
    assert_eq!(read(&with(64, &almost)).map(|r| r.left), Ok(Some(i64::MAX as u64)));
    assert_eq!(read(&with(56, &[0xff; 8])).map(|r| r.downloaded), Ok(i64::MAX as u64));
    assert_eq!(read(&with(72, &[0xff; 8])).map(|r| r.uploaded), Ok(i64::MAX as u64));
    for (wanted, peers) in [(0, None), (-1, None), (1, Some(1)), (-2, Some(u32::MAX - 1))] {
        assert_eq!(read(&with(92, &i32::to_be_bytes(wanted))).map(|r| r.peers_wanted), Ok(peers));
    }
    for (number, event) in [
        (0, Event::None),
        (1, Event::Completed),
        (2, Event::Started),
        (3, Event::Stopped),
        (4, Event::Paused),
        (5, Event::None),
    ] {
        assert_eq!(read(&with(80, &u32::to_be_bytes(number))).map(|r| r.event), Ok(event));
    }
}
