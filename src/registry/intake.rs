//! A large body of `POST /api/registry` on its way in, part by part (registry-api, section 4).
//!
//! Almost all of such a body is `torrent_data` or `idt_data`. These strings are decoded as they come; everything else is
//! kept as it is, an empty string in the place of a file, and read like any other body in the end. So a body of 100 MiB never lies
//! in memory in two forms, and what is kept besides the file is bounded.
//!
//! Only the outline of JSON is understood here: strings, and how deep they stand. Whether the body is valid is found
//! out in the end, from what was kept.

use super::answer::ApiError;
use super::api::{BODY_TOO_LARGE, INVALID_JSON, INVALID_TORRENT_DATA, NOT_AN_IDTORRENT};
use super::body::Body;
use super::entry::FileKind;
use super::registration::{Files, Registration, assemble};
use crate::base::limits::{REGISTER_BODY_BYTES_MAX, REGISTER_FIELDS_BYTES_MAX};
use data_encoding::BASE64;

/// A body of which parts have come.
#[derive(Debug, Default)]
pub struct Intake {
    /// The body without what is in its files.
    rest: Vec<u8>,
    /// The files, as far as they are decoded, by `FileKind`.
    files: [Vec<u8>; 2],
    /// Which of them is being read, or was last.
    kind: FileKind,
    /// Base64 that is not a whole group yet.
    group: Vec<u8>,
    /// A group with padding has come: it must be the last.
    padded: bool,
    state: State,
    /// Objects and lists around this place.
    depth: u32,
    /// A string here would be the name of a field of the outermost object.
    names_field: bool,
    /// The value that comes next is this file.
    file_next: Option<FileKind>,
    /// Where the name that is being read begins in `rest`.
    name_at: usize,
    bytes: u64,
    refused: Option<ApiError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Between strings.
    #[default]
    Outside,
    /// In a string; `name`: of a field of the outermost object.
    Text { name: bool },
    /// Behind a backslash in such a string.
    TextEscape { name: bool },
    /// In the file.
    File,
    /// Behind a backslash in it.
    FileEscape,
    /// In the digits of `\u`: how many have come, and what they make.
    FileUnicode { digits: u8, value: u32 },
}

impl Intake {
    /// Takes the next part. Parts may be cut anywhere.
    pub fn push(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        if self.bytes > REGISTER_BODY_BYTES_MAX {
            self.refuse(BODY_TOO_LARGE);
        }
        let mut at = 0;
        while let (Some(left), None) = (part.get(at..).filter(|left| !left.is_empty()), self.refused) {
            at += match self.state {
                State::File => self.file_run(left),
                State::FileEscape | State::FileUnicode { .. } => self.file_escape(left[0]),
                State::Outside | State::Text { .. } | State::TextEscape { .. } => self.outline(left),
            };
        }
    }

    /// How many bytes are kept.
    pub fn bytes_held(&self) -> usize {
        self.rest.len() + self.files.iter().map(Vec::len).sum::<usize>() + self.group.len()
    }

