//! The UDP tracker, section 7: BEP 41 options, and passkeys in them.

use crate::support::{Daemon, UdpAnnounce, udp_error, udp_scrape};
use weightless::wire::passkey::PasskeyKey;

const V4: &str = "192.0.2.1:5000";
const MISSING: &str = "Unauthorized: Passkey required in path (/announce/ID.SIG)";

fn announce(daemon: &mut Daemon, options: &[u8]) -> Option<String> {
    let options = options.to_vec();
    let reply = daemon.udp_announce(V4, UdpAnnounce { options, ..UdpAnnounce::default() });
    udp_error(&reply).map(str::to_owned)
}

/// URL data in pieces of at most `piece` bytes.
fn url(text: &str, piece: usize) -> Vec<u8> {
    let mut options = Vec::new();
    for part in text.as_bytes().chunks(piece) {
        options.extend_from_slice(&[2, part.len() as u8]);
        options.extend_from_slice(part);
    }
    options
}

#[test]
fn without_passkeys_all_options_are_ignored() {
    let mut daemon = Daemon::new();
    for options in [
        &b""[..],
        b"\0",
        b"\x01\x01",
        b"\x02\xff/",
        b"\x02",
        b"\x07",
        &[0xff; 1000],
        &url("/announce/x.y", 255),
    ] {
        assert_eq!(announce(&mut daemon, options), None, "{options:?}");
    }
}

#[test]
fn a_passkey_is_found_however_the_options_are_cut() {
    let key = PasskeyKey::new(b"k").sign("user").expect("a user id");
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(b"k".to_vec()));
    let path = format!("/announce/{key}");
    for good in [
        url(&path, 255),
        url(&path, 1),
        url(&path, 7),
        url(&format!("{path}/"), 255),
        url(&format!("{path}?auth=a%2Fb"), 255),
        url(&path.replace('.', "%2e"), 255),
        [url(&path, 255), vec![0]].concat(),
        [&b"\x01\x01\x01"[..], &url(&path, 255)].concat(),
        [&b"\x09\x02ab"[..], &url(&path, 255)].concat(),
        [url(&path, 255), vec![2, 255, b'x']].concat(),
        [url(&path, 255), vec![0], url("rubbish", 255)].concat(),
        // What does not fit any more is dropped, and that is a query.
        url(&format!("{path}?{}", "x".repeat(1800)), 255),
    ] {
        assert_eq!(announce(&mut daemon, &good), None, "{}", String::from_utf8_lossy(&good));
    }
    for (bad, text) in [
        (vec![], MISSING),
        (vec![0], MISSING),
        (url("/announce", 255), MISSING),
        (url("/announce/", 255), MISSING),
        (url("/other", 255), MISSING),
        ([vec![0], url(&path, 255)].concat(), MISSING),
        (url(&path, 255)[..20].to_vec(), MISSING),
        (url("/announce/x.y", 255), "Unauthorized"),
        (url("/announce/x/y", 255), "Unauthorized"),
        (url("/announce/%zz", 255), "Unauthorized"),
        (url(&path.replace('.', "%252e"), 255), "Unauthorized"),
        (url(&format!("{path}x"), 255), "Unauthorized"),
        (url(&format!("{path}{}", "x".repeat(1000)), 255), "Unauthorized"),
    ] {
        assert_eq!(announce(&mut daemon, &bad).as_deref(), Some(text), "{}", String::from_utf8_lossy(&bad));
    }
}

#[test]
fn with_passkeys_scrapes_are_refused() {
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(b"k".to_vec()));
    let id = daemon.connection_id(V4);
    let reply = daemon.datagram(V4, &udp_scrape(id, [1])).expect("an error");
    assert_eq!(udp_error(&reply), Some("Unauthorized"));
}

/// Size, then port, then passkey, then the hash.
#[test]
fn the_passkey_comes_behind_the_port_and_before_the_hash() {
    let mut daemon = Daemon::with(|settings| {
        settings.tracker_secret = Some(b"k".to_vec());
        settings.policy.access = weightless::tracker::Access::Registered;
    });
    let reply = daemon.udp_announce(V4, UdpAnnounce { port: 0, ..UdpAnnounce::default() });
    assert_eq!(udp_error(&reply), Some("port cannot be 0"));
    assert_eq!(announce(&mut daemon, b"").as_deref(), Some(MISSING));
}

#[test]
fn every_end_of_the_options_is_harmless() {
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(b"k".to_vec()));
    let options = [&b"\x01"[..], &url("/announce/user.0123456789", 6), b"\x07\x03abc\0"].concat();
    for end in 0..options.len() {
        assert!(announce(&mut daemon, &options[..end]).is_some());
    }
}
