//! The floor: servers that answer without thinking. What a tracker costs above them is its own doing.
//!
//! ```text
//! echo udp BYTES              blocking recvfrom and sendto, answers of BYTES
//! echo http keep              epoll, one fixed answer to whatever is read
//! echo http close             the same, then the connection is closed
//! ```
//!
//! Listens on a free loopback port and prints it.

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use weightless_bench::args::Args;

fn main() -> Result<(), String> {
    let args = Args::read(&[])?;
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["udp", bytes] => udp(bytes.parse().map_err(|_| "BYTES must be a number")?),
        ["http", "keep"] => http(Then::Keep),
        ["http", "close"] => http(Then::Close),
        _ => return Err("usage: echo udp BYTES | echo http keep|close".into()),
    }
    .map_err(|error| error.to_string())
}

fn ready(port: u16) {
    println!("live on {port}");
    let _ = io::stdout().flush();
}

/// An answer begins with the action and the transaction of its request, so that a generator takes it for a tracker's.
fn udp(answer_bytes: usize) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    ready(socket.local_addr()?.port());
    let mut request = [0; 2048];
    let mut answer = vec![0; answer_bytes.clamp(16, 2048)];
    loop {
        let Ok((bytes, from)) = socket.recv_from(&mut request) else { continue };
        if bytes >= 16 {
            answer[..8].copy_from_slice(&request[8..16]);
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn http(then: Then) -> io::Result<()> {
    let family = AddressFamily::INET;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&listener, true)?;
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, 4096)?;
    let port = SocketAddrV4::try_from(rustix::net::getsockname(&listener)?)?.port();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let level = epoll::EventFlags::IN;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(u64::MAX), level)?;
    let mut connections: Vec<Option<OwnedFd>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    ready(port);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let at = event.data.u64() as usize;
            if event.data.u64() != u64::MAX {
                if connections
                    .get(at)
                    .and_then(Option::as_ref)
                    .is_some_and(|fd| answer(fd.as_fd(), then) == Then::Close)
                {
                    connections[at] = None;
                }
                continue;
            }
            while let Ok(fd) = rustix::net::accept_with(&listener, flags) {
                // Its request has mostly come with it.
                if answer(fd.as_fd(), then) == Then::Close {
                    continue;
                }
                let at = fd.as_raw_fd() as usize;
                if connections.len() <= at {
                    connections.resize_with(at + 1, || None);
                }
                epoll::add(&poll, &fd, epoll::EventData::new_u64(at as u64), level)?;
                connections[at] = Some(fd);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Keep,
    Close,
}

/// Answers one request, if it is there.
fn answer(fd: BorrowedFd<'_>, then: Then) -> Then {
    let mut request = [0u8; 4096];
    match rustix::io::read(fd, &mut request) {
        Ok(0) => Then::Close,
        Ok(_) => {
            let _ = rustix::io::write(fd, ANSWER);
            then
        }
        Err(error) if error == rustix::io::Errno::AGAIN => Then::Keep,
        Err(_) => Then::Close,
    }
}

/// As long as a tracker's with nine peers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 140\r\n\r\n\
d8:completei7e10:incompletei3e8:intervali1800e12:min intervali900e5:peers54:\
000000000000000000000000000000000000000000000000000000000000000e";
