//! Idtorrents transferred by the real `wl`: with each other, with peers written here that do the least a peer may do or
//! lie on purpose, and with the daemon telling them of each other.

mod final_check;
mod getting;
mod line;
mod running;
mod seeder;
mod seeding;

use crate::support::wl;
use std::path::{Path, PathBuf};

/// An idtorrent made by `wl create --idt` in `home`, of a file that is written there.
pub struct Made {
    /// The metafile.
    pub file: PathBuf,
    /// Its id in hex, and as bytes.
    pub id: String,
    pub key: [u8; 20],
    /// What is in the file.
    pub content: Vec<u8>,
    pub chunk: usize,
}

impl Made {
    /// Writes `content` to `name` and makes the idtorrent, with `more` flags.
    pub fn new(home: &Path, name: &str, content: Vec<u8>, chunk: usize, more: &[&str]) -> Self {
        std::fs::write(home.join(name), &content).expect("a file");
        let chunk_size = chunk.to_string();
        let words = [&["create", "--idt", "--json", "--chunk-size", &chunk_size], more, &[name]].concat();
        let (code, said, why) = wl::run(home, &words);
        assert_eq!(code, Some(0), "{why}");
        let said: serde_json::Value = said.parse().expect("JSON");
        let id = said["file_id"].as_str().expect("an id").to_owned();
        let key = data_encoding::HEXLOWER.decode(id.as_bytes()).expect("hex").try_into().expect("20 bytes");
        Self { file: home.join(format!("{name}.idtorrent")), id, key, content, chunk }
    }

    /// The metafile's path as an argument.
    pub fn path(&self) -> &str {
        self.file.to_str().expect("UTF-8")
    }

    pub fn chunks(&self) -> usize {
        self.content.len().div_ceil(self.chunk)
    }

    /// The bytes of a chunk.
    pub fn bytes(&self, chunk: usize) -> &[u8] {
        let begin = chunk * self.chunk;
        &self.content[begin..self.content.len().min(begin + self.chunk)]
    }

    /// The chunks that a file holds, complete or not.
    pub fn good_in(&self, part: &Path) -> Vec<usize> {
        let there = std::fs::read(part).unwrap_or_default();
        let same = |chunk: &usize| {
            let begin = chunk * self.chunk;
            there.get(begin..begin + self.bytes(*chunk).len()) == Some(self.bytes(*chunk))
        };
        (0..self.chunks()).filter(same).collect()
    }
}
