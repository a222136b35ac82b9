//! The floors of `src/ARCHITECTURE.md`, kept: a room imports only rooms on lower floors, and below the shells nobody
//! names a socket, a file, a clock, the environment, a thread or a lock.
//!
//! This reads source text, not types: comments and strings are blanked, the rest is split into tokens, and paths
//! that start with `crate` or climb out of a room with `super` are followed to the room they name.

use std::fs;
use std::path::Path;

/// Rooms by floor, lowest first. Rooms on one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["wire", "config"],
    &["torrent"],
    &["tracker", "registry"],
    &["mailbox"],
    &["server"],
    &["reactor", "store", "hub", "whitelist", "logging"],
    &["main"],
];
/// The floor of the rooms that may ask the operating system.
const SHELLS: usize = 6;

/// Types and crates that only shells may name, and what they are.
const SHELL_WORDS: &[(&str, &str)] = &[
    ("UdpSocket", "a socket"),
    ("TcpStream", "a socket"),
    ("TcpListener", "a socket"),
    ("UnixStream", "a socket"),
    ("UnixListener", "a socket"),
    ("UnixDatagram", "a socket"),
    ("mio", "a socket"),
    ("socket2", "a socket"),
    ("rusqlite", "a database"),
    ("Instant", "a clock"),
    ("SystemTime", "a clock"),
    ("getrandom", "the system's chance"),
    ("crossbeam_channel", "a thread"),
    ("Mutex", "a lock"),
    ("RwLock", "a lock"),
    ("Condvar", "a lock"),
    ("LazyLock", "a lock"),
    ("OnceLock", "a lock"),
];
/// Modules of `std` that only shells may name.
const SHELL_MODULES: &[(&str, &str)] =
    &[("fs", "a file"), ("env", "the environment"), ("process", "a process"), ("thread", "a thread")];

#[test]
fn no_room_imports_upward_and_only_shells_ask_the_system() {
    let files = sources();
    assert!(files.len() > 10, "where is src/?");
    let broken = violations(&files);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_file_stands_in_the_tree_of_the_architecture() {
    let Ok(page) = fs::read_to_string(root().join("src/ARCHITECTURE.md")) else { return };
    let missing = missing_in_tree(&page, &sources());
    assert!(missing.is_empty(), "give these a line in src/ARCHITECTURE.md:\n{}\n", missing.join("\n"));
}

/// Everything that breaks the floors, one sentence each.
fn violations(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".rs") && path != "src/lib.rs") {
        let room = room_of(path);
        let Some(own) = floor_of(room) else {
            found.push(format!("{path}: the room `{room}` has no floor: give it one in tests/floors.rs"));
            continue;
        };
        let blanked = without_comments_and_strings(text);
        let tokens = tokens(&blanked);
        for (line, name) in rooms_named(path, &tokens) {
            match floor_of(name) {
                _ if name == room => {}
                _ if name == "*" => found.push(format!("{path}:{line}: imports every room at once")),
                Some(other) if other > own => {
                    found.push(format!(
                        "{path}:{line}: `{room}` (floor {own}) imports `{name}` (floor {other}): upward"
                    ));
                }
                Some(other) if other == own => {
                    found.push(format!(
                        "{path}:{line}: `{room}` imports `{name}`, its neighbour on floor {own}"
                    ));
                }
                _ => {}
            }
        }
        if own < SHELLS && !path.ends_with("/tests.rs") {
            for (line, name, what) in shell_words(&tokens) {
                found.push(format!("{path}:{line}: `{room}` is below the shells but names {what}: {name}"));
            }
        }
    }
    found
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// `wire` for `src/wire/http1.rs` and for `src/wire.rs`.
fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// How many modules deep a file is: 1 for `src/wire/mod.rs`, 2 for `src/wire/http1.rs`.
fn depth_of(path: &str) -> usize {
    path.matches('/').count() - usize::from(path.ends_with("/mod.rs"))
}

/// A token and its line.
type Token<'a> = (usize, &'a str);

/// Names that stand directly under the crate's root, wherever the text reaches for them.
fn rooms_named<'a>(path: &str, tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut named = Vec::new();
    let mut blocks: Vec<bool> = Vec::new(); // open braces, and whether each is an inline module
    let text = |at: usize| tokens.get(at).map_or("", |token| token.1);
    for at in 0..tokens.len() {
        match text(at) {
            "{" => blocks.push(at >= 2 && text(at - 2) == "mod"),
            "}" => {
                blocks.pop();
            }
            "crate" if text(at + 1) == "::" && (at == 0 || text(at - 1) != "$") => {
                named.extend(first_names(tokens, at + 2));
            }
            "super" if at == 0 || text(at - 1) != "::" => {
                let mut next = at;
                let mut climbed = 0;
                while text(next) == "super" && text(next + 1) == "::" {
                    climbed += 1;
                    next += 2;
                }
                let depth = depth_of(path) + blocks.iter().filter(|inline| **inline).count();
                if climbed >= depth {
                    named.extend(first_names(tokens, next));
                }
            }
            _ => {}
        }
    }
    named
}

