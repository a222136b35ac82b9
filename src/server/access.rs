//! Who may change the registry (registry-api, section 1): whoever has the key, or without one, this machine.

use super::Server;
use super::http::Asked;
use crate::registry::ApiError;
use crate::wire::http1::Head;
use hmac::{KeyInit, Mac};
use std::net::{IpAddr, SocketAddr};

impl Server {
    /// Writing to the registry: with the key, or without one to anybody but a web page that is not let in.
    pub(super) fn may_register(&self, asked: &Asked<'_, '_>) -> Result<(), ApiError> {
        match (&self.settings.registry_key, asked.head.origin) {
            (Some(key), _) => check_key(key, asked.head),
            (None, Some(origin)) if !self.lets_in(origin, asked) => Err(FOREIGN_ORIGIN),
            (None, _) => Ok(()),
        }
    }

    /// Taking down and the other routes of an operator: with the key, or without one from this machine.
    pub(super) fn may_administer(&self, asked: &Asked<'_, '_>) -> Result<(), ApiError> {
        match &self.settings.registry_key {
            Some(key) => check_key(key, asked.head),
            None if is_local(asked.peer, asked.head) => Ok(()),
            None => Err(SET_KEY),
        }
    }

    /// Whether a web page may write without a key: one that CORS_ORIGIN names, or our own. A page whose name was bound
    /// to our address after it had been loaded looks like our own, so only names that nobody else can bind count: an
    /// address, `localhost`, and that of PUBLIC_URL.
    pub(super) fn lets_in(&self, origin: &[u8], asked: &Asked<'_, '_>) -> bool {
        if asked.framing.cors.allows() {
            return true;
        }
        let bare = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        let Some((bare, host)) = bare.zip(asked.head.host) else { return false };
        let public = self.settings.public_url.as_deref().map(authority);
        let is_bound_to_us = public.is_some_and(|public| public.as_bytes().eq_ignore_ascii_case(host))
            || name_of(host).is_some_and(|name| is_localhost(name) || name.parse::<IpAddr>().is_ok());
        bare.eq_ignore_ascii_case(host) && is_bound_to_us
    }
}

/// Digests are compared, so that neither the key's length nor its beginning leaks by time.
fn check_key(key: &[u8], head: &Head<'_>) -> Result<(), ApiError> {
    let given = head.api_key.unwrap_or_default();
    let mac = |message: &[u8]| {
        let mut mac =
            hmac::Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(message);
        mac
    };
    let expected = mac(key).finalize().into_bytes();
    mac(given).verify_slice(&expected).map_err(|_| UNAUTHORIZED)
}

/// Whether a request comes from this machine, and not through a proxy, a page or a rebound name.
fn is_local(peer: SocketAddr, head: &Head<'_>) -> bool {
    let host = head.host.unwrap_or_default();
    peer.ip().to_canonical().is_loopback() && !head.forwarded && head.origin.is_none() && names_loopback(host)
}

fn names_loopback(host: &[u8]) -> bool {
    let ip = |name: &str| name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    name_of(host).is_some_and(|name| is_localhost(name) || ip(name))
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

/// A host without its port and brackets.
fn name_of(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    }
}

/// Host and port of a URL.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

pub(super) const UNAUTHORIZED: ApiError = ApiError::new(401, "Unauthorized");
pub(super) const FOREIGN_ORIGIN: ApiError = ApiError::new(403, "Forbidden: origin not allowed");
const SET_KEY: ApiError = ApiError::new(403, "Forbidden: set REGISTRY_KEY");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:80", "[::1]:8080"] {
            assert!(names_loopback(host.as_bytes()), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]"] {
            assert!(!names_loopback(host.as_bytes()), "{host}");
        }
    }
}
