//! Signed passkeys: `<user_id>.<64 hex digits>`, an HMAC-SHA256 of the user id under the tracker's secret.
//!
//! Verified in constant time, without a table and without a disk.

use crate::base::UserId;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::borrow::Cow;

/// The key made of TRACKER_SECRET.
#[derive(Clone)]
pub struct PasskeyKey(Hmac<Sha256>);

impl PasskeyKey {
    /// Takes a secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The user a passkey belongs to; `None` when it is bad in any way.
    pub fn verify(&self, passkey: &[u8]) -> Option<UserId> {
        self.judge(passkey).ok()
    }

    /// The same with the reason, which is for the operator's log and never for the client.
    pub fn judge(&self, passkey: &[u8]) -> Result<UserId, BadPasskey> {
        let dot = passkey.iter().position(|byte| *byte == b'.').ok_or(BadPasskey::NoDot)?;
        let (user, signature) = (&passkey[..dot], &passkey[dot + 1..]);
        let id = UserId::new(user).ok_or(BadPasskey::UserId)?;
        let mut bytes = [0; 32];
        if signature.len() != 64 || HEXLOWER.decode_mut(signature, &mut bytes).is_err() {
            return Err(BadPasskey::SignatureForm);
        }
        let mut mac = self.0.clone();
        mac.update(user);
        mac.verify_slice(&bytes).map_err(|_| BadPasskey::Signature)?;
        Ok(id)
    }

    /// The passkey of a user; `None` when that is not a user id.
    pub fn sign(&self, user: &str) -> Option<String> {
        UserId::new(user.as_bytes())?;
        let mut mac = self.0.clone();
        mac.update(user.as_bytes());
        Some(format!("{user}.{}", HEXLOWER.encode(&mac.finalize().into_bytes())))
    }
}

/// Why a passkey is bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPasskey {
    /// No dot in it.
    NoDot,
    /// What stands before the dot is no user id.
    UserId,
    /// What stands behind the dot is not 64 lower-case hex digits.
    SignatureForm,
    /// Not signed with this key.
    Signature,
}

impl BadPasskey {
    /// For the operator.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoDot => "no dot in it",
            Self::UserId => "no user id before the dot",
            Self::SignatureForm => "no 64 lower-case hex digits behind the dot",
            Self::Signature => "not signed with TRACKER_SECRET",
        }
    }
}

/// An announce URL without the passkey in it; `None` when there is none that is valid under `key`.
pub fn strip_from_url(url: &str, key: &PasskeyKey) -> Option<String> {
    let (start, query) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let bare = start.strip_suffix('/').unwrap_or(start);
    let (front, segment) = bare.rsplit_once('/')?;
    let PathKey::Some(passkey) = passkey_of_path(&bare.as_bytes()[front.len()..], b"") else { return None };
    debug_assert!(segment.len() >= passkey.len());
    key.verify(&passkey)?;
    Some(format!("{front}{query}"))
}

/// An announce URL with a passkey in it: `/announce` at the end of its path becomes `/announce/<passkey>`. `None` when
/// its path ends in anything else. User ids hold no byte that a path would have to escape.
pub fn insert_into_url(url: &str, passkey: &str) -> Option<String> {
    let (start, query) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let bare = start.strip_suffix('/').unwrap_or(start);
    bare.ends_with("/announce").then(|| format!("{bare}/{passkey}{query}"))
}

/// The host of a URL in lower case, without user, port and brackets.
pub fn host_of_url(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    Some(name.to_ascii_lowercase())
}

/// What a path says about a passkey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PathKey<'a> {
    /// Not this route.
    OtherPath,
    /// The route without a passkey.
    None,
    /// The route with one, decoded; still to be verified.
    Some(Cow<'a, [u8]>),
    /// The route with something that cannot be a passkey.
    Bad,
}

