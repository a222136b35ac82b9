//! One web seed: what it lacks, how fast it is, when it may be asked again.

use std::collections::{BTreeMap, BTreeSet};
use weightless::base::Millis;

/// A web seed.
#[derive(Debug)]
pub(super) struct Seed {
    /// As it was given.
    pub url: String,
    pub trusted: bool,
    /// Why it is not asked any more.
    pub dropped: Option<String>,
    /// In a row.
    pub failures: u32,
    pub not_before: Millis,
    lacking: BTreeSet<usize>,
    met: BTreeMap<usize, Met>,
    bytes_per_s: u64,
}

/// What a file's first answers told.
#[derive(Debug, Default)]
struct Met {
    /// Where it is, if not where it should be.
    url: Option<String>,
    etag: Option<String>,
}

impl Seed {
    pub fn new(url: String, trusted: bool) -> Self {
        Self {
            url,
            trusted,
            dropped: None,
            failures: 0,
            not_before: 0,
            lacking: BTreeSet::new(),
            met: BTreeMap::new(),
            bytes_per_s: 0,
        }
    }

    pub fn is_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    pub fn lacks_nothing(&self) -> bool {
        self.lacking.is_empty()
    }

    pub fn has(&self, file: usize) -> bool {
        !self.lacking.contains(&file)
    }

    pub fn lacks(&mut self, file: usize) {
        self.lacking.insert(file);
    }

    /// Bytes of a run: what the seed brings in two seconds, within bounds.
    pub fn run_bytes(&self) -> u64 {
        (2 * self.bytes_per_s).clamp(RUN_BYTES_MIN, RUN_BYTES_MAX)
    }

    /// A run has ended well.
    pub fn measure(&mut self, bytes: u64, took_ms: Millis) {
        let rate = bytes.saturating_mul(1000) / took_ms.max(1);
        self.bytes_per_s = if self.bytes_per_s == 0 { rate } else { (self.bytes_per_s * 3 + rate) / 4 };
    }

    /// A request has failed for now. Returns whether that was once too often.
    pub fn busy(&mut self, now: Millis, retry_after_s: Option<u32>) -> bool {
        let told = retry_after_s.map(|seconds| Millis::from(seconds) * 1000);
        // Requests that were on their way together fail together: that is one failure.
        let is_new = now >= self.not_before;
        let doubled = is_new.then(|| WAIT_MS << self.failures.min(10));
        if let Some(wait) = told.or(doubled) {
            let wait = wait.clamp(SHORTEST_MS, WAIT_MS_MAX);
            self.not_before = self.not_before.max(now.saturating_add(wait));
        }
        self.failures += u32::from(is_new);
        self.failures >= FAILURES_MAX
    }

    /// Remembers where a file turned out to be, and its first strong tag.
    pub fn met(&mut self, file: usize, expected: &str, url: &str, etag: Option<&str>) {
        if self.met.len() >= MET_MAX && !self.met.contains_key(&file) {
            return;
        }
        let moved = (url != expected).then(|| url.to_owned());
        if moved.is_none() && etag.is_none() && !self.met.contains_key(&file) {
            return;
        }
        let met = self.met.entry(file).or_default();
        met.url = moved.filter(|url| url.len() <= URL_BYTES_MAX);
        let etag = etag.filter(|etag| etag.len() <= ETAG_BYTES_MAX).map(str::to_owned);
        met.etag = met.etag.take().or(etag);
    }

    /// The URL to ask for a file, and its tag.
    pub fn known(&self, file: usize, expected: String) -> (String, Option<String>) {
        match self.met.get(&file) {
            None => (expected, None),
            Some(met) => (met.url.clone().unwrap_or(expected), met.etag.clone()),
        }
    }
}

const RUN_BYTES_MIN: u64 = 4 << 20;
const RUN_BYTES_MAX: u64 = 16 << 20;
/// The wait after a failure, doubled each time.
const WAIT_MS: Millis = 10_000;
const WAIT_MS_MAX: Millis = 600_000;
/// A server that wants us back at once gets a moment all the same.
const SHORTEST_MS: Millis = 1000;
const FAILURES_MAX: u32 = 10;
/// Files of which something is remembered.
const MET_MAX: usize = 4096;
const URL_BYTES_MAX: usize = 4096;
const ETAG_BYTES_MAX: usize = 256;
