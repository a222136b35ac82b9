//! Announces against small trackers that misbehave on purpose, and against the real daemon.

use super::*;
use crate::announce::{Retry, Wire};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use weightless::base::{PeerId, SwarmKey};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash};
use weightless::wire::udp_tracker as wire;

fn call(id: u64, url: &str, trusted: bool) -> Call {
    let request = AnnounceRequest {
        info_hash: AnnouncedHash::Short(SwarmKey([3; 20])),
        peer_id: PeerId(*b"-WL0100-abcdefghijkl"),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: Some(1),
        event: Event::Started,
        peers_wanted: Some(50),
    };
    Call { id, url: url.into(), trusted, request, key: 9, udp_tries: 1, wire: Wire::Announce }
}

struct Bench {
    trackers: Trackers,
    told: Receiver<()>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Setup { allow_private: false, proxy: None })
    }

    fn with(setup: Setup) -> Self {
        let (tell, told) = bounded(1000);
        let notify: Notify = Arc::new(move || {
            let _ = tell.try_send(());
        });
        Self { trackers: Trackers::start(setup, Rng::new(1), notify).expect("threads"), told }
    }

    /// Waits for the next outcomes, at least one.
    fn wait(&self) -> Vec<Outcome> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let outcomes: Vec<_> = self.trackers.results().collect();
            if !outcomes.is_empty() {
                return outcomes;
            }
            self.told.recv_deadline(until).expect("an outcome within 30 s");
        }
    }

    fn ask(&self, url: &str, trusted: bool) -> Result<Answer, Problem> {
        self.trackers.submit(call(1, url, trusted)).expect("room");
        let mut outcomes = self.wait();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).1
    }
}

