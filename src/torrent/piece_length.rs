//! Choosing a piece length.
//!
//! Small pieces cost hashes in the file, large ones cost time: a hybrid pads every file to a piece, and the zeros are
//! hashed too. 20,000 files of 50 KiB at 4 MiB pieces hash 84 GB for 1 GB of payload.

use super::{Kind, Layout, merkle::BLOCK_BYTES};

/// Bytes in a piece unless told otherwise.
pub const DEFAULT: u32 = 256 * 1024;
/// Largest piece length that is written.
pub const WRITE_MAX: u32 = 64 << 20;
/// Largest piece length that is read.
pub const READ_MAX: u64 = 256 << 20;
/// Largest piece length that [`auto`] chooses.
const AUTO_MAX: u32 = 16 << 20;
/// How many pieces [`auto`] aims at.
const AUTO_PIECES: u64 = 2048;

/// Whether torrents are written with this piece length: a power of two from 16 KiB to 64 MiB.
pub fn writable(bytes: u64) -> Option<u32> {
    let length = u32::try_from(bytes).ok()?;
    (length.is_power_of_two() && (BLOCK_BYTES..=WRITE_MAX).contains(&length)).then_some(length)
}

/// The smallest power of two from 16 KiB to 16 MiB that gives at most 2048 pieces; smaller where padding would more
/// than double what is hashed.
pub fn auto(kind: Kind, lengths: &[u64]) -> u32 {
    let total: u64 = lengths.iter().sum();
    let mut length = BLOCK_BYTES;
    while length < AUTO_MAX && total.div_ceil(u64::from(length)) > AUTO_PIECES {
        length *= 2;
    }
    while length > BLOCK_BYTES && padding_factor(kind, length, lengths) > 2.0 {
        length /= 2;
    }
    length
}

/// Bytes hashed for v1 over bytes of payload; 1 where nothing is padded.
pub fn padding_factor(kind: Kind, piece_length: u32, lengths: &[u64]) -> f64 {
    let total: u64 = lengths.iter().sum();
    if kind != Kind::Hybrid || total == 0 {
        return 1.0;
    }
    let layout = Layout::plan(kind, u64::from(piece_length), lengths.iter().copied());
    layout.stream_bytes() as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_follows_the_table() {
        const MIB: u64 = 1 << 20;
        for (up_to_mib, kib) in [
            (32, 16),
            (64, 32),
            (128, 64),
            (256, 128),
            (512, 256),
            (1024, 512),
            (2048, 1024),
            (4096, 2048),
            (8192, 4096),
            (16384, 8192),
            (32768, 16384),
        ] {
            assert_eq!(auto(Kind::Hybrid, &[up_to_mib * MIB]), kib * 1024);
            assert_eq!(auto(Kind::V1, &[up_to_mib * MIB + 1]), (kib * 2048).min(AUTO_MAX));
        }
        assert_eq!(auto(Kind::Hybrid, &[]), 16384);
    }

    #[test]
    fn auto_keeps_padding_under_the_payload() {
        let many = vec![51_200; 20_000];
        assert_eq!(auto(Kind::V1, &many), 512 * 1024);
        let chosen = auto(Kind::Hybrid, &many);
        assert_eq!(chosen, 64 * 1024);
        assert!(padding_factor(Kind::Hybrid, chosen, &many) <= 2.0);
    }

    #[test]
    fn only_powers_of_two_in_range_are_written() {
        for good in [16384, 262_144, 64 << 20] {
            assert_eq!(writable(good), Some(good as u32));
        }
        for bad in [0, 1, 8192, 24576, 30000, 128 << 20, u64::MAX] {
            assert_eq!(writable(bad), None);
        }
    }
}
