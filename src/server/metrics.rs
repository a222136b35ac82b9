//! The metrics page, in the text format of Prometheus 0.0.4. Label values come from fixed sets only.

use super::Server;
use crate::base::Now;
use crate::mailbox::ToWriter;
use crate::registry::Question;
use crate::tracker::counters::{Kind, labels};
use std::fmt::Write;

impl Server {
    /// Every metric.
    pub(super) fn metrics(&self, now: Now) -> String {
        let mut page = Page(String::with_capacity(16 * 1024));
        let totals = self.tracker.totals();
        self.seed_metrics(&mut page);
        page.begin("tracker_requests_total", "counter", "Requests by protocol, family, kind and result.");
        for ([proto, family, kind, result], count) in self.counters.requests().filter(|(_, count)| *count > 0)
        {
            let labels = format!("proto=\"{proto}\",family=\"{family}\",kind=\"{kind}\",result=\"{result}\"");
            page.labelled("tracker_requests_total", &labels, count);
        }
        page.begin("tracker_udp_dropped_total", "counter", "Datagrams that got no answer.");
        for (reason, count) in self.counters.drops() {
            page.labelled("tracker_udp_dropped_total", &format!("reason=\"{reason}\""), count);
        }
        page.family(
            "tracker_received_bytes_total",
            "counter",
            "Bytes received.",
            "proto",
            &labels::PROTO,
            &self.counters.received_bytes,
        );
        page.family(
            "tracker_sent_bytes_total",
            "counter",
            "Bytes sent.",
            "proto",
            &labels::PROTO,
            &self.counters.sent_bytes,
        );
        page.single("tracker_connections", "gauge", "Open TCP connections.", u64::from(self.sessions.len()));
        page.family(
            "tracker_connections_accepted_total",
            "counter",
            "TCP connections accepted.",
            "family",
            &labels::FAMILY,
            &self.counters.accepted,
        );
        page.family(
            "tracker_connections_shed_total",
            "counter",
            "TCP connections turned away.",
            "reason",
            &["limit", "fds"],
            &self.counters.shed,
        );
        page.family(
            "tracker_connection_timeouts_total",
            "counter",
            "TCP connections that took too long.",
            "phase",
            &["head", "idle", "body", "write"],
            &self.counters.timeouts,
        );
        page.family(
            "tracker_seeders",
            "gauge",
            "Clients that have everything.",
            "family",
            &labels::FAMILY,
            &[totals.seeders4, totals.seeders6],
        );
        page.family(
            "tracker_leechers",
            "gauge",
            "Clients that do not.",
            "family",
            &labels::FAMILY,
            &[totals.leechers4, totals.leechers6],
        );
        page.single(
            "tracker_completions_total",
            "counter",
            "Downloads completed since start.",
            self.tracker.completions(),
        );
        page.single(
            "tracker_whitelist_entries",
            "gauge",
            "Hashes on the whitelist.",
            self.tracker.whitelist_entries(),
        );
        page.single("tracker_blocklist_entries", "gauge", "Hashes that were taken down.", totals.blocked);
        page.begin("tracker_loop_latency_seconds", "histogram", "Time from wake-up to next wait.");
        page.histogram("tracker_loop_latency_seconds", "", &self.turns);
        self.store_metrics(&mut page, now);
        self.usage_metrics(&mut page);
        self.process_metrics(&mut page);
        page.begin("tracker_build_info", "gauge", "Version and commit.");
        let (version, commit) = self.settings.version;
        page.labelled("tracker_build_info", &format!("version=\"{version}\",commit=\"{commit}\""), 1);
        page.0
    }

