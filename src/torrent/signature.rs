//! Publisher signatures: what is signed, how it is made, when it is valid.
//!
//! A key signs a statement that is never stored or sent: every reader builds it from the info hashes it computed
//! itself. Verification is strict (RFC 8032 without the cofactor, canonical encodings only, no keys of small order), so
//! that all readers agree. A valid signature says that the holder of a key signed this content, and nothing about who
//! that is.

use crate::base::InfoHashes;
use crate::wire::bencode::{Value, Writer};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::fmt;

/// An Ed25519 public key: 32 bytes, canonical, not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// An Ed25519 private key. Wiped from memory when dropped; never printed.
pub struct SecretKey(SigningKey);

/// One publisher's word for one torrent, not yet judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The public key it claims to be by.
    pub key: [u8; 32],
    /// R, then S.
    pub bytes: [u8; 64],
}

/// Why a signature is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// Not the four keys with their types and sizes, R not a point in its one encoding, or S not below the group order.
    Malformed,
    /// Another algorithm or version.
    UnknownVersion,
    /// Not a point in its one encoding, or one of small order: such a key "signs" everything.
    WeakKey,
    /// Another key, another torrent, or made over only one hash of a hybrid.
    Mismatch,
}

const PREFIX: &[u8] = b"weightless:torrent-sig:v1";
const ALGORITHM: &[u8] = b"ed25519";
const VERSION: u8 = 1;

impl PublicKey {
    /// Takes 32 bytes; [`Invalid::WeakKey`] is the only error.
    pub fn new(bytes: &[u8; 32]) -> Result<Self, Invalid> {
        let key = VerifyingKey::from_bytes(bytes).ok();
        let key = key.filter(|key| is_canonical(bytes) && !key.is_weak());
        key.map(Self).ok_or(Invalid::WeakKey)
    }

    /// Reads 64 hex digits of either case; `None` for other text, an error for a weak key.
    pub fn from_hex(text: &[u8]) -> Option<Result<Self, Invalid>> {
        decode(text).map(|bytes| Self::new(&bytes))
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl SecretKey {
    /// The key of an RFC 8032 seed; every 32 bytes are one.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a torrent. The same key and hashes always give the same bytes.
    pub fn sign(&self, hashes: &InfoHashes) -> Signature {
        let key = self.0.verifying_key().to_bytes();
        Signature { key, bytes: self.0.sign(&statement(hashes, &key)).to_bytes() }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

impl Signature {
    /// Reads the registry's form: 64 and 128 hex digits of either case.
    pub fn from_hex(key: &[u8], signature: &[u8]) -> Option<Self> {
        Some(Self { key: decode(key)?, bytes: decode(signature)? })
    }

    /// Reads an object of a torrent's `signatures`. A key too many makes it malformed.
    pub fn read(object: Value<'_>) -> Result<Self, Invalid> {
        let malformed = Invalid::Malformed;
        let [algorithm, key, bytes, version] = object.pick([b"alg", b"pub", b"sig", b"v"]);
        let text = |value: Option<Value<'_>>| value.and_then(|value| value.as_bytes()).map(<[u8]>::to_vec);
        let (algorithm, key, bytes) = (text(algorithm), text(key), text(bytes));
        let version = version.and_then(|version| version.as_int()).ok_or(malformed)?;
        let signature = Self {
            key: key.and_then(|key| key.try_into().ok()).ok_or(malformed)?,
            bytes: bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(malformed)?,
        };
        if object.as_dict().map_or(0, Iterator::count) != 4 {
            return Err(malformed);
        }
        let known = algorithm.ok_or(malformed)? == ALGORITHM && version == i64::from(VERSION);
        if known { Ok(signature) } else { Err(Invalid::UnknownVersion) }
    }

    /// The object of a torrent's `signatures`: 134 bytes of bencode.
    pub fn write(&self, out: &mut Writer) {
        out.dict().bytes(b"alg").bytes(ALGORITHM).bytes(b"pub").bytes(&self.key);
        out.bytes(b"sig").bytes(&self.bytes).bytes(b"v").int(u64::from(VERSION)).end();
    }

    /// Whether the signature is by its key over exactly these hashes: a hybrid needs both.
    pub fn verify(&self, hashes: &InfoHashes) -> Result<(), Invalid> {
        let key = PublicKey::new(&self.key)?;
        let [r, s] = [0, 32].map(|at| self.bytes.get(at..at + 32).and_then(|half| half.try_into().ok()));
        let (Some(r), Some(s)) = (r, s) else { return Err(Invalid::Malformed) };
        let is_point = VerifyingKey::from_bytes(&r).is_ok() && is_canonical(&r);
        if !is_point || !is_below_order(&s) {
            return Err(Invalid::Malformed);
        }
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        key.0.verify_strict(&statement(hashes, &self.key), &signature).map_err(|_| Invalid::Mismatch)
    }

    /// The key in hex.
    pub fn key_hex(&self) -> String {
        HEXLOWER.encode(&self.key)
    }

    /// The signature in hex.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.bytes)
    }
}

impl Invalid {
    /// The reason in words, as users and other programs see it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Malformed => "malformed signature",
            Self::UnknownVersion => "unknown signature version",
            Self::WeakKey => "weak key",
            Self::Mismatch => "signature does not match",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Invalid {}

/// The bytes that are signed: 157 for a hybrid, 116 for v1, 128 for v2.
fn statement(hashes: &InfoHashes, key: &[u8; 32]) -> Vec<u8> {
    let mut out = Writer::new();
    out.dict().bytes(b"alg").bytes(ALGORITHM);
    if let Some(v1) = hashes.v1() {
        out.bytes(b"btih").bytes(&v1.0);
    }
    if let Some(v2) = hashes.v2() {
        out.bytes(b"btmh").bytes(&v2.0);
    }
    out.bytes(b"pub").bytes(key).bytes(b"v").int(u64::from(VERSION)).end();
    [PREFIX, &out.finish()].concat()
}

fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    HEXLOWER_PERMISSIVE.decode(text).ok()?.try_into().ok()
}

/// Whether the y of an encoded point is below the field's prime, 2^255-19: the one encoding it has. (The points that
/// have two signs for x = 0 are of small order, which is refused on its own.)
fn is_canonical(point: &[u8; 32]) -> bool {
    let (low, rest) = point.split_first().expect("32 bytes");
    let (high, middle) = rest.split_last().expect("31 bytes");
    high & 0x7f != 0x7f || middle.iter().any(|&b| b != 0xff) || *low < 0xed
}

/// Whether S is below the order of the group, 2^252 + 27742317777372353535851937790883648493.
fn is_below_order(s: &[u8; 32]) -> bool {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    s.iter().rev().lt(ORDER.iter().rev())
}
