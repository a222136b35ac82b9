//! libtorrent, the real client, loads and rechecks what `wl create` writes.

use crate::support::{Place, recheck};

#[test]
fn libtorrent_rechecks_every_vector() {
    let place = Place::new();
    place.dir();
    place.file("one/dir/only", 5);
    place.bytes("data.bin", &[b'A'; 1_000_000]);
    place.bytes("det.bin", &(0..700_000u32).map(|i| (31 * i + 7) as u8).collect::<Vec<_>>());
    let mut lines = vec![
        ("dir".to_string(), "."),
        ("--piece-length 16K dir".into(), "."),
        ("--format v1 dir".into(), "."),
        ("--format v2 dir".into(), "."),
        ("--piece-length 16K one/dir".into(), "one"),
        ("data.bin".into(), "."),
        ("det.bin".into(), "."),
    ];
    for (length, piece_length) in [
        (1, 262144),
        (16384, 262144),
        (16385, 262144),
        (262144, 262144),
        (262145, 262144),
        (1048577, 262144),
        (16385, 16384),
        (262145, 16384),
    ] {
        place.file(&format!("{length}/f.bin"), length);
        for extra in ["", "--format v1", "--format v2", "--private --source example"] {
            lines.push((format!("{extra} --piece-length {piece_length} {length}/f.bin"), ""));
        }
    }
    let mut pairs = Vec::new();
    let mut made = Vec::new();
    for (index, (line, data)) in lines.iter().enumerate() {
        let torrent = format!("{index}.torrent");
        made.push(place.json(&format!("create --no-register --out {torrent} {line}")));
        let length = line.rsplit(' ').next().and_then(|path| path.split('/').next()).unwrap_or(".");
        let data = if data.is_empty() { length } else { data };
        pairs.push((place.path().join(torrent), place.path().join(data)));
    }
    for ((report, made), (line, _)) in recheck(&pairs).iter().zip(&made).zip(&lines) {
        assert_eq!(report["error"], serde_json::Value::Null, "{line}");
        assert_eq!(report["progress"], 1.0, "{line}: {report}");
        assert_eq!(report["v1"], made["v1_info_hash"], "{line}");
        assert_eq!(report["v2"].as_str().or(report["v1"].as_str()), made["info_hash"].as_str(), "{line}");
    }
}
