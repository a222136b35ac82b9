//! How fast bytes flow, and how fast they may.

use weightless::base::Millis;

/// Bytes per second over the last few seconds: an average that forgets exponentially.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_second: f64,
    window: f64,
    since: Millis,
    fresh: u64,
}

impl Rate {
    /// An average over about `window_s` seconds.
    pub fn new(now: Millis, window_s: u32) -> Self {
        Self { per_second: 0.0, window: f64::from(window_s) * 1000.0, since: now, fresh: 0 }
    }

    /// Counts bytes.
    pub fn add(&mut self, bytes: u64) {
        self.fresh += bytes;
    }

    /// Takes what has been counted into the average; once a tick.
    pub fn roll(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.since) as f64;
        if passed <= 0.0 {
            return;
        }
        let weight = 1.0 - (-passed / self.window).exp();
        let current = self.fresh as f64 * 1000.0 / passed;
        self.per_second += (current - self.per_second) * weight;
        self.fresh = 0;
        self.since = now;
    }

    /// Bytes per second as of the last tick.
    pub fn per_second(&self) -> u64 {
        self.per_second as u64
    }
}

/// A bucket of bytes that refills at a fixed rate: what `--down` and `--up` mean.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Bytes per second; `None`: no bound.
    rate: Option<u64>,
    capacity: u64,
    tokens: u64,
    /// Thousandths of a byte that a refill left over.
    rest: u64,
    at: Millis,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now: Millis, rate: Option<u64>) -> Self {
        // A fifth of a second may be saved up, at least one block with its head.
        let capacity = rate.map_or(0, |rate| (rate / 5).max(16 * 1024 + 13));
        Self { rate, capacity, tokens: capacity, rest: 0, at: now }
    }

    /// A full bucket of `per_second` events.
    pub fn for_events(now: Millis, per_second: u64) -> Self {
        Self { rate: Some(per_second), capacity: per_second, tokens: per_second, rest: 0, at: now }
    }

    /// How many bytes may pass now.
    pub fn allowance(&mut self, now: Millis) -> usize {
        let Some(rate) = self.rate else { return usize::MAX };
        let gained = now.saturating_sub(self.at).saturating_mul(rate).saturating_add(self.rest);
        self.at = self.at.max(now);
        self.rest = gained % 1000;
        self.tokens = self.tokens.saturating_add(gained / 1000).min(self.capacity);
        usize::try_from(self.tokens).unwrap_or(usize::MAX)
    }

    /// Bytes have passed.
    pub fn take(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.tokens = self.tokens.saturating_sub(bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured_and_an_end_of_it_noticed() {
        let mut rate = Rate::new(0, 5);
        for second in 1..=30 {
            rate.add(1000);
            rate.roll(second * 1000);
        }
        assert!((990..=1000).contains(&rate.per_second()), "{}", rate.per_second());
        rate.roll(60_000);
        assert!(rate.per_second() < 10);
    }

    #[test]
    fn a_bucket_lets_its_rate_through_whatever_the_steps() {
        for step in [1, 7, 100, 999] {
            let mut bucket = Bucket::new(0, Some(100_000));
            let (mut now, mut passed) = (0, 0);
            while now < 60_000 {
                now += step;
                let may = bucket.allowance(now).min(30_000);
                bucket.take(may);
                passed += may as u64;
            }
            let expected = 100_000 * now / 1000;
            // Steps longer than the bucket is deep lose what it cannot hold.
            if step < 200 {
                assert!(passed.abs_diff(expected) <= 20_000, "{step}: {passed} instead of {expected}");
            } else {
                assert!(passed <= expected + 20_000);
            }
        }
        assert_eq!(Bucket::new(0, None).allowance(0), usize::MAX);
    }
}
