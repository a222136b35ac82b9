//! The flags that `get`, `seed` and `serve` share, and what they mean.

use crate::drive::Port;
use crate::failure::Failure;
use crate::flags::{Flag, many, one, switch};
use crate::{Context, show_size};
use std::net::SocketAddr;
use std::time::Duration;
use weightless::base::Millis;

/// `--port`.
pub const PORT: Flag = one("port", "N", "port to listen on; 0 is any (default: 6881-6889, else any)");
/// `--max-peers`.
pub const MAX_PEERS: Flag = one("max-peers", "N", "most connections").default("100");
/// `--up`.
pub const UP: Flag = one("up", "RATE", "upload bytes per second, with K, M or G (default: no bound)");
/// `--down`.
pub const DOWN: Flag = one("down", "RATE", "download bytes per second, with K, M or G (default: no bound)");
/// `--ratio`.
pub const RATIO: Flag = one("ratio", "R", "stop seeding when uploaded / size reaches R");
/// `--for`.
pub const FOR: Flag = one("for", "DURATION", "stop seeding after this time: 90, 90s, 15m, 2h");
/// `--peer`.
pub const PEER: Flag = many("peer", "IP:PORT", "a peer to connect to");
/// `--no-pex`.
pub const NO_PEX: Flag = switch("no-pex", "do not exchange peer addresses with peers");
/// `--json-events`.
pub const JSON_EVENTS: Flag = switch("json-events", "one JSON object a line on stdout while running");
/// `--allow-private`.
pub const ALLOW_PRIVATE: Flag =
    switch("allow-private", "trackers and web seeds named in the torrent may be on private addresses");
/// `--upload-slots`.
pub const UPLOAD_SLOTS: Flag =
    one("upload-slots", "N", "how many peers are served at once (default: by rate)");
/// `--memory`.
pub const MEMORY: Flag =
    one("memory", "SIZE", "most memory for blocks that are not stored yet, with K, M or G").default("32M");

/// The flags of every command that seeds local data, behind those it is given.
macro_rules! seeding_flags {
    ($first:ident ! [$($own:expr),* $(,)?]) => {{
        use $crate::cmd::transfer_flags::{
            ALLOW_PRIVATE, FOR, JSON_EVENTS, MAX_PEERS, NO_PEX, PEER, PORT, RATIO, UP, UPLOAD_SLOTS,
        };
        $first![
            $($own,)*
            PEER,
            PORT,
            MAX_PEERS,
            UP,
            UPLOAD_SLOTS,
            RATIO,
            FOR,
            NO_PEX,
            ALLOW_PRIVATE,
            JSON_EVENTS,
        ]
    }};
}
pub(super) use seeding_flags;

/// A table of nothing but the flags it is given.
macro_rules! table {
    ($($flag:expr),* $(,)?) => { &[$($flag),*] };
}
pub(super) use table;

/// Their values.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where to listen.
    pub port: Port,
    /// Most connections of one torrent.
    pub peers_max: usize,
    /// Bytes per second.
    pub up: Option<u64>,
    /// Bytes per second.
    pub down: Option<u64>,
    /// When there has been enough seeding.
    pub enough: Enough,
    /// Peers named by hand.
    pub peers: Vec<SocketAddr>,
    /// Whether addresses are exchanged.
    pub pex: bool,
    /// Whether lines for programs are printed while running.
    pub json_events: bool,
    /// Whether a torrent may lead to private addresses.
    pub allow_private: bool,
    /// Upload slots, if they are fixed.
    pub slots: Option<u32>,
    /// Bytes of buffers.
    pub memory_bytes: usize,
}

/// When there has been enough seeding: whichever comes first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enough {
    /// `--ratio`.
    pub ratio: Option<f64>,
    /// `--for`.
    pub time_ms: Option<Millis>,
}

