//! UDP: receiving, and answering from the address that was asked.
//!
//! A machine has several addresses, and a client that asked one of them drops an answer from another. A socket bound to
//! one address answers from it by itself. So beside each wildcard socket stands one socket for each address the machine
//! has when the daemon starts; the kernel gives a datagram to the socket that names its destination. The wildcard
//! socket is left with what nobody named (addresses that came later, the rest of 127.0.0.0/8) and asks the kernel for
//! the destination of each datagram, which costs about half a microsecond more.

use mio::event::Source;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

/// One UDP socket.
#[derive(Debug)]
pub struct Door {
    socket: UdpSocket,
    /// Room for what the kernel says about a datagram; `None` when the socket is bound to one address.
    notes: Option<Vec<u8>>,
}

/// The address of ours that a datagram was sent to, where the socket does not know it anyway.
pub type Asked = Option<IpAddr>;

impl Door {
    /// A socket that is bound to one address, or to none in particular.
    pub fn new(socket: UdpSocket, address: IpAddr) -> io::Result<Self> {
        if !address.is_unspecified() {
            return Ok(Self { socket, notes: None });
        }
        match address {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        let notes = Some(nix::cmsg_space!(nix::libc::in6_pktinfo));
        Ok(Self { socket, notes })
    }

    /// The next datagram: its length, who sent it, and which of our addresses it was sent to.
    #[inline]
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Asked)> {
        let Some(notes) = &mut self.notes else {
            return self.socket.recv_from(buffer).map(|(bytes, from)| (bytes, from, None));
        };
        let mut place = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut place, Some(notes), MsgFlags::empty())?;
        let asked = message.cmsgs()?.find_map(|note| match note {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => None,
        });
        let from = message.address.and_then(|address| socket_address(&address));
        let from = from.ok_or(io::ErrorKind::InvalidData)?;
        Ok((message.bytes, from, asked))
    }

    /// Sends an answer from the address that was asked.
    #[inline]
    pub fn send(&self, reply: &[u8], to: SocketAddr, asked: Asked) -> io::Result<()> {
        let Some(asked) = asked else {
            return self.socket.send_to(reply, to).map(drop);
        };
        let (fd, bytes, to) = (self.socket.as_raw_fd(), [IoSlice::new(reply)], SockaddrStorage::from(to));
        match asked {
            IpAddr::V4(ip) => {
                let address = nix::libc::in_addr { s_addr: u32::from(ip).to_be() };
                let info = nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
                let notes = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(fd, &bytes, &notes, MsgFlags::empty(), Some(&to))?;
            }
            IpAddr::V6(ip) => {
                let address = nix::libc::in6_addr { s6_addr: ip.octets() };
                let info = nix::libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
                let notes = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(fd, &bytes, &notes, MsgFlags::empty(), Some(&to))?;
            }
        }
        Ok(())
    }

    /// Has the socket polled.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token, Interest::READABLE)
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}

/// The addresses of this machine that a socket of its own is worth it: of either family, without those that need an
/// interface to mean anything.
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| socket_address(&interface.address?))
        .map(|address| address.ip())
        .filter(|ip| match ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A wildcard socket alone, as it serves addresses that came later: a connected client takes answers only from the
    /// address it asked.
    #[test]
    fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
        for (wildcard, asked, own) in
            [("0.0.0.0:0", "127.0.0.5", "127.0.0.6:0"), ("[::]:0", "::1", "[::1]:0")]
        {
            let socket = std::net::UdpSocket::bind(wildcard).expect("a wildcard");
            socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
            let port = socket.local_addr().expect("bound").port();
            let address: SocketAddr = wildcard.parse().expect("an address");
            let asked: IpAddr = asked.parse().expect("an address");
            let mut door = Door::new(UdpSocket::from_std(socket), address.ip()).expect("packet info");
            let client = std::net::UdpSocket::bind(own).expect("a port");
            client.connect((asked, port)).expect("an address of this machine");
            client.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
            client.send(b"question").expect("sent");
            let mut bytes = [0; 64];
            let (length, from, told) = door.receive(&mut bytes).expect("a datagram");
            assert_eq!((&bytes[..length], told), (&b"question"[..], Some(asked)));
            assert_eq!(from, client.local_addr().expect("bound"));
            door.send(b"answer", from, told).expect("sent");
            assert_eq!(
                client.recv(&mut bytes).map(|length| bytes[..length].to_vec()).expect("an answer"),
                b"answer"
            );
        }
    }
}
