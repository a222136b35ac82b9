//! Binding: every address for both protocols, before anything is served.

use super::udp::{Door, own_addresses};
use mio::net::{TcpListener, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The addresses, for both protocols.
    pub addresses: Vec<IpAddr>,
    /// The HTTP port; `None`: off. 0: any.
    pub tcp: Option<u16>,
    /// The UDP port; `None`: off. 0: any.
    pub udp: Option<u16>,
}

/// Sockets that listen.
#[derive(Debug, Default)]
pub struct Bound {
    /// One for each address.
    pub tcp: Vec<TcpListener>,
    /// One for each address; for a wildcard, one for each address of the machine besides.
    pub udp: Vec<Door>,
    /// The HTTP port, as it really is.
    pub tcp_port: Option<u16>,
    /// The UDP port, as it really is.
    pub udp_port: Option<u16>,
}

/// Binds everything. An IPv6 address that cannot be bound is a warning while an IPv4 one can: many machines have no
/// IPv6.
pub fn bind(listen: &Listen) -> Result<Bound, (SocketAddr, io::Error)> {
    let mut bound = Bound::default();
    let has_v4 = listen.addresses.iter().any(IpAddr::is_ipv4);
    for ip in &listen.addresses {
        // With port 0 the first address chooses and the others follow.
        let tcp = listen.tcp.map(|port| SocketAddr::new(*ip, bound.tcp_port.unwrap_or(port)));
        let udp = listen.udp.map(|port| SocketAddr::new(*ip, bound.udp_port.unwrap_or(port)));
        let results = [
            tcp.map(|address| (address, bound.add_tcp(address))),
            udp.map(|address| (address, bound.add_udp(address, &listen.addresses))),
        ];
        for (address, result) in results.into_iter().flatten() {
            match result {
                Ok(()) => {}
                Err(error) if ip.is_ipv6() && has_v4 => {
                    log::warn!("cannot listen on {address}: {error}; going on without it");
                }
                Err(error) => return Err((address, error)),
            }
        }
    }
    Ok(bound)
}

impl Bound {
    fn add_tcp(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = new_socket(address, Type::STREAM)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        self.tcp_port = port_of(&socket)?;
        self.tcp.push(TcpListener::from_std(socket.into()));
        Ok(())
    }

    /// The wildcard is bound alone first, so that a port somebody else has is an error. Only then are our own sockets
    /// allowed beside it, and afterwards nobody's again.
    fn add_udp(&mut self, address: SocketAddr, named: &[IpAddr]) -> io::Result<()> {
        let first = new_udp(address)?;
        first.bind(&address.into())?;
        self.udp_port = port_of(&first)?;
        let mut sockets = vec![(first, address.ip())];
        if address.ip().is_unspecified() {
            sockets[0].0.set_reuse_address(true)?;
            let port = self.udp_port.unwrap_or(address.port());
            let room = UDP_SOCKETS_MAX.saturating_sub(self.udp.len() + 1);
            let own = own_addresses()
                .into_iter()
                .filter(|ip| ip.is_ipv4() == address.is_ipv4() && !named.contains(ip));
            for ip in own.take(room.min(ADDRESSES_MAX)) {
                // An address that cannot be bound is served by the wildcard.
                if let Ok(socket) = beside(SocketAddr::new(ip, port)) {
                    sockets.push((socket, ip));
                }
            }
        }
        for (socket, ip) in sockets {
            socket.set_reuse_address(false)?;
            self.udp.push(Door::new(UdpSocket::from_std(socket.into()), ip)?);
        }
        Ok(())
    }
}

fn beside(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_udp(address)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn new_udp(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address, Type::DGRAM)?;
    // As much as the system allows; less is no error.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
    Ok(socket)
}

fn new_socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // One socket for each family: a dual one costs more system time for every IPv4 packet.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn port_of(socket: &Socket) -> io::Result<Option<u16>> {
    Ok(socket.local_addr()?.as_socket().map(|address| address.port()))
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Asked for; `net.core.rmem_max` may allow less.
const UDP_RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// UDP sockets in all.
pub(super) const UDP_SOCKETS_MAX: usize = 64;
/// Addresses of one family that get a socket of their own.
const ADDRESSES_MAX: usize = 16;