/// The name at `at`, or each first name of the group `{…}` there.
fn first_names<'a>(tokens: &[Token<'a>], at: usize) -> Vec<Token<'a>> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first.1 != "{" {
        return vec![*first];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    let mut starts = false;
    for token in &tokens[at..] {
        match token.1 {
            "{" => {
                depth += 1;
                starts = depth == 1;
            }
            "}" => depth -= 1,
            "," => starts = depth == 1,
            _ if starts => {
                names.push(*token);
                starts = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Words that only shells may say, outside `#[cfg(test)]` modules: a test may well need a file.
fn shell_words<'a>(tokens: &[Token<'a>]) -> Vec<(usize, &'a str, &'static str)> {
    let mut found = Vec::new();
    let mut skip_until = 0;
    let text = |at: usize| tokens.get(at).map_or("", |token| token.1);
    for (at, (line, word)) in tokens.iter().enumerate() {
        if at < skip_until {
            continue;
        }
        if ["#", "[", "cfg", "(", "test", ")", "]", "mod"]
            .iter()
            .enumerate()
            .all(|(i, part)| text(at + i) == *part)
        {
            skip_until = end_of_block(tokens, at);
            continue;
        }
        if let Some((_, what)) = SHELL_WORDS.iter().find(|(known, _)| known == word) {
            found.push((*line, *word, *what));
        }
        if word.starts_with("Atomic") && word.len() > "Atomic".len() {
            found.push((*line, *word, "a lock"));
        }
        if *word == "std" && text(at + 1) == "::" {
            for (line, name) in first_names(tokens, at + 2) {
                if let Some((_, what)) = SHELL_MODULES.iter().find(|(known, _)| *known == name) {
                    found.push((line, name, *what));
                }
            }
        }
    }
    found
}

/// The index behind the block that opens next, or behind the `;` that comes before one.
fn end_of_block(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0;
    for (at, (_, word)) in tokens.iter().enumerate().skip(from) {
        match *word {
            ";" if depth == 0 => return at + 1,
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Words, `::`, and every other character that is not blank, each with its line.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((number + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The text with every comment, string and character literal turned into blanks; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end =
            literal_end(&text[at..], at > 0 && is_word_byte(bytes[at - 1])).map_or(at, |length| at + length);
        if end == at {
            at += 1;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        }
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8(out).expect("whole characters were replaced by ASCII")
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length of the comment or literal that `text` starts with, if it starts with one.
fn literal_end(text: &str, inside_word: bool) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_end(text));
    }
    if text.starts_with('"') {
        return Some(quoted_end(text, '"'));
    }
    if text.starts_with('\'') {
        // A lifetime has no quote behind its first character, a character literal has, or starts with an escape.
        let mut chars = text.chars().skip(1);
        let (first, second) = (chars.next()?, chars.next());
        return (first == '\\' || second == Some('\'')).then(|| quoted_end(text, '\''));
    }
    if inside_word {
        return None;
    }
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(text.len() - body.len() + end)
}

fn block_comment_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The files that the tree on `page` does not show. The tree may give each file a line or list the files of a room
/// behind its name; a room's part goes from the line that starts with its name to the next one no deeper. `mod.rs`
/// is its room's own line.
fn missing_in_tree(page: &str, files: &[(String, String)]) -> Vec<String> {
    let start = |line: &str| line.find(|c: char| c.is_alphanumeric()).unwrap_or(usize::MAX);
    let words = |line: &str| -> Vec<String> {
        let is_name = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        line.split(|c| !is_name(c)).map(|word| word.trim_matches(['.', '/']).to_owned()).collect()
    };
    let is_named = |words: &[String], path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        words.iter().any(|word| word == name || word == stem || word.ends_with(path))
    };
    let lines: Vec<&str> = page.lines().collect();
    let part_of = |room: &str| -> Vec<String> {
        let heads =
            |line: &str| words(line).iter().find(|word| !word.is_empty()).is_some_and(|word| word == room);
        let parts = lines.iter().enumerate().filter(|(_, line)| heads(line)).flat_map(|(at, line)| {
            let deeper =
                lines[at + 1..].iter().take_while(|next| start(next) > start(line) && !next.is_empty());
            std::iter::once(line).chain(deeper)
        });
        parts.flat_map(|line| words(line)).collect()
    };
    let all: Vec<String> = page.lines().flat_map(words).collect();
    let stands = |path: &str| {
        let inside = path.strip_prefix("src/").unwrap_or(path);
        match inside.split_once('/') {
            None => is_named(&all, inside),
            Some((room, "mod.rs")) => all.iter().any(|word| word == room),
            Some((room, file)) => {
                let file = file.strip_suffix("/mod.rs").unwrap_or(file);
                is_named(&part_of(room), file) || all.iter().any(|word| word.ends_with(inside))
            }
        }
    };
    let paths = files.iter().map(|(path, _)| path.clone());
    paths.filter(|path| path != "src/ARCHITECTURE.md" && !stands(path)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `src/`, as path from the package's root and text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of src/") {
            let path = entry.expect("an entry of src/").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root()).expect("below the root").to_str().expect("a UTF-8 name");
            let text = String::from_utf8_lossy(&fs::read(&path).expect("a readable file")).into_owned();
            files.push((name.to_owned(), text));
        }
    }
    files.sort();
    files
}

