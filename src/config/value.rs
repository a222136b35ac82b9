//! The types of settings, and how each is read from its text. A value is bytes: paths and secrets need not be UTF-8.

use super::table::Unreadable;
use crate::base::Cidr;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes that must not be seen. `Debug` shows only how many there are; compare them in constant time.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps `bytes` out of sight.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Where the database lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DbPath {
    /// A file; its directory must exist.
    File(PathBuf),
    /// `:memory:`: forgotten at the end.
    Memory,
}

/// The shape of usage reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HubFormat {
    /// With the `sync_id` that makes a repeated report harmless.
    Keyed,
    /// The Go tracker's.
    Legacy,
}

/// The shape of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Which web origins may use the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CorsOrigin {
    /// `*`
    Any,
    /// These, in lower case as browsers send them: `https://example.org`.
    List(Vec<String>),
}

/// One value as it was given; never empty.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(pub &'a OsStr);

impl Value<'_> {
    pub fn path(self) -> PathBuf {
        PathBuf::from(self.0)
    }

    /// Digits only: `u64` would also read a plus sign.
    pub fn number<T>(self, range: RangeInclusive<T>) -> Result<T, Unreadable>
    where
        T: FromStr + PartialOrd,
    {
        let text = self.str()?;
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Unreadable);
        }
        let number = text.parse().map_err(|_| Unreadable)?;
        if range.contains(&number) { Ok(number) } else { Err(Unreadable) }
    }

    pub fn boolean(self) -> Result<bool, Unreadable> {
        boolean(self.0).ok_or(Unreadable)
    }

    pub fn port(self) -> Result<Option<u16>, Unreadable> {
        if self.str()?.eq_ignore_ascii_case("off") {
            return Ok(None);
        }
        self.number(0..=u16::MAX).map(Some)
    }

    pub fn secret(self) -> Result<Secret, Unreadable> {
        let bytes = self.0.as_bytes();
        if bytes.len() > SECRET_BYTES_MAX { Err(Unreadable) } else { Ok(Secret(bytes.to_vec())) }
    }

    pub fn db_path(self) -> DbPath {
        if self.0 == ":memory:" { DbPath::Memory } else { DbPath::File(self.path()) }
    }

    pub fn addresses(self) -> Result<Vec<IpAddr>, Unreadable> {
        let mut addresses = Vec::new();
        for item in self.items()? {
            let bare = item.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(item);
            let address = bare.parse().map_err(|_| Unreadable)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    pub fn networks(self) -> Result<Vec<Cidr>, Unreadable> {
        self.items()?.map(|item| item.parse().map_err(|_| Unreadable)).collect()
    }

    /// An http or https URL that a path can be appended to, without the slashes at its end.
    pub fn base_url(self) -> Result<String, Unreadable> {
        let url = self.str()?;
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or(Unreadable)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '"' | '<' | '>' | '\\');
        if rest.contains(odd) || !is_host_and_port(authority) {
            return Err(Unreadable);
        }
        Ok(url.trim_end_matches('/').to_owned())
    }

    pub fn origins(self) -> Result<CorsOrigin, Unreadable> {
        if self.str()?.trim() == "*" {
            return Ok(CorsOrigin::Any);
        }
        let mut origins = Vec::new();
        for item in self.items()? {
            // A slash at the end or a path would never equal what a browser sends.
            let (scheme, authority) = item.split_once("://").ok_or(Unreadable)?;
            if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            {
                return Err(Unreadable);
            }
            if !is_host_and_port(authority) {
                return Err(Unreadable);
            }
            origins.push(item.to_ascii_lowercase());
        }
        Ok(CorsOrigin::List(origins))
    }

    pub fn hub_format(self) -> Result<HubFormat, Unreadable> {
        match self.str()? {
            "keyed" => Ok(HubFormat::Keyed),
            "legacy" => Ok(HubFormat::Legacy),
            _ => Err(Unreadable),
        }
    }

    pub fn log_format(self) -> Result<LogFormat, Unreadable> {
        match self.str()? {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(Unreadable),
        }
    }

    /// Directives `level`, `module` or `module=level` between commas, then perhaps `/` and a text to look for.
    pub fn log_filter(self) -> Result<String, Unreadable> {
        let text = self.str()?;
        let directives = text.split('/').next().unwrap_or_default();
        let readable = directives.split(',').all(|directive| match directive.split_once('=') {
            Some((_, level)) => LOG_LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level.trim())),
            None => true,
        });
        if readable { Ok(text.to_owned()) } else { Err(Unreadable) }
    }

    fn str(&self) -> Result<&str, Unreadable> {
        self.0.to_str().ok_or(Unreadable)
    }

    fn items(&self) -> Result<impl Iterator<Item = &str>, Unreadable> {
        Ok(self.str()?.split(',').map(str::trim))
    }
}

/// Reads `true 1 yes on` and `false 0 no off`, in any case.
pub(super) fn boolean(text: &OsStr) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    if ["true", "1", "yes", "on"].iter().any(is) {
        return Some(true);
    }
    if ["false", "0", "no", "off"].iter().any(is) { Some(false) } else { None }
}

/// `example.org`, `192.0.2.1:8080`, `[::1]:8080`; no user, no empty host.
fn is_host_and_port(text: &str) -> bool {
    let (host_fits, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@\\\"<>[]".contains(c);
            (!host.is_empty() && !host.contains(odd), port)
        }
    };
    let is_port = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    host_fits && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

const SECRET_BYTES_MAX: usize = 1024;
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
