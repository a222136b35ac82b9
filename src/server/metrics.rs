//! The metrics page, in the text format of Prometheus 0.0.4. Label values come from fixed sets only.

use super::Server;
use crate::tracker::counters::{Kind, labels};
use std::fmt::Write;

impl Server {
    /// Every metric.
    pub(super) fn metrics(&self) -> String {
        let mut page = Page(String::with_capacity(8192));
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
        page.single("tracker_blocklist_entries", "gauge", "Hashes that were taken down.", totals.blocked);
        page.begin("tracker_build_info", "gauge", "Version and commit.");
        let (version, commit) = self.settings.version;
        page.labelled("tracker_build_info", &format!("version=\"{version}\",commit=\"{commit}\""), 1);
        page.0
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
