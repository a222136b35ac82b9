//! Section 7 and the rest of section 10: what the hub says, and what becomes of it.

use super::*;
use crate::support::daemon;
use crate::support::hub::Fate;
use std::fs;
use std::process::Command;

/// The answer is lost 50 times although the hub has applied the batch: one id, one effect.
#[test]
fn an_answer_lost_fifty_times_counts_once() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = tracker(home.path(), &hub, &[]);
    let client = Client::of(&tracker, "u");
    client.reports(0, 0, "started");
    hub.next([Fate::LoseAnswer; 50]);
    client.reports(4_000, 5, "");
    for count in 1..=50 {
        hub.wait_seen(count);
        // Not what it would wait for: SIGHUP says that something may have been mended.
        tracker.hang_up();
    }
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (4_000, 5));
    let ids = hub.ids();
    assert!(ids.len() >= 51 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(hub.seen().iter().all(|body| *body == hub.seen()[0]), "every attempt has the same bytes");
    assert_eq!(hub.applied(), 1);
}

#[test]
fn trouble_at_the_hub_delays_and_changes_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    hub.usually(Fate::Status(500));
    let tracker = tracker(home.path(), &hub, &[]);
    let clients: Vec<_> = (0..100).map(|n| Client::of(&tracker, &format!("user-{n}"))).collect();
    for round in 0..8_u64 {
        for (client, n) in clients.iter().zip(1..) {
            client.reports(round * n, round, "");
        }
        wait_cut(&tracker);
        assert!(number(home.path(), UNREJECTED) <= 1, "round {round}");
        hub.usually(Fate::Status([500, 502, 503, 302, 204, 429][round as usize % 6]));
        tracker.hang_up();
    }
    hub.wait_seen(2);
    let ids = hub.ids();
    assert!(ids.iter().all(|id| *id == ids[0]), "one batch, however long it takes: {ids:?}");
    hub.usually(Fate::Pass);
    tracker.hang_up();
    wait_sent(&tracker);
    for (n, total) in (1..=100).map(|n| (n, hub.total(&format!("user-{}", n - 1)))) {
        assert_eq!(total, (7 * n, 7));
    }
    let page = http::get(tracker.http(Ipv4Addr::LOCALHOST), "/metrics").text();
    let value = |name: &str| -> u64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{page}"));
        line.trim().parse().expect("a number")
    };
    assert!(value("tracker_usage_batches_total{result=\"ok\"}") >= 2);
    assert!(value("tracker_usage_batches_total{result=\"retry\"}") >= 2);
    assert!(value("tracker_hub_last_success_timestamp_seconds") > 1_700_000_000);
    assert!(page.contains("tracker_store_commit_seconds_count{kind=\"usage\"}"));
}

/// The delays are tested beside the schedule; here is one of them, lived through.
#[test]
fn a_failed_attempt_is_repeated_without_being_asked() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    hub.next([Fate::Status(503)]);
    let tracker = tracker(home.path(), &hub, &[]);
    let client = Client::of(&tracker, "u");
    [0, 50].into_iter().for_each(|up| client.reports(up, 0, ""));
    hub.wait_seen(1);
    let began = std::time::Instant::now();
    hub.wait_seen(2);
    let waited = began.elapsed().as_secs_f64();
    assert!((6.0..20.0).contains(&waited), "{waited} s");
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (50, 0));
}

#[test]
fn a_wrong_key_stops_the_sending_until_it_is_mended() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let file = home.path().join("settings.env");
    fs::write(&file, format!("HUB_URL={}\nREGISTRY_KEY=wrong\n", hub.url)).expect("a file");
    let tracker = Daemon::start(home.path(), &without_hub(&[]));
    let client = Client::of(&tracker, "u");
    client.reports(0, 0, "started");
    client.reports(70, 0, "");
    until("the hub to refuse", || tracker.log().contains("does not take our key").then_some(()));
    client.reports(100, 0, "");
    wait_cut(&tracker);
    assert_eq!((hub.total("u"), hub.seen().len()), ((0, 0), 1), "nothing is tried in vain");
    assert!(!tracker.log().contains("wrong"), "no key in a log");
    fs::write(&file, format!("HUB_URL={}\nREGISTRY_KEY={KEY}\n", hub.url)).expect("a file");
    tracker.hang_up();
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (100, 0));
    let ids = hub.ids();
    assert_eq!(ids[0], ids[1], "the same batch");
}

