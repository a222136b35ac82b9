//! A real hub: `docs/example_hub.py` in a process of its own, and before it a front that can lose, delay or replace its
//! answers. What was applied is read from the hub's own database.

use super::{PATIENCE, until};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;
use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The hub gets it, the tracker gets the answer.
    Pass,
    /// The hub gets it and applies it; the answer is lost.
    LoseAnswer,
    /// The hub gets it; the answer waits until `release`.
    HoldAnswer,
    /// Nobody gets it, and there is no answer.
    Swallow,
    /// Nobody gets it; this status is the answer.
    Status(u16),
}

/// The hub and its front. Dropped, both end.
pub struct Hub {
    child: Child,
    database: PathBuf,
    /// Where trackers find it.
    pub url: String,
    front: Arc<Mutex<Front>>,
}

#[derive(Default)]
struct Front {
    /// What happens to the next requests, and then to all others.
    next: VecDeque<Fate>,
    usual: Option<Fate>,
    /// Every request's body, in their order.
    seen: Vec<String>,
    released: bool,
}

impl Hub {
    /// Starts a hub with its database in `home`, which takes this key.
    pub fn start(home: &Path, key: &str) -> Self {
        let python = env::var_os("WL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let database = home.join("hub.db");
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/example_hub.py"))
            .arg("0")
            .arg(&database)
            .env("HUB_KEY", key)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a python, see WL_TEST_PYTHON");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("a line");
        let port: u16 = line.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a port");
        let front = Arc::new(Mutex::new(Front::default()));
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let url = format!("http://{}", door.local_addr().expect("bound"));
        let shared = front.clone();
        thread::spawn(move || {
            // Ends with the test's process.
            for stream in door.incoming().map_while(Result::ok) {
                let (shared, hub) = (shared.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                thread::spawn(move || serve(stream, hub, &shared));
            }
        });
        Self { child, database, url, front }
    }

    /// From now on this happens to every request.
    pub fn usually(&self, fate: Fate) {
        self.front().usual = Some(fate);
    }

    /// This happens to the next requests before that.
    pub fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.front().next.extend(fates);
    }

    /// Lets the answers go that are held.
    pub fn release(&self) {
        self.front().released = true;
    }

    /// Every request's body so far.
    pub fn seen(&self) -> Vec<String> {
        self.front().seen.clone()
    }

    /// The ids of all requests so far.
    pub fn ids(&self) -> Vec<String> {
        let id = |body: &String| {
            let batch: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
            batch["sync_id"].as_str().expect("an id").to_owned()
        };
        self.front().seen.iter().map(id).collect()
    }

    /// Waits until so many requests have come in all.
    pub fn wait_seen(&self, count: usize) {
        until(&format!("{count} requests to the hub"), || (self.front().seen.len() >= count).then_some(()));
    }

    /// What the hub has applied for a user: up, down.
    pub fn total(&self, user: &str) -> (u64, u64) {
        let db = Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let db = db.expect("the hub's database");
        db.busy_timeout(PATIENCE).expect("a time limit");
        db.query_row("SELECT up, down FROM usage WHERE user = ?1", [user], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .optional()
        .expect("readable")
        .unwrap_or_default()
    }

    /// How many ids it has applied.
    pub fn applied(&self) -> u64 {
        let db = Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let db = db.expect("the hub's database");
        db.busy_timeout(PATIENCE).expect("a time limit");
        db.query_row("SELECT count(*) FROM seen", [], |row| row.get::<_, i64>(0))
            .expect("readable")
            .cast_unsigned()
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().expect("nobody panicked with it")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request of a tracker.
fn serve(mut tracker: TcpStream, hub: SocketAddr, shared: &Mutex<Front>) {
    let Some((request, body)) = read_message(&mut tracker) else { return };
    let fate = {
        let mut front = shared.lock().expect("nobody panicked with it");
        front.seen.push(body);
        front.next.pop_front().or(front.usual).unwrap_or(Fate::Pass)
    };
    match fate {
        Fate::Swallow => {
            // Until the tracker gives up or is gone.
            let _ = tracker.read(&mut [0; 1]);
        }
        Fate::Status(status) => {
            let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = tracker.write_all(answer.as_bytes());
        }
        Fate::Pass | Fate::LoseAnswer | Fate::HoldAnswer => {
            let mut upstream = TcpStream::connect(hub).expect("the hub is there");
            upstream.write_all(&request).expect("the hub reads");
            let Some((answer, _)) = read_message(&mut upstream) else { return };
            while fate == Fate::HoldAnswer && !shared.lock().expect("nobody panicked with it").released {
                thread::sleep(Duration::from_millis(5));
            }
            if fate != Fate::LoseAnswer {
                let _ = tracker.write_all(&answer);
            }
        }
    }
}

/// A whole message with a length, and its body.
fn read_message(stream: &mut TcpStream) -> Option<(Vec<u8>, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                return Some((bytes, body));
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}
