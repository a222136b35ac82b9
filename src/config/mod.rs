//! The settings of the daemon, and what it was asked to do: read once at start, pure, typed.
//!
//! One table (`table.rs`) has a row for each setting. Flags, environment, environment file, `--help`,
//! `--check-config` and the README's table all come from it. A value that cannot be read is an error that names the
//! variable: a typing error must never open a tracker. Nothing later reads the environment.

mod error;
mod show;
mod source;
mod table;
mod value;

pub use error::ConfigError;
pub use show::settings_table;
pub use source::{Origin, Source, unknown_variables};
pub use value::{CorsOrigin, DbPath, HubFormat, LogFormat, Secret};

use crate::base::Cidr;
use source::{Action, Flags, Personality};
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use table::ROWS;
use value::Value;

/// Every setting, read and checked. A field has the name of its variable; units are the variable's.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port for HTTP; 0 takes any free one, `None` serves no HTTP.
    pub port: Option<u16>,
    /// UDP port; 0 takes any free one, `None` serves no UDP. Never `None` together with `port`.
    pub udp_port: Option<u16>,
    /// Addresses both protocols listen on. At least one, no duplicates.
    pub bind: Vec<IpAddr>,
    /// Where the database is.
    pub db_path: DbPath,
    /// Most peers in an HTTP answer, and what a UDP answer carries when no number is asked for: 1-1000.
    pub max_peers: u32,
    /// Most peers in a UDP answer when a number is asked for: 1-200.
    pub udp_max_peers: u32,
    /// Most client records held; 0 means no bound.
    pub max_total_peers: u64,
    /// Whether hashes that nobody registered are tracked.
    pub open_tracker: bool,
    /// A file of hashes that alone decides what is tracked.
    pub whitelist: Option<PathBuf>,
    /// The key that writing to the registry needs.
    pub registry_key: Option<Secret>,
    /// The key of passkeys. Set: every announce needs one.
    pub tracker_secret: Option<Secret>,
    /// The key of UDP connection ids. `None`: random at each start.
    pub connection_id_secret: Option<Secret>,
    /// Where usage is sent: an http or https URL without query.
    pub hub_url: Option<String>,
    /// The shape of what is sent there.
    pub hub_format: HubFormat,
    /// HTTP requests per second and address; 0 means no limit.
    pub rate_limit: u32,
    /// HTTP requests an address may save up; 0 means no limit.
    pub rate_burst: u32,
    /// Seconds between announces that clients are told.
    pub announce_interval: u32,
    /// Seconds a client is kept after its last announce. Above `announce_interval`.
    pub peer_ttl: u32,
    /// Seconds a client of `/register_peer` is kept.
    pub idt_peer_ttl: u32,
    /// Seconds between snapshots of the swarms.
    pub flush_interval: u32,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether a client on a private address may name its public one.
    pub trust_ip_param: bool,
    /// Most open TCP connections; 0 means as many as the file descriptor limit allows.
    pub max_connections: u32,
    /// UDP connects per second and source; 0 means no limit.
    pub udp_rate_limit: u32,
    /// UDP connects a source may save up; 0 means no limit.
    pub udp_rate_burst: u32,
    /// Web origins that may use the registry.
    pub cors_origin: Option<CorsOrigin>,
    /// The URL this tracker is known by, without a slash at the end.
    pub public_url: Option<String>,
    /// The shape of log lines.
    pub log_format: LogFormat,
    /// What is logged, in env_logger's syntax; wins over `debug`. See [`Config::log_filter`].
    pub rust_log: Option<String>,
    /// Whether debug lines are logged.
    pub debug: bool,
    /// Pages of write-ahead log after which SQLite copies them into the database; 0 leaves that to another program.
    pub wal_autocheckpoint: u32,
    /// Where each value came from.
    pub origin: Origin,
    /// What should be told to whoever started us, one sentence each; never a secret.
    pub warnings: Vec<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Print this and end with 0.
    Help(String),
    /// Print name, version and commit, and end with 0.
    Version,
    /// Print [`Config::report`], check what the settings point to, end with 0 or 2. Bind and write nothing.
    CheckConfig(Box<Config>),
    /// Print the state of the usage accounts of this database.
    UsageStatus(Box<Config>),
    /// Copy the database of these settings to this new file.
    Backup(Box<Config>, PathBuf),
    /// Ask the daemon at [`Config::probe`] whether it is well.
    HealthCheck(Box<Config>),
}

/// How to ask a running daemon whether it is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// `GET /health` there.
    Http(SocketAddr),
    /// A UDP connect there: HTTP is off.
    Udp(SocketAddr),
}

