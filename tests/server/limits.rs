//! The rate limiter as clients see it: section 5 step 2, section 10, section 11.

use crate::support::{Daemon, HOST, PEER, announce, hash};

fn limited() -> Daemon {
    Daemon::with(|settings| settings.rate = (5, 10))
}

#[test]
fn twelve_announces_at_once_get_ten_answers_and_two_failures() {
    let mut daemon = limited();
    let replies: Vec<_> = (0..12).map(|_| daemon.announce(PEER, &hash(1), "left=1")).collect();
    assert!(replies[..10].iter().all(|reply| reply.failure().is_none()));
    for reply in &replies[10..] {
        assert_eq!(reply.failure(), Some("Rate limit exceeded. Please slow down."));
        assert_eq!(reply.bytes("retry in"), Some(&b"1"[..]));
        assert_eq!((reply.int("interval"), reply.int("min interval")), (Some(1800), Some(60)));
    }
    daemon.advance(200);
    assert_eq!(daemon.announce(PEER, &hash(1), "left=1").failure(), None);
    assert!(daemon.announce(PEER, &hash(1), "left=1").failure().is_some());
}

#[test]
fn what_is_no_announce_gets_a_429() {
    for (request, text) in [
        ("GET /scrape", "Too Many Requests"),
        ("GET /nothing", "Too Many Requests"),
        ("GET /robots.txt", "Too Many Requests"),
        ("OPTIONS /announce", "Too Many Requests"),
        ("PUT /announce", "Too Many Requests"),
        ("GET /api/registry?info_hash=a", "{\"error\":\"Too Many Requests\"}\n"),
        ("GET /api/nothing", "{\"error\":\"Too Many Requests\"}\n"),
        ("OPTIONS /api/registry", "{\"error\":\"Too Many Requests\"}\n"),
    ] {
        let mut daemon = limited();
        for _ in 0..10 {
            daemon.get(PEER, "/announce");
        }
        let reply = daemon.ask(PEER, format!("{request} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!((reply.status, reply.field("retry-after")), (429, Some("1")), "{request}");
        assert_eq!(reply.text(), text, "{request}");
    }
}

#[test]
fn every_request_but_the_exempt_ones_takes_a_token() {
    for path in ["/", "/health", "/metrics"] {
        let mut daemon = limited();
        for _ in 0..30 {
            assert_eq!(daemon.get(PEER, path).status, 200);
        }
        assert_eq!(daemon.announce(PEER, &hash(1), "left=1").failure(), None);
    }
    for path in ["/announce", "/scrape", "/nothing", "/robots.txt", "/api/nothing"] {
        let mut daemon = limited();
        for _ in 0..10 {
            assert_ne!(daemon.get(PEER, path).status, 429);
        }
        assert_eq!(daemon.get(PEER, "/scrape").status, 429, "{path}");
    }
}

#[test]
fn a_limit_is_one_address_or_one_ipv6_network() {
    let mut daemon = limited();
    let one = ["192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3"];
    for at in 0..10 {
        assert_ne!(daemon.get(one[at % 3], "/scrape").status, 429);
    }
    assert!(one.iter().all(|peer| daemon.get(peer, "/scrape").status == 429));
    assert_eq!(daemon.get("192.0.2.2:1", "/scrape").status, 200);
    let network = ["[2001:db8::1]:1", "[2001:db8::ffff:1]:1"];
    for at in 0..10 {
        assert_ne!(daemon.get(network[at % 2], "/scrape").status, 429);
    }
    assert!(network.iter().all(|peer| daemon.get(peer, "/scrape").status == 429));
    assert_eq!(daemon.get("[2001:db8:0:1::1]:1", "/scrape").status, 200);
}

#[test]
fn behind_a_proxy_the_client_pays_and_not_the_proxy() {
    let mut daemon = Daemon::with(|settings| {
        settings.rate = (5, 10);
        settings.trusted_proxies = vec!["192.0.2.1".parse().expect("a network")];
    });
    let mut ask = |client: &str| {
        let target = announce(&hash(1), "left=1");
        daemon.ask(PEER, format!("GET {target} HTTP/1.1\r\n{HOST}X-Forwarded-For: {client}\r\n\r\n"))
    };
    for _ in 0..10 {
        assert_eq!(ask("203.0.113.1").failure(), None);
    }
    assert!(ask("203.0.113.1").failure().is_some());
    assert_eq!(ask("203.0.113.2").failure(), None);
}

#[test]
fn either_value_zero_turns_the_limit_off() {
    for rate in [(0, 10), (5, 0)] {
        let mut daemon = Daemon::with(|settings| settings.rate = rate);
        for _ in 0..100 {
            assert_eq!(daemon.announce(PEER, &hash(1), "left=1").failure(), None);
        }
    }
}

#[test]
fn a_flood_from_everywhere_never_refuses_a_stranger() {
    let mut daemon = limited();
    for n in 0..100_000u32 {
        let peer = format!("{}:1", std::net::Ipv4Addr::from(0x0a00_0000 + n));
        assert_eq!(daemon.get(&peer, "/scrape").status, 200);
    }
}