impl Transfer {
    /// Reads the flags; those a command does not have keep their defaults.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let args = &context.args;
        let text = |name| args.given_text(name);
        let peers = args.all(PEER.name)?;
        let peer = |text: &String| {
            text.parse().map_err(|_| Failure::usage("--peer must be IP:PORT, as 192.0.2.1:6881"))
        };
        let slots = text(UPLOAD_SLOTS.name)?
            .map(|text| within(&text, 1..=1000, UPLOAD_SLOTS.name))
            .transpose()?
            .map(|slots| slots as u32);
        Ok(Self {
            port: match text(PORT.name)? {
                Some(port) => Port::This(port.parse().map_err(|_| Failure::usage("--port must be 0-65535"))?),
                None => Port::Usual,
            },
            peers_max: text(MAX_PEERS.name)?
                .map_or(Ok(100), |text| within(&text, 1..=10_000, MAX_PEERS.name))?,
            up: text(UP.name)?.map(|text| rate(&text, UP.name)).transpose()?,
            down: text(DOWN.name)?.map(|text| rate(&text, DOWN.name)).transpose()?,
            enough: Enough {
                ratio: text(RATIO.name)?.map(|text| ratio(&text)).transpose()?,
                time_ms: text(FOR.name)?.map(|text| duration(&text, FOR.name)).transpose()?.map(millis),
            },
            peers: peers.iter().map(peer).collect::<Result<_, _>>()?,
            pex: !args.on(NO_PEX.name),
            json_events: args.on(JSON_EVENTS.name),
            allow_private: args.on(ALLOW_PRIVATE.name),
            slots,
            memory_bytes: match text(MEMORY.name)? {
                Some(text) => memory(&text)?,
                None => 32 << 20,
            },
        })
    }
}

/// A duration: seconds, or with `s`, `m` or `h`.
pub fn duration(text: &str, flag: &str) -> Result<Duration, Failure> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b's') => (text.get(..text.len() - 1), 1),
        Some(b'm') => (text.get(..text.len() - 1), 60),
        Some(b'h') => (text.get(..text.len() - 1), 3600),
        _ => (Some(text), 1),
    };
    let seconds = digits
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok());
    let seconds =
        seconds.and_then(|count| count.checked_mul(unit)).filter(|&seconds| seconds <= u64::from(u32::MAX));
    let bad = || Failure::usage(format!("--{flag} must be a duration, as 90, 90s, 15m or 2h"));
    seconds.map(Duration::from_secs).ok_or_else(bad)
}

/// A duration as the clock of a transfer counts.
pub fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn within(text: &str, range: std::ops::RangeInclusive<usize>, flag: &str) -> Result<usize, Failure> {
    let bad = || Failure::usage(format!("--{flag} must be {}-{}", range.start(), range.end()));
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(bad)
}

fn rate(text: &str, flag: &str) -> Result<u64, Failure> {
    let bad = || Failure::usage(format!("--{flag} must be bytes per second, at least 1K, as 500K or 10M"));
    show_size::parse(text).filter(|&rate| rate >= 1024).ok_or_else(bad)
}

fn ratio(text: &str) -> Result<f64, Failure> {
    let bad = || Failure::usage("--ratio must be a number from 0 on, as 1.5");
    text.parse::<f64>().ok().filter(|ratio| ratio.is_finite() && *ratio >= 0.0).ok_or_else(bad)
}

fn memory(text: &str) -> Result<usize, Failure> {
    let bad = || Failure::usage("--memory must be 4M-1G");
    let bytes = show_size::parse(text).filter(|bytes| (4 << 20..=1 << 30).contains(bytes)).ok_or_else(bad)?;
    usize::try_from(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_a_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("0", 0)] {
            assert_eq!(duration(text, "for").map(|d| d.as_secs()).ok(), Some(seconds));
        }
        for bad in ["", "s", "1d", "-1", "1.5h", "99999999999999h", "5 m"] {
            assert!(duration(bad, "for").is_err(), "{bad}");
        }
    }
}
