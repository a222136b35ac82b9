//! The line that moves while data is hashed: on a terminal only, at most five times a second.

use crate::show_size::{clock, size};
use crate::{Context, env};
use std::io::Write;
use std::time::{Duration, Instant};

/// A progress line on stderr, or nothing.
pub struct Progress {
    label: String,
    total: u64,
    started: Instant,
    drawn: Option<Instant>,
    on: bool,
    /// COLUMNS, for a terminal that does not say how wide it is.
    columns: usize,
    /// Columns the line on the screen takes.
    shown: usize,
}

impl Progress {
    /// A line for `total` bytes; silent unless a person is watching.
    pub fn new(context: &Context, label: &str, total: u64) -> Self {
        let voice = context.voice;
        let on = context.env.stderr_is_terminal && !voice.quiet && !voice.json;
        let columns = context.env.get("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(80);
        Self { label: label.into(), total, started: Instant::now(), drawn: None, on, columns, shown: 0 }
    }

    /// Redraws if it is time.
    pub fn at(&mut self, done: u64) {
        let now = Instant::now();
        if !self.on || self.drawn.is_some_and(|drawn| now - drawn < Duration::from_millis(200)) {
            return;
        }
        self.drawn = Some(now);
        // Asked each time: windows change their size. The last column stays free, because some terminals wrap there.
        let room = env::stderr_columns().unwrap_or(self.columns).saturating_sub(1);
        let line: String = self.line(done, now - self.started, room).chars().take(room).collect();
        let before = self.shown.min(room);
        self.shown = line.chars().count();
        // Nothing to do about a terminal that went away.
        let _ = write!(std::io::stderr(), "\r{line:<before$}");
    }

    /// Says a line that stays, above the moving one.
    pub fn note(&mut self, context: &Context, line: &str) {
        self.end();
        context.voice.say(line);
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.shown > 0 {
            let room = env::stderr_columns().unwrap_or(self.columns).saturating_sub(1);
            let _ = write!(std::io::stderr(), "\r{:1$}\r", "", self.shown.min(room));
            (self.shown, self.drawn) = (0, None);
        }
    }

    /// The line; where the room is short the bar goes first, because the numbers say the same.
    fn line(&self, done: u64, elapsed: Duration, room: usize) -> String {
        const CELLS: u64 = 20;
        let total = self.total.max(1);
        let filled = (CELLS * done.min(total) / total) as usize;
        let bar = format!("{}{}", "#".repeat(filled), "-".repeat(CELLS as usize - filled));
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
        let eta = if done == 0 { "--:--".into() } else { clock(left as u64) };
        let percent = 100 * done.min(total) / total;
        let (now, all, rate) = (size(done), size(self.total), size(rate as u64));
        let (front, back) =
            (format!("{}  {percent}%", self.label), format!("{now}/{all}  {rate}/s  ETA {eta}"));
        let full = format!("{front}  [{bar}]  {back}");
        if full.len() <= room { full } else { format!("{front}  {back}") }
    }
}