#[test]
fn a_rejected_batch_steps_aside_and_is_tried_again() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    hub.next([Fate::Status(400)]);
    let tracker = tracker(home.path(), &hub, &[]);
    let (first, second) = (Client::of(&tracker, "first"), Client::of(&tracker, "second"));
    [0, 10].into_iter().for_each(|up| first.reports(up, 0, ""));
    until("the rejection", || {
        (number(home.path(), "SELECT count(*) FROM usage_batch WHERE state = 'rejected'") == 1).then_some(())
    });
    [0, 20].into_iter().for_each(|up| second.reports(up, 0, ""));
    until("the second batch", || (hub.total("second") == (20, 0)).then_some(()));
    assert_eq!(hub.total("first"), (0, 0));
    let page = http::get(tracker.http(Ipv4Addr::LOCALHOST), "/metrics").text();
    assert!(page.contains("tracker_usage_rejected_batches 1\n"), "{page}");
    let status = usage_status(home.path());
    let rejected =
        status.lines().find(|line| line.starts_with("rejected batch ")).unwrap_or_else(|| panic!("{status}"));
    assert!(
        rejected.contains("1 users, 10 bytes up, 0 bytes down") && rejected.contains("status 400"),
        "{rejected}"
    );
    // The next start tries it again, with the same id.
    tracker.kill();
    let tracker = super::tracker(home.path(), &hub, &[]);
    wait_sent(&tracker);
    assert_eq!(hub.total("first"), (10, 0));
    let ids = hub.ids();
    assert_eq!(ids.first(), ids.last(), "{ids:?}");
    assert!(usage_status(home.path()).contains("batches: 0 sealed, 0 rejected"));
}

fn usage_status(home: &Path) -> String {
    let output =
        daemon::command(home).arg("--usage-status").env("DB_PATH", home.join("weightless.db")).output();
    let output = output.expect("the daemon's program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn bytes_wait_for_a_hub_as_long_as_there_is_none() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let tracker = Daemon::start(home.path(), &without_hub(&[]));
    let client = Client::of(&tracker, "u");
    [0, 1_234].into_iter().for_each(|up| client.reports(up, 7, ""));
    wait_cut(&tracker);
    assert_eq!(pending(&tracker, "backlog"), (1_234, 0));
    assert!(usage_status(home.path()).starts_with("waiting: 1 users, 1234 bytes up, 0 bytes down\n"));
    assert_eq!(tracker.terminate().code(), Some(0));
    let tracker = super::tracker(home.path(), &hub, &[]);
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (1_234, 0));
    assert_eq!(tracker.terminate().code(), Some(0));
}

/// HUB_URL appears and goes by SIGHUP; a batch keeps its id on the way.
#[test]
fn the_hub_may_move_while_the_daemon_runs() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let file = home.path().join("settings.env");
    let tracker = Daemon::start(home.path(), &without_hub(&[("REGISTRY_KEY", KEY)]));
    let client = Client::of(&tracker, "u");
    [0, 10].into_iter().for_each(|up| client.reports(up, 0, ""));
    wait_cut(&tracker);
    hub.next([Fate::Status(500)]);
    fs::write(&file, format!("HUB_URL={}\n", hub.url)).expect("a file");
    tracker.hang_up();
    hub.wait_seen(1);
    // Somewhere else, where nobody listens; then away; then back.
    for url in ["HUB_URL=http://127.0.0.1:1\n", ""] {
        fs::write(&file, url).expect("a file");
        tracker.hang_up();
        let reloads = tracker.log().matches("settings reloaded").count();
        until("the reload", || (tracker.log().matches("settings reloaded").count() >= reloads).then_some(()));
    }
    client.reports(30, 0, "");
    wait_cut(&tracker);
    assert_eq!(hub.seen().len(), 1);
    fs::write(&file, format!("HUB_URL={}/\n", hub.url)).expect("a file");
    tracker.hang_up();
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (30, 0));
    assert_eq!(hub.ids()[0], hub.ids()[1]);
}

