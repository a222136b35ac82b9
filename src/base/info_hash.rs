//! Info hashes: what names a torrent (BEP 3, BEP 52).
//!
//! A v1 hash is the SHA-1 of the raw info dictionary, a v2 hash its SHA-256. On most wires a v2 hash travels cut to
//! its first 20 bytes, so a swarm is always found by a 20-byte key.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fmt;

/// SHA-1 of the raw info dictionary: 20 bytes. Also the `file_id` of an idtorrent, which names a swarm the same way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct V1Hash(pub [u8; 20]);

/// SHA-256 of the raw info dictionary: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct V2Hash(pub [u8; 32]);

/// The 20 bytes by which a swarm is looked up: a v1 hash, or the first 20 bytes of a v2 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SwarmKey(pub [u8; 20]);

/// Every hash one torrent has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InfoHashes {
    /// A v1-only torrent, or an idtorrent.
    V1(V1Hash),
    /// A v2-only torrent.
    V2(V2Hash),
    /// A hybrid: one info dictionary, both hashes.
    Hybrid(V1Hash, V2Hash),
}

impl V1Hash {
    /// The swarm key of a v1 announce: the hash itself.
    pub fn key(&self) -> SwarmKey {
        SwarmKey(self.0)
    }

    /// Reads 40 hex digits of either case.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        decode(text).map(Self)
    }
}

impl V2Hash {
    /// The swarm key of a v2 announce: the first 20 bytes (BEP 52).
    pub fn key(&self) -> SwarmKey {
        let mut key = [0; 20];
        key.copy_from_slice(&self.0[..20]);
        SwarmKey(key)
    }

    /// Reads 64 hex digits of either case.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        decode(text).map(Self)
    }
}

impl InfoHashes {
    /// The v1 hash, when the torrent has one.
    pub fn v1(&self) -> Option<V1Hash> {
        match *self {
            Self::V1(v1) | Self::Hybrid(v1, _) => Some(v1),
            Self::V2(_) => None,
        }
    }

    /// The v2 hash, when the torrent has one.
    pub fn v2(&self) -> Option<V2Hash> {
        match *self {
            Self::V2(v2) | Self::Hybrid(_, v2) => Some(v2),
            Self::V1(_) => None,
        }
    }

    /// The hash a registry and a person use, in lower-case hex: 64 digits of v2 if there is one, else 40 of v1.
    pub fn best_hex(&self) -> String {
        match self {
            Self::V2(v2) | Self::Hybrid(_, v2) => v2.to_string(),
            Self::V1(v1) => v1.to_string(),
        }
    }

    /// The key under which the entry lives: of the v2 hash if there is one, else the v1 hash.
    pub fn primary_key(&self) -> SwarmKey {
        match self {
            Self::V2(v2) | Self::Hybrid(_, v2) => v2.key(),
            Self::V1(v1) => v1.key(),
        }
    }
}

fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    HEXLOWER_PERMISSIVE.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

macro_rules! show_as_hex {
    ($($name:ident),*) => {$(
        /// Lower-case hex.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}
show_as_hex!(V1Hash, V2Hash, SwarmKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_either_case_and_written_in_lower() {
        let hash = V1Hash::from_hex(b"EFB5FAAC75B001DE8B0472D25A0681503DDE90F0").expect("40 hex digits");
        assert_eq!(hash.to_string(), "efb5faac75b001de8b0472d25a0681503dde90f0");
        assert_eq!(V1Hash::from_hex(b"efb5"), None);
        assert_eq!(V1Hash::from_hex(&[b'g'; 40]), None);
        assert_eq!(V2Hash::from_hex(&[b'a'; 40]), None);
    }

    #[test]
    fn a_v2_key_is_its_first_twenty_bytes() {
        let v2 = V2Hash(std::array::from_fn(|i| i as u8));
        assert_eq!(v2.key().0, std::array::from_fn::<u8, 20, _>(|i| i as u8));
        assert_eq!(InfoHashes::Hybrid(V1Hash([9; 20]), v2).primary_key(), v2.key());
    }
}
