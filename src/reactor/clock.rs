//! The only reading of the clock in the daemon.

use crate::base::{Millis, Now};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks, with one origin for the monotonic one.
pub struct Clock {
    origin: Instant,
    /// The last reading.
    read: Instant,
}

impl Clock {
    /// A clock whose monotonic time is that since the machine was started, roughly: all clocks of a process agree.
    pub fn new() -> Self {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let origin = *ORIGIN.get_or_init(Instant::now);
        Self { origin, read: origin }
    }

    /// Both clocks now. The monotonic one begins at one day, so that nothing has to think of times before it.
    pub fn read(&mut self) -> Now {
        self.read = Instant::now();
        let mono = self.mono();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Now { mono, unix }
    }

    /// How long the current turn has taken.
    pub fn micros_since_reading(&self) -> u64 {
        self.read.elapsed().as_micros() as u64
    }

    fn mono(&self) -> Millis {
        (self.read - self.origin).as_millis() as Millis + DAY_MS
    }

    /// How long to sleep until the first of these deadlines; `None` when there is none.
    pub fn until(&mut self, deadlines: [Option<Millis>; 2]) -> Option<Duration> {
        let first = deadlines.into_iter().flatten().min()?;
        // Rounded up: waking a moment too early would turn once for nothing.
        Some(Duration::from_millis(first.saturating_sub(self.read().mono)))
    }
}

const DAY_MS: Millis = 86_400_000;
