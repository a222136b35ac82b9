//! Registry-api section 4, "uploads": large bodies go to the store in parts and no faster than it takes them, and what
//! all bodies together take up is bounded.

use crate::support::{Daemon, HOST, Reply};
use weightless::mailbox::{FromStore, Ticket, ToWriter};
use weightless::registry::Answer;
use weightless::server::{Conn, Mail, Next};

const PEER: &str = "192.0.2.1:1";
const MIB: usize = 1024 * 1024;
const PART: usize = 64 * 1024;

fn begin(daemon: &mut Daemon, framing: &str) -> Conn {
    let conn = daemon.open(PEER);
    let head = format!("POST /api/registry HTTP/1.1\r\n{HOST}{framing}\r\n\r\n");
    assert_eq!(daemon.send(conn, head), (Vec::new(), Next::Read));
    conn
}

fn begin_of(daemon: &mut Daemon, bytes: usize) -> Conn {
    begin(daemon, &format!("Content-Length: {bytes}"))
}

/// Sends as the shell does: 8 KiB at a time, as long as it is told to read. How many bytes were taken.
fn feed(daemon: &mut Daemon, conn: Conn, bytes: &[u8]) -> usize {
    let mut sent = 0;
    for piece in bytes.chunks(8192) {
        let (out, next) = daemon.send(conn, piece);
        assert_eq!(out, b"", "{}", String::from_utf8_lossy(&out));
        sent += piece.len();
        if next != Next::Read {
            break;
        }
    }
    sent
}

/// A store that collects.
#[derive(Default)]
struct Store {
    body: Vec<u8>,
    parts: Vec<Ticket>,
    ended: Vec<Ticket>,
    gone: Vec<Ticket>,
    small: Vec<(Ticket, usize)>,
}

