//! Web seeds (BEP 19) of one torrent: which byte ranges of which files to fetch from whom, and what to make of the
//! answers.
//!
//! A pure machine. A *run* is a row of missing pieces that nobody else works on; whoever keeps the pieces gives it away
//! when asked and gets back what could not be had. It is fetched file by file, one request after the other, on one of
//! a seed's connections. Pads are in no file and are never asked for.

mod seed;
#[cfg(test)]
mod tests;
mod url;

use crate::content::Content;
use crate::tracker::is_http;
use seed::Seed;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use weightless::base::Millis;

/// Which pieces a seed is free for.
pub struct Wanted<'a> {
    /// At most so many pieces in a row.
    pub pieces_max: u32,
    /// Whether the seed can have a piece: files it lacks are left out.
    pub can: &'a dyn Fn(u32) -> bool,
}

/// One request: a range of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Names the request.
    pub id: u64,
    /// Whose connections it uses.
    pub seed: usize,
    /// What to ask for: the URL of the file, or where it has been found to be.
    pub url: String,
    /// Whether a person typed the seed's URL.
    pub trusted: bool,
    /// The file.
    pub file: usize,
    /// Bytes of the file, never empty.
    pub range: Range<u64>,
    /// All bytes of the file.
    pub file_bytes: u64,
    /// The first strong entity tag the file had there, for `If-Range`.
    pub etag: Option<String>,
}

/// How a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebEvent {
    /// The head of an answer that will be read.
    Began {
        /// Which request.
        id: u64,
        /// A strong entity tag.
        etag: Option<String>,
        /// Where the answer came from, after redirects.
        url: String,
    },
    /// The next bytes, in order.
    Data {
        /// Which request.
        id: u64,
        /// Their offset in the file.
        at: u64,
        /// At most 256 KiB.
        bytes: Vec<u8>,
    },
    /// All of the range has come.
    Done {
        /// Which request.
        id: u64,
    },
    /// No more will come.
    Failed {
        /// Which request.
        id: u64,
        /// Why.
        why: WebProblem,
    },
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebProblem {
    /// The file cannot be had there: not found, forbidden, or the server does not do ranges and the file is large. The
    /// text says which.
    Unavailable(String),
    /// Not now: overload, timeout, reset.
    Busy {
        /// In a person's words.
        why: String,
        /// `Retry-After`.
        retry_after_s: Option<u32>,
    },
    /// The URL must not be followed.
    Forbidden(String),
}

/// What an event means for whoever keeps the pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upshot {
    /// The bytes of a [`WebEvent::Data`] are wanted, and where they stand in the stream of pieces.
    pub stream_at: Option<u64>,
    /// Pieces that are nobody's again; what has come of them may be kept or not.
    pub released: Vec<Range<u32>>,
    /// Requests that need not go on.
    pub cancelled: Vec<u64>,
    /// The seed that was given up just now, and why.
    pub dropped: Option<(usize, String)>,
}

/// The web seeds of one torrent.
pub struct Webseeds {
    content: Arc<Content>,
    seeds: Vec<Seed>,
    runs: Vec<Run>,
    next_id: u64,
}

/// Pieces being fetched from one seed.
#[derive(Debug)]
struct Run {
    seed: usize,
    pieces: Range<u32>,
    /// The request that is on its way.
    id: u64,
    file: usize,
    /// Where the range of that request stands in the stream: its start minus its offset in the file.
    file_start: u64,
    /// Up to where the stream has come.
    done: u64,
    rest: VecDeque<Part>,
    began: Millis,
    bytes: u64,
}

/// A range of one file that belongs to a run.
#[derive(Clone, Debug)]
struct Part {
    file: usize,
    range: Range<u64>,
    stream: u64,
}

impl Webseeds {
    /// Seeds by URL, and whether a person typed it; http and https only, each URL once, at most [`SEEDS_MAX`].
    pub fn new(urls: Vec<(String, bool)>, content: Arc<Content>) -> Self {
        let mut seeds: Vec<Seed> = Vec::new();
        for (url, trusted) in urls {
            if seeds.len() < SEEDS_MAX && is_http(&url) && seeds.iter().all(|seed| seed.url != url) {
                seeds.push(Seed::new(url, trusted));
            }
        }
        Self { content, seeds, runs: Vec::new(), next_id: 0 }
    }

