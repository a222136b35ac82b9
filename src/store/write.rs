//! The writer: one thread, the one connection that writes, one commit for all mail that waits.
//!
//! Nobody hears of a change before it is on disk: after the commit first the reader, then the tracker, then whoever
//! asked. A request that is refused leaves no trace and does not disturb the others of its batch. If the disk fails,
//! the whole batch fails and each part of it is told so; snapshots are then tried again by the tracker.

use super::lookup::find;
use super::place::Place;
use super::post::Post;
use super::problem::{Failure, Problem};
use super::takedown::{takedown, unblock, verify};
use super::upsert::upsert;
use super::{StripPasskey, Times};
use crate::base::limits::{STORE_BATCH_BYTES, STORE_QUEUE_MAX};
use crate::base::{InfoHashes, UnixSeconds};
use crate::mailbox::{AdmissionChange, CommitKind, FromStore, SliceSnapshot, Ticket, ToReader, ToWriter};
use crate::registry::catalogue::Change;
use crate::registry::{Answer, ApiError, HashText, Intake, Registration, api, parse_registration};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Savepoint, TransactionBehavior, params};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a request changed.
pub(super) struct Done {
    /// For whoever asked.
    pub answer: Answer,
    /// For the tracker.
    pub admission: Option<AdmissionChange>,
    /// For the reader.
    pub changes: Vec<Change>,
}

/// The writer's thread.
pub(super) struct Writer {
    db: Connection,
    place: Option<Place>,
    times: Times,
    strip: StripPasskey,
    to_reader: Sender<ToReader>,
    post: Post,
    /// What the last attempt to write came to.
    writable: bool,
    /// Damage was seen: nothing is written any more.
    corrupt: bool,
    /// Large bodies of which parts have come; the server bounds their number and their bytes.
    uploads: HashMap<Ticket, Intake>,
    /// What the tracker has handed over and is in no hurry about: it goes with the next commit.
    held: Held,
}

/// What became of each request, and what the flush changed.
type Outcomes = (Vec<Result<Done, ApiError>>, Vec<Change>);

/// Parts of a flush that wait for its end, or for a commit that happens anyway.
#[derive(Default)]
struct Held {
    slices: Vec<SliceSnapshot>,
    completions: Vec<(InfoHashes, u64)>,
    bytes: usize,
}

/// One change that somebody waits for.
enum Request {
    Register { registration: Box<Registration>, at: UnixSeconds },
    Takedown { hash: HashText, reason: String, at: UnixSeconds },
    Unblock { hash: HashText },
    Verify { hash: HashText, verified: bool },
}

/// All mail of one commit, sorted by what becomes of it.
#[derive(Default)]
struct Batch {
    /// Refused before the database was asked.
    refused: Vec<(Ticket, ApiError)>,
    requests: Vec<(Ticket, Request)>,
    /// The tracker has handed over all of a flush, and waits to be told.
    flush: bool,
    stop: bool,
}

impl Batch {
    fn register(&mut self, ticket: Ticket, registration: Result<Registration, ApiError>, at: UnixSeconds) {
        match registration {
            Ok(registration) => {
                let registration = Box::new(registration);
                self.requests.push((ticket, Request::Register { registration, at }));
            }
            Err(error) => self.refused.push((ticket, error)),
        }
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.completions.is_empty()
    }
}

impl Writer {
    /// A writer on this connection.
    pub fn new(
        db: Connection,
        place: Option<Place>,
        times: Times,
        strip: StripPasskey,
        to_reader: Sender<ToReader>,
        post: Post,
    ) -> Self {
        let (uploads, held) = (HashMap::new(), Held::default());
        Self { db, place, times, strip, to_reader, post, writable: true, corrupt: false, uploads, held }
    }

    /// Works until `Stop`, or until nobody can send any more. Gives the connection back, because the last one to be
    /// closed must be one that can move the write-ahead log into the database.
    pub fn run(mut self, mail: &Receiver<ToWriter>) -> Connection {
        while let Some(first) = self.next(mail) {
            let batch = self.collect(first, mail);
            self.turn(&batch);
            self.post.ring();
            if batch.stop {
                break;
            }
        }
        self.db
    }

    /// The next message; `None` when nobody can send any more. After a failed write it also looks from time to time
    /// whether writing works again: on a quiet tracker nobody else might, and `/health` would go on complaining.
    fn next(&mut self, mail: &Receiver<ToWriter>) -> Option<ToWriter> {
        while !self.writable && !self.corrupt {
            match mail.recv_timeout(PROBE_EVERY) {
                Ok(first) => return Some(first),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.probe(),
            }
        }
        mail.recv().ok()
    }