impl Config {
    /// Reads all settings: flags, then the environment, then the environment file, then defaults.
    ///
    /// `argv0` is the name the program was started by: `pico-tracker`, in any directory, changes some flags and
    /// defaults. `args` are the arguments after it. `read_file` is asked for the environment file only. Called again
    /// with the same arguments and environment it gives the settings after a change of that file.
    pub fn load(
        argv0: &OsStr,
        args: impl Iterator<Item = OsString>,
        env: impl Fn(&str) -> Option<OsString>,
        read_file: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Command, ConfigError> {
        let personality = Personality::of(argv0);
        let Flags { values, env_file, backup, action } = source::read_flags(personality, args)?;
        match action {
            Action::Help => return Ok(Command::Help(show::help(personality))),
            Action::Manual => return Ok(Command::Help(show::manual())),
            Action::Version => return Ok(Command::Version),
            Action::Run
            | Action::CheckConfig
            | Action::UsageStatus
            | Action::HealthCheck
            | Action::Backup => {}
        }
        let file = source::read_env_file(env_file.as_deref(), read_file)?;
        let (origin, warnings) = source::settle(personality, values, env, file)?;
        let mut config = Box::new(Self::build(origin, warnings)?);
        config.warn_of_weak_secret();
        config.warn_of_legacy_hub();
        Ok(match action {
            Action::CheckConfig => Command::CheckConfig(config),
            Action::UsageStatus => Command::UsageStatus(config),
            Action::HealthCheck => Command::HealthCheck(config),
            Action::Backup => Command::Backup(config, backup.unwrap_or_default()),
            Action::Run | Action::Help | Action::Manual | Action::Version => Command::Run(config),
        })
    }

    fn build(origin: Origin, warnings: Vec<String>) -> Result<Self, ConfigError> {
        let mut config = Self::blank();
        for (row, setting) in ROWS.iter().zip(&origin.settings) {
            if let Some(value) = &setting.value {
                (row.set)(&mut config, Value(value)).map_err(|_| ConfigError::invalid(row, setting))?;
            }
        }
        config.origin = origin;
        config.warnings = warnings;
        config.check_together()?;
        Ok(config)
    }

    /// What no row can check alone.
    fn check_together(&self) -> Result<(), ConfigError> {
        if self.port.is_none() && self.udp_port.is_none() {
            return Err(ConfigError::NothingToServe);
        }
        if self.peer_ttl <= self.announce_interval {
            return Err(ConfigError::PeerTtl {
                peer_ttl_s: self.peer_ttl,
                announce_interval_s: self.announce_interval,
            });
        }
        Ok(())
    }

    fn warn_of_weak_secret(&mut self) {
        let Some(secret) = &self.tracker_secret else { return };
        if secret.bytes().len() < WEAK_SECRET_BYTES || secret.bytes() == b"change-me" {
            self.warnings.push(format!(
                "TRACKER_SECRET is easy to guess: use at least {WEAK_SECRET_BYTES} random bytes, it signs every passkey"
            ));
        }
    }

    fn warn_of_legacy_hub(&mut self) {
        if self.hub_url.is_some() && self.hub_format == HubFormat::Legacy {
            self.warnings.push(
                "HUB_FORMAT=legacy has no ids: when an answer of the hub is lost, what it applied is counted twice".into(),
            );
        }
    }

    /// Takes over from `newer` every setting that may change while running. Returns the variables that changed but
    /// need a restart.
    pub fn reload(&mut self, newer: &Self) -> Vec<&'static str> {
        let mut need_restart = Vec::new();
        let mut origin = self.origin.clone();
        for (index, row) in ROWS.iter().enumerate() {
            let new = &newer.origin.settings[index];
            if row.reloadable {
                origin.settings[index] = new.clone();
            } else if origin.settings[index].value != new.value {
                need_restart.push(row.name);
            }
        }
        *self = Self::build(origin, newer.warnings.clone()).expect("each value was read before, one by one");
        need_restart
    }

    /// The filter for env_logger: RUST_LOG, else `debug` or `info`.
    pub fn log_filter(&self) -> &str {
        match (&self.rust_log, self.debug) {
            (Some(filter), _) => filter,
            (None, true) => "debug",
            (None, false) => "info",
        }
    }

    /// Where a running daemon with these settings answers on this machine; `None` when its port is only known to
    /// itself (port 0).
    pub fn probe(&self) -> Option<Probe> {
        // IPv4 before IPv6 in the default list, which is right for a machine without IPv6.
        let mut addresses = self.bind.iter().map(|ip| on_this_machine(*ip));
        let first = addresses.clone().next()?;
        let address = addresses.find(IpAddr::is_loopback).unwrap_or(first);
        match (self.port, self.udp_port) {
            (Some(0), _) | (None, Some(0) | None) => None,
            (Some(port), _) => Some(Probe::Http(SocketAddr::new(address, port))),
            (None, Some(port)) => Some(Probe::Udp(SocketAddr::new(address, port))),
        }
    }

    /// Nothing set. What `build` starts from; every row with a default overwrites its field.
    fn blank() -> Self {
        Self {
            port: None,
            udp_port: None,
            bind: Vec::new(),
            db_path: DbPath::Memory,
            max_peers: 0,
            udp_max_peers: 0,
            max_total_peers: 0,
            open_tracker: false,
            whitelist: None,
            registry_key: None,
            tracker_secret: None,
            connection_id_secret: None,
            hub_url: None,
            hub_format: HubFormat::Keyed,
            rate_limit: 0,
            rate_burst: 0,
            announce_interval: 0,
            peer_ttl: 0,
            idt_peer_ttl: 0,
            flush_interval: 0,
            trusted_proxies: Vec::new(),
            trust_ip_param: false,
            max_connections: 0,
            udp_rate_limit: 0,
            udp_rate_burst: 0,
            cors_origin: None,
            public_url: None,
            log_format: LogFormat::Text,
            rust_log: None,
            debug: false,
            wal_autocheckpoint: 0,
            origin: Origin::default(),
            warnings: Vec::new(),
        }
    }
}

/// The settings of a daemon started without flags, environment or file.
impl Default for Config {
    fn default() -> Self {
        let origin = Origin::defaults(Personality::Weightless);
        Self::build(origin, Vec::new()).expect("every default in the table is within its own bounds")
    }
}

/// An address under which this machine reaches what listens on `bound`.
fn on_this_machine(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// A passkey secret shorter than this can be searched for.
const WEAK_SECRET_BYTES: usize = 16;

#[cfg(test)]
mod tests;