    /// Appends the requests to begin now. `missing` gives away the longest row of pieces that nobody works on, within
    /// what is wanted; what it gives is ours until it is released or complete.
    pub fn poll(
        &mut self,
        now: Millis,
        missing: &mut dyn FnMut(Wanted<'_>) -> Option<Range<u32>>,
        out: &mut Vec<Fetch>,
    ) {
        for seed in 0..self.seeds.len() {
            while self.has_room(seed, now) {
                let Some(pieces) = self.take(seed, missing) else { break };
                self.begin(now, seed, pieces, out);
            }
        }
    }

    /// Takes what happened to a request, and appends the next one of its run.
    pub fn event(&mut self, now: Millis, event: &WebEvent, out: &mut Vec<Fetch>) -> Upshot {
        let id = match event {
            WebEvent::Began { id, .. } | WebEvent::Data { id, .. } => *id,
            WebEvent::Done { id } | WebEvent::Failed { id, .. } => *id,
        };
        // Of a run that was given up.
        let Some(at) = self.runs.iter().position(|run| run.id == id) else { return Upshot::default() };
        match event {
            WebEvent::Began { etag, url, .. } => {
                if let (Some(run), content) = (self.runs.get(at), &self.content)
                    && let Some(seed) = self.seeds.get_mut(run.seed)
                {
                    seed.met(run.file, &url::of_file(&seed.url, content, run.file), url, etag.as_deref());
                }
                Upshot::default()
            }
            WebEvent::Data { at: offset, bytes, .. } => self.data(at, *offset, bytes.len() as u64),
            WebEvent::Done { .. } => self.done(now, at, out),
            WebEvent::Failed { why, .. } => self.failed(now, at, why),
        }
    }

    /// A piece that came from this seed alone does not match: it is not asked again.
    pub fn wrong_data(&mut self, seed: usize) -> Upshot {
        self.drop_seed(seed, "wrong data")
    }

    /// Gives up the runs that touch these pieces, because somebody else has brought them.
    #[cfg(test)]
    pub fn cancel(&mut self, pieces: &Range<u32>) -> Upshot {
        let touches = |run: &Run| run.pieces.start < pieces.end && pieces.start < run.pieces.end;
        self.give_up(touches)
    }

    /// When [`Webseeds::poll`] may have something to do that it could not do before.
    pub fn next_due(&self, now: Millis) -> Option<Millis> {
        let waits = self.seeds.iter().filter(|seed| !seed.is_dropped()).map(|seed| seed.not_before);
        waits.filter(|&due| due > now).min()
    }

    /// Whether nothing can come from here any more. Also true without seeds.
    pub fn all_dropped(&self) -> bool {
        self.seeds.iter().all(Seed::is_dropped)
    }

    /// Each seed's URL, and why it was given up, if it was.
    pub fn status(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.seeds.iter().map(|seed| (seed.url.as_str(), seed.dropped.as_deref()))
    }

    fn has_room(&self, seed: usize, now: Millis) -> bool {
        let ready = self.seeds.get(seed).is_some_and(|seed| !seed.is_dropped() && seed.not_before <= now);
        // After a failure one connection tries whether it is over.
        let failing = self.seeds.get(seed).is_some_and(|seed| seed.failures > 0);
        let connections_max = if failing { 1 } else { CONNECTIONS_PER_SEED_MAX };
        let own = self.runs.iter().filter(|run| run.seed == seed).count();
        ready && own < connections_max && self.runs.len() < CONNECTIONS_MAX
    }

    fn take(
        &self,
        at: usize,
        missing: &mut dyn FnMut(Wanted<'_>) -> Option<Range<u32>>,
    ) -> Option<Range<u32>> {
        let seed = self.seeds.get(at)?;
        let pieces_max = seed.run_bytes() / self.content.layout().piece_length().max(1);
        let pieces_max = u32::try_from(pieces_max).unwrap_or(u32::MAX).max(1);
        let can = |piece: u32| {
            let layout = self.content.layout();
            seed.lacks_nothing()
                || layout.segments(layout.piece(piece.into())).all(|part| seed.has(part.file))
        };
        missing(Wanted { pieces_max, can: &can }).filter(|pieces| !pieces.is_empty())
    }

    fn begin(&mut self, now: Millis, seed: usize, pieces: Range<u32>, out: &mut Vec<Fetch>) {
        let layout = self.content.layout();
        let last = layout.piece(u64::from(pieces.end.saturating_sub(1)));
        let stream = layout.piece(pieces.start.into()).start..last.end;
        let parts = layout.segments(stream.clone()).map(|segment| Part {
            file: segment.file,
            range: segment.offset..segment.offset + segment.length,
            stream: segment.at,
        });
        let rest: VecDeque<Part> = parts.collect();
        let run = Run {
            seed,
            pieces,
            id: 0,
            file: 0,
            file_start: 0,
            done: stream.start,
            rest,
            began: now,
            bytes: 0,
        };
        self.runs.push(run);
        let at = self.runs.len() - 1;
        self.next_part(at, out);
    }

    /// Asks for the next part of a run. Returns whether there was one.
    fn next_part(&mut self, at: usize, out: &mut Vec<Fetch>) -> bool {
        let Some(run) = self.runs.get_mut(at) else { return false };
        let Some(part) = run.rest.pop_front() else { return false };
        let Some(seed) = self.seeds.get(run.seed) else { return false };
        run.id = self.next_id;
        self.next_id += 1;
        run.file = part.file;
        run.file_start = part.stream - part.range.start;
        run.done = part.stream;
        let url = url::of_file(&seed.url, &self.content, part.file);
        let (url, etag) = seed.known(part.file, url);
        out.push(Fetch {
            id: run.id,
            seed: run.seed,
            url,
            trusted: seed.trusted,
            file: part.file,
            range: part.range,
            file_bytes: self.content.file_bytes(part.file),
            etag,
        });
        true
    }

    fn data(&mut self, at: usize, offset: u64, length: u64) -> Upshot {
        let Some(run) = self.runs.get_mut(at) else { return Upshot::default() };
        let stream_at = run.file_start + offset;
        debug_assert_eq!(stream_at, run.done, "a fetch brings its bytes in order");
        run.done = stream_at + length;
        run.bytes += length;
        Upshot { stream_at: Some(stream_at), ..Upshot::default() }
    }

    fn done(&mut self, now: Millis, at: usize, out: &mut Vec<Fetch>) -> Upshot {
        if let Some(seed) = self.runs.get(at).and_then(|run| self.seeds.get_mut(run.seed)) {
            seed.failures = 0;
        }
        if self.next_part(at, out) {
            return Upshot::default();
        }
        let run = self.runs.swap_remove(at);
        if let Some(seed) = self.seeds.get_mut(run.seed) {
            seed.measure(run.bytes, now.saturating_sub(run.began));
        }
        Upshot::default()
    }

    fn failed(&mut self, now: Millis, at: usize, why: &WebProblem) -> Upshot {
        let run = self.runs.swap_remove(at);
        let released = self.unfinished(&run);
        let Some(seed) = self.seeds.get_mut(run.seed) else { return Upshot::default() };
        let reason = match why {
            WebProblem::Busy { why, retry_after_s } => seed.busy(now, *retry_after_s).then(|| why.clone()),
            WebProblem::Forbidden(why) => Some(why.clone()),
            WebProblem::Unavailable(why) => {
                seed.lacks(run.file);
                let content = &self.content;
                let mut files = (0..content.file_count()).filter(|&file| content.file_bytes(file) > 0);
                (!files.any(|file| seed.has(file))).then(|| why.clone())
            }
        };
        let mut upshot = match reason {
            Some(reason) => self.drop_seed(run.seed, &reason),
            None => Upshot::default(),
        };
        upshot.released.extend(released);
        upshot
    }

    fn drop_seed(&mut self, seed: usize, why: &str) -> Upshot {
        let Some(dropped) = self.seeds.get_mut(seed).filter(|seed| !seed.is_dropped()) else {
            return Upshot::default();
        };
        dropped.dropped = Some(why.to_owned());
        let mut upshot = self.give_up(|run| run.seed == seed);
        upshot.dropped = Some((seed, why.to_owned()));
        upshot
    }

    fn give_up(&mut self, which: impl Fn(&Run) -> bool) -> Upshot {
        let (given_up, kept) = std::mem::take(&mut self.runs).into_iter().partition(which);
        self.runs = kept;
        let given_up: Vec<Run> = given_up;
        Upshot {
            released: given_up.iter().filter_map(|run| self.unfinished(run)).collect(),
            cancelled: given_up.iter().map(|run| run.id).collect(),
            ..Upshot::default()
        }
    }

    /// The pieces of a run that have not come whole.
    fn unfinished(&self, run: &Run) -> Option<Range<u32>> {
        // Zeros behind a file's end belong to its last piece and never come.
        let layout = self.content.layout();
        let is_whole = |piece: &u32| {
            let last = layout.segments(layout.piece(u64::from(*piece))).last();
            last.is_none_or(|last| last.at + last.length <= run.done)
        };
        let first = run.pieces.clone().find(|piece| !is_whole(piece))?;
        Some(first..run.pieces.end)
    }
}

/// Seeds of one torrent.
pub const SEEDS_MAX: usize = 100;
/// Requests at the same time to one seed.
pub const CONNECTIONS_PER_SEED_MAX: usize = 4;
/// Requests at the same time.
pub const CONNECTIONS_MAX: usize = 16;
