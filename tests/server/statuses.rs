//! Section 11: every status that the HTTP server answers with, what becomes of the connection, and that how a request
//! was cut into reads makes no difference.

use crate::support::{Daemon, HOST, PEER, Reply};
use weightless::server::{Next, Shed};

/// A request, the status it gets, and whether the connection ends.
fn cases() -> Vec<(String, u16, bool)> {
    let h = HOST;
    let get = |fields: &str| format!("GET / HTTP/1.1\r\n{h}{fields}\r\n");
    let post = |fields: &str| format!("POST /api/registry HTTP/1.1\r\n{h}{fields}\r\n");
    let line = |bytes: usize| format!("GET /{} HTTP/1.1", "x".repeat(bytes - 14));
    // Request line and Host, their ends, the field's name, and the last empty line.
    let head = |bytes: usize| get(&format!("X: {}\r\n", "x".repeat(bytes - 16 - h.len() - 5 - 2)));
    assert_eq!((line(8192).len(), head(8192).len()), (8192, 8192));
    vec![
        (get(""), 200, false),
        (format!("\r\n{}", get("")), 200, false),
        (format!("\r\n\r\n{}", get("")), 200, false),
        (format!("\r\n\r\n\r\n{}", get("")), 400, true),
        (format!("\n{}", get("")), 400, true),
        // Request lines.
        (format!("GET\r\n{h}\r\n"), 400, true),
        (format!("GET /\r\n{h}\r\n"), 400, true),
        ("GET /\r\n".to_owned(), 400, true),
        (format!("GET  / HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET /  HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET / HTTP/1.1 \r\n{h}\r\n"), 400, true),
        (format!(" GET / HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET\t/ HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("G@T / HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET x HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET * HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET ftp://h/ HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET http:///x HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("CONNECT h:80 HTTP/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET / HTTP/1.1\n{h}\r\n"), 400, true),
        (format!("GET / HTTP/1.1\r{h}\r\n"), 400, true),
        (format!("GET / HTTP/11\r\n{h}\r\n"), 400, true),
        (format!("GET / http/1.1\r\n{h}\r\n"), 400, true),
        (format!("GET / HTTP/1.1x\r\n{h}\r\n"), 400, true),
        // Fields.
        (get("X: a\n"), 400, true),
        (get("X: a\rb\r\n"), 400, true),
        (get("X : a\r\n"), 400, true),
        (get("X\r\n"), 400, true),
        (get(": a\r\n"), 400, true),
        (get("X: a\r\n b\r\n"), 400, true),
        (get("X: a\r\n\tb\r\n"), 400, true),
        (get(" X: a\r\n"), 400, true),
        (get("X: a\0\r\n"), 400, true),
        (get("X(y): a\r\n"), 400, true),
        (format!("GET / HTTP/1.1\r\n{h}\n"), 400, true),
        (format!("GET / HTTP/1.1\r\nX: y\n{h}\r\n"), 400, true),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, true),
        (get(h), 400, true),
        (get("host: other\r\n"), 400, true),
        (format!("GET / HTTP/1.0\r\n{h}{h}\r\n"), 400, true),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 200, true),
        (get("X:\r\nY: \t a \r\nZ: \u{e9}\r\n"), 200, false),
        // Bodies.
        (get("Content-Length: 1\r\nContent-Length: 2\r\n"), 400, true),
        (get("Content-Length: 1, 2\r\n"), 400, true),
        (get("Content-Length: +1\r\n"), 400, true),
        (get("Content-Length: -1\r\n"), 400, true),
        (get("Content-Length: 0x1\r\n"), 400, true),
        (get("Content-Length: \r\n"), 400, true),
        (get("Content-Length: 99999999999999999999\r\n"), 400, true),
        (get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, true),
        (get("Content-Length: 0\r\nContent-Length: 0\r\n"), 200, false),
        (get("Transfer-Encoding: gzip\r\n"), 501, true),
        (get("Transfer-Encoding: gzip, chunked\r\n"), 501, true),
        (get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501, true),
        (get("Transfer-Encoding: identity\r\n"), 501, true),
        (post(""), 411, true),
        (get("Content-Length: 8193\r\n"), 413, true),
        (post("Content-Length: 104857601\r\n"), 413, true),
        (get("Content-Length: 9223372036854775807\r\n"), 413, true),
        (post("Content-Length: 1\r\nExpect: other\r\n"), 417, true),
        // Sizes.
        (format!("{}\r\n{h}\r\n", line(8193)), 414, true),
        (format!("{}\r\n{h}\r\n", line(8192)), 431, true),
        (head(8192), 200, false),
        (head(8193), 431, true),
        (get(&"X: y\r\n".repeat(63)), 200, false),
        (get(&"X: y\r\n".repeat(64)), 431, true),
        // Versions.
        (format!("GET / HTTP/1.2\r\n{h}\r\n"), 505, true),
        (format!("GET / HTTP/2.0\r\n{h}\r\n"), 505, true),
        (format!("GET / HTTP/0.9\r\n{h}\r\n"), 505, true),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, true),
        // Targets.
        (format!("GET http://any/robots.txt HTTP/1.1\r\n{h}\r\n"), 200, false),
        (format!("GET HTTPS://any:1/robots.txt HTTP/1.1\r\n{h}\r\n"), 200, false),
        (format!("GET http://any HTTP/1.1\r\n{h}\r\n"), 200, false),
        (format!("OPTIONS * HTTP/1.1\r\n{h}\r\n"), 404, false),
        (format!("GET /x HTTP/1.1\r\n{h}\r\n"), 404, false),
        (format!("PUT / HTTP/1.1\r\n{h}\r\n"), 405, false),
    ]
}

