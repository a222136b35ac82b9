//! A web server that answers by path for as long as the test runs: tracker, registry and web seed in one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is answered: the beginning of a path, a status line, a body.
pub type Answers = Vec<(String, String, Vec<u8>)>;

/// The server. Its thread ends with the test.
pub struct Web {
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Answers each path that begins so; 404 to any other.
    pub fn answering(answers: &[(&str, &str, &[u8])]) -> Self {
        let own = |(path, status, body): &(&str, &str, &[u8])| {
            ((*path).to_owned(), (*status).to_owned(), body.to_vec())
        };
        let answers: Answers = answers.iter().map(own).collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(stream, &answers, &log);
            }
        });
        Self { url, seen }
    }

    /// The first lines of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn answer(mut stream: TcpStream, answers: &Answers, log: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.extend(byte),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let first = head.lines().next().unwrap_or_default().to_owned();
    log.lock().expect("no panic").push(first.clone());
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    let path = first.split(' ').nth(1).unwrap_or_default();
    let found = answers.iter().find(|(front, ..)| path.starts_with(front.as_str()));
    let (status, body) = found.map_or(("404 Not Found", &[][..]), |(_, status, body)| (status, body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
