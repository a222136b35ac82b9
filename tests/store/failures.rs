//! Operations section 5, "Failures": what is answered when the disk or another program is in the way, and that it
//! passes without a restart.

use super::support::*;
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use weightless::mailbox::{CommitKind, FromStore, SliceSnapshot, Ticket, ToReader, ToWriter};
use weightless::registry::{Answer, Question};

#[test]
fn a_lock_held_by_another_program_is_a_busy_answer_and_passes() {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let snapshot = SliceSnapshot { slice: 1, taken_at: 1, bytes: vec![] };
    desk.store.to_writer.send(ToWriter::Snapshot(snapshot)).expect("the writer lives");
    desk.store.to_writer.send(ToWriter::Flush).expect("the writer lives");
    let flushed = desk.next_mail();
    assert!(matches!(flushed, FromStore::Flushed { durable: false, .. }), "{flushed:?}");
    assert!(matches!(desk.next_mail(), FromStore::Health { writable: false }));
    assert_eq!(desk.entry(&short(1)), error(404, "Not found"), "reading goes on");
    other.execute_batch("ROLLBACK").expect("unlocks");
    let ticket = desk.ticket();
    let body = plain(&short(1), "n").into_bytes();
    desk.store.to_writer.send(ToWriter::Register { ticket, body, at: 1 }).expect("the writer lives");
    assert!(matches!(desk.next_mail(), FromStore::Admission(_)));
    assert_eq!(desk.next_mail(), FromStore::Answered { ticket, answer: created() });
    assert!(matches!(desk.next_mail(), FromStore::Health { writable: true }));
}

#[test]
fn a_slow_reactor_delays_the_store_but_nothing_is_lost_or_stuck() {
    let mut desk = Desk::memory();
    let mut waiting = std::collections::HashSet::new();
    // Far more than every channel holds, sent without reading a single answer until a channel is full.
    for n in 0..6000u32 {
        let ticket = Ticket { connection: 1, serial: 1_000_000 + u64::from(n) };
        waiting.insert(ticket);
        if n % 2 == 0 {
            let mut mail = ToWriter::Register { ticket, body: plain(&short(n), "n").into_bytes(), at: 1 };
            while let Err(full) = desk.store.to_writer.try_send(mail) {
                mail = full.into_inner();
                drain_one(&mut desk, &mut waiting);
            }
        } else {
            let mut mail = ToReader::Ask { ticket, question: Question::Ping };
            while let Err(full) = desk.store.to_reader.try_send(mail) {
                mail = full.into_inner();
                drain_one(&mut desk, &mut waiting);
            }
        }
    }
    while !waiting.is_empty() {
        drain_one(&mut desk, &mut waiting);
    }
    assert_eq!(desk.search(text("n")).1, 3000);
}

fn drain_one(desk: &mut Desk, waiting: &mut std::collections::HashSet<Ticket>) {
    if let FromStore::Answered { ticket, answer } = desk.next_mail() {
        assert!(!matches!(answer, Answer::Error(_)), "{answer:?}");
        assert!(waiting.remove(&ticket));
    }
}

#[test]
fn closing_with_mail_that_nobody_reads_commits_it_all() {
    let (_directory, path) = place();
    let desk = Desk::file(&path);
    for n in 0..3000u32 {
        let ticket = Ticket { connection: 1, serial: n.into() };
        let body = plain(&short(n), "n").into_bytes();
        let _ = desk.store.to_writer.try_send(ToWriter::Register { ticket, body, at: 1 });
    }
    let answers = desk.store.join();
    let stored = answers.iter().filter(|mail| matches!(mail, FromStore::Answered { .. })).count();
    let again = Desk::file(&path);
    assert_eq!(again.loaded.registered.len(), stored);
    assert!(stored >= 1024);
}

/// Proves that an answer means "on disk": a child process registers and prints each hash it got a 201 for, and is
/// killed in the middle of it. Everything it printed must be there, and the file whole.
#[test]
fn what_was_acknowledged_survives_a_kill() {
    let (_directory, path) = place();
    let mut acknowledged = Vec::new();
    for round in 0..5u32 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test's program"))
            .args(["--ignored", "--exact", "--nocapture", "failures::child_that_registers_until_killed"])
            .env("STORE_TEST_PATH", &path)
            .env("STORE_TEST_ROUND", round.to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let hashes = lines.map_while(Result::ok).filter(|line| line.len() == 40);
        acknowledged.extend(hashes.take(30 + 7 * round as usize));
        child.kill().expect("a kill");
        child.wait().expect("an end");
        let mut desk = Desk::file(&path);
        for hash in &acknowledged {
            assert!(matches!(desk.entry(hash), Answer::Entry(_)), "round {round}, {hash}");
        }
        desk.close();
        let db = Connection::open(&path).expect("opens");
        let verdict: String =
            db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        assert_eq!(verdict, "ok", "round {round}");
    }
}

#[test]
#[ignore = "the child process of what_was_acknowledged_survives_a_kill"]
fn child_that_registers_until_killed() {
    let Ok(path) = std::env::var("STORE_TEST_PATH") else { return };
    let round: u32 = std::env::var("STORE_TEST_ROUND").expect("a round").parse().expect("a number");
    let mut desk = Desk::file(path.as_ref());
    for n in 0..100_000 {
        let hash = short(round * 100_000 + n);
        assert_eq!(desk.register(&plain(&hash, "n")), created());
        println!("{hash}");
    }
}

#[test]
fn commits_and_what_they_were_for_are_told() {
    let desk = Desk::memory();
    let tell = |mail: ToWriter| {
        desk.store.to_writer.send(mail).expect("the writer lives");
        desk.store.from_store.recv_timeout(std::time::Duration::from_secs(20)).expect("mail")
    };
    let body = plain(&long(1), "n").into_bytes();
    let first = tell(ToWriter::Register { ticket: Ticket { connection: 0, serial: 1 }, body, at: 1 });
    assert!(matches!(first, FromStore::Committed { kind: CommitKind::Registry, .. }), "{first:?}");
    while desk.store.from_store.recv().is_ok_and(|mail| !matches!(mail, FromStore::Answered { .. })) {}
    let hashes = weightless::registry::hashes_of(&long(1), "").expect("a hash");
    desk.store.to_writer.send(ToWriter::Completions(vec![(hashes, 7)])).expect("the writer lives");
    let second = tell(ToWriter::Flush);
    assert!(matches!(second, FromStore::Committed { kind: CommitKind::Flush, .. }), "{second:?}");
}
