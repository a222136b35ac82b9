//! The registry and the swarm's snapshots on disk: one SQLite file, two threads.
//!
//! The writer owns the only connection that writes; it commits all waiting mail at once and answers after the commit.
//! The reader owns a read-only connection and the catalogue that searches run on. The reactor knows neither: it posts
//! mail with `try_send` and never waits.
//!
//! Why the bounded channels cannot lock up: the reactor never blocks, so what it is sent is always taken. The reader
//! blocks only on the reactor. The writer blocks only on the reader (`ToReader::Changed`) and on the reactor. Nobody
//! blocks on the writer but the hub's thread, and on that one nobody waits: it has one batch at most, so that its
//! channel has room. Whoever finds the reactor's channel full wakes the reactor before waiting.

mod backup;
mod columns;
mod dispatch;
mod former;
mod load;
mod lookup;
mod place;
mod post;
mod problem;
mod read;
mod schema;
mod signed;
mod status;
mod takedown;
mod upsert;
mod usage;
mod write;

pub use backup::backup;
pub use status::usage_status;

use crate::base::limits::STORE_QUEUE_MAX;
use crate::mailbox::{FromStore, Loaded, ToHub, ToReader, ToWriter, UsageReport};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use dispatch::Dispatch;
use place::Place;
use post::Post;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use schema::TimeForm;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where the database is and how it is kept.
#[derive(Clone)]
pub struct StoreConfig {
    /// The file, or none.
    pub path: DbPath,
    /// Pages in the write-ahead log before SQLite copies them to the database; 0 leaves that to Litestream.
    pub wal_autocheckpoint: u32,
    /// Answers an announce URL without its passkey if it holds a valid one (`parse_registration`).
    pub strip_passkey: StripPasskey,
}

/// See [`StoreConfig::strip_passkey`]. Called on the writer's thread.
pub type StripPasskey = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The database's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DbPath {
    /// A file in a directory that exists.
    File(PathBuf),
    /// Memory: gone at exit, nothing is locked.
    Memory,
}

/// Why the store could not be opened. The text names the path where there is one.
#[derive(Debug)]
pub enum StoreError {
    /// Another tracker has the database open.
    InUse(PathBuf),
    /// The file or its lock file cannot be opened or created.
    CannotOpen(PathBuf, io::Error),
    /// `quick_check` found damage. The file was not touched.
    Corrupt(PathBuf),
    /// A later version of this program wrote it.
    NewerSchema {
        /// The version it says it has.
        found: i64,
        /// The latest this program knows.
        known: i64,
    },
    /// SQLite refused: not a database, read-only, locked by another program, full.
    Sqlite(PathBuf, rusqlite::Error),
    /// The system has no random numbers.
    NoRandomness,
}

/// A store that is checked and loaded, but serves nobody yet.
pub struct Opened {
    writer: Connection,
    reader: Connection,
    times: Times,
    strip_passkey: StripPasskey,
    usage: UsageReport,
    lock: Option<File>,
    /// Where the file is; none in memory.
    place: Option<Place>,
}

/// How the file's tables hold times.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    registry: TimeForm,
    blocklist: TimeForm,
    usage: TimeForm,
}

/// A running store. Dropping it without [`Store::join`] ends its threads some time later.
pub struct Store {
    /// Mail to the writer. Use `try_send`; full is an honest 503.
    pub to_writer: Sender<ToWriter>,
    /// Mail to the reader, likewise.
    pub to_reader: Sender<ToReader>,
    /// What the threads answer. Must be emptied whenever `wake` was called.
    pub from_store: Receiver<FromStore>,
    /// What the writer hands to the hub's thread, if there is one: nothing before that has sent `FromHub::On(true)`.
    pub hub_mail: Receiver<ToHub>,
    reader: JoinHandle<()>,
    /// Ends with what must outlive the reader: the connection, and the lock that keeps other trackers out.
    writer: JoinHandle<(Connection, Option<File>)>,
}

/// Takes the lock, checks the file, brings it up to date and reads what the tracker needs. Nothing is half done when
/// it fails: the file is as it was.
pub fn open(config: &StoreConfig) -> Result<(Opened, Loaded), StoreError> {
    open_unnamed(config).map_err(|error| match (error, &config.path) {
        (StoreError::Sqlite(_, error), DbPath::File(path)) => StoreError::Sqlite(path.clone(), error),
        (error, _) => error,
    })
}

