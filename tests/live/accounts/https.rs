//! A hub behind https: its certificate is checked, against what SSL_CERT_FILE names (accounts, section 6).

use super::*;
use crate::support::tls::Authority;

/// Where the hub is found through a door with TLS.
fn https(hub: &Hub, authority: &Authority) -> String {
    let inner = hub.url.strip_prefix("http://").expect("plain").parse().expect("an address");
    format!("https://{}", authority.door_to(inner))
}

fn report(tracker: &Daemon) {
    let client = Client::of(tracker, "u");
    client.reports(0, 0, "started");
    client.reports(4_000, 5, "");
}

#[test]
fn a_hub_whose_certificate_is_good_gets_everything() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let authority = Authority::new(home.path(), "ours");
    let (url, root) = (https(&hub, &authority), authority.root.to_str().expect("text"));
    let tracker = tracker(home.path(), &hub, &[("HUB_URL", &url), ("SSL_CERT_FILE", root)]);
    report(&tracker);
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (4_000, 5));
}

/// Not a byte of the accounts, nor the key, is told to whoever cannot prove to be the hub; it waits, and is sent once
/// the authority is trusted.
#[test]
fn a_hub_whose_certificate_nobody_vouches_for_gets_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let (ours, other) = (Authority::new(home.path(), "ours"), Authority::new(home.path(), "other"));
    let (url, root) = (https(&hub, &ours), other.root.to_str().expect("text"));
    let stranger = tracker(home.path(), &hub, &[("HUB_URL", &url), ("SSL_CERT_FILE", root)]);
    report(&stranger);
    until("the reason in the log", || stranger.log().contains("certificate").then_some(()));
    assert!(stranger.log().contains("UnknownIssuer"), "{}", stranger.log());
    wait_cut(&stranger);
    assert!(hub.seen().is_empty(), "{:?}", hub.seen());
    assert!(stranger.terminate().success());

    let root = ours.root.to_str().expect("text");
    let tracker = tracker(home.path(), &hub, &[("HUB_URL", &url), ("SSL_CERT_FILE", root)]);
    wait_sent(&tracker);
    assert_eq!(hub.total("u"), (4_000, 5));
}
