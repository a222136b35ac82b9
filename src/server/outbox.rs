//! Mail to the store that the shell has not taken yet, and where the current flush stands.
//!
//! It cannot grow without bound: each parked connection has at most one message in it, and a flush puts in one step at
//! a time.

use crate::base::InfoHashes;
use crate::mailbox::{Ticket, ToReader, ToWriter};
use crate::tracker::upkeep::FlushStep;
use std::collections::VecDeque;

/// One message for one of the store's threads.
#[derive(Debug)]
pub enum Mail {
    /// For the writer.
    Write(ToWriter),
    /// For the reader.
    Read(ToReader),
}

/// What became impossible because a mailbox was full.
#[derive(Debug)]
pub enum Refused {
    /// A request: its connection waits.
    Request(Ticket),
    /// Slices that must be stored another time.
    Slices(Vec<u8>),
    /// Totals of completed downloads that must be stored another time.
    Completions(Vec<InfoHashes>),
    /// Something that will be asked again anyway.
    Nothing,
}

/// Messages on their way out.
#[derive(Debug, Default)]
pub struct Outbox {
    mail: VecDeque<Mail>,
    /// A flush was handed over and has not been answered: no second one is begun, so that a slow disk is not buried.
    flush_under_way: bool,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, mail: Mail) {
        self.mail.push_back(mail);
    }

    /// Takes the oldest message out.
    pub fn pop(&mut self) -> Option<Mail> {
        self.mail.pop_front()
    }

    /// Whether a flush may go on.
    pub fn takes_flush(&self) -> bool {
        !self.flush_under_way
    }

    /// One step of a flush.
    pub fn flush_step(&mut self, step: FlushStep) {
        match step {
            FlushStep::Slice(slice) => self.push(Mail::Write(ToWriter::Snapshot(slice))),
            FlushStep::Completions(totals) => self.push(Mail::Write(ToWriter::Completions(totals))),
            FlushStep::Done => {
                self.flush_under_way = true;
                self.push(Mail::Write(ToWriter::Flush));
            }
        }
    }

    /// The store has answered a flush.
    pub fn flushed(&mut self) {
        self.flush_under_way = false;
    }

    /// The last messages.
    pub fn stop(&mut self) {
        self.push(Mail::Write(ToWriter::Stop));
        self.push(Mail::Read(ToReader::Stop));
    }

    /// What a message that was not taken means.
    pub fn refused(&mut self, mail: Mail) -> Refused {
        match mail {
            Mail::Write(ToWriter::Snapshot(slice)) => Refused::Slices(vec![slice.slice]),
            Mail::Write(ToWriter::Completions(totals)) => {
                Refused::Completions(totals.into_iter().map(|(hashes, _)| hashes).collect())
            }
            Mail::Write(ToWriter::Flush) => {
                self.flush_under_way = false;
                Refused::Nothing
            }
            Mail::Write(write) => write.ticket().map_or(Refused::Nothing, Refused::Request),
            Mail::Read(ToReader::Ask { ticket, .. }) => Refused::Request(ticket),
            Mail::Read(_) => Refused::Nothing,
        }
    }
}
