//! Clients that are slow, many, half gone or out of their minds: others are still served, and nothing grows.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::until;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const PEER_ID: &[u8; 20] = b"-TS0001-robusttest01";

/// Connects and says half a word.
fn slow(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).expect("the backlog takes it");
    let _ = stream.write_all(b"GET /announce?info_");
    stream
}

/// Whether an announce is answered; a connection that is turned away is tried again by a client, so it is here.
fn served(tracker: &Daemon) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let request = format!(
            "GET /announce?info_hash={}&peer_id=-TS0001-robusttest01&port=6881 HTTP/1.1\r\nHost: t\r\n\
             Connection: close\r\n\r\n",
            "%07".repeat(20)
        );
        let mut answer = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(tracker.http(Ipv4Addr::LOCALHOST)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut answer);
        }
        if answer.starts_with(b"HTTP/1.1 200") {
            return true;
        }
    }
    false
}

#[test]
fn a_thousand_slow_connections_leave_room_for_others() {
    let home = tempfile::tempdir().expect("a folder");
    let settings = [("OPEN_TRACKER", "true"), ("MAX_CONNECTIONS", "100")];
    let tracker = Daemon::start(home.path(), &settings);
    let mut slow_ones = Vec::new();
    for round in 0..10 {
        slow_ones.extend((0..100).map(|_| slow(tracker.http(Ipv4Addr::LOCALHOST))));
        assert!(served(&tracker), "after {} slow connections", (round + 1) * 100);
    }
}

#[test]
fn few_descriptors_are_survived() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start_with_descriptors(home.path(), 256, &[("OPEN_TRACKER", "true")]);
    let slow_ones: Vec<_> = (0..500).map(|_| slow(tracker.http(Ipv4Addr::LOCALHOST))).collect();
    assert!(served(&tracker), "while they are there");
    drop(slow_ones);
    until("room again", || served(&tracker).then_some(()));
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status, 200);
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    for path in [
        "/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1",
        "/api/registry/search",
    ] {
        let mut stream = TcpStream::connect(tracker.http(Ipv4Addr::LOCALHOST)).expect("accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer, then the end");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn random_bytes_on_both_sockets_do_no_harm() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.connect(tracker.udp(Ipv4Addr::LOCALHOST)).expect("an address");
    let mut rng = weightless::base::Rng::new(11);
    let mut bytes = [0; 1500];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.u64().to_le_bytes()[..chunk.len()]));
        for length in [0, 15, 16, 36, 98, 1400] {
            let _ = udp.send(&bytes[..length]);
        }
        if let Ok(mut stream) = TcpStream::connect(tracker.http(Ipv4Addr::LOCALHOST)) {
            let _ = stream.write_all(&bytes);
        }
    }
    let answer = http::announce(tracker.http(Ipv4Addr::LOCALHOST), &[7; 20], PEER_ID, 6881, 10, "");
    assert!(matches!(answer, Announced::Peers { .. }), "{answer:?}");
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status, 200);
}