/// Serves one answer after the other, each to one connection; gives the request lines back.
fn serving(answers: Vec<Vec<u8>>) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let thread = std::thread::spawn(move || {
        let serve = |answer: Vec<u8>| {
            let (stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(&stream);
            let mut first = String::new();
            reader.read_line(&mut first).expect("a request");
            let mut line = String::new();
            while reader.read_line(&mut line).expect("a head") > 2 {
                line.clear();
            }
            let _ = (&stream).write_all(&answer);
            first.trim().to_owned()
        };
        answers.into_iter().map(serve).collect()
    });
    (address, thread)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    [format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").as_bytes(), body]
        .concat()
}

const SERVED: &[u8] = b"d8:intervali900e5:peers6:\x7f\0\0\x01\x1a\xe1e";

#[test]
fn an_http_tracker_is_asked_and_redirects_are_followed_three_times() {
    for (redirects, good) in [(0, true), (3, true), (4, false)] {
        let mut answers = vec![answer("302 Found\r\nLocation: /announce?again=1", b""); redirects];
        answers.extend(good.then(|| answer("200 OK", SERVED)));
        let (address, thread) = serving(answers);
        let outcome = Bench::new().ask(&format!("http://{address}/announce?passkey=k"), false);
        let requests = thread.join().expect("requests");
        assert!(requests[0].starts_with("GET /announce?passkey=k&info_hash=%03%03"), "{}", requests[0]);
        assert!(requests[0].contains("&event=started&key=00000009 "), "{}", requests[0]);
        match good {
            true => assert_eq!(outcome.expect("an answer").peers, ["127.0.0.1:6881".parse().expect("one")]),
            false => assert_eq!(outcome, Err(Problem::Failed("too many redirects".into()))),
        }
    }
}

#[test]
fn a_url_from_a_torrent_gets_no_further_than_it_may() {
    let (address, _thread) =
        serving(vec![answer("302 Found\r\nLocation: http://169.254.169.254/announce", b"")]);
    let bench = Bench::new();
    for url in [
        format!("http://{address}/announce"),
        "http://169.254.169.254/announce".into(),
        format!("http://{address}/admin/reboot"),
        format!("http://localhost:{}/admin", address.port()),
        "http://127.0.0.1:22/announce".into(),
        "udp://169.254.169.254:80/announce".into(),
        "udp://0.0.0.0:80".into(),
    ] {
        let outcome = bench.ask(&url, false);
        assert!(matches!(outcome, Err(Problem::Unusable(_))), "{url}: {outcome:?}");
    }
    // A person may: nobody listens there, but it was tried.
    let outcome = bench.ask("http://127.0.0.1:22/x", true);
    assert!(matches!(outcome, Err(Problem::Failed(_))), "{outcome:?}");
}

#[test]
fn odd_answers_are_told_apart() {
    let long = [b"d8:intervali900e5:peers3000000:".to_vec(), vec![0; 3_000_000], b"e".to_vec()].concat();
    for (reply, problem) in [
        (
            answer("200 OK", b"d14:failure reason2:no8:retry in5:nevere"),
            "Refused { reason: \"no\", retry: Never }",
        ),
        (answer("404 Not Found", b"<html>"), "Refused { reason: \"HTTP 404\", retry: Unsaid }"),
        (answer("503 Busy\r\nRetry-After: 90", b""), "retry: AfterS(90)"),
        (answer("200 OK", b"hello"), "Failed(\"not a tracker's answer\")"),
        (answer("200 OK", &long), "Failed(\"answer too long\")"),
        (answer(&format!("200 OK\r\nX: {}", "x".repeat(70_000)), SERVED), "Failed("),
        (answer("302 Found", b""), "Failed(\"a redirect to nowhere\")"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nd8:".to_vec(), "Failed("),
        (Vec::new(), "Failed("),
    ] {
        let (address, thread) = serving(vec![reply]);
        let outcome = Bench::new().ask(&format!("http://{address}/announce"), true);
        let said = format!("{outcome:?}");
        assert!(said.contains(problem), "{said} is not {problem}");
        thread.join().expect("a request");
    }
    let outcome = Bench::new().ask("http://127.0.0.1:1/announce", true);
    assert_eq!(outcome, Err(Problem::Failed("connection refused".into())));
}

#[test]
fn goodbyes_do_not_wait_for_trackers_that_are_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = (silent.local_addr().expect("an address"), silent);
    let (address, _thread) = serving(vec![answer("200 OK", SERVED)]);
    let bench = Bench::new();
    for id in 0..20 {
        bench.trackers.submit(call(id, &format!("http://{}/announce", silent.0), true)).expect("room");
    }
    let began = Instant::now();
    let mut stopped = call(99, &format!("http://{address}/announce"), true);
    stopped.request.event = Event::Stopped;
    bench.trackers.submit(stopped).expect("room");
    let mut seen = Vec::new();
    while !seen.contains(&99) {
        seen.extend(bench.wait().into_iter().map(|outcome| outcome.0));
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?} {seen:?}", began.elapsed());
}

#[test]
fn too_many_calls_are_refused() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/announce", silent.local_addr().expect("an address"));
    let bench = Bench::new();
    let refused = (0..2000).filter(|&id| bench.trackers.submit(call(id, &url, true)).is_err()).count();
    let (least, most) = (2000 - CALLS_WAITING_MAX - THREADS_MAX, 2000 - CALLS_WAITING_MAX);
    assert!((least..=most).contains(&refused), "{refused}");
}

#[test]
fn a_udp_tracker_answers_both_hashes_with_one_id() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let url = format!("udp://{}/announce?k=1", socket.local_addr().expect("an address"));
    let tracker = std::thread::spawn(move || {
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut connects = 0;
        for expected in ["connect", "announce", "announce"] {
            let mut datagram = [0; 2048];
            let (length, from) = socket.recv_from(&mut datagram).expect("a request");
            let request = &datagram[..length];
            let preamble = wire::parse_preamble(request).expect("whole");
            let mut out = Vec::new();
            if preamble.action == wire::action::CONNECT {
                connects += 1;
                // From elsewhere, and to another question: neither counts.
                let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
                wire::write_connect(&mut out, preamble.transaction, 1);
                stranger.send_to(&out, from).expect("sent");
                out.clear();
                wire::write_connect(&mut out, preamble.transaction ^ 1, 2);
                socket.send_to(&out, from).expect("sent");
                out.clear();
                wire::write_connect(&mut out, preamble.transaction, 77);
            } else {
                assert_eq!((expected, preamble.connection_id), ("announce", 77));
                let mut path = Vec::new();
                wire::url_data(wire::parse_announce(request).expect("whole").options, &mut path);
                assert_eq!(path, b"/announce?k=1");
                let response = weightless::wire::announce::AnnounceResponse {
                    complete: 4,
                    peers4: vec![127, 0, 0, 1, 0, 9],
                    ..Default::default()
                };
                let family = wire::AddressFamily::V4;
                wire::write_announce(&mut out, preamble.transaction, 900, &response, family);
            }
            socket.send_to(&out, from).expect("sent");
        }
        connects
    });
    let bench = Bench::new();
    for _ in 0..2 {
        let answer = bench.ask(&url, false).expect("an answer");
        assert_eq!((answer.complete, answer.interval_s, answer.peers.len()), (4, 900, 1));
    }
    assert_eq!(tracker.join().expect("the tracker"), 1);
}

