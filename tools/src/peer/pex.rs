//! Peer exchange (BEP 11): what is taken from a peer's messages, and what is told to whom. Never for private torrents.
//!
//! What comes is hearsay and may be a list of victims: few addresses, seldom, and none that only the sender could
//! reach. What goes is told from one board for the swarm; a connection remembers only how far it has been told, so a
//! thousand of them cost two numbers each.

use super::address::{folded, is_dialable, is_link_local, is_local, is_private};
use super::extended::{PexMessage, parse_pex};
use super::limits::{PEX_DEPARTURES_MAX, PEX_TAKEN_FIRST_MAX, PEX_TAKEN_MAX, PEX_TOLD_MAX};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use weightless::base::Millis;

/// What one peer may tell us.
#[derive(Clone, Copy, Debug, Default)]
pub struct PexInbox {
    last: Option<Millis>,
}

impl PexInbox {
    /// The addresses worth keeping of a message from `sender`, with their flags. Nothing, when the last message that
    /// counted is less than thirty seconds old, or this one is malformed.
    pub fn received(&mut self, now: Millis, sender: IpAddr, payload: &[u8]) -> Vec<(SocketAddr, u8)> {
        let each_max = match self.last {
            None => PEX_TAKEN_FIRST_MAX,
            Some(last) if now.saturating_sub(last) < TAKEN_EVERY_MS => return Vec::new(),
            Some(_) => PEX_TAKEN_MAX,
        };
        self.last = Some(now);
        let mut added = parse_pex(payload, each_max).unwrap_or_default().added;
        added.iter_mut().for_each(|(address, _)| *address = folded(*address));
        added.retain(|(address, _)| is_plausible(address, sender));
        added
    }
}

/// Whether the sender can know somebody at this address whom we can reach as well.
fn is_plausible(address: &SocketAddr, sender: IpAddr) -> bool {
    let ip = address.ip();
    is_dialable(address)
        && !is_link_local(ip)
        && (!ip.is_loopback() || sender.to_canonical().is_loopback())
        && (!is_private(ip) || is_local(sender))
}

/// Who is in the swarm, in the order they came and went.
#[derive(Debug, Default)]
pub struct PexBoard {
    /// The place of each in `present`.
    places: BTreeMap<SocketAddr, u64>,
    present: BTreeMap<u64, (SocketAddr, u8)>,
    departures: VecDeque<Departure>,
    /// The number of the last event.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Departure {
    /// Its number among all events.
    number: u64,
    /// The number of its arrival.
    arrival: u64,
    address: SocketAddr,
}

/// How far one peer has been told.
#[derive(Clone, Copy, Debug)]
pub struct PexOutbox {
    due: Millis,
    /// Arrivals up to this number have been told.
    arrivals: u64,
    /// Departures up to this number have been told.
    departures: u64,
}

impl PexBoard {
    /// An empty swarm.
    pub fn new() -> Self {
        Self::default()
    }

    /// A peer is connected, the handshake is done, and where it listens is known: we dialled it, or it said so.
    pub fn joined(&mut self, address: SocketAddr, flags: u8) {
        let address = folded(address);
        if !is_dialable(&address) || self.places.contains_key(&address) {
            return;
        }
        self.last += 1;
        self.places.insert(address, self.last);
        self.present.insert(self.last, (address, flags));
    }

    /// It is gone.
    pub fn left(&mut self, address: SocketAddr) {
        let address = folded(address);
        let Some(arrival) = self.places.remove(&address) else { return };
        self.present.remove(&arrival);
        self.last += 1;
        self.departures.push_back(Departure { number: self.last, arrival, address });
        if self.departures.len() > PEX_DEPARTURES_MAX {
            self.departures.pop_front();
        }
    }
}

impl PexOutbox {
    /// For a peer whose connection is ready now: it is told after ten seconds, and of nobody who left before.
    pub fn new(now: Millis, board: &PexBoard) -> Self {
        Self { due: now + FIRST_MS, arrivals: 0, departures: board.last }
    }

    /// When the next message may go.
    pub fn next_due(&self) -> Millis {
        self.due
    }

    /// The message that is due, if something changed; nobody is told of itself. `receiver` is where the peer listens,
    /// when that is known. Either way the next time is a minute away.
    pub fn next(
        &mut self,
        now: Millis,
        board: &PexBoard,
        receiver: Option<SocketAddr>,
    ) -> Option<PexMessage> {
        if now < self.due {
            return None;
        }
        self.due = now + EVERY_MS;
        let receiver = receiver.map(folded);
        let mut message = PexMessage::default();
        // Before the arrivals: somebody told now has not been told before.
        self.departed(board, &mut message);
        for (number, (address, flags)) in board.present.range(self.arrivals + 1..) {
            if message.added.len() == PEX_TOLD_MAX {
                break;
            }
            self.arrivals = *number;
            if Some(*address) != receiver {
                message.added.push((*address, *flags));
            }
        }
        // Somebody who went and came again is there.
        message.dropped.retain(|gone| message.added.iter().all(|(address, _)| address != gone));
        (message != PexMessage::default()).then_some(message)
    }

    /// Those who went, if their coming had been told and they are not back.
    fn departed(&mut self, board: &PexBoard, message: &mut PexMessage) {
        let first = board.departures.partition_point(|departure| departure.number <= self.departures);
        for departure in board.departures.range(first..) {
            if message.dropped.len() == PEX_TOLD_MAX {
                break;
            }
            self.departures = departure.number;
            let is_back = board.places.contains_key(&departure.address);
            if departure.arrival <= self.arrivals && !is_back && !message.dropped.contains(&departure.address)
            {
                message.dropped.push(departure.address);
            }
        }
    }
}

const TAKEN_EVERY_MS: Millis = 30_000;
const FIRST_MS: Millis = 10_000;
const EVERY_MS: Millis = 60_000;

#[cfg(test)]
mod tests;
