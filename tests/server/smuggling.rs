//! Where a request ends: what belongs to its body is never read as the next request, and what follows it is.

use crate::support::{Daemon, HOST, PEER, Reply};
use weightless::mailbox::{FromStore, Ticket, ToReader, ToWriter};
use weightless::registry::Answer;
use weightless::server::{Mail, Next};

const LOCAL: &str = "127.0.0.1:40000";

fn ticket(mail: &Mail) -> Ticket {
    match mail {
        Mail::Read(ToReader::Ask { ticket, .. }) => *ticket,
        Mail::Write(write) => write.ticket().expect("somebody waits"),
        other => panic!("{other:?}"),
    }
}

fn ok() -> Answer {
    Answer::Json { status: 200, body: b"{}".to_vec() }
}

/// Answers every request that waits; what is written in return.
fn answer_all(daemon: &mut Daemon) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mail = daemon.mail();
        if mail.is_empty() {
            return all;
        }
        for mail in mail {
            let answered = FromStore::Answered { ticket: ticket(&mail), answer: ok() };
            daemon.server.delivered(daemon.now, answered);
            while let Some((_, out, _)) = daemon.resume() {
                all.extend(out);
            }
        }
    }
}

/// A body that looks like a request, in both framings, on every kind of route: exactly two answers come back.
#[test]
fn a_body_is_never_read_as_a_request() {
    let inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = format!("Content-Length: {}\r\n\r\n{inner}", inner.len());
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for (line, status) in [
        ("GET /", 200),
        ("GET /announce", 200),
        ("GET /nothing", 404),
        ("PUT /announce", 405),
        ("POST /announce", 405),
        ("DELETE /", 405),
        ("OPTIONS /", 204),
        ("GET /api/registry?info_hash=a", 200),
        ("GET /api/registry/search", 200),
        ("POST /api/registry/verify?info_hash=a&verified=true", 200),
        ("DELETE /api/registry?info_hash=a", 200),
        ("POST /api/registry", 200),
    ] {
        for body in [&length, &chunked] {
            let mut daemon = Daemon::new();
            let host = "Host: localhost\r\n";
            let request = format!("{line} HTTP/1.1\r\n{host}{body}GET /second HTTP/1.1\r\nHost: x\r\n\r\n");
            for cut in [request.len(), request.len() - 60, request.find("\r\n\r\n").unwrap_or(0) + 4] {
                let conn = daemon.open(LOCAL);
                let (mut out, mut next) = daemon.send(conn, &request[..cut]);
                if next == Next::Wait {
                    out.extend(answer_all(&mut daemon));
                    next = Next::Read;
                }
                if next == Next::Read {
                    out.extend(daemon.send(conn, &request[cut..]).0);
                    out.extend(answer_all(&mut daemon));
                }
                daemon.server.closed(conn);
                let statuses: Vec<u16> = Reply::all(&out).iter().map(|reply| reply.status).collect();
                assert_eq!(statuses, [status, 404], "{line} cut at {cut}: {body}");
            }
        }
    }
}

#[test]
fn a_body_too_long_for_its_route_ends_the_connection() {
    for line in
        ["GET /", "POST /announce", "POST /api/registry/verify", "POST /api/nothing", "DELETE /api/blocklist"]
    {
        for (bytes, closes) in [(8192, false), (8193, true)] {
            let mut daemon = Daemon::new();
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
            let (reply, next) = daemon.ask_next(LOCAL, &request);
            assert_eq!(reply.status == 413, closes, "{line} {bytes}: {}", reply.status);
            if closes {
                assert_eq!(next, Next::Close { linger: true }, "{line}");
                let json = line.contains("/api/");
                assert_eq!(reply.field("content-type") == Some("application/json"), json, "{line}");
            }
        }
    }
}

#[test]
fn a_dropped_body_over_the_limit_ends_the_connection() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let request = format!("GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(daemon.send(conn, request).1, Next::Read);
    assert_eq!(daemon.send(conn, "2000\r\n").1, Next::Read);
    assert_eq!(daemon.send(conn, [b'x'; 8192]).1, Next::Read);
    assert_eq!(daemon.send(conn, "\r\n1\r\n"), (Vec::new(), Next::Close { linger: true }));
}

#[test]
fn four_broken_uploads_leave_room_for_the_next() {
    let mut daemon = Daemon::new();
    let head = format!("POST /api/registry HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n");
    for broken in ["zz\r\n", "6400001\r\n", "", "0\r\n\r\n", "zz\r\n", "6400001\r\n", "zz\r\n"] {
        let conn = daemon.open(PEER);
        let (out, next) = daemon.send(conn, format!("{head}{broken}"));
        if broken.starts_with(['z', '6']) {
            let status = if broken.starts_with('z') { 400 } else { 413 };
            assert_eq!((Reply::all(&out)[0].status, next), (status, Next::Close { linger: true }));
        }
        daemon.server.closed(conn);
    }
    let head = format!("POST /api/registry HTTP/1.1\r\n{HOST}Content-Length: 2000000\r\n\r\n");
    let conns: Vec<_> = (0..5).map(|_| daemon.open(PEER)).collect();
    for conn in &conns[..4] {
        assert_eq!(daemon.send(*conn, &head), (Vec::new(), Next::Read));
    }
    let (out, _) = daemon.send(conns[4], &head);
    let reply = &Reply::all(&out)[0];
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")), "a fifth one at once");
}

#[test]
fn an_answer_that_was_half_written_goes_on_where_it_stopped() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{HOST}\r\n");
    let (out, next) = daemon.send(conn, get("/robots.txt") + &get("/api/registry?info_hash=a"));
    assert_eq!(next, Next::Wait);
    // The socket takes 10 bytes, then 20 more; then the store answers.
    let mut taken = out[..10].to_vec();
    daemon.server.unsent(daemon.now, conn, &out[10..]);
    taken.extend_from_slice(&daemon.server.output(conn)[..20]);
    assert!(!daemon.server.sent(daemon.now, conn, 20));
    taken.extend(answer_all(&mut daemon));
    let statuses: Vec<u16> = Reply::all(&taken).iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200]);
}

#[test]
fn a_late_answer_for_a_connection_that_is_gone_is_dropped() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, format!("GET /api/registry?info_hash=a HTTP/1.1\r\n{HOST}\r\n"));
    let mail = daemon.mail();
    daemon.server.closed(conn);
    let again = daemon.open(PEER);
    assert_eq!(conn, again, "the number is used again");
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket: ticket(&mail[0]), answer: ok() });
    assert!(daemon.resume().is_none());
}

#[test]
fn registered_bodies_reach_the_writer_whole() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let head = format!("POST /api/registry HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n");
    assert_eq!(daemon.send(conn, format!("{head}he")).1, Next::Read);
    assert_eq!(daemon.send(conn, "lloGET").1, Next::Wait);
    match daemon.mail().remove(0) {
        Mail::Write(ToWriter::Register { body, .. }) => assert_eq!(body, b"hello"),
        other => panic!("{other:?}"),
    }
}
