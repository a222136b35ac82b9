//! Binding: every address for both protocols, before anything is served.

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
    /// One for each address.
    pub udp: Vec<UdpSocket>,
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
        for kind in [Type::STREAM, Type::DGRAM] {
            let stream = kind == Type::STREAM;
            let wanted = if stream { listen.tcp } else { listen.udp };
            let Some(wanted) = wanted else { continue };
            // With port 0 the first address chooses and the others follow.
            let chosen = if stream { bound.tcp_port } else { bound.udp_port };
            let address = SocketAddr::new(*ip, chosen.unwrap_or(wanted));
            match bind_one(address, kind) {
                Ok(socket) => bound.add(socket, stream).map_err(|error| (address, error))?,
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
    fn add(&mut self, socket: Socket, stream: bool) -> io::Result<()> {
        let port = socket.local_addr()?.as_socket().map(|address| address.port());
        if stream {
            self.tcp_port = port;
            self.tcp.push(TcpListener::from_std(socket.into()));
        } else {
            self.udp_port = port;
            self.udp.push(UdpSocket::from_std(socket.into()));
        }
        Ok(())
    }
}

fn bind_one(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // One socket for each family: a dual one costs more system time for every IPv4 packet.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
    } else {
        // As much as the system allows; less is no error.
        let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
        socket.bind(&address.into())?;
    }
    Ok(socket)
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Asked for; `net.core.rmem_max` may allow less.
const UDP_RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
