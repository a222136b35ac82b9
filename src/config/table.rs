//! The table of settings: one row each, and nothing about a setting stands anywhere else.

use super::Config;
use super::value::Value;
use crate::base::limits::{HTTP_PEERS_MAX, UDP_PEERS_IPV4_MAX};

/// One setting.
pub(super) struct Row {
    /// The variable.
    pub name: &'static str,
    /// Another variable that means the same.
    pub alias: Option<&'static str>,
    /// The flag without its dashes.
    pub flag: Option<&'static str>,
    /// Names of the flag when we are called `pico-tracker`; they come before every `flag`.
    pub pico_flags: &'static [&'static str],
    /// What it is when nobody says; empty for unset.
    pub default: &'static str,
    /// The same when we are called `pico-tracker`, where that differs.
    pub pico_default: Option<&'static str>,
    /// What is accepted, for people.
    pub range: &'static str,
    /// What it does, for people.
    pub help: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether SIGHUP may change it.
    pub reloadable: bool,
    /// Whether its flag may stand without a value and means true then.
    pub boolean: bool,
    /// Reads a value and puts it into its field.
    pub set: fn(&mut Config, Value<'_>) -> Result<(), Unreadable>,
}

/// The value is not what the row accepts. Which row and value, the caller knows.
#[derive(Debug)]
pub(super) struct Unreadable;

