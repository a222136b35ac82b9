//! `POST /api/registry`: from the body's bytes to a registration that is ready to be stored (registry-api, section 4).
//!
//! Everything that can be judged without the database is judged here, in the order of the page: the fields, then the
//! torrent against the hashes. What depends on other rows (403, 409) is the store's.

use super::answer::ApiError;
use super::api;
use super::body::Body;
use super::entry::FileKind;
use crate::base::limits::{REGISTER_BODY_BYTES_MAX, REGISTER_FIELDS_BYTES_MAX};
use crate::base::{InfoHashes, V1Hash, V2Hash};
use crate::torrent::signature::Signature;
use crate::torrent::small::{self, Idtorrent};
use crate::torrent::{self, Summary, signatures};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

/// What one request wants stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// 64 or 40 hex digits, lower case: the primary key.
    pub info_hash: String,
    /// 40 hex digits, lower case.
    pub v1_info_hash: Update<String>,
    /// 1-255 bytes.
    pub name: String,
    /// At most 64 KiB.
    pub description: String,
    /// At most 255 bytes.
    pub publisher: String,
    /// At most 255 bytes.
    pub license: String,
    /// Bytes of content; the torrent's when the request names none.
    pub size: u64,
    /// At most 255 bytes.
    pub category: String,
    /// At most 1024 bytes, as given.
    pub tags: String,
    /// The torrent file, free of passkeys, or the idtorrent.
    pub torrent: Update<Upload>,
    /// A publisher's signature. One that came as a field is not judged yet: what it is about may be in the database.
    pub signature: Update<Signature>,
}

/// A file as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// What it is.
    pub kind: FileKind,
    /// The file, byte for byte as it came but for passkeys in its announce URLs.
    pub bytes: Vec<u8>,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
    /// The hashes of the torrent, or the idtorrent's id.
    pub hashes: InfoHashes,
}

/// What happens to a column that an update may leave alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Update<T> {
    /// The request does not speak of it: it stays as it is.
    Keep,
    /// It becomes empty.
    Clear,
    /// It becomes this.
    Set(T),
}

/// Reads and checks a body. `strip` answers an announce URL without its passkey, if it holds one that is valid here;
/// such URLs are replaced in the stored file, so that nobody downloads as its uploader.
pub fn parse_registration(
    bytes: &[u8],
    strip: &dyn Fn(&str) -> Option<String>,
) -> Result<Registration, ApiError> {
    if bytes.len() as u64 > REGISTER_BODY_BYTES_MAX {
        return Err(api::BODY_TOO_LARGE);
    }
    let body = Body::parse(bytes)?;
    let files_bytes = body.bytes_of("torrent_data") + body.bytes_of("idt_data");
    if bytes.len() - files_bytes.min(bytes.len()) > REGISTER_FIELDS_BYTES_MAX {
        return Err(api::BODY_TOO_LARGE);
    }
    let file = |name, error| body.text(name).map(|text| decode(text).ok_or(error)).transpose();
    let torrent = file("torrent_data", api::INVALID_TORRENT_DATA);
    let files =
        torrent.and_then(|torrent| Ok(Files { torrent, idt: file("idt_data", api::NOT_AN_IDTORRENT)? }));
    assemble(&body, files, strip)
}

/// The files of a body, decoded: `None` when it does not speak of one, empty when it is to go.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// `torrent_data`.
    pub torrent: Option<Vec<u8>>,
    /// `idt_data`.
    pub idt: Option<Vec<u8>>,
}

