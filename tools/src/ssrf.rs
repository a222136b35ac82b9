//! Which addresses a URL found in a torrent or a magnet link may reach. Whoever made the torrent chose that URL, so
//! without rules it could make this machine talk to its neighbours, its router or the metadata service of its cloud.
//!
//! The rules are applied to the resolved addresses of each connection, redirects included; the addresses that pass are
//! the ones that are connected to, so no second look at the name server can give others. URLs that a person typed are
//! not judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Some host of the Internet.
    Public,
    /// This machine, or a network that is not the Internet.
    Private,
    /// Nothing a tracker or a web seed could be: link-local, multicast, unspecified, broadcast, reserved.
    Never,
}

/// What the URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An announce over HTTP.
    Tracker,
    /// An announce over UDP.
    UdpTracker,
    /// `/register_peer` and `/get_peers` of a tracker, which are always there and nowhere else.
    PeerRoutes,
    /// A part of a file.
    WebSeed,
}

/// How far a URL is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A person typed it: it may lead anywhere.
    Typed,
    /// It came with a torrent or a magnet link, and `--allow-private` was given.
    FoundPrivateAllowed,
    /// It came with a torrent or a magnet link.
    Found,
    /// A public host sent us there by a redirect.
    FoundBehindPublic,
}

/// Why an address is not contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden(pub &'static str);

/// The class of an address. IPv6 forms that carry an IPv4 address lead where that one does.
pub fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => reach4(ip),
        IpAddr::V6(ip) => match carried(ip) {
            Some(inner) => reach4(inner),
            None => reach6(ip),
        },
    }
}

fn reach4(ip: Ipv4Addr) -> Reach {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) | (169, 254, _) | (192, 0, 0) | (224.., ..) => Reach::Never,
        (127, ..) | (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18 | 19, _) => {
            Reach::Private
        }
        _ => Reach::Public,
    }
}

fn reach6(ip: Ipv6Addr) -> Reach {
    if ip == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    match ip.segments()[0] {
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Reach::Private,
        0x2000..=0x3fff => Reach::Public,
        // fe80::/10, ff00::/8, :: and everything that no registry has given out.
        _ => Reach::Never,
    }
}

/// The IPv4 address a translator would take out of an IPv6 one: NAT64 (RFC 6052), 6to4 (RFC 3056), and the old
/// compatible form.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(of(high, low)),
        _ => None,
    }
}

/// Whether a connection to `address` may be made for a URL with this path and query.
pub fn check(
    purpose: Purpose,
    trust: Trust,
    address: SocketAddr,
    path_and_query: &str,
) -> Result<(), Forbidden> {
    if trust == Trust::Typed {
        return Ok(());
    }
    let reach = reach(address.ip());
    let port_is_odd = address.port() < 1024 && !matches!(address.port(), 80 | 443);
    match reach {
        Reach::Never => return Err(Forbidden("its address is not one of a server")),
        _ if port_is_odd && purpose != Purpose::UdpTracker => {
            return Err(Forbidden("ports below 1024 other than 80 and 443 are not allowed"));
        }
        Reach::Public => return Ok(()),
        Reach::Private if trust == Trust::FoundPrivateAllowed => return Ok(()),
        Reach::Private => {}
    }
    match purpose {
        Purpose::UdpTracker | Purpose::PeerRoutes => Ok(()),
        Purpose::Tracker if is_announce(path_and_query) => Ok(()),
        Purpose::Tracker => {
            Err(Forbidden("a tracker at a private address must have a path that starts with /announce"))
        }
        Purpose::WebSeed if trust == Trust::FoundBehindPublic => {
            Err(Forbidden("a public host redirects to a private address"))
        }
        Purpose::WebSeed if path_and_query.contains('?') => {
            Err(Forbidden("a web seed at a private address must have no query"))
        }
        Purpose::WebSeed => Ok(()),
    }
}

/// Whether the path is below `/announce` and stays there however a server reads it.
fn is_announce(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let climbs = path.split(['/', '\\']).any(|part| part.replace("%2e", ".").replace("%2E", ".") == "..");
    let hides = path.to_ascii_lowercase().contains("%2f") || path.to_ascii_lowercase().contains("%5c");
    path.starts_with("/announce") && !climbs && !hides
}

/// A resolver that leaves out what must not be contacted.
#[derive(Debug)]
pub struct Guard {
    /// What its client is for.
    pub purpose: Purpose,
    /// How far its URLs are trusted.
    pub trust: Trust,
    /// Set by each lookup: whether an allowed address is public.
    met_public: Arc<AtomicBool>,
    names: DefaultResolver,
}

impl Guard {
    /// One for a client.
    pub fn new(purpose: Purpose, trust: Trust, met_public: Arc<AtomicBool>) -> Self {
        Self { purpose, trust, met_public, names: DefaultResolver::default() }
    }
}

/// The same judgement on a URL whose host is an address written out, for when somebody else resolves names. Says where
/// it leads; `None` for a name.
pub fn check_written(purpose: Purpose, trust: Trust, uri: &Uri) -> Result<Option<Reach>, Forbidden> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_local =
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    let written = if is_local { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse::<IpAddr>().ok() };
    let Some(ip) = written else { return Ok(None) };
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    check(purpose, trust, SocketAddr::new(ip, port), path)?;
    Ok(Some(reach(ip)))
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut allowed = self.empty();
        let mut reason = None;
        for address in found.iter() {
            match check(self.purpose, self.trust, *address, path) {
                Ok(()) => allowed.push(*address),
                Err(forbidden) => reason = Some(forbidden),
            }
        }
        let public = allowed.iter().any(|address| reach(address.ip()) == Reach::Public);
        self.met_public.store(public, Ordering::Relaxed);
        match reason {
            Some(reason) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(reason))),
            _ => Ok(allowed),
        }
    }
}

