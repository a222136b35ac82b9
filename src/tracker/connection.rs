//! UDP connection ids (BEP 15) without a table: a keyed hash of who asks and when.
//!
//! An id is good for the IP it was given to, for at least 120 s and less than 180 s. Whoever cannot receive at an
//! address cannot learn the id that belongs to it, so announces cannot be made in somebody else's name.

use crate::base::UnixSeconds;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::IpAddr;

/// Gives out ids and recognises them.
#[derive(Clone)]
pub struct ConnectionIds {
    hasher: SipHasher24,
}

impl ConnectionIds {
    /// The key is the first 16 bytes of SHA-256(secret); instances with one secret accept each other's ids.
    pub fn new(secret: &[u8]) -> Self {
        let digest = Sha256::digest(secret);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self { hasher: SipHasher24::new_with_key(&key) }
    }

    /// The id for `ip` now.
    pub fn issue(&self, ip: IpAddr, unix: UnixSeconds) -> u64 {
        self.id(ip, unix / BUCKET_S)
    }

    /// Whether `id` was given to `ip` a short while ago, or by an instance whose clock is a little ahead.
    #[inline]
    pub fn verify(&self, id: u64, ip: IpAddr, unix: UnixSeconds) -> bool {
        let bucket = unix / BUCKET_S;
        // The likeliest first: most announces follow their connect closely.
        [0, 1, 2, u64::MAX].iter().any(|back| self.id(ip, bucket.wrapping_sub(*back)) == id)
    }

    #[inline]
    fn id(&self, ip: IpAddr, bucket: u64) -> u64 {
        let mut input = [0; 25];
        let used = match ip {
            IpAddr::V4(ip) => {
                input[0] = 4;
                input[1..5].copy_from_slice(&ip.octets());
                5
            }
            IpAddr::V6(ip) => {
                input[0] = 6;
                input[1..17].copy_from_slice(&ip.octets());
                17
            }
        };
        input[used..used + 8].copy_from_slice(&bucket.to_be_bytes());
        let mut hasher = self.hasher;
        hasher.write(&input[..used + 8]);
        hasher.finish()
    }
}

/// How long one bucket of time lasts.
const BUCKET_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lives_two_to_three_minutes_and_belongs_to_one_address() {
        let ids = ConnectionIds::new(b"secret");
        let ip: IpAddr = "192.0.2.7".parse().expect("an address");
        for start in [1_000_000_020, 1_000_000_020 + 59] {
            let id = ids.issue(ip, start);
            assert!(ids.verify(id, ip, start) && ids.verify(id, ip, start + 119));
            assert!(!ids.verify(id, ip, start + 181));
            assert!(ids.verify(id, ip, start - 1), "a clock that is a little behind");
            assert!(!ids.verify(id, "192.0.2.8".parse().expect("an address"), start));
            assert!(!ConnectionIds::new(b"other").verify(id, ip, start));
        }
    }

    #[test]
    fn instances_with_one_secret_agree() {
        let ip: IpAddr = "2001:db8::1".parse().expect("an address");
        let id = ConnectionIds::new(b"shared").issue(ip, 1_700_000_000);
        assert!(ConnectionIds::new(b"shared").verify(id, ip, 1_700_000_050));
        assert_ne!(id, 0);
    }
}
