//! The strict reader: what must be refused, with the reason, and what must be accepted.

use crate::craft::{B, PL, d, data, hybrid_dir, hybrid_file, pad_entry, s, tree, v1_file, v2_of};
use weightless::base::{InfoHashes, V1Hash};
use weightless::torrent::{Kind, Malformed, Metainfo, Shape, v1_hash};

fn read(torrent: &B) -> Result<Metainfo, Malformed> {
    Metainfo::read(&torrent.encode())
}

/// Breaks a torrent and says what the reader makes of it.
fn broken(mut torrent: B, breakage: impl FnOnce(&mut B)) -> Option<Malformed> {
    breakage(&mut torrent);
    read(&torrent).err()
}

fn with_info(torrent: B, breakage: impl FnOnce(&mut B)) -> Option<Malformed> {
    broken(torrent, |torrent| breakage(torrent.at("info")))
}

#[test]
fn whole_torrents_are_read() {
    let hybrid = read(&hybrid_dir()).unwrap();
    assert_eq!((hybrid.kind(), hybrid.shape(), hybrid.name()), (Kind::Hybrid, Shape::Directory, &b"n"[..]));
    let listed: Vec<_> = hybrid.files().iter().map(|file| (hybrid.shown_path(file), file.length)).collect();
    let expected = [("a/b", 20000), ("a.txt", 5), ("e", 0), ("z", 16385)];
    assert!(listed.iter().map(|(path, length)| (path.as_str(), *length)).eq(expected));
    assert_eq!(hybrid.total_bytes(), 36390);
    assert_eq!(hybrid.layout().piece_count(), 5);
    assert_eq!(hybrid.piece_sha256(0, 1), Some(tree(20000).1[1]));
    assert_eq!(hybrid.piece_sha256(1, 0), Some(tree(5).0));
    assert_eq!(hybrid.piece_sha256(2, 0), None);
    assert_eq!(hybrid.piece_sha256(3, 2), None);
    assert_eq!(hybrid.piece_sha1(0).map(V1Hash), Some(v1_hash(&data(20000)[..PL])));
    assert_eq!(hybrid.piece_sha1(5), None);

    let v2 = read(&v2_of(hybrid_dir())).unwrap();
    assert_eq!(v2.kind(), Kind::V2);
    let paths: Vec<_> = v2.files().iter().map(|file| v2.shown_path(file)).collect();
    assert_eq!(paths, ["a/b", "a.txt", "e", "z"]);
    assert_eq!((v2.layout().piece_count(), v2.layout().piece(1)), (5, 16384..20000));

    let v1 = read(&v1_file(16385)).unwrap();
    assert_eq!((v1.kind(), v1.shape()), (Kind::V1, Shape::SingleFile));
    assert_eq!(v1.path(&v1.files()[0]), [b"f"]);
    assert_eq!(read(&v2_of(hybrid_file(5))).unwrap().shape(), Shape::SingleFile);
}

#[test]
fn first_things_first() {
    assert_eq!(Metainfo::read(b"").err(), Some(Malformed::NotATorrent));
    assert_eq!(Metainfo::read(b"le").err(), Some(Malformed::NotATorrent));
    assert_eq!(broken(hybrid_file(5), |t| t.remove("info")), Some(Malformed::NotATorrent));
    assert_eq!(broken(hybrid_file(5), |t| t.set("info", s("x"))), Some(Malformed::NotATorrent));
    let version = |n| move |info: &mut B| info.set("meta version", n);
    assert_eq!(with_info(hybrid_file(5), version(B::I(3))), Some(Malformed::UnsupportedVersion));
    assert_eq!(with_info(hybrid_file(5), version(s("2"))), Some(Malformed::UnsupportedVersion));
    assert_eq!(with_info(hybrid_file(5), version(B::I(1))), Some(Malformed::InconsistentVersion));
    assert_eq!(with_info(hybrid_file(5), |i| i.remove("meta version")), Some(Malformed::InconsistentVersion));
    assert_eq!(with_info(hybrid_file(5), |i| i.remove("file tree")), Some(Malformed::InconsistentVersion));
    assert_eq!(with_info(hybrid_file(5), |i| i.remove("pieces")), Some(Malformed::InconsistentVersion));
    // Version 3 is reported even when everything else is broken too.
    assert_eq!(
        with_info(B::D(vec![(b"info".to_vec(), d([("meta version", B::I(3))]))]), |_| {}),
        Some(Malformed::UnsupportedVersion)
    );
}

