//! The two clocks, as values. Only the reactor, `main` and the shells of `wl` read them from the system; everybody
//! else is told, so a test can run a day in a second.

/// Milliseconds on the monotonic clock, from an arbitrary origin. Timers and lifetimes use this one.
pub type Millis = u64;

/// Seconds since 1970-01-01 UTC on the wall clock. Stored times and connection ids use this one.
pub type UnixSeconds = u64;

/// One reading of both clocks, taken once a turn and handed to everything that happens in that turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Millis,
    /// The wall clock.
    pub unix: UnixSeconds,
}