/// The same from a body that is read and files that are decoded. The fields are judged first.
pub(super) fn assemble(
    body: &Body<'_>,
    files: Result<Files, ApiError>,
    strip: &dyn Fn(&str) -> Option<String>,
) -> Result<Registration, ApiError> {
    let mut registration = fields(body)?;
    if body.text("torrent_data").is_some() && body.text("idt_data").is_some() {
        return Err(api::TWO_FILES);
    }
    registration.torrent = match files? {
        Files { torrent: None, idt: None } => Update::Keep,
        Files { torrent: Some(bytes), .. } | Files { idt: Some(bytes), .. } if bytes.is_empty() => {
            Update::Clear
        }
        Files { idt: Some(bytes), .. } => Update::Set(idtorrent(&mut registration, bytes)?),
        Files { torrent: Some(bytes), .. } => {
            let summary = torrent::inspect(&bytes).map_err(|_| api::NOT_A_TORRENT)?;
            compare(&mut registration, &summary)?;
            if registration.signature == Update::Keep {
                registration.signature = first_valid(&summary).map_or(Update::Keep, Update::Set);
            }
            let hashes = summary.hashes;
            Update::Set(without_passkeys(bytes, hashes, strip)?)
        }
    };
    Ok(registration)
}

/// Holds an idtorrent against the id it is registered under. It is kept byte for byte.
fn idtorrent(registration: &mut Registration, bytes: Vec<u8>) -> Result<Upload, ApiError> {
    if matches!(registration.signature, Update::Set(_)) {
        return Err(api::SIGNATURE_NEEDS_TORRENT);
    }
    let found = Idtorrent::read(&bytes, small::READ_BYTES_MAX).map_err(|_| api::NOT_AN_IDTORRENT)?;
    let file_id = found.file_id();
    if file_id.to_string() != registration.info_hash {
        return Err(api::IDT_HASH_MISMATCH);
    }
    if registration.size == 0 {
        registration.size = found.file_size();
    }
    let sha256 = sha256_hex(&bytes);
    Ok(Upload { kind: FileKind::Idtorrent, bytes, sha256, hashes: InfoHashes::V1(file_id) })
}

/// Standard base64. The decoder takes several texts one after the other for one; that is not standard.
fn decode(base64: &str) -> Option<Vec<u8>> {
    let is_one = !base64.trim_end_matches('=').contains('=');
    is_one.then(|| BASE64.decode(base64.as_bytes()).ok()).flatten()
}

fn fields(body: &Body<'_>) -> Result<Registration, ApiError> {
    let text = |name| body.text(name).unwrap_or_default();
    let (info_hash, name) = (text("info_hash").to_ascii_lowercase(), text("name"));
    if info_hash.is_empty() || name.is_empty() {
        return Err(api::MISSING_HASH_OR_NAME);
    }
    if V1Hash::from_hex(info_hash.as_bytes()).is_none() && V2Hash::from_hex(info_hash.as_bytes()).is_none() {
        return Err(api::INVALID_INFO_HASH_LENGTH);
    }
    let v1_info_hash = v1_info_hash(body, &info_hash)?;
    let line = |name, bytes_max, error| match text(name) {
        text if text.len() <= bytes_max && !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(error),
    };
    Ok(Registration {
        name: line("name", WORD_BYTES_MAX, api::INVALID_NAME)?,
        description: description(text("description"))?,
        publisher: line("publisher", WORD_BYTES_MAX, api::INVALID_PUBLISHER)?,
        license: line("license", WORD_BYTES_MAX, api::INVALID_LICENSE)?,
        category: line("category", WORD_BYTES_MAX, api::INVALID_CATEGORY)?,
        tags: line("tags", TAGS_BYTES_MAX, api::INVALID_TAGS)?,
        size: body.size().ok_or(api::INVALID_SIZE)?,
        info_hash,
        v1_info_hash,
        torrent: Update::Keep,
        signature: signature(body)?,
    })
}

fn v1_info_hash(body: &Body<'_>, info_hash: &str) -> Result<Update<String>, ApiError> {
    let Some(text) = body.text("v1_info_hash") else {
        return Ok(Update::Keep);
    };
    if text.is_empty() {
        return Ok(Update::Clear);
    }
    let text = text.to_ascii_lowercase();
    let contradicts = info_hash.len() == text.len() && info_hash != text;
    if V1Hash::from_hex(text.as_bytes()).is_none() || contradicts {
        return Err(api::INVALID_V1_INFO_HASH);
    }
    Ok(Update::Set(text))
}

