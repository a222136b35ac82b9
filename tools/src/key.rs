//! Ed25519 keys in files: PKCS#8 and SubjectPublicKeyInfo in PEM (RFC 8410), as OpenSSL writes and reads them.
//!
//! Everything that held a private key is wiped after use; no message ever shows one.

use crate::Context;
use crate::failure::Failure;
use crate::flags::{Flag, one};
use data_encoding::BASE64;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use weightless::torrent::signature::{PublicKey, SecretKey};
use zeroize::Zeroizing;

/// `--key`.
pub const KEY: Flag = one("key", "FILE", "private key to sign with").env("WL_KEY").default(DEFAULT_FILE);
/// Where `wl keygen` writes, and where a key is looked for.
pub const DEFAULT_FILE: &str = "wl-key.pem";

/// A key file is far smaller; this much of another file is looked at.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// A private key without its 32 last bytes: version 0, Ed25519, an octet string in an octet string.
const PRIVATE_HEAD: &[u8] = &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// A public key without its 32 last bytes.
const PUBLIC_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The key of `--key`, WL_KEY, the current directory or the user's configuration, in that order.
pub fn signing(context: &Context) -> Result<SecretKey, Failure> {
    let given = match context.args.given(KEY.name) {
        Some(path) => Some(PathBuf::from(path)),
        None => context.env.get(KEY.env).map(PathBuf::from),
    };
    let places = || {
        let config = context.env.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(context.env.get("HOME")?).join(".config")));
        [Some(PathBuf::from(DEFAULT_FILE)), config.map(|config| config.join("wl/key.pem"))]
    };
    let path = given.or_else(|| places().into_iter().flatten().find(|path| path.exists()));
    let path = path.ok_or_else(|| Failure::usage("no signing key; run wl keygen"))?;
    match read(context, &path)? {
        Key::Private(key) => Ok(key),
        Key::Public(_) => Err(Failure::input(format!("{}: a public key cannot sign", path.display()))),
    }
}

/// A key as it is named on the command line: 64 hex digits, a key file, or a file holding 64 hex digits.
pub fn public(context: &Context, text: &str) -> Result<PublicKey, Failure> {
    if let Some(key) = PublicKey::from_hex(text.as_bytes()) {
        return key.map_err(|weak| Failure::usage(format!("{text}: {weak}")));
    }
    match read(context, Path::new(text))? {
        Key::Private(key) => Ok(key.public()),
        Key::Public(key) => Ok(key),
    }
}

/// The PEM files of a key: the private one, wiped when dropped, and the public one.
pub fn files(seed: &Zeroizing<[u8; 32]>) -> (Zeroizing<Vec<u8>>, Vec<u8>) {
    let public = SecretKey::from_seed(seed).public();
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(PRIVATE_HEAD);
    der.extend_from_slice(&seed[..]);
    (pem("PRIVATE KEY", &der), pem("PUBLIC KEY", &[PUBLIC_HEAD, &public.bytes()].concat()).to_vec())
}

/// Both kinds of key are shorter than a line of PEM may be.
fn pem(label: &str, der: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(BASE64.encode(der));
    let mut out = Zeroizing::new(Vec::with_capacity(256));
    for part in ["-----BEGIN ", label, "-----\n", text.as_str(), "\n-----END ", label, "-----\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out
}

enum Key {
    Private(SecretKey),
    Public(PublicKey),
}

fn read(context: &Context, path: &Path) -> Result<Key, Failure> {
    let failed = |error| Failure::reading(path, &error);
    let file = File::open(path).map_err(failed)?;
    let open_to_others = is_open_to_others(&file);
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let key = parse(&bytes).map_err(|why| Failure::input(format!("{}: {why}", path.display())))?;
    if matches!(key, Key::Private(_)) && open_to_others {
        let place = path.display();
        context.voice.warn(&format!("{place}: private key can be read by others; chmod 600 {place}"));
    }
    Ok(key)
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> bool {
    false
}

/// The first key in a file; text around it does not matter.
fn parse(bytes: &[u8]) -> Result<Key, &'static str> {
    const NOT_OURS: &str = "not an Ed25519 key";
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_OURS)?;
    if let Some(key) = PublicKey::from_hex(text.trim().as_bytes()) {
        return key.map(Key::Public).map_err(|weak| weak.text());
    }
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(NOT_OURS)?;
    let (label, rest) = rest.split_once("-----").ok_or(NOT_OURS)?;
    let (body, _) = rest.split_once("-----END ").ok_or(NOT_OURS)?;
    let mut clean = Zeroizing::new(Vec::with_capacity(body.len()));
    clean.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
    let der = BASE64.decode(&clean).map(Zeroizing::new);
    match (label, der) {
        ("ENCRYPTED PRIVATE KEY", _) => Err("key file is encrypted; decrypt it first"),
        ("PRIVATE KEY", Ok(der)) => private(&der).map(Key::Private).ok_or(NOT_OURS),
        ("PUBLIC KEY", Ok(der)) => {
            let key = der.strip_prefix(PUBLIC_HEAD).and_then(|key| key.try_into().ok()).ok_or(NOT_OURS)?;
            PublicKey::new(&key).map(Key::Public).map_err(|weak| weak.text())
        }
        _ => Err(NOT_OURS),
    }
}

