//! `tools/examples/tiny_seeder.rs`, compiled alone and with an allocator that ends it when anything is allocated after
//! the start: libtorrent gets a file from it, and every row of idtorrent section 5 is tried by hand.

use crate::support::daemon::Daemon;
use crate::support::peer::Peer;
use crate::support::{PATIENCE, ended, files, http, wl};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use weightless::torrent::v1_hash;

const CHUNK: usize = 10_240;

/// A running seeder.
struct Tiny {
    child: Child,
    at: SocketAddr,
}

impl Tiny {
    fn start(file: &Path, id: &str, tracker: SocketAddr) -> Self {
        let mut child = Command::new(program())
            .arg(file)
            .args([id, &CHUNK.to_string(), "127.0.0.1:0", &tracker.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the seeder starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { child, at: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    /// Ends it; it must not have ended by itself, as it does when it allocates.
    fn stop(mut self) {
        assert!(self.child.try_wait().expect("our child").is_none(), "it has run to the end");
        self.child.kill().expect("our child");
        ended("the seeder", &mut self.child);
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiled once, by the compiler alone.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let home = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let seeder = root.join("tools/examples/tiny_seeder.rs");
        let around = fs::read_to_string(root.join("tests/clients/no_heap.rs")).expect("the rest of it");
        // Its inner comment has to stay in front.
        let at = around.find("\nuse ").expect("code");
        let (front, back) = around.split_at(at);
        let main = home.path().join("main.rs");
        fs::write(&main, format!("{front}\n#[path = {seeder:?}]\nmod tiny_seeder;\n{back}")).expect("a file");
        let program = home.path().join("tiny_seeder");
        let built = Command::new("rustc")
            .args(["--edition", "2024", "-O", "-A", "warnings", "-o"])
            .args([&program, &main])
            .status()
            .expect("rustc is there");
        assert!(built.success());
        (home, program)
    });
    program
}

/// A v1 torrent whose pieces are as long as chunks.
fn torrent(name: &str, content: &[u8]) -> (Vec<u8>, String) {
    let mut info = format!(
        "d6:lengthi{}e4:name{}:{name}12:piece lengthi{CHUNK}e6:pieces{}:",
        content.len(),
        name.len(),
        content.len().div_ceil(CHUNK) * 20
    )
    .into_bytes();
    content.chunks(CHUNK).for_each(|piece| info.extend_from_slice(&Sha1::digest(piece)));
    info.push(b'e');
    let id = v1_hash(&info).to_string();
    ([b"d4:info".as_slice(), &info, b"e"].concat(), id)
}

#[test]
fn libtorrent_gets_a_file_from_the_smallest_seeder() {
    let home = tempfile::tempdir().expect("a folder");
    let content = files::noise(9, 1_234_567);
    let (metainfo, id) = torrent("tiny.bin", &content);
    let (file, torrent, copy) =
        (home.path().join("tiny.bin"), home.path().join("t.torrent"), home.path().join("copy"));
    fs::write(&file, &content).expect("a file");
    fs::write(&torrent, metainfo).expect("a file");
    fs::create_dir(&copy).expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    let tiny = Tiny::start(&file, &id, at);
    let listed = http::get(at, &format!("/get_peers?file_id={id}")).json();
    let expected = json!([{"ip": "127.0.0.1", "port": tiny.at.port(), "state": "seeding"}]);
    assert_eq!(listed["peers"], expected, "registered before it says that it serves");

    let url = format!("http://127.0.0.1:{}/announce", tracker.http_port);
    let leecher = Peer::start(&torrent, &copy, &url, "127.0.0.1:0");
    leecher.wait("complete");
    leecher.leave();
    assert!(fs::read(copy.join("tiny.bin")).expect("the copy") == content);
    tiny.stop();
}

#[test]
fn wl_gets_a_file_from_the_smallest_seeder() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let url = tracker.base_url();
    let content = files::noise(9, 234_567);
    fs::write(home.path().join("tiny.bin"), &content).expect("a file");
    let (code, said, why) =
        wl::run(home.path(), &["create", "--idt", "--json", "--tracker", &url, "tiny.bin"]);
    assert_eq!(code, Some(0), "{why}");
    let said: serde_json::Value = said.parse().expect("JSON");
    let id = said["file_id"].as_str().expect("an id");
    let tiny = Tiny::start(&home.path().join("tiny.bin"), id, tracker.http(Ipv4Addr::LOCALHOST));
    let copy = home.path().join("copy");
    let (code, said, why) =
        wl::run(home.path(), &["get", "--port", "0", "--tracker", &url, "-o", "copy", id]);
    assert_eq!((code, said.as_str()), (Some(0), "Done: copy/tiny.bin\n"), "{why}");
    assert!(fs::read(copy.join("tiny.bin")).expect("the copy") == content);
    tiny.stop();
}

/// A tracker that answers each registration as the test wants; the bodies of all.
fn tracker(answers: &'static [&'static str]) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    let heard = std::thread::spawn(move || {
        let answered = answers.iter().map(|answer| {
            let (mut stream, _) = listener.accept().expect("a registration");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
            let (mut bytes, mut chunk) = (Vec::new(), [0; 1024]);
            while !bytes.ends_with(b"}") {
                let read = stream.read(&mut chunk).expect("a request");
                assert!(read > 0, "it ends with its body");
                bytes.extend_from_slice(&chunk[..read]);
            }
            stream.write_all(answer.as_bytes()).expect("an answer");
            String::from_utf8(bytes).expect("text")
        });
        answered.collect()
    });
    (at, heard)
}