#[test]
fn a_closed_udp_port_and_a_bad_url_fail_at_once() {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let bench = Bench::new();
    let outcome = bench.ask(&format!("udp://{free}/announce"), false);
    assert!(matches!(&outcome, Err(Problem::Failed(why)) if why.contains("refused")), "{outcome:?}");
    assert_eq!(bench.ask("udp://127.0.0.1/announce", false), Err(Problem::Unusable("not a URL".into())));
    assert!(bench.ask("udp://name.invalid:80", true).is_err());
}

/// The same call for an idtorrent.
fn registering(url: &str, trusted: bool) -> Call {
    Call { wire: Wire::PeerRoutes, ..call(1, url, trusted) }
}

#[test]
fn an_idtorrent_is_registered_and_then_its_peers_are_asked_for() {
    let peers = br#"{"peers":[{"ip":"192.0.2.1","port":7,"state":"seeding"}],"seeders":4,"leechers":2}"#;
    let registered = || answer("200 OK", br#"{"status":"registered","interval":120,"your_ip":"192.0.2.9"}"#);
    let (address, thread) = serving(vec![registered(), answer("200 OK", peers), registered()]);
    let bench = Bench::new();
    bench.trackers.submit(registering(&format!("http://{address}/announce/u.key"), true)).expect("room");
    let (_, outcome) = bench.wait().remove(0);
    let outcome = outcome.expect("an answer");
    assert_eq!((outcome.complete, outcome.incomplete, outcome.interval_s), (4, 2, 120));
    assert_eq!(outcome.peers, ["192.0.2.1:7".parse().expect("an address")]);
    // What came with a metafile gets no further than to these routes, whatever its path.
    let mut leaving = registering(&format!("http://{address}/admin?reboot=1"), false);
    leaving.request.event = Event::Stopped;
    bench.trackers.submit(leaving).expect("room");
    let (_, outcome) = bench.wait().remove(0);
    assert_eq!(outcome.map(|answer| answer.peers), Ok(Vec::new()));
    let hash = "03".repeat(20);
    assert_eq!(
        thread.join().expect("requests"),
        [
            "POST /register_peer/u.key HTTP/1.1".to_owned(),
            format!("GET /get_peers/u.key?file_id={hash}&port=6881&limit=50 HTTP/1.1"),
            "POST /register_peer HTTP/1.1".to_owned(),
        ]
    );
}

#[test]
fn a_refused_registration_says_why() {
    for (reply, problem) in [
        (
            answer("403 Forbidden", br#"{"error":"info_hash is blocked"}"#),
            "reason: \"info_hash is blocked\", retry: Unsaid",
        ),
        (
            answer("401 Unauthorized", br#"{"error":"Unauthorized"}"#),
            "reason: \"Unauthorized\", retry: Unsaid",
        ),
        (
            answer("429 Slow\r\nRetry-After: 7", br#"{"error":"slow \u001b[31m"}"#),
            "reason: \"slow \\\\x1b[31m\", retry: AfterS(7)",
        ),
        (answer("404 Not Found", b"<html>"), "reason: \"HTTP 404\", retry: Unsaid"),
        (answer("500 Oops", br#"{"error":"x"}"#), "Failed(\"HTTP 500\")"),
        (answer("200 OK", b"[]"), "Failed(\"not a tracker's answer\")"),
        (answer("302 Found\r\nLocation: /x", b""), "Failed(\"a redirect of what was sent\")"),
    ] {
        let (address, thread) = serving(vec![reply]);
        let bench = Bench::new();
        bench.trackers.submit(registering(&format!("http://{address}/announce"), true)).expect("room");
        let said = format!("{:?}", bench.wait().remove(0).1);
        assert!(said.contains(problem), "{said} is not {problem}");
        thread.join().expect("a request");
    }
    let bench = Bench::new();
    for url in ["http://169.254.169.254/announce", "http://127.0.0.1:22/announce", "http://user@h/announce"] {
        bench.trackers.submit(registering(url, false)).expect("room");
        let outcome = bench.wait().remove(0).1;
        assert!(matches!(outcome, Err(Problem::Unusable(_))), "{url}: {outcome:?}");
    }
}

/// The daemon as it is built beside these tests.
struct Daemon {
    child: Child,
    http: SocketAddr,
    udp: SocketAddr,
    _place: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let tests = std::env::current_exe().expect("this program");
        let program = tests.ancestors().nth(2).expect("the target directory").join("weightless");
        let place = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(&program);
        command.args(["--port", "0", "--udp-port", "0", "--bind", "127.0.0.1", "--open-tracker"]);
        command.current_dir(place.path()).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build -p weightless` makes it", program.display())
        });
        let mut http = None;
        let mut udp = None;
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        let (lines, said) = bounded(1000);
        for stream in streams {
            let lines = lines.clone();
            std::thread::spawn(move || {
                BufReader::new(stream)
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| drop(lines.try_send(line)));
            });
        }
        let until = Instant::now() + Duration::from_secs(20);
        while http.is_none() || udp.is_none() {
            let line = said.recv_deadline(until).expect("the daemon says where it listens");
            for (mark, place) in [("live on ", &mut http), ("udp ", &mut udp)] {
                let rest = line.find(mark).and_then(|at| line.get(at + mark.len()..));
                let word = rest.and_then(|rest| rest.split([' ', ',']).next());
                let port = word.and_then(|word| word.rsplit_once(':')?.1.parse::<u16>().ok());
                *place = port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).or(*place);
            }
        }
        Self { child, http: http.expect("http"), udp: udp.expect("udp"), _place: place }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_daemon_serves_us_over_every_wire() {
    let daemon = Daemon::start();
    let bench = Bench::new();
    let http = bench.ask(&format!("http://{}/announce", daemon.http), false).expect("an answer");
    assert!(http.interval_s > 0 && http.incomplete == 1, "{http:?}");
    let mut other = call(2, &format!("udp://{}/announce", daemon.udp), false);
    other.request.peer_id = PeerId(*b"-WL0100-bbbbbbbbbbbb");
    other.request.port = 7000;
    bench.trackers.submit(other).expect("room");
    let (_, udp) = bench.wait().remove(0);
    let udp = udp.expect("an answer");
    assert_eq!(udp.peers, ["127.0.0.1:6881".parse().expect("an address")]);
    assert_eq!(udp.incomplete, 2);
    let mut small = registering(&format!("http://{}", daemon.http), false);
    small.request.port = 7001;
    bench.trackers.submit(small.clone()).expect("room");
    let (_, met) = bench.wait().remove(0);
    let met = met.expect("an answer");
    assert_eq!((met.incomplete, met.interval_s, met.peers.len()), (3, 300, 2), "{met:?}");
    small.request.event = Event::Stopped;
    bench.trackers.submit(small).expect("room");
    assert!(bench.wait().remove(0).1.is_ok());
    let refused = bench.ask(&format!("http://{}/announce?port=0", daemon.http), false);
    assert!(matches!(refused, Err(Problem::Refused { retry: Retry::Unsaid, .. })), "{refused:?}");
}
