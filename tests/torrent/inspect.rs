//! What the registry learns of an upload, and the rewriting of its tracker URLs.

use weightless::base::InfoHashes;
use weightless::torrent::{CHANGED_URLS_MAX, Malformed, inspect, rewrite_trackers, shorten_trackers};

const V1_DIR: &[u8] = b"d8:announce9:udp://a:14:infod5:filesld6:lengthi3e4:pathl1:a1:beed4:attr1:p6:lengthi5e4:pathl4:.pad1:5eed6:lengthi2e4:pathl1:ceee4:name1:d12:piece lengthi8e6:pieces40:0123456789012345678901234567890123456789ee";

#[test]
fn a_v1_directory_is_summed_without_its_pads() {
    let summary = inspect(V1_DIR).unwrap();
    assert!(matches!(summary.hashes, InfoHashes::V1(_)));
    assert_eq!(
        (summary.total_size, summary.piece_length, summary.piece_count, summary.name.as_str()),
        (5, 8, 2, "d")
    );
    let files = summary.files(100).unwrap();
    assert_eq!(files.iter().map(|f| (f.path.as_str(), f.length)).collect::<Vec<_>>(), [("a/b", 3), ("c", 2)]);
    // `a/b` and `c` are four bytes together.
    assert!(summary.files(4).is_some());
    assert!(summary.files(3).is_none());
}

#[test]
fn a_v2_torrent_counts_the_pieces_of_each_file() {
    let root = "r".repeat(32);
    let torrent = format!(
        "d4:infod9:file treed1:ad0:d6:lengthi16385e11:pieces root32:{root}ee1:bd1:cd0:d6:lengthi1e11:pieces root32:{root}eee1:ed0:d6:lengthi0eeee12:meta versioni2e4:name1:n12:piece lengthi16384eee"
    );
    let summary = inspect(torrent.as_bytes()).unwrap();
    assert!(matches!(summary.hashes, InfoHashes::V2(_)));
    assert_eq!((summary.total_size, summary.piece_count), (16386, 3));
    let paths: Vec<_> = summary.files(99).unwrap().into_iter().map(|f| f.path).collect();
    assert_eq!(paths, ["a", "b/c", "e"]);
}

#[test]
fn what_is_no_torrent_is_refused() {
    for bad in [
        &b""[..],
        b"de",
        b"d4:infoi1ee",
        b"d4:infodee",
        b"d4:infod6:lengthi1e12:piece lengthi8e6:pieces20:01234567890123456789ee",
        b"d4:infod6:lengthi1e4:name1:n12:piece lengthi0e6:pieces20:01234567890123456789ee",
        b"d4:infod6:lengthi-1e4:name1:n12:piece lengthi8e6:pieces20:01234567890123456789ee",
        b"d4:infod6:lengthi1e4:name1:n12:piece lengthi8e6:pieces19:0123456789012345678ee",
        b"d4:infod6:lengthi1e4:name1:n12:piece lengthi8eee",
        b"d4:infod4:name1:n12:piece lengthi8e6:pieces20:01234567890123456789ee",
        b"d4:infod6:lengthi1e4:name1:n4:name1:n12:piece lengthi8e6:pieces20:01234567890123456789ee",
    ] {
        assert!(inspect(bad).is_err(), "{}", bad.escape_ascii());
    }
    let mut trailing = V1_DIR.to_vec();
    trailing.push(b'\n');
    assert_eq!(inspect(&trailing).err(), Some(Malformed::NotATorrent));
}

#[test]
fn unsorted_old_torrents_are_welcome() {
    let unsorted =
        b"d4:infod4:name1:n6:lengthi1e12:piece lengthi8e6:pieces20:01234567890123456789e8:announce1:xe";
    assert_eq!(inspect(unsorted).unwrap().total_size, 1);
}

#[test]
fn only_tracker_urls_change() {
    let torrent =
        b"d8:announce3:abc13:announce-listll3:abc3:xyzel3:abcel3:defe3:abce7:comment3:abc4:infod1:a3:abcee";
    let changed = rewrite_trackers(torrent, |url| (url == b"abc").then(|| b"changed".to_vec())).unwrap();
    assert_eq!(
        changed.escape_ascii().to_string(),
        "d8:announce7:changed13:announce-listll7:changed3:xyzel7:changedel3:defe7:changede7:comment3:abc4:infod1:a3:abcee"
    );
    assert_eq!(rewrite_trackers(torrent, |_| None).unwrap(), torrent);
    assert_eq!(rewrite_trackers(b"le", |_| None), Err(Malformed::NotATorrent));
}

#[test]
fn changes_in_place_are_those_of_a_copy() {
    let torrent =
        b"d3:abc3:abc13:announce-listll3:abc3:xyze3:abcl3:abcee4:infod4:name1:ae8:announce3:abc1:zi1ee"
            .to_vec();
    for to in ["", "a", "abc", "longer than before"] {
        let change = |url: &[u8]| (url == b"abc").then(|| to.as_bytes().to_vec());
        let copy = rewrite_trackers(&torrent, change).unwrap();
        assert_eq!(shorten_trackers(torrent.clone(), change).unwrap(), copy, "{to}");
        assert_eq!(copy == torrent, to == "abc");
    }
    assert_eq!(shorten_trackers(torrent.clone(), |_| None).unwrap(), torrent);
}

#[test]
fn a_file_of_nothing_but_urls_is_refused_at_the_bound() {
    let torrent = |urls: usize| format!("d13:announce-listl{}e4:infodee", "1:a".repeat(urls)).into_bytes();
    let empty = |_: &[u8]| Some(Vec::new());
    let changed = shorten_trackers(torrent(CHANGED_URLS_MAX), empty).unwrap();
    assert_eq!(changed.len(), torrent(CHANGED_URLS_MAX).len() - CHANGED_URLS_MAX);
    assert_eq!(shorten_trackers(torrent(CHANGED_URLS_MAX + 1), empty), Err(Malformed::NotATorrent));
    assert!(shorten_trackers(torrent(CHANGED_URLS_MAX + 1), |_| None).is_ok());
}