fn check(reply: &Reply, next: Next, request: &str, status: u16, closes: bool) {
    let shown = request.get(..60).unwrap_or(request);
    assert_eq!(reply.status, status, "{shown:?}");
    assert_eq!(matches!(next, Next::Close { .. }), closes, "{shown:?}");
    assert_eq!(reply.field("connection") == Some("close"), closes, "{shown:?}");
    if status >= 400 && reply.field("content-type") != Some("application/json") {
        assert_eq!(reply.field("content-type"), Some("text/plain"), "{shown:?}");
        assert!(reply.text().starts_with(&status.to_string()) && reply.text().lines().count() == 1);
    }
}

#[test]
fn every_status_of_the_table() {
    for (request, status, closes) in cases() {
        let (reply, next) = Daemon::new().ask_next(PEER, &request);
        check(&reply, next, &request, status, closes);
    }
}

#[test]
fn a_request_split_at_any_byte_gets_the_same_answer() {
    for (request, status, closes) in cases() {
        let step = 1 + request.len() / 700;
        for cut in (1..request.len()).step_by(step) {
            let mut daemon = Daemon::new();
            let conn = daemon.open(PEER);
            let (mut out, mut next) = daemon.send(conn, &request.as_bytes()[..cut]);
            if next == Next::Read {
                let (more, then) = daemon.send(conn, &request.as_bytes()[cut..]);
                out.extend_from_slice(&more);
                next = then;
            }
            let reply = Reply::all(&out).remove(0);
            assert_eq!(Reply::all(&out).len(), 1, "{cut} of {request:?}");
            check(&reply, next, &request, status, closes);
        }
    }
}

#[test]
fn a_request_that_drips_byte_by_byte_is_served() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let request = format!("\r\nGET /announce?info_hash=abc HTTP/1.1\r\n{HOST}\r\n");
    let mut out = Vec::new();
    for byte in request.bytes() {
        assert_eq!(out, b"");
        out.extend(daemon.send(conn, [byte]).0);
    }
    assert_eq!(
        Reply::all(&out)[0].failure(),
        Some("Invalid announce: info_hash must be 20 or 32 bytes, got 3")
    );
}

#[test]
fn rubbish_is_refused_before_its_line_ends() {
    let mut daemon = Daemon::new();
    let (reply, next) = daemon.ask_next(PEER, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!((reply.status, next), (400, Next::Close { linger: true }));
}

#[test]
fn a_head_too_long_is_refused_before_it_ends() {
    for (bytes, status) in [
        (format!("GET /{}", "x".repeat(8188)), 414),
        (format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(8174)), 431),
    ] {
        let mut daemon = Daemon::new();
        let conn = daemon.open(PEER);
        assert_eq!(daemon.send(conn, &bytes[..8192]), (Vec::new(), Next::Read));
        let (out, next) = daemon.send(conn, &bytes[8192..]);
        assert_eq!((Reply::all(&out)[0].status, next), (status, Next::Close { linger: true }));
    }
}

#[test]
fn a_refused_request_lingers_and_a_served_one_does_not() {
    let mut daemon = Daemon::new();
    let (reply, next) = daemon.ask_next(PEER, format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"));
    assert_eq!((reply.status, next), (200, Next::Close { linger: false }));
    let (reply, next) = daemon.ask_next(PEER, "rubbish\r\n");
    assert_eq!((reply.status, next), (400, Next::Close { linger: true }));
}

#[test]
fn a_connection_is_turned_away_with_a_503() {
    let mut daemon = Daemon::new();
    for why in [Shed::Limit, Shed::Descriptors] {
        let mut out = Vec::new();
        daemon.server.shed(daemon.now, why, &mut out);
        let reply = &Reply::all(&out)[0];
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
        assert_eq!(reply.field("connection"), Some("close"));
    }
}

#[test]
fn at_the_limit_the_oldest_idle_connection_makes_room() {
    let mut daemon = Daemon::with(|settings| settings.connections_max = 3);
    let request = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
    let busy = daemon.open(PEER);
    daemon.send(busy, "GET /");
    let conns = [daemon.open(PEER), daemon.open(PEER)];
    for conn in conns {
        daemon.advance(100);
        daemon.send(conn, &request);
    }
    assert!(!daemon.server.is_overfull(), "as many as may be");
    let newcomer = daemon.open(PEER);
    assert!(daemon.server.is_overfull());
    for conn in conns {
        assert_eq!(daemon.server.least_wanted(daemon.now), Some(conn));
        daemon.server.closed(conn);
    }
    assert!(!daemon.server.is_overfull());
    assert_eq!(daemon.server.least_wanted(daemon.now), None, "heads under way are not idle");
    daemon.advance(1_000);
    assert_eq!(daemon.server.least_wanted(daemon.now), Some(busy), "but a slow one may have to go");
    assert_ne!(newcomer, busy);
}

#[test]
fn an_answer_under_way_is_not_closed_to_make_room() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let (out, _) = daemon.send(conn, format!("GET / HTTP/1.1\r\n{HOST}\r\n"));
    daemon.server.unsent(daemon.now, conn, &out[10..]);
    assert_eq!(daemon.server.least_wanted(daemon.now), None);
    assert!(daemon.server.sent(daemon.now, conn, out.len() - 10));
    assert_eq!(daemon.server.least_wanted(daemon.now), Some(conn));
    // Nor when half of the next head came with the request.
    let (out, _) = daemon.send(conn, format!("GET / HTTP/1.1\r\n{HOST}\r\nGET /"));
    daemon.server.unsent(daemon.now, conn, &out[10..]);
    daemon.advance(15_000);
    assert_eq!(daemon.server.least_wanted(daemon.now), None);
}