fn description(text: &str) -> Result<String, ApiError> {
    let forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if text.len() > DESCRIPTION_BYTES_MAX || text.contains(forbidden) {
        return Err(api::INVALID_DESCRIPTION);
    }
    Ok(text.to_owned())
}

/// The form of a signature; whether it is valid is judged where the torrent's hashes are known.
fn signature(body: &Body<'_>) -> Result<Update<Signature>, ApiError> {
    match (body.text("publisher_key"), body.text("signature")) {
        (None, None) => Ok(Update::Keep),
        (Some(""), Some("")) => Ok(Update::Clear),
        (None | Some(""), _) | (_, None | Some("")) => Err(api::KEY_WITHOUT_SIGNATURE),
        (Some(key), _) if !is_hex(key, 64) => Err(api::INVALID_PUBLISHER_KEY),
        (Some(key), Some(signature)) => Signature::from_hex(key.as_bytes(), signature.as_bytes())
            .map(Update::Set)
            .ok_or(api::INVALID_SIGNATURE),
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What fills the fields of a registration that leaves them out: of the valid signatures in the file the one with the
/// lowest key.
fn first_valid(torrent: &Summary<'_>) -> Option<Signature> {
    let found = signatures::judge(torrent.signatures, &torrent.hashes).judged;
    found.into_iter().filter_map(|judged| judged.verdict.ok()).min_by_key(|signature| signature.key)
}

/// Holds the torrent against the hashes it is registered under, and takes from it what the request left out. A
/// torrent says for certain whether there is a v1 hash, so after one was stored no older v1 hash is kept.
fn compare(registration: &mut Registration, torrent: &Summary<'_>) -> Result<(), ApiError> {
    let matches = match (registration.info_hash.len(), torrent.hashes) {
        (40, InfoHashes::Hybrid(..)) => return Err(api::HYBRID_BY_V1_HASH),
        (40, InfoHashes::V1(v1)) => v1.to_string() == registration.info_hash,
        (64, InfoHashes::V2(v2) | InfoHashes::Hybrid(_, v2)) => v2.to_string() == registration.info_hash,
        _ => false,
    };
    if !matches {
        return Err(api::HASH_MISMATCH);
    }
    match (&registration.v1_info_hash, torrent.hashes) {
        (Update::Set(given), hashes) if hashes.v1().map(|v1| v1.to_string()).as_ref() != Some(given) => {
            return Err(api::V1_HASH_MISMATCH);
        }
        (Update::Set(_), _) | (_, InfoHashes::V1(_)) => {}
        (_, InfoHashes::Hybrid(v1, _)) => registration.v1_info_hash = Update::Set(v1.to_string()),
        (_, InfoHashes::V2(_)) => registration.v1_info_hash = Update::Clear,
    }
    if registration.size == 0 {
        registration.size = torrent.total_size;
    }
    Ok(())
}

fn without_passkeys(
    bytes: Vec<u8>,
    hashes: InfoHashes,
    strip: &dyn Fn(&str) -> Option<String>,
) -> Result<Upload, ApiError> {
    let stripped = |url: &[u8]| strip(std::str::from_utf8(url).ok()?).map(String::into_bytes);
    let bytes = torrent::shorten_trackers(bytes, stripped).map_err(|_| api::NOT_A_TORRENT)?;
    let sha256 = sha256_hex(&bytes);
    Ok(Upload { kind: FileKind::Torrent, bytes, sha256, hashes })
}

/// SHA-256 in lower-case hex, as in the column `torrent_sha256`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

const WORD_BYTES_MAX: usize = 255;
const TAGS_BYTES_MAX: usize = 1024;
const DESCRIPTION_BYTES_MAX: usize = 65_536;
