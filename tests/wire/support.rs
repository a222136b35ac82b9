//! Golden files, and requests made by chance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use weightless::base::{PeerId, Rng, SwarmKey, V2Hash};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};

/// The bytes of one case.
pub fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All cases of one kind.
pub fn all_golden(extension: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of golden files")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .filter(|name| name.ends_with(extension))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names.into_iter().map(|name| (name.clone(), golden(&name))).collect()
}

/// A key in hex.
pub fn key(hex: &str) -> SwarmKey {
    weightless::base::V1Hash::from_hex(hex.as_bytes()).expect("40 hex digits").key()
}

pub fn bytes<const N: usize>(rng: &mut Rng) -> [u8; N] {
    std::array::from_fn(|_| rng.u64() as u8)
}

/// Mostly small, sometimes at the edge, never more than a counter is kept to.
fn counter(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => 0,
        1 => i64::MAX as u64,
        2 => rng.u64() >> 1,
        _ => u64::from(rng.below(1 << 20)),
    }
}

pub fn event(rng: &mut Rng) -> Event {
    [Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused][rng.below(5) as usize]
}

/// Any announce that UDP can carry.
pub fn request(rng: &mut Rng) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: AnnouncedHash::Short(SwarmKey(bytes(rng))),
        peer_id: PeerId(bytes(rng)),
        port: rng.below(65_535) as u16 + 1,
        uploaded: counter(rng),
        downloaded: counter(rng),
        left: (rng.below(4) > 0).then(|| counter(rng)),
        event: event(rng),
        peers_wanted: (rng.below(4) > 0).then(|| rng.below(u32::MAX - 1) + 1),
    }
}

/// A hash of either length.
pub fn hash(rng: &mut Rng) -> AnnouncedHash {
    match rng.below(2) {
        0 => AnnouncedHash::Short(SwarmKey(bytes(rng))),
        _ => AnnouncedHash::Full(V2Hash(bytes(rng))),
    }
}

/// A unicast address of either family.
pub fn address(rng: &mut Rng) -> IpAddr {
    match rng.below(2) {
        0 => IpAddr::V4(Ipv4Addr::new(rng.below(223) as u8 + 1, rng.u64() as u8, rng.u64() as u8, 1)),
        _ => IpAddr::V6(Ipv6Addr::from(u128::from(rng.u64()) | 0x2001_0db8 << 96)),
    }
}

/// Counts and peers of both families.
pub fn response(rng: &mut Rng) -> AnnounceResponse {
    let peers = |rng: &mut Rng, bytes_each| {
        let peers = rng.below(60) * bytes_each;
        (0..peers).map(|_| rng.u64() as u8).collect()
    };
    AnnounceResponse {
        complete: rng.u64() as u32,
        incomplete: rng.below(1000),
        peers4: peers(rng, 6),
        peers6: peers(rng, 18),
    }
}
