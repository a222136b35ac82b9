//! Random trees: `wl create` gives the hashes of the independent reference, libtorrent rechecks them to the last byte,
//! and `wl verify` agrees. WL_TEST_TREES sets how many (default 60), WL_TEST_SEED which ones.

use crate::support::{Place, generated, python, recheck, repository};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// No two are equal without regard to case: libtorrent renames such files on disk, so it would not find them.
const NAMES: [&str; 14] =
    ["a", "a.txt", "a-b", "a b", "C", "b", "é", "e\u{301}", "日本", "z", "0", ".hidden", "x'y", "~"];
const PIECE_LENGTHS: [usize; 3] = [16384, 32768, 65536];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Sizes around the edges of blocks and pieces are where trees go wrong.
fn size(rng: &mut fastrand::Rng, piece_length: usize) -> usize {
    let edge = |n: usize, rng: &mut fastrand::Rng| (n + rng.usize(0..3)).saturating_sub(1);
    match rng.u32(0..6) {
        0 => 0,
        1 => 1,
        2 => edge(16384 * rng.usize(1..4), rng),
        3 => edge(piece_length * rng.usize(1..6), rng),
        _ => rng.usize(0..3 * piece_length),
    }
}

/// Fills a directory; returns whether it holds any data.
fn plant(place: &Place, rng: &mut fastrand::Rng, piece_length: usize) -> bool {
    let mut taken = BTreeSet::new();
    let mut any = false;
    for _ in 0..rng.usize(1..9) {
        let depth = rng.usize(1..4);
        let path: Vec<&str> = (0..depth).map(|_| NAMES[rng.usize(0..NAMES.len())]).collect();
        // A file cannot be where a directory is, nor the reverse.
        let clash = (1..depth).any(|n| taken.contains(&(path[..n].join("/"), false)))
            || taken.iter().any(|(old, _): &(String, bool)| *old == path.join("/"));
        if clash {
            continue;
        }
        taken.extend((1..depth).map(|n| (path[..n].join("/"), true)));
        taken.insert((path.join("/"), false));
        let length = size(rng, piece_length);
        any |= length > 0;
        let shift = rng.usize(0..251);
        place.bytes(&format!("tree/{}", path.join("/")), &generated(length + shift)[shift..]);
    }
    any
}

fn oracle(place: &Place, piece_length: usize, format: &str) -> Value {
    let output = Command::new(python())
        .arg(repository("tests/oracle/metainfo_ref.py"))
        .args(["tree", &piece_length.to_string(), format])
        .current_dir(place.path())
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn random_trees_match_the_reference_and_recheck() {
    let seed = setting("WL_TEST_SEED", 1);
    let mut pairs = Vec::new();
    let mut places = Vec::new();
    for round in 0..setting("WL_TEST_TREES", 60) {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let place = Place::new();
        let piece_length = PIECE_LENGTHS[rng.usize(0..3)];
        let any = plant(&place, &mut rng, piece_length);
        let format = ["hybrid", "hybrid", "v1", "v2"][rng.usize(0..4)];
        let what = format!("WL_TEST_SEED={seed}, tree {round}, {format} at {piece_length}");
        let made = place
            .json(&format!("create --no-register -q --format {format} --piece-length {piece_length} tree"));
        let expected = oracle(&place, piece_length, format);
        assert_eq!(made["v1_info_hash"], expected["v1"], "{what}");
        let best = expected["v2"].as_str().or(expected["v1"].as_str());
        assert_eq!(made["info_hash"].as_str(), best, "{what}");
        // A v2 torrent of a directory with one file is read as that file, so it is looked for beside the directory;
        // libtorrent does the same. It refuses torrents without data.
        let single = format == "v2" && made["files"] == 1;
        if !single {
            assert_eq!(place.json("verify --strict tree.torrent")["ok"], true, "{what}");
        }
        if any && !single {
            pairs.push((place.path().join("tree.torrent"), place.path().to_path_buf()));
            places.push((place, made, what));
        }
    }
    for (report, (_, made, what)) in recheck(&pairs).iter().zip(&places) {
        assert_eq!(report["error"], Value::Null, "{what}");
        assert_eq!(report["progress"], 1.0, "{what}: {report}");
        assert_eq!(report["v1"], made["v1_info_hash"], "{what}");
    }
}