    /// Writes a value that is there already.
    fn probe(&mut self) {
        let place = self.place.as_ref().map_or(Ok(()), Place::check);
        let write = "UPDATE meta SET value = value WHERE key = 'first_start'";
        match place.and_then(|()| self.db.execute(write, [])) {
            Ok(_) => {
                self.set_writable(true);
                self.post.ring();
            }
            Err(error) => log::debug!("store: still nothing can be written: {error}"),
        }
    }

    /// Takes what waits, up to a bound in number and in bytes. Bodies are read and checked here, before the
    /// transaction begins.
    fn collect(&mut self, first: ToWriter, mail: &Receiver<ToWriter>) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        for message in std::iter::once(first).chain(mail.try_iter()).take(STORE_QUEUE_MAX) {
            bytes += self.sort(message, &mut batch);
            if batch.stop || batch.flush || bytes >= STORE_BATCH_BYTES {
                break;
            }
        }
        batch
    }

    fn sort(&mut self, message: ToWriter, batch: &mut Batch) -> usize {
        let (ticket, request) = match message {
            ToWriter::Register { ticket, body, at } => {
                batch.register(ticket, parse_registration(&body, &*self.strip), at);
                return body.len();
            }
            ToWriter::UploadPart { ticket, bytes } => {
                self.uploads.entry(ticket).or_default().push(&bytes);
                self.post.put(FromStore::UploadTaken { ticket });
                return bytes.len();
            }
            ToWriter::UploadEnd { ticket, at } => {
                let intake = self.uploads.remove(&ticket).unwrap_or_default();
                let bytes = intake.bytes_held();
                batch.register(ticket, intake.finish(&*self.strip), at);
                return bytes;
            }
            ToWriter::UploadGone { ticket } => {
                self.uploads.remove(&ticket);
                return 0;
            }
            ToWriter::Takedown { ticket, hash, reason, at } => {
                (ticket, Request::Takedown { hash, reason, at })
            }
            ToWriter::Unblock { ticket, hash } => (ticket, Request::Unblock { hash }),
            ToWriter::Verify { ticket, hash, verified } => (ticket, Request::Verify { hash, verified }),
            ToWriter::Snapshot(slice) => {
                let bytes = slice.bytes.len();
                self.held.bytes += bytes;
                self.held.slices.push(slice);
                return bytes;
            }
            ToWriter::Completions(totals) => {
                self.held.completions.extend(totals);
                return 0;
            }
            ToWriter::Flush => {
                batch.flush = true;
                return 0;
            }
            ToWriter::Stop => {
                batch.stop = true;
                return 0;
            }
        };
        batch.requests.push((ticket, request));
        0
    }

    fn turn(&mut self, batch: &Batch) {
        for (ticket, error) in &batch.refused {
            self.answer(*ticket, Answer::Error(*error));
        }
        let full = self.held.bytes >= STORE_BATCH_BYTES;
        if batch.requests.is_empty() && !batch.flush && !batch.stop && !full {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let nothing = batch.requests.is_empty() && held.is_empty();
        let outcome = match (nothing, self.corrupt) {
            (true, _) => Ok((Vec::new(), Vec::new())),
            (_, true) => Err(None),
            _ => self.timed_commit(batch, &held).map_err(Some),
        };
        let durable = outcome.is_ok();
        match outcome {
            Ok((done, changes)) => self.tell(batch, done, changes),
            Err(error) => self.fail(batch, error.as_ref()),
        }
        if batch.flush || !held.is_empty() {
            let slices = held.slices.iter().map(|slice| slice.slice).collect();
            let completed = held.completions.iter().map(|(hashes, _)| *hashes).collect();
            self.post.put(FromStore::Flushed { slices, completed, durable });
        }
        if !nothing && self.writable != durable {
            self.set_writable(durable);
        }
    }

    /// What the last attempt to write came to has changed.
    fn set_writable(&mut self, writable: bool) {
        if writable {
            log::info!("store: writing works again");
        }
        self.writable = writable;
        self.post.put(FromStore::Health { writable });
    }

    fn timed_commit(&mut self, batch: &Batch, held: &Held) -> rusqlite::Result<Outcomes> {
        let begun = Instant::now();
        if let Some(place) = &self.place {
            place.check()?;
        }
        let outcomes = self.commit(batch, held)?;
        let kind = if batch.requests.is_empty() { CommitKind::Flush } else { CommitKind::Registry };
        self.post.put(FromStore::Committed { kind, micros: begun.elapsed().as_micros() as u64 });
        Ok(outcomes)
    }

    /// One transaction for the whole batch. An error means that none of it is on disk.
    fn commit(&mut self, batch: &Batch, held: &Held) -> rusqlite::Result<Outcomes> {
        let mut change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut done = Vec::with_capacity(batch.requests.len());
        for (_, request) in &batch.requests {
            let savepoint = change.savepoint()?;
            let outcome = match apply(&savepoint, request, self.times) {
                Ok(outcome) => savepoint.commit().map(|()| Ok(outcome))?,
                Err(problem) => Err(undo(savepoint, problem)?),
            };
            done.push(outcome);
        }
        let mut changes = Vec::new();
        for (hashes, completions) in &held.completions {
            changes.extend(store_completions(&change, *hashes, *completions)?);
        }
        for slice in &held.slices {
            store_slice(&change, slice)?;
        }
        change.commit()?;
        Ok((done, changes))
    }

    /// After the commit, in this order: searches, the tracker, whoever asked. All refer to one state then.
    fn tell(&self, batch: &Batch, mut done: Vec<Result<Done, ApiError>>, mut changes: Vec<Change>) {
        let in_order = done.iter_mut().flatten().flat_map(|done| done.changes.drain(..));
        changes.splice(0..0, in_order);
        if !changes.is_empty() {
            let _ = self.to_reader.send(ToReader::Changed(changes));
        }
        for ((ticket, _), outcome) in batch.requests.iter().zip(done) {
            match outcome {
                Ok(done) => {
                    if let Some(admission) = done.admission {
                        self.post.put(FromStore::Admission(admission));
                    }
                    self.answer(*ticket, done.answer);
                }
                Err(error) => {
                    if error == api::DATABASE_ERROR {
                        self.post.put(FromStore::Fault(Failure::Other));
                    }
                    self.answer(*ticket, Answer::Error(error));
                }
            }
        }
    }

    fn fail(&mut self, batch: &Batch, error: Option<&rusqlite::Error>) {
        let failure = error.map_or(Failure::Corrupt, Failure::of);
        if let Some(error) = error {
            log::error!("store: nothing is written: {error}");
        }
        self.post.put(FromStore::Fault(failure));
        self.corrupt |= failure == Failure::Corrupt;
        for (ticket, request) in &batch.requests {
            let text = match (failure, request) {
                (Failure::Corrupt | Failure::Other, Request::Takedown { .. }) => api::INTERNAL_ERROR,
                _ => failure.text(),
            };
            self.answer(*ticket, Answer::Error(text));
        }
    }

    fn answer(&self, ticket: Ticket, answer: Answer) {
        self.post.put(FromStore::Answered { ticket, answer });
    }
}