    /// How the registry's requests and the database behind them are doing.
    fn store_metrics(&self, page: &mut Page, now: Now) {
        let (name, help) =
            ("tracker_api_duration_seconds", "Time from a registry request to the store's answer.");
        page.begin(name, "histogram", help);
        for (route, times) in API_ROUTES.iter().zip(&self.api_times) {
            page.histogram(name, &format!("route=\"{route}\","), times);
        }
        page.begin("tracker_store_commit_seconds", "histogram", "Time of a commit to the database.");
        for (kind, times) in COMMIT_KINDS.iter().zip(&self.commit_times) {
            page.histogram("tracker_store_commit_seconds", &format!("kind=\"{kind}\","), times);
        }
        page.single("tracker_store_queue", "gauge", "Requests waiting for the store.", self.waiting);
        page.family(
            "tracker_store_errors_total",
            "counter",
            "Failures of the database.",
            "kind",
            &["busy", "storage", "corrupt", "other"],
            &self.faults,
        );
        let age_s = now.mono.saturating_sub(self.flushed_at) / 1000;
        page.single("tracker_snapshot_age_seconds", "gauge", "Time since the last committed flush.", age_s);
    }

    /// Where the bytes of users are, and how the hub answers.
    fn usage_metrics(&self, page: &mut Page) {
        let name = "tracker_usage_pending_bytes";
        page.begin(name, "gauge", "Bytes of users that the hub has not acknowledged.");
        let tiers = [
            ("ram", self.tracker.usage_pending()),
            ("backlog", self.usage.backlog),
            ("batch", self.usage.batched),
        ];
        for (tier, bytes) in tiers {
            for (direction, bytes) in ["up", "down"].iter().zip(bytes) {
                page.labelled(name, &format!("tier=\"{tier}\",direction=\"{direction}\""), bytes);
            }
        }
        page.family(
            "tracker_usage_batches_total",
            "counter",
            "Answers of the hub to batches of usage.",
            "result",
            &["ok", "retry", "forbidden", "rejected"],
            &self.usage.answers,
        );
        page.single(
            "tracker_usage_rejected_batches",
            "gauge",
            "Batches that the hub will not have.",
            self.usage.rejected,
        );
        page.single(
            "tracker_hub_last_success_timestamp_seconds",
            "gauge",
            "When the hub last took a batch, in seconds since 1970; 0 for never.",
            self.usage.last_success,
        );
        let (sessions, turned_away) = self.tracker.usage_sessions();
        page.single("tracker_usage_sessions", "gauge", "Sessions whose bytes are counted.", sessions);
        page.single(
            "tracker_usage_uncounted_total",
            "counter",
            "Announces whose session found no room to be counted.",
            turned_away,
        );
    }

    /// What the system says about the process, in the names that every exporter uses.
    fn process_metrics(&self, page: &mut Page) {
        let process = (self.settings.process)();
        let cpu = process.cpu_ms as f64 / 1000.0;
        page.begin("process_cpu_seconds_total", "counter", "CPU time of all threads.");
        page.line("process_cpu_seconds_total", &format!("{cpu:.2}"));
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes),
            ("process_open_fds", "Open file descriptors.", process.open_fds),
            ("process_max_fds", "File descriptors that may be open.", process.max_fds),
            ("process_start_time_seconds", "Start, in seconds since 1970.", self.started),
        ] {
            page.single(name, "gauge", help, value);
        }
    }

    /// A turn of the shell's loop took so long, from waking up to waiting again.
    pub fn turn_took(&mut self, micros: u64) {
        self.turns.add(micros);
    }

    /// The five that the seed had.
    fn seed_metrics(&self, page: &mut Page) {
        let totals = self.tracker.totals();
        let announces = self.counters.served(Kind::Announce);
        let scrapes = self.counters.served(Kind::Scrape);
        page.single("tracker_announces_total", "counter", "Total number of announce requests.", announces);
        page.single("tracker_scrapes_total", "counter", "Total number of scrape requests.", scrapes);
        page.single(
            "tracker_active_peers",
            "gauge",
            "Number of active peers across all swarms.",
            totals.peers(),
        );
        page.single(
            "tracker_registered_torrents",
            "gauge",
            "Number of registered torrents.",
            totals.registered,
        );
        page.single("tracker_swarms_total", "gauge", "Number of active swarms.", totals.swarms);
    }
}