/// PKCS#8: version 0, or version 1 with a public key that must be the private key's (RFC 5958).
fn private(der: &[u8]) -> Option<SecretKey> {
    let (whole, rest) = element(der, 0x30)?;
    let (version, inside) = element(whole, 2)?;
    let (algorithm, inside) = element(inside, 0x30)?;
    let (oid, parameters) = element(algorithm, 6)?;
    let (outer, mut inside) = element(inside, 4)?;
    let (seed, behind) = element(outer, 4)?;
    let shape = rest.is_empty() && parameters.is_empty() && behind.is_empty();
    if !shape || oid != ED25519 || !matches!(version, [0 | 1]) {
        return None;
    }
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().ok()?);
    let key = SecretKey::from_seed(&seed);
    if let Some((_, behind)) = element(inside, 0xa0) {
        inside = behind;
    }
    match (version, element(inside, 0x81)) {
        (_, None) if inside.is_empty() => Some(key),
        ([1], Some((public, []))) => (public.strip_prefix(&[0])? == key.public().bytes()).then_some(key),
        _ => None,
    }
}

/// One element of DER with this tag: its content and what follows it. No part of a key needs a longer length.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, content) = match der {
        [found, 0x81, length, content @ ..] if *found == tag && *length >= 0x80 => (*length, content),
        [found, length @ ..=0x7f, content @ ..] if *found == tag => (*length, content),
        _ => return None,
    };
    content.split_at_checked(usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n";
    const HEX: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

    fn outcome(text: &str) -> Result<String, &'static str> {
        parse(text.as_bytes()).map(|key| match key {
            Key::Private(key) => format!("private {}", key.public()),
            Key::Public(key) => format!("public {key}"),
        })
    }

    #[test]
    fn the_specified_files_are_written_and_read() {
        let seed = Zeroizing::new(std::array::from_fn(|i| i as u8));
        let (private, public) = files(&seed);
        assert_eq!((&private[..], &public[..]), (PRIVATE.as_bytes(), PUBLIC.as_bytes()));
        assert_eq!(outcome(PRIVATE), Ok(format!("private {HEX}")));
        assert_eq!(outcome(PUBLIC), Ok(format!("public {HEX}")));
        let noisy = format!("Bag Attributes\r\n{}more\r\n", PRIVATE.replace('\n', "\r\n"));
        assert_eq!(outcome(&noisy), Ok(format!("private {HEX}")));
        assert_eq!(outcome(&format!("{}\n", HEX.to_uppercase())), Ok(format!("public {HEX}")));
    }

    #[test]
    fn the_longer_form_must_agree_with_itself() {
        let with = |version: u8, public: &[u8]| {
            let mut der = vec![0x30, 0x51, 2, 1, version, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
            der.extend(0..32u8);
            der.extend([0x81, 0x21, 0]);
            der.extend(public);
            private(&der).map(|key| key.public().to_string())
        };
        let public = SecretKey::from_seed(&std::array::from_fn(|i| i as u8)).public().bytes();
        assert_eq!(with(1, &public), Some(HEX.to_string()));
        assert_eq!(with(0, &public), None);
        assert_eq!(with(2, &public), None);
        assert_eq!(with(1, &[7; 32]), None);
        assert_eq!(with(1, &public[1..]), None);
    }

    #[test]
    fn other_keys_are_named_as_what_they_are() {
        let not_ours = Err("not an Ed25519 key");
        let encrypted = PRIVATE.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(outcome(&encrypted), Err("key file is encrypted; decrypt it first"));
        // X25519 differs in one byte of the algorithm.
        assert_eq!(outcome(&PRIVATE.replace("K2Vw", "K2Vu")), not_ours);
        assert_eq!(outcome(&PUBLIC.replace("K2Vw", "K2Vu")), not_ours);
        for text in ["", "hello", "-----BEGIN PRIVATE KEY-----", &PRIVATE.replace("MC4C", "MC5C"), &HEX[1..]]
        {
            assert_eq!(outcome(text), not_ours, "{text}");
        }
        assert_eq!(outcome(&PRIVATE.replace("PRIVATE", "EC PRIVATE")), not_ours);
        assert_eq!(outcome(&format!("01{}", "0".repeat(62))), Err("weak key"));
        let der = BASE64.decode(PRIVATE.lines().nth(1).unwrap().as_bytes()).unwrap();
        for end in 0..der.len() {
            assert!(private(&der[..end]).is_none(), "{end}");
        }
    }
}
