//! The store as the machine sees it: mailboxes that may be full, answers that come late or never.

use crate::world::World;
use std::collections::{HashSet, VecDeque};
use weightless::base::{InfoHashes, Now, SwarmKey, V1Hash, V2Hash};
use weightless::mailbox::{AdmissionChange, FromStore, Ticket, ToReader, ToWriter};
use weightless::registry::{Answer, HashText, Question};
use weightless::server::{Mail, Server};

#[derive(Default)]
pub struct Store {
    /// The mailboxes take nothing.
    pub is_full: bool,
    /// What was taken and not answered yet.
    waiting: VecDeque<FromStore>,
    /// Who will never hear anything.
    pub never: Vec<Ticket>,
    slices: Vec<u8>,
    completed: Vec<InfoHashes>,
    /// The registry's rows.
    entries: Vec<InfoHashes>,
    blocked: HashSet<SwarmKey>,
}

impl Store {
    /// The machine that waits for answers is gone; the rows stay.
    pub fn forget_questions(&mut self) {
        *self = Self::holding(std::mem::take(&mut self.entries), std::mem::take(&mut self.blocked));
    }

    /// The rows, as the store loads them.
    pub fn rows(&self) -> (Vec<(InfoHashes, u64)>, Vec<SwarmKey>) {
        (self.entries.iter().map(|hashes| (*hashes, 3)).collect(), self.blocked.iter().copied().collect())
    }

    pub fn holding(entries: Vec<InfoHashes>, blocked: HashSet<SwarmKey>) -> Self {
        Self { entries, blocked, ..Self::default() }
    }

    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives the oldest answer. False: there is none.
    pub fn answer_one(&mut self, server: &mut Server, now: Now) -> bool {
        self.waiting.pop_front().map(|mail| server.delivered(now, mail)).is_some()
    }
}

impl World {
    pub fn store_works(&mut self) {
        match self.rng.below(20) {
            0 => self.store.is_full = !self.store.is_full,
            1 => {
                let writable = self.rng.below(2) == 0;
                self.server.delivered(self.now, FromStore::Health { writable });
            }
            2 => self.admission(),
            3 => {
                // An answer to somebody who is long gone, or to a request that was never made.
                let ticket =
                    Ticket { connection: self.rng.below(12), serial: u64::from(self.rng.below(50)) << 40 };
                self.server.delivered(self.now, FromStore::Answered { ticket, answer: echo("nobody") });
            }
            4 if self.rng.below(3) == 0 => {
                // One answer is lost for ever; a flush is not, because the writer always answers.
                let lost =
                    self.store.waiting.iter().position(|mail| matches!(mail, FromStore::Answered { .. }));
                if let Some(FromStore::Answered { ticket, .. }) =
                    lost.and_then(|at| self.store.waiting.remove(at))
                {
                    self.store.never.push(ticket);
                }
            }
            _ => {
                for _ in 0..self.rng.below(4) {
                    self.store.answer_one(&mut self.server, self.now);
                }
            }
        }
    }

    /// Somebody registers, takes down or restores something: as the store lets them, so no hash has two owners. Now and
    /// then the store makes a mistake.
    fn admission(&mut self) {
        let (v1, v2) = (|n| V1Hash([n; 20]), V2Hash([2; 32]));
        let change = match self.rng.below(4) {
            0 | 1 => {
                let all = [
                    InfoHashes::V1(v1(0)),
                    InfoHashes::V1(v1(3)),
                    InfoHashes::V1(v1(1)),
                    InfoHashes::V2(v2),
                    InfoHashes::Hybrid(v1(1), v2),
                ];
                let hashes = all[self.rng.below(5) as usize];
                let before =
                    self.store.entries.iter().copied().find(|entry| entry.best_hex() == hashes.best_hex());
                let mut others = self.store.entries.iter().filter(|entry| Some(**entry) != before);
                let taken =
                    others.any(|other| keys_of(*other).any(|key| keys_of(hashes).any(|own| own == key)));
                let blocked = keys_of(hashes).any(|key| self.store.blocked.contains(&key));
                if (taken || blocked) && self.rng.below(8) > 0 {
                    return;
                }
                self.store.entries.retain(|entry| Some(*entry) != before);
                self.store.entries.push(hashes);
                AdmissionChange::Registered { hashes, before, completions: 3 }
            }
            2 => {
                let key = v1(self.rng.below(4) as u8).key();
                let entry = self.store.entries.iter().position(|entry| keys_of(*entry).any(|own| own == key));
                let mut keys = vec![key];
                keys.extend(entry.into_iter().flat_map(|at| keys_of(self.store.entries.remove(at))));
                self.store.blocked.extend(keys.iter().copied());
                AdmissionChange::Blocked { keys }
            }
            _ => {
                let keys: Vec<_> = self.store.blocked.drain().collect();
                AdmissionChange::Unblocked { keys }
            }
        };
        self.server.delivered(self.now, FromStore::Admission(change));
    }

    /// The machine's mail is taken out, as the shell does at the end of a turn.
    pub fn post(&mut self) {
        let mut messages = 0;
        while let Some(mail) = self.server.next_mail() {
            messages += 1;
            assert!(messages < 2_000, "mail without end");
            if self.store.is_full {
                if let Mail::Write(ToWriter::Usage(cut)) = &mail {
                    self.accounts.refused(self.now, cut);
                }
                self.server.refused(self.now, mail);
            } else {
                self.take(mail);
            }
        }
    }

    fn take(&mut self, mail: Mail) {
        let answered = |ticket, text: &str| FromStore::Answered { ticket, answer: echo(text) };
        let answer = match mail {
            Mail::Write(ToWriter::Register { ticket, body, .. }) => {
                answered(ticket, &String::from_utf8_lossy(&body))
            }
            Mail::Read(ToReader::Ask { ticket, question: Question::Entry(HashText(text)) }) => {
                answered(ticket, &text)
            }
            Mail::Read(ToReader::Ask { ticket, .. }) => answered(ticket, "something"),
            Mail::Write(ToWriter::Snapshot(slice)) => return self.store.slices.push(slice.slice),
            Mail::Write(ToWriter::Completions(totals)) => {
                return self.store.completed.extend(totals.iter().map(|(hashes, _)| *hashes));
            }
            Mail::Write(ToWriter::Usage(cut)) => return self.accounts.cut(self.now, cut),
            Mail::Write(ToWriter::Flush) => {
                let durable = self.rng.below(4) > 0;
                let (cuts, lost) = self.accounts.committed(durable);
                let slices = std::mem::take(&mut self.store.slices);
                let completed = std::mem::take(&mut self.store.completed);
                FromStore::Flushed { slices, completed, cuts, lost, durable }
            }
            Mail::Write(write) => match write.ticket() {
                Some(ticket) => answered(ticket, "done"),
                None => return,
            },
            Mail::Read(_) => return,
        };
        self.store.waiting.push_back(answer);
    }
}

fn echo(text: &str) -> Answer {
    Answer::Json { status: 200, body: format!("{{\"echo\":\"{text}\"}}").into_bytes() }
}

fn keys_of(hashes: InfoHashes) -> impl Iterator<Item = SwarmKey> {
    hashes.v1().map(|v1| v1.key()).into_iter().chain(hashes.v2().map(|v2| v2.key()))
}
