//! The reader: one thread, a connection that cannot write, and the catalogue that searches run on.

use super::columns::{natural, text, time};
use super::lookup::find;
use super::post::Post;
use super::problem::{Failure, Problem};
use crate::mailbox::{FromStore, ToReader};
use crate::registry::answer::{etag, matches_etag};
use crate::registry::entry::{Object, array};
use crate::registry::html::{self, Surroundings};
use crate::registry::registration::sha256_hex;
use crate::registry::{
    Answer, Catalogue, Entry, FileKind, HashText, Listing, Page, Personal, Question, Search, api, meta,
};
use crate::torrent::small::{self, Idtorrent};
use crate::torrent::{self, Magnet};
use crate::wire::passkey;
use crossbeam_channel::Receiver;
use rusqlite::{Connection, OptionalExtension};

/// The reader's thread.
pub(super) struct Reader {
    db: Connection,
    post: Post,
    catalogue: Catalogue,
}

impl Reader {
    /// A reader on this connection.
    pub fn new(db: Connection, post: Post) -> Self {
        Self { db, post, catalogue: Catalogue::default() }
    }

    /// Works until `Stop`, or until nobody can send any more. The catalogue is read first; changes committed in the
    /// meantime are in what is read, in the mail, or in both, and making a change twice does no harm.
    pub fn run(mut self, mail: &Receiver<ToReader>) {
        match read_catalogue(&self.db) {
            Ok(catalogue) => self.catalogue = catalogue,
            Err(error) => log::error!("store: searches find only what is registered from now on: {error}"),
        }
        while let Ok(message) = mail.recv() {
            match message {
                ToReader::Ask { ticket, question } => {
                    let answer = self.answer(&question);
                    self.post.put(FromStore::Answered { ticket, answer });
                    self.post.ring();
                }
                ToReader::Seeders(counts) => {
                    for (key, seeders) in counts {
                        self.catalogue.set_seeders(key, seeders);
                    }
                }
                ToReader::Changed(changes) => changes.iter().for_each(|change| self.catalogue.apply(change)),
                ToReader::Stop => break,
            }
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        let answer = match question {
            Question::Entry(hash) => self.entry(hash),
            Question::Search(search) => self.search(search),
            Question::Torrent { hash, known, personal } => {
                self.torrent(hash, known.as_deref(), personal.as_ref())
            }
            Question::Magnet { hash, trackers } => self.magnet(hash, trackers),
            Question::Meta(hash) => self.meta(hash),
            Question::ListPage(search) => self.list_page(search),
            Question::EntryPage { hash, trackers } => self.entry_page(hash, trackers),
            Question::Blocklist(page) => self.blocklist(*page),
            Question::Ping => self.ping(),
        };
        answer.unwrap_or_else(|problem| {
            if let Problem::Failed(error) = &problem {
                self.post.put(FromStore::Fault(Failure::of(error)));
            }
            Answer::Error(problem.text())
        })
    }

    fn entry(&self, hash: &HashText) -> Result<Answer, Problem> {
        let row = find(&self.db, hash)?.ok_or(api::NOT_FOUND)?.row;
        Ok(Answer::Entry(self.row(row)?.ok_or(api::NOT_FOUND)?.row()))
    }

    fn entry_page(&self, hash: &HashText, trackers: &[String]) -> Result<Answer, Problem> {
        let row = find(&self.db, hash)?.ok_or(api::NOT_FOUND)?.row;
        let entry = self.row(row)?.ok_or(api::NOT_FOUND)?;
        let sql = "SELECT coalesce(length(torrent_data), 0) > 0 FROM registry WHERE rowid = ?1";
        let has_file = self.db.prepare_cached(sql)?.query_row([row], |row| row.get(0)).optional()?;
        let around = Surroundings { has_file: has_file.unwrap_or(false), trackers };
        Ok(Answer::Html(html::entry(&entry, around)))
    }

    fn search(&self, search: &Search) -> Result<Answer, Problem> {
        let (entries, total) = self.found(search)?;
        Ok(Answer::Page { rows: entries.iter().map(Entry::row).collect(), total })
    }

    fn list_page(&self, search: &Search) -> Result<Answer, Problem> {
        let (entries, total) = self.found(search)?;
        Ok(Answer::Html(html::list(search, &entries, total)))
    }

    /// A row that was taken down after the search had found it is left out; its removal is in the mail already.
    fn found(&self, search: &Search) -> rusqlite::Result<(Vec<Entry>, u64)> {
        let found = self.catalogue.find(search);
        let mut entries = Vec::with_capacity(found.rows.len());
        for row in found.rows {
            entries.extend(self.row(row)?);
        }
        Ok((entries, found.total))
    }

    fn row(&self, row: i64) -> rusqlite::Result<Option<Entry>> {
        let mut statement = self.db.prepare_cached(
            "SELECT info_hash, v1_info_hash, name, verified, completions, description, publisher, license,
                 publisher_key, signature, kind, size, category, tags FROM registry WHERE rowid = ?1",
        )?;
        let entry = statement.query_row([row], |row| {
            Ok(Entry {
                info_hash: text(row, 0)?,
                v1_info_hash: text(row, 1)?,
                name: text(row, 2)?,
                verified: natural(row, 3)? != 0,
                completions: natural(row, 4)?,
                description: text(row, 5)?,
                publisher: text(row, 6)?,
                license: text(row, 7)?,
                publisher_key: text(row, 8)?,
                signature: text(row, 9)?,
                kind: text(row, 10)?,
                size: natural(row, 11)?,
                category: text(row, 12)?,
                tags: text(row, 13)?,
            })
        });
        entry.optional()
    }

    fn torrent(
        &self,
        hash: &HashText,
        known: Option<&str>,
        personal: Option<&Personal>,
    ) -> Result<Answer, Problem> {
        let entry = find(&self.db, hash)?.ok_or(api::TORRENT_NOT_FOUND)?;
        let File { bytes, kind, name, sha256 } = self.file(entry.row)?.ok_or(api::TORRENT_NOT_FOUND)?;
        let hash = entry.hashes().map_or(entry.info_hash, |hashes| hashes.best_hex());
        if let Some(personal) = personal {
            let bytes = personal_copy(&bytes, personal);
            let name = file_name(&bytes, kind, name);
            return Ok(Answer::File { bytes, kind, name, hash, sha256: None });
        }
        let sha256 = if sha256.is_empty() { sha256_hex(&bytes) } else { sha256 };
        if known.is_some_and(|known| matches_etag(known, &etag(&sha256))) {
            return Ok(Answer::NotModified { sha256 });
        }
        let name = file_name(&bytes, kind, name);
        Ok(Answer::File { bytes, kind, name, hash, sha256: Some(sha256) })
    }

    fn magnet(&self, hash: &HashText, trackers: &[String]) -> Result<Answer, Problem> {
        let entry = find(&self.db, hash)?.ok_or(api::NOT_FOUND)?;
        // An odd row of an old database has nothing a client could look for.
        let hashes = entry.hashes().ok_or(api::NOT_FOUND)?;
        let sql = "SELECT name, kind FROM registry WHERE rowid = ?1";
        let found =
            self.db.prepare_cached(sql)?.query_row([entry.row], |row| Ok((text(row, 0)?, text(row, 1)?)));
        let (name, kind) = found.optional()?.unzip();
        // Clients would look for an info dictionary, and nobody has one.
        if kind.is_some_and(|kind| FileKind::of(&kind) == FileKind::Idtorrent) {
            return Err(api::NO_MAGNET.into());
        }
        let link = Magnet { name, trackers: trackers.to_vec(), ..Magnet::new(hashes) };
        Ok(Answer::Text(link.to_string()))
    }

    fn meta(&self, hash: &HashText) -> Result<Answer, Problem> {
        let known = find(&self.db, hash)?.ok_or(api::NOT_FOUND)?;
        let file = self.file(known.row)?.ok_or(api::NO_TORRENT_DATA)?;
        Ok(Answer::Json { status: 200, body: meta::describe(&file.bytes, file.kind)? })
    }

    /// The file of a row, unless it has none.
    fn file(&self, row: i64) -> rusqlite::Result<Option<File>> {
        let mut statement = self.db.prepare_cached(
            "SELECT CAST(torrent_data AS BLOB), name, torrent_sha256, kind FROM registry WHERE rowid = ?1",
        )?;
        let file = statement.query_row([row], |row| {
            let bytes: Option<Vec<u8>> = row.get(0)?;
            let kind = FileKind::of(&text(row, 3)?);
            let bytes = bytes.unwrap_or_default();
            Ok(File { bytes, kind, name: text(row, 1)?, sha256: text(row, 2)? })
        });
        Ok(file.optional()?.filter(|file| !file.bytes.is_empty()))
    }

    fn blocklist(&self, page: Page) -> Result<Answer, Problem> {
        let total = self.db.query_row("SELECT count(*) FROM blocklist", [], |row| natural(row, 0))?;
        let mut statement = self.db.prepare_cached(
            "SELECT info_hash, reason, created_at FROM blocklist
             ORDER BY created_at DESC, info_hash LIMIT ?1 OFFSET ?2",
        )?;
        let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
        let items = statement.query_map((page.limit, offset), |row| {
            let mut json = Object::default();
            json.text("info_hash", &text(row, 0)?);
            json.text("reason", &text(row, 1)?);
            json.plain("created_at", &time(row, 2)?);
            Ok(json.finished())
        })?;
        let items = items.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Answer::List { body: array(items.into_iter()), total })
    }

