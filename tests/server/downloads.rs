//! Long answers: written from where the store has put them, in order with what is asked behind them, and bounded in
//! their sum.

use crate::support::{Daemon, HOST, Reply};
use weightless::mailbox::{FromStore, ToReader};
use weightless::registry::{Answer, FileKind};
use weightless::server::{Conn, Mail, Next};

const PEER: &str = "192.0.2.1:1";
const MIB: usize = 1024 * 1024;

fn file(bytes: usize) -> Answer {
    let bytes = (0..bytes).map(|n| (n % 251) as u8).collect();
    Answer::File {
        bytes,
        kind: FileKind::Torrent,
        name: "n".to_owned(),
        hash: "h".to_owned(),
        sha256: Some("a".repeat(64)),
    }
}

fn request(method: &str, more: &str) -> String {
    format!("{method} /api/registry/torrent?info_hash=a HTTP/1.1\r\n{HOST}{more}\r\n")
}

/// Sends a request, and lets the store answer it.
fn ask(daemon: &mut Daemon, request: &str, answer: Answer) -> Conn {
    let conn = daemon.open(PEER);
    assert_eq!(daemon.send(conn, request), (Vec::new(), Next::Wait));
    answer_it(daemon, answer);
    conn
}

fn answer_it(daemon: &mut Daemon, answer: Answer) {
    let mail = daemon.mail();
    let [Mail::Read(ToReader::Ask { ticket, .. })] = mail[..] else { panic!("{mail:?}") };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
}

/// What the client reads when its socket takes so many bytes at a time, and what the shell is to do in the end.
fn read(daemon: &mut Daemon, conn: Conn, piece: usize) -> (Vec<u8>, Next) {
    let (mut taken, mut next) = (Vec::new(), Next::Wait);
    loop {
        let mut idle = true;
        while let Some((of, out, then)) = daemon.resume() {
            assert_eq!(of, conn);
            taken.extend(out);
            (next, idle) = (then, false);
        }
        let output = daemon.server.output(conn);
        let output = output[..output.len().min(piece)].to_vec();
        if output.is_empty() && idle {
            return (taken, next);
        }
        if !output.is_empty() {
            daemon.server.sent(daemon.now, conn, output.len());
            taken.extend(output);
        }
    }
}

#[test]
fn a_long_file_arrives_whole_however_slowly_it_is_taken() {
    for bytes in [64 * 1024, 64 * 1024 + 1, 3 * MIB] {
        for piece in [777, 65_536, 10 * MIB] {
            let mut daemon = Daemon::new();
            let conn = ask(&mut daemon, &request("GET", ""), file(bytes));
            let (taken, next) = read(&mut daemon, conn, piece);
            let Answer::File { bytes, .. } = file(bytes) else { unreachable!() };
            let reply = &Reply::all(&taken)[0];
            assert!(reply.status == 200 && reply.body == bytes, "{piece}: {}", reply.head);
            assert_eq!(next, Next::Read, "the connection stays");
            assert_eq!(daemon.server.held_bytes(conn), (0, 0));
        }
    }
}

#[test]
fn what_is_asked_behind_it_is_answered_behind_it() {
    let mut daemon = Daemon::new();
    let two = request("GET", "") + &format!("GET /robots.txt HTTP/1.1\r\n{HOST}\r\n");
    let conn = ask(&mut daemon, &two, file(2 * MIB));
    let (taken, next) = read(&mut daemon, conn, 100_000);
    let replies = Reply::all(&taken);
    assert_eq!((replies.len(), replies[0].body.len(), next), (2, 2 * MIB, Next::Read));
    assert!(replies[1].text().starts_with("User-agent"));
}

#[test]
fn the_last_answer_of_a_connection_may_be_long() {
    let mut daemon = Daemon::new();
    let conn = ask(&mut daemon, &request("GET", "Connection: close\r\n"), file(2 * MIB));
    let (taken, next) = read(&mut daemon, conn, 100_000);
    assert_eq!(Reply::all(&taken)[0].body.len(), 2 * MIB);
    assert_eq!(next, Next::Close { linger: false });
}

#[test]
fn head_has_its_length_and_none_of_it() {
    let mut daemon = Daemon::new();
    let conn = ask(&mut daemon, &request("HEAD", ""), file(2 * MIB));
    let (_, out, next) = daemon.resume().expect("an answer");
    let (reply, rest) = Reply::read(&out, true).expect("a head");
    assert_eq!((reply.field("content-length"), rest.len(), next), (Some("2097152"), 0, Next::Read));
    assert_eq!(daemon.server.held_bytes(conn), (0, 0));
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let mut daemon = Daemon::new();
    let conn = ask(&mut daemon, &request("GET", ""), file(2 * MIB));
    daemon.resume();
    daemon.advance(19_000);
    daemon.server.sent(daemon.now, conn, 1);
    assert!(!daemon.server.owed_nothing().contains(&conn), "not idle");
    assert_eq!(daemon.server.least_wanted(daemon.now), None, "nor closed to make room");
    daemon.advance(19_999);
    assert_eq!(daemon.overdue(), None);
    daemon.advance(1);
    assert_eq!(daemon.overdue(), Some((conn, Vec::new())));
}

#[test]
fn all_long_answers_together_are_bounded() {
    let mut daemon = Daemon::new();
    let status = |daemon: &mut Daemon, bytes: usize| {
        let conn = ask(daemon, &request("GET", ""), file(bytes));
        let (of, out, _) = daemon.resume().expect("an answer");
        assert_eq!(of, conn);
        let head = if out.is_empty() { daemon.server.output(conn).to_vec() } else { out };
        (conn, String::from_utf8_lossy(&head[9..12]).into_owned())
    };
    let conns = [status(&mut daemon, 64 * MIB), status(&mut daemon, 64 * MIB)];
    assert!(conns.iter().all(|(_, status)| status == "200"));
    let (refused, busy) = status(&mut daemon, 64 * 1024 + 1);
    assert_eq!(busy, "503");
    assert_eq!(status(&mut daemon, 64 * 1024).1, "200", "what is short is copied");
    daemon.server.closed(refused);
    daemon.server.closed(conns[0].0);
    assert_eq!(status(&mut daemon, 2 * MIB).1, "200", "there is room again");
    // However long: one is always served.
    let mut daemon = Daemon::new();
    assert_eq!(status(&mut daemon, 129 * MIB).1, "200");
    assert_eq!(status(&mut daemon, MIB).1, "503");
}
