//! Files to share: what they hold follows from a number, so that a copy can be told from a mistake.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Makes a folder tree with what goes wrong easily: an empty file, a file of exactly one piece, one byte more, one
/// byte, several pieces, and names beyond ASCII.
pub fn nested_folder(root: &Path) {
    for (seed, (name, length)) in [
        ("a.txt", 5),
        ("a/b.bin", 20_000),
        ("a/empty", 0),
        ("exactly one piece.bin", PIECE_BYTES),
        ("one byte more.bin", PIECE_BYTES + 1),
        ("deep/er/and/deeper/large.bin", 5 * PIECE_BYTES / 2),
        ("é.bin", 1),
        ("日本/データ.bin", 300_000),
    ]
    .into_iter()
    .enumerate()
    {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, noise(seed as u64 + 1, length)).expect("a file");
    }
}

/// Bytes without pattern, the same for the same seed (splitmix64).
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&word().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Every file below `root` with its content, by relative path; padding files that a client wrote are left out.
pub fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with(".pad/") {
                files.insert(name, fs::read(&path).expect("a readable file"));
            }
        }
    }
    files
}

/// Compares two trees by name and content, without printing what they hold.
pub fn assert_same(original: &Path, copy: &Path) {
    let (original, copy) = (contents(original), contents(copy));
    assert_eq!(original.keys().collect::<Vec<_>>(), copy.keys().collect::<Vec<_>>());
    let differing: Vec<_> =
        original.iter().filter(|(name, bytes)| copy[*name] != **bytes).map(|(n, _)| n).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}

/// What `wl create` takes when nothing is said.
const PIECE_BYTES: usize = 262_144;
