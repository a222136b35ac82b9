//! How much of the bodies that clients send may be in memory, here and in the store (registry-api, section 4).
//!
//! Small bodies are kept here and handed over whole; their sum is bounded. Large ones go to the store in parts, a few
//! on their way at a time: the client is not read until the store has taken some. When all large ones together have
//! become too many bytes, only the oldest goes on. It always may, so the others get their turn.

use super::{Conn, Server};
use crate::base::limits::{
    LARGE_UPLOADS_BYTES, LARGE_UPLOADS_MAX, SMALL_UPLOADS_BYTES_MAX, UPLOAD_PARTS_MAX,
};
use crate::mailbox::{Ticket, ToWriter};
use std::collections::HashMap;

/// Every body from its first byte until it is answered, or its client is gone before the store has all of it.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Bytes of each small one, by its ticket's serial.
    small: HashMap<u64, u64>,
    /// Their sum.
    small_bytes: u64,
    /// Oldest first.
    large: Vec<Large>,
}

#[derive(Debug)]
struct Large {
    ticket: Ticket,
    /// Bytes sent to the store.
    bytes: u64,
    /// Parts that the store has not taken.
    under_way: u32,
}

impl Uploads {
    /// A small body has become so much longer. False: there is no room for it.
    pub fn grow_small(&mut self, ticket: Ticket, bytes: u64) -> bool {
        self.small_bytes += bytes;
        *self.small.entry(ticket.serial).or_default() += bytes;
        self.small_bytes <= SMALL_UPLOADS_BYTES_MAX
    }

    /// A body begins that is large, or has become so. False: there are as many as may be.
    pub fn begin_large(&mut self, ticket: Ticket) -> bool {
        if self.large.len() >= LARGE_UPLOADS_MAX as usize {
            return false;
        }
        self.forget_small(ticket);
        self.large.push(Large { ticket, bytes: 0, under_way: 0 });
        true
    }

    /// Whether more of a large body may be read.
    pub fn has_room(&self, ticket: Ticket) -> bool {
        let sum: u64 = self.large.iter().map(|upload| upload.bytes).sum();
        let Some(at) = self.position(ticket) else { return false };
        self.large[at].under_way < UPLOAD_PARTS_MAX && (at == 0 || sum < LARGE_UPLOADS_BYTES)
    }

    /// A part was sent.
    pub fn sent(&mut self, ticket: Ticket, bytes: usize) {
        if let Some(at) = self.position(ticket) {
            self.large[at].bytes += bytes as u64;
            self.large[at].under_way += 1;
        }
    }

    fn taken(&mut self, ticket: Ticket) {
        if let Some(at) = self.position(ticket) {
            self.large[at].under_way = self.large[at].under_way.saturating_sub(1);
        }
    }

    /// Nothing is left of a body. True when it was a large one.
    fn forget(&mut self, ticket: Ticket) -> bool {
        self.forget_small(ticket);
        let at = self.position(ticket);
        at.map(|at| self.large.remove(at)).is_some()
    }

    fn forget_small(&mut self, ticket: Ticket) {
        self.small_bytes -= self.small.remove(&ticket.serial).unwrap_or(0);
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.large.iter().position(|upload| upload.ticket == ticket)
    }
}

impl Server {
    /// The store has taken a part.
    pub(super) fn upload_taken(&mut self, ticket: Ticket) {
        self.uploads.taken(ticket);
        self.wake_uploads();
    }

    /// The store has answered: the body is no longer anywhere.
    pub(super) fn upload_over(&mut self, ticket: Ticket) {
        if self.uploads.forget(ticket) {
            self.wake_uploads();
        }
    }

    /// A body will not be read to its end.
    pub(super) fn upload_given_up(&mut self, ticket: Ticket) {
        if self.uploads.forget(ticket) {
            self.outbox.upload(ToWriter::UploadGone { ticket });
            self.wake_uploads();
        }
    }

    /// Those that wait for room look again.
    fn wake_uploads(&mut self) {
        for upload in &self.uploads.large {
            let conn = Conn(upload.ticket.connection);
            if self.sessions.get(conn).is_some_and(|session| session.waits_for_room(upload.ticket))
                && self.uploads.has_room(upload.ticket)
            {
                self.sessions.ready.push(conn);
            }
        }
    }
}
