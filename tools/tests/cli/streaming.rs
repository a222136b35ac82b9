//! `create --stream`: a remote file hashed without storing it, against a listener that serves what the test wants.

use crate::support::{Place, generated};
use std::io::{Read, Write};
use std::net::TcpListener;

/// Serves one answer after the other, each to one request, and hands over the heads of the requests.
struct Origin {
    url: String,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Origin {
    fn serving(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    assert_eq!(stream.read(&mut byte).expect("a request"), 1);
                    head.push(byte[0]);
                }
                heads.push(String::from_utf8(head).expect("text"));
                // The client may hang up as soon as it has seen enough.
                let _ = stream.write_all(&answer);
            }
            heads
        });
        Self { url, thread }
    }

    fn heads(self) -> Vec<String> {
        self.thread.join().expect("the requests")
    }
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn whole(length: usize) -> Vec<u8> {
    answer(&format!("200 OK\r\nContent-Length: {length}"), &generated(length))
}

#[test]
fn a_stream_has_the_hashes_of_the_file() {
    for length in [1, 16384, 16385, 262_144, 262_145, 1_048_577, 5_000_000] {
        for flags in ["", "--format v1", "--format v2", "--piece-length auto", "--piece-length 64M"] {
            let origin = Origin::serving(vec![whole(length)]);
            let place = Place::new();
            place.file("f.bin", length);
            let local = place.json(&format!("create --no-register --out l.torrent {flags} f.bin"));
            let url = format!("{}/dir/f.bin?token=1", origin.url);
            let streamed =
                place.json(&format!("create --no-register {flags} --stream {url} --webseed {url}"));
            for key in ["info_hash", "v1_info_hash", "size", "piece_count", "piece_length", "files"] {
                assert_eq!(streamed[key], local[key], "{key} {length} {flags}");
            }
            assert_eq!(streamed["torrent"], "f.bin.torrent");
            let shown = place.json("show f.bin.torrent");
            assert_eq!(shown["web_seeds"], serde_json::json!([url]), "first, and only once");
            assert_eq!(place.wl("verify f.bin.torrent").code, 0);
            let heads = origin.heads();
            assert!(heads[0].starts_with("GET /dir/f.bin?token=1 "), "{}", heads[0]);
            assert!(heads[0].to_lowercase().contains("accept-encoding: identity"), "{}", heads[0]);
        }
    }
}

#[test]
fn a_stream_is_named_like_its_file_or_as_told() {
    let origin = Origin::serving(vec![whole(5), whole(5)]);
    let place = Place::new();
    let made = place.json(&format!("create --no-register --stream {}/a/My%20File.bin", origin.url));
    assert_eq!((&made["name"], &made["torrent"]), (&"My File.bin".into(), &"My File.bin.torrent".into()));
    assert_eq!(place.json(&format!("create --no-register --name X --stream {}/a", origin.url))["name"], "X");
    assert_eq!(place.json("show X.torrent")["name"], "X");
    let bare = Origin::serving(vec![whole(5)]);
    let ran = place.wl(&format!("create --no-register --stream {}/", bare.url));
    assert!(ran.code == 2 && ran.stderr.contains("cannot derive a name; pass --name"), "{}", ran.stderr);
    assert_eq!(place.wl("create --stream ftp://h/x").code, 2);
    assert_eq!(place.wl("create --stream http://127.0.0.1:1/x").code, 5);
}

#[test]
fn five_redirects_are_followed_and_six_are_not() {
    for (redirects, code) in [(5, 0), (6, 5)] {
        let there = || answer("302 Found\r\nLocation: /next\r\nContent-Length: 0", b"");
        let mut answers: Vec<_> = (0..redirects).map(|_| there()).collect();
        answers.extend((redirects == 5).then(|| whole(5)));
        let origin = Origin::serving(answers);
        let place = Place::new();
        let ran = place.wl(&format!("create --no-register --stream {}/f.bin", origin.url));
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert_eq!(place.path().join("f.bin.torrent").exists(), code == 0);
    }
}

/// What a redirect says beside its address counts for nothing, and a server that stays on the line is not waited for.
#[test]
fn only_the_file_itself_is_measured() {
    let there = answer("302 Found\r\nLocation: /f.bin\r\nContent-Length: 2", b"moved and more");
    let origin = Origin::serving(vec![there, whole(5)]);
    let place = Place::new();
    let ran = place.wl(&format!("create --no-register --stream {}/f.bin", origin.url));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let heads = origin.heads();
    assert!(heads[1].to_lowercase().contains("connection: close"), "{}", heads[1]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/g.bin", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345").unwrap();
        // Until the client hangs up.
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    let ran = place.wl(&format!("create --no-register --stream {url}"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(server.join().unwrap() > 0);
}

#[test]
fn what_cannot_be_trusted_is_refused_and_nothing_is_written() {
    let chunked = |length: usize, body: &str| {
        answer(&format!("200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked"), body.as_bytes())
    };
    let behind = || answer("200 OK\r\nContent-Length: 300000", &generated(300_001));
    let gzip = "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5";
    for (why, answer, says, code) in [
        ("short", answer("200 OK\r\nContent-Length: 10", b"12345"), "body is shorter than the 10 bytes", 5),
        ("none", answer("200 OK\r\nContent-Length: 10", b""), "body is shorter", 5),
        ("empty", answer("200 OK\r\nContent-Length: 0", b""), "the file is empty", 5),
        ("unknown", answer("200 OK", b"12345"), "does not say how long", 5),
        ("chunked", answer("200 OK\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), "does not say how long", 5),
        ("longer", chunked(3, "5\r\n12345\r\n0\r\n\r\n"), "body is longer than the 3 bytes", 5),
        ("behind", answer("200 OK\r\nContent-Length: 3", b"12345"), "body is longer than the 3 bytes", 5),
        ("far behind", behind(), "body is longer than the 300000 bytes", 5),
        ("encoded", answer(gzip, b"12345"), "another encoding", 5),
        ("partial", answer("206 Partial\r\nContent-Length: 5", b"12345"), ": 206", 5),
        ("missing", answer("404 Not Found\r\nContent-Length: 0", b""), ": 404", 6),
        ("broken", answer("500 Oops\r\nContent-Length: 0", b""), ": 500", 5),
    ] {
        let origin = Origin::serving(vec![answer]);
        let place = Place::new();
        let ran = place.wl(&format!("create --no-register --stream {}/f.bin", origin.url));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{why}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{why}: {}", ran.stderr);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "{why}");
    }
}