fn apply(db: &Connection, request: &Request, times: Times) -> Result<Done, Problem> {
    match request {
        Request::Register { registration, at } => upsert(db, registration, *at, times.registry),
        Request::Takedown { hash, reason, at } => takedown(db, hash, reason, *at, times.blocklist),
        Request::Unblock { hash } => unblock(db, hash),
        Request::Verify { hash, verified } => verify(db, hash, *verified),
    }
}

/// Takes one request back. What only it suffers from is its own answer; what the disk suffers from ends the batch.
fn undo(mut savepoint: Savepoint<'_>, problem: Problem) -> rusqlite::Result<ApiError> {
    let own = match problem {
        Problem::Refused(error) => error,
        Problem::Failed(error) if Failure::of(&error) == Failure::Other => {
            log::error!("store: one request failed: {error}");
            api::DATABASE_ERROR
        }
        Problem::Failed(error) => return Err(error),
    };
    savepoint.rollback()?;
    savepoint.commit()?;
    Ok(own)
}

fn store_completions(db: &Connection, hashes: InfoHashes, total: u64) -> rusqlite::Result<Option<Change>> {
    // An entry that was taken down since is no longer there.
    let Some(entry) = find(db, &HashText(hashes.best_hex()))? else { return Ok(None) };
    let stored = i64::try_from(total).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached("UPDATE registry SET completions = ?1 WHERE rowid = ?2")?;
    statement.execute(params![stored, entry.row])?;
    Ok(Some(Change::Completed { row: entry.row, completions: total }))
}

fn store_slice(db: &Connection, slice: &SliceSnapshot) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("INSERT OR REPLACE INTO swarm_slice VALUES (?1, ?2, ?3)")?;
    statement.execute(params![slice.slice, slice.taken_at.cast_signed(), slice.bytes])?;
    Ok(())
}

/// How often it is tried whether a disk that failed can be written again.
const PROBE_EVERY: Duration = Duration::from_secs(5);
