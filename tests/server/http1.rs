//! Section 11: keep-alive, pipelining, HEAD and 100-continue.

use crate::support::{Daemon, HOST, PEER, Reply, announce, hash};
use weightless::mailbox::{FromStore, Ticket, ToReader};
use weightless::registry::Answer;
use weightless::server::{Mail, Next};

#[test]
fn a_connection_stays_as_its_version_says() {
    for (version, fields, stays, told) in [
        ("1.1", "", true, None),
        ("1.1", "Connection: keep-alive\r\n", true, None),
        ("1.1", "Connection: close\r\n", false, Some("close")),
        ("1.1", "Connection: Close\r\n", false, Some("close")),
        ("1.1", "Connection: upgrade, close\r\n", false, Some("close")),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false, Some("close")),
        ("1.1", "Connection: keep-alive, close\r\n", false, Some("close")),
        ("1.0", "", false, Some("close")),
        ("1.0", "Connection: keep-alive\r\n", true, Some("keep-alive")),
        ("1.0", "Connection: Keep-Alive\r\n", true, Some("keep-alive")),
        ("1.0", "Connection: close\r\n", false, Some("close")),
        ("1.0", "Connection: close\r\nConnection: keep-alive\r\n", false, Some("close")),
    ] {
        let mut daemon = Daemon::new();
        let (reply, next) = daemon.ask_next(PEER, format!("GET / HTTP/{version}\r\n{HOST}{fields}\r\n"));
        assert_eq!(next == Next::Read, stays, "{version} {fields}");
        assert_eq!(reply.field("connection"), told, "{version} {fields}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut daemon = Daemon::new();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{HOST}\r\n");
    let all = get("/") + &get("/nothing") + &get("/announce") + &get("/robots.txt") + &get("/scrape");
    for cut in 0..=all.len() {
        let conn = daemon.open(PEER);
        let mut out = daemon.send(conn, &all[..cut]).0;
        out.extend(daemon.send(conn, &all[cut..]).0);
        daemon.server.closed(conn);
        let replies = Reply::all(&out);
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 404, 200, 200, 200]);
        assert_eq!(replies[0].text(), "Weightless Tracker v1.0");
        assert_eq!(replies[2].failure(), Some("Invalid announce: missing info_hash"));
        assert_eq!(replies[4].text(), "d5:filesdee");
    }
}

