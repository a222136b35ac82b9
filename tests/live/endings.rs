//! How connections end: by a client that has said all, one that drips, one that asks for everything at once.

use crate::support::daemon::Daemon;
use crate::support::http;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const ANNOUNCE: &str = "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1 HTTP/1.1\r\n\
                        Host: t\r\n\r\n";
/// Less than the 20 s after which an idle connection is closed anyway.
const SOON: Duration = Duration::from_secs(8);

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the tracker accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    stream
}

/// One answer with a length.
fn read_answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("heads are text");
    let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    stream.read_exact(&mut body).expect("a whole body");
    head + &String::from_utf8_lossy(&body)
}

#[test]
fn a_client_that_ends_with_its_second_request_is_let_go() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    for _ in 0..20 {
        let mut stream = connect(tracker.http(Ipv4Addr::LOCALHOST));
        stream.write_all(ANNOUNCE.as_bytes()).expect("sent");
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
        stream.write_all(ANNOUNCE.as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let began = Instant::now();
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
        assert_eq!(stream.read(&mut [0; 64]).expect("the end"), 0);
        assert!(began.elapsed() < SOON, "kept for {:?} after it had ended", began.elapsed());
    }
}

/// Long answers to a client that has said all and reads late: all of them come, and then the end.
#[test]
fn a_client_that_has_said_all_and_reads_late_is_let_go() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.connect(&tracker.http(Ipv4Addr::LOCALHOST).into()).expect("the tracker accepts");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    let requests = "GET /metrics HTTP/1.1\r\nHost:\r\n\r\n".repeat(800);
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = thread::spawn(move || {
        writer.write_all(requests.as_bytes()).expect("sent");
        writer.shutdown(Shutdown::Write).expect("half closed");
    });
    thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("everything, then the end");
    writing.join().expect("the writer ends");
    let count = answers.windows(15).filter(|window| window == b"HTTP/1.1 200 OK").count();
    assert_eq!(count, 800, "{} bytes", answers.len());
    assert!(began.elapsed() < SOON, "kept for {:?} after it had ended", began.elapsed());
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let entry = |n: u32| json!({"info_hash": n.to_string().repeat(64), "name": format!("name-{n}-")});
    (0..5).for_each(|n| assert_eq!(http::register(at, &entry(n)).status, 201));
    let mut requests = String::new();
    let mut expected = Vec::new();
    for n in 0..300 {
        let (target, text) = match n % 3 {
            0 => {
                let hash = (n % 5).to_string().repeat(64);
                (format!("/api/registry?info_hash={hash}"), format!("name-{}-", n % 5))
            }
            1 => (format!("/announce?info_hash={}", "x".repeat(33 + n)), format!("got {}8:", 33 + n)),
            _ => (format!("/nothing/{n}"), "404 page not found".to_owned()),
        };
        requests.push_str(&format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
        expected.push(text);
    }
    let mut stream = connect(at);
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = thread::spawn(move || writer.write_all(requests.as_bytes()).expect("sent"));
    for text in expected {
        let answer = read_answer(&mut stream);
        assert!(answer.contains(&text), "not {text}: {answer}");
    }
    writing.join().expect("the writer ends");
}

/// A head that drips for ever: each byte comes in time, the whole does not. Others are served meanwhile.
#[test]
fn a_dripping_head_is_ended_after_ten_seconds() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let began = Instant::now();
    let mut streams: Vec<_> = (0..50).map(|_| connect(at)).collect();
    while began.elapsed() < Duration::from_millis(9_000) {
        for stream in &mut streams {
            stream.write_all(b"G").expect("still open");
        }
        assert_eq!(http::get(at, "/health").status, 200);
        thread::sleep(Duration::from_millis(250));
    }
    for stream in &mut streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("told why");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(18)).contains(&took), "{took:?}");
}
