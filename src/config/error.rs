//! Why settings cannot be used: one line for stderr, exit code 2. Values of secrets are never in it.

use super::source::{Setting, Source};
use super::table::Row;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with the settings. `Display` is the line to print.
#[derive(PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// A value that is not what its variable accepts.
    Invalid {
        /// The variable.
        variable: &'static str,
        /// The value, printable and not too long; `None` for a secret.
        value: Option<String>,
        /// Where it came from.
        source: Source,
        /// What is accepted.
        range: &'static str,
    },
    /// PEER_TTL is not above ANNOUNCE_INTERVAL: every client would expire before it came again.
    PeerTtl {
        /// PEER_TTL in seconds.
        peer_ttl_s: u32,
        /// ANNOUNCE_INTERVAL in seconds.
        announce_interval_s: u32,
    },
    /// Both PORT and UDP_PORT are off.
    NothingToServe,
    /// A variable and its alias have different values in one place.
    Conflict {
        /// The variable.
        variable: &'static str,
        /// Its other name.
        alias: &'static str,
    },
    /// No flag has this name (without dashes and value).
    UnknownFlag(OsString),
    /// A flag that needs a value has none, or an empty one.
    MissingValue(OsString),
    /// An argument that is no flag.
    Positional(OsString),
    /// Two of `--check-config`, `--usage-status`, `--healthcheck`, `--backup`.
    TwoActions,
    /// The environment file cannot be read.
    EnvFile {
        /// Which one.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
}

impl ConfigError {
    pub(super) fn invalid(row: &Row, setting: &Setting) -> Self {
        let value = setting.value.as_deref().filter(|_| !row.secret).map(printable);
        Self::Invalid { variable: row.name, value, source: setting.source, range: row.range }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { variable, value: Some(value), source, range } => {
                write!(f, "{variable}: \"{value}\" ({source}) is not accepted: must be {range}")
            }
            Self::Invalid { variable, value: None, source, range } => {
                write!(f, "{variable}: the value ({source}) is not accepted: must be {range}")
            }
            Self::PeerTtl { peer_ttl_s, announce_interval_s } => write!(
                f,
                "PEER_TTL: {peer_ttl_s} is not accepted: must be {}-604800 s, above ANNOUNCE_INTERVAL",
                announce_interval_s + 1
            ),
            Self::NothingToServe => f.write_str("PORT and UDP_PORT are both off: one must be a port"),
            Self::Conflict { variable, alias } => {
                write!(f, "{variable} and {alias} mean the same but have different values: set one of them")
            }
            Self::UnknownFlag(name) => write!(f, "unknown flag --{}: see --help", printable(name)),
            Self::MissingValue(name) => write!(f, "flag --{} needs a value", printable(name)),
            Self::Positional(argument) => {
                write!(
                    f,
                    "unexpected argument \"{}\": only flags are accepted, see --help",
                    printable(argument)
                )
            }
            Self::TwoActions => {
                f.write_str("only one of --check-config, --usage-status, --healthcheck, --backup at a time")
            }
            Self::EnvFile { path, kind } => write!(f, "environment file {}: {kind}", path.display()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value as text on one line, cut when it is long. The password of a URL is left out.
pub(super) fn printable(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    let text = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]),
        _ => text.into_owned(),
    };
    let mut shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

const VALUE_CHARS_MAX: usize = 100;