#[test]
fn nothing_is_answered_behind_a_close_or_an_error() {
    for first in [format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"), "rubbish\r\n\r\n".to_owned()]
    {
        let mut daemon = Daemon::new();
        let conn = daemon.open(PEER);
        let (out, next) = daemon.send(conn, format!("{first}GET / HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(Reply::all(&out).len(), 1);
        assert!(matches!(next, Next::Close { .. }));
        assert_eq!(daemon.send(conn, "GET / HTTP/1.1\r\n"), (Vec::new(), Next::Close { linger: false }));
    }
}

/// The store answers late: what is pipelined behind waits, and then goes on in order.
#[test]
fn a_request_that_waits_holds_back_those_behind_it() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let ask = format!("GET /api/registry?info_hash=a HTTP/1.1\r\n{HOST}\r\n");
    let (out, next) =
        daemon.send(conn, format!("GET / HTTP/1.1\r\n{HOST}\r\n{ask}{ask}GET / HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!((Reply::all(&out).len(), next), (1, Next::Wait));
    let answer = |daemon: &mut Daemon, status| {
        let mail = daemon.mail();
        let [Mail::Read(ToReader::Ask { ticket, .. })] = mail[..] else { panic!("one question: {mail:?}") };
        let answer = Answer::Json { status, body: b"{}".to_vec() };
        // Mail for a number that was never given out is dropped.
        let other = Ticket { serial: ticket.serial + 100, ..ticket };
        daemon.server.delivered(daemon.now, FromStore::Answered { ticket: other, answer: answer.clone() });
        assert!(daemon.resume().is_none());
        daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
        daemon.resume().expect("it can go on")
    };
    let (_, out, next) = answer(&mut daemon, 201);
    assert_eq!((Reply::all(&out)[0].status, next), (201, Next::Wait));
    let (_, out, next) = answer(&mut daemon, 200);
    assert_eq!((Reply::all(&out).len(), next), (2, Next::Read));
}

#[test]
fn head_has_the_fields_of_get() {
    for path in ["/", "/health", "/robots.txt", "/nothing", "/scrape"] {
        let mut daemon = Daemon::new();
        let get = daemon.get(PEER, path);
        let head = daemon.ask(PEER, format!("HEAD {path} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!((head.head, head.body), (get.head, Vec::new()), "{path}");
    }
}

#[test]
fn one_hundred_continue_comes_after_key_and_length() {
    let post =
        |fields: &str| format!("POST /api/registry HTTP/1.1\r\n{HOST}Expect: 100-continue\r\n{fields}\r\n");
    let key = "X-Weightless-Key: k\r\n";
    for (fields, status) in [
        ("Content-Length: 5\r\n".to_owned(), 401),
        (format!("{key}Content-Length: 104857601\r\n"), 413),
        (key.to_owned(), 411),
        (format!("{key}Content-Length: 5\r\n"), 100),
        (format!("{key}Content-Length: 104857600\r\n"), 100),
        (format!("{key}Transfer-Encoding: chunked\r\n"), 100),
    ] {
        let mut daemon = Daemon::with(|settings| settings.registry_key = Some(b"k".to_vec()));
        let conn = daemon.open(PEER);
        let (out, next) = daemon.send(conn, post(&fields));
        let replies = Reply::all(&out);
        assert_eq!((replies.len(), replies[0].status), (1, status), "{fields}");
        assert_eq!(next == Next::Read, status == 100, "{fields}");
    }
    // A GET that expects it is simply answered; HTTP/1.0 does not know it.
    let mut daemon = Daemon::new();
    assert_eq!(daemon.ask(PEER, format!("GET / HTTP/1.1\r\n{HOST}Expect: 100-continue\r\n\r\n")).status, 200);
    let conn = daemon.open(PEER);
    let old = "POST /api/registry HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(daemon.send(conn, old), (Vec::new(), Next::Read));
}

#[test]
fn absolute_targets_are_served() {
    let mut daemon = Daemon::new();
    let target = format!("http://t.example:80{}", announce(&hash(1), "left=1"));
    assert_eq!(daemon.get(PEER, &target).counts(), (0, 1));
}

#[test]
fn the_date_is_that_of_the_answer() {
    let mut daemon = Daemon::new();
    assert_eq!(daemon.get(PEER, "/").field("date"), Some("Tue, 14 Nov 2023 22:14:00 GMT"));
    daemon.advance(61_000);
    assert_eq!(daemon.get(PEER, "/").field("date"), Some("Tue, 14 Nov 2023 22:15:01 GMT"));
}

/// A client that pipelines the longest pages and reads nothing: answers are made when earlier ones have been taken,
/// and in the end all of them came, in order.
#[test]
fn answers_are_not_made_faster_than_they_are_taken() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let requests = "GET /metrics HTTP/1.1\r\nHost:\r\n\r\n".repeat(240) + "GET /x HTTP/1.1\r\nHost:\r\n\r\n";
    let (out, mut next) = daemon.send(conn, &requests);
    let bound = 64 * 1024 + 32 * 1024;
    assert!(out.len() < bound, "{} bytes at once", out.len());
    assert_eq!(next, Next::Wait, "not read meanwhile");
    let mut taken = out[..100].to_vec();
    daemon.server.unsent(daemon.now, conn, &out[100..]);
    while let Some((_, out, then)) = daemon.resume() {
        assert_eq!((out, then), (Vec::new(), Next::Wait), "nothing new while an answer waits");
    }
    for _ in 0..1000 {
        let waiting = daemon.server.output(conn).to_vec();
        assert!(waiting.len() < bound);
        if waiting.is_empty() {
            break;
        }
        taken.extend_from_slice(&waiting);
        daemon.server.sent(daemon.now, conn, waiting.len());
        while let Some((_, out, then)) = daemon.resume() {
            next = then;
            daemon.server.unsent(daemon.now, conn, &out);
        }
    }
    let statuses: Vec<u16> = Reply::all(&taken).iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [vec![200; 240], vec![404]].concat());
    assert_eq!(next, Next::Read);
}

/// The same client, but its socket takes everything at once.
#[test]
fn a_fast_reader_gets_all_answers_in_one_turn() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let requests = "GET /metrics HTTP/1.1\r\nHost:\r\n\r\n".repeat(240);
    let (mut out, mut next) = daemon.send(conn, &requests);
    while let Some((_, more, then)) = daemon.resume() {
        out.extend(more);
        next = then;
    }
    assert_eq!((Reply::all(&out).len(), next), (240, Next::Read));
}
