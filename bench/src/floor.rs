//! What the kernel alone costs: servers that answer without thinking. No tracker on this machine can be cheaper.

use crate::args::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Answers each datagram with so many bytes. A connect gets the 16 bytes of a connect, so that the load runs against it
/// as against a tracker. Ends by itself.
pub fn echo(args: &Args) -> Result<(), String> {
    let bytes = args.number("bytes", 80)?.clamp(20, 1400) as usize;
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).map_err(|error| error.to_string())?;
    println!("port {}", socket.local_addr().map_err(|error| error.to_string())?.port());
    let mut request = [0; 2048];
    let mut answer = [0; 2048];
    answer[3] = 1;
    let began = Instant::now();
    while began.elapsed() < LIFE {
        // The clock is read between silences only.
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            answer[4..8].copy_from_slice(&request[12..16]);
            let size = if length == 16 { 16 } else { bytes };
            let _ = socket.send_to(&answer[..size], from);
        }
    }
    Ok(())
}

/// Answers each HTTP request with a fixed announce; closes when asked to. Ends by itself.
pub fn responder(_args: &Args) -> Result<(), String> {
    respond().map_err(|error| error.to_string())
}

fn respond() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().map_err(io::Error::other)?)?;
    println!("port {}", listener.local_addr()?.port());
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    let mut clients: HashMap<usize, TcpStream> = HashMap::new();
    let mut events = Events::with_capacity(1024);
    let mut next = 1;
    let began = Instant::now();
    while began.elapsed() < LIFE {
        poll.poll(&mut events, Some(Duration::from_secs(1)))?;
        for event in &events {
            let at = event.token().0;
            if at == 0 {
                while let Ok((mut stream, _)) = listener.accept() {
                    if serve(&mut stream) {
                        poll.registry().register(&mut stream, Token(next), Interest::READABLE)?;
                        clients.insert(next, stream);
                        next += 1;
                    }
                }
            } else if let Some(stream) = clients.get_mut(&at)
                && !serve(stream)
            {
                clients.remove(&at);
            }
        }
    }
    Ok(())
}

/// False: the connection has ended.
fn serve(stream: &mut TcpStream) -> bool {
    let mut request = [0; 4096];
    loop {
        match stream.read(&mut request) {
            Ok(0) => return false,
            Ok(bytes) => {
                let close = request[..bytes].windows(5).any(|window| window == b"close");
                if stream.write(ANSWER).is_err() || close {
                    return false;
                }
            }
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 140\r\n\r\n\
d8:completei7e10:incompletei3e8:intervali1800e12:min intervali60e5:peers54:\
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaeXXXXXXXXXX";
/// A floor that is forgotten goes away.
const LIFE: Duration = Duration::from_secs(1800);
