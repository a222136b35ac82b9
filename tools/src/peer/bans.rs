//! Who is not talked to: peers that sent wrong data or broke the protocol, for the run; peers that flooded, for a while.
//!
//! A peer is its IPv4 address or its /64. Loopback, where many peers share one address, is told apart by port.

use super::address::household;
use super::limits::BANS_MAX;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use weightless::base::Millis;

/// The lists of one run.
#[derive(Debug, Default)]
pub struct Bans {
    banned: BTreeSet<Key>,
    /// The banned, oldest first.
    order: VecDeque<Key>,
    /// Until when somebody is not accepted.
    cooling: BTreeMap<Key, Millis>,
}

/// The address, and the port where it counts.
type Key = (IpAddr, Option<u16>);

impl Bans {
    /// Nobody is banned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bans whoever is at this address, for the run.
    pub fn ban(&mut self, address: SocketAddr) {
        let key = key(&address);
        if !self.banned.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > BANS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.banned.remove(&oldest);
        }
        debug_assert_eq!(self.order.len(), self.banned.len());
    }

    /// Whether whoever is at this address is banned.
    pub fn is_banned(&self, address: &SocketAddr) -> bool {
        self.banned.contains(&key(address))
    }

    /// Does not accept whoever is at this address for ten minutes.
    pub fn cool_down(&mut self, now: Millis, address: SocketAddr) {
        self.cooling.insert(key(&address), now + COOL_DOWN_MS);
        if self.cooling.len() <= BANS_MAX {
            return;
        }
        self.cooling.retain(|_, until| *until > now);
        if self.cooling.len() > BANS_MAX
            && let Some(first) = self.cooling.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            self.cooling.remove(&first);
        }
    }

    /// Whether whoever is at this address has flooded us in the last ten minutes.
    pub fn is_cooling(&self, now: Millis, address: &SocketAddr) -> bool {
        self.cooling.get(&key(address)).is_some_and(|until| *until > now)
    }

    /// How many are banned.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.banned.len()
    }
}

fn key(address: &SocketAddr) -> Key {
    let ip = address.ip().to_canonical();
    if ip.is_loopback() { (ip, Some(address.port())) } else { (household(ip), None) }
}

const COOL_DOWN_MS: Millis = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn an_ipv4_address_is_banned_with_all_its_ports() {
        let mut bans = Bans::new();
        bans.ban(at("192.0.2.1:1000"));
        assert!(bans.is_banned(&at("192.0.2.1:2000")) && bans.is_banned(&at("[::ffff:192.0.2.1]:1")));
        assert!(!bans.is_banned(&at("192.0.2.2:1000")));
    }

    #[test]
    fn an_ipv6_ban_is_for_the_64() {
        let mut bans = Bans::new();
        bans.ban(at("[2001:db8:0:1::1]:1000"));
        assert!(bans.is_banned(&at("[2001:db8:0:1:ffff::9]:5")));
        assert!(!bans.is_banned(&at("[2001:db8:0:2::1]:1000")));
    }

    #[test]
    fn loopback_is_banned_by_port() {
        let mut bans = Bans::new();
        for (banned, other) in [("127.0.0.1:1", "127.0.0.1:2"), ("[::1]:1", "[::1]:2")] {
            bans.ban(at(banned));
            assert!(bans.is_banned(&at(banned)) && !bans.is_banned(&at(other)));
        }
    }

    #[test]
    fn the_oldest_ban_is_forgotten_first() {
        let mut bans = Bans::new();
        let address = |n: u32| SocketAddr::new(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), 1);
        (0..BANS_MAX as u32).for_each(|n| bans.ban(address(n)));
        bans.ban(address(0));
        assert!(bans.len() == BANS_MAX && bans.is_banned(&address(0)));
        bans.ban(address(BANS_MAX as u32));
        assert_eq!(bans.len(), BANS_MAX);
        assert!(!bans.is_banned(&address(0)) && bans.is_banned(&address(1)));
        assert!(bans.is_banned(&address(BANS_MAX as u32)));
    }

    #[test]
    fn a_flooding_peer_is_not_accepted_for_ten_minutes() {
        let mut bans = Bans::new();
        bans.cool_down(5, at("192.0.2.1:1000"));
        assert!(bans.is_cooling(600_004, &at("192.0.2.1:9")));
        assert!(!bans.is_cooling(600_005, &at("192.0.2.1:9")));
        assert!(!bans.is_banned(&at("192.0.2.1:1000")));
    }

    #[test]
    fn cooling_peers_are_bounded() {
        let mut bans = Bans::new();
        let address = |n: u32| SocketAddr::new(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), 1);
        (0..=BANS_MAX as u32).for_each(|n| bans.cool_down(n.into(), address(n)));
        assert_eq!(bans.cooling.len(), BANS_MAX);
        assert!(!bans.is_cooling(5000, &address(0)) && bans.is_cooling(5000, &address(1)));
        bans.cool_down(10_000_000, address(0));
        assert_eq!(bans.cooling.len(), 1, "what is over goes first");
    }
}