/// What was counted stays counted; nothing more is, and nothing is measured against what came before.
#[test]
fn accounting_ends_and_begins_with_the_secret() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let file = home.path().join("settings.env");
    let with = format!("HUB_URL={}\nREGISTRY_KEY={KEY}\nTRACKER_SECRET={SECRET}\n", hub.url);
    let without = format!("HUB_URL={}\nREGISTRY_KEY={KEY}\n", hub.url);
    fs::write(&file, &with).expect("a file");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true"), ("FLUSH_INTERVAL", "1")]);
    let client = Client::of(&tracker, "u");
    [0, 100].into_iter().for_each(|up| client.reports(up, 0, ""));
    fs::write(&file, without).expect("a file");
    tracker.hang_up();
    until("passkeys to be refused", || client.tries(100, 0, ""));
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (100, 0));
    wait_sessions(home.path(), 0);
    fs::write(&file, with).expect("a file");
    tracker.hang_up();
    until("passkeys to be taken", || client.tries(6_000, 0, "").is_none().then_some(()));
    client.reports(6_500, 0, "");
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (600, 0));
}

#[test]
fn the_legacy_format_is_the_go_trackers() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    hub.usually(Fate::Status(200));
    let tracker = tracker(home.path(), &hub, &[("HUB_FORMAT", "legacy")]);
    assert!(tracker.log().contains("HUB_FORMAT=legacy"), "warned about");
    let client = Client::of(&tracker, "u");
    client.reports(0, 0, "");
    client.reports(5, 6, "");
    wait_sent(&tracker);
    assert_eq!(hub.seen(), [r#"{"u":{"Uploaded":5,"Downloaded":6}}"#]);
}

/// The daemon's last act: what was reported a moment before SIGTERM is at the hub when it has ended.
#[test]
fn the_last_bytes_are_sent_on_the_way_out() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    // Long intervals: without the end, nothing would be cut or sent.
    let tracker = tracker(home.path(), &hub, &[("FLUSH_INTERVAL", "3600")]);
    let client = Client::of(&tracker, "u");
    client.reports(0, 0, "started");
    client.reports(900, 0, "");
    assert_eq!(tracker.terminate().code(), Some(0));
    assert_eq!(hub.total("u"), (900, 0));
    assert_eq!(number(home.path(), "SELECT count(*) FROM usage_batch"), 0);

    // A hub that does not answer holds nothing up, and costs nothing.
    hub.next([Fate::Swallow]);
    let tracker = super::tracker(home.path(), &hub, &[("FLUSH_INTERVAL", "3600")]);
    Client::of(&tracker, "u").reports(1_000, 0, "");
    let began = std::time::Instant::now();
    assert_eq!(tracker.terminate().code(), Some(0));
    assert!(began.elapsed().as_secs() < 14, "{:?}", began.elapsed());
    assert_eq!(number(home.path(), UNREJECTED), 1, "it stays sealed");
    let tracker = super::tracker(home.path(), &hub, &[]);
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (1_000, 0));
}

/// A full disk: nothing is lost, and nothing doubled.
#[test]
fn a_full_disk_loses_no_byte() {
    use crate::support::apart;
    use std::fs::File;
    use std::io::Write;
    if !apart::entered(&["--mount"]) {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let disk = home.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    apart::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&disk));
    let database = disk.join("weightless.db");
    let tracker = tracker(home.path(), &hub, &[("DB_PATH", database.to_str().expect("UTF-8"))]);
    let clients: Vec<_> = (0..200).map(|n| Client::of(&tracker, &format!("user-{n}"))).collect();
    let report = |up: u64| clients.iter().for_each(|client| client.reports(up, 1, ""));
    report(0);
    wait_cut(&tracker);
    let filler = disk.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    for up in 1..=4 {
        report(up * 100);
        until("a flush that fails", || {
            (http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status == 503).then_some(())
        });
    }
    assert_ne!(pending(&tracker, "ram"), (0, 0), "it is held");
    drop(file);
    fs::remove_file(&filler).expect("ours");
    report(500);
    wait_sent(&tracker);
    assert!((0..200).all(|n| hub.total(&format!("user-{n}")) == (500, 0)));
    assert_eq!(tracker.terminate().code(), Some(0));
}