    /// The body is complete: reads and checks it as [`super::parse_registration`] does.
    pub fn finish(self, strip: &dyn Fn(&str) -> Option<String>) -> Result<Registration, ApiError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let body = Body::parse(&self.rest)?;
        let [torrent, idt] = self.files;
        let torrent = body.text("torrent_data").map(|_| torrent);
        let idt = body.text("idt_data").map(|_| idt);
        assemble(&body, Ok(Files { torrent, idt }), strip)
    }

    fn refuse(&mut self, error: ApiError) {
        *self = Self { refused: Some(self.refused.unwrap_or(error)), bytes: self.bytes, ..Self::default() };
    }

    /// Keeps bytes outside the file as far as their meaning does not change. Returns how many.
    fn outline(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        for byte in bytes {
            used += 1;
            self.state = match (self.state, byte) {
                (State::TextEscape { name }, _) | (State::Text { name }, b'\\') => {
                    let escape = !matches!(self.state, State::TextEscape { .. });
                    if escape { State::TextEscape { name } } else { State::Text { name } }
                }
                (State::Text { name: true }, b'"') => {
                    self.keep(&bytes[..used]);
                    self.named();
                    self.state = State::Outside;
                    return used;
                }
                (State::Text { .. }, b'"') => State::Outside,
                (State::Outside, b'"') => {
                    if let Some(kind) = self.file_next.take() {
                        self.keep(&bytes[..used]);
                        self.begin_file(kind);
                        return used;
                    }
                    let name = std::mem::take(&mut self.names_field);
                    self.name_at = self.rest.len() + used - 1;
                    State::Text { name }
                }
                (State::Outside, _) => {
                    self.structure(*byte);
                    State::Outside
                }
                (inside, _) => inside,
            };
        }
        self.keep(bytes);
        used
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.names_field = byte == b'{' && self.depth == 1;
                self.file_next = None;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                (self.names_field, self.file_next) = (false, None);
            }
            b',' => (self.names_field, self.file_next) = (self.depth == 1, None),
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            // Null, or something that is no string.
            _ => self.file_next = None,
        }
    }

    /// The name of a field has come in full.
    fn named(&mut self) {
        let name = self.rest.get(self.name_at..).unwrap_or_default();
        let bare = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
        let plain = bare.filter(|name| !name.contains(&b'\\'));
        let spelt: Option<String> = match (plain, name.len()) {
            // Spelt with escapes, at most six bytes a letter.
            (None, ..=74) => serde_json::from_slice(name).ok(),
            _ => None,
        };
        self.file_next = match plain.or(spelt.as_deref().map(str::as_bytes)) {
            Some(b"torrent_data") => Some(FileKind::Torrent),
            Some(b"idt_data") => Some(FileKind::Idtorrent),
            _ => None,
        };
    }

    /// The last of several files of a kind counts.
    fn begin_file(&mut self, kind: FileKind) {
        self.kind = kind;
        self.files[kind as usize].clear();
        self.group.clear();
        self.padded = false;
        self.state = State::File;
    }

    /// Decodes the file up to its end, an escape, or the end of the part.
    fn file_run(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr2(b'"', b'\\', bytes);
        let run = &bytes[..end.unwrap_or(bytes.len())];
        if run.iter().any(|byte| *byte < b' ') {
            // No string may hold these.
            self.refuse(INVALID_JSON);
            return bytes.len();
        }
        self.group.extend_from_slice(run);
        self.decode();
        let Some(end) = end else { return bytes.len() };
        if bytes[end] == b'\\' {
            self.state = State::FileEscape;
        } else if self.group.is_empty() {
            self.keep(b"\"");
            self.state = State::Outside;
        } else {
            self.refuse(self.bad_file());
        }
        end + 1
    }

    /// `\/`, which some encoders write, and any base64 letter as `\u00XX`.
    fn file_escape(&mut self, byte: u8) -> usize {
        let letter = match (self.state, byte) {
            (State::FileEscape, b'/') => Some(b'/'),
            (State::FileEscape, b'u') => {
                self.state = State::FileUnicode { digits: 0, value: 0 };
                return 1;
            }
            (State::FileEscape, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => None,
            (State::FileUnicode { digits, value }, _) => match char::from(byte).to_digit(16) {
                Some(digit) if digits < 3 => {
                    self.state = State::FileUnicode { digits: digits + 1, value: value << 4 | digit };
                    return 1;
                }
                Some(digit) => u8::try_from(value << 4 | digit).ok(),
                None => {
                    self.refuse(INVALID_JSON);
                    return 1;
                }
            },
            _ => {
                self.refuse(INVALID_JSON);
                return 1;
            }
        };
        match letter.filter(|letter| letter.is_ascii_graphic()) {
            Some(letter) => {
                self.state = State::File;
                self.group.push(letter);
                self.decode();
            }
            None => self.refuse(self.bad_file()),
        }
        1
    }

    /// Decodes whole groups of four letters.
    fn decode(&mut self) {
        let letters = self.group.len() / 4 * 4;
        if letters == 0 {
            return;
        }
        let file = &mut self.files[self.kind as usize];
        let (from, room) = (file.len(), letters / 4 * 3);
        if file.capacity() < from + room {
            // Not twice as much: there may be a lot already.
            file.reserve_exact(room.max(GROWTH_BYTES));
        }
        file.resize(from + room, 0);
        // Padding ends the text, though the decoder would go on.
        let padding = memchr::memchr(b'=', &self.group[..letters]);
        let goes_on = self.padded || padding.is_some_and(|at| at / 4 + 1 < letters / 4);
        self.padded |= padding.is_some();
        match BASE64.decode_mut(&self.group[..letters], &mut file[from..]) {
            Ok(bytes) if !goes_on => file.truncate(from + bytes),
            _ => return self.refuse(self.bad_file()),
        }
        self.group.drain(..letters);
    }

    fn bad_file(&self) -> ApiError {
        match self.kind {
            FileKind::Torrent => INVALID_TORRENT_DATA,
            FileKind::Idtorrent => NOT_AN_IDTORRENT,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.rest.len() + bytes.len() > REGISTER_FIELDS_BYTES_MAX {
            return self.refuse(BODY_TOO_LARGE);
        }
        self.rest.extend_from_slice(bytes);
    }
}

const GROWTH_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::parse_registration;
    use super::*;
    use crate::base::Rng;
    use crate::torrent::small::Idtorrent;

    fn torrent(info: &str, filler: usize) -> (String, String) {
        let file = format!("d7:comment{filler}:{}4:info{info}e", "c".repeat(filler));
        (crate::torrent::v1_hash(info.as_bytes()).to_string(), BASE64.encode(file.as_bytes()))
    }

    /// Everything of a body, and bodies that are broken in every way.
    fn bodies() -> Vec<String> {
        let info = "d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
        let (hash, data) = torrent(info, 40);
        let small = Idtorrent::new("f".to_owned(), 5, 1024, vec![[7; 20]]).expect("within the rules");
        let (id, idt) = (small.file_id(), BASE64.encode(&small.write()));
        let with = |more: &str| {
            let hash = if more.contains("\"idt") { id.to_string() } else { hash.clone() };
            format!(r#"{{"info_hash":"{hash}","name":"n"{more}}}"#)
        };
        let escaped = data.replace('/', "\\/").replace('=', "\\u003D").replacen('Z', "\\u005a", 1);
        [
            format!(r#","torrent_data":"{data}""#),
            format!(r#", "torrent_data" : "{escaped}" , "tags":"a\"b""#),
            format!(r#","torrent\u005fdata":"{data}","size":7"#),
            format!(r#","torrent_data":"{data}","torrent_data":"""#),
            format!(r#","torrent_data":"!!!","torrent_data":"{data}""#),
            format!(r#","torrent_data":"{data}","torrent_data":null"#),
            format!(r#","torrent_data":null,"torrent_data":"{data}""#),
            format!(r#","x":{{"torrent_data":"!"}},"y":["torrent_data","!"],"torrent_data":"{data}""#),
            format!(r#","description":"\"torrent_data\":\"","torrent_data":"{data}""#),
            format!(r#","idt_data":"{idt}""#),
            format!(r#","idt\u005fdata":"{}""#, idt.replace('=', "\\u003d")),
            format!(r#","idt_data":"{idt}","torrent_data":"{data}""#),
            format!(r#","torrent_data":"{data}","idt_data":"""#),
            format!(r#","idt_data":"{idt}","torrent_data":"{data}","torrent_data":null"#),
            format!(r#","torrent_data":"{data}","idt_data":"{idt}","idt_data":null"#),
            format!(r#","idt_data":"{idt}","torrent_data":null"#),
            r#","idt_data":"""#.to_owned(),
            r#","idt_data":"YQ""#.to_owned(),
            r#","idt_data":"YQ==YQ==""#.to_owned(),
            r#","torrent_data":"""#.to_owned(),
            r#","torrent_data":7"#.to_owned(),
            r#","torrent_data":["a"]"#.to_owned(),
            r#","torrent_data":"YQ""#.to_owned(),
            r#","torrent_data":"YQ==""#.to_owned(),
            r#","torrent_data":"YQ==YQ==""#.to_owned(),
            r#","torrent_data":"Y Q=""#.to_owned(),
            r#","torrent_data":"YQ=\n""#.to_owned(),
            r#","torrent_data":"\u00e4aaa""#.to_owned(),
            r#","torrent_data":"é""#.to_owned(),
            r#","torrent_data" "YQ==""#.to_owned(),
            r#","torrent_data":"YQ==" x"#.to_owned(),
            "".to_owned(),
        ]
        .iter()
        .map(|more| with(more))
        .chain([
            format!(r#"{{"torrent_data":"{data}","info_hash":"{hash}","name":"n"}} x"#),
            format!(r#"["torrent_data","{data}"]"#),
            r#"{"torrent_data":"YQ=="#.to_owned(),
            r#"{"torrent_data":"YQ==\"#.to_owned(),
            "".to_owned(),
        ])
        .collect()
    }

    #[test]
    fn a_body_in_parts_is_read_like_a_whole_one() {
        let mut rng = Rng::new(5);
        for body in bodies() {
            // The texts differ in one point: a file that another one replaces is looked at here.
            let expected = match body.contains("!!!") {
                true => Err(INVALID_TORRENT_DATA),
                false => parse_registration(body.as_bytes(), &|_| None),
            };
            for _ in 0..50 {
                let mut intake = Intake::default();
                let mut left = body.as_bytes();
                while !left.is_empty() {
                    let (part, rest) = left.split_at((1 + rng.below(40) as usize).min(left.len()));
                    intake.push(part);
                    left = rest;
                }
                assert_eq!(intake.finish(&|_| None), expected, "{body}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_the_file_and_at_most_a_mebibyte() {
        let (hash, data) = torrent("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces0:e", 3_000_000);
        let padded = |bytes: usize| {
            let body = format!(r#"{{"info_hash":"{hash}","name":"n","x":"","torrent_data":"{data}"}}"#);
            let filler = "y".repeat(bytes + data.len() - body.len());
            body.replacen(r#""x":"""#, &format!(r#""x":"{filler}""#), 1)
        };
        for (bytes, fits) in [(REGISTER_FIELDS_BYTES_MAX, true), (REGISTER_FIELDS_BYTES_MAX + 1, false)] {
            let mut intake = Intake::default();
            let body = padded(bytes);
            body.as_bytes().chunks(65_536).for_each(|part| intake.push(part));
            assert!(intake.bytes_held() <= REGISTER_FIELDS_BYTES_MAX + data.len() / 4 * 3);
            let stored = intake.finish(&|_| None);
            assert_eq!(stored.is_ok(), fits, "{:?}", stored.err());
            assert_eq!(parse_registration(body.as_bytes(), &|_| None), stored);
        }
    }

    #[test]
    fn a_refused_body_keeps_nothing_more() {
        let mut intake = Intake::default();
        intake.push(br#"{"torrent_data":"YQ==YQ=="#);
        for _ in 0..2000 {
            intake.push(&[b'a'; 65_536]);
        }
        assert_eq!(intake.bytes_held(), 0);
        assert_eq!(intake.finish(&|_| None), Err(INVALID_TORRENT_DATA));
    }
}
