//! Extension messages: bytes of the specification, round trips, odd fields, bounds, noise.

use super::*;
use weightless::base::Rng;

const OWN: OwnHello = OwnHello {
    metadata: true,
    pex: true,
    metadata_size: Some(1234),
    port: Some(6881),
    complete: true,
    your_ip: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
};

fn hello(own: &OwnHello) -> Vec<u8> {
    let mut out = Vec::new();
    write_hello(&mut out, own);
    out
}

fn metadata(message: &MetadataMessage<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_metadata(&mut out, message);
    out
}

#[test]
fn our_hello_has_the_fields_of_the_specification() {
    let expected = b"d1:md11:ut_metadatai1e6:ut_pexi2ee13:metadata_sizei1234e1:pi6881e4:reqqi2000e\
        11:upload_onlyi1e1:v16:Weightless 0.1.06:yourip4:\xc0\x00\x02\x01e";
    assert_eq!(hello(&OWN), expected);
    let private =
        OwnHello { pex: false, metadata_size: None, port: None, complete: false, your_ip: None, ..OWN };
    assert_eq!(hello(&private), b"d1:md11:ut_metadatai1ee4:reqqi2000e1:v16:Weightless 0.1.0e");
    let small = OwnHello { metadata: false, ..OWN };
    let small = String::from_utf8_lossy(&hello(&small)).into_owned();
    assert!(!small.contains("metadata"), "{small}");
}

#[test]
fn our_hello_is_read_as_it_was_meant() {
    let mut peer = Hello::default();
    for ip in ["192.0.2.1", "2001:db8::1"] {
        let ip = ip.parse().expect("an address");
        peer.apply(parse_hello(&hello(&OwnHello { your_ip: Some(ip), ..OWN })).expect("a dictionary"));
        let expected = Hello {
            metadata_id: 1,
            pex_id: 2,
            metadata_size: Some(1234),
            port: Some(6881),
            reqq: Some(2000),
            upload_only: true,
            client: "Weightless 0.1.0".into(),
            your_ip: Some(ip),
        };
        assert_eq!(peer, expected);
    }
}

#[test]
fn later_hellos_add_and_zero_switches_off() {
    let mut peer = Hello::default();
    peer.apply(parse_hello(b"d1:md11:ut_metadatai7e6:ut_pexi9ee1:v1:xe").expect("a dictionary"));
    peer.apply(parse_hello(b"d1:md6:ut_pexi0ee11:upload_onlyi1ee").expect("a dictionary"));
    assert_eq!((peer.metadata_id, peer.pex_id, peer.upload_only), (7, 0, true));
    assert_eq!(peer.client, "x");
    peer.apply(parse_hello(b"de").expect("a dictionary"));
    assert_eq!((peer.metadata_id, peer.pex_id, peer.upload_only), (7, 0, true));
}

#[test]
fn ids_outside_a_byte_are_ignored() {
    for (id, read) in [("1", Some(1)), ("255", Some(255)), ("0", Some(0)), ("256", None), ("-1", None)] {
        let text = format!("d1:md11:ut_metadatai{id}eee");
        assert_eq!(parse_hello(text.as_bytes()).expect("a dictionary").metadata_id, read, "{id}");
    }
    assert_eq!(parse_hello(b"d1:md11:ut_metadata1:1ee"), Some(HelloUpdate::default()));
    assert_eq!(parse_hello(b"d1:mi1ee"), Some(HelloUpdate::default()));
}

#[test]
fn numbers_out_of_range_count_as_absent() {
    let size =
        |text: &str| parse_hello(format!("d13:metadata_sizei{text}ee").as_bytes()).expect("a dictionary");
    assert_eq!(size("1").metadata_size, Some(1));
    assert_eq!(size("67108864").metadata_size, Some(METADATA_BYTES_MAX));
    for text in ["0", "-1", "67108865", "4294967297"] {
        assert_eq!(size(text).metadata_size, None, "{text}");
    }
    let read = |text: &[u8]| parse_hello(text).expect("a dictionary");
    assert_eq!(read(b"d1:pi0e4:reqqi0ee"), HelloUpdate::default());
    assert_eq!(read(b"d1:pi65536e4:reqqi-1ee"), HelloUpdate::default());
    assert_eq!(read(b"d4:reqqi9999999999ee").reqq, Some(u32::MAX));
    assert_eq!(read(b"d6:yourip5:abcdee").your_ip, None);
    let mapped = b"d6:yourip16:\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01e";
    assert_eq!(read(mapped).your_ip, Some(IpAddr::from([127, 0, 0, 1])));
}

