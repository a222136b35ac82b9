//! Whatever is written over HTTP is read back the same, in both directions; and what other encoders write.

use crate::support::{address, hash, request, response};
use weightless::base::Rng;
use weightless::wire::announce::{AnnounceRequest, ScrapeStats};
use weightless::wire::http_tracker::{self as wire, HttpAnnounce, Pace, ScrapeFiles};
use weightless::wire::tracker_client::{self as client, HttpReply};

fn announce(rng: &mut Rng) -> HttpAnnounce {
    let request = AnnounceRequest { info_hash: hash(rng), ..request(rng) };
    let address = (rng.below(2) == 0).then(|| address(rng));
    HttpAnnounce { request, compact: rng.below(2) == 0, address }
}

#[test]
fn announces_come_back_the_same() {
    let mut rng = Rng::new(1);
    for _ in 0..3000 {
        let sent = announce(&mut rng);
        let mut query = Vec::new();
        client::write_announce_query(&mut query, &sent);
        assert!(query.iter().all(u8::is_ascii_graphic));
        assert_eq!(wire::parse_announce(&query), Ok(sent), "{}", String::from_utf8_lossy(&query));
    }
}

/// Keys in any order, hex of either case, everything escaped or only what must be, strangers in between.
#[test]
fn announces_of_any_encoder_are_read_the_same() {
    let mut rng = Rng::new(2);
    for _ in 0..1000 {
        let sent = announce(&mut rng);
        let mut query = Vec::new();
        client::write_announce_query(&mut query, &sent);
        let mut pairs: Vec<Vec<u8>> =
            query.split(|byte| *byte == b'&').map(|pair| re_escape(pair, &mut rng)).collect();
        pairs.push(b"key=%zz".to_vec());
        pairs.push(Vec::new());
        pairs.push(b"supportcrypto".to_vec());
        for at in (1..pairs.len()).rev() {
            pairs.swap(at, rng.below(at as u32 + 1) as usize);
        }
        let query = pairs.join(&b'&');
        assert_eq!(wire::parse_announce(&query), Ok(sent), "{}", String::from_utf8_lossy(&query));
    }
}

/// The same value, escaped by somebody else: each byte bare where that is possible, or escaped in either case.
fn re_escape(pair: &[u8], rng: &mut Rng) -> Vec<u8> {
    let at = pair.iter().position(|byte| *byte == b'=').expect("a value") + 1;
    let mut out = pair[..at].to_vec();
    let mut rest = &pair[at..];
    while let Some(&first) = rest.first() {
        let byte = match first {
            b'%' => {
                let hex = std::str::from_utf8(&rest[1..3]).expect("hex");
                rest = &rest[3..];
                u8::from_str_radix(hex, 16).expect("hex")
            }
            other => {
                rest = &rest[1..];
                other
            }
        };
        let bare = byte > b' ' && byte != 0x7f && !b"%&+#".contains(&byte);
        match rng.below(3) {
            0 if bare => out.push(byte),
            1 => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

#[test]
fn scrapes_come_back_the_same() {
    let mut rng = Rng::new(3);
    for count in 0..60 {
        let hashes: Vec<_> = (0..count).map(|_| hash(&mut rng)).collect();
        let mut query = Vec::new();
        client::write_scrape_query(&mut query, &hashes);
        assert_eq!(wire::scraped_hashes(&query).collect::<Vec<_>>(), hashes);
    }
    for (query, count) in [
        (&b"info_hash=abc"[..], 0),
        (b"info_hash=%zz345678901234567890&info_hash=12345678901234567890", 1),
        (b"info_hash=123456789012345678901&info_hash", 0),
        (b"hash=12345678901234567890", 0),
        (b"info_hash=12345678901234567890123456789012", 1),
        (b"info_hash=123456789012345678901234567890123", 0),
    ] {
        assert_eq!(wire::scraped_hashes(query).count(), count, "{}", String::from_utf8_lossy(query));
    }
}

#[test]
fn answers_come_back_the_same() {
    let mut rng = Rng::new(4);
    for _ in 0..500 {
        let response = response(&mut rng);
        let pace = Pace { interval_s: rng.below(86_400), min_interval_s: rng.below(60) };
        let external = address(&mut rng);
        for compact in [true, false] {
            let mut body = Vec::new();
            wire::write_announce(&mut body, &response, pace, external, compact);
            let (response, external) = (response.clone(), Some(external));
            assert_eq!(
                client::parse_announce_reply(&body),
                Ok(HttpReply::Served {
                    response,
                    interval_s: pace.interval_s,
                    min_interval_s: Some(pace.min_interval_s),
                    external,
                    warning: None
                })
            );
        }
    }
}

#[test]
fn scrape_answers_come_back_sorted_and_once() {
    let mut rng = Rng::new(5);
    for count in 0..100 {
        let mut files = ScrapeFiles::default();
        let mut sent: Vec<_> = (0..count)
            .map(|_| {
                let incomplete = rng.below(1000);
                let stats = ScrapeStats {
                    complete: rng.u64() as u32,
                    downloaded: rng.u64() >> 1,
                    incomplete,
                    downloaders: rng.below(incomplete + 1),
                };
                (hash(&mut rng), stats)
            })
            .collect();
        for (hash, stats) in sent.iter().chain(sent.iter().take(3)) {
            files.push(*hash, *stats);
        }
        let mut body = Vec::new();
        files.write(&mut body);
        let mut read = client::parse_scrape_reply(&body).expect("our own answer");
        let bytes = |hash: &weightless::wire::announce::AnnouncedHash| format!("{hash:?}");
        read.sort_by_key(|(hash, _)| bytes(hash));
        sent.sort_by_key(|(hash, _)| bytes(hash));
        assert_eq!(read, sent);
    }
}

/// What other trackers say, which a client of ours must take.
#[test]
fn answers_of_other_trackers_are_read() {
    let served = |body: &[u8]| match client::parse_announce_reply(body) {
        Ok(HttpReply::Served { response, interval_s, min_interval_s, warning, .. }) => {
            (response, (interval_s, min_interval_s, warning))
        }
        other => panic!("{other:?}"),
    };
    // Keys out of order, no counts, no minimum.
    let (response, pace) = served(b"d5:peers0:8:intervali120ee");
    assert_eq!((response.complete, pace), (0, (120, None, None)));
    // A warning beside the peers.
    let (_, pace) = served(b"d8:intervali1e12:min intervali2e15:warning message3:odde");
    assert_eq!(pace, (1, Some(2), Some(b"odd".to_vec())));
    // No peers at all; negative counts.
    let (response, _) = served(b"d8:completei-1e8:intervali120ee");
    assert_eq!((response.complete, response.peers4.len()), (0, 0));
    // The long form with a host name in it, and a peer without a port.
    let (response, _) = served(
        b"d8:intervali1e5:peersld2:ip4:host4:porti1eed2:ip7:1.2.3.4ed2:ip7:1.2.3.44:porti258e7:peer id0:eee",
    );
    assert_eq!(response.peers4, [1, 2, 3, 4, 1, 2]);
    for bad in [
        &b""[..],
        b"de",
        b"le",
        b"d8:intervali1e5:peers5:12345e",
        b"d8:intervali1e6:peers617:12345678901234567e",
    ] {
        assert!(client::parse_announce_reply(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}
