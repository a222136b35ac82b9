//! Every vector of the metainfo specification (section 11): info hashes, roots, layers, whole files.

use crate::support::Place;
use data_encoding::{BASE32, HEXLOWER};
use sha2::{Digest, Sha256};

/// Length, piece length, v1, v2, root.
const SINGLE: &[(usize, u32, &str, &str, &str)] = &[
    (
        1,
        262144,
        "efb5faac75b001de8b0472d25a0681503dde90f0",
        "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        16384,
        262144,
        "638e7e08f930f6596b1796891860cbcff3f95584",
        "188dffc271076b4341225d0e69c572f3f6de1f4e3c7fe9cf7374a744e690a9ee",
        "4348e3b98e8a327b34ced39c1da9e67cdb4cd5e48e4d7960607a3ae403d35f0c",
    ),
    (
        16385,
        262144,
        "e04be6052053b3deaa2c5cc24ad7d3232348be2e",
        "c544ab2e4a366af08ccc5e837e84650a94e19af18e46ea68d988b39d32fae76c",
        "9d7887c65d577a0237fb3c0998b87b3a62762d03796889a2caea01db914ccbb8",
    ),
    (
        262144,
        262144,
        "4a5c464fb5342cf6e89070b4f932488f6138450c",
        "39d6bd5bf1b7099885d1845dd44b69d9c6ad029275239efeaf88008530007f84",
        "936f20cb9f0648c16ce2556795f1cc50ad21a3e3ec53ed8a6e554a75f8a4357f",
    ),
    (
        262145,
        262144,
        "d78c985403b0a542b331f3afc72c143a3e86e2fa",
        "bfdae61718485536b26cf806f6845f6a8ae25c1ac8af59788d215e45701d4c4d",
        "d6f39dae7db99e68cc1fd1541d0b1d18494351053ab3ab19f7fcd0c442ed6b00",
    ),
    (
        1048577,
        262144,
        "d739b933c0b48119a8ff7a935da004b37725751d",
        "737a322ec8d3f0d264b72c43413a35fb7f75e6751f3f68eb045e66e18367249c",
        "c764e3ed4ebac5f61ce59e1c78b804a6b9c02350917800126926d903f8d3dc27",
    ),
    (
        16385,
        16384,
        "9002f0c828886ca7112f4395ef1ca5ced6324369",
        "3ea5e92067ef2af1f64ae2bd2199d8825faa6aae8ae13f7be351f4368654cd70",
        "9d7887c65d577a0237fb3c0998b87b3a62762d03796889a2caea01db914ccbb8",
    ),
    (
        262145,
        16384,
        "56523864ef559ac1c1545ad37702a4f5ab783d78",
        "286c924c06c1da7179d3c1d9e344c26ac0c71b479a8414a5417358399688f257",
        "d6f39dae7db99e68cc1fd1541d0b1d18494351053ab3ab19f7fcd0c442ed6b00",
    ),
];

/// What to make, v1, v2.
const OTHERS: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "--piece-length 16384 dir",
        Some("85db8dd99a57086200ac75ec77825995990a4c30"),
        Some("c544e0376f8a0794ff4c58785a190bb24c1b19bd5b020cfa7f57d9563364b09c"),
    ),
    (
        "dir",
        Some("0915e9b22a42f1c1bf6911d8763435db424289b2"),
        Some("789c73fd6a36d2dc573bf4437fff73a9bb56339f10925221f77afc065b786f8e"),
    ),
    ("--format v1 dir", Some("1a2ba7b22db482dbbb2177d58dee029068824ca6"), None),
    ("--format v2 dir", None, Some("296add7736c0478b252d2be431192649c28a547f5b400ba179d73abec3c804e2")),
    (
        "--piece-length 16K one/dir",
        Some("90c90df231fd420e8ebd6d7fafcc25082d19e42f"),
        Some("fdd6d020176570b1f5cbce86514ff3c413d579375049c21d09ecee97a1fc8679"),
    ),
    ("--format v1 f.bin", Some("bde9c106005f6a98b6aa3ca177f9ab4efd450bac"), None),
    ("--format v2 f.bin", None, Some("2348655132727c098afe3e654bd33702bbaa19feb8ffc40c240d85f8d7516e55")),
    (
        "--private --source example 1/f.bin",
        Some("574f4d2102212712d07e3404866742937357d99a"),
        Some("a7dc16ff8fe86616fed6bb47a4d0a58d5c30e687e551e520f0b7387949dabde6"),
    ),
    (
        "data.bin",
        Some("53973f747d0b905e4bbf652d38b9385b7e73676a"),
        Some("35e7c313c9d4868221b3d662ab59d4274d2a61b93ae9faa103ae0896ff13e8ae"),
    ),
    (
        "det.bin",
        Some("0f951736339f6c1f558151e5911a9f20e052a6c3"),
        Some("6a497167571d6de2cd5529779458675901ca20e7b702afcdb3dd5b26705d0c3b"),
    ),
];

