//! The line that moves while data is hashed: on a terminal only, at most five times a second.

use crate::show_size::{clock, size};
use crate::{Context, env};
use std::io::Write;
use std::time::{Duration, Instant};

/// A line on stderr that is drawn over, or nothing.
pub struct Line {
    on: bool,
    /// COLUMNS, for a terminal that does not say how wide it is.
    columns: usize,
    /// Columns the line on the screen takes.
    shown: usize,
}

impl Line {
    /// A line; silent unless a person is watching.
    pub fn new(context: &Context) -> Self {
        let voice = context.voice;
        let on = context.env.stderr_is_terminal && !voice.quiet && !voice.json;
        let columns = context.env.get("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(80);
        Self { on, columns, shown: 0 }
    }

    /// Whether a person is watching.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Draws what `text` makes of the room there is.
    pub fn draw(&mut self, text: impl FnOnce(usize) -> String) {
        if !self.on {
            return;
        }
        let room = self.room();
        let line: String = text(room).chars().take(room).collect();
        let before = self.shown.min(room);
        self.shown = line.chars().count();
        // Nothing to do about a terminal that went away.
        let _ = write!(std::io::stderr(), "\r{line:<before$}");
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{:1$}\r", "", self.shown.min(self.room()));
            self.shown = 0;
        }
    }

    /// Asked each time: windows change their size. The last column stays free, because some terminals wrap there.
    fn room(&self) -> usize {
        env::stderr_columns().unwrap_or(self.columns).saturating_sub(1)
    }
}

/// A progress line for a known number of bytes, or nothing.
pub struct Progress {
    label: String,
    total: u64,
    started: Instant,
    drawn: Option<Instant>,
    line: Line,
}

impl Progress {
    /// A line for `total` bytes; silent unless a person is watching.
    pub fn new(context: &Context, label: &str, total: u64) -> Self {
        Self { label: label.into(), total, started: Instant::now(), drawn: None, line: Line::new(context) }
    }

    /// Redraws if it is time.
    pub fn at(&mut self, done: u64) {
        let now = Instant::now();
        if self.drawn.is_some_and(|drawn| now - drawn < Duration::from_millis(200)) {
            return;
        }
        self.drawn = Some(now);
        let (label, total, elapsed) = (&self.label, self.total, now - self.started);
        self.line.draw(|room| line(label, total, done, elapsed, room));
    }

    /// The same for a total that became known later.
    pub fn of(&mut self, done: u64, total: u64) {
        self.total = total;
        self.at(done);
    }

    /// Says a line that stays, above the moving one.
    pub fn note(&mut self, context: &Context, line: &str) {
        self.end();
        context.voice.say(line);
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        self.line.end();
        self.drawn = None;
    }
}

/// The line; where the room is short the bar goes first, because the numbers say the same.
fn line(label: &str, whole: u64, done: u64, elapsed: Duration, room: usize) -> String {
    const CELLS: u64 = 20;
    let total = whole.max(1);
    let filled = (CELLS * done.min(total) / total) as usize;
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(CELLS as usize - filled));
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = whole.saturating_sub(done) as f64 / rate.max(1.0);
    let eta = if done == 0 { "--:--".into() } else { clock(left as u64) };
    let percent = 100 * done.min(total) / total;
    let (now, all, rate) = (size(done), size(whole), size(rate as u64));
    let (front, back) = (format!("{}  {percent}%", label), format!("{now}/{all}  {rate}/s  ETA {eta}"));
    let full = format!("{front}  [{bar}]  {back}");
    if full.len() <= room { full } else { format!("{front}  {back}") }
}
