//! The contract with the store: full mailboxes, failed commits, health, the end.

use crate::support::{Daemon, HOST, NOW, PEER, Reply, hash, hybrid};
use weightless::base::Now;
use weightless::mailbox::{FromStore, Loaded, ToReader, ToWriter};
use weightless::server::{Mail, Next, Server};

/// Hands over everything that is due; the slices and totals of a flush, if one was completed.
fn flush(daemon: &mut Daemon) -> (Vec<u8>, Vec<u64>, usize) {
    let (mut slices, mut totals, mut flushes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..20 {
        daemon.advance(1_000);
        for mail in daemon.mail() {
            match mail {
                Mail::Write(ToWriter::Snapshot(slice)) => slices.push(slice.slice),
                Mail::Write(ToWriter::Completions(list)) => {
                    totals.extend(list.iter().map(|(_, total)| *total))
                }
                Mail::Write(ToWriter::Flush) => flushes += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    (slices, totals, flushes)
}

#[test]
fn a_full_mailbox_is_an_honest_503() {
    for (line, body) in [
        ("GET /api/registry?info_hash=a", ""),
        ("GET /api/registry/search", ""),
        ("POST /api/registry", "{}"),
        ("DELETE /api/registry?info_hash=a", ""),
    ] {
        let mut daemon = Daemon::new();
        let conn = daemon.open("127.0.0.1:1");
        let request =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(daemon.send(conn, request), (Vec::new(), Next::Wait), "{line}");
        for mail in daemon.mail() {
            daemon.server.refused(daemon.now, mail);
        }
        let (_, out, next) = daemon.resume().expect("an answer");
        let reply = &Reply::all(&out)[0];
        assert_eq!((reply.status, reply.field("retry-after"), next), (503, Some("1"), Next::Read), "{line}");
        assert_eq!(reply.text(), "{\"error\":\"Busy\"}\n");
    }
}

#[test]
fn announces_go_on_while_the_store_says_nothing() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    for n in 0..200u16 {
        let reply = daemon.announce(&format!("192.0.2.{}:1", n + 1), &hash(1), "left=0&event=completed");
        assert_eq!(reply.failure(), None);
        daemon.advance(1_000);
    }
    // One flush was handed over and not answered: no second one is begun.
    let flushes = daemon.mail().iter().filter(|mail| matches!(mail, Mail::Write(ToWriter::Flush))).count();
    assert_eq!(flushes, 1);
}

#[test]
fn what_a_failed_commit_held_is_handed_over_again() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    daemon.announce(PEER, &hash(1), "left=0&event=completed");
    assert_eq!(flush(&mut daemon), (vec![2], vec![1], 1));
    let answer = |durable| {
        let (slices, completed) = (vec![2], vec![hybrid(1, 2)]);
        FromStore::Flushed { slices, completed, cuts: 0, lost: Vec::new(), durable }
    };
    daemon.server.delivered(daemon.now, answer(false));
    assert_eq!(flush(&mut daemon), (vec![2], vec![1], 1), "everything once more");
    daemon.server.delivered(daemon.now, answer(true));
    assert_eq!(flush(&mut daemon), (vec![], vec![], 0), "nothing has changed since");
}

#[test]
fn what_a_full_mailbox_refused_is_handed_over_again() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    daemon.announce(PEER, &hash(1), "left=0&event=completed");
    daemon.advance(20_000);
    let mut refused = daemon.mail();
    while refused.iter().all(|mail| !matches!(mail, Mail::Write(ToWriter::Flush))) {
        daemon.advance(10);
        refused.extend(daemon.mail());
    }
    for mail in refused {
        daemon.server.refused(daemon.now, mail);
    }
    assert_eq!(flush(&mut daemon), (vec![2], vec![1], 1));
}

#[test]
fn at_the_end_every_answer_closes_and_nobody_is_cut_off() {
    let mut daemon = Daemon::new();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{HOST}\r\n");
    let [idle, head, waits, writes, fresh] = [(); 5].map(|()| daemon.open(PEER));
    daemon.send(idle, get("/"));
    daemon.send(head, "GET");
    daemon.send(waits, get("/api/registry?info_hash=a"));
    let (out, _) = daemon.send(writes, get("/"));
    daemon.server.unsent(daemon.now, writes, &out);
    daemon.server.stopping();
    let mut free = daemon.server.owed_nothing();
    free.sort_by_key(|conn| conn.0);
    assert_eq!(free, [idle, head, fresh]);
    let (out, next) = daemon.send(idle, get("/"));
    assert_eq!(Reply::all(&out)[0].field("connection"), Some("close"));
    assert_eq!(next, Next::Close { linger: false });
    let mail = daemon.mail();
    let [Mail::Read(ToReader::Ask { ticket, .. })] = mail[..] else { panic!("{mail:?}") };
    let answer = weightless::registry::Answer::Json { status: 200, body: Vec::new() };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
    let (_, out, next) = daemon.resume().expect("an answer");
    assert_eq!(Reply::all(&out)[0].field("connection"), Some("close"));
    assert_eq!(next, Next::Close { linger: false });
}

#[test]
fn the_last_messages_hold_everything_and_a_new_machine_goes_on_from_there() {
    let mut daemon = Daemon::new();
    for n in 1..100u8 {
        daemon.announce(&format!("192.0.2.{n}:1"), &hash(n % 10), "left=5");
        daemon.announce(&format!("[2001:db8::{n}]:1"), &hash(n % 10), "left=0");
    }
    let before = daemon.announce(PEER, &hash(1), "left=5").counts();
    daemon.server.stop(daemon.now, true);
    let mut loaded = Loaded::default();
    let mut last = Vec::new();
    for mail in daemon.mail() {
        match mail {
            Mail::Write(ToWriter::Snapshot(slice)) => loaded.slices.push(slice),
            other => last.push(other),
        }
    }
    assert!(matches!(
        last[..],
        [
            Mail::Write(ToWriter::Flush),
            Mail::Write(ToWriter::Stop { last_send: true }),
            Mail::Read(ToReader::Stop)
        ]
    ));
    let mut settings = crate::support::settings();
    settings.rate = (0, 0);
    // Another boot: the monotonic clock begins anew.
    let now = Now { mono: 5_000, unix: NOW.unix + 60 };
    let mut again = Daemon { server: Server::new(settings, 7, &loaded, now), now };
    assert_eq!(again.announce(PEER, &hash(1), "left=5").counts(), before);
}

/// Totals of downloads that a full mailbox refused were handed over again at the same moment, and again, as long as it
/// was full: the daemon spun.
#[test]
fn a_full_mailbox_is_tried_again_with_the_next_flush_and_not_before() {
    let mut daemon = Daemon::registered(&[hybrid(1, 2)]);
    daemon.announce(PEER, &hash(1), "left=0&event=completed");
    let mut tries = 0;
    let end = daemon.now.mono + 60_000;
    while let Some(due) = daemon.server.next_deadline().filter(|due| *due <= end) {
        daemon.now.mono = due.max(daemon.now.mono);
        daemon.server.woke(daemon.now);
        for mail in daemon.mail() {
            daemon.server.refused(daemon.now, mail);
            tries += 1;
        }
        assert!(tries < 100, "{tries} tries by {}", daemon.now.mono);
    }
    assert!(tries >= 5, "{tries} tries");
}