/// Reads `prefix`, `prefix/`, `prefix/{passkey}` and `prefix/{passkey}/`. The segment is percent-decoded once; `+`
/// stays `+`.
pub fn passkey_of_path<'a>(path: &'a [u8], prefix: &[u8]) -> PathKey<'a> {
    let Some(rest) = path.strip_prefix(prefix) else { return PathKey::OtherPath };
    let segment = match rest {
        b"" | b"/" => return PathKey::None,
        [b'/', segment @ ..] => segment.strip_suffix(b"/").unwrap_or(segment),
        _ => return PathKey::OtherPath,
    };
    if segment.is_empty() {
        // `//`: a path is never normalised, so this is not the route.
        return PathKey::OtherPath;
    }
    if segment.contains(&b'/') {
        let whole =
            segment.split(|byte| *byte == b'/').all(|part| !part.is_empty() && part != b".." && part != b".");
        return if whole { PathKey::Bad } else { PathKey::OtherPath };
    }
    if !segment.contains(&b'%') {
        return PathKey::Some(Cow::Borrowed(segment));
    }
    let mut decoded = vec![0; segment.len()];
    match super::query::decode_into(segment, || super::query::Plus::Literal, &mut decoded) {
        Ok(length) => {
            decoded.truncate(length);
            PathKey::Some(Cow::Owned(decoded))
        }
        Err(_) => PathKey::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221";

    #[test]
    fn the_vector_of_the_specification() {
        let key = PasskeyKey::new(b"super-secret-key");
        assert_eq!(key.sign("user_clerk_123").as_deref(), Some(GOOD));
        assert_eq!(key.verify(GOOD.as_bytes()), UserId::new(b"user_clerk_123"));
        assert_eq!(PasskeyKey::new(b"other").verify(GOOD.as_bytes()), None);
    }

    #[test]
    fn every_kind_of_bad_passkey_is_refused() {
        let key = PasskeyKey::new(b"super-secret-key");
        let (user, signature) = GOOD.split_once('.').expect("a dot");
        let long = "u".repeat(65);
        for bad in [
            GOOD.replace('5', "6"),
            GOOD.replace('.', ""),
            format!("{user}..{signature}"),
            format!(".{signature}"),
            format!("{user}."),
            String::new(),
            format!("é.{signature}"),
            GOOD.to_uppercase(),
            format!("{user}.{}", signature.to_uppercase()),
            format!("{long}.{signature}"),
        ] {
            assert_eq!(key.verify(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(key.sign(&long), None);
        assert!(key.sign(&"u".repeat(64)).is_some());
    }

    #[test]
    fn a_passkey_is_inserted_where_a_client_announces() {
        for (url, with) in [
            ("http://h:1/announce", Some("http://h:1/announce/u.s")),
            ("udp://h/announce/?a=b", Some("udp://h/announce/u.s?a=b")),
            ("https://h/x/announce", Some("https://h/x/announce/u.s")),
            ("http://h/announce/u.s", None),
            ("http://h/xannounce", None),
            ("udp://h:1", None),
        ] {
            assert_eq!(insert_into_url(url, "u.s").as_deref(), with, "{url}");
        }
    }

    #[test]
    fn the_host_of_a_url_is_found() {
        for (url, host) in [
            ("http://T.example:80/announce", Some("t.example")),
            ("udp://[::1]:1?x", Some("::1")),
            ("http://user@h/", Some("h")),
            ("h", None),
        ] {
            assert_eq!(host_of_url(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn a_passkey_is_stripped_from_a_url_and_nothing_else_is() {
        let key = PasskeyKey::new(b"super-secret-key");
        let strip = |url: &str| strip_from_url(url, &key);
        assert_eq!(strip(&format!("http://h:1/announce/{GOOD}")).as_deref(), Some("http://h:1/announce"));
        assert_eq!(strip(&format!("udp://h/announce/{GOOD}/?a=b")).as_deref(), Some("udp://h/announce?a=b"));
        for url in ["http://h/announce", "http://h/announce/x.y", "h", ""] {
            assert_eq!(strip(url), None, "{url}");
        }
    }

    #[test]
    fn paths_lead_to_the_passkey_or_elsewhere() {
        let read = |path: &'static str| passkey_of_path(path.as_bytes(), b"/announce");
        assert_eq!(read("/announce"), PathKey::None);
        assert_eq!(read("/announce/"), PathKey::None);
        assert_eq!(read("/announce/a.b"), PathKey::Some(b"a.b".into()));
        assert_eq!(read("/announce/a%2Eb+/"), PathKey::Some(b"a.b+".into()));
        assert_eq!(read("/announce/a/b"), PathKey::Bad);
        assert_eq!(read("/announce/%zz"), PathKey::Bad);
        for other in ["/announcer", "/announce//", "//announce", "/announce/../x", "/scrape"] {
            assert_eq!(read(other), PathKey::OtherPath, "{other}");
        }
    }
}
