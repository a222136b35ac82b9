//! Many peers that want nothing: each costs little, and one more than asked for is turned away.

use crate::support::Scene;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Half of the thousand that the figures are about, because a process may often open no more than 1024 files.
const PEERS: usize = 500;
/// What a seeder takes from one loopback address.
const PER_ADDRESS: usize = 10;

#[test]
fn hundreds_of_idle_peers_stay_under_64_mib() {
    let scene = Scene::new(1, &["--format", "v1"]);
    let hash = scene.shown()["info_hash"].as_str().expect("a hash").to_owned();
    let hash = data_encoding::HEXLOWER.decode(hash.as_bytes()).expect("hex");
    let seeder = scene.seed(&["--max-peers", &PEERS.to_string()]);
    let before = seeder.memory_kib("VmRSS");
    let mut peers: Vec<TcpStream> = Vec::new();
    for number in 0..PEERS {
        peers.push(
            connected(seeder.port(), &hash, number).unwrap_or_else(|| panic!("peer {number} is refused")),
        );
    }
    assert!(connected(seeder.port(), &hash, PEERS).is_none(), "one more than --max-peers");
    let with = seeder.memory_kib("VmRSS");
    assert!(with < 64 << 10, "{with} KiB");
    assert!(with.saturating_sub(before) < 16 * PEERS as u64, "{before} KiB before, {with} KiB with them");
    for (number, peer) in peers.iter_mut().enumerate() {
        assert!(is_open(peer), "peer {number} was let go");
    }
}

/// A peer that says all it has to say at once: its handshake, its extension handshake, and that it has nothing. `None` if
/// it is turned away.
fn connected(port: u16, hash: &[u8], number: usize) -> Option<TcpStream> {
    let address = number / PER_ADDRESS + 1;
    let source = Ipv4Addr::new(127, 1, (address >> 8) as u8, address as u8);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source.into(), 0).into()).expect("all of 127/8 is ours");
    socket.connect(&SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), port).into()).expect("it listens");
    let mut peer = TcpStream::from(socket);
    peer.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket can do that");
    let mut said = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
    said.extend_from_slice(hash);
    said.extend_from_slice(format!("-ID0001-{number:012}").as_bytes());
    said.extend_from_slice(b"\0\0\0\x09\x14\0d1:mdee\0\0\0\x01\x0f");
    peer.write_all(&said).expect("it takes this");
    // The handshake, then have_all: it has taken everything in.
    let mut answer = [0; 68 + 5];
    peer.read_exact(&mut answer).ok()?;
    assert_eq!((&answer[..20], &answer[68..]), (&b"\x13BitTorrent protocol"[..], &[0, 0, 0, 1, 0x0e][..]));
    Some(peer)
}

fn is_open(peer: &mut TcpStream) -> bool {
    peer.set_nonblocking(true).expect("a socket can do that");
    let mut rest = [0; 4096];
    loop {
        match peer.read(&mut rest) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
