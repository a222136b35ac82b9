//! Time as the table keeps it: two bytes a peer.
//!
//! A tick is a second unless a lifetime is so long that its ticks would not fit; then it is longer. Ticks wrap, which
//! is safe because the sweep looks at every peer far more often than once a half turn.

use super::block::bits;
use crate::base::Millis;

/// A point in time modulo 2^16 ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tick(pub u16);

impl Tick {
    /// How many ticks ago `earlier` was.
    #[inline]
    pub fn since(self, earlier: Tick) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// How long a peer lives without announcing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    tick_ms: u64,
    peer_ticks: u16,
    idt_ticks: u16,
}

impl Lifetimes {
    /// Lifetimes in seconds: of peers that announce, and of those that registered by the idtorrent route.
    pub fn new(peer_s: u32, idt_s: u32) -> Self {
        let longest_ms = u64::from(peer_s.max(idt_s)) * 1000;
        let tick_ms = longest_ms.div_ceil(TICKS_MAX).max(1000);
        let ticks = |s: u32| (u64::from(s) * 1000 / tick_ms) as u16;
        Self { tick_ms, peer_ticks: ticks(peer_s), idt_ticks: ticks(idt_s) }
    }

    /// The tick that `mono` lies in.
    #[inline]
    pub fn tick(&self, mono: Millis) -> Tick {
        Tick((mono / self.tick_ms) as u16)
    }

    /// How long a tick is.
    pub fn tick_ms(&self) -> u32 {
        self.tick_ms as u32
    }

    /// The tick of a peer that announced `age_s` seconds before `now`.
    pub fn tick_of_age(&self, now: Tick, age_s: u64) -> Tick {
        let ticks = (age_s * 1000 / self.tick_ms).min(u64::from(u16::MAX / 2));
        Tick(now.0.wrapping_sub(ticks as u16))
    }

    /// The age in seconds of a peer that was seen at `seen`.
    pub fn age_s(&self, now: Tick, seen: Tick) -> u64 {
        u64::from(now.since(seen)) * self.tick_ms / 1000
    }

    /// Whether a peer seen at `seen` with these bits is to be forgotten.
    #[inline]
    pub fn over(&self, now: Tick, seen: Tick, peer_bits: u8) -> bool {
        let lifetime = if peer_bits & bits::IDT == 0 { self.peer_ticks } else { self.idt_ticks };
        now.since(seen) > lifetime
    }

    /// The shorter of the two, in ticks.
    #[inline]
    pub fn shortest(&self) -> u16 {
        self.peer_ticks.min(self.idt_ticks)
    }
}

/// Ticks of the longest lifetime: a quarter of what two bytes hold, so that a late sweep never sees an age wrap.
const TICKS_MAX: u64 = 16384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_over_one_tick_after_its_lifetime_and_not_before() {
        let lifetimes = Lifetimes::new(3600, 900);
        let seen = lifetimes.tick(5_000);
        assert!(!lifetimes.over(lifetimes.tick(3_605_000), seen, 0));
        assert!(lifetimes.over(lifetimes.tick(3_606_000), seen, 0));
        assert!(lifetimes.over(lifetimes.tick(906_000), seen, bits::IDT));
    }

    #[test]
    fn the_longest_lifetime_fits() {
        let lifetimes = Lifetimes::new(604_800, 900);
        let seen = lifetimes.tick(0);
        assert!(!lifetimes.over(lifetimes.tick(604_000_000), seen, 0));
        assert!(lifetimes.over(lifetimes.tick(604_900_000), seen, 0));
        assert_eq!(lifetimes.age_s(lifetimes.tick(604_000_000), seen) / 100, 6039);
    }
}
