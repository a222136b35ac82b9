//! What a run came to, one `name value` a line, so that scripts can read it too.

use crate::account::Usage;
use std::fmt;
use std::time::Duration;

/// The outcome of one run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers that were what was asked for.
    pub answers: u64,
    /// Answers that were something else: errors, refusals, other statuses.
    pub errors: u64,
    /// Requests without an answer.
    pub lost: u64,
    /// Bytes of all answers, without headers of IP and UDP or TCP.
    pub answer_bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Time from when each request should have been sent to its answer, in microseconds; sorted. Empty in closed loops.
    pub latencies_us: Vec<u32>,
    /// The server before and after, if its process was named.
    pub usage: Option<(Usage, Usage)>,
}

impl Outcome {
    /// Answers of any kind.
    pub fn answered(&self) -> u64 {
        self.answers + self.errors
    }

    /// The server's processor seconds for a million answers.
    pub fn cpu_s_per_million(&self) -> Option<f64> {
        let (before, after) = self.usage.as_ref()?;
        Some(after.since(before).cpu_s * 1e6 / self.answered().max(1) as f64)
    }

    /// The latency that this share of the answers kept within, in microseconds.
    pub fn percentile_us(&self, share: f64) -> u32 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(1e-9);
        let answered = self.answered().max(1) as f64;
        writeln!(f, "seconds {seconds:.3}")?;
        writeln!(f, "answers {}", self.answers)?;
        writeln!(f, "errors {}", self.errors)?;
        writeln!(f, "lost {}", self.lost)?;
        writeln!(f, "answers_per_s {:.0}", self.answered() as f64 / seconds)?;
        writeln!(f, "bytes_per_answer {:.1}", self.answer_bytes as f64 / answered)?;
        if !self.latencies_us.is_empty() {
            for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
                writeln!(f, "{name}_us {}", self.percentile_us(share))?;
            }
        }
        let Some((before, after)) = &self.usage else { return Ok(()) };
        let used = after.since(before);
        writeln!(f, "cpu_s_per_million {:.3}", used.cpu_s * 1e6 / answered)?;
        writeln!(f, "user_s_per_million {:.3}", used.user_s * 1e6 / answered)?;
        writeln!(f, "core_use {:.3}", used.cpu_s / seconds)?;
        writeln!(f, "sleeps_per_s {:.1}", used.sleeps as f64 / seconds)?;
        writeln!(f, "rss_before_kb {}", before.rss_bytes / 1024)?;
        writeln!(f, "rss_after_kb {}", after.rss_bytes / 1024)
    }
}
