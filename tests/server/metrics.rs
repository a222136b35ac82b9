//! Registry-api section 8: what the metrics page says of the registry and the store. Every series has its HELP and TYPE,
//! and label values come from fixed sets.

use crate::support::{Daemon, HOST, PEER};
use std::collections::HashSet;
use weightless::mailbox::{CommitKind, FromStore, StoreFault, ToReader};
use weightless::registry::{Answer, api};
use weightless::server::Mail;

fn page(daemon: &mut Daemon) -> String {
    daemon.get(PEER, "/metrics").text()
}

fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn every_series_is_explained_and_has_one_value() {
    let mut daemon = Daemon::new();
    daemon.announce(PEER, &crate::support::hash(1), "left=0");
    let reply = daemon.get(PEER, "/metrics");
    assert_eq!(reply.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = reply.text();
    let (mut known, mut seen) = (HashSet::new(), HashSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("name and kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(page.contains(&format!("# HELP {name} ")) && known.insert(name), "{line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, number) = line.rsplit_once(' ').expect("series and value");
        assert!(number.parse::<f64>().is_ok() && seen.insert(series), "{line}");
        let name = series.split('{').next().unwrap_or(series);
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(known.contains(name) || known.contains(base), "{line} is not explained");
    }
    for name in [
        "tracker_announces_total",
        "tracker_scrapes_total",
        "tracker_active_peers",
        "tracker_registered_torrents",
        "tracker_swarms_total",
        "tracker_requests_total",
        "tracker_udp_dropped_total",
        "tracker_received_bytes_total",
        "tracker_sent_bytes_total",
        "tracker_connections",
        "tracker_connections_accepted_total",
        "tracker_connections_shed_total",
        "tracker_connection_timeouts_total",
        "tracker_seeders",
        "tracker_leechers",
        "tracker_completions_total",
        "tracker_loop_latency_seconds",
        "tracker_api_duration_seconds",
        "tracker_store_commit_seconds",
        "tracker_store_queue",
        "tracker_store_errors_total",
        "tracker_snapshot_age_seconds",
        "tracker_whitelist_entries",
        "tracker_blocklist_entries",
        "tracker_build_info",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn requests_are_timed_and_counted_by_what_became_of_them() {
    let mut daemon = Daemon::new();
    for (path, answer) in [
        ("/api/registry/search", Answer::Page { rows: Vec::new(), total: 0 }),
        ("/api/registry?info_hash=a", Answer::Error(api::NOT_FOUND)),
        ("/api/registry?info_hash=a", Answer::Error(api::DATABASE_BUSY)),
    ] {
        let conn = daemon.open(PEER);
        daemon.send(conn, format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"));
        let mail = daemon.mail();
        let [Mail::Read(ToReader::Ask { ticket, .. })] = mail[..] else { panic!("{mail:?}") };
        assert_eq!(value(&page(&mut daemon), "tracker_store_queue"), Some(1.0));
        daemon.advance(7);
        daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
        daemon.resume();
        daemon.server.closed(conn);
    }
    daemon.get(PEER, "/api/nothing");
    let page = page(&mut daemon);
    assert_eq!(value(&page, "tracker_store_queue"), Some(0.0));
    let api = |result: &str| {
        let labels = format!("proto=\"http\",family=\"ipv4\",kind=\"api\",result=\"{result}\"");
        value(&page, &format!("tracker_requests_total{{{labels}}}"))
    };
    assert_eq!((api("ok"), api("invalid"), api("error")), (Some(1.0), Some(2.0), Some(1.0)));
    let name = "tracker_api_duration_seconds";
    assert_eq!(value(&page, &format!("{name}_count{{route=\"entry\"}}")), Some(2.0));
    assert_eq!(value(&page, &format!("{name}_sum{{route=\"search\"}}")), Some(0.007));
    assert_eq!(value(&page, &format!("{name}_bucket{{route=\"search\",le=\"0.005\"}}")), Some(0.0));
    assert_eq!(value(&page, &format!("{name}_bucket{{route=\"search\",le=\"0.01\"}}")), Some(1.0));
}

#[test]
fn commits_faults_and_the_age_of_the_snapshot_are_told() {
    let mut daemon = Daemon::new();
    let tell = |daemon: &mut Daemon, mail| daemon.server.delivered(daemon.now, mail);
    tell(&mut daemon, FromStore::Committed { kind: CommitKind::Registry, micros: 2_000 });
    tell(&mut daemon, FromStore::Committed { kind: CommitKind::Flush, micros: 500_000 });
    tell(&mut daemon, FromStore::Fault(StoreFault::Storage));
    daemon.advance(30_000);
    let before = page(&mut daemon);
    let flushed = |durable| FromStore::Flushed {
        slices: Vec::new(),
        completed: Vec::new(),
        cuts: 0,
        lost: Vec::new(),
        durable,
    };
    tell(&mut daemon, flushed(false));
    assert_eq!(value(&before, "tracker_snapshot_age_seconds"), Some(30.0));
    assert_eq!(value(&page(&mut daemon), "tracker_snapshot_age_seconds"), Some(30.0));
    tell(&mut daemon, flushed(true));
    daemon.advance(2_000);
    let after = page(&mut daemon);
    assert_eq!(value(&after, "tracker_snapshot_age_seconds"), Some(2.0));
    let sum = |kind: &str| value(&after, &format!("tracker_store_commit_seconds_sum{{kind=\"{kind}\"}}"));
    assert_eq!((sum("registry"), sum("flush")), (Some(0.002), Some(0.5)));
    assert_eq!(value(&after, "tracker_store_errors_total{kind=\"storage\"}"), Some(1.0));
    assert_eq!(value(&after, "tracker_store_errors_total{kind=\"busy\"}"), Some(0.0));
}
