//! The resume file as bytes: which pieces are verified, and what the files looked like then.
//!
//! A file of other content, of another shape, cut short or changed in any bit is no record at all. Integers are
//! big-endian; the offsets are those of section 11 of the specification.

use super::trust::Stamp;
use crate::content::Content;
use sha2::{Digest, Sha256};
use weightless::torrent::Kind;

/// What a resume file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether the run ended in order: nothing was written afterwards.
    pub clean: bool,
    /// Bytes uploaded so far.
    pub uploaded: u64,
    /// What the files looked like.
    pub files: Vec<Stamp>,
    /// The verified pieces, high bit first.
    pub bits: Vec<u8>,
}

const MAGIC: [u8; 8] = *b"WLRESUM1";
const CLEAN: u32 = 1;
const IDTORRENT: u32 = 2;
const V1: u32 = 4;
const V2: u32 = 8;
/// Everything before the files.
const HEAD_BYTES: usize = 92;
const FLAGS_AT: std::ops::Range<usize> = 8..12;
const STAMP_BYTES: usize = 24;
const SUM_BYTES: usize = 32;

impl Record {
    /// The bytes of the record for `content`.
    pub fn write(&self, content: &Content) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes_of(content));
        out.extend_from_slice(&head(content, self.clean, self.uploaded));
        for stamp in &self.files {
            for number in [stamp.size, stamp.seconds, stamp.nanoseconds] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.bits);
        let sum = Sha256::digest(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Reads a record of `content`.
    pub fn read(content: &Content, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != bytes_of(content) {
            return None;
        }
        let (front, sum) = bytes.split_at_checked(bytes.len() - SUM_BYTES)?;
        if Sha256::digest(front).as_slice() != sum {
            return None;
        }
        let flags = u32::from_be_bytes(front.get(FLAGS_AT)?.try_into().ok()?);
        let uploaded = u64::from_be_bytes(front.get(84..HEAD_BYTES)?.try_into().ok()?);
        let clean = flags & CLEAN != 0;
        if front.get(..HEAD_BYTES)? != head(content, clean, uploaded) {
            return None;
        }
        let (stamps, bits) = front.get(HEAD_BYTES..)?.split_at_checked(content.file_count() * STAMP_BYTES)?;
        let files = stamps.chunks_exact(STAMP_BYTES).filter_map(stamp).collect();
        if has_spare_bits(bits, content.piece_count()) {
            return None;
        }
        Some(Self { clean, uploaded, files, bits: bits.to_vec() })
    }
}

/// How long the resume file of `content` is.
pub fn bytes_of(content: &Content) -> usize {
    HEAD_BYTES + content.file_count() * STAMP_BYTES + bits_bytes(content) + SUM_BYTES
}

/// Bytes of one bit for each piece.
pub fn bits_bytes(content: &Content) -> usize {
    content.piece_count().div_ceil(8) as usize
}

fn head(content: &Content, clean: bool, uploaded: u64) -> [u8; HEAD_BYTES] {
    let hashes = content.hashes();
    let mut flags = if clean { CLEAN } else { 0 };
    flags |= match (content.metainfo(), content.kind()) {
        (None, _) => IDTORRENT,
        (Some(_), Kind::V1) => V1,
        (Some(_), Kind::V2) => V2,
        (Some(_), Kind::Hybrid) => V1 | V2,
    };
    let piece_length = u32::try_from(content.layout().piece_length()).unwrap_or(u32::MAX);
    let file_count = u32::try_from(content.file_count()).unwrap_or(u32::MAX);
    let mut out = [0; HEAD_BYTES];
    let mut rest = out.as_mut_slice();
    let mut put = |bytes: &[u8]| {
        if let Some((field, behind)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
            field.copy_from_slice(bytes);
            rest = behind;
        }
    };
    put(&MAGIC);
    put(&flags.to_be_bytes());
    put(&piece_length.to_be_bytes());
    put(&content.piece_count().to_be_bytes());
    put(&file_count.to_be_bytes());
    put(&content.total_bytes().to_be_bytes());
    put(&hashes.v1().map_or([0; 20], |v1| v1.0));
    put(&hashes.v2().map_or([0; 32], |v2| v2.0));
    put(&uploaded.to_be_bytes());
    out
}

fn stamp(bytes: &[u8]) -> Option<Stamp> {
    let number = |at: usize| Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    Some(Stamp { size: number(0)?, seconds: number(8)?, nanoseconds: number(16)? })
}

fn has_spare_bits(bits: &[u8], pieces: u32) -> bool {
    !pieces.is_multiple_of(8) && bits.last().is_some_and(|last| last << (pieces % 8) != 0)
}