#[test]
fn a_client_cannot_drive_a_terminal() {
    let name = |bytes: &[u8]| {
        let mut text = format!("d1:v{}:", bytes.len()).into_bytes();
        text.extend_from_slice(bytes);
        text.push(b'e');
        parse_hello(&text).expect("a dictionary").client.expect("a name")
    };
    assert_eq!(name("a\x1b[2J\u{202e}é".as_bytes()), "a\u{fffd}[2J\u{fffd}é");
    assert_eq!(name(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    for long in ["x".repeat(64), "x".repeat(65), "🦀".repeat(300)] {
        assert_eq!(name(long.as_bytes()).chars().count(), CLIENT_CHARS_MAX);
    }
}

#[test]
fn hostile_hellos_are_refused() {
    let deep = |depth: usize| [b"d1:a".to_vec(), b"l".repeat(depth), b"e".repeat(depth + 1)].concat();
    assert!(parse_hello(&deep(15)).is_some());
    let wide = |keys: usize| {
        let entries = (0..keys).map(|key| format!("3:{key:03}0:")).collect::<String>();
        format!("d{entries}e").into_bytes()
    };
    assert!(parse_hello(&wide(256)).is_some());
    for bad in [&b""[..], b"le", b"i1e", b"d", b"d1:a", b"di1ei1ee", b"d1:ai1e1:ai1ee", &deep(16), &wide(257)]
    {
        assert_eq!(parse_hello(bad), None, "{:?}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn metadata_messages_are_those_of_bep_9() {
    let data = MetadataMessage::Data { piece: 1, total: 16387, bytes: b"xyz" };
    for (message, bytes) in [
        (MetadataMessage::Request { piece: 0 }, &b"d8:msg_typei0e5:piecei0ee"[..]),
        (data, b"d8:msg_typei1e5:piecei1e10:total_sizei16387eexyz"),
        (MetadataMessage::Reject { piece: 9 }, b"d8:msg_typei2e5:piecei9ee"),
    ] {
        assert_eq!(metadata(&message), bytes);
        assert_eq!(parse_metadata(bytes), Some(message));
    }
    for bad in [
        &b"d8:msg_typei3e5:piecei0ee"[..],
        b"d8:msg_typei0ee",
        b"d5:piecei0ee",
        b"d8:msg_typei0e5:piecei-1ee",
        b"d8:msg_typei0e5:piecei4294967296ee",
        b"d8:msg_typei1e5:piecei0eexyz",
        b"le",
    ] {
        assert_eq!(parse_metadata(bad), None, "{:?}", String::from_utf8_lossy(bad));
    }
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

#[test]
fn pex_carries_both_families() {
    let added = addresses(&["192.0.2.1:1", "[2001:db8::1]:2", "[::ffff:192.0.2.3]:3"]);
    let message = PexMessage {
        added: added.iter().copied().zip([PEX_SEED, PEX_REACHABLE, 0]).collect(),
        dropped: addresses(&["198.51.100.1:4", "[2001:db8::2]:5"]),
    };
    let mut bytes = Vec::new();
    write_pex(&mut bytes, &message);
    let expected = b"d5:added12:\xc0\x00\x02\x01\x00\x01\xc0\x00\x02\x03\x00\x037:added.f2:\x02\x00\
        6:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x028:added6.f1:\x10\
        7:dropped6:\xc6\x33\x64\x01\x00\x048:dropped618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x05e";
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(expected));
    let read = parse_pex(&bytes, 50).expect("a dictionary");
    assert_eq!(
        read.added,
        [
            ("192.0.2.1:1".parse().expect("an address"), PEX_SEED),
            ("192.0.2.3:3".parse().expect("an address"), 0),
            ("[2001:db8::1]:2".parse().expect("an address"), PEX_REACHABLE),
        ]
    );
    assert_eq!(read.dropped, []);
}

#[test]
fn pex_is_read_up_to_a_count_and_with_known_flags_only() {
    let many = PexMessage {
        added: (1..=60).map(|port| (SocketAddr::from(([192, 0, 2, 1], port)), 0xff)).collect(),
        dropped: Vec::new(),
    };
    let mut bytes = Vec::new();
    write_pex(&mut bytes, &many);
    let read = parse_pex(&bytes, 50).expect("a dictionary").added;
    assert_eq!(read.len(), 50);
    assert!(read.iter().all(|(_, flags)| *flags == PEX_SEED | PEX_REACHABLE));
    // Flags may be missing, and an address cut short is none.
    let read = parse_pex(b"d5:added8:\x01\x02\x03\x04\0\x09\xff\xffe", 50).expect("a dictionary").added;
    assert_eq!(read, [("1.2.3.4:9".parse().expect("an address"), 0)]);
    assert_eq!(parse_pex(b"d5:addedi1e6:added6lee", 50), Some(PexMessage::default()));
    assert_eq!(parse_pex(b"l", 50), None);
}

#[test]
fn noise_is_survived() {
    let valid = [
        hello(&OWN),
        metadata(&MetadataMessage::Data { piece: 1, total: 2, bytes: b"xyz" }),
        b"d5:added6:abcdef7:added.f1:x6:added618:aaaaaaaaaaaaaaaaaa8:added6.f1:xe".to_vec(),
    ];
    for seed in 0..600 {
        let mut rng = Rng::new(seed);
        let mut bytes = valid[seed as usize % valid.len()].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u32) as usize;
            bytes[at] = rng.u64() as u8;
        }
        bytes.truncate(rng.below(bytes.len() as u32 + 1) as usize);
        let _ = (parse_hello(&bytes), parse_metadata(&bytes), parse_pex(&bytes, 50));
    }
}
