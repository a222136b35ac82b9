//! The system calls std does not have: batches of datagrams, each from the source address we choose, epoll, and
//! two ways with sockets that save a call.
//!
//! All the unsafe code of this package. Pointers handed to the kernel are built from live buffers right before each
//! call and die with it; nothing keeps one.
#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Datagrams in one system call.
pub const BATCH: usize = 32;
/// The largest datagram sent or received.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// One socket on all loopback addresses that talks to one server.
pub struct UdpPort {
    socket: UdpSocket,
    server: SocketAddrV4,
    out: Vec<Datagram>,
    out_count: usize,
    into: Vec<Datagram>,
}

#[derive(Clone)]
struct Datagram {
    bytes: [u8; DATAGRAM_BYTES_MAX],
    len: usize,
    source: Ipv4Addr,
}

impl UdpPort {
    /// Binds to a port of the system's choice.
    pub fn open(server: SocketAddrV4) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
        let empty = Datagram { bytes: [0; DATAGRAM_BYTES_MAX], len: 0, source: Ipv4Addr::LOCALHOST };
        let buffers = vec![empty; BATCH];
        Ok(Self { socket: socket.into(), server, out: buffers.clone(), out_count: 0, into: buffers })
    }

    /// Whether `push` must wait for `flush`.
    pub fn is_full(&self) -> bool {
        self.out_count == BATCH
    }

    /// Adds a datagram from `source`: `write` fills the buffer and says how many bytes it used.
    pub fn push(&mut self, source: Ipv4Addr, write: impl FnOnce(&mut [u8; DATAGRAM_BYTES_MAX]) -> usize) {
        let datagram = &mut self.out[self.out_count];
        datagram.source = source;
        datagram.len = write(&mut datagram.bytes).min(DATAGRAM_BYTES_MAX);
        self.out_count += 1;
    }

    /// Sends what was pushed.
    pub fn flush(&mut self) -> io::Result<()> {
        let count = std::mem::take(&mut self.out_count);
        if count == 0 {
            return Ok(());
        }
        let mut server = sockaddr(self.server);
        let mut controls = [PacketInfo::ZERO; BATCH];
        let mut vectors = [EMPTY_VECTOR; BATCH];
        // SAFETY: an all-zero mmsghdr is a valid empty one.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, datagram) in self.out[..count].iter_mut().enumerate() {
            controls[at].info.ipi_spec_dst.s_addr = u32::from_ne_bytes(datagram.source.octets());
            vectors[at] = libc::iovec { iov_base: datagram.bytes.as_mut_ptr().cast(), iov_len: datagram.len };
            let header = &mut messages[at].msg_hdr;
            header.msg_name = (&raw mut server).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = &raw mut vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut controls[at]).cast();
            header.msg_controllen = size_of::<PacketInfo>();
        }
        let mut sent = 0;
        while sent < count {
            let rest = &mut messages[sent..count];
            // SAFETY: `rest` has that many headers, and what they point to outlives the call.
            let result =
                unsafe { libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
            match checked(result) {
                Ok(more) => sent += more as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what is there without waiting; gives each datagram to `each`. Returns how many.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut vectors = [EMPTY_VECTOR; BATCH];
        // SAFETY: an all-zero mmsghdr is a valid empty one.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (at, datagram) in self.into.iter_mut().enumerate() {
            vectors[at] =
                libc::iovec { iov_base: datagram.bytes.as_mut_ptr().cast(), iov_len: DATAGRAM_BYTES_MAX };
            messages[at].msg_hdr.msg_iov = &raw mut vectors[at];
            messages[at].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: BATCH headers, each with a buffer that outlives the call; no timeout.
        let result = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = match checked(result) {
            Ok(count) => count as usize,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Ok(0),
                _ => return Err(error),
            },
        };
        for (message, datagram) in messages.iter().zip(&self.into).take(count) {
            each(&datagram.bytes[..message.msg_len as usize]);
        }
        Ok(count)
    }
}

/// A control message that chooses the source address (`IP_PKTINFO`), as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct PacketInfo {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
    padding: u32,
}

impl PacketInfo {
    const ZERO: Self = {
        // SAFETY: integers only; all zero is valid.
        let mut zero: Self = unsafe { std::mem::zeroed() };
        zero.header.cmsg_len = size_of::<libc::cmsghdr>() + size_of::<libc::in_pktinfo>();
        zero.header.cmsg_level = libc::IPPROTO_IP;
        zero.header.cmsg_type = libc::IP_PKTINFO;
        zero
    };
}

/// Readiness of descriptors, each with a number of the caller's.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// How a descriptor reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// As long as it is readable.
    Readable,
    /// Each time it becomes readable or writable.
    Edge,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers; the descriptor is ours alone.
        let fd = unsafe {
            let fd = checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; 128] })
    }

    /// Adds a descriptor; closing it takes it out again.
    pub fn add(&self, fd: RawFd, token: u64, trigger: Trigger) -> io::Result<()> {
        let events = match trigger {
            Trigger::Readable => libc::EPOLLIN,
            Trigger::Edge => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives through the call.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// Waits at most `timeout_ms` (-1: for ever) and gives the numbers of the ready ones.
    pub fn wait(&mut self, timeout_ms: i32) -> io::Result<impl Iterator<Item = u64> + '_> {
        let room = self.events.len() as i32;
        // SAFETY: the buffer has that much room.
        let result =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, timeout_ms) };
        let count = match checked(result) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        Ok(self.events[..count as usize].iter().map(|event| event.u64))
    }
}

/// A connection that waits at a listener, non-blocking, in one system call where std takes two.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: asks for no address; the descriptor is new and ours alone.
    unsafe {
        let result = libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags);
        Ok(TcpStream::from_raw_fd(checked(result)?))
    }
}

/// Lets `bind` choose the address only and `connect` the port (`IP_BIND_ADDRESS_NO_PORT`).
pub fn bind_without_port(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int, which lives through the call.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as u32,
        )
    })?;
    Ok(())
}

const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

fn sockaddr(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
