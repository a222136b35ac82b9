//! When the hub is asked again (accounts, section 7). Pure: it is told the time.

use crate::base::{Millis, Rng};
use crate::mailbox::HubVerdict;

/// The hub's answers so far, as far as they decide when to send next.
pub struct Schedule {
    /// Nothing is sent before.
    next: Millis,
    /// Requests without a useful answer since the last 200.
    failures: u32,
    /// Rejections in a row: the first may be the batch's fault, more of them are hardly.
    rejections: u32,
    is_forbidden: bool,
    warned: Option<Millis>,
    rng: Rng,
}

impl Schedule {
    /// A hub nobody has heard of.
    pub fn new(rng: Rng) -> Self {
        Self { next: 0, failures: 0, rejections: 0, is_forbidden: false, warned: None, rng }
    }

    /// When something may be sent.
    pub fn next(&self) -> Millis {
        self.next
    }

    /// Whether the hub has refused our key, last we heard.
    pub fn is_forbidden(&self) -> bool {
        self.is_forbidden
    }

    /// Whether the last answer was none, or not a good one.
    pub fn is_troubled(&self) -> bool {
        self.failures > 0 || self.is_forbidden
    }

    /// Something may have been mended: the next try is now, and the delays begin anew.
    pub fn try_now(&mut self) {
        (self.next, self.failures, self.rejections) = (0, 0, 0);
    }

    /// No further try.
    pub fn forbid_for_good(&mut self) {
        self.next = Millis::MAX / 2;
    }

    /// An answer, or the want of one. `retry_after_s` is what the hub has asked for.
    pub fn answered(&mut self, now: Millis, verdict: HubVerdict, retry_after_s: Option<u64>) {
        self.is_forbidden = verdict == HubVerdict::Forbidden;
        match verdict {
            HubVerdict::Applied => {
                (self.next, self.failures, self.rejections, self.warned) = (now, 0, 0, None)
            }
            HubVerdict::Forbidden => self.next = now + FORBIDDEN_MS,
            HubVerdict::Rejected => {
                self.next = if self.rejections == 0 { now } else { now + self.delay(self.rejections - 1) };
                self.rejections = self.rejections.saturating_add(1);
            }
            HubVerdict::Retry => {
                let asked = retry_after_s.unwrap_or(0).saturating_mul(1000).min(RETRY_AFTER_MS_MAX);
                self.next = now + self.delay(self.failures).max(asked);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// Whether a warning is not one too many; taken as given.
    pub fn may_warn(&mut self, now: Millis) -> bool {
        let may = self.warned.is_none_or(|last| now >= last + WARNED_MS);
        if may {
            self.warned = Some(now);
        }
        may
    }

    /// 10 s, twice as long each time, at most 600 s; give or take a fifth, so that many trackers do not come at once.
    fn delay(&mut self, times: u32) -> Millis {
        let plain = (FIRST_MS << times.min(16)).min(LONGEST_MS);
        plain * 4 / 5 + u64::from(self.rng.below((plain * 2 / 5) as u32 + 1))
    }
}

const FIRST_MS: Millis = 10_000;
const LONGEST_MS: Millis = 600_000;
const FORBIDDEN_MS: Millis = 900_000;
const RETRY_AFTER_MS_MAX: Millis = 3_600_000;
const WARNED_MS: Millis = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_minutes_and_begin_anew_after_a_200() {
        let mut schedule = Schedule::new(Rng::new(7));
        let mut now = 5_000;
        let mut around = |schedule: &mut Schedule, plain: Millis| {
            schedule.answered(now, HubVerdict::Retry, None);
            let delay = schedule.next() - now;
            assert!((plain * 4 / 5..=plain * 6 / 5).contains(&delay), "{delay} is not about {plain}");
            now = schedule.next();
        };
        for plain in [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000, 600_000] {
            around(&mut schedule, plain);
        }
        schedule.answered(0, HubVerdict::Applied, None);
        assert_eq!(schedule.next(), 0);
        around(&mut schedule, 10_000);
        schedule.try_now();
        assert_eq!(schedule.next(), 0);
        around(&mut schedule, 10_000);
    }

    /// Ten minutes of trouble are few requests, whatever comes in meanwhile.
    #[test]
    fn an_outage_of_ten_minutes_costs_few_requests() {
        for seed in 0..50 {
            let mut schedule = Schedule::new(Rng::new(seed));
            let mut requests = 0;
            while schedule.next() < 600_000 {
                let now = schedule.next();
                schedule.answered(now, HubVerdict::Retry, None);
                requests += 1;
            }
            assert!((5..=8).contains(&requests), "{requests}");
        }
    }

    #[test]
    fn the_hub_may_ask_for_patience_but_not_for_more_than_an_hour() {
        let mut schedule = Schedule::new(Rng::new(7));
        schedule.answered(1_000, HubVerdict::Retry, Some(120));
        assert_eq!(schedule.next(), 121_000);
        schedule.answered(0, HubVerdict::Retry, Some(u64::MAX));
        assert_eq!(schedule.next(), 3_600_000);
        schedule.try_now();
        schedule.answered(0, HubVerdict::Retry, Some(1));
        assert!(schedule.next() >= 8_000, "never sooner than the usual");
    }

    #[test]
    fn a_refused_key_is_tried_every_quarter_of_an_hour_and_a_rejection_waits_for_nothing_at_first() {
        let mut schedule = Schedule::new(Rng::new(7));
        schedule.answered(1_000, HubVerdict::Forbidden, None);
        assert_eq!((schedule.next(), schedule.is_forbidden()), (901_000, true));
        schedule.answered(2_000, HubVerdict::Rejected, None);
        assert_eq!((schedule.next(), schedule.is_forbidden()), (2_000, false));
        schedule.answered(3_000, HubVerdict::Rejected, None);
        assert!((11_000..=15_000).contains(&schedule.next()), "a hub that rejects everything is not fed");
    }

    #[test]
    fn an_outage_is_warned_of_once_a_minute() {
        let mut schedule = Schedule::new(Rng::new(7));
        let warned: Vec<_> = (0..180).filter(|second| schedule.may_warn(second * 1000)).collect();
        assert_eq!(warned, [0, 60, 120]);
        schedule.answered(180_000, HubVerdict::Applied, None);
        assert!(schedule.may_warn(180_001), "another outage");
    }
}