/// What a process costs, as the shell sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessStats {
    /// CPU time of all threads.
    pub cpu_ms: u64,
    /// Memory that is really there.
    pub resident_bytes: u64,
    /// Memory that is mapped.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: u64,
}

/// A route of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApiRoute {
    /// `GET /api/registry`
    Entry,
    /// `GET /api/registry/search`
    Search,
    /// `GET /api/registry/torrent`
    Torrent,
    /// `GET /api/registry/meta`
    Meta,
    /// `GET /api/registry/magnet`
    Magnet,
    /// `POST /api/registry`
    Register,
    /// `DELETE /api/registry`
    Takedown,
    /// `POST /api/registry/verify`
    Verify,
    /// `GET /api/blocklist`
    Blocklist,
    /// `DELETE /api/blocklist`
    Unblock,
    /// `GET /`, as a page
    Page,
}

/// Routes as they stand in the metrics, in the order of the enum.
pub const API_ROUTES: [&str; 11] = [
    "entry",
    "search",
    "torrent",
    "meta",
    "magnet",
    "register",
    "takedown",
    "verify",
    "blocklist",
    "unblock",
    "page",
];
/// In the order of `CommitKind`.
const COMMIT_KINDS: [&str; 3] = ["registry", "flush", "usage"];

impl ApiRoute {
    /// The route of a question. (A ping has none, and is not measured.)
    pub fn of_question(question: &Question) -> Self {
        match question {
            Question::Entry(_) | Question::Ping => Self::Entry,
            Question::Search(_) => Self::Search,
            Question::Torrent { .. } => Self::Torrent,
            Question::Meta(_) => Self::Meta,
            Question::Magnet { .. } => Self::Magnet,
            Question::Blocklist(_) => Self::Blocklist,
            Question::ListPage(_) | Question::EntryPage { .. } => Self::Page,
        }
    }

    /// The route of a write.
    pub fn of_write(write: &ToWriter) -> Self {
        match write {
            ToWriter::Takedown { .. } => Self::Takedown,
            ToWriter::Verify { .. } => Self::Verify,
            ToWriter::Unblock { .. } => Self::Unblock,
            _ => Self::Register,
        }
    }
}

/// How long something took, in buckets of Prometheus.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: [u64; BUCKETS_MICROS.len()],
    count: u64,
    sum_micros: u64,
}

impl Histogram {
    /// Adds one.
    #[inline]
    pub fn add(&mut self, micros: u64) {
        self.count += 1;
        self.sum_micros += micros;
        if let Some(at) = BUCKETS_MICROS.iter().position(|bound| micros <= *bound) {
            self.buckets[at] += 1;
        }
    }
}

/// Upper bounds, from 50 microseconds to a second.
const BUCKETS_MICROS: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000];

/// A page on its way.
struct Page(String);

impl Page {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.begin(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// The lines of one histogram; `labels` ends with a comma, or is empty.
    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let mut below = 0;
        for (bound, count) in BUCKETS_MICROS.iter().zip(histogram.buckets) {
            below += count;
            let bound = *bound as f64 / 1e6;
            self.labelled(&format!("{name}_bucket"), &format!("{labels}le=\"{bound}\""), below);
        }
        self.labelled(&format!("{name}_bucket"), &format!("{labels}le=\"+Inf\""), histogram.count);
        let braced = labels.strip_suffix(',').map(|labels| format!("{{{labels}}}")).unwrap_or_default();
        self.line(&format!("{name}_sum{braced}"), &format!("{:.6}", histogram.sum_micros as f64 / 1e6));
        self.line(&format!("{name}_count{braced}"), &histogram.count.to_string());
    }

    fn labelled(&mut self, name: &str, labels: &str, value: u64) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn family<const N: usize>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        names: &[&str; N],
        values: &[u64; N],
    ) {
        self.begin(name, kind, help);
        for (label_value, value) in names.iter().zip(values) {
            self.labelled(name, &format!("{label}=\"{label_value}\""), *value);
        }
    }
}
