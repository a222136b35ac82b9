//! A running store with somebody who asks, and torrents to register.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weightless::mailbox::{AdmissionChange, FromStore, Loaded, Ticket, ToReader, ToWriter};
use weightless::registry::{Answer, ApiError, HashText, Question, Search};
use weightless::store::{DbPath, Store, StoreConfig, StoreError, open};

/// A store and the mail that came from it.
pub struct Desk {
    pub store: Store,
    pub loaded: Loaded,
    next: u64,
}

pub fn config(path: DbPath) -> StoreConfig {
    let strip = |url: &str| url.strip_suffix("/SECRET").map(str::to_owned);
    StoreConfig { path, wal_autocheckpoint: 1000, strip_passkey: Arc::new(strip) }
}

/// A directory of its own and the database in it.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("weightless.db");
    (directory, path)
}

pub fn try_open(path: &Path) -> Result<Desk, StoreError> {
    Desk::open(DbPath::File(path.to_owned()))
}

impl Desk {
    pub fn open(path: DbPath) -> Result<Self, StoreError> {
        let (opened, loaded) = open(&config(path))?;
        Ok(Self { store: opened.start(|| {}), loaded, next: 0 })
    }

    pub fn file(path: &Path) -> Self {
        try_open(path).expect("the store opens")
    }

    pub fn memory() -> Self {
        Self::open(DbPath::Memory).expect("the store opens")
    }

    /// Posts a registration at second `at`; the answer and what the tracker was told before it.
    pub fn register_at(&mut self, json: &str, at: u64) -> (Answer, Vec<AdmissionChange>) {
        let (ticket, body) = (self.ticket(), json.as_bytes().to_vec());
        self.write(ticket, ToWriter::Register { ticket, body, at })
    }

    pub fn register(&mut self, json: &str) -> Answer {
        self.register_at(json, 1000).0
    }

    pub fn takedown(&mut self, hash: &str, reason: &str) -> (Answer, Vec<AdmissionChange>) {
        let (ticket, hash, reason) = (self.ticket(), HashText::new(hash.to_owned()), reason.to_owned());
        self.write(ticket, ToWriter::Takedown { ticket, hash, reason, at: 2000 + ticket.serial })
    }

    pub fn unblock(&mut self, hash: &str) -> (Answer, Vec<AdmissionChange>) {
        let (ticket, hash) = (self.ticket(), HashText::new(hash.to_owned()));
        self.write(ticket, ToWriter::Unblock { ticket, hash })
    }

    pub fn verify(&mut self, hash: &str, verified: bool) -> Answer {
        let (ticket, hash) = (self.ticket(), HashText::new(hash.to_owned()));
        self.write(ticket, ToWriter::Verify { ticket, hash, verified }).0
    }

    pub fn ask(&mut self, question: Question) -> Answer {
        let ticket = self.ticket();
        self.store.to_reader.send(ToReader::Ask { ticket, question }).expect("the reader lives");
        self.await_answer(ticket).0
    }

    pub fn entry(&mut self, hash: &str) -> Answer {
        self.ask(Question::Entry(HashText::new(hash.to_owned())))
    }

    /// The JSON of an entry up to its live counts.
    pub fn entry_json(&mut self, hash: &str) -> String {
        match self.entry(hash) {
            Answer::Entry(row) => String::from_utf8(row.json).expect("UTF-8"),
            other => panic!("no entry but {other:?}"),
        }
    }

    /// The names of a page, in order, and the total.
    pub fn search(&mut self, search: Search) -> (Vec<String>, u64) {
        match self.ask(Question::Search(search)) {
            Answer::Page { rows, total } => (rows.iter().map(|row| name_in(&row.json)).collect(), total),
            other => panic!("no page but {other:?}"),
        }
    }

