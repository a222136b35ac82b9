//! Requests to web seeds against a small server that misbehaves on purpose, against one of Python that knows no ranges,
//! and against nginx.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const FILE_BYTES: u64 = 1_000_000;

fn file() -> Vec<u8> {
    (0..FILE_BYTES).map(|at| (at % 251) as u8).collect()
}

fn fetch(id: u64, url: String, range: Range<u64>) -> Fetch {
    Fetch { id, seed: 0, url, trusted: false, file: 0, range, file_bytes: FILE_BYTES, etag: None }
}

struct Bench {
    fetcher: WebFetcher,
    told: Receiver<()>,
}

impl Bench {
    fn new() -> Self {
        let (tell, told) = bounded(1000);
        let notify: Notify = Arc::new(move || {
            let _ = tell.try_send(());
        });
        Self { fetcher: WebFetcher::new(Setup { allow_private: false, proxy: None }, notify), told }
    }

    /// Waits for news, at most so many bytes and an event more.
    fn wait(&mut self, bytes_max: u64) -> Vec<WebEvent> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let events = self.fetcher.events(bytes_max);
            if !events.is_empty() {
                return events;
            }
            self.told.recv_deadline(until).expect("news within a minute");
        }
    }

    /// Fetches and gives what was brought, where from, with which tag, and how it ended.
    fn run(&mut self, fetch: Fetch) -> Ended {
        let mut ended = Ended { bytes: Vec::new(), url: String::new(), etag: None, why: None };
        let mut at = fetch.range.start;
        self.fetcher.submit(fetch);
        loop {
            for event in self.wait(u64::MAX) {
                match event {
                    WebEvent::Began { etag, url, .. } => (ended.etag, ended.url) = (etag, url),
                    WebEvent::Data { at: offset, bytes, .. } => {
                        assert_eq!(offset, at, "in order");
                        assert!(!bytes.is_empty());
                        at += bytes.len() as u64;
                        ended.bytes.extend(bytes);
                    }
                    WebEvent::Done { .. } => return ended,
                    WebEvent::Failed { why, .. } => return Ended { why: Some(why), ..ended },
                }
            }
        }
    }
}

struct Ended {
    bytes: Vec<u8>,
    url: String,
    etag: Option<String>,
    why: Option<WebProblem>,
}