/// The reason, if that is why a request failed.
pub fn forbidden(error: &ureq::Error) -> Option<Forbidden> {
    match error {
        ureq::Error::Other(inner) => inner.downcast_ref::<Forbidden>().copied(),
        _ => None,
    }
}

impl std::fmt::Display for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Forbidden {}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(purpose: Purpose, trust: Trust, address: &str, path: &str) -> bool {
        check(purpose, trust, address.parse().expect(address), path).is_ok()
    }

    /// The table of addresses, row by row: whether each is reachable as tracker over http, over udp, as web seed.
    #[test]
    fn what_a_torrent_may_reach() {
        for (address, http, udp, seed) in [
            ("203.0.113.5:80", true, true, true),
            ("203.0.113.5:443", true, true, true),
            ("203.0.113.5:6969", true, true, true),
            ("203.0.113.5:25", false, true, false),
            ("203.0.113.5:1023", false, true, false),
            ("[2001:db8::1]:80", true, true, true),
            ("169.254.169.254:80", false, false, false),
            ("[::ffff:169.254.169.254]:80", false, false, false),
            ("[64:ff9b::a9fe:a9fe]:80", false, false, false),
            ("[2002:a9fe:a9fe::1]:80", false, false, false),
            ("[::a9fe:a9fe]:80", false, false, false),
            ("[fe80::1]:80", false, false, false),
            ("224.0.0.1:80", false, false, false),
            ("[ff02::1]:80", false, false, false),
            ("0.0.0.0:80", false, false, false),
            ("0.1.2.3:80", false, false, false),
            ("[::]:80", false, false, false),
            ("255.255.255.255:80", false, false, false),
            ("240.0.0.1:80", false, false, false),
            ("192.0.0.192:80", false, false, false),
            ("127.0.0.1:8080", true, true, true),
            ("127.8.9.1:80", true, true, true),
            ("127.0.0.1:22", false, true, false),
            ("[::1]:8080", true, true, true),
            ("10.0.0.1:80", true, true, true),
            ("172.16.0.1:80", true, true, true),
            ("172.31.255.255:80", true, true, true),
            ("192.168.1.1:80", true, true, true),
            ("100.64.0.1:80", true, true, true),
            ("[fd00:ec2::254]:80", true, true, true),
        ] {
            let found = Trust::Found;
            assert_eq!(may(Purpose::Tracker, found, address, "/announce"), http, "tracker {address}");
            assert_eq!(may(Purpose::UdpTracker, found, address, "/x"), udp, "udp {address}");
            assert_eq!(may(Purpose::WebSeed, found, address, "/f.bin"), seed, "web seed {address}");
        }
    }

    #[test]
    fn at_a_private_address_only_fixed_requests_can_be_made() {
        for address in ["127.0.0.1:8080", "192.168.1.1:80", "[fc00::1]:80"] {
            for (path, tracker, seed) in [
                ("/announce?passkey=1", true, false),
                ("/announce/key", true, true),
                ("/reboot", false, true),
                ("/reboot?now=1", false, false),
                ("/x/announce", false, true),
                ("/announce/../reboot", false, true),
                ("/announce/%2e%2E/reboot", false, true),
                ("/announce/..%2freboot", false, true),
                ("/announce/..\\reboot", false, true),
            ] {
                assert_eq!(may(Purpose::Tracker, Trust::Found, address, path), tracker, "tracker {path}");
                assert_eq!(may(Purpose::WebSeed, Trust::Found, address, path), seed, "web seed {path}");
            }
            assert!(!may(Purpose::WebSeed, Trust::FoundBehindPublic, address, "/f.bin"));
            assert!(may(Purpose::Tracker, Trust::FoundPrivateAllowed, address, "/x?y"));
            assert!(may(Purpose::WebSeed, Trust::FoundPrivateAllowed, address, "/x?y"));
        }
        assert!(may(Purpose::WebSeed, Trust::Found, "203.0.113.5:80", "/f?x=1"), "public: any path");
        assert!(may(Purpose::WebSeed, Trust::FoundBehindPublic, "203.0.113.6:80", "/f?x=1"));
    }

    #[test]
    fn an_address_written_out_is_judged_without_a_lookup() {
        let judge = |url: &str| check_written(Purpose::Tracker, Trust::Found, &url.parse().expect(url));
        for url in [
            "http://169.254.169.254/announce",
            "http://[fe80::1]:8080/announce",
            "http://localhost:8080/other",
            "http://203.0.113.5:25/announce",
        ] {
            assert!(judge(url).is_err(), "{url}");
        }
        assert_eq!(judge("http://a.localhost:8080/announce"), Ok(Some(Reach::Private)));
        assert_eq!(judge("https://203.0.113.5/announce"), Ok(Some(Reach::Public)));
        assert_eq!(judge("http://example.org:25/announce"), Ok(None));
    }

    #[test]
    fn what_is_never_a_server_stays_so_but_for_a_person() {
        for purpose in [Purpose::Tracker, Purpose::UdpTracker, Purpose::WebSeed] {
            assert!(!may(purpose, Trust::FoundPrivateAllowed, "169.254.169.254:80", "/announce"));
            assert!(may(purpose, Trust::Typed, "169.254.169.254:22", "/x?y"));
        }
        assert!(!may(Purpose::Tracker, Trust::FoundPrivateAllowed, "127.0.0.1:25", "/announce"));
    }
}