    pub fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket { connection: 7, serial: self.next }
    }

    pub fn write(&mut self, ticket: Ticket, mail: ToWriter) -> (Answer, Vec<AdmissionChange>) {
        self.store.to_writer.send(mail).expect("the writer lives");
        self.await_answer(ticket)
    }

    /// The next message but for what is only counted.
    pub fn next_mail(&mut self) -> FromStore {
        loop {
            match self.store.from_store.recv_timeout(Duration::from_secs(20)).expect("mail from the store") {
                FromStore::Committed { .. } | FromStore::Fault(_) => {}
                mail => return mail,
            }
        }
    }

    /// Stops the store; everything it was sent is on disk then.
    pub fn close(self) {
        self.store.join();
    }

    pub fn await_answer(&mut self, wanted: Ticket) -> (Answer, Vec<AdmissionChange>) {
        let mut changes = Vec::new();
        loop {
            match self.next_mail() {
                FromStore::Answered { ticket, answer } if ticket == wanted => return (answer, changes),
                FromStore::Answered { .. } => panic!("an answer to somebody else"),
                FromStore::Admission(change) => changes.push(change),
                FromStore::Flushed { .. }
                | FromStore::Health { .. }
                | FromStore::UploadTaken { .. }
                | FromStore::Committed { .. }
                | FromStore::Usage(_)
                | FromStore::Fault(_) => {}
            }
        }
    }
}

pub fn name_in(row: &[u8]) -> String {
    let mut json = row[..row.len() - 1].to_vec();
    json.push(b'}');
    let value: serde_json::Value = serde_json::from_slice(&json).expect("a row is JSON but for its end");
    value["name"].as_str().expect("a name").to_owned()
}

pub fn created() -> Answer {
    Answer::Json { status: 201, body: br#"{"status":"created"}"#.to_vec() }
}

pub fn ok(word: &str) -> Answer {
    Answer::Json { status: 200, body: format!(r#"{{"status":"{word}"}}"#).into_bytes() }
}

pub fn error(status: u16, text: &'static str) -> Answer {
    Answer::Error(ApiError::new(status, text))
}

/// 40 hex digits.
pub fn short(n: u32) -> String {
    format!("{n:08x}").repeat(5)
}

/// 64 hex digits whose first 40 are those of `short(n)`.
pub fn long(n: u32) -> String {
    format!("{n:08x}").repeat(8)
}

pub fn plain(info_hash: &str, name: &str) -> String {
    serde_json::json!({ "info_hash": info_hash, "name": name }).to_string()
}

/// A download of the stored file.
pub fn download(hash: HashText) -> Question {
    Question::Torrent { hash, known: None, personal: None }
}

/// A search for a text in names.
pub fn text(text: &str) -> Search {
    Search { text: text.to_owned(), limit: 50, ..Search::default() }
}

/// Info dictionaries of every kind, holding one file of 5 bytes.
pub const V1_INFO: &str = "d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
pub const V2_INFO: &str = "d9:file treed1:ad0:d6:lengthi5e11:pieces root32:rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrreee\
                           12:meta versioni2e4:name1:a12:piece lengthi16384ee";
pub const HYBRID_INFO: &str = "d9:file treed1:ad0:d6:lengthi5e11:pieces root32:rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrreee\
                               6:lengthi5e12:meta versioni2e4:name1:a12:piece lengthi16384e\
                               6:pieces20:aaaaaaaaaaaaaaaaaaaae";

pub fn torrent(info: &str) -> Vec<u8> {
    let url = "http://t/announce/SECRET";
    format!("d8:announce{}:{url}4:info{info}e", url.len()).into_bytes()
}

/// What `torrent` becomes when it is stored.
pub fn stored(info: &str) -> Vec<u8> {
    format!("d8:announce17:http://t/announce4:info{info}e").into_bytes()
}

pub fn v1_of(info: &str) -> String {
    weightless::torrent::v1_hash(info.as_bytes()).to_string()
}

pub fn v2_of(info: &str) -> String {
    weightless::torrent::v2_hash(info.as_bytes()).to_string()
}

pub fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

/// A body that registers the torrent of `info` under `info_hash`, with more fields in `more` (`,"a":1`).
pub fn with_torrent(info_hash: &str, info: &str, more: &str) -> String {
    format!(r#"{{"info_hash":"{info_hash}","name":"t","torrent_data":"{}"{more}}}"#, base64(&torrent(info)))
}
