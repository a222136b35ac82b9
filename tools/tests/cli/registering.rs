//! Registering, searching and taking down against a listener that answers what the test wants.

use crate::support::{Place, Ran};
use data_encoding::BASE64;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// Answers requests and hands the last one over: head and body.
pub struct Registry {
    pub url: String,
    thread: JoinHandle<(String, Vec<u8>)>,
}

impl Registry {
    pub fn answering(status: &str, headers: &str, body: &str) -> Self {
        Self::with(vec![answer(status, headers, body)])
    }

    /// One answer for each request, in order.
    pub fn answering_each(answers: &[(&str, &str)]) -> Self {
        Self::with(answers.iter().map(|(status, body)| answer(status, "", body)).collect())
    }

    fn with(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut last = (String::new(), Vec::new());
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                last = read(&mut stream);
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
            last
        });
        Self { url, thread }
    }

    pub fn request(self) -> (String, Vec<u8>) {
        self.thread.join().expect("one request")
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}")
}

fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= at + 4 + length.unwrap_or(0) {
                return (String::from_utf8_lossy(&bytes[..at]).into_owned(), bytes[at + 4..].to_vec());
            }
        }
        let read = stream.read(&mut chunk).expect("more of the request");
        assert!(read > 0, "the request ended early");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

fn create(place: &Place, registry: &Registry, more: &str) -> Ran {
    place.file("f.bin", 1);
    place.wl(&format!("create --tracker {} {more} f.bin", registry.url))
}

#[test]
fn a_torrent_is_registered_with_all_it_says_and_without_the_passkey() {
    let registry = Registry::answering("201 Created", "", "{\"status\":\"created\"}\n");
    let place = Place::new().env("TRACKER_SECRET", "super-secret-key").env("WL_API_KEY", "k3y");
    let ran = create(&place, &registry, "--user-id user_clerk_123 --description d --tags a,b --name Label");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("Registered with {}/api/registry", registry.url)));
    assert!(ran.stderr.contains("Warning: the torrent and the magnet link contain your passkey"));
    let passkey = "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221";
    let announce = format!("{}/announce", registry.url);
    let torrent = std::fs::read(place.path().join("Label.torrent")).unwrap();
    assert!(
        torrent.starts_with(format!("d8:announce{}:{announce}/{passkey}", announce.len() + 80).as_bytes())
    );
    assert!(ran.stdout.contains(passkey));
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("super-secret-key"));
    let (head, body) = registry.request();
    assert!(head.starts_with("POST /api/registry HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("x-weightless-key: k3y"), "{head}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["info_hash"], "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7");
    assert_eq!(body["v1_info_hash"], "efb5faac75b001de8b0472d25a0681503dde90f0");
    assert_eq!((&body["name"], &body["size"], &body["tags"]), (&"Label".into(), &1.into(), &"a,b".into()));
    let uploaded = BASE64.decode(body["torrent_data"].as_str().unwrap().as_bytes()).unwrap();
    assert!(uploaded.starts_with(format!("d8:announce{}:{announce}13:", announce.len()).as_bytes()));
    assert!(!uploaded.windows(14).any(|window| window == b"user_clerk_123"));
}

#[test]
fn every_answer_of_a_registry_leaves_the_file_and_its_exit_code() {
    let still = "Torrent file is still valid.";
    for (status, body, text, required) in [
        ("401 Unauthorized", "{\"error\":\"Unauthorized\"}", "registry refused the API key (401)", 6),
        (
            "403 Forbidden",
            "{\"error\":\"info_hash is blocked\"}",
            "registry refused this torrent (403: info_hash is blocked)",
            6,
        ),
        (
            "422 Unprocessable",
            "{\"error\":\"a\\u001b[2Jb\"}",
            "registry refused this torrent (422: a\\x1b[2Jb)",
            6,
        ),
        ("429 Too Many Requests", "slow down", "registry refused this torrent (429: slow down)", 6),
        ("503 Busy", "", "registry offline (503)", 5),
    ] {
        for (flag, code) in [("", 0), ("--require-register", required)] {
            let registry = Registry::answering(status, "", body);
            let place = Place::new();
            let ran = create(&place, &registry, flag);
            assert_eq!(ran.code, code, "{status} {flag}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("Warning: {text}. {still}")), "{}", ran.stderr);
            assert!(place.path().join("f.bin.torrent").exists());
            assert!(ran.stdout.starts_with("Torrent: f.bin.torrent\nHash:    e331e866"));
            registry.request();
        }
    }
}

/// The registry reads less deep than `wl` writes; it says so itself.
#[test]
fn the_deepest_tree_is_offered_and_refused_in_words() {
    let registry = Registry::answering("400 Bad", "", "{\"error\":\"torrent_data is not a valid torrent\"}");
    let place = Place::new();
    place.file(&format!("t/{}f", "d/".repeat(94)), 5);
    let ran = place.wl(&format!("create --tracker {} t", registry.url));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("(400: torrent_data is not a valid torrent)"), "{}", ran.stderr);
    registry.request();
}