/// Calls `respond` with the head of each request of each connection, until it says to hang up.
fn serving(respond: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let respond = Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let respond = Arc::clone(&respond);
            std::thread::spawn(move || {
                let mut writer = stream.try_clone().expect("a handle");
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|length| length > 0) {
                    if head.ends_with("\r\n\r\n") && !respond(&std::mem::take(&mut head), &mut writer) {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A server as it should be.
fn ranged(head: &str, stream: &mut TcpStream) -> bool {
    let range =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let range = range.expect("a range");
    let (first, last) = range.trim().split_once('-').expect("two ends");
    let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
    let part = &file()[first..=last];
    let fields = format!("Content-Range: bytes {first}-{last}/{FILE_BYTES}\r\nETag: \"x\"");
    let head = format!("HTTP/1.1 206 Partial Content\r\n{fields}\r\nContent-Length: {}\r\n\r\n", part.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).is_ok()
}

fn say(stream: &mut TcpStream, head: &str, body: &[u8]) -> bool {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}

#[test]
fn ranges_are_fetched_over_one_connection_that_is_kept() {
    let connections = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, said) = (Arc::clone(&connections), Arc::clone(&heads));
    let address = serving(move |head, stream| {
        seen.lock().expect("a lock").insert(stream.peer_addr().expect("a peer"));
        said.lock().expect("a lock").push(head.to_lowercase());
        ranged(head, stream)
    });
    let mut bench = Bench::new();
    for (id, range) in
        [0..1, 5..300_001, 131_072..262_144, FILE_BYTES - 1..FILE_BYTES].into_iter().enumerate()
    {
        let mut fetch = fetch(id as u64, format!("http://{address}/f"), range.clone());
        fetch.etag = (id == 1).then(|| "\"x\"".to_owned());
        let ended = bench.run(fetch);
        assert_eq!((ended.why, ended.etag.as_deref()), (None, Some("\"x\"")));
        assert!(ended.bytes == file()[range.start as usize..range.end as usize], "{range:?}");
    }
    assert_eq!(connections.lock().expect("a lock").len(), 1);
    let heads = heads.lock().expect("a lock");
    assert!(heads[1].contains("range: bytes=5-300000\r\n"), "{}", heads[1]);
    assert!(heads[1].contains("accept-encoding: identity\r\n"), "{}", heads[1]);
    assert!(heads[1].contains("if-range: \"x\"\r\n") && !heads[0].contains("if-range"), "{}", heads[1]);
}

#[test]
fn redirects_are_followed_five_times_but_not_out_of_bounds() {
    let hops = |count: usize| {
        serving(move |head, stream| {
            let path = head.split(' ').nth(1).expect("a path");
            let hop: usize = path.trim_start_matches('/').parse().unwrap_or(0);
            if hop < count {
                say(stream, &format!("307 Moved\r\nLocation: {}", hop + 1), b"moved")
            } else {
                ranged(head, stream)
            }
        })
    };
    let address = hops(5);
    let ended = Bench::new().run(fetch(1, format!("http://{address}/0"), 0..10));
    assert_eq!((ended.why, ended.url), (None, format!("http://{address}/5")));
    let ended = Bench::new().run(fetch(1, format!("http://{}/0", hops(6)), 0..10));
    assert!(matches!(ended.why, Some(WebProblem::Busy { why, .. }) if why == "too many redirects"));
    for there in
        ["http://169.254.169.254/latest/meta-data", "http://127.0.0.1:22/", "http://127.0.0.1:8080/?reboot"]
    {
        let address = serving(move |_, stream| say(stream, &format!("302 Found\r\nLocation: {there}"), b""));
        let ended = Bench::new().run(fetch(1, format!("http://{address}/f"), 0..10));
        assert!(matches!(ended.why, Some(WebProblem::Forbidden(_))), "{there}");
    }
}

#[test]
fn what_a_bad_server_says_is_told_apart() {
    let whole = file();
    let short = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/{FILE_BYTES}\r\nContent-Length: 10\r\n\r\nabc"
    );
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(70_000));
    let plain = |head: &str| format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for (reply, said) in [
        (plain("404 Not Found"), "Unavailable(\"HTTP 404\")"),
        (plain("416 Range Not Satisfiable"), "Unavailable(\"HTTP 416\")"),
        (plain("503 Busy\r\nRetry-After: 7"), "retry_after_s: Some(7)"),
        (plain("206 Partial Content\r\nContent-Range: bytes 1-9/1000000"), "another range"),
        (plain("206 Partial Content\r\nContent-Range: bytes 0-9/10"), "another length"),
        (plain("302 Found\r\nLocation: ftp://h/"), "a redirect to nowhere"),
        (short.into_bytes(), "the answer ended early"),
        (long_head.into_bytes(), "Busy"),
        (b"hello\r\n\r\n".to_vec(), "Busy"),
        (Vec::new(), "Busy"),
    ] {
        let address = serving(move |_, stream| {
            let _ = stream.write_all(&reply);
            false
        });
        let ended = Bench::new().run(fetch(1, format!("http://{address}/f"), 0..10));
        let why = format!("{:?}", ended.why);
        assert!(why.contains(said), "{why} is not {said}");
        assert!(ended.bytes.is_empty() || ended.bytes == b"abc");
    }
    let address = serving(move |_, stream| say(stream, "200 OK", &whole));
    let ended = Bench::new().run(fetch(1, format!("http://{address}/f"), 400_000..400_010));
    assert_eq!(ended.why, None);
    assert!(ended.bytes == file()[400_000..400_010]);
    let ended = Bench::new().run(fetch(1, "http://127.0.0.1:1/f".into(), 0..10));
    assert!(matches!(ended.why, Some(WebProblem::Forbidden(_))), "port 1 is none for a web seed");
    let mut typed = fetch(1, "http://127.0.0.1:1/f".into(), 0..10);
    typed.trusted = true;
    assert!(
        matches!(Bench::new().run(typed).why, Some(WebProblem::Busy { why, .. }) if why == "connection refused")
    );
}

/// Nobody takes the news: the server's writes must come to a halt long before the end, and a cancelled request must end
/// without reading on.
#[test]
fn a_listener_that_is_slow_stops_the_server_and_a_cancelled_request_ends() {
    let total: u64 = 256 << 20;
    let (stuck, waits) = bounded(1);
    let address = serving(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
        stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let mut written = 0;
        let mut good = stream.write_all(head.as_bytes()).is_ok();
        while good && written < total {
            good = stream.write_all(&[7; 65536]).is_ok();
            written += 65536;
        }
        let _ = stuck.send(written);
        false
    });
    let mut bench = Bench::new();
    let mut fetch = fetch(1, format!("http://{address}/f"), 0..total);
    fetch.file_bytes = total;
    bench.fetcher.submit(fetch);
    let written = waits.recv_timeout(Duration::from_secs(60)).expect("the server comes to a halt");
    assert!(written < 64 << 20, "{written} bytes were taken");
    bench.fetcher.cancel(1);
    let mut bytes = 0;
    let mut last = None;
    while !matches!(last, Some(WebEvent::Failed { .. })) {
        for event in bench.wait(1) {
            if let WebEvent::Data { bytes: data, .. } = &event {
                bytes += data.len();
            }
            last = Some(event);
        }
    }
    assert_eq!(last, Some(WebEvent::Failed { id: 1, why: cancelled() }));
    assert!(bytes <= (EVENTS_WAITING_MAX + 1) * 128 * 1024, "{bytes}");
}

