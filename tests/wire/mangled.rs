//! Every truncation and every single-byte corruption of everything golden: an error or another message, never a panic,
//! and never more than the input allows.

use crate::support::{all_golden, golden};
use weightless::wire::http_tracker::{parse_announce, scraped_hashes};
use weightless::wire::http1::{Parsed, parse_head};
use weightless::wire::passkey::passkey_of_path;
use weightless::wire::query::form_param;
use weightless::wire::tracker_client as client;
use weightless::wire::udp_tracker as udp;

/// The message cut at each length, and with each byte changed in several ways.
fn mangled(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let changes = [0x01, 0x80, 0xff, 0x20, 0x0a];
    let changed = (0..bytes.len()).flat_map(move |at| {
        changes.into_iter().map(move |change| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= change;
            bytes
        })
    });
    let replaced = (0..bytes.len()).flat_map(move |at| {
        b"\0\r\n %&+=:ed9".iter().map(move |byte| {
            let mut bytes = bytes.to_vec();
            bytes[at] = *byte;
            bytes
        })
    });
    cut.chain(changed).chain(replaced)
}

#[test]
fn http_requests() {
    for (_, bytes) in all_golden(".http") {
        for mangled in mangled(&bytes) {
            let Ok(Parsed::Complete(head)) = parse_head(&mangled) else { continue };
            assert!(head.bytes <= mangled.len());
            let _ = parse_announce(head.query);
            let _ = scraped_hashes(head.query).count();
            let _ = form_param(head.query, "info_hash");
            let _ = passkey_of_path(head.path, b"/pk123");
            assert!(head.lines("host").count() <= 1);
        }
    }
}

/// A cut head is an unfinished one, never a refusal: splitting a request changes nothing.
#[test]
fn a_cut_http_request_is_unfinished() {
    for (name, bytes) in all_golden(".http") {
        for length in 0..bytes.len() {
            assert!(matches!(parse_head(&bytes[..length]), Ok(Parsed::Partial)), "{name}: {length}");
        }
    }
}

#[test]
fn udp_packets() {
    for (_, bytes) in all_golden(".udp") {
        for mangled in mangled(&bytes) {
            assert_eq!(udp::parse_preamble(&mangled).is_none(), mangled.len() < 16);
            if let Ok(announce) = udp::parse_announce(&mangled) {
                assert!(mangled.len() >= 98 && announce.request.port > 0);
                let mut data = Vec::new();
                udp::url_data(announce.options, &mut data);
                assert!(data.len() <= announce.options.len());
            }
            if let Ok(keys) = udp::parse_scrape(&mangled) {
                assert_eq!(keys.count(), ((mangled.len() - 16) / 20).min(74));
            }
            if let Ok((_, client::UdpReply::Scrape(entries))) = client::parse_udp_reply(&mangled) {
                assert_eq!(client::scraped(entries).count(), entries.len() / 12);
            }
        }
    }
}

#[test]
fn http_answers() {
    for (_, bytes) in all_golden(".bencode") {
        for mangled in mangled(&bytes) {
            let _ = client::parse_announce_reply(&mangled);
            let _ = client::parse_scrape_reply(&mangled);
        }
        for length in 0..bytes.len() {
            assert!(client::parse_announce_reply(&bytes[..length]).is_err());
            assert!(client::parse_scrape_reply(&bytes[..length]).is_err());
        }
    }
}

/// Requests that are at a bound, and one past it.
#[test]
fn bounds_of_a_head() {
    let at = |length: usize| {
        let front = "GET /announce?x=";
        let back = " HTTP/1.1\r\nHost: t\r\n\r\n";
        format!("{front}{}{back}", "a".repeat(length - front.len() - back.len()))
    };
    assert!(matches!(parse_head(at(8192).as_bytes()), Ok(Parsed::Complete(_))));
    assert_eq!(parse_head(at(8193).as_bytes()).map(drop).map_err(|bad| bad.status()), Err(431));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert!(matches!(parse_head(fields(64).as_bytes()), Ok(Parsed::Complete(_))));
    assert_eq!(parse_head(fields(65).as_bytes()).map(drop).map_err(|bad| bad.status()), Err(431));
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length - "GET / HTTP/1.1".len()));
    assert_eq!(parse_head(line(8193).as_bytes()).map(drop).map_err(|bad| bad.status()), Err(414));
    // As many hashes as fit: about 115 escaped ones.
    let mut many = golden("transmission-3.00-scrape.http");
    let end = many.windows(5).position(|five| five == b" HTTP").expect("a request line");
    many.splice(end..end, format!("&info_hash={}", "%01".repeat(20)).repeat(110).into_bytes());
    let Ok(Parsed::Complete(head)) = parse_head(&many) else { panic!("{}", many.len()) };
    assert_eq!(scraped_hashes(head.query).count(), 111);
}
