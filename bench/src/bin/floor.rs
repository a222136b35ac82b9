//! Servers that do nothing: what the kernel alone costs.
//!
//! `floor udp [--bytes 80]` answers every datagram: 16 bytes to a connect, so many to anything longer.
//! `floor http [--close] [--bytes 120]` answers every request head with the same body.
//! Both print their port and end after `--seconds` (600).
//! `floor free-port` prints a port that nobody has, neither for UDP nor for TCP, for servers that must be told one.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;
use weightless_bench::flags::Flags;
use weightless_bench::sys::{Epoll, Trigger, accept};

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    if let Err(text) = run(&mode, args) {
        eprintln!("floor: {text}");
        std::process::exit(2);
    }
}

fn run(mode: &str, args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut flags = Flags::parse(args, &["close"])?;
    let seconds = flags.with_default("seconds", 600)?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        std::process::exit(0);
    });
    match mode {
        "udp" => {
            let bytes = flags.with_default("bytes", 80)?;
            flags.finish()?;
            echo(bytes).map_err(|error| error.to_string())
        }
        "http" => {
            let close = flags.switch("close");
            let bytes = flags.with_default("bytes", 120)?;
            flags.finish()?;
            respond(if close { After::Close } else { After::Keep }, bytes).map_err(|error| error.to_string())
        }
        "free-port" => free_port().map(|port| println!("{port}")).map_err(|error| error.to_string()),
        _ => Err("the mode is udp, http or free-port".into()),
    }
}

/// Blocking recvfrom and sendto, one datagram at a time.
fn echo(bytes: usize) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("{}", socket.local_addr()?.port());
    let mut request = [0; 2048];
    let mut answer = vec![0; bytes.clamp(20, 1400)];
    loop {
        let (length, from) = socket.recv_from(&mut request)?;
        // Action and transaction come back, so that a tracker's client takes it for an answer.
        answer[..8].copy_from_slice(&request[8..16]);
        answer[8..16].fill(1);
        let answer = if length <= 16 { &answer[..16] } else { &answer[..] };
        socket.send_to(answer, from)?;
    }
}

/// What becomes of a connection after its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

/// Epoll, one read and one write a request. A new connection is read at once: its request is mostly there.
fn respond(after: After, bytes: usize) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let field = if after == After::Close { "Connection: close\r\n" } else { "" };
    let bytes = bytes.clamp(2, 65_536);
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n{field}\r\nd").into_bytes();
    answer.resize(answer.len() + bytes - 2, b'0');
    answer.push(b'e');
    let mut epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), LISTENER, Trigger::Readable)?;
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut ready = Vec::new();
    loop {
        ready.extend(epoll.wait(-1)?);
        for token in ready.drain(..) {
            if token != LISTENER {
                if streams.get_mut(&token).is_some_and(|stream| serve(stream, &answer, after) == Next::Drop) {
                    streams.remove(&token);
                }
                continue;
            }
            while let Ok(mut stream) = accept(&listener) {
                if serve(&mut stream, &answer, after) == Next::Await {
                    let token = stream.as_raw_fd() as u64;
                    epoll.add(stream.as_raw_fd(), token, Trigger::Readable)?;
                    streams.insert(token, stream);
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Await,
    Drop,
}

fn serve(stream: &mut TcpStream, answer: &[u8], after: After) -> Next {
    let mut request = [0; 4096];
    match stream.read(&mut request) {
        Ok(0) => Next::Drop,
        Ok(_) => match stream.write(answer) {
            Ok(_) if after == After::Keep => Next::Await,
            _ => Next::Drop,
        },
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Next::Await,
        Err(_) => Next::Drop,
    }
}

fn free_port() -> io::Result<u16> {
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let port = TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
        match UdpSocket::bind(("0.0.0.0", port)) {
            Ok(_) => return Ok(port),
            Err(error) => taken = error,
        }
    }
    Err(taken)
}

const LISTENER: u64 = u64::MAX;
