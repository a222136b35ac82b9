//! `/health`: what it says for each state of the store, and that asking often is no burden.

use crate::support::{Daemon, HOST, PEER, Reply, hash};
use weightless::mailbox::{FromStore, ToReader};
use weightless::registry::{Answer, ApiError, Question};
use weightless::server::{Conn, Mail, Next};

const WELL: Answer = Answer::Json { status: 200, body: Vec::new() };

fn ask(daemon: &mut Daemon) -> Conn {
    let conn = daemon.open(PEER);
    assert_eq!(daemon.send(conn, format!("GET /health HTTP/1.1\r\n{HOST}\r\n")), (Vec::new(), Next::Wait));
    conn
}

/// Gives the store's answer to the one question it was asked.
fn answer(daemon: &mut Daemon, answer: Answer) {
    let mail = daemon.mail();
    let [Mail::Read(ToReader::Ask { ticket, question: Question::Ping })] = mail[..] else {
        panic!("{mail:?}")
    };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
}

fn told(daemon: &mut Daemon) -> (u16, String) {
    let (_, out, _) = daemon.resume().expect("an answer");
    let reply = Reply::all(&out).remove(0);
    (reply.status, reply.text())
}

fn at_once(daemon: &mut Daemon) -> (u16, String) {
    let reply = daemon.get(PEER, "/health");
    (reply.status, reply.text())
}

fn unreachable() -> (u16, String) {
    (503, "Database unreachable".to_owned())
}

#[test]
fn health_follows_the_store_and_the_end() {
    let mut daemon = Daemon::new();
    ask(&mut daemon);
    answer(&mut daemon, WELL);
    assert_eq!(told(&mut daemon), (200, "OK".to_owned()));
    ask(&mut daemon);
    answer(&mut daemon, Answer::Error(ApiError::new(500, "Database error")));
    assert_eq!(told(&mut daemon), unreachable());
    daemon.server.delivered(daemon.now, FromStore::Health { writable: false });
    assert_eq!(at_once(&mut daemon), unreachable());
    assert_eq!(daemon.announce(PEER, &hash(1), "left=1").failure(), None, "announces need no database");
    daemon.server.delivered(daemon.now, FromStore::Health { writable: true });
    ask(&mut daemon);
    answer(&mut daemon, WELL);
    assert_eq!(told(&mut daemon), (200, "OK".to_owned()));
    daemon.server.stopping();
    daemon.server.delivered(daemon.now, FromStore::Health { writable: true });
    assert_eq!(at_once(&mut daemon), (503, "Shutting down".to_owned()));
}

#[test]
fn a_store_that_says_nothing_for_two_seconds_is_unreachable() {
    let mut daemon = Daemon::new();
    let conn = ask(&mut daemon);
    daemon.advance(1_999);
    assert_eq!(daemon.overdue(), None);
    daemon.advance(1);
    let (late, out) = daemon.overdue().expect("its time is over");
    let reply = &Reply::all(&out)[0];
    assert_eq!((late, reply.status, reply.text()), (conn, 503, unreachable().1));
    assert_eq!(reply.field("connection"), Some("close"));
}

#[test]
fn however_many_ask_the_store_is_asked_once() {
    let mut daemon = Daemon::new();
    let all: Vec<_> = (0..500).map(|_| ask(&mut daemon)).collect();
    for gone in &all[100..] {
        daemon.server.closed(*gone);
    }
    answer(&mut daemon, WELL);
    for _ in 0..100 {
        assert_eq!(told(&mut daemon), (200, "OK".to_owned()));
    }
    assert_eq!(daemon.resume(), None);
}

#[test]
fn a_full_mailbox_is_unreachable_too() {
    let mut daemon = Daemon::new();
    ask(&mut daemon);
    for mail in daemon.mail() {
        daemon.server.refused(daemon.now, mail);
    }
    assert_eq!(told(&mut daemon), unreachable());
    ask(&mut daemon);
    answer(&mut daemon, WELL);
    assert_eq!(told(&mut daemon), (200, "OK".to_owned()));
}
