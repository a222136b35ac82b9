//! Sections 3 and 4: the grammar of a query, and what each parameter may be.

use crate::support::{Daemon, HOST, PEER, announce, hash};

const ID: &str = "peer_id=-XX0001-abcdefghijkl";

fn failure(daemon: &mut Daemon, query: &str) -> Option<String> {
    let reply = daemon.get(PEER, &format!("/announce?{query}"));
    assert_eq!(reply.status, 200, "{query}");
    reply.failure().map(|text| text.strip_prefix("Invalid announce: ").unwrap_or(text).to_owned())
}

#[test]
fn required_parameters_are_checked_in_order() {
    let mut daemon = Daemon::new();
    let h = hash(1);
    for (query, text) in [
        (String::new(), "missing info_hash"),
        ("info_hash".to_owned(), "missing info_hash"),
        ("info_hash=".to_owned(), "missing info_hash"),
        ("info_hash=&info_hash=12345678901234567890".to_owned(), "missing info_hash"),
        ("Info_hash=12345678901234567890".to_owned(), "missing info_hash"),
        ("info%5fhash=12345678901234567890".to_owned(), "missing info_hash"),
        ("info_hash=abc".to_owned(), "info_hash must be 20 or 32 bytes, got 3"),
        (format!("info_hash={h}%01"), "info_hash must be 20 or 32 bytes, got 21"),
        (format!("info_hash={}", "x".repeat(100)), "info_hash must be 20 or 32 bytes, got 100"),
        ("info_hash=%4".to_owned(), "malformed percent-encoding in info_hash"),
        ("info_hash=%zz&peer_id=%zz".to_owned(), "malformed percent-encoding in info_hash"),
        (format!("info_hash={h}"), "missing peer_id"),
        (format!("info_hash={h}&peer_id=&port=0"), "missing peer_id"),
        (format!("info_hash={h}&peer_id=x&port=0"), "peer_id must be exactly 20 bytes, got 1"),
        (format!("info_hash={h}&peer_id={}", "x".repeat(21)), "peer_id must be exactly 20 bytes, got 21"),
        (format!("info_hash={h}&peer_id=%"), "malformed percent-encoding in peer_id"),
        (format!("info_hash={h}&{ID}&uploaded=x"), "missing port"),
        (format!("info_hash={h}&{ID}&port=%x"), "malformed percent-encoding in port"),
    ] {
        assert_eq!(failure(&mut daemon, &query).as_deref(), Some(text), "{query}");
    }
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    let mut daemon = Daemon::new();
    let base = format!("info_hash={}&{ID}", hash(1));
    let longest = format!("{}1", "0".repeat(19));
    for good in ["1", "65535", "006881", "%36881", longest.as_str()] {
        assert_eq!(failure(&mut daemon, &format!("{base}&port={good}")), None, "{good}");
    }
    let too_long = format!("{}1", "0".repeat(20));
    for bad in
        ["0", "65536", "-1", "+1", "%2B1", "1+", "%201", "6881x", "0x1", "99999999999999999999", &too_long]
    {
        let text = Some("invalid port: must be 1-65535".to_owned());
        assert_eq!(failure(&mut daemon, &format!("{base}&port={bad}")), text, "{bad}");
    }
}

#[test]
fn counters_follow_the_number_rules() {
    let mut daemon = Daemon::new();
    let base = format!("info_hash={}&{ID}&port=1", hash(1));
    for key in ["uploaded", "downloaded", "left"] {
        for good in ["", "0", "18446744073709551615", "9223372036854775808", "00000000000000000001", "%31"] {
            assert_eq!(failure(&mut daemon, &format!("{base}&{key}={good}")), None, "{key}={good}");
        }
        let text = Some(format!("invalid {key}: must be a non-negative integer"));
        for bad in [
            "-1",
            "+1",
            "%2B1",
            "%201",
            "1.0",
            "x",
            "18446744073709551616",
            "000000000000000000001",
            "%zz",
            "1%",
        ] {
            assert_eq!(failure(&mut daemon, &format!("{base}&{key}={bad}")), text, "{key}={bad}");
        }
    }
}

#[test]
fn optional_parameters_have_their_own_texts() {
    let mut daemon = Daemon::new();
    let base = format!("info_hash={}&{ID}&port=1", hash(1));
    let event = "invalid event: must be started, stopped, or completed";
    let numwant = "invalid numwant: must be an integer";
    let compact = "invalid compact: must be 0 or 1";
    for (more, text) in [
        ("event=started", None),
        ("event=stopped", None),
        ("event=completed", None),
        ("event=paused", None),
        ("event=empty", None),
        ("event=", None),
        ("event=st%61rted", None),
        ("event=Started", Some(event)),
        ("event=none", Some(event)),
        ("event=%zz", Some(event)),
        ("event=startedstartedstartedstarted", Some(event)),
        ("numwant=", None),
        ("numwant=-1", None),
        ("numwant=-999999", None),
        ("numwant=99999999999", None),
        ("numwant=0", None),
        ("numwant=-", Some(numwant)),
        ("numwant=--1", Some(numwant)),
        ("numwant=%2B1", Some(numwant)),
        ("numwant=1.5", Some(numwant)),
        ("numwant=%g0", Some(numwant)),
        ("compact=", None),
        ("compact=0", None),
        ("compact=1", None),
        ("compact=2", Some(compact)),
        ("compact=01", Some(compact)),
        ("compact=%q1", Some(compact)),
        ("ip=junk&ipv4=%zz&ipv6=&no_peer_id=%zz&key=%&trackerid=x&corrupt=-1&redundant=x", None),
        ("unknown=%zz&=x&=&&;=;", None),
        // The order of the checks: the first key of the table that is wrong is named.
        ("compact=2&numwant=x&event=x&left=x", Some("invalid left: must be a non-negative integer")),
        ("compact=2&numwant=x&event=x", Some(event)),
        ("compact=2&numwant=x", Some(numwant)),
    ] {
        assert_eq!(failure(&mut daemon, &format!("{base}&{more}")).as_deref(), text, "{more}");
    }
}

