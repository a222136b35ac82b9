//! Datagrams: good ones, bad ones, and rubbish, from a few sources.

use crate::accounts::{FOLLOWED, SECRET};
use crate::pick;
use crate::world::World;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use weightless::base::{PeerId, SwarmKey};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash, Event};
use weightless::wire::compact;
use weightless::wire::passkey::PasskeyKey;
use weightless::wire::tracker_client::{self as client, UdpReply};
use weightless::wire::udp_tracker as wire;

/// What the sources of datagrams know.
#[derive(Default)]
pub struct Sources {
    /// Ids that were given to an address.
    ids: HashSet<(IpAddr, u64)>,
    latest: Option<(IpAddr, u64)>,
    /// Everybody who ever announced, by hash.
    announced: HashSet<(SwarmKey, SocketAddr)>,
}

impl Sources {
    /// The tracker they knew is gone; its successor knows the ids, but not the swarms.
    pub fn forget(&mut self) {
        self.announced.clear();
    }
}

impl World {
    pub fn datagram(&mut self) {
        let ips: [IpAddr; 5] = [
            [192, 0, 2, 1].into(),
            [192, 0, 2, 2].into(),
            [127, 0, 0, 1].into(),
            [10, 0, 0, 1].into(),
            "2001:db8::1".parse().expect("an address"),
        ];
        let mut ip = pick(&mut self.rng, &ips);
        let mut id = self.rng.u64();
        if let (Some((owner, known)), true) = (self.sources.latest, self.rng.below(4) > 0) {
            id = known;
            if self.rng.below(4) > 0 {
                ip = owner;
            }
        }
        let from = SocketAddr::new(ip, 1000 + self.rng.below(3) as u16);
        let packet = self.packet(id);
        let verified = packet.get(..8).is_some_and(|id| {
            self.sources.ids.contains(&(ip, u64::from_be_bytes(id.try_into().expect("8 bytes"))))
        });
        let mut reply = vec![0xaa; 3];
        let answered = self.server.datagram(self.now, from, &packet, &mut reply);
        if !answered {
            return;
        }
        assert!(!reply.is_empty() && reply.len() <= 1226, "{} bytes", reply.len());
        assert!(verified || reply.len() <= packet.len(), "{} bytes for {}", reply.len(), packet.len());
        if reply == b"unknown action\n" {
            return assert!(ip.is_loopback());
        }
        self.check(ip, &packet, &reply);
    }

    /// A datagram of some kind, cut or lengthened now and then.
    fn packet(&mut self, id: u64) -> Vec<u8> {
        let rng = &mut self.rng;
        let transaction = rng.u64() as u32;
        let key = |n: u32| SwarmKey([n as u8; 20]);
        let mut packet = Vec::new();
        match rng.below(10) {
            0..3 => wire::write_connect_request(&mut packet, transaction),
            3..7 => {
                let number = rng.below(6);
                let mut counter = || match rng.below(12) {
                    0 => rng.u64(),
                    _ => u64::from(rng.below(5_000)),
                };
                let (uploaded, downloaded) = (counter(), counter());
                let request = AnnounceRequest {
                    info_hash: AnnouncedHash::Short(key(number)),
                    peer_id: PeerId([rng.below(3) as u8; 20]),
                    port: rng.below(40) as u16,
                    uploaded,
                    downloaded,
                    left: pick(rng, &[None, Some(0), Some(7)]),
                    event: pick(
                        rng,
                        &[Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused],
                    ),
                    peers_wanted: pick(rng, &[None, Some(1), Some(10_000)]),
                };
                let address = pick(rng, &[Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(203, 0, 113, 8)]);
                let sender = client::Sender { address, key: transaction };
                client::write_udp_announce(&mut packet, id, transaction, &request, sender);
                // Torrents that may be registered have a user of their own, whom nobody follows.
                let user = if number > 3 { FOLLOWED } else { "other" };
                let passkey = PasskeyKey::new(SECRET).sign(user).expect("a user id");
                let path = format!("/announce/{passkey}");
                let length =
                    if rng.below(6) == 0 { rng.below(path.len() as u32) as usize } else { path.len() };
                client::write_url_data(&mut packet, &path.as_bytes()[..length]);
            }
            7 | 8 => {
                let keys: Vec<_> = (0..rng.below(90)).map(|n| key(n % 6)).collect();
                client::write_udp_scrape(&mut packet, id, transaction, &keys);
            }
            _ => {
                packet.extend_from_slice(&id.to_be_bytes());
                packet.extend((0..rng.below(120)).map(|_| rng.u64() as u8));
            }
        }
        match rng.below(10) {
            0 => packet.truncate(rng.below(packet.len() as u32 + 1) as usize),
            1 => packet.extend((0..rng.below(100)).map(|_| rng.u64() as u8)),
            2 if !packet.is_empty() => {
                let at = rng.below(packet.len() as u32) as usize;
                packet[at] ^= 1 << rng.below(8);
            }
            _ => {}
        }
        packet
    }

    fn check(&mut self, ip: IpAddr, packet: &[u8], reply: &[u8]) {
        let (transaction, reply) = match client::parse_udp_reply(reply) {
            Ok(read) => read,
            // Cut to what was sent, and that was short.
            Err(_) => panic!("not an answer: {reply:?}"),
        };
        assert_eq!(transaction.to_be_bytes(), packet[12..16], "the transaction is echoed");
        match reply {
            UdpReply::Connect { connection_id } => {
                self.sources.ids.insert((ip, connection_id));
                self.sources.latest = Some((ip, connection_id));
            }
            UdpReply::Announce { peers, incomplete, complete, .. } => {
                let asked = wire::parse_announce(packet).expect("it was answered");
                let (key, port) = (asked.request.info_hash.key(), asked.request.port);
                let named = IpAddr::V4(asked.address_field);
                let who = [SocketAddr::new(ip, port), SocketAddr::new(named, port)];
                if self.uses_passkeys() {
                    self.accounts.announced(self.now, ip.is_ipv4(), packet);
                }
                let offered: Vec<SocketAddr> = match ip {
                    IpAddr::V4(_) => compact::peers4(peers).map(SocketAddr::V4).collect(),
                    IpAddr::V6(_) => compact::peers6(peers).map(SocketAddr::V6).collect(),
                };
                let distinct: HashSet<_> = offered.iter().collect();
                assert_eq!(distinct.len(), offered.len(), "a peer twice");
                assert!(offered.len() <= (complete + incomplete) as usize, "more peers than there are");
                // Hashes above 3 are never registered: each is one swarm from beginning to end.
                for peer in offered.iter().filter(|_| key.0[0] > 3) {
                    let from_http = peer.port() <= 5;
                    assert!(
                        from_http || self.sources.announced.contains(&(key, *peer)),
                        "a stranger: {peer}"
                    );
                }
                self.sources.announced.extend(who.map(|who| (key, who)));
            }
            UdpReply::Scrape(entries) => {
                assert_eq!(entries.len(), ((packet.len() - 16) / 20).min(74) * 12);
            }
            UdpReply::Error(text) => assert!(text.iter().all(|byte| (b' '..0x7f).contains(byte))),
        }
    }
}