fn place() -> Place {
    let place = Place::new();
    place.dir();
    place.file("f.bin", 262145);
    place.file("1/f.bin", 1);
    place.file("one/dir/only", 5);
    place.bytes("data.bin", &[b'A'; 1_000_000]);
    place.bytes("det.bin", &(0..700_000u32).map(|i| (31 * i + 7) as u8).collect::<Vec<_>>());
    place
}

#[test]
fn single_files_have_the_specified_hashes() {
    for (length, piece_length, v1, v2, root) in SINGLE {
        let place = Place::new();
        place.file("f.bin", *length);
        let made = place.json(&format!("create --no-register --piece-length {piece_length} f.bin"));
        assert_eq!(
            (made["v1_info_hash"].as_str(), made["info_hash"].as_str()),
            (Some(*v1), Some(*v2)),
            "{length}"
        );
        let shown = place.json("show f.bin.torrent");
        assert_eq!(shown["files"][0]["pieces_root"].as_str(), Some(*root), "{length}");
        assert_eq!(place.json("verify f.bin.torrent")["ok"], true);
    }
}

#[test]
fn directories_and_kinds_have_the_specified_hashes() {
    let place = place();
    for (line, v1, v2) in OTHERS {
        let made = place.json(&format!("create --no-register --force --out t.torrent {line}"));
        assert_eq!((made["v1_info_hash"].as_str(), made["info_hash"].as_str()), (*v1, v2.or(*v1)), "{line}");
    }
}

#[test]
fn pads_and_layers_are_the_specified_ones() {
    let place = place();
    place.wl("create --no-register --piece-length 16384 dir");
    let torrent = std::fs::read(place.path().join("dir.torrent")).unwrap();
    let text = torrent.escape_ascii().to_string();
    for pad in [12768, 16379, 16381, 16383] {
        assert!(text.contains(&format!("d4:attr1:p6:lengthi{pad}e4:pathl4:.pad5:{pad}ee")), "{pad}");
    }
    let shown = place.json("show dir.torrent");
    assert_eq!(shown["piece_count"], 23);
    assert_eq!(shown["pad_bytes"], 12768 + 16379 + 16381 + 16383 + 16383);
    assert_eq!(
        shown["file_tree_paths"],
        serde_json::json!(["a/b.bin", "a/empty", "a.txt", "z.bin", "é.bin", "日本.bin"])
    );
    place.wl("create --no-register f.bin");
    let torrent = std::fs::read(place.path().join("f.bin.torrent")).unwrap();
    let layer = HEXLOWER
        .decode(b"936f20cb9f0648c16ce2556795f1cc50ad21a3e3ec53ed8a6e554a75f8a4357fe2a496cae3dac0881605e2a4eda507d556953a8ea68dd92dc037fa061363c965")
        .unwrap();
    assert!(torrent.windows(64).any(|window| window == layer));
}

#[test]
fn whole_files_have_the_specified_bytes() {
    let place = place().env("WL_TRACKER", "http://localhost:8080");
    let ran = place.wl("create --no-register -q --out - 1/f.bin");
    assert_eq!(ran.bytes.len(), 280);
    let sha256 = HEXLOWER.encode(&Sha256::digest(&ran.bytes));
    assert_eq!(sha256, "a7994ae4ae43477f6bf8ff06508a4f2e5cfe2e37527d5815fd9895e316f6c9bc");
    let place = place.env("WL_CREATED_BY", "wl").env("WL_SOURCE", "src");
    let ran = place.wl("create --no-register -o - --announce udp://localhost:1337 --comment c --private \
         --webseed http://example.com/f.bin f.bin");
    assert_eq!(ran.bytes.len(), 583);
    let sha256 = HEXLOWER.encode(&Sha256::digest(&ran.bytes));
    assert_eq!(sha256, "e58dac15f79307f213f343adf443bec2cc8093cdf221efdf87fa88a201fb5fc3");
    assert!(ran.stderr.contains("V1:      c7ff16fa28a5542d9fc47f5b0ae273009c572540"), "{}", ran.stderr);
}

#[test]
fn base32_names_the_same_torrent() {
    let bytes = HEXLOWER.decode(SINGLE[0].2.as_bytes()).unwrap();
    assert_eq!(BASE32.encode(&bytes), "5627VLDVWAA55CYEOLJFUBUBKA655EHQ");
}

#[test]
fn threads_never_show() {
    let place = place();
    let torrents: Vec<_> = ["1", "2", "3", "16"]
        .iter()
        .map(|threads| {
            place.wl(&format!("create --no-register -o - --piece-length 16K --threads {threads} dir")).bytes
        })
        .collect();
    assert!(torrents.windows(2).all(|pair| pair[0] == pair[1]));
}
