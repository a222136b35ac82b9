//! The writer: one thread, the one connection that writes, one commit for all mail that waits.
//!
//! Nobody hears of a change before it is on disk: after the commit first the reader, then the tracker, then whoever
//! asked. A request that is refused leaves no trace and does not disturb the others of its batch. If the disk fails,
//! the whole batch fails and each part of it is told so; snapshots are then tried again by the tracker.

use super::dispatch::Dispatch;
use super::lookup::find;
use super::place::Place;
use super::post::Post;
use super::problem::{Failure, Problem};
use super::takedown::{takedown, unblock, verify};
use super::upsert::upsert;
use super::{StripPasskey, Times, usage};
use crate::base::limits::{STORE_BATCH_BYTES, STORE_QUEUE_MAX};
use crate::base::{InfoHashes, UnixSeconds};
use crate::mailbox::{
    AdmissionChange, CommitKind, Cut, CutRow, FromHub, FromStore, HubVerdict, SliceSnapshot, Ticket,
    ToReader, ToWriter,
};
use crate::registry::catalogue::Change;
use crate::registry::{Answer, ApiError, HashText, Intake, Registration, api, parse_registration};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Savepoint, TransactionBehavior, params};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    /// A cut did not reach the disk: none that follows it may, until the tracker has heard of it.
    lost_a_cut: bool,
    dispatch: Dispatch,
}

/// What became of each request, what the flush changed, and the bytes it added to the pool.
type Outcomes = (Vec<Result<Done, ApiError>>, Vec<Change>, [u64; 2]);

