//! The only reading of the clock in the daemon.

use crate::base::{Millis, Now};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks, with one origin for the monotonic one.
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time is that since the machine was started, roughly: all clocks of a process agree.
    pub fn new() -> Self {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        Self { origin: *ORIGIN.get_or_init(Instant::now) }
    }

    /// Both clocks now. The monotonic one begins at one day, so that nothing has to think of times before it.
    pub fn read(&self) -> Now {
        let mono = self.origin.elapsed().as_millis() as Millis + DAY_MS;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Now { mono, unix }
    }

    /// How long to sleep until the first of these deadlines; `None` when there is none.
    pub fn until(&self, deadlines: [Option<Millis>; 2]) -> Option<Duration> {
        let first = deadlines.into_iter().flatten().min()?;
        // Rounded up: waking a moment too early would turn once for nothing.
        Some(Duration::from_millis(first.saturating_sub(self.read().mono)))
    }
}

const DAY_MS: Millis = 86_400_000;
