//! A TCP relay that makes the way to somebody long and of a limited width: every byte arrives a fixed time after it
//! was sent, and no faster than the rate. What is on its way waits in a deep buffer, as in a router that drops nothing.
//!
//! Each direction of each connection is a link of its own. The ends see a relay that is near, so their TCP windows grow
//! as on loopback: what is measured is whether a protocol keeps a long way full, not whether the kernel does.
//! Standard library only, because tests of other packages take this file in as it is.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What one direction is like.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// From the moment a byte is sent to its arrival.
    pub delay: Duration,
    /// Bytes a second; `None` for as many as there are.
    pub bytes_per_s: Option<u64>,
    /// Bytes on their way at most; whoever sends more has to wait.
    pub buffer_bytes: usize,
}

/// What a relay has seen.
#[derive(Default)]
pub struct Seen {
    /// The most bytes that were on their way from the target to somebody at the same time.
    pub held_bytes_max: AtomicUsize,
}

/// Takes connections for as long as the listener lives, each on to a connection to `target`.
pub fn run(listener: &TcpListener, target: SocketAddr, link: Link, seen: &Arc<Seen>) -> io::Result<()> {
    loop {
        let (near, _) = listener.accept()?;
        // Whoever is refused there is hung up on here.
        let Ok(far) = TcpStream::connect(target) else { continue };
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        carry(near.try_clone()?, far.try_clone()?, link, None);
        carry(far, near, link, Some(Arc::clone(seen)));
    }
}

/// One direction, by two threads.
fn carry(from: TcpStream, to: TcpStream, link: Link, seen: Option<Arc<Seen>>) {
    let pipe = Arc::new(Pipe { link, state: Mutex::default(), changed: Condvar::new(), seen });
    let other = Arc::clone(&pipe);
    thread::spawn(move || pipe.fill(from));
    thread::spawn(move || other.drain(to));
}

struct Pipe {
    link: Link,
    state: Mutex<State>,
    changed: Condvar,
    seen: Option<Arc<Seen>>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    held_bytes: usize,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more can go.
    broken: bool,
}

impl Pipe {
    fn fill(&self, mut from: TcpStream) {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut free_at = Instant::now();
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            free_at = free_at.max(Instant::now()) + self.takes(count);
            let chunk = buffer.get(..count).unwrap_or_default().to_vec();
            if !self.push(free_at + self.link.delay, chunk) {
                break;
            }
        }
        self.lock().ended = true;
        self.changed.notify_all();
        // Whoever still sends is told that nobody listens.
        let _ = from.shutdown(Shutdown::Read);
    }

    /// How long the link is busy with so many bytes.
    fn takes(&self, count: usize) -> Duration {
        self.link
            .bytes_per_s
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(count as f64 / rate as f64))
    }

    /// Says whether anybody is left to carry it to.
    fn push(&self, arrives: Instant, chunk: Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.held_bytes >= self.link.buffer_bytes && !state.broken {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held_bytes += chunk.len();
        if let Some(seen) = &self.seen {
            seen.held_bytes_max.fetch_max(state.held_bytes, Ordering::Relaxed);
        }
        state.chunks.push_back((arrives, chunk));
        self.changed.notify_all();
        !state.broken
    }

    fn drain(&self, mut to: TcpStream) {
        while let Some((arrives, chunk)) = self.next() {
            thread::sleep(arrives.saturating_duration_since(Instant::now()));
            if to.write_all(&chunk).is_err() {
                break;
            }
            self.lock().held_bytes -= chunk.len();
            self.changed.notify_all();
        }
        self.lock().broken = true;
        self.changed.notify_all();
        let _ = to.shutdown(Shutdown::Write);
    }

    /// The next chunk, once there is one; `None` at the end.
    fn next(&self) -> Option<(Instant, Vec<u8>)> {
        let mut state = self.lock();
        loop {
            if let Some(chunk) = state.chunks.pop_front() {
                return Some(chunk);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
