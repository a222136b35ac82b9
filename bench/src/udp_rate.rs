//! Announces at a fixed mean rate with Poisson arrivals. Latency counts from when a request should have been sent, so
//! that a stall of the server is not hidden by a generator that waits for it.

use crate::batch::BATCH;
use crate::peers::{self, Peers};
use crate::report::Outcome;
use crate::udp::{ANNOUNCE, Announce, LASTS_MAX, Target, split};
use std::io;
use std::time::{Duration, Instant};

/// Requests that may be unanswered before their place is used again: more than seconds of any sensible rate.
const RING: usize = 1 << 17;
/// How long the last answers are waited for.
const DRAIN: Duration = Duration::from_secs(1);
/// Answers whose latency is kept.
const ANSWERS_MAX: u64 = 50_000_000;

impl Target {
    /// Announces for known peers at `rate` a second.
    pub fn rate(&mut self, peers: Peers, rate: f64, lasts: Duration, seed: u64) -> io::Result<Outcome> {
        self.connect()?;
        // Connection ids are not renewed during the run.
        let lasts = lasts.min(LASTS_MAX).min(Duration::from_secs(100));
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut due: Vec<Option<Duration>> = vec![None; RING];
        let mut outcome = Outcome::default();
        let before = self.usage()?;
        let begun = Instant::now();
        let mut sent = 0u64;
        let mut next = Duration::ZERO;
        loop {
            let now = begun.elapsed();
            while next <= now && next < lasts && sent < ANSWERS_MAX && self.batch.queued() < BATCH {
                let peer = peers.leecher(&mut rng);
                let at = sent as usize % RING;
                due[at] = Some(next);
                let source = peers::source(peer);
                let announce = Announce { peers, peer, wanted: self.peers_wanted };
                let id = self.ids[source as usize].unwrap_or_default();
                self.batch.queue(peers::source_ip(source), |buffer| announce.write(buffer, id, at as u32));
                sent += 1;
                // An exponential gap; `f64` is below 1, so its complement is above 0.
                next += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate.max(1.0));
            }
            if self.batch.queued() > 0 {
                self.batch.send(self.address)?;
            }
            self.batch.receive(|answer| {
                let Some((action, transaction, _)) = split(answer) else { return };
                let Some(due) = due.get_mut(transaction as usize).and_then(Option::take) else { return };
                let late = begun.elapsed().saturating_sub(due);
                outcome.latencies_us.push(late.as_micros().min(u128::from(u32::MAX)) as u32);
                outcome.answer_bytes += answer.len() as u64;
                match action {
                    ANNOUNCE => outcome.answers += 1,
                    _ => outcome.errors += 1,
                }
            })?;
            let done = next >= lasts || sent >= ANSWERS_MAX;
            if done && (outcome.answered() >= sent || begun.elapsed() > lasts + DRAIN) {
                break;
            }
        }
        outcome.took = begun.elapsed();
        outcome.lost = sent - outcome.answered();
        outcome.usage = before.zip(self.usage()?);
        outcome.latencies_us.sort_unstable();
        Ok(outcome)
    }
}