/// Parts of a flush that wait for its end, or for a commit that happens anyway.
#[derive(Default)]
struct Held {
    slices: Vec<SliceSnapshot>,
    completions: Vec<(InfoHashes, u64)>,
    cuts: Vec<Cut>,
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
    hub: Vec<FromHub>,
    stop: bool,
    last_send: bool,
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
        self.slices.is_empty() && self.completions.is_empty() && self.cuts.is_empty()
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
        dispatch: Dispatch,
    ) -> Self {
        Self {
            db,
            place,
            times,
            strip,
            to_reader,
            post,
            writable: true,
            corrupt: false,
            uploads: HashMap::new(),
            held: Held::default(),
            lost_a_cut: false,
            dispatch,
        }
    }

    /// Works until `Stop`, or until nobody can send any more. Gives the connection back, because the last one to be
    /// closed must be one that can move the write-ahead log into the database.
    pub fn run(mut self, mail: &Receiver<ToWriter>) -> Connection {
        while let Some(first) = self.next(mail) {
            let mut batch = self.collect(first, mail);
            self.turn(&batch);
            self.serve_the_hub(std::mem::take(&mut batch.hub), batch.flush);
            self.post.ring();
            if batch.stop {
                if batch.last_send {
                    self.last_send(mail);
                }
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

    /// Whether a write would reach the files at their paths. If not, what is in the log goes into the database that it
    /// belongs to, wherever that is now: found beside another one at the next start, the log would be read into that.
    fn in_place(&self) -> rusqlite::Result<()> {
        let checked = self.place.as_ref().map_or(Ok(()), Place::check);
        if checked.is_err() {
            let moved = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            moved.unwrap_or_else(|error| log::error!("store: the log of the moved database stays: {error}"));
        }
        checked
    }

    /// Writes a value that is there already.
    fn probe(&mut self) {
        let place = self.in_place();
        let write = "UPDATE meta SET value = value WHERE key = 'first_start'";
        match place.and_then(|()| self.db.execute(write, [])) {
            Ok(_) => {
                self.set_writable(true);
                self.serve_the_hub(Vec::new(), true);
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
            ToWriter::Usage(cut) => return self.hold_cut(cut),
            ToWriter::Hub(mail) => {
                batch.hub.push(mail);
                return 0;
            }
            ToWriter::Flush => {
                batch.flush = true;
                return 0;
            }
            ToWriter::Stop { last_send } => {
                (batch.stop, batch.last_send) = (true, last_send);
                return 0;
            }
        };
        batch.requests.push((ticket, request));
        0
    }

    /// A cut waits for the flush's end like the rest of it, unless it comes after one that was lost: then what it says
    /// of sessions is true only together with that one.
    fn hold_cut(&mut self, cut: Cut) -> usize {
        if cut.follows_unanswered && self.lost_a_cut {
            let (slices, completed) = (Vec::new(), Vec::new());
            self.post.put(FromStore::Flushed { slices, completed, cuts: 1, lost: vec![cut], durable: false });
            return 0;
        }
        self.lost_a_cut = false;
        let bytes = cut.rows.len() * size_of::<CutRow>();
        self.held.bytes += bytes;
        self.held.cuts.push(cut);
        bytes
    }

    fn turn(&mut self, batch: &Batch) {
        for (ticket, error) in &batch.refused {
            self.answer(*ticket, Answer::Error(*error));
        }
        let full = self.held.bytes >= STORE_BATCH_BYTES;
        if batch.requests.is_empty() && !batch.flush && !batch.stop && !full {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        let nothing = batch.requests.is_empty() && held.is_empty();
        let outcome = match (nothing, self.corrupt) {
            (true, _) => Ok((Vec::new(), Vec::new(), [0; 2])),
            (_, true) => Err(None),
            _ => self.timed_commit(batch, &held).map_err(Some),
        };
        let durable = outcome.is_ok();
        match outcome {
            Ok((done, changes, added)) => {
                self.tell(batch, done, changes);
                self.dispatch.added(added);
                if added != [0; 2] {
                    self.post.put(FromStore::Usage(self.dispatch.report));
                }
            }
            Err(error) => self.fail(batch, error.as_ref()),
        }
        if batch.flush || !held.is_empty() {
            let cuts = held.cuts.len() as u32;
            let lost = if durable { Vec::new() } else { std::mem::take(&mut held.cuts) };
            self.lost_a_cut |= !lost.is_empty();
            let slices = held.slices.iter().map(|slice| slice.slice).collect();
            let completed = held.completions.iter().map(|(hashes, _)| *hashes).collect();
            self.post.put(FromStore::Flushed { slices, completed, cuts, lost, durable });
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
        self.in_place()?;
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
        let (mut changes, mut added) = (Vec::new(), [0_u64; 2]);
        for (hashes, completions) in &held.completions {
            changes.extend(store_completions(&change, *hashes, *completions)?);
        }
        for slice in &held.slices {
            store_slice(&change, slice)?;
        }
        for cut in &held.cuts {
            let bytes = usage::add_cut(&change, cut, unix_now(), self.times.usage)?;
            added = [added[0].saturating_add(bytes[0]), added[1].saturating_add(bytes[1])];
        }
        change.commit()?;
        Ok((done, changes, added))
    }

    /// What the hub has said is written down, and what is due next is sent off.
    fn serve_the_hub(&mut self, mail: Vec<FromHub>, ticked: bool) {
        if mail.is_empty() && !ticked || self.corrupt {
            return;
        }
        if ticked {
            self.dispatch.ticked();
        }
        let before = self.dispatch.report;
        let begun = Instant::now();
        mail.into_iter().for_each(|mail| self.dispatch.hear(mail));
        let place = self.in_place();
        match place.and_then(|()| self.dispatch.go_on(&mut self.db, unix_now())) {
            Ok(true) => {
                let micros = begun.elapsed().as_micros() as u64;
                self.post.put(FromStore::Committed { kind: CommitKind::Usage, micros });
            }
            Ok(false) => {}
            Err(error) => {
                log::error!("store: the accounts cannot go on: {error}");
                let failure = Failure::of(&error);
                self.corrupt |= failure == Failure::Corrupt;
                self.post.put(FromStore::Fault(failure));
                // It is tried again when the next write succeeds, for which somebody then looks out.
                if self.writable {
                    self.set_writable(false);
                }
            }
        }
        if self.dispatch.report != before {
            self.post.put(FromStore::Usage(self.dispatch.report));
        }
    }

    /// Everything is on disk, and the daemon ends: what the hub has not had yet is sent once, if the hub answers soon.
    /// What it does not answer stays sealed.
    fn last_send(&mut self, mail: &Receiver<ToWriter>) {
        if !self.dispatch.is_on() || !self.dispatch.is_away() {
            return;
        }
        let end = Instant::now() + LAST_SEND;
        self.dispatch.last_call();
        // The first answer may be to a request from before: then there is one more.
        for _ in 0..2 {
            let said = loop {
                match mail.recv_deadline(end) {
                    Ok(ToWriter::Hub(said @ (FromHub::Answered { .. } | FromHub::NotNow))) => break said,
                    Ok(_) => {}
                    Err(_) => return,
                }
            };
            let applied = matches!(said, FromHub::Answered { verdict: HubVerdict::Applied, .. });
            self.serve_the_hub(vec![said], false);
            if !applied || !self.dispatch.is_away() {
                return;
            }
        }
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

fn unix_now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long the end waits for the hub: its five seconds, and what a commit takes.
const LAST_SEND: Duration = Duration::from_millis(5_600);

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
