//! UDP packets of real clients, as they were recorded (with a connection id and a transaction of ours).

use crate::support::{golden, key};
use std::net::Ipv4Addr;
use weightless::wire::announce::{AnnouncedHash, Event};
use weightless::wire::udp_tracker::{self as wire, action};

const V1: &str = "9af3591de3b24201a5d474a830bb9ba2748298db";
const V2_CUT: &str = "9baee2654a169b52ac4f07ea4605ab92e9da4dcd";
const PLAIN: &str = "b98c05e4da43d2135939ccc10160b34c9f4477f7";
const SIZE: u64 = 1_572_871;
const URL: &[u8] = b"/pk123/announce?auth=a%2Fb";

/// File, hash, downloaded, left, event, peers wanted, port, URL data.
type Case = (&'static str, &'static str, u64, u64, Event, Option<u32>, u16, &'static [u8]);

#[rustfmt::skip]
const ANNOUNCES: &[Case] = &[
    ("libtorrent-2.1.1-started.udp", V1, 0, SIZE, Event::Started, Some(200), 8724, URL),
    ("libtorrent-2.1.1-started-v2.udp", V2_CUT, 0, SIZE, Event::Started, Some(200), 8724, URL),
    ("libtorrent-2.1.1-completed.udp", V1, SIZE, 0, Event::Completed, Some(200), 8724, URL),
    // Zero peers wanted means the default; that nobody is offered to who leaves is the tracker's business.
    ("libtorrent-2.1.1-stopped.udp", V1, 0, SIZE, Event::Stopped, None, 8724, URL),
    ("transmission-3.00-stopped-first.udp", PLAIN, 0, SIZE, Event::Stopped, None, 9743, b""),
    ("transmission-3.00-started.udp", PLAIN, 0, SIZE, Event::Started, Some(80), 9743, b""),
    ("rqbit-9.1.0-started.udp", V1, 0, SIZE, Event::Started, None, 8102, b""),
];

#[test]
fn announces_of_real_clients_are_understood() {
    for (name, hash, downloaded, left, event, wanted, port, url) in ANNOUNCES {
        let bytes = golden(name);
        assert_eq!(bytes.len(), 98 + if url.is_empty() { 0 } else { 2 + url.len() }, "{name}");
        let preamble = wire::parse_preamble(&bytes).expect("16 bytes and more");
        assert_eq!((preamble.connection_id, preamble.transaction), (0x1122_3344_5566_7788, 0x0bad_f00d));
        assert_eq!(preamble.action, action::ANNOUNCE, "{name}");
        let announce = wire::parse_announce(&bytes).unwrap_or_else(|bad| panic!("{name}: {bad:?}"));
        let request = announce.request;
        assert_eq!(request.info_hash, AnnouncedHash::Short(key(hash)), "{name}");
        assert_eq!((request.uploaded, request.downloaded), (0, *downloaded), "{name}");
        assert_eq!((request.left, request.event), (Some(*left), *event), "{name}");
        assert_eq!((request.peers_wanted, request.port), (*wanted, *port), "{name}");
        assert_eq!(announce.address_field, Ipv4Addr::UNSPECIFIED, "{name}");
        let mut data = Vec::new();
        wire::url_data(announce.options, &mut data);
        assert_eq!(&data, url, "{name}");
    }
}

#[test]
fn a_connect_and_a_scrape_are_understood() {
    let connect = golden("bep15-connect.udp");
    let preamble = wire::parse_preamble(&connect).expect("16 bytes");
    assert_eq!((preamble.connection_id, preamble.action), (wire::PROTOCOL_ID, action::CONNECT));
    let mut written = Vec::new();
    wire::write_connect_request(&mut written, 0x0bad_f00d);
    assert_eq!(written, connect);

    let scrape = golden("transmission-3.00-scrape.udp");
    assert_eq!(wire::parse_preamble(&scrape).map(|preamble| preamble.action), Some(action::SCRAPE));
    let keys: Vec<_> = wire::parse_scrape(&scrape).expect("one hash").collect();
    assert_eq!(keys, [key(PLAIN)]);
}

/// BEP 41: what each odd option does to the data behind it.
#[test]
fn options_are_collected_until_something_is_odd() {
    let long = [&[2, 255][..], &[b'x'; 255]].concat().repeat(5);
    for (options, collected) in [
        (&b""[..], &b""[..]),
        (b"\x00", b""),
        (b"\x01\x01\x01\x02\x02/a\x00\x02\x02/b", b"/a"),
        (b"\x02\x02/a\x01\x02\x03/bc", b"/a/bc"),
        (b"\x03\x02zz\x02\x01/", b"/"),
        (b"\xff\x00\x02\x01/", b"/"),
        (b"\x02\x01/\x02\xff/", b"/"),
        (b"\x02\xff/", b""),
        (b"\x02", b""),
        (b"\x02\x00\x02\x01/", b"/"),
        (b"\x07", b""),
        // 1024 bytes are kept of 1275.
        (&long, &[b'x'; 1024]),
    ] {
        let mut data = Vec::new();
        wire::url_data(options, &mut data);
        assert_eq!(data, collected, "{options:?}");
    }
}