    fn ping(&self) -> Result<Answer, Problem> {
        self.db.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
        Ok(Answer::Json { status: 200, body: Vec::new() })
    }
}

struct File {
    bytes: Vec<u8>,
    kind: FileKind,
    name: String,
    sha256: String,
}

/// What a download is called: a torrent like its entry, an idtorrent like the file it is of.
fn file_name(bytes: &[u8], kind: FileKind, name: String) -> String {
    match kind {
        FileKind::Torrent => name,
        FileKind::Idtorrent => {
            Idtorrent::read(bytes, small::FILE_BYTES_MAX).map_or(name, |found| found.file_name().to_owned())
        }
    }
}

/// The file with a passkey in its announce URLs: in those of this tracker when it can be told which they are, else in
/// all. What cannot be read, as in an old database, is given as it is.
fn personal_copy(file: &[u8], personal: &Personal) -> Vec<u8> {
    let is_ours = |url: &str| passkey::host_of_url(url).is_some_and(|host| personal.hosts.contains(&host));
    let mut some_are_ours = false;
    let _ = torrent::rewrite_trackers(file, |url| {
        some_are_ours |= std::str::from_utf8(url).is_ok_and(is_ours);
        None
    });
    let insert = |url: &[u8]| {
        let url = std::str::from_utf8(url).ok().filter(|url| !some_are_ours || is_ours(url))?;
        passkey::insert_into_url(url, &personal.passkey).map(String::into_bytes)
    };
    torrent::rewrite_trackers(file, insert).unwrap_or_else(|_| file.to_vec())
}

/// Rows whose hash is blocked, as an old database may hold them, are not found by searches.
fn read_catalogue(db: &Connection) -> rusqlite::Result<Catalogue> {
    let mut statement = db.prepare(
        "SELECT rowid, info_hash, name, category, publisher, tags, created_at, completions FROM registry
         WHERE NOT EXISTS (SELECT 1 FROM blocklist
             WHERE lower(substr(blocklist.info_hash, 1, 40)) = lower(substr(registry.info_hash, 1, 40)))",
    )?;
    let mut rows = statement.query([])?;
    let mut catalogue = Catalogue::default();
    while let Some(row) = rows.next()? {
        catalogue.store(&Listing {
            row: row.get(0)?,
            info_hash: text(row, 1)?,
            name: text(row, 2)?,
            category: text(row, 3)?,
            publisher: text(row, 4)?,
            tags: text(row, 5)?,
            created_at: time(row, 6)?,
            completions: natural(row, 7)?,
        });
    }
    catalogue.shrink();
    Ok(catalogue)
}