impl Store {
    fn collect(&mut self, daemon: &mut Daemon) {
        for mail in daemon.mail() {
            match mail {
                Mail::Write(ToWriter::UploadPart { ticket, bytes }) => {
                    assert!(!bytes.is_empty() && bytes.len() <= PART);
                    self.body.extend(bytes);
                    self.parts.push(ticket);
                }
                Mail::Write(ToWriter::UploadEnd { ticket, .. }) => self.ended.push(ticket),
                Mail::Write(ToWriter::UploadGone { ticket }) => self.gone.push(ticket),
                Mail::Write(ToWriter::Register { ticket, body, .. }) => self.small.push((ticket, body.len())),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes the parts that have come. How many.
    fn take(&mut self, daemon: &mut Daemon) -> usize {
        let parts = std::mem::take(&mut self.parts);
        for ticket in &parts {
            daemon.server.delivered(daemon.now, FromStore::UploadTaken { ticket: *ticket });
        }
        parts.len()
    }
}

fn answer(daemon: &mut Daemon, ticket: Ticket) -> Reply {
    let answer = Answer::Json { status: 201, body: b"{}".to_vec() };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
    loop {
        let (_, out, _) = daemon.resume().expect("an answer");
        if !out.is_empty() {
            return Reply::all(&out).remove(0);
        }
    }
}

#[test]
fn a_large_body_waits_for_the_store_and_arrives_whole() {
    let body: Vec<u8> = (0..3 * MIB + 5).map(|n| (n % 251) as u8).collect();
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let chunked: Vec<u8> = body.chunks(100_000).flat_map(chunk).chain(*b"0\r\n\r\n").collect();
    for (framing, wire) in [
        (format!("Content-Length: {}", body.len()), &body),
        ("Transfer-Encoding: chunked".to_owned(), &chunked),
    ] {
        let (mut daemon, mut store) = (Daemon::new(), Store::default());
        let conn = begin(&mut daemon, &framing);
        let (mut sent, mut rounds) = (0, 0);
        while sent < wire.len() {
            sent += feed(&mut daemon, conn, &wire[sent..]);
            // However long the store takes: no more than its window, and what was read beside it, is held.
            let (held, _) = daemon.server.held_bytes(conn);
            assert!(held <= MIB + 2 * 8192, "{held} bytes held");
            store.collect(&mut daemon);
            assert!(store.parts.len() <= 17 + 4, "{} parts under way", store.parts.len());
            if sent == wire.len() && !store.ended.is_empty() {
                break;
            }
            assert!(store.take(&mut daemon) > 0, "the client is kept waiting for nothing");
            rounds += 1;
            while let Some((_, out, _)) = daemon.resume() {
                assert_eq!(out, b"");
            }
        }
        assert!(rounds > 5, "{rounds} rounds");
        while let Some((_, out, _)) = daemon.resume() {
            assert_eq!(out, b"");
        }
        store.collect(&mut daemon);
        assert!(store.body == body, "{framing}");
        let [ticket] = store.ended[..] else { panic!("{:?}", store.ended) };
        assert_eq!(answer(&mut daemon, ticket).status, 201);
    }
}

#[test]
fn a_client_that_leaves_takes_its_parts_along() {
    let (mut daemon, mut store) = (Daemon::new(), Store::default());
    let conn = begin_of(&mut daemon, 2 * MIB);
    feed(&mut daemon, conn, &[b' '; PART]);
    daemon.server.closed(conn);
    store.collect(&mut daemon);
    assert_eq!((store.gone.len(), &store.gone, store.ended.len()), (1, &store.parts, 0));
    // A small one never was anywhere but here.
    let conn = begin_of(&mut daemon, MIB);
    feed(&mut daemon, conn, &[b' '; PART]);
    daemon.server.closed(conn);
    assert!(daemon.mail().is_empty());
}

#[test]
fn four_large_bodies_are_taken_and_a_fifth_waits_for_an_answer() {
    let (mut daemon, mut store) = (Daemon::new(), Store::default());
    let head = format!("POST /api/registry HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n", 2 * MIB);
    let conns: Vec<_> = (0..4).map(|_| begin_of(&mut daemon, 2 * MIB)).collect();
    let fifth = |daemon: &mut Daemon| {
        let conn = daemon.open(PEER);
        let (out, _) = daemon.send(conn, &head);
        daemon.server.closed(conn);
        out
    };
    let busy = fifth(&mut daemon);
    let reply = &Reply::all(&busy)[0];
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
    assert_eq!(reply.text(), "{\"error\":\"Busy\"}\n");
    // Small ones have room.
    let small = begin_of(&mut daemon, 5);
    feed(&mut daemon, small, b"hello");
    store.collect(&mut daemon);
    assert_eq!(store.small.len(), 1);
    // Complete and not answered yet: still in the store's memory, even when the client is gone.
    let mut sent = 0;
    while sent < 2 * MIB {
        sent += feed(&mut daemon, conns[0], &vec![b' '; 2 * MIB - sent]);
        store.collect(&mut daemon);
        store.take(&mut daemon);
        while daemon.resume().is_some() {}
    }
    store.collect(&mut daemon);
    daemon.server.closed(conns[0]);
    assert!(!fifth(&mut daemon).is_empty());
    let answer = Answer::Json { status: 201, body: Vec::new() };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket: store.ended[0], answer });
    assert!(fifth(&mut daemon).is_empty(), "there is room again");
}

#[test]
fn a_mailbox_without_room_keeps_the_order_of_the_parts() {
    let body: Vec<u8> = (0..2 * MIB).map(|n| (n % 253) as u8).collect();
    let (mut daemon, mut store) = (Daemon::new(), Store::default());
    let conn = begin_of(&mut daemon, body.len());
    let (mut sent, mut turn) = (0, 0u32);
    while store.ended.is_empty() {
        sent += feed(&mut daemon, conn, &body[sent..]);
        turn += 1;
        assert!(turn < 1000);
        let refused = if turn.is_multiple_of(3) { daemon.server.next_mail() } else { None };
        if let Some(mail) = refused {
            daemon.server.refused(daemon.now, mail);
            assert!(daemon.mail().is_empty(), "not tried again in this turn");
        }
        daemon.server.woke(daemon.now);
        store.collect(&mut daemon);
        store.take(&mut daemon);
        while daemon.resume().is_some() {}
    }
    assert!(store.body == body);
}

#[test]
fn when_large_bodies_are_many_bytes_only_the_oldest_goes_on() {
    let (mut daemon, mut store) = (Daemon::new(), Store::default());
    let conns: Vec<_> = (0..4).map(|_| begin_of(&mut daemon, 100 * MIB)).collect();
    let (mut sent, mut next) = ([0; 4], [Next::Read; 4]);
    let piece = [b' '; 8192];
    // Everybody sends whenever it is read, and the store takes at once.
    while store.ended.is_empty() {
        let before = sent;
        for at in 0..4 {
            if next[at] == Next::Read {
                next[at] = daemon.send(conns[at], piece).1;
                sent[at] += piece.len();
            }
        }
        store.collect(&mut daemon);
        store.body.clear();
        let taken = store.take(&mut daemon);
        while let Some((conn, _, then)) = daemon.resume() {
            next[conns.iter().position(|other| *other == conn).expect("one of ours")] = then;
        }
        assert!(sent != before || taken > 0, "everybody waits: {sent:?}");
    }
    assert_eq!(sent[0], 100 * MIB, "the oldest has come to its end");
    let all: usize = sent.iter().sum();
    assert!(all > 140 * MIB && all <= 165 * MIB, "{} MiB at once", all / MIB);
    // It is answered: the next one goes on.
    answer(&mut daemon, store.ended[0]);
    while daemon.resume().is_some() {}
    let more = feed(&mut daemon, conns[1], &[b' '; 2 * PART]);
    assert_eq!(more, 2 * PART);
}

#[test]
fn small_bodies_are_bounded_together() {
    let mut daemon = Daemon::new();
    let conns: Vec<_> = (0..9).map(|_| begin_of(&mut daemon, MIB)).collect();
    for conn in &conns[..8] {
        feed(&mut daemon, *conn, &vec![b' '; MIB]);
    }
    let (out, next) = daemon.send(conns[8], [b' '; 8192]);
    assert_eq!((Reply::all(&out)[0].status, next), (503, Next::Close { linger: true }));
    // Handed over is not over: what waits in the store's mailbox counts.
    let mut store = Store::default();
    store.collect(&mut daemon);
    assert_eq!(store.small.len(), 8);
    daemon.server.closed(conns[0]);
    let conn = begin_of(&mut daemon, MIB);
    assert_ne!(daemon.send(conn, [b' '; 8192]).0, b"");
    answer(&mut daemon, store.small[3].0);
    let conn = begin_of(&mut daemon, MIB);
    assert_eq!(daemon.send(conn, [b' '; 8192]), (Vec::new(), Next::Read));
}

#[test]
fn who_waits_for_room_is_not_slow() {
    let mut daemon = Daemon::new();
    let conn = begin_of(&mut daemon, 2 * MIB);
    let sent = feed(&mut daemon, conn, &vec![b' '; 2 * MIB]);
    assert!(sent < MIB, "the store takes nothing");
    daemon.advance(599_000);
    assert_eq!(daemon.overdue(), None);
    daemon.advance(1_000);
    let (_, out) = daemon.overdue().expect("ten minutes are over");
    assert_eq!(Reply::all(&out)[0].status, 503);
    // One that could send and does not is.
    let slow = begin_of(&mut daemon, 2 * MIB);
    daemon.advance(30_000);
    let (conn, out) = daemon.overdue().expect("thirty seconds are over");
    let reply = &Reply::all(&out)[0];
    assert_eq!((conn, reply.status, reply.text().as_str()), (slow, 408, "{\"error\":\"Request timeout\"}\n"));
}
