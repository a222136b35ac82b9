//! Answers, byte for byte: what we write, and that a client reads it back.

use crate::support::golden;
use weightless::base::{SwarmKey, V2Hash};
use weightless::wire::announce::{AnnounceResponse, AnnouncedHash, Refusal, ScrapeStats};
use weightless::wire::http_tracker::{self as http, Pace, ScrapeFiles};
use weightless::wire::tracker_client::{self as client, HttpReply, UdpReply};
use weightless::wire::udp_tracker::{self as udp, AddressFamily};

const TRANSACTION: u32 = 0x0bad_f00d;
const PACE: Pace = Pace { interval_s: 1800, min_interval_s: 60 };
const V4: [u8; 12] = [192, 0, 2, 1, 0x1a, 0xe1, 198, 51, 100, 7, 0, 80];
const V6: [u8; 18] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1a, 0xe1];

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn response(complete: u32, incomplete: u32, peers4: &[u8], peers6: &[u8]) -> AnnounceResponse {
    AnnounceResponse { complete, incomplete, peers4: peers4.to_vec(), peers6: peers6.to_vec() }
}

#[test]
fn udp_answers() {
    let connect = written(|out| udp::write_connect(out, TRANSACTION, 0x1122_3344_5566_7788));
    assert_eq!(connect, golden("bep15-connect-reply.udp"));
    let reply = UdpReply::Connect { connection_id: 0x1122_3344_5566_7788 };
    assert_eq!(client::parse_udp_reply(&connect), Ok((TRANSACTION, reply)));

    let both = response(2, 3, &V4, &V6);
    let v4 = written(|out| udp::write_announce(out, TRANSACTION, 1800, &both, AddressFamily::V4));
    assert_eq!(v4, golden("bep15-announce-reply-ipv4.udp"));
    let reply = UdpReply::Announce { interval_s: 1800, incomplete: 3, complete: 2, peers: &V4 };
    assert_eq!(client::parse_udp_reply(&v4), Ok((TRANSACTION, reply)));
    let other = response(0, 1, &V4, &V6);
    let v6 = written(|out| udp::write_announce(out, TRANSACTION, 1800, &other, AddressFamily::V6));
    assert_eq!(v6, golden("bep15-announce-reply-ipv6.udp"));

    let error = written(|out| udp::write_error(out, TRANSACTION, "info_hash is blocked", None));
    assert_eq!(error, golden("bep15-error-reply.udp"));
    let reply = UdpReply::Error(b"info_hash is blocked");
    assert_eq!(client::parse_udp_reply(&error), Ok((TRANSACTION, reply)));
    let text = udp::refusal_text(Refusal::RateLimited);
    let cut = written(|out| udp::write_error(out, TRANSACTION, text, Some(16)));
    assert_eq!(cut, golden("bep15-error-cut-to-16.udp"));
}

#[test]
fn a_udp_scrape_answer_keeps_to_32_bits() {
    let stats = [
        ScrapeStats { complete: 5, downloaded: 1000, incomplete: 7, downloaders: 6 },
        ScrapeStats { downloaded: u64::from(u32::MAX) + 1, ..ScrapeStats::default() },
    ];
    let scrape = written(|out| {
        udp::begin_scrape(out, TRANSACTION);
        stats.iter().for_each(|stats| udp::push_scrape(out, stats));
    });
    assert_eq!(scrape, golden("bep15-scrape-reply.udp"));
    let Ok((TRANSACTION, UdpReply::Scrape(entries))) = client::parse_udp_reply(&scrape) else { panic!() };
    let counts: Vec<_> =
        client::scraped(entries).map(|stats| (stats.complete, stats.downloaded, stats.incomplete)).collect();
    assert_eq!(counts, [(5, 1000, 7), (0, u64::from(u32::MAX), 0)]);
}

#[test]
fn http_announce_answers() {
    let v4 = "203.0.113.5".parse().expect("an address");
    let v6 = "2001:db8::5".parse().expect("an address");
    let short = Pace { interval_s: 30, min_interval_s: 30 };
    for (name, response, pace, external, compact) in [
        ("bep23-announce-reply.bencode", response(2, 3, &V4, &[]), PACE, v4, true),
        ("bep7-announce-reply.bencode", response(0, 2, &V4[..6], &V6), short, v6, true),
        ("bep3-announce-reply-long.bencode", response(0, 2, &V4[..6], &V6), PACE, v4, false),
    ] {
        let body = written(|out| http::write_announce(out, &response, pace, external, compact));
        assert_eq!(body, golden(name), "{name}");
        let external = Some(external);
        assert_eq!(
            client::parse_announce_reply(&body),
            Ok(HttpReply::Served {
                response,
                interval_s: pace.interval_s,
                min_interval_s: Some(pace.min_interval_s),
                external,
                warning: None
            }),
            "{name}"
        );
    }
}

#[test]
fn http_refusals() {
    for (name, refusal) in [
        ("bep31-failure-retry.bencode", Refusal::RateLimited),
        ("bep31-failure-never.bencode", Refusal::Blocked),
        ("bep3-failure.bencode", Refusal::Unauthorized),
    ] {
        let (text, retry_in) = http::refusal_text(refusal, false);
        let body = written(|out| http::write_failure(out, text.as_bytes(), PACE, retry_in));
        assert_eq!(body, golden(name), "{name}");
        let retry_in = retry_in.map(|text| text.as_bytes().to_vec());
        let reply = HttpReply::Failed { reason: text.as_bytes().to_vec(), retry_in };
        assert_eq!(client::parse_announce_reply(&body), Ok(reply), "{name}");
        assert!(client::parse_scrape_reply(&body).is_err(), "{name}");
    }
}

/// Sorted by raw bytes, each hash once: the two lengths do not get in each other's way.
#[test]
fn http_scrape_answers() {
    let short = AnnouncedHash::Short(SwarmKey([1; 20]));
    let full = AnnouncedHash::Full(V2Hash([2; 32]));
    let busy = ScrapeStats { complete: 1, downloaded: 1 << 32, incomplete: 3, downloaders: 2 };
    let mut files = ScrapeFiles::default();
    let body = written(|out| files.write(out));
    assert_eq!(body, golden("bep48-scrape-reply-empty.bencode"));
    assert_eq!(client::parse_scrape_reply(&body), Ok(Vec::new()));
    for (hash, stats) in [(full, ScrapeStats::default()), (short, busy), (full, ScrapeStats::default())] {
        files.push(hash, stats);
    }
    let body = written(|out| files.write(out));
    assert_eq!(body, golden("bep48-scrape-reply.bencode"));
    let read = client::parse_scrape_reply(&body);
    assert_eq!(read, Ok(vec![(short, busy), (full, ScrapeStats::default())]));
}
