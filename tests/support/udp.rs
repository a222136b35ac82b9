//! A small UDP tracker client (BEP 15), byte by byte. A lost datagram is sent again.

use super::http::Announced;
use super::{PATIENCE, until};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// A socket with a connection id.
pub struct Client {
    socket: UdpSocket,
    connection_id: [u8; 8],
}

impl Client {
    /// Connects to the tracker at `to`, over its family.
    pub fn connect(to: SocketAddr) -> Self {
        let own: IpAddr =
            if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { IpAddr::from(Ipv6Addr::LOCALHOST) };
        let socket = UdpSocket::bind((own, 0)).expect("a free port");
        socket.connect(to).expect("an address of this machine");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time limit");
        let mut client = Self { socket, connection_id: [0; 8] };
        let reply = client.exchange(&[&0x0417_2710_1980_u64.to_be_bytes()[..], &[0; 4], b"conn"].concat());
        assert_eq!(&reply[..8], b"\0\0\0\0conn");
        client.connection_id.copy_from_slice(&reply[8..16]);
        client
    }

    /// One announce. `event` as in BEP 15: 0 none, 1 completed, 2 started, 3 stopped.
    pub fn announce(
        &self,
        key: &[u8; 20],
        peer_id: &[u8; 20],
        port: u16,
        left: u64,
        event: u32,
    ) -> Announced {
        self.exchange_announce(key, peer_id, port, left, event, (0, 0), "")
    }

    /// A regular announce with counters, and the path and query of the announce URL (BEP 41).
    pub fn report(
        &self,
        key: &[u8; 20],
        peer_id: &[u8; 20],
        (uploaded, downloaded): (u64, u64),
        path: &str,
    ) -> Announced {
        self.exchange_announce(key, peer_id, 6881, 9, 0, (uploaded, downloaded), path)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the packet")]
    fn exchange_announce(
        &self,
        key: &[u8; 20],
        peer_id: &[u8; 20],
        port: u16,
        left: u64,
        event: u32,
        (uploaded, downloaded): (u64, u64),
        path: &str,
    ) -> Announced {
        // In pieces, as a client must that has more than fits into one option.
        let option = |piece: &[u8]| [&[2, piece.len() as u8], piece].concat();
        let options: Vec<u8> = path.as_bytes().chunks(100).flat_map(option).collect();
        let request = [
            &self.connection_id[..],
            &1_u32.to_be_bytes(),
            b"anno",
            key,
            peer_id,
            &downloaded.to_be_bytes(),
            &left.to_be_bytes(),
            &uploaded.to_be_bytes(),
            &event.to_be_bytes(),
            &[0; 4],                 // address: the sender's
            &[0; 4],                 // key
            &(-1_i32).to_be_bytes(), // num_want: default
            &port.to_be_bytes(),
            &options,
        ]
        .concat();
        let reply = self.exchange(&request);
        assert_eq!(&reply[4..8], b"anno");
        match number(&reply, 0) {
            1 => Announced::Peers {
                leechers: number(&reply, 12),
                seeders: number(&reply, 16),
                peers: reply[20..].to_vec(),
            },
            3 => Announced::Refused(String::from_utf8_lossy(&reply[8..]).into_owned()),
            other => panic!("action {other} in answer to an announce"),
        }
    }

    /// Seeders, completed downloads and leechers of one key.
    pub fn scrape(&self, key: &[u8; 20]) -> (u64, u64, u64) {
        let reply = self.exchange(&[&self.connection_id[..], &2_u32.to_be_bytes(), b"scra", key].concat());
        assert_eq!(&reply[..8], b"\0\0\0\x02scra");
        (number(&reply, 8), number(&reply, 12), number(&reply, 16))
    }

    /// The answer to `request`, which has its transaction id at 12.
    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2048];
        until(&format!("an answer over UDP ({PATIENCE:?})"), || {
            self.socket.send(request).expect("the tracker's socket is open");
            let length = self.socket.recv(&mut buffer).ok()?;
            (length >= 8 && buffer[4..8] == request[12..16]).then(|| buffer[..length].to_vec())
        })
    }
}

fn number(reply: &[u8], at: usize) -> u64 {
    u32::from_be_bytes(reply[at..at + 4].try_into().expect("four bytes")).into()
}
