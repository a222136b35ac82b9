//! URLs of a Weightless tracker: its base, its registry, its announce URL with or without a passkey.

use crate::Context;
use crate::failure::Failure;
use crate::flags::{Flag, SECRET, TRACKER, USER_ID};
use std::io::{BufRead, BufReader, Read};
use weightless::wire::passkey::PasskeyKey;

/// Where a tracker is.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// Its base URL, without a slash at the end.
    pub base: String,
    /// The passkey, when both halves were given.
    passkey: Option<String>,
}

impl Tracker {
    /// Reads `--tracker`, `--user-id` and `--secret`.
    pub fn of(context: &Context) -> Result<Self, Failure> {
        let url = context.args.text(&TRACKER, &context.env)?;
        if !is_http(&url) {
            return Err(Failure::usage("--tracker must be an http(s) URL"));
        }
        Ok(Self { base: base(&url).to_string(), passkey: None })
    }

    /// The tracker behind an announce URL.
    pub fn at(url: &str) -> Self {
        Self { base: base(url).to_string(), passkey: None }
    }

    /// The same with the passkey of `--user-id` and `--secret`.
    pub fn with_passkey(context: &Context) -> Result<Self, Failure> {
        let mut tracker = Self::of(context)?;
        let user = context.args.text(&USER_ID, &context.env)?;
        let secret = secret(context, &SECRET)?;
        tracker.passkey = match (user.is_empty(), secret.is_empty()) {
            (true, true) => None,
            (false, false) => Some(sign(&user, &secret)?),
            _ => {
                context
                    .voice
                    .warn("a passkey needs both --user-id and TRACKER_SECRET; announcing without one");
                None
            }
        };
        Ok(tracker)
    }

    /// Whether the announce URL carries a passkey.
    pub fn has_passkey(&self) -> bool {
        self.passkey.is_some()
    }

    /// The announce URL, with the passkey if there is one.
    pub fn announce(&self) -> String {
        match &self.passkey {
            Some(passkey) => format!("{}/announce/{passkey}", self.base),
            None => self.plain_announce(),
        }
    }

    /// The announce URL that anybody may see.
    pub fn plain_announce(&self) -> String {
        format!("{}/announce", self.base)
    }

    /// The URL that anybody may see instead of an announce URL of this tracker with a passkey; `None` for any other.
    pub fn without_passkey(&self, url: &str) -> Option<String> {
        let public = self.plain_announce();
        url.strip_prefix(&public).is_some_and(|rest| rest.starts_with('/')).then_some(public)
    }

    /// The registry.
    pub fn registry(&self) -> String {
        format!("{}/api/registry", self.base)
    }
}

/// Whether a URL is an absolute http or https URL with a host.
pub fn is_http(url: &str) -> bool {
    has_host(url, &["http://", "https://"])
}

/// Whether a URL is an absolute URL of a tracker with a host.
pub fn is_announce(url: &str) -> bool {
    has_host(url, &["http://", "https://", "udp://"])
}

fn has_host(url: &str, schemes: &[&str]) -> bool {
    let clean = !url.bytes().any(|b| b <= b' ' || b == 0x7f);
    let host = schemes.iter().find_map(|scheme| {
        let front = url.get(..scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then(|| url.get(scheme.len()..)).flatten()
    });
    clean && host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']))
}

/// Cuts off everything from the first `/announce` on, and slashes at the end.
fn base(url: &str) -> &str {
    url.split("/announce").next().unwrap_or(url).trim_end_matches('/')
}

/// An announce URL that may be shown: what stands behind `/announce/` is somebody's passkey.
pub fn without_passkey(url: &str) -> String {
    match url.split_once("/announce/") {
        Some((base, _)) => format!("{base}/announce/..."),
        None => url.into(),
    }
}

/// The value of a secret flag; `@FILE` stands for the first line of a file.
pub fn secret(context: &Context, flag: &Flag) -> Result<String, Failure> {
    const LINE_BYTES_MAX: u64 = 4096;
    let value = context.args.text(flag, &context.env)?;
    let Some(path) = value.strip_prefix('@') else { return Ok(value) };
    let failed = |error| Failure::reading(path.as_ref(), &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(file.take(LINE_BYTES_MAX)).read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

/// `<user>.<hex HMAC-SHA256(secret, user)>`.
pub fn sign(user: &str, secret: &str) -> Result<String, Failure> {
    let signed = PasskeyKey::new(secret.as_bytes()).sign(user);
    signed.ok_or_else(|| Failure::usage("user ID must be 1-64 of A-Z a-z 0-9 _ - ~ @ : + ="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passkey_is_the_specified_one() {
        assert_eq!(
            sign("user_clerk_123", "super-secret-key").unwrap(),
            "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221"
        );
        assert!(sign("a.b", "s").is_err());
        assert!(sign(&"a".repeat(65), "s").is_err());
    }

    #[test]
    fn the_base_ends_before_announce() {
        for url in ["http://h:1", "http://h:1/", "http://h:1/announce", "http://h:1/announce/key?x=/announce"]
        {
            assert_eq!(base(url), "http://h:1");
        }
        assert!(is_http("http://h") && is_announce("udp://h:1"));
        for bad in ["", "http://", "http:///x", "ftp://h", "udp://h", "http://h h", "h"] {
            assert!(!is_http(bad), "{bad}");
        }
    }
}