fn open_unnamed(config: &StoreConfig) -> Result<(Opened, Loaded), StoreError> {
    let lock = match &config.path {
        DbPath::File(path) => Some(take_lock(path)?),
        DbPath::Memory => None,
    };
    let uri = match &config.path {
        DbPath::File(path) => path.clone(),
        DbPath::Memory => memory_uri(),
    };
    if let DbPath::File(path) = &config.path {
        create_private(path)?;
    }
    let mut writer = connect(&uri, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if let DbPath::File(path) = &config.path {
        check(&writer, path)?;
    }
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    keep_plans(&writer)?;
    writer.pragma_update(None, "wal_autocheckpoint", config.wal_autocheckpoint)?;
    writer.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    // Before anything that stays in the file: one that cannot be brought up to date is left byte for byte.
    let former_peers = schema::prepare(&mut writer, random_u64()?)?;
    writer.pragma_update(None, "journal_mode", "WAL")?;
    let reader = connect(&uri, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let times = Times {
        registry: TimeForm::of(&writer, "registry")?,
        blocklist: TimeForm::of(&writer, "blocklist")?,
        usage: TimeForm::of(&writer, "usage_backlog")?,
    };
    let loaded = Loaded { former_peers, ..load::load(&reader)? };
    let strip_passkey = config.strip_passkey.clone();
    // Now that both connections have read from it, the log is there too.
    let place = match &config.path {
        DbPath::File(path) => Some(Place::of(path)),
        DbPath::Memory => None,
    };
    let usage = loaded.usage;
    Ok((Opened { writer, reader, times, strip_passkey, usage, lock, place }, loaded))
}

impl Opened {
    /// Starts the two threads. `wake` is called after mail was put into `from_store`, on their threads.
    pub fn start(self, wake: impl Fn() + Send + Sync + Clone + 'static) -> Store {
        let (to_writer, writer_mail) = bounded(STORE_QUEUE_MAX);
        let (to_reader, reader_mail) = bounded(STORE_QUEUE_MAX);
        let (to_reactor, from_store) = bounded(STORE_QUEUE_MAX);
        let reader = read::Reader::new(self.reader, Post::new(to_reactor.clone(), wake.clone()));
        // One batch and the last call: never more are on their way.
        let (to_hub, hub_mail) = bounded(2);
        let writer = write::Writer::new(
            self.writer,
            self.place,
            self.times,
            self.strip_passkey,
            to_reader.clone(),
            Post::new(to_reactor, wake),
            Dispatch::new(to_hub, self.usage),
        );
        let lock = self.lock;
        let reader = spawn("store-reader", move || reader.run(&reader_mail));
        let writer = spawn("store-writer", move || (writer.run(&writer_mail), lock));
        Store { to_writer, to_reader, from_store, hub_mail, reader, writer }
    }
}

impl Store {
    /// Commits what is waiting, ends both threads and returns the mail that nobody has read yet. The caller must not
    /// keep copies of the senders that it still sends with.
    pub fn join(self) -> Vec<FromStore> {
        let mut unread = Vec::new();
        let mut wait = || unread.extend(self.from_store.recv_timeout(Duration::from_millis(10)));
        while let Err(TrySendError::Full(_)) = self.to_writer.try_send(ToWriter::Stop { last_send: false }) {
            wait();
        }
        while !self.writer.is_finished() {
            wait();
        }
        // The reader is stopped after the writer, which tells it of its last commit.
        while let Err(TrySendError::Full(_)) = self.to_reader.try_send(ToReader::Stop) {
            wait();
        }
        while !self.reader.is_finished() {
            wait();
        }
        unread.extend(self.from_store.try_iter());
        let reader = self.reader.join().map_err(drop);
        let writer = self.writer.join().map_err(drop);
        if reader.is_err() || writer.is_err() {
            log::error!("a thread of the store panicked");
        }
        // The connection first: only a closed file may be taken by another tracker.
        if let Ok((connection, lock)) = writer {
            drop(connection);
            drop(lock);
        }
        unread
    }
}

/// The lock is on a file of its own, because SQLite drops its locks on the database when any handle to it is closed.
fn take_lock(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = open_private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::CannotOpen(path, error)),
    }
}

/// Creates a new database file with mode 0600 before SQLite does it with another; its log gets the same mode. A file
/// that exists is left alone.
fn create_private(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    open_private(path).map(drop)
}

