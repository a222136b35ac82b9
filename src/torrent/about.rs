//! The keys of a torrent that describe it: trackers, web seeds, comment, dates. A value that makes no sense is left out
//! rather than refused; none of them changes what is downloaded.

use super::metainfo::About;
use crate::wire::bencode::Value;

/// Most tracker URLs taken from one torrent or magnet link.
pub const TRACKERS_MAX: usize = 200;
/// Most web seeds taken from one torrent or magnet link.
pub const WEB_SEEDS_MAX: usize = 100;

/// Takes what stands beside the info dictionary.
pub(super) fn read(top: Value<'_>, about: &mut About) {
    let [announce, announce_list, comment, created_by, creation_date, url_list, signatures] = top.pick([
        b"announce",
        b"announce-list",
        b"comment",
        b"created by",
        b"creation date",
        b"url-list",
        b"signatures",
    ]);
    about.trackers = announce_list.map(tiers).unwrap_or_default();
    if about.trackers.is_empty() {
        about.trackers = announce.and_then(tracker).map(|url| vec![vec![url]]).unwrap_or_default();
    }
    about.web_seeds = url_list.map(web_seeds).unwrap_or_default();
    about.comment = comment.and_then(text);
    about.created_by = created_by.and_then(text);
    about.creation_date = super::files::natural(creation_date);
    about.signatures = signatures.map(|value| value.raw().to_vec());
}

/// Takes the descriptive keys of the info dictionary.
pub(super) fn read_info(info: Value<'_>, about: &mut About) {
    let [private, source] = info.pick([b"private", b"source"]);
    about.private = private.and_then(|value| value.as_int()).is_some_and(|value| value != 0);
    about.source = source.and_then(text);
}

/// Whether a tracker URL has a scheme that trackers have.
pub(super) fn is_tracker(url: &str) -> bool {
    has_scheme(url, &["http://", "https://", "udp://"])
}

/// Whether a web seed URL has a scheme that web seeds have.
pub(super) fn is_web_seed(url: &str) -> bool {
    has_scheme(url, &["http://", "https://"])
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    schemes
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|front| front.eq_ignore_ascii_case(scheme)))
}

fn tiers(list: Value<'_>) -> Vec<Vec<String>> {
    let mut left = TRACKERS_MAX;
    let mut tiers = Vec::new();
    for tier in list.as_list().into_iter().flatten() {
        let urls = tier.as_list().into_iter().flatten().filter_map(tracker);
        let urls: Vec<String> = urls.take(left).collect();
        left -= urls.len();
        if !urls.is_empty() {
            tiers.push(urls);
        }
    }
    tiers
}

fn web_seeds(value: Value<'_>) -> Vec<String> {
    let urls = match value.as_list() {
        Some(list) => list.filter_map(text).collect(),
        None => text(value).into_iter().collect::<Vec<_>>(),
    };
    urls.into_iter().filter(|url| is_web_seed(url)).take(WEB_SEEDS_MAX).collect()
}

fn tracker(value: Value<'_>) -> Option<String> {
    text(value).filter(|url| is_tracker(url))
}

/// A string for people; what is not UTF-8 shows as U+FFFD.
fn text(value: Value<'_>) -> Option<String> {
    value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
