//! Many datagrams in one system call, each from a loopback address of its own.
//!
//! This is the one file with unsafe code: `sendmmsg` with packet info and `recvmmsg` have no safe wrapper among the
//! crates in use, and a generator that makes one call for each datagram is slower than the servers it is to load.
//! Sound because every pointer given to the kernel is made anew for each call from buffers that the `Batch` owns and
//! that are neither moved nor resized during the call.
#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Buffers for up to `BATCH` datagrams, and the socket they pass.
pub struct Batch {
    socket: UdpSocket,
    buffers: Vec<[u8; BUFFER_BYTES]>,
    lengths: Vec<usize>,
    sources: Vec<Ipv4Addr>,
    controls: Vec<Control>,
}

/// Datagrams in one call at most.
pub const BATCH: usize = 128;
/// Bytes of a datagram at most.
pub const BUFFER_BYTES: usize = 2048;

/// Room for one packet info, aligned as the kernel's headers want it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

impl Batch {
    /// A socket for every loopback address.
    pub fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
        Ok(Self {
            socket,
            buffers: vec![[0; BUFFER_BYTES]; BATCH],
            lengths: Vec::with_capacity(BATCH),
            sources: Vec::with_capacity(BATCH),
            controls: vec![Control([0; 64]); BATCH],
        })
    }

    /// How many datagrams wait to be sent.
    pub fn queued(&self) -> usize {
        self.lengths.len()
    }

    /// Queues a datagram: `write` fills the buffer and returns its length. The batch must not be full.
    pub fn queue(&mut self, source: Ipv4Addr, write: impl FnOnce(&mut [u8; BUFFER_BYTES]) -> usize) {
        let at = self.lengths.len();
        let length = write(&mut self.buffers[at]);
        self.lengths.push(length.min(BUFFER_BYTES));
        self.sources.push(source);
    }

    /// Sends all that is queued, which must be loopback's.
    pub fn send(&mut self, to: SocketAddrV4) -> io::Result<()> {
        debug_assert!(to.ip().is_loopback());
        let count = self.lengths.len();
        let mut name = sockaddr(to);
        let mut parts = [EMPTY_PART; BATCH];
        let mut headers = [const { empty_header() }; BATCH];
        for at in 0..count {
            parts[at] =
                libc::iovec { iov_base: self.buffers[at].as_mut_ptr().cast(), iov_len: self.lengths[at] };
            let header = &mut headers[at].msg_hdr;
            header.msg_name = (&raw mut name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = &raw mut parts[at];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = put_source(&mut self.controls[at], self.sources[at]);
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: headers, parts, name, buffers and controls outlive the call, and `count` of them are filled in.
            let result = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), &raw mut headers[sent], (count - sent) as u32, 0)
            };
            if result < 0 {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => continue,
                    // An earlier datagram was refused; it counts as lost.
                    io::ErrorKind::ConnectionRefused => continue,
                    _ => return Err(error),
                }
            }
            sent += result as usize;
        }
        self.lengths.clear();
        self.sources.clear();
        Ok(())
    }

    /// Takes what has arrived, without waiting. Nothing may be queued: the buffers are the same.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        debug_assert!(self.lengths.is_empty());
        let mut parts = [EMPTY_PART; BATCH];
        let mut headers = [const { empty_header() }; BATCH];
        for at in 0..BATCH {
            parts[at] = libc::iovec { iov_base: self.buffers[at].as_mut_ptr().cast(), iov_len: BUFFER_BYTES };
            headers[at].msg_hdr.msg_iov = &raw mut parts[at];
            headers[at].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: headers, parts and buffers outlive the call, and `BATCH` of them are filled in.
        let result = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => {
                    Ok(0)
                }
                _ => Err(error),
            };
        }
        let count = result as usize;
        for (buffer, header) in self.buffers.iter().zip(&headers).take(count) {
            each(&buffer[..(header.msg_len as usize).min(BUFFER_BYTES)]);
        }
        Ok(count)
    }
}

const EMPTY_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

const fn empty_header() -> libc::mmsghdr {
    // SAFETY: all of its fields are integers and pointers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn sockaddr(to: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// Writes an `IP_PKTINFO` that sets the source address; returns the bytes used.
fn put_source(control: &mut Control, source: Ipv4Addr) -> usize {
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let payload = size_of::<libc::in_pktinfo>() as u32;
    // SAFETY: `Control` is aligned for a header and has 64 bytes, more than a header and a packet info take;
    // `CMSG_LEN` and `CMSG_SPACE` only calculate.
    unsafe {
        let header: *mut libc::cmsghdr = control.0.as_mut_ptr().cast();
        (*header).cmsg_len = libc::CMSG_LEN(payload) as usize;
        (*header).cmsg_level = libc::IPPROTO_IP;
        (*header).cmsg_type = libc::IP_PKTINFO;
        libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(info);
        libc::CMSG_SPACE(payload) as usize
    }
}
