//! The list of what must be refused and what must be accepted (metainfo specification, section 11), line by line: by our
//! reader with its reason, and by libtorrent, which every line was first seen with.

use crate::craft::{B, PL, d, hybrid_dir, hybrid_file, s, tree, v2_of};
use serde_json::Value;
use std::process::Command;
use weightless::torrent::{Malformed, Metainfo};

/// A line of the list, the torrent that stands for it, and what our reader says.
type Case = (&'static str, B, Option<Malformed>);

fn case(line: &'static str, mut torrent: B, change: impl FnOnce(&mut B), verdict: Option<Malformed>) -> Case {
    change(&mut torrent);
    (line, torrent, verdict)
}

fn info(change: impl FnOnce(&mut B)) -> impl FnOnce(&mut B) {
    |torrent: &mut B| change(torrent.at("info"))
}

fn layer(root: impl AsRef<[u8]>, layer: impl AsRef<[u8]>) -> impl FnOnce(&mut B) {
    let layers = d([(root, s(layer))]);
    |torrent: &mut B| torrent.set("piece layers", layers)
}

fn refused() -> Vec<Case> {
    let (root, right) = tree(16385);
    let right = right.concat();
    let (small, leaves) = tree(5);
    let one_more = |torrent: &mut B| {
        let B::D(layers) = torrent.at("piece layers") else { unreachable!() };
        layers.push((vec![0xff; 32], s([7; 64])));
    };
    let without_pads = |info: &mut B| {
        info.at("files").items().retain(|entry| !matches!(entry, B::D(keys) if keys[0].0 == b"attr"));
        info.set("pieces", s([0; 20 * 3]));
    };
    let unsorted = |info: &mut B| {
        let B::D(entries) = info else { unreachable!() };
        entries.swap(0, 1);
    };
    let component = d([("", d([("f", d([("", d([("length", B::I(0))]))]))]))]);
    let number = |key: &'static str, n: i64| info(move |info: &mut B| info.set(key, B::I(n)));
    let differ = Some(Malformed::ListsDiffer);
    let bad_layer = Some(Malformed::BadPieceLayer);
    let files = |change: fn(&mut Vec<B>)| info(move |info: &mut B| change(info.at("files").items()));
    let layer_list = || hybrid_file(16385);
    vec![
        case("joined-path order", hybrid_dir(), files(|list| list.rotate_left(2)), differ),
        case("no pads", hybrid_dir(), info(without_pads), differ),
        case("key is not the name", hybrid_file(5), info(|info| info.set("name", s("g"))), differ),
        case("unsorted", hybrid_file(5), info(unsorted), Some(Malformed::NotCanonical)),
        case(
            "leading zero",
            hybrid_file(5),
            info(|info| info.set("piece length", B::Raw(b"i016384e"))),
            Some(Malformed::NotATorrent),
        ),
        case("layer of a small file", hybrid_file(5), layer(small, leaves.concat()), bad_layer),
        case("extra layer", layer_list(), one_more, bad_layer),
        case("wrong layer", layer_list(), layer(root, [7; 64]), bad_layer),
        case("over-long layer", layer_list(), layer(root, [&right[..], &[0; 32]].concat()), bad_layer),
        case(
            "piece length 24576",
            hybrid_file(5),
            number("piece length", 24576),
            Some(Malformed::BadPieceLength),
        ),
        case(
            "piece length 8192",
            hybrid_file(5),
            number("piece length", 8192),
            Some(Malformed::BadPieceLength),
        ),
        case(
            "meta version 3",
            hybrid_file(5),
            number("meta version", 3),
            Some(Malformed::UnsupportedVersion),
        ),
        case(
            "file tree with meta version 1",
            hybrid_file(5),
            number("meta version", 1),
            Some(Malformed::InconsistentVersion),
        ),
        case(
            "pieces one hash too long",
            hybrid_file(5),
            info(|info| info.set("pieces", s([0; 40]))),
            Some(Malformed::WrongPieceCount),
        ),
        case("negative length", hybrid_file(5), number("length", -1), Some(Malformed::BadFileEntry)),
        case(
            "empty component",
            v2_of(hybrid_file(5)),
            info(|info| info.set("file tree", component)),
            Some(Malformed::BadFileTree),
        ),
    ]
}

fn accepted() -> Vec<Case> {
    let twins = |torrent: &mut B| {
        let B::D(one) = torrent.at("info").at("file tree").clone() else { unreachable!() };
        let file = &one[0].1;
        torrent.at("info").set("file tree", d([("f", file.clone()), ("g", file.clone())]));
    };
    let no_last_pad = |info: &mut B| drop(info.at("files").items().pop());
    assert_eq!(PL, 16384);
    vec![
        case("signatures", hybrid_file(5), |torrent| torrent.set("signatures", B::L(vec![])), None),
        case("no piece layers", hybrid_file(5), |torrent| torrent.remove("piece layers"), None),
        case("identical content", v2_of(hybrid_file(16385)), twins, None),
        case("no last pad", hybrid_dir(), info(no_last_pad), None),
        case("as it is", hybrid_dir(), |_| {}, None),
    ]
}

#[test]
fn the_list_of_refusals_is_kept_and_is_libtorrents_too() {
    let cases = [refused(), accepted()].concat();
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(std::env::var("WL_TEST_PYTHON").unwrap_or_else(|_| "python3".into()));
    command.arg("tests/clients/recheck.py");
    for (number, (line, torrent, verdict)) in cases.iter().enumerate() {
        assert_eq!(Metainfo::read(&torrent.encode()).err(), *verdict, "{line}");
        let path = place.path().join(format!("{number}.torrent"));
        std::fs::write(&path, torrent.encode()).expect("a file");
        command.arg(path).arg(place.path());
    }
    let output = command.output().expect("a python, see WL_TEST_PYTHON");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reports = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(reports.lines().count(), cases.len());
    for (report, (line, _, verdict)) in reports.lines().zip(&cases) {
        let report: Value = serde_json::from_str(report).expect("JSON");
        assert_eq!(report["error"].is_string(), verdict.is_some(), "{line}: {report}");
    }
}
