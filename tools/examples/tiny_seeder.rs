//! The smallest seeder: serves one file to one peer at a time, for devices that can do no more.
//!
//! It stands alone: nothing but the standard library, and of that only sockets, a clock and reading from the file at a
//! position. After the start nothing is allocated; all it remembers is in `Seeder`, a few kilobytes. `turn` never
//! waits for a peer, so that a main loop can call it between other work. To bring it to a microcontroller, replace the
//! four things above with those of the board: the rest is copied.
//!
//! It needs no list of hashes: whoever downloads checks them. Three numbers of the `.idtorrent` are enough.
//!
//! ```text
//! rustc -O tools/examples/tiny_seeder.rs
//! ./tiny_seeder FILE FILE_ID CHUNK_SIZE LISTEN_IP:PORT TRACKER_IP:PORT [PASSKEY]
//! ```

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::mem::size_of;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a peer begins with, behind the byte 19.
const PROTOCOL: &[u8; 19] = b"BitTorrent protocol";
const HANDSHAKE_BYTES: usize = 68;
/// The longest request and the longest message anybody may send.
const BLOCK_BYTES_MAX: u32 = 16_384;
const MESSAGE_BYTES_MAX: u32 = 131_072;
/// A peer that says nothing for so long is let go.
const SILENCE: Duration = Duration::from_secs(120);
/// How often to register, unless the tracker wants it more often; and how soon again when that failed.
const REGISTER_S_MAX: u32 = 300;
const RETRY_S: u32 = 30;
const TRACKER_PATIENCE: Duration = Duration::from_secs(5);
/// One buffer for what is sent; any size does.
const OUT_BYTES: usize = 2048;

const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;

const _: () = assert!(size_of::<Seeder>() <= 64 * 1024, "all it remembers");

/// Everything there is.
pub struct Seeder {
    file: File,
    file_size: u32,
    file_id: [u8; 20],
    chunk_size: u32,
    listener: TcpListener,
    port: u16,
    tracker: SocketAddr,
    /// `/` and the passkey, if the tracker wants one.
    passkey: [u8; 160],
    passkey_bytes: usize,
    register_at: Instant,
    peer: Option<Peer>,
}

/// The peer that is being served.
struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// The handshake, or a message up to what is of interest.
    input: [u8; HANDSHAKE_BYTES],
    read: usize,
    /// What is still to come of a message that is not.
    skip: u32,
    output: [u8; OUT_BYTES],
    sent: usize,
    filled: usize,
    /// What follows the bytes in `output`.
    source: Source,
    heard_at: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Its handshake is awaited.
    Hello,
    /// It has not said that it is interested: no request counts.
    Choked,
    /// Its requests are served.
    Open,
}

#[derive(Clone, Copy)]
enum Source {
    Nothing,
    /// The bitfield from this byte on.
    Map(u32),
    /// So many bytes of the file from this one on.
    File {
        at: u32,
        left: u32,
    },
}

/// Why a peer is let go.
struct Gone;

/// Whether anything was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again at once.
    Some,
    /// There was nothing to do.
    None,
}

impl Seeder {
    /// Everything that allocates: the command line, the file, the listener, the first registration.
    pub fn boot(args: &[String]) -> Result<Self, String> {
        let [path, id, chunk_size, listen, tracker, rest @ ..] = args else {
            return Err("usage: tiny_seeder FILE FILE_ID CHUNK_SIZE LISTEN TRACKER [PASSKEY]".into());
        };
        let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let file = File::open(path).map_err(|error| failed(path, error))?;
        let length = file.metadata().map_err(|error| failed(path, error))?.len();
        let listen: SocketAddr = listen.parse().map_err(|_| "LISTEN is an address and a port")?;
        let listener = TcpListener::bind(listen).map_err(|error| failed("listen", error))?;
        listener.set_nonblocking(true).map_err(|error| failed("listen", error))?;
        let port = listener.local_addr().map_err(|error| failed("listen", error))?.port();
        let key = rest.first().map_or("", String::as_str);
        let mut passkey = [0; 160];
        let fits = passkey.get_mut(1..=key.len()).ok_or("PASSKEY is too long")?;
        fits.copy_from_slice(key.as_bytes());
        passkey[0] = b'/';
        let mut seeder = Self {
            file,
            file_size: u32::try_from(length).map_err(|_| "FILE is too large")?,
            file_id: hex20(id).ok_or("FILE_ID is 40 hex digits")?,
            chunk_size: chunk_size.parse().ok().filter(|n| *n > 0).ok_or("CHUNK_SIZE is a number")?,
            listener,
            port,
            tracker: tracker.parse().map_err(|_| "TRACKER is an address and a port")?,
            passkey,
            passkey_bytes: if key.is_empty() { 0 } else { key.len() + 1 },
            register_at: Instant::now(),
            peer: None,
        };
        seeder.register();
        Ok(seeder)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// One turn of the main loop: does what can be done at once.
    pub fn turn(&mut self) -> Progress {
        if Instant::now() >= self.register_at {
            self.register();
        }
        let Some(mut peer) = self.peer.take() else { return self.accept() };
        match self.serve(&mut peer) {
            Ok(progress) => {
                self.peer = Some(peer);
                progress
            }
            // The stream is closed as it is dropped.
            Err(Gone) => Progress::Some,
        }
    }

    fn accept(&mut self) -> Progress {
        let Ok((stream, _)) = self.listener.accept() else { return Progress::None };
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return Progress::None;
        }
        self.peer = Some(Peer {
            stream,
            stage: Stage::Hello,
            input: [0; HANDSHAKE_BYTES],
            read: 0,
            skip: 0,
            output: [0; OUT_BYTES],
            sent: 0,
            filled: 0,
            source: Source::Nothing,
            heard_at: Instant::now(),
        });
        Progress::Some
    }