const SOON: &str =
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"registered\",\"interval\":1,\"ttl\":3}\n";
const NOT_SOON: &str =
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"registered\",\"interval\":300}\n";

#[test]
fn it_registers_again_when_the_tracker_wants_it() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("f");
    fs::write(&file, [7; 100]).expect("a file");
    let (at, heard) = tracker(&[SOON, SOON, NOT_SOON]);
    let tiny = Tiny::start(&file, &"AB".repeat(20), at);
    let requests = heard.join().expect("three registrations");
    for request in requests {
        assert!(request.starts_with("POST /register_peer HTTP/1.1\r\n"), "{request}");
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        let port = tiny.at.port();
        let expected = json!({"file_id": "ab".repeat(20), "port": port, "state": "seeding"});
        assert_eq!(body.parse::<serde_json::Value>().expect("JSON"), expected);
    }
    tiny.stop();
}

/// A peer of our own.
struct Line(TcpStream);

impl Line {
    fn to(tiny: &Tiny) -> Self {
        let stream = TcpStream::connect_timeout(&tiny.at, PATIENCE).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self(stream)
    }

    /// After both handshakes and the bitfield.
    fn greeted(tiny: &Tiny) -> Self {
        let mut line = Self::to(tiny);
        line.say(&handshake([0xab; 20]));
        let reply = line.hear(68);
        assert_eq!(reply[..48], [b"\x13BitTorrent protocol".as_slice(), &[0; 8], &[0xab; 20]].concat()[..48]);
        assert_eq!(line.hear(4 + 1 + 2), [0, 0, 0, 3, 5, 0xff, 0xe0], "eleven chunks, high bits first");
        line
    }

    fn opened(tiny: &Tiny) -> Self {
        let mut line = Self::greeted(tiny);
        line.say(&[0, 0, 0, 1, 2]);
        assert_eq!(line.hear(5), [0, 0, 0, 1, 1]);
        line
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it reads");
    }

    fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        self.0.read_exact(&mut heard).expect("it answers");
        heard
    }

    /// It closes, with nothing more to say.
    fn ends(mut self, why: &str) {
        let mut rest = Vec::new();
        // It may close with bytes of ours unread: the system tells us so by a reset.
        let end = self.0.read_to_end(&mut rest);
        let closed = end.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true);
        assert!(closed && rest.is_empty(), "{why}: {rest:?}");
    }
}

fn handshake(id: [u8; 20]) -> Vec<u8> {
    [b"\x13BitTorrent protocol".as_slice(), &[0, 0, 0, 0, 0, 0x10, 0, 5], &id, b"-XX0001-abcdefghijkl"]
        .concat()
}

