//! One hash at one tier: when it announces next, and what each tracker has been told.

use super::{Answer, Problem, Retry, Wire};
use std::collections::BTreeMap;
use weightless::base::Millis;
use weightless::wire::announce::Event;

/// A series of announces.
#[derive(Debug)]
pub(super) struct Lane {
    /// Its tier; without meaning in a private torrent.
    pub tier: usize,
    /// Index of the identity's hashes.
    pub hash: usize,
    /// The call that has no answer yet; there is never a second one.
    pub in_flight: Option<InFlight>,
    /// Calls that said `stopped` and have no answer yet.
    pub farewells: Vec<u64>,
    /// Whether this run finished the download.
    pub completed: bool,
    last: Option<Success>,
    trackers: BTreeMap<usize, Said>,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub id: u64,
    pub tracker: usize,
    pub event: Event,
}

/// The last announce that was served.
#[derive(Debug)]
struct Success {
    at: Millis,
    interval_ms: Millis,
    min_interval_ms: Millis,
    tracker: usize,
}

/// What one tracker has been told, and how it took it.
#[derive(Debug, Default)]
struct Said {
    started: bool,
    completed: bool,
    /// In a row.
    failures: u32,
    not_before: Millis,
}

impl Lane {
    /// One that has said nothing.
    pub fn new(tier: usize, hash: usize) -> Self {
        Self {
            tier,
            hash,
            in_flight: None,
            farewells: Vec::new(),
            completed: false,
            last: None,
            trackers: BTreeMap::new(),
        }
    }

    /// When the next announce is due; `None` while one is on its way.
    pub fn due(&self, lacks_peers: bool) -> Option<Millis> {
        if self.in_flight.is_some() {
            return None;
        }
        let Some(last) = &self.last else { return Some(0) };
        let owes_completed = self.completed && self.event(last.tracker) != Event::None;
        if owes_completed {
            return Some(0);
        }
        let wait = if lacks_peers { last.interval_ms.min(EARLY_MS) } else { last.interval_ms };
        Some(last.at.saturating_add(wait.max(last.min_interval_ms)))
    }

    /// From when on a tracker may be asked; `Millis::MAX`: not in this run.
    pub fn not_before(&self, tracker: usize) -> Millis {
        self.trackers.get(&tracker).map_or(0, |said| said.not_before)
    }

    /// Whether a tracker may be asked now.
    pub fn may_ask(&self, tracker: usize, now: Millis) -> bool {
        let not_before = self.not_before(tracker);
        not_before <= now && not_before != Millis::MAX
    }

    /// Whether one of these trackers has not failed the last time.
    pub fn may_work(&self, order: &[usize]) -> bool {
        order.iter().any(|tracker| self.trackers.get(tracker).is_none_or(|said| said.failures == 0))
    }

    /// What the next announce to a tracker says.
    pub fn event(&self, tracker: usize) -> Event {
        let said = self.trackers.get(&tracker);
        match said {
            Some(said) if said.started && (said.completed || !self.completed) => Event::None,
            Some(said) if said.started => Event::Completed,
            _ => Event::Started,
        }
    }

    /// A tracker has served a call.
    pub fn succeeded(&mut self, now: Millis, flight: &InFlight, answer: &Answer, wire: Wire) {
        let said = self.trackers.entry(flight.tracker).or_default();
        said.started |= flight.event == Event::Started;
        said.completed |= flight.event == Event::Completed;
        said.failures = 0;
        said.not_before = 0;
        let least_s = match wire {
            Wire::Announce => INTERVAL_S_MIN,
            Wire::PeerRoutes => REGISTER_S_MIN,
        };
        let ms = |seconds: u32| Millis::from(seconds.min(INTERVAL_S_MAX)) * 1000;
        self.last = Some(Success {
            at: now,
            interval_ms: ms(answer.interval_s.max(least_s)),
            min_interval_ms: ms(answer.min_interval_s.unwrap_or(0)),
            tracker: flight.tracker,
        });
    }

    /// A tracker has not.
    pub fn failed(&mut self, now: Millis, flight: &InFlight, problem: &Problem) {
        let said = self.trackers.entry(flight.tracker).or_default();
        let wait = (RETRY_MS << said.failures.min(10)).min(RETRY_MS_MAX);
        said.failures += 1;
        said.not_before = match problem {
            Problem::Unusable(_) | Problem::Refused { retry: Retry::Never, .. } => Millis::MAX,
            Problem::Refused { retry: Retry::AfterS(seconds), .. } => {
                now.saturating_add(Millis::from(*seconds) * 1000)
            }
            Problem::Refused { retry: Retry::Unsaid, .. } | Problem::Failed(_) => now.saturating_add(wait),
        };
    }

    /// What the trackers know of us is no longer true.
    pub fn renew(&mut self) {
        if let Some(last) = &mut self.last {
            last.interval_ms = 0;
        }
    }

    /// The trackers that know us, once.
    pub fn take_greeted(&mut self) -> Vec<usize> {
        let told = self.trackers.iter_mut().filter(|(_, said)| said.started);
        told.map(|(tracker, said)| {
            said.started = false;
            *tracker
        })
        .collect()
    }

    /// Whether somebody who knows us, or is just being told of us, has not heard that the download is complete.
    pub fn owes_completed(&self) -> bool {
        let greets = self.in_flight.as_ref().is_some_and(|flight| flight.event == Event::Started);
        self.completed
            && (greets || self.last.as_ref().is_some_and(|last| self.event(last.tracker) == Event::Completed))
    }

    /// Whether somebody who knows us has not been told that we leave.
    pub fn owes_farewell(&self) -> bool {
        self.trackers.values().any(|said| said.started)
    }

    /// Whether nothing is owed, nothing on its way, and nobody can turn out to know us after all.
    pub fn is_silent(&self) -> bool {
        let greets = self.in_flight.as_ref().is_some_and(|flight| flight.event == Event::Started);
        self.farewells.is_empty() && !greets && !self.owes_farewell()
    }
}

/// A tracker's interval is taken as if it were within these.
const INTERVAL_S_MIN: u32 = 60;
const INTERVAL_S_MAX: u32 = 4 * 60 * 60;
/// A tracker may keep clients of its peer routes for no longer than a minute, and wants to see them thrice in it.
const REGISTER_S_MIN: u32 = 20;
/// Whoever lacks peers comes back after this, unless the tracker minds.
const EARLY_MS: Millis = 5 * 60 * 1000;
/// The wait after a failure, doubled each time.
const RETRY_MS: Millis = 30 * 1000;
const RETRY_MS_MAX: Millis = 30 * 60 * 1000;
