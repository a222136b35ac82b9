//! `/health`: does the store answer at all, and did its last write succeed?
//!
//! The question goes to the thread that reads the database, one at a time however many ask: the route is exempt from
//! the rate limit, so it must not be a way to fill the store's mailbox.

use super::http::{Asked, Handled};
use super::reply::Reply;
use super::{Health, Mail, Server};
use crate::base::{Millis, Now};
use crate::mailbox::{Ticket, ToReader};
use crate::registry::Question;
use crate::tracker::counters::Outcome;

/// Who waits for the store's sign of life.
#[derive(Debug, Default)]
pub(super) struct Pings {
    waiting: Vec<Ticket>,
    asked_at: Option<Millis>,
}

impl Server {
    /// Says what is known, or asks the store.
    pub(super) fn health(&mut self, asked: &Asked<'_, '_>, out: &mut Vec<u8>) -> (Outcome, Handled) {
        let known = match self.health {
            Health::Good => {
                let ticket = self.sessions.ticket(asked.conn);
                self.ping(asked.now, ticket);
                return (Outcome::Ok, Handled::Pinged(ticket));
            }
            Health::WriteFailed => UNREACHABLE,
            Health::Stopping => "Shutting down",
        };
        self.write_reply(asked.now, asked.framing, &Reply::text(503, known), out);
        (Outcome::Error, Handled::Answered)
    }

    fn ping(&mut self, now: Now, ticket: Ticket) {
        let Pings { waiting, asked_at } = &mut self.pings;
        if waiting.len() > WAITING_MIN && waiting.len() > 2 * self.sessions.len() as usize {
            // Most of those who wait are gone.
            let sessions = &mut self.sessions;
            waiting.retain(|ticket| sessions.parked(*ticket).is_some());
        }
        waiting.push(ticket);
        if asked_at.is_none_or(|at| now.mono >= at + HEALTH_MS) {
            *asked_at = Some(now.mono);
            self.outbox.push(Mail::Read(ToReader::Ask { ticket: PING, question: Question::Ping }));
        }
    }

    /// The store has answered, or its mailbox was full.
    pub(super) fn pinged(&mut self, now: Now, is_well: bool) {
        self.pings.asked_at = None;
        let reply = if is_well { Reply::text(200, "OK") } else { Reply::text(503, UNREACHABLE) };
        for ticket in std::mem::take(&mut self.pings.waiting) {
            self.unpark(ticket, |server, framing, out| {
                server.write_reply(now, framing, &reply, out);
                None
            });
        }
    }
}

/// The ticket of our own question. No connection has that number.
pub(super) const PING: Ticket = Ticket { connection: u32::MAX, serial: 0 };
/// How long the store may take to answer it.
pub(super) const HEALTH_MS: Millis = 2_000;
/// The answer when it does not.
pub(super) const UNREACHABLE: &str = "Database unreachable";
const WAITING_MIN: usize = 64;
