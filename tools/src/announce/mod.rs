//! Announcing one torrent: whom to tell what, and when (BEP 3, 12, 31, 52).
//!
//! A pure machine: it is told the time and the answers, and says which calls to make. It opens no socket and reads no
//! clock. A *lane* is one hash at one tier of trackers: it announces to the first tracker of its tier that works, so a
//! hybrid, which has two hashes, has two lanes for each tier. A private torrent has one tier at a time: its lanes go
//! through all of them.

mod lane;
pub mod status;
#[cfg(test)]
mod tests;
mod tiers;

use lane::{InFlight, Lane};
use std::net::SocketAddr;
use tiers::Tracker;
use weightless::base::{Millis, PeerId, Rng, SwarmKey};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash, Event};

/// Which of a torrent's hashes an announce is for; the peers that come back are to be greeted accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOf {
    /// The v1 hash.
    V1,
    /// The v2 hash, cut to 20 bytes.
    V2,
}

/// How a swarm is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As a torrent: BEP 3 and BEP 15.
    Announce,
    /// As an idtorrent: `/register_peer` and `/get_peers` of a tracker that speaks HTTP, and BEP 15.
    PeerRoutes,
}

/// Who announces.
#[derive(Clone, Debug)]
pub struct Identity {
    /// How.
    pub wire: Wire,
    /// The name for this run and swarm.
    pub peer_id: PeerId,
    /// Tells the client from others behind one address.
    pub key: u32,
    /// The port it listens on.
    pub port: u16,
    /// The torrent's hashes.
    pub hashes: Vec<(SwarmKey, HashOf)>,
    /// With so many peers connected no more are asked for.
    pub peers_enough: usize,
}

/// What has been transferred in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes sent.
    pub uploaded: u64,
    /// Bytes received.
    pub downloaded: u64,
    /// Bytes of the selected files that are missing, pads not counted; 1 while the metadata is unknown.
    pub left: u64,
}

/// How long a tracker that does not answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Somebody waits: soon on to the next.
    Get,
    /// Nobody waits.
    Seed,
}

/// A tracker and how far it is trusted.
#[derive(Clone, Debug)]
pub struct TrackerUrl {
    /// http, https or udp.
    pub url: String,
    /// Whether a person typed it; others are subject to the rules of `ssrf`.
    pub trusted: bool,
}

/// One announce to be carried out; its answer goes to [`Announcer::answered`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Names the call.
    pub id: u64,
    /// Where to.
    pub url: String,
    /// Whether a person typed the URL.
    pub trusted: bool,
    /// What to say.
    pub request: AnnounceRequest,
    /// Tells the client from others behind one address.
    pub key: u32,
    /// How often a UDP tracker is asked, 15 s x 2^n apart.
    pub udp_tries: u32,
    /// What an HTTP tracker is spoken to with.
    pub wire: Wire,
}

/// What a tracker said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// At most [`PEERS_MAX`] of them.
    pub peers: Vec<SocketAddr>,
    /// Seeders.
    pub complete: u32,
    /// Leechers.
    pub incomplete: u32,
    /// Seconds until the next announce.
    pub interval_s: u32,
    /// Seconds before which none is welcome, if it says so.
    pub min_interval_s: Option<u32>,
    /// What a person should know.
    pub warning: Option<String>,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The tracker says no.
    Refused {
        /// Its words.
        reason: String,
        /// When it may be asked again.
        retry: Retry,
    },
    /// No answer, or none that can be read.
    Failed(String),
    /// We do not ask: the URL cannot be used, or leads where it may not.
    Unusable(String),
}

/// `retry in` (BEP 31), or what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing was said.
    Unsaid,
    /// After so many seconds.
    AfterS(u32),
    /// Not again in this run.
    Never,
}

/// What an answer brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Candidates to dial.
    pub peers: Vec<SocketAddr>,
    /// Which hash they are known to have.
    pub hash: HashOf,
}

/// The announcer of one torrent.
#[derive(Debug)]
pub struct Announcer {
    identity: Identity,
    persistence: Persistence,
    trackers: Vec<Tracker>,
    /// Indexes of `trackers` in the order they are tried; a success moves to the front.
    tiers: Vec<Vec<usize>>,
    private: bool,
    lanes: Vec<Lane>,
    next_id: u64,
    lacks_peers: bool,
    stopped_at: Option<Millis>,
}