#[test]
fn a_v2_info_dictionary_is_canonical() {
    let unsorted = |info: &mut B| {
        let B::D(entries) = info else { unreachable!() };
        entries.swap(0, 1);
    };
    assert_eq!(with_info(hybrid_file(5), unsorted), Some(Malformed::NotCanonical));
    assert_eq!(with_info(v1_file(5), unsorted), None);
    // A leading zero is not bencode in any form.
    let zero = |info: &mut B| info.set("piece length", B::Raw(b"i016384e"));
    assert_eq!(with_info(hybrid_file(5), zero), Some(Malformed::NotATorrent));
}

#[test]
fn piece_lengths_have_bounds() {
    for bad in [0, -1, 8192, 24576, 512 << 20] {
        let set = |info: &mut B| info.set("piece length", B::I(bad));
        assert_eq!(with_info(hybrid_file(5), set), Some(Malformed::BadPieceLength), "{bad}");
    }
    for (length, verdict) in [(0, Some(Malformed::BadPieceLength)), (24576, None), (256 << 20, None)] {
        assert_eq!(with_info(v1_file(5), |info| info.set("piece length", B::I(length))), verdict);
    }
    let over = |info: &mut B| info.set("piece length", B::I((256 << 20) + 1));
    assert_eq!(with_info(v1_file(5), over), Some(Malformed::BadPieceLength));
}

#[test]
fn names_and_lists_are_checked() {
    assert_eq!(with_info(hybrid_file(5), |i| i.remove("name")), Some(Malformed::MissingName));
    assert_eq!(with_info(hybrid_file(5), |i| i.set("name", s(""))), Some(Malformed::MissingName));
    assert_eq!(with_info(hybrid_dir(), |i| i.set("length", B::I(5))), Some(Malformed::LengthAndFiles));
    assert_eq!(with_info(hybrid_file(5), |i| i.set("length", B::I(-1))), Some(Malformed::BadFileEntry));
    for (key, value) in [
        ("length", B::I(-1)),
        ("length", B::I(1 << 48)),
        ("path", B::L(vec![])),
        ("path", B::L(vec![s("")])),
        ("path", B::L(vec![s("a"); 101])),
        ("path", s("a")),
    ] {
        let verdict = with_info(hybrid_dir(), |i| i.at("files").items()[0].set(key, value));
        assert_eq!(verdict, Some(Malformed::BadFileEntry), "{key}");
    }
    // Pads may go without a path.
    assert_eq!(with_info(hybrid_dir(), |i| i.at("files").items()[1].remove("path")), None);
    assert_eq!(with_info(hybrid_file(5), |i| i.set("pieces", s([0; 40]))), Some(Malformed::WrongPieceCount));
    assert_eq!(with_info(v1_file(5), |i| i.set("pieces", s([0; 19]))), Some(Malformed::WrongPieceCount));
    assert_eq!(with_info(v1_file(5), |i| i.remove("length")), Some(Malformed::BadFileEntry));
}

#[test]
fn file_trees_are_checked() {
    let empty: [(&str, B); 0] = [];
    let bad_trees = [
        s("x"),
        d([("", d([("length", B::I(5))]))]),
        d([("f", s("x"))]),
        d([("f", d([("", s("x"))]))]),
        d([("f", d([("", d(empty.clone()))]))]),
        d([("f", d([("", d([("length", B::I(-1))]))]))]),
        d([("f", d([("", d([("length", B::I(5))]))]))]),
        d([("f", d([("", d([("length", B::I(5)), ("pieces root", s([1; 31]))]))]))]),
        d([("f", d([("", d([("length", B::I(5)), ("pieces root", s([0; 32]))]))]))]),
        d([("f", d([("", d([("attr", s("p")), ("length", B::I(5)), ("pieces root", s([1; 32]))]))]))]),
        d([("f", d([("", d([("length", B::I(0))])), ("g", d([("", d([("length", B::I(0))]))]))]))]),
        d([("", d([("f", d([("", d([("length", B::I(0))]))]))]))]),
        deep(101),
    ];
    for (index, tree) in bad_trees.into_iter().enumerate() {
        let verdict = with_info(v2_of(hybrid_file(5)), |i| i.set("file tree", tree));
        assert_eq!(verdict, Some(Malformed::BadFileTree), "tree {index}");
    }
    assert_eq!(with_info(v2_of(hybrid_file(5)), |i| i.set("file tree", deep(100))), None);
    let none = with_info(v2_of(hybrid_file(5)), |i| i.set("file tree", d(empty)));
    assert_eq!(none, Some(Malformed::WrongPieceCount));
}