    fn serve(&mut self, peer: &mut Peer) -> Result<Progress, Gone> {
        // One answer at a time: while one is being sent, nothing more is read.
        if peer.sent < peer.filled || self.refill(peer)? {
            return peer.send();
        }
        match peer.receive() {
            Ok(0) => Err(Gone),
            Ok(bytes) => {
                peer.heard_at = Instant::now();
                if peer.skip > 0 {
                    peer.skip -= bytes as u32;
                } else {
                    peer.read += bytes;
                    self.understand(peer)?;
                }
                Ok(Progress::Some)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Progress::Some),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Gone),
            Err(_) if peer.heard_at.elapsed() > SILENCE => Err(Gone),
            Err(_) => Ok(Progress::None),
        }
    }

    /// What the bytes mean that have come, as soon as there are enough of them.
    fn understand(&self, peer: &mut Peer) -> Result<(), Gone> {
        if peer.read < peer.wanted() {
            return Ok(());
        }
        if peer.stage == Stage::Hello {
            return self.greet(peer);
        }
        let length = number(&peer.input, 0);
        if length > MESSAGE_BYTES_MAX {
            return Err(Gone);
        }
        if length == 0 {
            // A sign of life.
            peer.read = 0;
            return Ok(());
        }
        if peer.read < 5 {
            return Ok(());
        }
        match (peer.stage, peer.input[4]) {
            (Stage::Choked, INTERESTED) => {
                peer.stage = Stage::Open;
                peer.put(&[0, 0, 0, 1, UNCHOKE]);
            }
            (Stage::Open, REQUEST) if length != 13 => return Err(Gone),
            (Stage::Open, REQUEST) if peer.read < 17 => return Ok(()),
            (Stage::Open, REQUEST) => {
                peer.read = 0;
                return self.answer(peer);
            }
            _ => {}
        }
        peer.read = 0;
        peer.skip = length - 1;
        Ok(())
    }

    /// Both handshakes, and the map of what is here: everything.
    fn greet(&self, peer: &mut Peer) -> Result<(), Gone> {
        let [19, rest @ ..] = &peer.input else { return Err(Gone) };
        if rest[..19] != *PROTOCOL || rest[27..47] != self.file_id {
            return Err(Gone);
        }
        peer.put(&[19]);
        peer.put(PROTOCOL);
        peer.put(&[0; 8]);
        peer.put(&self.file_id);
        peer.put(b"-TS0001-");
        let [high, low] = self.port.to_be_bytes();
        peer.put(&[b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8', b'9', high, low]);
        peer.put(&(1 + self.map_bytes()).to_be_bytes());
        peer.put(&[BITFIELD]);
        peer.source = Source::Map(0);
        peer.stage = Stage::Choked;
        peer.read = 0;
        Ok(())
    }

    fn answer(&self, peer: &mut Peer) -> Result<(), Gone> {
        let [index, begin, count] = [5, 9, 13].map(|at| number(&peer.input, at));
        if index >= self.chunks() || !(1..=BLOCK_BYTES_MAX).contains(&count) {
            return Err(Gone);
        }
        let chunk_at = index * self.chunk_size;
        let chunk_bytes = (self.file_size - chunk_at).min(self.chunk_size);
        if begin.checked_add(count).is_none_or(|end| end > chunk_bytes) {
            return Err(Gone);
        }
        peer.put(&(9 + count).to_be_bytes());
        peer.put(&[PIECE]);
        peer.put(&index.to_be_bytes());
        peer.put(&begin.to_be_bytes());
        peer.source = Source::File { at: chunk_at + begin, left: count };
        Ok(())
    }

    /// Puts more of the source into the empty buffer. False: there is no more.
    fn refill(&mut self, peer: &mut Peer) -> Result<bool, Gone> {
        (peer.sent, peer.filled) = (0, 0);
        match peer.source {
            Source::Nothing => return Ok(false),
            Source::Map(at) => {
                let left = self.map_bytes() - at;
                let bytes = left.min(OUT_BYTES as u32);
                for byte in at..at + bytes {
                    let ones = (self.chunks() - byte * 8).min(8);
                    peer.output[(byte - at) as usize] = !(0xffu16 >> ones) as u8;
                }
                peer.filled = bytes as usize;
                peer.source = if bytes < left { Source::Map(at + bytes) } else { Source::Nothing };
            }
            Source::File { at, left } => {
                let bytes = left.min(OUT_BYTES as u32);
                let room = &mut peer.output[..bytes as usize];
                let found =
                    self.file.seek(SeekFrom::Start(at.into())).and_then(|_| self.file.read_exact(room));
                if found.is_err() {
                    return Err(Gone);
                }
                peer.filled = bytes as usize;
                peer.source = match left - bytes {
                    0 => Source::Nothing,
                    left => Source::File { at: at + bytes, left },
                };
            }
        }
        Ok(peer.filled > 0)
    }

    fn chunks(&self) -> u32 {
        self.file_size.div_ceil(self.chunk_size)
    }

    fn map_bytes(&self) -> u32 {
        self.chunks().div_ceil(8)
    }

    /// Tells the tracker that we are here, and notes when to do so again.
    fn register(&mut self) {
        let interval_s = self.post().unwrap_or(RETRY_S).clamp(1, REGISTER_S_MAX);
        self.register_at = Instant::now() + Duration::from_secs(interval_s.into());
    }

    /// `POST /register_peer`; how soon the tracker wants to hear of us again.
    fn post(&self) -> Option<u32> {
        let mut buffer = [0; 1024];
        let mut body = [0; 128];
        let body_bytes = {
            let mut text = Cursor::new(&mut body[..]);
            text.write_all(b"{\"file_id\":\"").ok()?;
            for byte in self.file_id {
                write!(text, "{byte:02x}").ok()?;
            }
            write!(text, "\",\"port\":{},\"state\":\"seeding\"}}", self.port).ok()?;
            text.position() as usize
        };
        let mut request = Cursor::new(&mut buffer[..]);
        request.write_all(b"POST /register_peer").ok()?;
        request.write_all(&self.passkey[..self.passkey_bytes]).ok()?;
        write!(request, " HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", self.tracker).ok()?;
        write!(request, "Content-Length: {body_bytes}\r\nConnection: close\r\n\r\n").ok()?;
        request.write_all(&body[..body_bytes]).ok()?;
        let request_bytes = request.position() as usize;

        let mut stream = TcpStream::connect_timeout(&self.tracker, TRACKER_PATIENCE).ok()?;
        stream.set_read_timeout(Some(TRACKER_PATIENCE)).ok()?;
        stream.set_write_timeout(Some(TRACKER_PATIENCE)).ok()?;
        stream.write_all(&buffer[..request_bytes]).ok()?;
        let mut read = 0;
        while read < buffer.len() {
            match stream.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(_) => return None,
            }
        }
        let reply = &buffer[..read];
        if reply.get(9..12) != Some(b"200") {
            return None;
        }
        const NAME: &[u8] = b"\"interval\":";
        let at = reply.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
        let digits = reply[at..].iter().take_while(|byte| byte.is_ascii_digit()).take(6);
        Some(digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }
}

impl Peer {
    /// How many bytes of input the next step needs.
    fn wanted(&self) -> usize {
        match self.stage {
            Stage::Hello => HANDSHAKE_BYTES,
            _ if self.read < 4 => 4,
            _ if number(&self.input, 0) == 0 => 4,
            _ if self.read < 5 => 5,
            Stage::Open if self.input[4] == REQUEST && number(&self.input, 0) == 13 => 17,
            _ => 5,
        }
    }

    /// Reads what the next step needs and no more; what nobody needs goes where nothing is.
    fn receive(&mut self) -> std::io::Result<usize> {
        if self.skip > 0 {
            let bytes = (self.skip as usize).min(OUT_BYTES);
            return self.stream.read(&mut self.output[..bytes]);
        }
        let wanted = self.wanted();
        self.stream.read(&mut self.input[self.read..wanted])
    }

    /// Adds to an answer. What is put between two reads is at most a handshake and the head of a map.
    fn put(&mut self, bytes: &[u8]) {
        self.output[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn send(&mut self) -> Result<Progress, Gone> {
        match self.stream.write(&self.output[self.sent..self.filled]) {
            Ok(0) => Err(Gone),
            Ok(bytes) => {
                self.sent += bytes;
                self.heard_at = Instant::now();
                Ok(Progress::Some)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Progress::Some),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Gone),
            Err(_) if self.heard_at.elapsed() > SILENCE => Err(Gone),
            Err(_) => Ok(Progress::None),
        }
    }
}

/// A big-endian number.
fn number(bytes: &[u8; HANDSHAKE_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn hex20(text: &str) -> Option<[u8; 20]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 20];
    if digits.len() != 40 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(bytes)
}

/// Starts, and serves until the power goes.
#[allow(dead_code, reason = "a test runs it with a main of its own")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut seeder = match Seeder::boot(&args) {
        Ok(seeder) => seeder,
        Err(why) => {
            eprintln!("tiny_seeder: {why}");
            return ExitCode::from(2);
        }
    };
    println!("serving {} on port {}", args[1], seeder.port());
    loop {
        if seeder.turn() == Progress::None {
            // Here a microcontroller sleeps until the network wakes it.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
