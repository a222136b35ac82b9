//! What is bound, what happens when it cannot be, and that a refused client gets to read why.

use crate::support::daemon::{self, Daemon};
use crate::support::http::{self, Announced};
use crate::support::{ended, udp};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Starts a daemon with these settings; its ready line, or nothing if it ended before.
fn start(home: &Path, settings: &[(&str, &str)]) -> (Running, String) {
    let mut child = daemon::command(home)
        .env("DB_PATH", home.join("weightless.db"))
        .envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1,[::1]"), ("OPEN_TRACKER", "true")])
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    (Running(child), line.trim_end().to_owned())
}

/// Killed when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn udp_can_be_off() {
    let home = tempfile::tempdir().expect("a folder");
    let (_running, line) = start(home.path(), &[("UDP_PORT", "off")]);
    let port = line.split_once(" live on :").expect("a ready line").1;
    let at = (Ipv4Addr::LOCALHOST, port.parse().expect("a port and no more")).into();
    let answer = http::announce(at, &[7; 20], b"-TS0001-socketstests", 6881, 10, "");
    assert!(matches!(answer, Announced::Peers { .. }), "{answer:?}");
}

#[test]
fn a_taken_udp_port_ends_it_over_ipv4_and_is_done_without_over_ipv6() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let home = tempfile::tempdir().expect("a folder");
    let (mut running, line) = start(home.path(), &[("UDP_PORT", &port)]);
    assert_eq!(line, "", "no ready line");
    assert_eq!(ended("the daemon", &mut running.0).code(), Some(1));
    drop(taken);

    let taken = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let (mut running, line) = start(home.path(), &[("UDP_PORT", &port.to_string())]);
    assert!(line.ends_with(&format!("udp :{port}")), "{line}");
    udp::Client::connect((Ipv4Addr::LOCALHOST, port).into());
    running.0.kill().expect("our child");
    ended("the daemon", &mut running.0);

    // When nothing but IPv6 was asked for, there is nothing to go on with.
    let only_v6 = [("UDP_PORT", &*port.to_string()), ("BIND", "[::1]")];
    let (mut running, line) = start(home.path(), &only_v6);
    assert_eq!(line, "");
    assert_eq!(ended("the daemon", &mut running.0).code(), Some(1));
}

/// A datagram longer than the receive buffer is cut, which takes nothing away from what is valid.
#[test]
fn the_longest_datagram_is_answered() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    client.connect(tracker.udp(Ipv4Addr::LOCALHOST)).expect("an address");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let mut connect = Vec::new();
    weightless::wire::udp_tracker::write_connect_request(&mut connect, 7);
    for length in [16, 116, 2048, 2049, 65_507] {
        connect.resize(length, 0xaa);
        client.send(&connect).expect("sent");
        let mut answer = [0; 2048];
        assert_eq!(client.recv(&mut answer).expect("an answer"), 16, "to {length} bytes");
    }
}

/// The answer to a request that is refused before its body has come must not be lost to a reset.
#[test]
fn a_refused_upload_gets_to_read_why() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(tracker.http(Ipv4Addr::LOCALHOST)).expect("accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        let mut request = b"GET /announce HTTP/1.1\r\nHost: t\r\nContent-Length: 50000\r\n\r\n".to_vec();
        stream.write_all(&request).expect("sent");
        request.clear();
        request.resize(50_000, b'x');
        // The tracker has closed its half: what it has not drained by now may fail, and the answer is there anyway.
        for part in request.chunks(5_000) {
            stream.write_all(part).expect("drained");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and the end, no reset");
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("Connection: close"), "{answer}");
    }
}
