//! HTTP requests of real clients, as they were recorded.

use crate::support::{all_golden, golden, key};
use weightless::wire::announce::{AnnouncedHash, Event};
use weightless::wire::http_tracker::{parse_announce, scraped_hashes};
use weightless::wire::http1::{Head, Method, Parsed, Version, parse_head};

const V1: &str = "9af3591de3b24201a5d474a830bb9ba2748298db";
const V2_CUT: &str = "9baee2654a169b52ac4f07ea4605ab92e9da4dcd";
const V2_ONLY: &str = "479473a71743aa3c5315d2d26ea415b779e25459";
const PLAIN: &str = "b98c05e4da43d2135939ccc10160b34c9f4477f7";
const SIZE: u64 = 1_572_871;

/// File, hash, beginning of the peer id, port, uploaded, downloaded, left, event, numwant.
type Case = (&'static str, &'static str, &'static [u8], u16, u64, u64, u64, Event, Option<u32>);

#[rustfmt::skip]
const ANNOUNCES: &[Case] = &[
    ("libtorrent-2.1.1-started-v1.http", V1, b"-LT2110-lQnJcF63M(b8", 8104, 0, 0, SIZE, Event::Started, Some(200)),
    ("libtorrent-2.1.1-started-v2.http", V2_CUT, b"-LT2110-lQnJcF63M(b8", 8104, 0, 0, SIZE, Event::Started, Some(200)),
    ("libtorrent-2.1.1-stopped.http", V1, b"-LT2110-lQnJcF63M(b8", 8104, 0, 0, SIZE, Event::Stopped, Some(0)),
    ("libtorrent-2.1.1-v2-only.http", V2_ONLY, b"-LT2110-", 8104, 0, 0, 1_638_400, Event::Started, Some(200)),
    ("qbittorrent-4.5.2-completed.http", V1, b"-qB4520-O38MnC9jYqR*", 8109, 0, SIZE, 0, Event::Completed, Some(200)),
    ("transmission-3.00-started.http", PLAIN, b"-TR3000-q51pcu9bfz56", 9743, 0, 0, SIZE, Event::Started, Some(80)),
    ("aria2-1.36.0-started.http", PLAIN, b"A2-1-36-0-_.)\x03\x99\xa2C\x95B\xa6", 9741, 0, 0, SIZE, Event::Started, Some(50)),
    ("aria2-1.36.0-stopped.http", PLAIN, b"A2-1-36-0-", 9741, SIZE, SIZE, 0, Event::Stopped, Some(0)),
    ("rqbit-9.1.0-started.http", V1, b"-rQ9100-:\xed\x91\xd5k\xf8&\x8f\xb5\x14\xb4\xc7", 8102, 0, 0, SIZE, Event::Started, None),
    ("rtorrent-0.9.8-started.http", V1, b"-lt0D80-\x8b\xfb8LR\x17\x96\x83\x1e:W\xd9", 8107, 0, 0, SIZE, Event::Started, None),
    ("ctorrent-3.3.2-started.http", V1, b"-CD0303-El\x04V=E@\x1dI\xef\x94\x18", 8106, 0, 0, SIZE, Event::Started, Some(100)),
    ("go-seed-wl-get.http", PLAIN, b"-WL0020-jvtrist9sggc", 6881, 0, 0, 0, Event::Started, None),
];

fn head(bytes: &[u8]) -> Head<'_> {
    match parse_head(bytes) {
        Ok(Parsed::Complete(head)) => head,
        other => panic!("{other:?}"),
    }
}

#[test]
fn announces_of_real_clients_are_understood() {
    for (name, hash, peer_id, port, uploaded, downloaded, left, event, wanted) in ANNOUNCES {
        let bytes = golden(name);
        let head = head(&bytes);
        assert_eq!((head.method, head.path, head.bytes), (Method::Get, &b"/pk123/announce"[..], bytes.len()));
        let announce = parse_announce(head.query).unwrap_or_else(|bad| panic!("{name}: {bad:?}"));
        let request = announce.request;
        assert_eq!(request.info_hash, AnnouncedHash::Short(key(hash)), "{name}");
        assert!(request.peer_id.0.starts_with(peer_id), "{name}");
        assert_eq!(request.port, *port, "{name}");
        assert_eq!((request.uploaded, request.downloaded), (*uploaded, *downloaded), "{name}");
        assert_eq!((request.left, request.event), (Some(*left), *event), "{name}");
        assert_eq!((request.peers_wanted, announce.compact), (*wanted, true), "{name}");
        assert_eq!(announce.address, None, "{name}");
    }
}

/// Who wants the connection to stay, and who speaks the old version.
#[test]
fn heads_of_real_clients_are_understood() {
    for (name, bytes) in all_golden(".http") {
        let head = head(&bytes);
        let old = name.starts_with("ctorrent");
        assert_eq!(head.version, if old { Version::Http10 } else { Version::Http11 }, "{name}");
        let closes = old || name.starts_with("libtorrent") || name.starts_with("qbittorrent");
        assert_eq!(head.keep_alive, !closes, "{name}");
        assert_eq!(head.host.is_none(), old, "{name}");
        assert!(!head.forwarded, "{name}");
    }
}

#[test]
fn a_scrape_of_transmission_is_understood() {
    let bytes = golden("transmission-3.00-scrape.http");
    let head = head(&bytes);
    assert_eq!(head.path, b"/pk123/scrape");
    let hashes: Vec<_> = scraped_hashes(head.query).collect();
    assert_eq!(hashes, [AnnouncedHash::Short(key(PLAIN))]);
}

#[test]
fn pluses_of_a_form_encoder_are_spaces() {
    let bytes = golden("form-encoder-plus.http");
    let request = parse_announce(head(&bytes).query).expect("an announce").request;
    assert_eq!(&request.info_hash.key().0, b"a b+c \x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d");
    assert_eq!(&request.peer_id.0, b"-PY0001- bcdefghijkl");
}
