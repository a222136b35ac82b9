//! A seeder written here: it has every chunk and serves it as the test says.

use super::Made;
use super::line::{BITFIELD, INTERESTED, Line, PIECE, REQUEST, UNCHOKE, all_of, numbers, written};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a chunk is served with, given its number and its bytes; it may wait.
pub type Serve = dyn Fn(usize, &mut Vec<u8>) + Send + Sync;

/// In which order it says what it has, and that it may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    Usual,
    Late,
}

/// It listens as long as the test runs.
pub struct Seeder {
    pub at: SocketAddr,
    asked: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl Seeder {
    /// One that tells the truth.
    pub fn honest(made: &Made) -> Self {
        Self::start(made, |_, _| {})
    }

    /// One that may change what it serves.
    pub fn start(made: &Made, serve: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self::opening(made, Opening::Usual, serve)
    }

    /// One that unchokes whoever comes before it says what it has.
    pub fn late(made: &Made) -> Self {
        Self::opening(made, Opening::Late, |_, _| {})
    }

    fn opening(
        made: &Made,
        opening: Opening,
        serve: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (key, chunks): (_, Vec<_>) =
            (made.key, (0..made.chunks()).map(|chunk| made.bytes(chunk).to_vec()).collect());
        let (chunks, serve): (Arc<Vec<Vec<u8>>>, Arc<Serve>) = (Arc::new(chunks), Arc::new(serve));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (chunks, serve, heard) = (Arc::clone(&chunks), Arc::clone(&serve), Arc::clone(&heard));
                // Whoever goes away ends it.
                std::thread::spawn(move || converse(stream, &key, opening, &chunks, &*serve, &heard));
            }
        });
        Self { at, asked }
    }

    /// The blocks that were asked for since the last look: chunk and begin.
    pub fn take_asked(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

fn converse(
    stream: TcpStream,
    key: &[u8; 20],
    opening: Opening,
    chunks: &[Vec<u8>],
    serve: &Serve,
    asked: &Mutex<Vec<(usize, usize)>>,
) -> io::Result<()> {
    let mut line = Line::greet(stream, key)?;
    if opening == Opening::Late {
        line.say(UNCHOKE, &[])?;
    }
    line.say(BITFIELD, &all_of(chunks.len()))?;
    loop {
        match line.hear()? {
            (INTERESTED, _) if opening == Opening::Usual => line.say(UNCHOKE, &[])?,
            (REQUEST, body) => {
                let [chunk, begin, length] = numbers(&body)[..] else { panic!("{body:?}") };
                assert!(
                    length <= 16_384 && begin + length <= chunks[chunk].len(),
                    "{chunk} {begin} {length}"
                );
                asked.lock().expect("no panic").push((chunk, begin));
                let mut block = chunks[chunk][begin..begin + length].to_vec();
                serve(chunk, &mut block);
                line.say(PIECE, &[written(&[chunk, begin]), block].concat())?;
            }
            _ => {}
        }
    }
}
