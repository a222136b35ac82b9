//! From the pool to the hub (accounts, sections 4 and 7): when a batch is sealed, handed to the hub's thread, done with.
//!
//! At most one batch is with that thread, and only one whose seal is on disk. What the hub has answered is written down
//! before anything else is sent; while that cannot be written, nothing else is sent.

use super::usage;
use crate::base::UnixSeconds;
use crate::base::limits::{BATCHES_A_TICK, REJECTED_BATCHES_MAX};
use crate::mailbox::{FromHub, HubVerdict, ToHub, UsageBatch, UsageReport};
use crossbeam_channel::Sender;
use data_encoding::HEXLOWER;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::VecDeque;

/// The writer's desk for the hub.
pub(super) struct Dispatch {
    to_hub: Sender<ToHub>,
    /// There is a hub to send to.
    is_on: bool,
    /// A batch is with the hub's thread.
    is_away: bool,
    /// Batches made since the last cut.
    sealed_now: u32,
    /// What the hub has answered and the disk has not taken.
    unwritten: Option<Answer>,
    /// All rejected batches are to be tried again.
    tries_rejected: bool,
    /// Those that have not been yet.
    to_try: VecDeque<String>,
    /// For the metrics.
    pub report: UsageReport,
}

#[derive(Clone)]
struct Answer {
    sync_id: String,
    verdict: HubVerdict,
    status: u16,
    at: UnixSeconds,
}

impl Dispatch {
    /// A desk that sends nothing yet.
    pub fn new(to_hub: Sender<ToHub>, report: UsageReport) -> Self {
        Self {
            to_hub,
            is_on: false,
            is_away: false,
            sealed_now: 0,
            unwritten: None,
            tries_rejected: false,
            to_try: VecDeque::new(),
            report,
        }
    }

    /// Bytes have come into the pool.
    pub fn added(&mut self, [uploaded, downloaded]: [u64; 2]) {
        let [up, down] = self.report.backlog;
        self.report.backlog = [up.saturating_add(uploaded), down.saturating_add(downloaded)];
    }

    /// A cut is over: more may be sent.
    pub fn ticked(&mut self) {
        self.sealed_now = 0;
    }

    /// Whether the hub's thread has a batch.
    pub fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether there is a hub.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes what the hub's thread says.
    pub fn hear(&mut self, mail: FromHub) {
        match mail {
            FromHub::On(is_on) => {
                self.is_on = is_on;
                self.tries_rejected = is_on;
            }
            FromHub::TryRejected => self.tries_rejected = true,
            FromHub::NotNow => {}
            FromHub::Answered { sync_id, verdict, status, at } => {
                self.report.answers[verdict as usize] += 1;
                if verdict == HubVerdict::Applied {
                    self.report.last_success = at;
                }
                self.unwritten = Some(Answer { sync_id, verdict, status, at });
            }
        }
    }

    /// Writes down what was answered, makes the next batch and sends it off, each as far as it is due. Returns whether
    /// something was committed.
    pub fn go_on(&mut self, db: &mut Connection, now: UnixSeconds) -> rusqlite::Result<bool> {
        let answered = self.unwritten.is_some();
        if !answered && (!self.is_on || self.is_away) {
            return Ok(false);
        }
        if !answered && self.report.backlog == [0; 2] && self.report.batched == [0; 2] {
            return Ok(false);
        }
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.tries_rejected {
            self.to_try = usage::all_rejected(&change)?.into();
            self.tries_rejected = false;
        }
        let mut report = self.report;
        let mut is_away = self.is_away;
        if let Some(answer) = &self.unwritten {
            is_away = write_down(&change, answer, &mut report)?;
        }
        let mut sealed_now = self.sealed_now;
        let next = match self.is_on && !is_away {
            true => self.next(&change, now, &mut report, &mut sealed_now)?,
            false => None,
        };
        change.commit()?;
        (self.unwritten, self.report, self.sealed_now) = (None, report, sealed_now);
        self.is_away = is_away || next.is_some();
        if let Some(batch) = next {
            self.to_try.retain(|id| *id != batch.sync_id);
            // The channel has room: nothing else is with the hub's thread. If that is gone, the next start sends it.
            let _ = self.to_hub.try_send(ToHub::Batch(batch));
        }
        Ok(true)
    }

    /// The daemon ends: what waits for its time is to be tried at once.
    pub fn last_call(&self) {
        let _ = self.to_hub.try_send(ToHub::Last);
    }

    /// What to send next: a batch that is sealed already, a new one, one that was rejected before.
    fn next(
        &self,
        change: &Transaction<'_>,
        now: UnixSeconds,
        report: &mut UsageReport,
        sealed_now: &mut u32,
    ) -> rusqlite::Result<Option<UsageBatch>> {
        if let Some(batch) = usage::sealed(change)? {
            return Ok(Some(batch));
        }
        if *sealed_now < BATCHES_A_TICK
            && report.rejected < REJECTED_BATCHES_MAX
            && let Some(batch) = usage::seal(change, &fresh_id()?, now)?
        {
            *sealed_now += 1;
            for item in &batch.items {
                for (way, bytes) in [item.uploaded, item.downloaded].into_iter().enumerate() {
                    report.backlog[way] = report.backlog[way].saturating_sub(bytes);
                    report.batched[way] = report.batched[way].saturating_add(bytes);
                }
            }
            return Ok(Some(batch));
        }
        for id in &self.to_try {
            if let Some(batch) = usage::rejected(change, id)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// Writes an answer down. Returns whether the hub's thread keeps the batch.
fn write_down(db: &Connection, answer: &Answer, report: &mut UsageReport) -> rusqlite::Result<bool> {
    let Answer { sync_id, verdict, status, at } = answer;
    let is_rejected = usage::rejected(db, sync_id)?.is_some();
    match verdict {
        HubVerdict::Applied => {
            let bytes = usage::delete(db, sync_id)?;
            for (way, bytes) in bytes.into_iter().enumerate() {
                report.batched[way] = report.batched[way].saturating_sub(bytes);
            }
            report.rejected = report.rejected.saturating_sub(u64::from(is_rejected));
            Ok(false)
        }
        HubVerdict::Rejected => {
            usage::note_attempt(db, sync_id, *status, *at, true)?;
            report.rejected += u64::from(!is_rejected);
            Ok(false)
        }
        HubVerdict::Retry | HubVerdict::Forbidden => {
            usage::note_attempt(db, sync_id, *status, *at, false)?;
            // A rejected one had its try; the hub's thread goes on with another kind only.
            Ok(!is_rejected)
        }
    }
}

/// 128 bits of chance.
fn fresh_id() -> rusqlite::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into()))?;
    Ok(HEXLOWER.encode(&bytes))
}
