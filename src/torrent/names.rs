//! From the names in a torrent, which may be any bytes, to names on a disk.
//!
//! The result is always a plain relative path: nothing in it climbs, hides its direction or means a device. Renaming
//! never changes a hash; it only decides where bytes are put.

use super::{Metainfo, Shape};
use std::collections::{HashMap, HashSet};

/// Longest path of one file on disk below the output directory, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Longest component on disk; what a longer one is cut to; how much of an extension survives the cut.
const COMPONENT_BYTES_MAX: usize = 255;
const CUT_BYTES: usize = 240;
const EXTENSION_BYTES_MAX: usize = 10;
/// Most bytes of all paths together: a v2 tree of a few megabytes can describe gigabytes of them.
pub const ALL_PATHS_BYTES_MAX: usize = 256 << 20;

/// Whose rules for file names hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Everything but `/` and NUL is a name.
    Unix,
    /// Device names, trailing dots and seven more characters are not.
    Windows,
}

/// A path is too long for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathTooLong;

/// The path of every file below the output directory, in file order, `/` between components: `<name>` for a single
/// file, `<name>/<path>` for a directory. Two files never get the same path, not even on a disk that ignores case.
pub fn disk_paths(metainfo: &Metainfo, platform: Platform) -> Result<Vec<String>, PathTooLong> {
    if !are_listable(metainfo) {
        return Err(PathTooLong);
    }
    let mut root = component(metainfo.name(), platform);
    if root == "_" {
        root = metainfo.hashes().best_hex();
    }
    let mut placer = Placer::default();
    let mut all = 0;
    let mut paths = Vec::new();
    for file in metainfo.files() {
        let raw = metainfo.path(file);
        let clean: Vec<String> = match metainfo.shape() {
            Shape::SingleFile => vec![root.clone()],
            Shape::Directory => std::iter::once(root.clone())
                .chain(raw.iter().map(|component_bytes| component(component_bytes, platform)))
                .collect(),
        };
        let path = placer.place(&clean);
        all += path.len();
        if path.len() > PATH_BYTES_MAX || all > ALL_PATHS_BYTES_MAX {
            return Err(PathTooLong);
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Whether the paths of a torrent, one beside the other, are not more than [`ALL_PATHS_BYTES_MAX`] bytes. Asked first,
/// this costs nothing near what the paths would.
pub fn are_listable(metainfo: &Metainfo) -> bool {
    let mut left = ALL_PATHS_BYTES_MAX;
    metainfo.files().iter().all(|file| {
        let bytes = metainfo.path(file).iter().map(|component| component.len() + 1).sum();
        match left.checked_sub(bytes) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        }
    })
}

/// One component made safe for a disk.
pub fn component(raw: &[u8], platform: Platform) -> String {
    let mut clean = String::new();
    for chunk in raw.utf8_chunks() {
        clean.extend(chunk.valid().chars().filter_map(|c| replace(c, platform)));
        if !chunk.invalid().is_empty() {
            clean.push('_');
        }
    }
    if clean.chars().all(|c| c == '.' || c == ' ') {
        return "_".into();
    }
    if platform == Platform::Windows {
        clean = windows(clean);
    }
    cut(clean)
}

/// What becomes of one character: `None` removes it, because it only serves to deceive the eye.
fn replace(c: char, platform: Platform) -> Option<char> {
    match c {
        '/' | '\\' => Some('_'),
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{061c}'
        | '\u{feff}' => None,
        '<' | '>' | ':' | '"' | '|' | '?' | '*' if platform == Platform::Windows => Some('_'),
        c if c.is_control() => Some('_'),
        c => Some(c),
    }
}

/// Whether a component is a device on Windows, with any extension.
pub fn is_reserved(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
}

fn windows(mut name: String) -> String {
    let kept = name.trim_end_matches(['.', ' ']).len();
    let dropped = name.len() - kept;
    name.truncate(kept);
    name.extend(std::iter::repeat_n('_', dropped));
    if is_reserved(&name) { format!("_{name}") } else { name }
}

/// Cuts a long component at a character boundary and keeps a short extension.
fn cut(name: String) -> String {
    if name.len() <= COMPONENT_BYTES_MAX {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let extension = if extension.len() <= EXTENSION_BYTES_MAX { extension } else { "" };
    let stem = if extension.is_empty() { &name } else { stem };
    let room = CUT_BYTES - extension.len();
    let end = stem.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= room).last();
    format!("{}{extension}", stem.get(..end.unwrap_or(0)).unwrap_or_default())
}

/// The name before its last dot, and the rest with the dot. A leading dot starts no extension.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

/// Keeps paths apart, comparing without regard to case.
#[derive(Default)]
struct Placer {
    files: HashSet<String>,
    directories: HashSet<String>,
    /// How many times a name was already taken, so that many equal names do not search from 2 each time.
    next: HashMap<String, u32>,
}

impl Placer {
    fn place(&mut self, components: &[String]) -> String {
        let mut path = String::new();
        for (index, name) in components.iter().enumerate() {
            let last = index + 1 == components.len();
            let front = if path.is_empty() { String::new() } else { format!("{path}/") };
            path = self.free(&front, name, last);
            if last {
                self.files.insert(path.to_lowercase());
            } else {
                self.directories.insert(path.to_lowercase());
            }
        }
        path
    }

    /// `front` + `name`, or with a number before the extension if that is taken: for a file by anything, for a
    /// directory by a file.
    fn free(&mut self, front: &str, name: &str, is_file: bool) -> String {
        let plain = format!("{front}{name}");
        let folded = plain.to_lowercase();
        if !self.taken(&folded, is_file) {
            return plain;
        }
        let (stem, extension) = if is_file { split_extension(name) } else { (name, "") };
        let counter = if is_file { folded } else { format!("{folded}/") };
        let mut number = self.next.get(&counter).copied().unwrap_or(2);
        loop {
            let numbered = format!("{front}{stem} ({number}){extension}");
            // A directory keeps the number it got: the files in it belong together.
            if !self.taken(&numbered.to_lowercase(), is_file) {
                self.next.insert(counter, if is_file { number + 1 } else { number });
                return numbered;
            }
            number += 1;
        }
    }

    fn taken(&self, folded: &str, is_file: bool) -> bool {
        self.files.contains(folded) || (is_file && self.directories.contains(folded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_become_plain_names() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "_"),
            (b".", "_"),
            (b"..", "_"),
            (b". .", "_"),
            (b"a/b\\c\0d", "a_b_c_d"),
            (b"\x1b[31m\x7f", "_[31m_"),
            (b"a\xffb\xc3", "a_b_"),
            ("a\u{202e}txt.exe".as_bytes(), "atxt.exe"),
            ("\u{200b}".as_bytes(), "_"),
            ("\u{85}x".as_bytes(), "_x"),
            (b"con.txt.", "con.txt."),
            ("日本.bin".as_bytes(), "日本.bin"),
        ];
        for (raw, clean) in cases {
            assert_eq!(component(raw, Platform::Unix), *clean);
        }
        for (raw, clean) in
            [("con.txt", "_con.txt"), ("a:b. ", "a_b__"), ("COM1", "_COM1"), ("com10", "com10")]
        {
            assert_eq!(component(raw.as_bytes(), Platform::Windows), clean);
        }
    }

    #[test]
    fn long_components_are_cut_between_characters_and_keep_their_extension() {
        let clean = component(format!("{}.tar", "é".repeat(200)).as_bytes(), Platform::Unix);
        assert_eq!(clean.len(), 240);
        assert!(clean.ends_with("é.tar"));
        let clean = component(format!("a.{}", "b".repeat(300)).as_bytes(), Platform::Unix);
        assert_eq!(clean.len(), 240);
        assert_eq!(component(&[b'a'; 255], Platform::Unix).len(), 255);
    }

    #[test]
    fn no_two_files_share_a_path() {
        let mut placer = Placer::default();
        let mut place = |path: &str| placer.place(&path.split('/').map(String::from).collect::<Vec<_>>());
        assert_eq!(place("r/a.txt"), "r/a.txt");
        assert_eq!(place("r/A.txt"), "r/A (2).txt");
        assert_eq!(place("r/a.txt"), "r/a (3).txt");
        assert_eq!(place("r/a.txt/x"), "r/a.txt (2)/x");
        assert_eq!(place("r/a.txt/y"), "r/a.txt (2)/y");
        assert_eq!(place("r/d/x"), "r/d/x");
        assert_eq!(place("r/d"), "r/d (2)");
        assert_eq!(place("r/D/X"), "r/D/X (2)");
    }
}
