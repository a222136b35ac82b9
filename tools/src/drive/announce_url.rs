//! Announce URLs taken apart: what is asked over HTTP, and where a UDP tracker is (BEP 3, BEP 15, BEP 41).

use weightless::wire::announce::AnnounceRequest;
use weightless::wire::http_tracker::HttpAnnounce;
use weightless::wire::tracker_client as client;

/// The URL of an announce over HTTP. What stands in the query of `url` already, a passkey perhaps, stays in front.
pub fn http(url: &str, request: &AnnounceRequest, key: u32) -> String {
    let mut query = Vec::new();
    client::write_announce_query(
        &mut query,
        &HttpAnnounce { request: *request, compact: true, address: None },
    );
    client::write_announce_key(&mut query, key);
    with_query(url, &query)
}

/// The URL of a peer route of the tracker behind an announce URL, the passkey kept. Of a URL that nobody typed only host
/// and port are believed.
pub fn peer_route(url: &str, trusted: bool, route: &str) -> Option<String> {
    let url = url.split('#').next()?;
    if trusted {
        let (base, rest) = url.split_once("/announce").unwrap_or((url.trim_end_matches('/'), ""));
        return Some(format!("{base}/{route}{rest}"));
    }
    let (scheme, rest) = url.split_once("://")?;
    let place = rest.split(['/', '?']).next().filter(|place| !place.contains(['@', '\\']))?;
    Some(format!("{scheme}://{place}/{route}"))
}

/// `url` without its fragment, and a query after what it has already.
pub fn with_query(url: &str, query: &[u8]) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let mark = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    // The writers escape everything that is not ASCII.
    format!("{url}{mark}{}", String::from_utf8_lossy(query))
}

/// Where a UDP tracker is: `host:port`, and the path and query that go along with an announce; no `/` alone.
pub fn udp(url: &str) -> Option<(&str, &str)> {
    let url = url.split('#').next()?;
    let scheme = url.get(..6)?;
    let rest = url.get(6..).filter(|_| scheme.eq_ignore_ascii_case("udp://"))?;
    let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let port = place.rsplit_once(':')?.1;
    let has_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    has_port.then_some((place, if path == "/" { "" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weightless::base::{PeerId, SwarmKey};
    use weightless::wire::announce::{AnnouncedHash, Event};

    #[test]
    fn an_announce_is_asked_as_specified() {
        let mut hash = [b'a'; 20];
        hash[..4].copy_from_slice(b" +\xff/");
        let request = AnnounceRequest {
            info_hash: AnnouncedHash::Short(SwarmKey(hash)),
            peer_id: PeerId(*b"-WL0100-abcdefghijkl"),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: Some(3),
            event: Event::Started,
            peers_wanted: Some(50),
        };
        assert_eq!(
            http("http://h/announce", &request, 0xab),
            "http://h/announce?info_hash=%20%2B%FF%2Faaaaaaaaaaaaaaaa&peer_id=-WL0100-abcdefghijkl&port=6881\
             &uploaded=1&downloaded=2&left=3&compact=1&numwant=50&event=started&key=000000AB"
        );
        for (url, front) in [
            ("http://h/a?passkey=1", "http://h/a?passkey=1&info_hash="),
            ("http://h/a?", "http://h/a?info_hash="),
            ("http://h/a#x", "http://h/a?info_hash="),
        ] {
            assert!(http(url, &request, 0).starts_with(front), "{url}");
        }
    }

    #[test]
    fn peer_routes_stand_where_the_announce_path_does() {
        for (url, trusted, there) in [
            ("http://h:1/announce", true, Some("http://h:1/get_peers")),
            ("http://h/t/announce/u.key?x=1", true, Some("http://h/t/get_peers/u.key?x=1")),
            ("https://h:1", true, Some("https://h:1/get_peers")),
            ("https://h:1/", true, Some("https://h:1/get_peers")),
            ("http://h:1/announce/u.key?x=1#y", false, Some("http://h:1/get_peers")),
            ("http://h:1/admin/reboot", false, Some("http://h:1/get_peers")),
            ("http://h?reboot", false, Some("http://h/get_peers")),
            ("http://user@h/announce", false, None),
            ("http://h\\@o/announce", false, None),
        ] {
            assert_eq!(peer_route(url, trusted, "get_peers").as_deref(), there, "{url}");
        }
    }

    #[test]
    fn a_udp_tracker_has_a_port_and_perhaps_a_path() {
        for (url, place) in [
            ("udp://h:1", Some(("h:1", ""))),
            ("UDP://h:1/", Some(("h:1", ""))),
            ("udp://h:1/announce", Some(("h:1", "/announce"))),
            ("udp://h:1?x=1", Some(("h:1", "?x=1"))),
            ("udp://[::1]:1/a?b#c", Some(("[::1]:1", "/a?b"))),
            ("udp://h", None),
            ("udp://h:0", None),
            ("udp://h:70000", None),
            ("udp://[::1]", None),
            ("http://h:1", None),
            ("udp", None),
        ] {
            assert_eq!(udp(url), place, "{url}");
        }
    }
}
