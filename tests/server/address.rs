//! Section 6: who the client is, behind proxies and on private networks. `external ip` says whom we took it for.

use crate::support::{Daemon, HOST, announce, hash};
use std::net::IpAddr;

const PROXY: &str = "10.0.0.1:555";

fn daemon() -> Daemon {
    Daemon::with(|settings| {
        settings.trusted_proxies =
            ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|net| net.parse().expect("a network")).to_vec();
    })
}

/// The address that an announce with these fields is taken to come from.
fn seen(daemon: &mut Daemon, peer: &str, fields: &str, more: &str) -> Result<IpAddr, String> {
    let target = announce(&hash(1), &format!("left=1&{more}"));
    let reply = daemon.ask(peer, format!("GET {target} HTTP/1.1\r\n{HOST}{fields}\r\n"));
    if let Some(reason) = reply.failure() {
        return Err(reason.to_owned());
    }
    let bytes = reply.bytes("external ip").expect("an address");
    Ok(match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).expect("4 bytes")),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).expect("4 or 16 bytes")),
    })
}

#[test]
fn only_a_trusted_proxy_names_a_client() {
    for (fields, ip) in [
        ("", "10.0.0.1"),
        ("X-Forwarded-For: 203.0.113.5\r\n", "203.0.113.5"),
        ("x-forwarded-for:203.0.113.5\r\n", "203.0.113.5"),
        ("X-Forwarded-For: 203.0.113.5:99\r\n", "203.0.113.5"),
        ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1"),
        ("X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"),
        ("X-Forwarded-For: fe80::1%eth0\r\n", "fe80::1"),
        ("X-Forwarded-For: ::ffff:203.0.113.5\r\n", "203.0.113.5"),
        // From the right: the first that is not trusted; what stands left of it is the client's own word.
        ("X-Forwarded-For: 1.1.1.1, 203.0.113.5\r\n", "203.0.113.5"),
        ("X-Forwarded-For: 1.1.1.1, 203.0.113.5, 10.9.9.9\r\n", "203.0.113.5"),
        ("X-Forwarded-For: junk, 203.0.113.5, 2001:db8:ffff::7\r\n", "203.0.113.5"),
        ("X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n", "10.3.3.3"),
        ("X-Forwarded-For: 1.1.1.1\r\nX: y\r\nX-Forwarded-For: 203.0.113.5, 10.2.2.2\r\n", "203.0.113.5"),
        ("Forwarded: for=203.0.113.5\r\n", "203.0.113.5"),
        ("Forwarded: For=\"203.0.113.5:99\"; proto=http\r\n", "203.0.113.5"),
        ("Forwarded: proto=http;for=\"[2001:db8::1]:99\";by=10.0.0.1\r\n", "2001:db8::1"),
        ("Forwarded: for=1.1.1.1, for=203.0.113.5;host=x, for=10.2.2.2\r\n", "203.0.113.5"),
        ("Forwarded: for=1.1.1.1\r\nForwarded: for=203.0.113.5\r\n", "203.0.113.5"),
        // Commas and semicolons inside quotes part nothing: a host that a client made up names nobody.
        ("Forwarded: for=203.0.113.5;host=\"x,for=6.6.6.6;y\"\r\n", "203.0.113.5"),
        ("Forwarded: host=\"a;for=6.6.6.6\";for=203.0.113.5\r\n", "203.0.113.5"),
        ("Forwarded: host=\"a\\\",for=6.6.6.6\";for=203.0.113.5\r\n", "203.0.113.5"),
        ("Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 203.0.113.5\r\n", "203.0.113.5"),
        ("X-Real-IP: 6.6.6.6\r\nVia: x\r\n", "10.0.0.1"),
    ] {
        assert_eq!(seen(&mut daemon(), PROXY, fields, ""), Ok(ip.parse().expect("an address")), "{fields}");
        let own = "203.0.113.77:1";
        assert_eq!(
            seen(&mut daemon(), own, fields, ""),
            Ok("203.0.113.77".parse().expect("one")),
            "{fields}"
        );
    }
    let fields = "X-Forwarded-For: 203.0.113.5\r\n";
    assert_eq!(
        seen(&mut daemon(), "[::ffff:10.0.0.1]:1", fields, ""),
        Ok("203.0.113.5".parse().expect("one"))
    );
    assert_eq!(
        seen(&mut Daemon::new(), PROXY, fields, ""),
        Ok("10.0.0.1".parse().expect("one")),
        "nobody is trusted by default"
    );
}

