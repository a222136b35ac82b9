//! Section 11: every timer, by the virtual clock. Each case: nothing a moment before, and then the right words.

use crate::support::{Daemon, HOST, PEER, Reply};
use weightless::mailbox::{FromStore, ToReader};
use weightless::registry::Answer;
use weightless::server::{Conn, Mail};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{HOST}\r\n")
}

/// Until `ms` from now nothing happens; then the connection's time is over. Returns the status it is told, if any.
fn ends_after(daemon: &mut Daemon, conn: Conn, ms: u64) -> Option<u16> {
    daemon.advance(ms - 1);
    assert_eq!(daemon.overdue(), None, "too early");
    daemon.advance(1);
    let due = daemon.server.next_deadline().expect("a timer");
    assert!(due <= daemon.now.mono, "the machine asks to be woken: {due} {}", daemon.now.mono);
    let (which, out) = daemon.overdue().expect("its time is over");
    assert_eq!(which, conn);
    daemon.server.closed(conn);
    assert_eq!((daemon.overdue(), daemon.server.connections()), (None, 0));
    Reply::all(&out).first().map(|reply| {
        assert_eq!(reply.field("connection"), Some("close"));
        reply.status
    })
}

#[test]
fn a_head_has_ten_seconds_from_the_connections_beginning() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.server.stay(conn);
    assert_eq!(ends_after(&mut daemon, conn, 10_000), Some(408));
}

#[test]
fn a_dripping_head_gets_no_more_time() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    for byte in get("/").bytes().take(9) {
        daemon.send(conn, [byte]);
        daemon.advance(1000);
    }
    assert_eq!(ends_after(&mut daemon, conn, 1000), Some(408));
}

#[test]
fn a_later_head_has_ten_seconds_from_its_first_byte() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, get("/"));
    daemon.advance(15_000);
    daemon.send(conn, "G");
    daemon.advance(5_000);
    daemon.send(conn, "E");
    assert_eq!(ends_after(&mut daemon, conn, 5_000), Some(408));
}

#[test]
fn a_head_that_begins_soon_after_an_answer_has_no_more() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, get("/"));
    daemon.advance(1_000);
    daemon.send(conn, "G");
    assert_eq!(ends_after(&mut daemon, conn, 10_000), Some(408));
}

#[test]
fn a_refused_request_on_an_old_connection_lingers_for_a_second() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, get("/"));
    daemon.advance(1_000);
    daemon.send(conn, "rubbish\r\n\r\n");
    assert_eq!(ends_after(&mut daemon, conn, 1_000), None);
}

#[test]
fn a_head_behind_an_answer_has_ten_seconds() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.advance(9_000);
    daemon.send(conn, get("/") + "GET");
    assert_eq!(ends_after(&mut daemon, conn, 10_000), Some(408));
}

#[test]
fn an_idle_connection_is_closed_silently_after_twenty_seconds() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, get("/"));
    daemon.advance(19_000);
    daemon.send(conn, get("/"));
    assert_eq!(ends_after(&mut daemon, conn, 20_000), None);
}

#[test]
fn a_body_has_thirty_seconds_between_its_bytes() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut daemon = Daemon::new();
        let conn = daemon.open(PEER);
        daemon.send(conn, format!("POST /api/registry HTTP/1.1\r\n{HOST}{framing}\r\n\r\n"));
        daemon.advance(29_000);
        daemon.send(conn, "1");
        assert_eq!(ends_after(&mut daemon, conn, 30_000), Some(408));
    }
}

#[test]
fn a_dropped_body_has_thirty_seconds_too() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, format!("GET / HTTP/1.1\r\n{HOST}Content-Length: 100\r\n\r\n"));
    daemon.advance(29_000);
    daemon.send(conn, "1");
    // It was answered before.
    assert_eq!(ends_after(&mut daemon, conn, 30_000), None);
}

#[test]
fn a_whole_body_has_ten_minutes() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, format!("POST /api/registry HTTP/1.1\r\n{HOST}Content-Length: 100\r\n\r\n"));
    for _ in 0..29 {
        daemon.advance(20_000);
        daemon.send(conn, "1");
    }
    assert_eq!(ends_after(&mut daemon, conn, 20_000), Some(408));
}

#[test]
fn an_answer_that_is_not_taken_ends_in_a_reset() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let (out, _) = daemon.send(conn, get("/"));
    daemon.server.unsent(daemon.now, conn, &out);
    daemon.advance(19_000);
    daemon.server.sent(daemon.now, conn, 1);
    assert_eq!(ends_after(&mut daemon, conn, 20_000), None);
}

#[test]
fn once_an_answer_is_taken_the_timer_is_that_of_what_follows() {
    for (request, then_ms, told) in [
        (get("/"), 20_000, None),
        (get("/") + "GET", 10_000, Some(408)),
        ("rubbish\r\n\r\n".to_owned(), 1_000, None),
    ] {
        let mut daemon = Daemon::new();
        let conn = daemon.open(PEER);
        let (out, _) = daemon.send(conn, &request);
        daemon.server.unsent(daemon.now, conn, &out);
        daemon.advance(5_000);
        assert!(daemon.server.sent(daemon.now, conn, out.len()));
        assert_eq!(ends_after(&mut daemon, conn, then_ms), told, "{request}");
    }
}

#[test]
fn a_refused_connection_lingers_for_a_second() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, "rubbish\r\n\r\n");
    assert_eq!(ends_after(&mut daemon, conn, 1_000), None);
}

#[test]
fn the_store_has_a_minute() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, get("/api/registry?info_hash=a"));
    assert_eq!(ends_after(&mut daemon, conn, 60_000), None);
    let mail = daemon.mail();
    let [Mail::Read(ToReader::Ask { ticket, .. })] = mail[..] else { panic!("{mail:?}") };
    let answer = Answer::Json { status: 200, body: Vec::new() };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
    assert!(daemon.resume().is_none(), "too late");
}

/// Ten thousand idle connections cost one timer each, and all of them are named when their time is over.
#[test]
fn every_connection_has_one_timer() {
    let mut daemon = Daemon::new();
    for _ in 0..10_000 {
        let conn = daemon.open(PEER);
        for _ in 0..3 {
            daemon.send(conn, get("/"));
        }
    }
    daemon.advance(20_000);
    let mut seen = std::collections::HashSet::new();
    while let Some((conn, out)) = daemon.overdue() {
        assert!(seen.insert(conn) && out.is_empty());
        daemon.server.closed(conn);
    }
    assert_eq!((seen.len(), daemon.server.connections()), (10_000, 0));
}