/// A path of `levels` components to an empty file.
fn deep(levels: usize) -> B {
    (0..levels).fold(d([("", d([("length", B::I(0))]))]), |inner, _| d([("x", inner)]))
}

#[test]
fn the_two_lists_of_a_hybrid_agree() {
    let differ = Some(Malformed::ListsDiffer);
    let files = |change: fn(&mut Vec<B>)| move |info: &mut B| change(info.at("files").items());
    // `a.txt` before `a/b`: the order of joined paths. The pieces fit all the same, the two start one piece apart.
    assert_eq!(with_info(hybrid_dir(), files(|list| list.rotate_left(2))), differ);
    assert_eq!(with_info(hybrid_file(5), |info| info.set("name", s("g"))), differ);
    assert_eq!(
        with_info(hybrid_dir(), files(|list| list[0].set("path", B::L(vec![s("a"), s("c")])))),
        differ
    );
    // One gap filled by two pads, a pad of nothing, a file that is a pad in one list only.
    assert_eq!(
        with_info(
            hybrid_dir(),
            files(|list| {
                list[1] = pad_entry(12768 - 8);
                list.insert(2, pad_entry(8));
            })
        ),
        differ
    );
    assert_eq!(with_info(hybrid_dir(), files(|list| list.insert(4, pad_entry(0)))), differ);
    assert_eq!(with_info(hybrid_dir(), files(|list| list.retain(|_| true))), None);
    // No pads at all: as many pieces as the shorter stream has.
    let unpadded = |info: &mut B| {
        info.at("files").items().retain(|entry| !matches!(entry, B::D(keys) if keys[0].0 == b"attr"));
        info.set("pieces", s([0; 20 * 3]));
    };
    assert_eq!(with_info(hybrid_dir(), unpadded), differ);
    // The last pad may be missing, but not be of another length.
    let no_last = |info: &mut B| drop(info.at("files").items().pop());
    assert_eq!(with_info(hybrid_dir(), no_last), None);
    let short_last = |info: &mut B| *info.at("files").items().last_mut().unwrap() = pad_entry(5);
    assert_eq!(with_info(hybrid_dir(), short_last), differ);
}

#[test]
fn piece_layers_are_proven() {
    let bad = Some(Malformed::BadPieceLayer);
    let layers = |value: B| move |torrent: &mut B| torrent.set("piece layers", value);
    let (root, layer) = tree(16385);
    let right = layer.concat();
    assert_eq!(broken(hybrid_file(16385), layers(d([(root, s(&right))]))), None);
    assert_eq!(broken(hybrid_file(16385), layers(s("x"))), bad);
    assert_eq!(
        broken(hybrid_file(16385), layers(d([(root, s([right.clone(), vec![0; 32]].concat()))]))),
        bad
    );
    assert_eq!(broken(hybrid_file(16385), layers(d([(root, s(&right[..32]))]))), bad);
    assert_eq!(broken(hybrid_file(16385), layers(d([(root, s(&right[..63]))]))), bad);
    assert_eq!(broken(hybrid_file(16385), layers(d([(root, s([7; 64]))]))), bad);
    assert_eq!(broken(hybrid_file(16385), layers(d([([7; 32], s(&right))]))), bad);
    assert_eq!(broken(hybrid_file(16385), layers(d([(&root[..31], s(&right))]))), bad);
    // A layer for a file of at most one piece.
    let (small, leaves) = tree(5);
    assert_eq!(broken(hybrid_file(5), layers(d([(small, s(leaves.concat()))]))), bad);
    // None at all: peers have them.
    assert_eq!(broken(hybrid_file(16385), |t| t.remove("piece layers")), None);
    assert_eq!(broken(hybrid_file(5), |t| t.remove("piece layers")), None);
}

