//! Mail to the store that the shell has not taken yet, and where the current flush stands.
//!
//! It cannot grow without bound: each parked connection has at most one message in it, each large upload a few parts,
//! and a flush puts in one step at a time.

use crate::base::{InfoHashes, SwarmKey};
use crate::mailbox::{Ticket, ToReader, ToWriter};
use crate::tracker::upkeep::FlushStep;
use crate::tracker::usage::Cut;
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
    /// Counted bytes that must be stored another time.
    Usage(Cut),
    /// Changed numbers of seeders that must be told another time.
    Ranks(Vec<(SwarmKey, u32)>),
    /// Something that will be asked again anyway.
    Nothing,
}

/// Messages on their way out.
#[derive(Debug, Default)]
pub struct Outbox {
    mail: VecDeque<Mail>,
    /// Parts of uploads, which must keep their order: what a full mailbox does not take stays first.
    uploads: VecDeque<ToWriter>,
    /// The mailbox did not take a part: no further one is tried in this turn.
    uploads_wait: bool,
    /// A flush was handed over and has not been answered: no second one is begun, so that a slow disk is not buried.
    flush_under_way: bool,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, mail: Mail) {
        self.mail.push_back(mail);
    }

    /// Adds a message about an upload. At most a few parts of a few uploads wait here, whatever the store does.
    pub fn upload(&mut self, message: ToWriter) {
        self.uploads.push_back(message);
    }

    /// Takes the oldest message out.
    pub fn pop(&mut self) -> Option<Mail> {
        let upload = |uploads: &mut VecDeque<ToWriter>| uploads.pop_front().map(Mail::Write);
        self.mail.pop_front().or_else(|| if self.uploads_wait { None } else { upload(&mut self.uploads) })
    }

    /// A new turn: the mailbox may have room again.
    pub fn new_turn(&mut self) {
        self.uploads_wait = false;
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
            FlushStep::Usage(cut) => self.push(Mail::Write(ToWriter::Usage(cut))),
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
    pub fn stop(&mut self, last_send: bool) {
        // Whose upload is not complete by now will not be answered.
        self.uploads.clear();
        self.push(Mail::Write(ToWriter::Stop { last_send }));
        self.push(Mail::Read(ToReader::Stop));
    }

    /// What a message that was not taken means.
    pub fn refused(&mut self, mail: Mail) -> Refused {
        match mail {
            Mail::Write(ToWriter::Snapshot(slice)) => Refused::Slices(vec![slice.slice]),
            Mail::Write(ToWriter::Completions(totals)) => {
                Refused::Completions(totals.into_iter().map(|(hashes, _)| hashes).collect())
            }
            Mail::Write(ToWriter::Usage(cut)) => Refused::Usage(cut),
            Mail::Write(ToWriter::Flush) => {
                self.flush_under_way = false;
                Refused::Nothing
            }
            Mail::Write(
                upload @ (ToWriter::UploadPart { .. }
                | ToWriter::UploadEnd { .. }
                | ToWriter::UploadGone { .. }),
            ) => {
                self.uploads.push_front(upload);
                self.uploads_wait = true;
                Refused::Nothing
            }
            Mail::Write(write) => write.ticket().map_or(Refused::Nothing, Refused::Request),
            Mail::Read(ToReader::Ask { ticket, .. }) => Refused::Request(ticket),
            Mail::Read(ToReader::Seeders(changes)) => Refused::Ranks(changes),
            Mail::Read(_) => Refused::Nothing,
        }
    }
}
