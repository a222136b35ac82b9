//! The least of the peer wire (idtorrent section 5): one handshake, and messages of a length, an id and a body.

use crate::support::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub const CHOKE: u8 = 0;
pub const UNCHOKE: u8 = 1;
pub const INTERESTED: u8 = 2;
pub const HAVE: u8 = 4;
pub const BITFIELD: u8 = 5;
pub const REQUEST: u8 = 6;
pub const PIECE: u8 = 7;

/// One connection. Nobody here offers anything beyond BEP 3.
pub struct Line {
    stream: TcpStream,
    /// The reserved bytes of the other side.
    pub reserved: [u8; 8],
}

impl Line {
    pub fn dial(to: SocketAddr, id: &[u8; 20]) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        Self::greet(stream, id)
    }

    pub fn greet(mut stream: TcpStream, id: &[u8; 20]) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let hello = [b"\x13BitTorrent protocol".as_slice(), &[0; 8], id, b"-XX0001-"].concat();
        let name = format!("{:012}", stream.local_addr()?.port());
        stream.write_all(&[&hello, name.as_bytes()].concat())?;
        let mut heard = [0; 68];
        stream.read_exact(&mut heard)?;
        assert_eq!((&heard[..20], &heard[28..48]), (b"\x13BitTorrent protocol".as_slice(), id.as_slice()));
        Ok(Self { stream, reserved: heard[20..28].try_into().expect("8 bytes") })
    }

    pub fn say(&mut self, id: u8, body: &[u8]) -> io::Result<()> {
        let length = (1 + body.len() as u32).to_be_bytes();
        self.stream.write_all(&[&length, [id].as_slice(), body].concat())
    }

    /// The next message that is not a keep-alive.
    pub fn hear(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            if length > 0 {
                let mut message = vec![0; length];
                self.stream.read_exact(&mut message)?;
                return Ok((message[0], message.split_off(1)));
            }
        }
    }
}

/// The numbers a message begins with.
pub fn numbers(body: &[u8]) -> Vec<usize> {
    body.chunks_exact(4).map(|four| u32::from_be_bytes(four.try_into().expect("4 bytes")) as usize).collect()
}

/// Numbers as they go into a message.
pub fn written(numbers: &[usize]) -> Vec<u8> {
    numbers.iter().flat_map(|number| (*number as u32).to_be_bytes()).collect()
}

/// A bitfield with every chunk set.
pub fn all_of(chunks: usize) -> Vec<u8> {
    let mut bits = vec![0; chunks.div_ceil(8)];
    (0..chunks).for_each(|chunk| bits[chunk / 8] |= 0x80 >> (chunk % 8));
    bits
}