#[test]
fn what_else_must_be_accepted() {
    assert_eq!(broken(hybrid_file(5), |t| t.set("signatures", B::L(vec![]))), None);
    assert_eq!(broken(v1_file(0), |_| {}), None);
    // Both forms in a v1 torrent: `files` counts.
    let mut both = v1_file(5);
    both.at("info").set("files", B::L(vec![d([("length", B::I(5)), ("path", B::L(vec![s("x")]))])]));
    assert_eq!(read(&both).unwrap().shape(), Shape::Directory);
    // Two files of identical content share one layer.
    let mut twins = v2_of(hybrid_file(16385));
    let B::D(one) = twins.at("info").at("file tree").clone() else { unreachable!() };
    twins.at("info").set("file tree", d([("f", one[0].1.clone()), ("g", one[0].1.clone())]));
    assert_eq!(read(&twins).unwrap().files().len(), 2);
    // A symlink is an absent file of no length.
    let link = d([("", d([("attr", s("l")), ("length", B::I(0)), ("symlink path", B::L(vec![s("f")]))]))]);
    let mut linked = v2_of(hybrid_file(5));
    let B::D(one) = linked.at("info").at("file tree").clone() else { unreachable!() };
    linked.at("info").set("file tree", d([("f", one[0].1.clone()), ("g", link)]));
    assert!(read(&linked).unwrap().files()[1].symlink);
    // Its length may be missing; a file's may not.
    let target = || ("symlink path", B::L(vec![s("f")]));
    for (attr, expected) in [("l", None), ("x", Some(Malformed::BadFileTree))] {
        let link = d([("", d([("attr", s(attr)), target()]))]);
        linked.at("info").set("file tree", d([("f", one[0].1.clone()), ("g", link)]));
        assert_eq!(read(&linked).err(), expected);
    }
    for (attr, expected) in [("l", None), ("x", Some(Malformed::BadFileEntry))] {
        let mut listed = v1_file(5);
        listed.at("info").remove("length");
        let file = d([("length", B::I(5)), ("path", B::L(vec![s("f")]))]);
        let link = d([("attr", s(attr)), ("path", B::L(vec![s("g")])), target()]);
        listed.at("info").set("files", B::L(vec![file, link]));
        assert_eq!(read(&listed).err(), expected);
    }
}

#[test]
fn descriptions_are_taken_as_far_as_they_make_sense() {
    let mut torrent = v1_file(5);
    torrent.set("announce", s("http://a/announce"));
    torrent.set("url-list", s("http://w/f"));
    torrent.set("creation date", B::I(1_700_000_000));
    torrent.set("comment", s(b"c\xff"));
    torrent.at("info").set("private", B::I(1));
    torrent.at("info").set("name.utf-8", s("é"));
    let about = read(&torrent).unwrap().about;
    assert_eq!(about.trackers, [["http://a/announce"]]);
    assert_eq!(about.web_seeds, ["http://w/f"]);
    assert_eq!((about.creation_date, about.private), (Some(1_700_000_000), true));
    assert_eq!(about.comment.as_deref(), Some("c\u{fffd}"));
    assert_eq!(read(&torrent).unwrap().shown_name(), "é");
    let tiers = B::L(vec![B::L(vec![s("wss://x")]), B::L(vec![s("udp://b:1"), s("HTTP://c")])]);
    torrent.set("announce-list", tiers);
    assert_eq!(read(&torrent).unwrap().about.trackers, [["udp://b:1", "HTTP://c"]]);
    let many = B::L(vec![B::L(vec![s("udp://b:1"); 150]); 2]);
    torrent.set("announce-list", many);
    assert_eq!(read(&torrent).unwrap().about.trackers.concat().len(), 200);
}

#[test]
fn another_torrent_than_the_one_asked_for_is_refused() {
    let hybrid = read(&hybrid_file(5)).unwrap();
    assert_eq!(hybrid.expect(&hybrid.hashes()), Ok(()));
    assert_eq!(hybrid.expect(&InfoHashes::V1(hybrid.hashes().v1().unwrap())), Ok(()));
    assert_eq!(hybrid.expect(&InfoHashes::V1(V1Hash([0; 20]))), Err(Malformed::HashMismatch));
    let v2 = read(&v2_of(hybrid_file(5))).unwrap();
    assert_eq!(v2.expect(&hybrid.hashes()), Err(Malformed::HashMismatch));
}

/// Every cut and every changed byte of a right torrent is either refused or another valid torrent; never a panic.
#[test]
fn damage_never_panics() {
    let bytes = hybrid_dir().encode();
    for cut in 0..bytes.len() {
        assert!(Metainfo::read(&bytes[..cut]).is_err());
    }
    for at in 0..bytes.len() {
        for change in [1, 0x55, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            if let Ok(metainfo) = Metainfo::read(&damaged) {
                metainfo.files().iter().for_each(|file| drop(metainfo.path(file)));
            }
        }
    }
}
