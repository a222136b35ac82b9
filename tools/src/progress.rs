//! The line that moves while data is hashed: on a terminal only, at most five times a second.

use crate::Context;
use crate::show_size::{clock, size};
use std::io::Write;
use std::time::{Duration, Instant};

/// A progress line on stderr, or nothing.
pub struct Progress {
    label: String,
    total: u64,
    started: Instant,
    drawn: Option<Instant>,
    on: bool,
    width: usize,
}

impl Progress {
    /// A line for `total` bytes; silent unless a person is watching.
    pub fn new(context: &Context, label: &str, total: u64) -> Self {
        let voice = context.voice;
        let on = context.env.stderr_is_terminal && !voice.quiet && !voice.json;
        let width = context.env.get("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(80);
        Self { label: label.into(), total, started: Instant::now(), drawn: None, on, width }
    }

    /// Redraws if it is time.
    pub fn at(&mut self, done: u64) {
        let now = Instant::now();
        if !self.on || self.drawn.is_some_and(|drawn| now - drawn < Duration::from_millis(200)) {
            return;
        }
        self.drawn = Some(now);
        let line = self.line(done, now - self.started);
        let line: String = line.chars().take(self.width.saturating_sub(1)).collect();
        // Nothing to do about a terminal that went away.
        let _ = write!(std::io::stderr(), "\r{line:<width$}", width = self.width.saturating_sub(1));
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.on && self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = self.width.saturating_sub(1));
        }
    }

    fn line(&self, done: u64, elapsed: Duration) -> String {
        const CELLS: u64 = 20;
        let total = self.total.max(1);
        let filled = (CELLS * done.min(total) / total) as usize;
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(CELLS as usize - filled));
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
        let eta = if done == 0 { "--:--".into() } else { clock(left as u64) };
        let percent = 100 * done.min(total) / total;
        let (now, all, rate) = (size(done), size(self.total), size(rate as u64));
        format!("{}  {percent}%  [{bar}]  {now}/{all}  {rate}/s  ETA {eta}", self.label)
    }
}
