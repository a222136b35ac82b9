//! `--name value` pairs.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};

/// The options of one command.
pub struct Args(HashMap<String, String>);

impl Args {
    /// Reads pairs.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = HashMap::new();
        while let Some(name) = words.next() {
            let bare = name.strip_prefix("--").ok_or_else(|| format!("not an option: {name}"))?;
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            options.insert(bare.to_owned(), value);
        }
        Ok(Self(options))
    }

    /// A number, or its default.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} must be a number")),
        }
    }

    /// Whether an option is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The server's process, when its cost is to be measured.
    pub fn pid(&self) -> Result<Option<u32>, String> {
        Ok(match self.number("pid", 0)? {
            0 => None,
            pid => Some(pid as u32),
        })
    }

    /// The tracker, which must be on this machine.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let text = self.0.get("addr").ok_or("--addr HOST:PORT is needed")?;
        let mut found = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{text}: no address"))?;
        match address.ip().is_loopback() {
            true => Ok(address),
            false => Err(format!("{address} is not on this machine: load goes to loopback only")),
        }
    }
}