#[test]
fn the_first_occurrence_wins() {
    let mut daemon = Daemon::new();
    let h = hash(1);
    assert_eq!(
        failure(&mut daemon, &format!("info_hash={h}&{ID}&port=5&port=0&info_hash=x&left=1&left=x")),
        None
    );
    assert_eq!(
        failure(&mut daemon, &format!("info_hash={h}&{ID}&port=0&port=5")).as_deref(),
        Some("invalid port: must be 1-65535")
    );
    // An empty first one is an absent one, whatever follows: the client counts as a leecher.
    let reply = daemon.announce(PEER, &hash(2), "left=&left=0");
    assert_eq!(reply.counts(), (0, 1));
}

#[test]
fn empty_pairs_are_skipped_and_a_semicolon_is_a_byte() {
    let mut daemon = Daemon::new();
    let h = hash(1);
    assert_eq!(failure(&mut daemon, &format!("&&info_hash={h}&&&{ID}&&port=1&")), None);
    assert_eq!(
        failure(&mut daemon, &format!("info_hash={h};{ID};port=1")).as_deref(),
        Some("info_hash must be 20 or 32 bytes, got 56")
    );
    assert_eq!(
        failure(&mut daemon, &format!("?info_hash={h}&{ID}&port=1")).as_deref(),
        Some("missing info_hash")
    );
    // The value goes on behind a second `=`.
    assert_eq!(failure(&mut daemon, &format!("info_hash={}&{ID}&port=1", "=".repeat(20))), None);
}

#[test]
fn a_plus_is_a_space_unless_the_client_escapes_spaces_but_not_pluses() {
    let mut daemon = Daemon::new();
    let rest = format!("{ID}&port=1&left=1");
    // Swarm of 20 spaces, swarm of 20 pluses.
    for (query, swarm) in [
        (format!("info_hash={}&{rest}", "+".repeat(20)), "%20"),
        (format!("info_hash={}&{rest}&x=%2b", "+".repeat(20)), "%20"),
        (format!("info_hash={}&{rest}&x=%20", "+".repeat(20)), "%2B"),
        (format!("info_hash={}&{rest}&x=%20%2B", "+".repeat(20)), "%20"),
        (format!("info_hash={}&{rest}", "%2B".repeat(20)), "%2B"),
        (format!("info_hash={}&{rest}", "%20".repeat(20)), "%20"),
    ] {
        daemon.get(PEER, &format!("/announce?{query}"));
        let scraped = daemon.get(PEER, &format!("/scrape?info_hash={}", swarm.repeat(20)));
        assert!(scraped.text().contains("10:incompletei1e"), "{query}: {}", scraped.text());
        daemon.get(PEER, &format!("/announce?{query}&event=stopped"));
    }
}

#[test]
fn bytes_above_127_are_taken_as_they_are() {
    let mut daemon = Daemon::new();
    let mut request = b"GET /announce?info_hash=".to_vec();
    request.extend(0xec..=0xffu8);
    request.extend_from_slice(format!("&{ID}&port=1&left=1 HTTP/1.1\r\n{HOST}\r\n").as_bytes());
    let reply = daemon.ask(PEER, request);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.counts(), (0, 1));
    let escaped: String = (0xec..=0xffu8).map(|byte| format!("%{byte:02x}")).collect();
    assert!(daemon.get(PEER, &format!("/scrape?info_hash={escaped}")).text().contains("10:incompletei1e"));
}

#[test]
fn control_bytes_and_fragments_are_no_targets() {
    let mut daemon = Daemon::new();
    for byte in (0..=0x1f).chain([b'#', 0x7f]).filter(|byte| *byte != b'\n') {
        let mut request = b"GET /announce?x=".to_vec();
        request.push(byte);
        request.extend_from_slice(format!("y HTTP/1.1\r\n{HOST}\r\n").as_bytes());
        assert_eq!(daemon.ask(PEER, request).status, 400, "{byte:#x}");
    }
    assert_eq!(daemon.ask(PEER, format!("GET /announce?x= y HTTP/1.1\r\n{HOST}\r\n")).status, 400);
}

#[test]
fn unescaped_bytes_of_real_peer_ids_are_taken() {
    let mut daemon = Daemon::new();
    let target = announce(&hash(1), "port=1").replace("-XX0001-abcdefghijkl", "-LT2110-l(n)c!6*M.~_");
    assert_eq!(daemon.get(PEER, &target).failure(), None);
}
