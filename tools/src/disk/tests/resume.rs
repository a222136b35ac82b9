//! The resume file, byte by byte.

use super::{made, made_of};
use crate::disk::resume::Record;
use crate::disk::trust::Stamp;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use weightless::torrent::Kind;

fn record() -> Record {
    let files = vec![
        Stamp { size: 20000, seconds: 1_700_000_000, nanoseconds: 999_999_999 },
        Stamp::ABSENT,
        Stamp { size: 5, seconds: -1, nanoseconds: 0 },
    ];
    Record { clean: false, uploaded: 0x0102_0304_0506_0708, files, bits: vec![0b1000_0000] }
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let files = vec![vec![1; 20000], Vec::new(), vec![2; 5]];
    for (kind, flags, pieces) in [(Kind::V1, "04", 2u32), (Kind::V2, "08", 3), (Kind::Hybrid, "0c", 3)] {
        let made = made_of(kind, 16384, &["a", "b", "c"], files.clone(), true);
        let hashes = made.content.hashes();
        let v1 = HEXLOWER.encode(&hashes.v1().map_or([0; 20], |v1| v1.0));
        let v2 = HEXLOWER.encode(&hashes.v2().map_or([0; 32], |v2| v2.0));
        let head = format!(
            "574c524553554d31 000000{flags} 00004000 {pieces:08x} 00000003 0000000000004e25 {v1} {v2} 0102030405060708 \
             0000000000004e20 000000006553f100 000000003b9ac9ff \
             ffffffffffffffff 0000000000000000 0000000000000000 \
             0000000000000005 ffffffffffffffff 0000000000000000 80"
        );
        let mut expected = HEXLOWER.decode(head.replace(' ', "").as_bytes()).expect("hex");
        let sum = Sha256::digest(&expected);
        expected.extend_from_slice(&sum);
        assert_eq!(record().write(&made.content), expected, "{kind:?}");
        assert_eq!(Record::read(&made.content, &expected), Some(record()));
        let clean = Record { clean: true, ..record() };
        let bytes = clean.write(&made.content);
        assert_eq!(bytes[11], expected[11] | 1);
        assert_eq!(Record::read(&made.content, &bytes), Some(clean));
    }
}

#[test]
fn anything_cut_or_changed_is_no_record() {
    let made = made(Kind::Hybrid, 16384, &[("a", 20000), ("b", 0), ("c", 5)]);
    let bytes = record().write(&made.content);
    for end in 0..bytes.len() {
        assert_eq!(Record::read(&made.content, &bytes[..end]), None, "{end} bytes");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Record::read(&made.content, &longer), None);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Record::read(&made.content, &changed), None, "bit {bit}");
    }
}

/// With a right checksum only what the torrent itself says decides: magic, flags, sizes, hashes, spare bits.
#[test]
fn a_record_of_another_torrent_is_no_record_even_with_a_right_checksum() {
    let made = made(Kind::Hybrid, 16384, &[("a", 20000), ("b", 0), ("c", 5)]);
    let bytes = record().write(&made.content);
    let body = bytes.len() - 32;
    let resealed = |at: usize, bit: u8| {
        let mut changed = bytes[..body].to_vec();
        changed[at] ^= 1 << bit;
        let sum = Sha256::digest(&changed);
        changed.extend_from_slice(&sum);
        Record::read(&made.content, &changed)
    };
    for at in 0..84 {
        for bit in 0..8 {
            assert_eq!(resealed(at, bit).is_some(), (at, bit) == (11, 0), "byte {at} bit {bit}");
        }
    }
    assert!(resealed(84, 0).is_some_and(|record| record.uploaded != super::resume::record().uploaded));
    assert!(resealed(body - 1, 5).is_some() && resealed(body - 1, 4).is_none(), "three pieces, no fourth");
}