/// The checks themselves are checked by planting what they forbid.
mod planted {
    use super::*;

    fn found(path: &str, text: &str) -> String {
        violations(&[(path.to_owned(), text.to_owned())]).join("\n")
    }

    #[test]
    fn an_import_from_a_higher_floor_is_found() {
        for text in [
            "use crate::server::Server;",
            "use crate::{base::Now, server::{self, Server}};",
            "fn f() { let s = crate::server::Server::new(); }",
            "pub use crate::\n    server::Server;",
            "use super::super::server::Server;",
            "mod tests { use super::super::super::server::Server; }",
        ] {
            let found = found("src/tracker/swarm.rs", text);
            assert!(
                found.contains("`tracker` (floor 3) imports `server` (floor 5): upward"),
                "{text}: {found}"
            );
        }
        assert!(found("src/mailbox.rs", "use super::reactor::Reactor;").contains("upward"));
        assert!(found("src/base/mod.rs", "use crate::*;").contains("every room at once"));
    }

    #[test]
    fn neighbours_on_one_floor_do_not_meet() {
        let text = "use crate::registry::Question;";
        assert!(found("src/tracker/mod.rs", text).contains("`tracker` imports `registry`, its neighbour"));
        assert!(found("src/registry/mod.rs", "use crate::tracker::Tracker;").contains("its neighbour"));
        assert!(found("src/store/mod.rs", "use crate::reactor;").contains("its neighbour"));
        assert_eq!(found("src/server/mod.rs", "use crate::{registry::Question, tracker::Tracker};"), "");
    }

    #[test]
    fn the_system_is_for_shells() {
        for (text, what) in [
            ("use std::net::UdpSocket;", "a socket"),
            ("use std::net::{IpAddr, TcpStream};", "a socket"),
            ("use std::time::Instant;", "a clock"),
            ("fn f() { std::time::SystemTime::now(); }", "a clock"),
            ("use std::{env, fmt};", "the environment"),
            ("fn f() { std::env::var(\"X\"); }", "the environment"),
            ("fn f() { std::thread::spawn(|| ()); }", "a thread"),
            ("use std::sync::{Arc, Mutex};", "a lock"),
            ("use std::sync::atomic::AtomicU64;", "a lock"),
            ("use std::fs;", "a file"),
        ] {
            let broken = found("src/server/mod.rs", text);
            assert!(broken.contains(&format!("is below the shells but names {what}")), "{text}: {broken}");
            assert_eq!(found("src/reactor/mod.rs", text), "");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        let text = r##"
            //! `crate::server` decides; nobody names a Mutex.
            use crate::base::Now;
            use std::net::{IpAddr, SocketAddr};
            use std::time::Duration;
            use super::slice::Slice;
            /* crate::server /* Instant */ */
            const TEXT: &str = "crate::server \" Instant";
            const RAW: &str = r#"std::env "crate::server" "#;
            const QUOTE: char = '"'; // Instant
            const VERSION: &str = env!("CARGO_PKG_VERSION");
            pub(crate) fn f<'a>(c: &'a str) -> &'a str { c }
            #[cfg(test)]
            mod tests { use super::*; use std::fs; fn g() { let t = std::time::Instant::now(); } }
        "##;
        assert_eq!(found("src/tracker/table.rs", text), "");
        assert_eq!(found("src/main.rs", "use weightless::config::Config; use std::env;"), "");
    }

    #[test]
    fn a_new_room_needs_a_floor() {
        assert!(found("src/cellar/mod.rs", "").contains("the room `cellar` has no floor"));
    }

    #[test]
    fn a_file_outside_the_tree_is_found() {
        let page = "# Map\n```\nsrc/\n  lib.rs main.rs\n  wire/    bencode · http1\n           query\n  base/\n    \
                    mod.rs  words\n    limits.rs  bounds\n```\n";
        let missing = |path: &str| !missing_in_tree(page, &[(path.to_owned(), String::new())]).is_empty();
        let shown =
            ["src/lib.rs", "src/wire/mod.rs", "src/wire/http1.rs", "src/wire/query.rs", "src/base/limits.rs"];
        for path in shown {
            assert!(!missing(path), "{path}");
        }
        for path in
            ["src/wire/limits.rs", "src/base/query.rs", "src/hub.rs", "src/store/mod.rs", "src/wire/http.rs"]
        {
            assert!(missing(path), "{path}");
        }
    }
}