fn open_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::CannotOpen(path.to_owned(), error))
}

/// Statements are planned once, without regard to what is bound to them: else SQLite would compile those that look
/// something up by an index anew each time they run.
fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn connect(uri: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        uri,
        access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(db)
}

/// `vfs=memdb` shares one database in memory between the connections of a process that give the same name; the
/// name's random part keeps two stores apart.
fn memory_uri() -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static OPENED: AtomicU64 = AtomicU64::new(0);
    PathBuf::from(format!("file:/weightless-{}?vfs=memdb", OPENED.fetch_add(1, Ordering::Relaxed)))
}

/// Looks for damage before anything is written. Large files are not read through at every start.
fn check(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let bytes = path.metadata().map_err(|error| StoreError::CannotOpen(path.to_owned(), error))?.len();
    if bytes > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(path.to_owned())) }
}

fn random_u64() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(|| {
        // Where there are fewer cores than threads, announces go before searches. On Linux this is the priority of the
        // calling thread alone; without the leave to set it the thread is as good as before.
        let _ = rustix::process::setpriority_process(None, NICE);
        body()
    });
    thread.expect("the system lets a starting process have its two threads")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(PathBuf::new(), error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "database {} is in use by another tracker", path.display()),
            Self::CannotOpen(path, error) => write!(f, "cannot open {}: {error}", path.display()),
            Self::Corrupt(path) => {
                let path = path.display();
                write!(
                    f,
                    "database {path} is damaged and was left as it is: move it, {path}-wal and {path}-shm away, then \
                     restore a backup (litestream restore {path}, or copy a file of --backup there)"
                )
            }
            Self::NewerSchema { found, known } => {
                write!(f, "the database has schema version {found}, this program knows up to {known}")
            }
            Self::Sqlite(path, error) => write!(f, "database {}: {error}", path.display()),
            Self::NoRandomness => f.write_str("the system has no random numbers"),
        }
    }
}

impl std::error::Error for StoreError {}

const NICE: i32 = 10;
/// Prepared statements that the writer keeps: all it has.
const STATEMENTS_KEPT: usize = 64;
const BUSY_TIMEOUT: Duration = Duration::from_millis(5000);
const CHECKED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// What the write-ahead log may keep on disk after a large upload passed through it.
const WAL_KEPT_BYTES: i64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Ticket;
    use crate::registry::{Answer, HashText, api};

    fn answer(store: &Store) -> Answer {
        loop {
            match store.from_store.recv_timeout(Duration::from_secs(20)).expect("mail") {
                FromStore::Answered { answer, .. } => return answer,
                FromStore::Health { .. }
                | FromStore::Admission(_)
                | FromStore::UploadTaken { .. }
                | FromStore::Committed { .. }
                | FromStore::Fault(_)
                | FromStore::Usage(_)
                | FromStore::Flushed { .. } => {}
            }
        }
    }

    #[test]
    fn a_full_disk_is_storage_unavailable_until_there_is_room() {
        let config =
            StoreConfig { path: DbPath::Memory, wal_autocheckpoint: 1000, strip_passkey: Arc::new(|_| None) };
        let (opened, _) = open(&config).expect("opens");
        opened.writer.pragma_update(None, "max_page_count", 60).expect("a bound");
        let store = opened.start(|| {});
        let ticket = Ticket { connection: 0, serial: 0 };
        let register = |n: u32| {
            let (hash, description) = (format!("{n:040x}"), "x".repeat(60_000));
            let body = format!(r#"{{"info_hash":"{hash}","name":"n","description":"{description}"}}"#);
            store
                .to_writer
                .send(ToWriter::Register { ticket, body: body.into_bytes(), at: 1 })
                .expect("lives");
            answer(&store)
        };
        let stored = (0..10).take_while(|n| register(*n) != Answer::Error(api::STORAGE_UNAVAILABLE)).count();
        assert!((1..10).contains(&stored), "{stored} fit into 60 pages");
        let (hash, reason) = (HashText::new(format!("{:040x}", 0)), String::new());
        store.to_writer.send(ToWriter::Takedown { ticket, hash, reason, at: 2 }).expect("lives");
        assert!(matches!(answer(&store), Answer::Json { status: 200, .. }));
        assert!(matches!(register(99), Answer::Json { status: 201, .. }));
        store.join();
    }
}