#[test]
fn a_trusted_proxy_that_names_no_address_is_refused() {
    for value in
        ["unknown", "_x", "junk", "1.2.3", "1.2.3.4:x", "[::1", "[::1]:99999", "1.1.1.1, unknown, 10.2.2.2"]
    {
        for field in ["X-Forwarded-For: ", "Forwarded: for="] {
            let value = if field.starts_with('F') { value.replace(", ", ", for=") } else { value.to_owned() };
            let fields = format!("{field}{value}\r\n");
            let mut daemon = daemon();
            assert_eq!(
                seen(&mut daemon, PROXY, &fields, ""),
                Err("Invalid remote address".to_owned()),
                "{fields}"
            );
            let ask = |daemon: &mut Daemon, path: &str| {
                daemon.ask(PROXY, format!("GET {path} HTTP/1.1\r\n{HOST}{fields}\r\n"))
            };
            let scrape = ask(&mut daemon, "/scrape");
            assert_eq!((scrape.status, scrape.failure()), (200, Some("Invalid remote address")));
            assert_eq!(ask(&mut daemon, "/api/registry?info_hash=a").status, 400);
            assert_eq!(ask(&mut daemon, "/health").status, 200);
        }
    }
}

#[test]
fn clients_on_private_networks_may_name_themselves_when_allowed() {
    let v4 = "203.0.113.9";
    for peer in [
        "127.0.0.1",
        "10.1.1.1",
        "172.16.0.1",
        "192.168.9.9",
        "169.254.3.3",
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        let own: IpAddr = peer.trim_matches(['[', ']']).parse().expect("an address");
        let peer = format!("{peer}:1");
        for (more, ip) in [
            ("ip=203.0.113.9", Some(v4)),
            ("ipv4=203.0.113.9", Some(v4)),
            ("ipv6=2001:db8::9", Some("2001:db8::9")),
            ("ipv6=2001%3Adb8%3A%3A9", Some("2001:db8::9")),
            ("ipv6=2001:db8::9&ipv4=1.1.1.1&ip=203.0.113.9", Some(v4)),
            ("ip=::ffff:203.0.113.9", Some(v4)),
            ("ip=", None),
            ("ip=tracker.example", None),
            ("ip=224.0.0.1", None),
            ("ip=0.0.0.0", None),
            ("ip=255.255.255.255", None),
            ("ipv6=ff02::1", None),
            ("ipv6=::", None),
            ("ip=%zz", None),
        ] {
            let mut daemon = Daemon::with(|settings| settings.trust_ip_param = true);
            let named = ip.map_or(own, |ip| ip.parse().expect("an address"));
            assert_eq!(seen(&mut daemon, &peer, "", more), Ok(named), "{peer} {more}");
            assert_eq!(seen(&mut Daemon::new(), &peer, "", more), Ok(own), "{peer} {more}");
        }
    }
    for peer in ["203.0.113.1:1", "172.32.0.1:1", "[2001:db8::1]:1"] {
        let mut daemon = Daemon::with(|settings| settings.trust_ip_param = true);
        let own =
            peer.rsplit_once(':').expect("a port").0.trim_matches(['[', ']']).parse().expect("an address");
        assert_eq!(seen(&mut daemon, peer, "", "ip=203.0.113.9"), Ok(own), "{peer}");
    }
}

#[test]
fn the_port_is_the_parameter_and_never_the_sockets() {
    let mut daemon = Daemon::new();
    daemon.announce("192.0.2.7:55555", &hash(1), "left=1&port=6881");
    let peers = daemon.announce("192.0.2.8:44444", &hash(1), "left=1&port=6882");
    assert_eq!(peers.bytes("peers"), Some(&[192, 0, 2, 7, 0x1a, 0xe1][..]));
}