#[test]
fn without_a_registry_the_file_is_made_all_the_same() {
    let place = Place::new();
    place.file("f.bin", 1);
    let ran = place.wl("create f.bin --tracker http://127.0.0.1:1");
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout.lines().count(), 4);
    assert!(ran.stderr.contains("Warning: registry offline ("), "{}", ran.stderr);
    assert_eq!(place.wl("create f.bin --tracker http://127.0.0.1:1 --require-register").code, 5);
    let quiet = place.wl("create -q f.bin --tracker http://127.0.0.1:1");
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    let made = place.json("create f.bin --tracker http://127.0.0.1:1");
    assert_eq!(made["registered"], false);
    assert!(made["registry_error"].as_str().unwrap().starts_with("registry offline"));
}

#[test]
fn a_search_is_a_table_or_an_object() {
    let rows = r#"[{"info_hash":"e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7","name":"data\u001b","verified":true,"completions":3,"size":1536,"category":"x","seeders":2,"leechers":1}]"#;
    let registry = Registry::answering("200 OK", "X-Total-Count: 7\r\n", rows);
    let ran = Place::new().run(&["search", "--tracker", &registry.url, "--sort", "seeders", "a b&c"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("e331e866830976d2  data\\x1b"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1.5 KB") && ran.stdout.contains("2/1"));
    let (head, _) = registry.request();
    assert!(
        head.starts_with("GET /api/registry/search?q=a%20b%26c&sort=seeders&limit=50&offset=0 "),
        "{head}"
    );
    let registry = Registry::answering("200 OK", "X-Total-Count: 7\r\n", rows);
    let found = Place::new().json(&format!("search --tracker {}", registry.url));
    assert_eq!((&found["total"], &found["results"][0]["completions"]), (&7.into(), &3.into()));
    let registry = Registry::answering("200 OK", "X-Total-Count: 0\r\n", "[]");
    let none = Place::new().wl(&format!("search --tracker {}", registry.url));
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert_eq!(Place::new().wl("search --tracker http://127.0.0.1:1").code, 5);
    assert_eq!(Place::new().wl("search --limit 101").code, 2);
}

#[test]
fn a_table_keeps_its_columns_whatever_the_script() {
    let names = ["plain", "日本語のデータ", "cafe\u{301}", &"長".repeat(60)];
    let row = |name: &&str| {
        format!(r#"{{"info_hash":"{}","name":"{name}","category":"音楽","size":5}}"#, "a".repeat(64))
    };
    let rows = format!("[{}]", names.iter().map(row).collect::<Vec<_>>().join(","));
    let registry = Registry::answering("200 OK", "X-Total-Count: 9\r\n", &rows);
    let ran = Place::new().wl(&format!("search --tracker {} --offset 2", registry.url));
    let column = |line: &str| line.find(" 5 B ").map(|at| unicode_width::UnicodeWidthStr::width(&line[..at]));
    let columns: Vec<_> = ran.stdout.lines().skip(1).map(column).collect();
    assert_eq!(columns.len(), 4);
    assert!(columns[0].is_some() && columns.iter().all(|at| *at == columns[0]), "{}", ran.stdout);
    // Who sees a part is told how to see the rest, but not on stdout.
    assert_eq!(ran.stderr, "entries 3-6 of 9; --offset 6 shows more\n");
}

#[test]
fn a_takedown_is_sent_and_a_refusal_reported() {
    let hash = "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7";
    let registry = Registry::answering("200 OK", "", "{\"status\":\"deleted\"}");
    let line = format!("takedown --yes --reason abc --api-key k3y --tracker {} {hash}", registry.url);
    let ran = Place::new().wl(&line);
    assert_eq!((ran.code, ran.stdout), (0, format!("Removed and blocked: {hash}\n")));
    let (head, _) = registry.request();
    assert!(head.starts_with(&format!("DELETE /api/registry?info_hash={hash}&reason=abc ")), "{head}");
    let registry = Registry::answering("403 Forbidden", "", "{\"error\":\"Forbidden: set REGISTRY_KEY\"}");
    let ran = Place::new().wl(&format!("takedown --yes --tracker {} {hash}", registry.url));
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("403: Forbidden: set REGISTRY_KEY"), "{}", ran.stderr);
    assert_eq!(Place::new().wl("takedown --yes nothex").code, 2);
}

#[test]
fn a_hash_is_looked_up_and_the_answer_checked() {
    let place = Place::new();
    place.file("f.bin", 5);
    place.wl("create --no-register f.bin");
    let torrent = std::fs::read(place.path().join("f.bin.torrent")).unwrap();
    // The listener speaks text; a torrent of five bytes is almost all text, so hand it out by hand.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read(&mut stream);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", torrent.len());
            stream.write_all(&[head.as_bytes(), &torrent].concat()).unwrap();
        }
    });
    let hash = place.json("show f.bin.torrent")["info_hash"].as_str().unwrap().to_string();
    assert_eq!(place.json(&format!("show --tracker {url} {hash}"))["size"], 5);
    assert_eq!(place.json(&format!("show --tracker {url} {}", &hash[..40]))["size"], 5);
    assert_eq!(place.json(&format!("show --tracker {url} magnet:?xt=urn:btmh:1220{hash}"))["size"], 5);
    assert_eq!(place.json(&format!("show {url}/x.torrent"))["size"], 5);
    assert_eq!(place.wl(&format!("show --tracker {url} {}", "0".repeat(64))).code, 7);
}