impl Announcer {
    /// Nothing is due before the first [`Announcer::poll`]. What is no usable URL, comes twice or is beyond
    /// [`TRACKERS_MAX`] is left out.
    pub fn new(
        tiers: Vec<Vec<TrackerUrl>>,
        private: bool,
        identity: Identity,
        persistence: Persistence,
        mut rng: Rng,
    ) -> Self {
        let (trackers, tiers) = tiers::arrange(tiers, &mut rng);
        let rows = if private { tiers.len().min(1) } else { tiers.len() };
        let lanes = (0..rows)
            .flat_map(|tier| (0..identity.hashes.len()).map(move |hash| (tier, hash)))
            .map(|(tier, hash)| Lane::new(tier, hash))
            .collect();
        let lacks_peers = true;
        Self {
            identity,
            persistence,
            trackers,
            tiers,
            private,
            lanes,
            next_id: 0,
            lacks_peers,
            stopped_at: None,
        }
    }

    /// Appends the calls that are due. `peers` is how many are connected.
    pub fn poll(&mut self, now: Millis, totals: Totals, peers: usize, out: &mut Vec<Call>) {
        self.lacks_peers = peers < PEERS_FEW && totals.left > 0;
        if self.stopped_at.is_some() {
            return self.say_farewell(totals, out);
        }
        let peers_wanted = if peers >= self.identity.peers_enough { 0 } else { PEERS_WANTED };
        for at in self.active() {
            let order = self.order(at);
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            if lane.due(self.lacks_peers).is_none_or(|due| due > now) {
                continue;
            }
            let mut ready = order.iter().copied().filter(|&tracker| lane.may_ask(tracker, now));
            let Some(tracker) = ready.next() else { continue };
            // Whoever has nobody else to ask stays longer with the one it has.
            let is_last = ready.next().is_none();
            let event = lane.event(tracker);
            let what = What { hash: lane.hash, event, peers_wanted };
            let Some(mut call) = self.call(tracker, what, totals) else { continue };
            if self.persistence == Persistence::Seed && is_last {
                call.udp_tries = UDP_TRIES_PATIENT;
            }
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.in_flight = Some(InFlight { id: call.id, tracker, event });
            }
            out.push(call);
        }
    }

    /// Takes the outcome of a call. `None` when it was not asked for, failed, or brings nothing.
    pub fn answered(&mut self, now: Millis, id: u64, outcome: Result<Answer, Problem>) -> Option<Learned> {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.farewells.contains(&id)) {
            lane.farewells.retain(|&farewell| farewell != id);
            return None;
        }
        let asked = |lane: &Lane| lane.in_flight.as_ref().is_some_and(|flight| flight.id == id);
        let lane = self.lanes.iter_mut().find(|lane| asked(lane))?;
        let flight = lane.in_flight.take()?;
        let tracker = self.trackers.get_mut(flight.tracker)?;
        match outcome {
            Ok(mut answer) => {
                lane.succeeded(now, &flight, &answer, self.identity.wire);
                tracker.answered = true;
                tracker.problem = None;
                let hash = self.identity.hashes.get(lane.hash)?.1;
                tiers::promote(&mut self.tiers, flight.tracker);
                answer.peers.truncate(PEERS_MAX);
                Some(Learned { peers: answer.peers, hash })
            }
            Err(problem) => {
                lane.failed(now, &flight, &problem);
                tracker.problem = Some(problem);
                None
            }
        }
    }

    /// This run has finished the last missing byte. Not to be called when everything was there at the start.
    pub fn completed(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.completed = true);
    }

    /// Our address has changed: trackers hear of it as soon as they want to hear of us again at all.
    pub fn renew(&mut self) {
        self.lanes.iter_mut().for_each(Lane::renew);
    }

    /// Whether a tracker that knows us has not been told of it yet.
    pub fn owes_completed(&self) -> bool {
        self.lanes.iter().any(Lane::owes_completed)
    }

    /// From now on only farewells go out.
    pub fn stop(&mut self, now: Millis) {
        self.stopped_at.get_or_insert(now);
    }

    /// After [`Announcer::stop`]: whether everybody has heard of it, or enough time has passed.
    pub fn is_finished(&self, now: Millis) -> bool {
        let Some(since) = self.stopped_at else { return false };
        now >= since.saturating_add(FAREWELL_MS) || self.lanes.iter().all(Lane::is_silent)
    }

    /// When [`Announcer::poll`] has something to do next, as far as is known now.
    pub fn next_due(&self) -> Option<Millis> {
        if let Some(since) = self.stopped_at {
            let unsaid = self.lanes.iter().any(Lane::owes_farewell);
            return Some(if unsaid { since } else { since.saturating_add(FAREWELL_MS) });
        }
        let due = |at: usize| {
            let lane = self.lanes.get(at)?;
            let due = lane.due(self.lacks_peers)?;
            let order = self.order(at);
            let from = order.iter().map(|&tracker| lane.not_before(tracker)).min()?;
            (from != Millis::MAX).then(|| due.max(from))
        };
        self.active().into_iter().filter_map(due).min()
    }

    /// `stopped` to everybody who was told of a start.
    fn say_farewell(&mut self, totals: Totals, out: &mut Vec<Call>) {
        for at in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            let what = What { hash: lane.hash, event: Event::Stopped, peers_wanted: 0 };
            for tracker in lane.take_greeted() {
                let Some(call) = self.call(tracker, what, totals) else { continue };
                if let Some(lane) = self.lanes.get_mut(at) {
                    lane.farewells.push(call.id);
                }
                out.push(Call { udp_tries: 1, ..call });
            }
        }
    }

    fn call(&mut self, tracker: usize, what: What, totals: Totals) -> Option<Call> {
        let tracker = self.trackers.get(tracker)?;
        let (key, _) = self.identity.hashes.get(what.hash)?;
        let id = self.next_id;
        self.next_id += 1;
        Some(Call {
            id,
            url: tracker.url.clone(),
            trusted: tracker.trusted,
            request: AnnounceRequest {
                info_hash: AnnouncedHash::Short(*key),
                peer_id: self.identity.peer_id,
                port: self.identity.port,
                uploaded: totals.uploaded,
                downloaded: totals.downloaded,
                left: Some(totals.left),
                event: what.event,
                peers_wanted: Some(what.peers_wanted),
            },
            key: self.identity.key,
            udp_tries: UDP_TRIES,
            wire: self.identity.wire,
        })
    }

    /// The lanes that announce: those of the first [`TIERS_AT_ONCE_MAX`] tiers that may work. A tier of which every
    /// tracker has failed takes no place; it is asked again when its time comes.
    fn active(&self) -> Vec<usize> {
        let hashes = self.identity.hashes.len();
        let mut places = TIERS_AT_ONCE_MAX;
        let mut active = Vec::new();
        for first in (0..self.lanes.len()).step_by(hashes.max(1)) {
            if places == 0 {
                break;
            }
            let lanes = first..first + hashes;
            let may_work = lanes.clone().any(|at| {
                let order = self.order(at);
                self.lanes.get(at).is_some_and(|lane| lane.may_work(&order))
            });
            places -= usize::from(may_work);
            active.extend(lanes);
        }
        active
    }

    /// The trackers of a lane in the order in which they are asked.
    fn order(&self, lane: usize) -> Vec<usize> {
        if self.private {
            return self.tiers.concat();
        }
        self.lanes.get(lane).and_then(|lane| self.tiers.get(lane.tier)).cloned().unwrap_or_default()
    }
}

/// What is to be said in a call.
#[derive(Clone, Copy)]
struct What {
    /// Index of the identity's hashes.
    hash: usize,
    event: Event,
    peers_wanted: u32,
}

/// Peers asked for.
pub const PEERS_WANTED: u32 = 50;
/// Peers taken from one answer.
pub const PEERS_MAX: usize = 1000;
/// Trackers of one torrent.
pub const TRACKERS_MAX: usize = 100;
/// Tiers announced to at the same time.
const TIERS_AT_ONCE_MAX: usize = 8;
/// With fewer peers a download comes back early.
const PEERS_FEW: usize = 10;
/// How often a UDP tracker is asked before the next one.
const UDP_TRIES: u32 = 3;
/// The same where there is no next one and nobody waits.
const UDP_TRIES_PATIENT: u32 = 9;
/// All the time there is for saying goodbye.
pub const FAREWELL_MS: Millis = 3000;