type Set = fn(&mut Config, Value<'_>) -> Result<(), Unreadable>;

const fn row(
    name: &'static str,
    flag: &'static str,
    default: &'static str,
    range: &'static str,
    help: &'static str,
    set: Set,
) -> Row {
    Row {
        name,
        alias: None,
        flag: Some(flag),
        pico_flags: &[],
        default,
        pico_default: None,
        range,
        help,
        secret: false,
        reloadable: false,
        boolean: false,
        set,
    }
}

impl Row {
    const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    const fn variable_only(mut self) -> Self {
        self.flag = None;
        self
    }

    const fn pico_flags(mut self, names: &'static [&'static str]) -> Self {
        self.pico_flags = names;
        self
    }

    const fn pico_default(mut self, value: &'static str) -> Self {
        self.pico_default = Some(value);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn reloadable(mut self) -> Self {
        self.reloadable = true;
        self
    }

    const fn boolean(mut self) -> Self {
        self.boolean = true;
        self
    }
}

const BOOLEAN: &str = "true or false";
const SECRET: &str = "1-1024 bytes";

/// Every setting of the daemon, in the order in which `--help`, `--check-config` and the README show them.
#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row("PORT", "port", "8080", "0-65535 or off", "HTTP port; 0 takes any free one and prints it",
        |c, v| { c.port = v.port()?; Ok(()) })
        .pico_default("off"),
    row("UDP_PORT", "udp-port", "1337", "0-65535 or off", "UDP port; 0 takes any free one and prints it",
        |c, v| { c.udp_port = v.port()?; Ok(()) })
        .alias("PICO_TRACKER__PORT").pico_flags(&["port", "p"]),
    row("BIND", "bind", "0.0.0.0,[::]", "list of IP addresses", "addresses for both protocols",
        |c, v| { c.bind = v.addresses()?; Ok(()) }),
    row("DB_PATH", "db", "./weightless.db", "path or :memory:", "SQLite file; its directory must exist",
        |c, v| { c.db_path = v.db_path(); Ok(()) })
        .pico_default(":memory:"),
    row("MAX_PEERS", "max-peers", "50", "1-1000", "peers in an HTTP answer, and in a UDP answer when no number is asked for",
        |c, v| { c.max_peers = v.number(1..=HTTP_PEERS_MAX)?; Ok(()) }),
    row("UDP_MAX_PEERS", "udp-max-peers", "200", "1-200", "peers in a UDP answer when a number is asked for; over IPv6 never above 67",
        |c, v| { c.udp_max_peers = v.number(1..=UDP_PEERS_IPV4_MAX)?; Ok(()) }),
    row("MAX_TOTAL_PEERS", "max-total-peers", "20000000", "a number, 0 = no limit", "client records held in memory",
        |c, v| { c.max_total_peers = v.number(0..=u64::MAX)?; Ok(()) }),
    row("OPEN_TRACKER", "open-tracker", "false", BOOLEAN, "track hashes that nobody registered",
        |c, v| { c.open_tracker = v.boolean()?; Ok(()) })
        .pico_default("true").boolean(),
    row("WHITELIST", "whitelist", "", "path", "file of info hashes, one a line; when set, it alone decides what is tracked",
        |c, v| { c.whitelist = Some(v.path()); Ok(()) })
        .alias("PICO_TRACKER__WHITELIST").pico_flags(&["whitelist", "w"]),
    row("REGISTRY_KEY", "registry-key", "", SECRET, "key that registering and takedown need (X-Weightless-Key); also sent to the hub",
        |c, v| { c.registry_key = Some(v.secret()?); Ok(()) })
        .secret().reloadable(),
    row("TRACKER_SECRET", "tracker-secret", "", SECRET, "signs passkeys; when set, every announce needs one",
        |c, v| { c.tracker_secret = Some(v.secret()?); Ok(()) })
        .secret().reloadable(),
    row("CONNECTION_ID_SECRET", "secret", "", SECRET, "signs UDP connection ids; random at each start when unset",
        |c, v| { c.connection_id_secret = Some(v.secret()?); Ok(()) })
        .alias("PICO_TRACKER__SECRET").pico_flags(&["secret", "s"]).secret(),
    row("HUB_URL", "hub-url", "", "http or https URL without query", "where usage is reported",
        |c, v| { c.hub_url = Some(v.base_url()?); Ok(()) })
        .reloadable(),
    row("HUB_FORMAT", "hub-format", "keyed", "keyed or legacy", "shape of usage reports",
        |c, v| { c.hub_format = v.hub_format()?; Ok(()) })
        .reloadable(),
    row("RATE_LIMIT", "rate-limit", "5", "0-1000000, 0 = no limit", "HTTP requests per second from one address",
        |c, v| { c.rate_limit = v.number(0..=1_000_000)?; Ok(()) })
        .reloadable(),
    row("RATE_BURST", "rate-burst", "10", "0-1000000, 0 = no limit", "HTTP requests an address may save up",
        |c, v| { c.rate_burst = v.number(0..=1_000_000)?; Ok(()) })
        .reloadable(),
    row("ANNOUNCE_INTERVAL", "announce-interval", "1800", "60-86400 s", "time between announces that clients are told",
        |c, v| { c.announce_interval = v.number(60..=86_400)?; Ok(()) })
        .pico_default("600"),
    row("PEER_TTL", "peer-ttl", "3600", "61-604800 s, above ANNOUNCE_INTERVAL", "how long a client is kept after its last announce",
        |c, v| { c.peer_ttl = v.number(61..=604_800)?; Ok(()) }),
    row("IDT_PEER_TTL", "idt-peer-ttl", "900", "60-86400 s", "how long a client of /register_peer is kept",
        |c, v| { c.idt_peer_ttl = v.number(60..=86_400)?; Ok(()) }),
    row("FLUSH_INTERVAL", "flush-interval", "10", "1-3600 s", "time between snapshots of the swarms to disk",
        |c, v| { c.flush_interval = v.number(1..=3600)?; Ok(()) }),
    row("TRUSTED_PROXIES", "trusted-proxies", "", "list of networks as 10.0.0.0/8", "proxies whose X-Forwarded-For or Forwarded is believed",
        |c, v| { c.trusted_proxies = v.networks()?; Ok(()) })
        .reloadable(),
    row("TRUST_IP_PARAM", "trust-ip-param", "false", BOOLEAN, "let a client on a private address name its public one",
        |c, v| { c.trust_ip_param = v.boolean()?; Ok(()) })
        .boolean(),
    row("MAX_CONNECTIONS", "max-connections", "0", "0-4000000, 0 = from the descriptor limit", "open TCP connections",
        |c, v| { c.max_connections = v.number(0..=4_000_000)?; Ok(()) }),
    row("UDP_RATE_LIMIT", "udp-rate-limit", "50", "0-1000000, 0 = no limit", "UDP connects per second from one source",
        |c, v| { c.udp_rate_limit = v.number(0..=1_000_000)?; Ok(()) }),
    row("UDP_RATE_BURST", "udp-rate-burst", "100", "0-1000000, 0 = no limit", "UDP connects a source may save up",
        |c, v| { c.udp_rate_burst = v.number(0..=1_000_000)?; Ok(()) }),
    row("CORS_ORIGIN", "cors-origin", "", "* or list of origins as https://example.org", "web pages that may use the registry",
        |c, v| { c.cors_origin = Some(v.origins()?); Ok(()) })
        .reloadable(),
    row("PUBLIC_URL", "public-url", "", "http or https URL without query", "where the world reaches this tracker; used in magnet links",
        |c, v| { c.public_url = Some(v.base_url()?); Ok(()) }),
    row("LOG_FORMAT", "log-format", "text", "text or json", "log lines on stderr",
        |c, v| { c.log_format = v.log_format()?; Ok(()) }),
    row("RUST_LOG", "", "", "env_logger filter as debug or weightless=trace", "what is logged, info when unset; wins over DEBUG",
        |c, v| { c.rust_log = Some(v.log_filter()?); Ok(()) })
        .variable_only().reloadable(),
    row("DEBUG", "debug", "", BOOLEAN, "log debug lines",
        |c, v| { c.debug = v.boolean()?; Ok(()) })
        .pico_flags(&["debug", "d"]).reloadable().boolean(),
    row("WAL_AUTOCHECKPOINT", "", "1000", "0-100000 pages", "when SQLite copies its log into the database; 0 when Litestream does",
        |c, v| { c.wal_autocheckpoint = v.number(0..=100_000)?; Ok(()) })
        .variable_only(),
];