#[test]
fn four_requests_of_a_seed_run_side_by_side() {
    let waiting = Arc::new(std::sync::Barrier::new(4));
    let address = serving(move |head, stream| {
        waiting.wait();
        ranged(head, stream)
    });
    let mut bench = Bench::new();
    for id in 0..4 {
        bench.fetcher.submit(fetch(id, format!("http://{address}/f"), id * 10..id * 10 + 10));
    }
    let mut done = 0;
    while done < 4 {
        done += bench.wait(u64::MAX).iter().filter(|event| matches!(event, WebEvent::Done { .. })).count();
    }
}

/// A program that is stopped in the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn pythons_server_knows_no_ranges_and_serves_us_all_the_same() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("f bin"), file()).expect("a file");
    let mut command = Command::new(std::env::var("WL_TEST_PYTHON").unwrap_or_else(|_| "python3".into()));
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]).current_dir(place.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Running(child.expect("python3"));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let port = line.split("port ").nth(1).and_then(|rest| rest.split(' ').next()).expect("the port");
    let mut bench = Bench::new();
    for (id, range) in [500_000..700_000, 0..FILE_BYTES].into_iter().enumerate() {
        let ended = bench.run(fetch(id as u64, format!("http://127.0.0.1:{port}/f%20bin"), range.clone()));
        assert_eq!((ended.why, ended.etag), (None, None));
        assert!(ended.bytes == file()[range.start as usize..range.end as usize]);
    }
    let ended = bench.run(fetch(9, format!("http://127.0.0.1:{port}/other"), 0..5));
    assert_eq!(ended.why, Some(WebProblem::Unavailable("HTTP 404".into())));
}

/// nginx with the file at `/f`, on a port that was free a moment ago.
fn nginx(place: &std::path::Path) -> (Running, u16) {
    std::fs::write(place.join("f"), file()).expect("a file");
    for _ in 0..10 {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let at = place.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; \
             client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at}; uwsgi_temp_path {at}; \
             scgi_temp_path {at}; server {{ listen 127.0.0.1:{port}; root {at}; \
             location /old {{ return 301 /f; }} }} }}\n"
        );
        std::fs::write(place.join("conf"), config).expect("a file");
        // `make test` unpacks it beside the Python of the tests.
        let python = std::env::var_os("WL_TEST_PYTHON").map(std::path::PathBuf::from);
        let beside = python.and_then(|python| Some(python.parent()?.parent()?.join("nginx/usr/sbin/nginx")));
        let program = beside.filter(|path| path.exists()).unwrap_or_else(|| "nginx".into());
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-p"]).arg(place).arg("-c").arg(place.join("conf"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server =
            Running(child.unwrap_or_else(|error| panic!("nginx: {error}; `make test-tools` installs it")));
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && server.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, port);
            }
            std::thread::yield_now();
        }
    }
    panic!("nginx does not start")
}

#[test]
fn nginx_serves_ranges_and_whole_files() {
    let place = tempfile::tempdir().expect("a directory");
    let (_server, port) = nginx(place.path());
    let mut bench = Bench::new();
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let first = bench.run(fetch(1, url("/old"), 10..400_000));
    assert_eq!((first.why, first.url.as_str()), (None, url("/f").as_str()));
    assert!(first.bytes == file()[10..400_000]);
    let etag = first.etag.expect("nginx tags files");
    for (id, tag) in [(2, etag.as_str()), (3, "\"of another file\"")] {
        let mut again = fetch(id, url("/f"), 999_000..FILE_BYTES);
        again.etag = Some(tag.to_owned());
        let ended = bench.run(again);
        assert_eq!(ended.why, None);
        assert!(ended.bytes == file()[999_000..]);
    }
    for (id, path) in [(4, "/none"), (5, "/")] {
        let ended = bench.run(fetch(id, url(path), 0..5));
        assert!(matches!(ended.why, Some(WebProblem::Unavailable(_))), "{path}");
    }
    let mut longer = fetch(6, url("/f"), 0..10);
    longer.file_bytes = FILE_BYTES + 1;
    assert!(matches!(bench.run(longer).why, Some(WebProblem::Unavailable(_))));
}
