//! Token buckets per source in a table of fixed size.
//!
//! A source hashes to a set of eight places. A new source takes the place of one whose bucket is full again (which
//! loses nothing), else of the least recently seen. So a flood from many addresses can make the tracker forgive some
//! flooder early, but it can never make it refuse a stranger.

use crate::base::Millis;
use std::net::{IpAddr, SocketAddr};

/// The buckets of one kind of request.
#[derive(Debug)]
pub struct RateLimiter {
    /// Per place: the low and the high half of the source's hash, thousandths of tokens, milliseconds. Plain
    /// integers, so that the memory is not touched before it is used.
    places: Vec<[u32; 4]>,
    seed: u64,
    per_s: u32,
    burst: u32,
}

/// What a limiter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on.
    Allowed,
    /// Refused, for the first time since the source was last allowed something.
    Refused,
    /// Refused again.
    RefusedAgain,
}

impl RateLimiter {
    /// `per_s` tokens a second up to `burst`; 0 in either turns the limiter off.
    pub fn new(per_s: u32, burst: u32, seed: u64) -> Self {
        let off = per_s == 0 || burst == 0;
        Self { places: if off { Vec::new() } else { vec![[0; 4]; PLACES] }, seed, per_s, burst }
    }

    /// The key of its hash, for a limiter that takes its place.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Takes a token of an IPv4 address or an IPv6 /64.
    pub fn take_address(&mut self, now: Millis, ip: IpAddr) -> Verdict {
        let source = match ip.to_canonical() {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64 ^ 1 << 63,
        };
        self.take(now, source, 0)
    }

    /// Takes a token of an address and port.
    pub fn take_socket(&mut self, now: Millis, from: SocketAddr) -> Verdict {
        let (high, low) = match from.ip() {
            IpAddr::V4(ip) => (0, u64::from(u32::from(ip))),
            IpAddr::V6(ip) => ((u128::from(ip) >> 64) as u64, u128::from(ip) as u64),
        };
        self.take(now, high ^ u64::from(from.port()) << 48, low)
    }

    #[inline]
    fn take(&mut self, now: Millis, high: u64, low: u64) -> Verdict {
        if self.places.is_empty() {
            return Verdict::Allowed;
        }
        let hash = fold(fold(high ^ self.seed, 0x9e37_79b9_7f4a_7c15) ^ low, self.seed | 1).max(1);
        let full = self.burst * 1000;
        let set = (hash >> 32) as usize % (PLACES / WAYS) * WAYS;
        let set = &mut self.places[set..set + WAYS];
        let key = [hash as u32, (hash >> 32) as u32];
        let at = match set.iter().position(|place| place[..2] == key) {
            Some(at) => at,
            None => {
                let at = victim(set, now as u32, self.per_s, full);
                set[at] = [key[0], key[1], full, now as u32];
                at
            }
        };
        let place = &mut set[at];
        let told = place[2] & TOLD != 0;
        let tokens = refilled(place, now as u32, self.per_s, full);
        place[3] = now as u32;
        if tokens >= 1000 {
            place[2] = tokens - 1000;
            return Verdict::Allowed;
        }
        place[2] = tokens | TOLD;
        if told { Verdict::RefusedAgain } else { Verdict::Refused }
    }
}

fn refilled(place: &[u32; 4], now: u32, per_s: u32, full: u32) -> u32 {
    let gained = u64::from(now.wrapping_sub(place[3])) * u64::from(per_s);
    (u64::from(place[2] & !TOLD) + gained).min(u64::from(full)) as u32
}

/// An unused place, else one whose bucket is full, else the one that was seen longest ago.
fn victim(set: &[[u32; 4]], now: u32, per_s: u32, full: u32) -> usize {
    let rank = |place: &[u32; 4]| {
        let age = u64::from(now.wrapping_sub(place[3]));
        match place {
            [0, 0, ..] => u64::MAX,
            _ if refilled(place, now, per_s, full) == full => u64::from(u32::MAX) + age,
            _ => age,
        }
    };
    (0..set.len()).max_by_key(|&at| rank(&set[at])).unwrap_or(0)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Sources remembered at once.
const PLACES: usize = 65_536;
/// Places in one set.
const WAYS: usize = 8;
/// Marks a bucket whose owner has been told that it is empty. Above any number of tokens: a burst is at most 10^6.
const TOLD: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_burst_is_allowed_then_the_rate() {
        let mut limiter = RateLimiter::new(5, 10, 1);
        let verdicts: Vec<_> = (0..12).map(|_| limiter.take_address(0, ip(1))).collect();
        assert_eq!(verdicts[..10], [Verdict::Allowed; 10]);
        assert_eq!(verdicts[10..], [Verdict::Refused, Verdict::RefusedAgain]);
        assert_eq!(limiter.take_address(199, ip(1)), Verdict::RefusedAgain);
        assert_eq!(limiter.take_address(200, ip(1)), Verdict::Allowed);
        assert_eq!(limiter.take_address(200, ip(1)), Verdict::Refused, "a new episode");
        assert_eq!(limiter.take_address(0, ip(2)), Verdict::Allowed);
    }

    #[test]
    fn ipv6_counts_by_sixty_four_bits() {
        let mut limiter = RateLimiter::new(1, 1, 1);
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(limiter.take_address(0, parse("2001:db8::1")), Verdict::Allowed);
        assert_eq!(limiter.take_address(0, parse("2001:db8::2")), Verdict::Refused);
        assert_eq!(limiter.take_address(0, parse("2001:db8:0:1::1")), Verdict::Allowed);
    }

    /// A flood from more sources than there are places: the table keeps its size and every stranger is let in.
    #[test]
    fn a_stranger_is_never_refused_however_full_the_table_is() {
        let mut limiter = RateLimiter::new(1, 2, 7);
        for n in 0..3 * PLACES as u32 {
            assert_eq!(limiter.take_address(u64::from(n / 1000), ip(n)), Verdict::Allowed);
        }
        assert_eq!(limiter.places.len(), PLACES);
    }

    #[test]
    fn zero_turns_it_off() {
        for mut limiter in [RateLimiter::new(0, 5, 1), RateLimiter::new(5, 0, 1)] {
            assert!((0..100).all(|_| limiter.take_address(0, ip(1)) == Verdict::Allowed));
        }
    }
}
