//! What a person or a program hears while a transfer runs: a line that moves on a terminal, a plain line now and then
//! elsewhere, JSON lines on request, details with `--verbose`.

use crate::progress::Line;
use crate::show_size::{clock, size};
use crate::{Context, failure::shown};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, Write};
use weightless::base::Millis;

/// Where a plain line is enough.
const PLAIN_MS: Millis = 30_000;
/// A person is told at most so often.
const DRAW_MS: Millis = 200;
/// Programs are told at most so often.
const EVENT_MS: Millis = 1000;
/// The time left is reckoned from the pace over so long.
const PACE_MS: Millis = 30_000;

/// How a transfer stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// What is transferred.
    pub name: String,
    /// Bytes that are here, of those that are wanted.
    pub done: u64,
    /// Bytes that are wanted.
    pub total: u64,
    /// The same in chunks, of an idtorrent.
    pub chunks: Option<(u32, u32)>,
    /// Bytes per second to us.
    pub down: u64,
    /// Bytes per second from us.
    pub up: u64,
    /// Connections, and how many of them are to seeders.
    pub peers: (usize, usize),
    /// Web seeds in use.
    pub web_seeds: usize,
    /// Bytes uploaded in all.
    pub uploaded: u64,
    /// Whether nothing is fetched any more.
    pub seeding: bool,
    /// Whether it is not known yet what there is to fetch.
    pub unknown: bool,
}

/// Tells.
pub struct Report {
    line: Line,
    json_events: bool,
    detailed: bool,
    drawn: Millis,
    told: Millis,
    /// Bytes at moments of the last while.
    pace: VecDeque<(Millis, u64)>,
}

impl Report {
    /// Somebody who tells what the flags want told.
    pub fn new(context: &Context, now: Millis, json_events: bool) -> Self {
        let line = Line::new(context);
        Self {
            line,
            json_events,
            detailed: context.voice.is_detailed(),
            drawn: 0,
            told: now,
            pace: VecDeque::new(),
        }
    }

    /// How things stand now; says it if it is time.
    pub fn standing(&mut self, context: &Context, now: Millis, standing: &Standing) {
        self.pace.push_back((now, standing.done));
        while self.pace.front().is_some_and(|(at, _)| at + PACE_MS < now) {
            self.pace.pop_front();
        }
        if self.json_events && now >= self.told + EVENT_MS {
            self.told = now;
            self.event("progress", &progress(standing));
        }
        if self.line.is_on() {
            if now >= self.drawn + DRAW_MS {
                self.drawn = now;
                let eta = self.eta(standing);
                self.line.draw(|room| line(standing, eta, room));
            }
        } else if !self.json_events && now >= self.told + PLAIN_MS {
            self.told = now;
            context.voice.say(&line(standing, self.eta(standing), usize::MAX));
        }
    }

    /// Whether a person or a program hears of every change.
    pub fn is_watched(&self) -> bool {
        self.line.is_on() || self.json_events
    }

    /// A line that stays.
    pub fn say(&mut self, context: &Context, text: &str) {
        self.line.end();
        context.voice.say(text);
    }

    /// A warning that stays.
    pub fn warn(&mut self, context: &Context, text: &str) {
        self.line.end();
        context.voice.warn(text);
    }

    /// A line for those who want details.
    pub fn detail(&mut self, context: &Context, text: &str) {
        if self.detailed {
            self.say(context, text);
        }
    }

    /// A line for programs; `fields` is an object.
    pub fn event(&mut self, event: &str, fields: &Value) {
        if !self.json_events {
            return;
        }
        let mut object = json!({"event": event});
        if let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) {
            object.extend(fields.clone());
        }
        let mut out = io::stdout().lock();
        // A reader that went away is noticed when the result is written.
        let _ = writeln!(out, "{object}").and_then(|()| out.flush());
    }

    /// Takes the moving line away.
    pub fn end(&mut self) {
        self.line.end();
    }

    /// Seconds until all is here, from the pace of the last half minute.
    fn eta(&self, standing: &Standing) -> Option<u64> {
        let ((from, before), (to, now)) = (self.pace.front()?, self.pace.back()?);
        let (passed, gained) = (to - from, now.saturating_sub(*before));
        (passed >= 1000 && gained > 0)
            .then(|| (standing.total - standing.done.min(standing.total)) * passed / gained / 1000)
    }
}

/// How things stand, for programs.
fn progress(standing: &Standing) -> Value {
    json!({
        "done": standing.done, "total": standing.total, "down": standing.down, "up": standing.up,
        "peers": standing.peers.0, "seeds": standing.peers.1, "web_seeds": standing.web_seeds,
        "uploaded": standing.uploaded, "seeding": standing.seeding,
        "chunks_done": standing.chunks.map(|chunks| chunks.0), "chunks": standing.chunks.map(|chunks| chunks.1),
    })
}

/// The line for people, in `room` columns: the bar goes first where it is short.
fn line(standing: &Standing, eta: Option<u64>, room: usize) -> String {
    let name = shown(&standing.name);
    let peers = plural(standing.peers.0, "peer");
    if standing.seeding {
        let ratio = standing.uploaded as f64 / standing.total.max(1) as f64;
        return format!(
            "{name}  seeding  up {}/s  {} in all  ratio {ratio:.2}  {peers}",
            size(standing.up),
            size(standing.uploaded)
        );
    }
    if standing.unknown {
        return format!("{name}  looking for the metadata  {peers}");
    }
    let total = standing.total.max(1);
    let percent = percent(standing.done, standing.total);
    let eta = eta.map_or_else(|| "--:--".into(), clock);
    let web = if standing.web_seeds > 0 {
        format!(", {}", plural(standing.web_seeds, "web seed"))
    } else {
        String::new()
    };
    let seeds = plural(standing.peers.1, "seed");
    let chunks = standing.chunks.map(|(done, total)| format!("  {done}/{total} chunks")).unwrap_or_default();
    let back = format!(
        "{}/{}{chunks}  {}/s  ETA {eta}  peers {} ({seeds}){web}  up {}/s",
        size(standing.done),
        size(standing.total),
        size(standing.down),
        standing.peers.0,
        size(standing.up)
    );
    const CELLS: u64 = 18;
    let filled = (u128::from(CELLS) * u128::from(standing.done.min(total)) / u128::from(total)) as usize;
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(CELLS as usize - filled));
    let full = format!("{name}  {percent}%  [{bar}]  {back}");
    if full.chars().count() <= room { full } else { format!("{name}  {percent}%  {back}") }
}

/// Whole percents, rounded down; nothing is complete before it is.
pub fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { (u128::from(done.min(total)) * 100 / u128::from(total)) as u64 }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_manual() {
        let standing = Standing {
            name: "data.bin".into(),
            done: 1_288_490_188,
            total: 3_113_851_289,
            down: 88_394_956,
            up: 1_153_434,
            peers: (12, 5),
            ..Standing::default()
        };
        assert_eq!(
            line(&standing, Some(21), 200),
            "data.bin  41%  [#######-----------]  1.2 GB/2.9 GB  84.3 MB/s  ETA 0:21  peers 12 (5 seeds)  up 1.1 MB/s"
        );
        assert!(!line(&standing, None, 90).contains('['));
        let small = Standing { chunks: Some((41, 100)), ..standing };
        assert!(
            line(&small, None, 90).contains("  1.2 GB/2.9 GB  41/100 chunks  "),
            "{}",
            line(&small, None, 90)
        );
        assert_eq!((percent(0, 0), percent(999, 1000), percent(5, 5)), (100, 99, 100));
    }
}
