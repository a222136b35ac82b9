//! The handshake (BEP 3): 68 bytes that name the protocol, what both sides can do, the swarm and the peer.
//!
//! Whoever accepts reads the first 48 bytes before anything is answered: they say which swarm is meant, and a peer of a
//! swarm we do not serve gets nothing. The peer id may come later.

use weightless::base::{PeerId, Rng, SwarmKey};

/// Bytes of a handshake.
pub const HANDSHAKE_BYTES: usize = 68;

/// What opens every connection: 19, the protocol's name, 8 reserved bytes, the swarm's key, the peer's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What the sender can do, one bit each.
    pub reserved: [u8; 8],
    /// The swarm: a v1 hash, the first 20 bytes of a v2 hash, or the id of a small file.
    pub swarm: SwarmKey,
    /// How the sender names itself.
    pub peer_id: PeerId,
}

/// Whether a side says that it can speak BEP 52 on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// No v2 bit: a v1-only torrent, a small file, or a connection by the truncated v2 hash.
    V1,
    /// The v2 bit: opening with, or answering on, the v1 hash of a hybrid.
    V2,
}

/// The bytes are not the beginning of a BitTorrent handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBitTorrent;

impl Handshake {
    /// What we send: BEP 10 and BEP 6 always, BEP 52 where it is offered.
    pub fn ours(swarm: SwarmKey, peer_id: PeerId, offers: Offers) -> Self {
        let mut reserved = [0; 8];
        reserved[5] = EXTENSIONS;
        reserved[7] = match offers {
            Offers::V1 => FAST,
            Offers::V2 => FAST | V2,
        };
        Self { reserved, swarm, peer_id }
    }

    /// Appends the 68 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(PROTOCOL);
        out.extend_from_slice(&self.reserved);
        out.extend_from_slice(&self.swarm.0);
        out.extend_from_slice(&self.peer_id.0);
    }

    /// Reads 68 bytes; `None` if they are not BitTorrent's. Unknown reserved bits are kept and mean nothing.
    pub fn parse(bytes: &[u8; HANDSHAKE_BYTES]) -> Option<Self> {
        let (reserved, swarm) = parse_front(bytes).ok()??;
        let peer_id = PeerId(*bytes.last_chunk()?);
        Some(Self { reserved, swarm, peer_id })
    }

    /// Whether the sender speaks BEP 10.
    pub fn has_extensions(&self) -> bool {
        self.reserved[5] & EXTENSIONS != 0
    }

    /// Whether the sender speaks BEP 6.
    pub fn has_fast(&self) -> bool {
        self.reserved[7] & FAST != 0
    }

    /// Whether the sender can speak BEP 52 here.
    pub fn has_v2(&self) -> bool {
        self.reserved[7] & V2 != 0
    }
}

/// The reserved bytes and the swarm, which the first 48 bytes tell. `Ok(None)`: so far it could be a handshake, and more
/// is needed. An error comes as soon as one byte cannot be BitTorrent's.
pub fn parse_front(bytes: &[u8]) -> Result<Option<([u8; 8], SwarmKey)>, NotBitTorrent> {
    let (name, rest) = bytes.split_at_checked(PROTOCOL.len()).unwrap_or((bytes, &[]));
    if !PROTOCOL.starts_with(name) {
        return Err(NotBitTorrent);
    }
    let front = rest.split_first_chunk::<8>().zip(rest.get(8..).and_then(|rest| rest.first_chunk::<20>()));
    Ok(front.map(|((reserved, _), swarm)| (*reserved, SwarmKey(*swarm))))
}

/// A peer id of ours: `-WL`, four digits of the version, `-`, twelve random characters of `[a-z0-9]`. New for each run
/// and each swarm.
pub fn new_peer_id(rng: &mut Rng) -> PeerId {
    let mut id = *b"-WL0000-000000000000";
    let version = env!("CARGO_PKG_VERSION").bytes().filter(u8::is_ascii_digit);
    // 0.1.0 is 0100: a digit each for major, minor and patch, and one that is always 0.
    id[3..6].iter_mut().zip(version).for_each(|(slot, digit)| *slot = digit);
    for slot in &mut id[8..] {
        *slot = ALPHABET[rng.below(ALPHABET.len() as u32) as usize];
    }
    PeerId(id)
}

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Byte 5: BEP 10.
const EXTENSIONS: u8 = 0x10;
/// Byte 7: BEP 6.
const FAST: u8 = 0x04;
/// Byte 7: BEP 52.
const V2: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    fn example(offers: Offers) -> (Handshake, [u8; HANDSHAKE_BYTES]) {
        let handshake = Handshake::ours(SwarmKey([7; 20]), PeerId(*b"-WL0100-abcdefghijkl"), offers);
        let mut bytes = Vec::new();
        handshake.write(&mut bytes);
        (handshake, bytes.try_into().expect("68 bytes"))
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let (_, bytes) = example(Offers::V2);
        let mut expected = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x14".to_vec();
        expected.extend_from_slice(&[7; 20]);
        expected.extend_from_slice(b"-WL0100-abcdefghijkl");
        assert_eq!(bytes.as_slice(), expected);
        assert_eq!(example(Offers::V1).1[20..28], *b"\0\0\0\0\0\x10\0\x04");
    }

    #[test]
    fn what_is_written_is_read() {
        for offers in [Offers::V1, Offers::V2] {
            let (handshake, bytes) = example(offers);
            assert_eq!(Handshake::parse(&bytes), Some(handshake));
            assert!(handshake.has_extensions() && handshake.has_fast());
            assert_eq!(handshake.has_v2(), offers == Offers::V2);
        }
    }

    #[test]
    fn every_truncation_needs_more_until_the_swarm_is_known() {
        let (handshake, bytes) = example(Offers::V2);
        for length in 0..=HANDSHAKE_BYTES {
            let known = (length >= 48).then_some((handshake.reserved, handshake.swarm));
            assert_eq!(parse_front(&bytes[..length]), Ok(known), "{length} bytes");
        }
    }

    #[test]
    fn a_wrong_byte_is_found_as_soon_as_it_is_there() {
        for at in 0..20 {
            let (_, mut bytes) = example(Offers::V1);
            bytes[at] ^= 0x20;
            assert_eq!(Handshake::parse(&bytes), None);
            assert_eq!(parse_front(&bytes[..=at]), Err(NotBitTorrent), "byte {at}");
            assert_eq!(parse_front(&bytes[..at]), Ok(None));
        }
        assert_eq!(parse_front(b"GET / HTTP/1.1\r\n"), Err(NotBitTorrent));
    }

    #[test]
    fn unknown_reserved_bits_mean_nothing() {
        let (_, mut bytes) = example(Offers::V1);
        bytes[20..28].copy_from_slice(&[0xff; 8]);
        let theirs = Handshake::parse(&bytes).expect("a handshake");
        assert!(theirs.has_extensions() && theirs.has_fast() && theirs.has_v2());
        bytes[20..28].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0xeb]);
        let theirs = Handshake::parse(&bytes).expect("a handshake");
        assert!(!theirs.has_extensions() && !theirs.has_fast() && !theirs.has_v2());
    }

    #[test]
    fn peer_ids_name_us_and_differ() {
        let mut rng = Rng::new(1);
        let (one, two) = (new_peer_id(&mut rng), new_peer_id(&mut rng));
        assert_ne!(one, two);
        assert_eq!(one.0[..8], *b"-WL0100-");
        assert!(one.0[8..].iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    }
}