fn request(index: u32, begin: u32, count: u32) -> Vec<u8> {
    let numbers = [index, begin, count].map(u32::to_be_bytes);
    [&[0, 0, 0, 13, 6], numbers.as_flattened()].concat()
}

#[test]
fn it_keeps_every_row_of_its_table() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("f");
    // Ten chunks and a bit.
    let content = files::noise(4, 10 * CHUNK + 77);
    fs::write(&file, &content).expect("a file");
    let (at, heard) = tracker(&[NOT_SOON]);
    let tiny = Tiny::start(&file, &"ab".repeat(20), at);
    heard.join().expect("a registration");

    for (bad, why) in [
        (handshake([0xcd; 20]), "another id"),
        (handshake([0xab; 20]).iter().map(|byte| byte ^ 1).collect(), "another protocol"),
        ([&[18], &handshake([0xab; 20])[1..]].concat(), "another length"),
    ] {
        let mut line = Line::to(&tiny);
        line.say(&bad);
        line.ends(why);
    }

    let answered = |line: &mut Line, index: usize, begin: usize, count: usize| {
        line.say(&request(index as u32, begin as u32, count as u32));
        let head = line.hear(13);
        let expected = [9 + count as u32, 0x0700_0000].map(u32::to_be_bytes);
        assert_eq!(head[..5], expected.as_flattened()[..5]);
        assert_eq!(head[5..], [index as u32, begin as u32].map(u32::to_be_bytes).as_flattened()[..]);
        let from = index * CHUNK + begin;
        assert!(line.hear(count) == content[from..from + count], "{index} {begin} {count}");
    };

    // Choked: keep-alives, requests and whatever else are passed over, in any pieces.
    let mut line = Line::greeted(&tiny);
    line.say(&[0, 0, 0, 0]);
    line.say(&request(0, 0, 5));
    line.say(&[0, 0, 0, 3, 20, 0, b'd']);
    line.say(&[[0, 1, 0, 0, 4].as_slice(), &[6; 0xffff]].concat());
    for byte in [0, 0, 0, 1, 2] {
        line.say(&[byte]);
    }
    assert_eq!(line.hear(5), [0, 0, 0, 1, 1], "the first thing it says");
    // Open: whole chunks, parts, the short last one; not interested and interested again change nothing.
    answered(&mut line, 0, 0, CHUNK);
    answered(&mut line, 3, 17, 1000);
    answered(&mut line, 10, 0, 77);
    line.say(&[0, 0, 0, 1, 3, 0, 0, 0, 1, 2]);
    line.say(&[[0, 0, 0, 13, 8].as_slice(), &[0; 12]].concat());
    answered(&mut line, 10, 76, 1);
    // Several requests at once are answered one after the other.
    line.say(&[request(1, 0, CHUNK as u32), request(2, 0, CHUNK as u32)].concat());
    let both = line.hear(2 * (13 + CHUNK));
    assert!(
        both[13..13 + CHUNK] == content[CHUNK..2 * CHUNK]
            && both[2 * 13 + CHUNK..] == content[2 * CHUNK..3 * CHUNK]
    );
    drop(line);

    for (bad, why) in [
        (request(11, 0, 1), "a chunk that is not there"),
        (request(u32::MAX, 0, 1), "a chunk far away"),
        (request(0, 0, 0), "no bytes"),
        (request(0, 0, 16_385), "too many bytes"),
        (request(0, CHUNK as u32, 1), "behind a chunk"),
        (request(10, 70, 8), "behind the file"),
        (request(0, u32::MAX, 16_384), "numbers that overflow"),
        ([[0, 0, 0, 14, 6].as_slice(), &[0; 13]].concat(), "a request of another length"),
        ([0, 2, 0, 1, 4].to_vec(), "a message that is too long"),
    ] {
        let mut line = Line::opened(&tiny);
        line.say(&bad);
        line.ends(why);
    }

    // One at a time: the next one is served when the one before has gone.
    let first = Line::opened(&tiny);
    let mut second = Line::to(&tiny);
    second.say(&handshake([0xab; 20]));
    drop(first);
    second.hear(68);
    drop(second);
    drop(Line::opened(&tiny));
    tiny.stop();
}
