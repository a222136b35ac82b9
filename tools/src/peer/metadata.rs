//! Metadata from peers (BEP 9): the info dictionary of a magnet link, asked for in pieces and proved by its hashes.
//!
//! Nothing proves a single piece, so liars are found by who sent what. Peers that tell different sizes fill different
//! candidates. A candidate whose hash is wrong bans its only source; with several sources it is fetched again from one
//! peer alone, then the next. Memory grows with pieces that came and ends at a bound; a claimed size costs nothing.

use super::extended::MetadataMessage;
use super::limits::{
    METADATA_BYTES_MAX, METADATA_HELD_BYTES_MAX, METADATA_PEERS_MAX, METADATA_PIECE_BYTES,
    METADATA_REQUESTS_MAX,
};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use weightless::base::{InfoHashes, Millis};

/// What a message of a peer has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to do but to ask on.
    More,
    /// The info dictionary, proved by every hash that was wanted.
    Complete(Vec<u8>),
    /// This peer misbehaved and was forgotten; its connection is closed.
    Drop(u64),
    /// These peers sent metadata that is not what it should be, and were forgotten.
    Ban(Vec<u64>),
}

/// Fetches the metadata of one torrent.
#[derive(Debug)]
pub struct MetadataFetch {
    wanted: InfoHashes,
    peers: BTreeMap<u64, Peer>,
    /// By size.
    candidates: BTreeMap<u32, Candidate>,
    /// The next place at the end of the queue.
    turn: u64,
    offers: usize,
    last_reason: Option<&'static str>,
}

#[derive(Debug)]
struct Peer {
    size: u32,
    /// Its place in the queue.
    turn: u64,
    /// Since when it is being asked.
    active_since: Option<Millis>,
    asked: Vec<Asked>,
    /// Pieces asked long ago; their answers may still come.
    late: Vec<u32>,
    rests_until: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    piece: u32,
    since: Millis,
}

#[derive(Debug, Default)]
struct Candidate {
    /// What has come, and from whom.
    pieces: BTreeMap<u32, (Box<[u8]>, u64)>,
    /// No piece below this one is missing.
    first_missing: u32,
    sources: Sources,
}

/// From how many peers a candidate is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sources {
    /// Together, as fast as possible.
    #[default]
    Several,
    /// From one after the other, since together they failed. Each has so long while others wait.
    One { peer: Option<u64>, patience: Millis },
}

impl MetadataFetch {
    /// Wants the dictionary with these hashes: all of them must match.
    pub fn new(wanted: InfoHashes) -> Self {
        Self {
            wanted,
            peers: BTreeMap::new(),
            candidates: BTreeMap::new(),
            turn: 0,
            offers: 0,
            last_reason: None,
        }
    }

    /// A peer says that it has metadata of this size. Sizes outside 1 to 64 MiB are ignored.
    pub fn peer_offers(&mut self, peer: u64, size: u32) {
        if !(1..=METADATA_BYTES_MAX).contains(&size) || self.peers.get(&peer).is_some_and(|p| p.size == size)
        {
            return;
        }
        self.peer_gone(peer);
        self.offers += 1;
        let turn = self.next_turn();
        let new =
            Peer { size, turn, active_since: None, asked: Vec::new(), late: Vec::new(), rests_until: 0 };
        self.peers.insert(peer, new);
        self.candidates.entry(size).or_default();
    }

    /// A peer is not there any more. What it sent is kept as long as others tell the same size.
    pub fn peer_gone(&mut self, peer: u64) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        if self.peers.values().all(|other| other.size != gone.size) {
            self.candidates.remove(&gone.size);
        } else if let Some(candidate) = self.candidates.get_mut(&gone.size) {
            candidate.leave(peer);
        }
    }

    /// What to ask now: pairs of a peer and a piece. Also gives up waiting for answers that did not come.
    pub fn next_requests(&mut self, now: Millis, out: &mut Vec<(u64, u32)>) {
        self.time_out(now);
        // Free places are filled before anybody has to make room.
        self.fill_places(now);
        self.rotate(now);
        self.fill_places(now);
        let active = self.peers.iter().filter(|(_, peer)| peer.active_since.is_some());
        for peer in active.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.ask(now, peer, out);
        }
    }

    /// When [`MetadataFetch::next_requests`] has something to do even if no message comes.
    pub fn next_due(&self, now: Millis) -> Option<Millis> {
        let of_peer = |(key, peer): (&u64, &Peer)| {
            let answers = peer.asked.iter().map(|asked| asked.since + ANSWER_MS).min();
            let turn = peer
                .active_since
                .filter(|_| self.somebody_waits(now, peer.size))
                .map(|since| since + self.patience(*key, peer));
            let rest = Some(peer.rests_until).filter(|until| *until > now);
            [answers, turn, rest].into_iter().flatten().min()
        };
        self.peers.iter().filter_map(of_peer).min()
    }

    /// Takes a message of a peer; its requests are not for this room.
    pub fn received(&mut self, now: Millis, peer: u64, message: &MetadataMessage<'_>) -> Progress {
        match *message {
            MetadataMessage::Request { .. } => Progress::More,
            MetadataMessage::Reject { piece } => {
                if self.peers.get_mut(&peer).is_some_and(|peer| peer.take(piece)) {
                    self.last_reason = Some("rejected");
                    self.rest(now, peer);
                }
                Progress::More
            }
            MetadataMessage::Data { piece, total, bytes } => self.data(peer, piece, total, bytes),
        }
    }

    /// How many peers offered metadata, and what went wrong last.
    pub fn tried(&self) -> (usize, Option<&'static str>) {
        (self.offers, self.last_reason)
    }

    fn data(&mut self, peer: u64, piece: u32, total: u32, bytes: &[u8]) -> Progress {
        let Some(from) = self.peers.get_mut(&peer) else { return Progress::More };
        let size = from.size;
        if !from.take(piece) || total != size || Some(bytes.len()) != piece_bytes(size, piece) {
            self.last_reason = Some("sent a wrong piece of metadata");
            self.peer_gone(peer);
            return Progress::Drop(peer);
        }
        let Some(candidate) = self.candidates.get_mut(&size) else { return Progress::More };
        if let Sources::One { peer: only, .. } = candidate.sources
            && only != Some(peer)
        {
            return Progress::More;
        }
        candidate.pieces.entry(piece).or_insert_with(|| (bytes.into(), peer));
        while candidate.pieces.contains_key(&candidate.first_missing) {
            candidate.first_missing += 1;
        }
        if candidate.first_missing == piece_count(size) {
            return self.judge(size);
        }
        self.stay_within_bound(size);
        Progress::More
    }

    /// A candidate is whole: is it what was wanted?
    fn judge(&mut self, size: u32) -> Progress {
        let Some(candidate) = self.candidates.get_mut(&size) else { return Progress::More };
        let pieces = candidate.clear();
        if is_wanted(&self.wanted, &pieces) {
            let mut whole = Vec::with_capacity(size as usize);
            // Each piece is freed once it is copied.
            pieces.into_values().for_each(|(bytes, _)| whole.extend_from_slice(&bytes));
            self.peers.clear();
            self.candidates.clear();
            return Progress::Complete(whole);
        }
        self.last_reason = Some("metadata does not match the info hash");
        let mut sources: Vec<u64> = pieces.into_values().map(|(_, source)| source).collect();
        sources.sort_unstable();
        sources.dedup();
        if sources.len() == 1 {
            sources.iter().for_each(|source| self.peer_gone(*source));
            return Progress::Ban(sources);
        }
        candidate.sources = Sources::One { peer: None, patience: ALONE_MS };
        let peers = self.peers.values_mut().filter(|peer| peer.size == size);
        peers.for_each(Peer::pause);
        Progress::More
    }

    /// Gives up the other candidate that is largest when together they are too much.
    fn stay_within_bound(&mut self, growing: u32) {
        let held = |candidate: &Candidate| candidate.pieces.len() as u64 * u64::from(METADATA_PIECE_BYTES);
        if self.candidates.values().map(held).sum::<u64>() <= METADATA_HELD_BYTES_MAX {
            return;
        }
        let others = self.candidates.iter_mut().filter(|(size, _)| **size != growing);
        if let Some((_, largest)) = others.max_by_key(|(_, candidate)| candidate.pieces.len()) {
            largest.clear();
        }
    }

    fn time_out(&mut self, now: Millis) {
        let is_late = |asked: &Asked| asked.since + ANSWER_MS <= now;
        let silent = self.peers.iter().filter(|(_, peer)| peer.asked.iter().any(is_late));
        for peer in silent.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.last_reason = Some("timed out");
            self.rest(now, peer);
        }
    }

    /// A peer that could not answer waits behind all others, and not less than a while.
    fn rest(&mut self, now: Millis, peer: u64) {
        let turn = self.next_turn();
        let Some(resting) = self.peers.get_mut(&peer) else { return };
        resting.pause();
        resting.turn = turn;
        resting.rests_until = now + REST_MS;
        if let Some(candidate) = self.candidates.get_mut(&resting.size) {
            candidate.leave(peer);
        }
    }

    /// While others wait nobody is asked for ever: one that drips would keep its place.
    fn rotate(&mut self, now: Millis) {
        let over = |(key, peer): &(&u64, &Peer)| {
            peer.active_since.is_some_and(|since| since + self.patience(**key, peer) <= now)
                && self.somebody_waits(now, peer.size)
        };
        for peer in self.peers.iter().filter(over).map(|(peer, _)| *peer).collect::<Vec<_>>() {
            let turn = self.next_turn();
            let Some(yielding) = self.peers.get_mut(&peer) else { continue };
            yielding.pause();
            yielding.turn = turn;
            if let Some(candidate) = self.candidates.get_mut(&yielding.size) {
                candidate.leave(peer);
            }
        }
    }

    /// Whether there is somebody to take the place of a peer that is asked for the candidate of this size.
    fn somebody_waits(&self, now: Millis, size: u32) -> bool {
        let mut waiting = self.peers.values().filter(|peer| peer.waits(now));
        waiting.any(|peer| peer.size == size || self.may_join(peer))
    }

    /// Not while another one is asked alone.
    fn may_join(&self, peer: &Peer) -> bool {
        let sources = self.candidates.get(&peer.size).map(|candidate| candidate.sources);
        !matches!(sources, Some(Sources::One { peer: Some(_), .. }))
    }

    fn patience(&self, key: u64, peer: &Peer) -> Millis {
        match self.candidates.get(&peer.size).map(|candidate| candidate.sources) {
            Some(Sources::One { peer: Some(only), patience }) if only == key => patience,
            _ => TURN_MS,
        }
    }

    /// Who waits and may be asked next: of the candidate that the fewest are asked for, the one that waits longest.
    fn next_in_queue(&self, now: Millis) -> Option<u64> {
        let asked_for =
            |size: u32| self.peers.values().filter(|p| p.active_since.is_some() && p.size == size).count();
        self.peers
            .iter()
            .filter(|(_, peer)| peer.waits(now) && self.may_join(peer))
            .min_by_key(|(_, peer)| (asked_for(peer.size), peer.turn))
            .map(|(peer, _)| *peer)
    }

    fn fill_places(&mut self, now: Millis) {
        while self.peers.values().filter(|peer| peer.active_since.is_some()).count() < METADATA_PEERS_MAX {
            let Some(next) = self.next_in_queue(now) else { break };
            self.activate(now, next);
        }
    }

    fn activate(&mut self, now: Millis, peer: u64) {
        let Some(next) = self.peers.get_mut(&peer) else { return };
        next.active_since = Some(now);
        if let Some(candidate) = self.candidates.get_mut(&next.size)
            && let Sources::One { peer: only, .. } = &mut candidate.sources
        {
            *only = Some(peer);
            candidate.clear();
        }
    }

    fn ask(&mut self, now: Millis, peer: u64, out: &mut Vec<(u64, u32)>) {
        let Some(size) = self.peers.get(&peer).map(|peer| peer.size) else { return };
        let Some(candidate) = self.candidates.get(&size) else { return };
        let mut wanted: Vec<u32> = Vec::new();
        let asked = |piece: u32| {
            let same_size = self.peers.values().filter(|peer| peer.size == size);
            same_size.flat_map(|peer| &peer.asked).filter(|asked| asked.piece == piece).count()
        };
        let own = self.peers.get(&peer).map_or(&[][..], |peer| &peer.asked);
        let missing = (candidate.first_missing..piece_count(size)).filter(|piece| {
            !candidate.pieces.contains_key(piece) && own.iter().all(|asked| asked.piece != *piece)
        });
        let free = METADATA_REQUESTS_MAX.saturating_sub(own.len());
        wanted.extend(missing.clone().filter(|piece| asked(*piece) == 0).take(free));
        if wanted.is_empty() {
            // Nothing else is left: the last pieces are asked for twice.
            wanted.extend(missing.filter(|piece| asked(*piece) == 1).take(free));
        }
        let Some(peer_asked) = self.peers.get_mut(&peer) else { return };
        for piece in wanted {
            peer_asked.asked.push(Asked { piece, since: now });
            peer_asked.late.retain(|late| *late != piece);
            out.push((peer, piece));
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

impl Peer {
    fn waits(&self, now: Millis) -> bool {
        self.active_since.is_none() && self.rests_until <= now
    }

    /// Whether the piece was asked of this peer; from now on it is not.
    fn take(&mut self, piece: u32) -> bool {
        let before = self.asked.len() + self.late.len();
        self.asked.retain(|asked| asked.piece != piece);
        self.late.retain(|late| *late != piece);
        self.asked.len() + self.late.len() < before
    }

    /// Stops asking it; answers that are on their way are still taken.
    fn pause(&mut self) {
        self.active_since = None;
        self.late.extend(self.asked.drain(..).map(|asked| asked.piece));
        let surplus = self.late.len().saturating_sub(LATE_MAX);
        self.late.drain(..surplus);
    }
}

impl Candidate {
    /// The peer will not be asked on: alone, it has failed, and another one begins anew.
    fn leave(&mut self, peer: u64) {
        if let Sources::One { peer: only, patience } = &mut self.sources
            && *only == Some(peer)
        {
            *only = None;
            *patience = patience.saturating_mul(2);
            self.clear();
        }
    }

    fn clear(&mut self) -> BTreeMap<u32, (Box<[u8]>, u64)> {
        self.first_missing = 0;
        std::mem::take(&mut self.pieces)
    }
}

fn is_wanted(wanted: &InfoHashes, pieces: &BTreeMap<u32, (Box<[u8]>, u64)>) -> bool {
    let v1 = wanted.v1().is_none_or(|v1| {
        let sum = pieces.values().fold(Sha1::new(), |sum, (bytes, _)| sum.chain_update(bytes));
        <[u8; 20]>::from(sum.finalize()) == v1.0
    });
    let v2 = wanted.v2().is_none_or(|v2| {
        let sum = pieces.values().fold(Sha256::new(), |sum, (bytes, _)| sum.chain_update(bytes));
        <[u8; 32]>::from(sum.finalize()) == v2.0
    });
    v1 && v2
}

fn piece_count(size: u32) -> u32 {
    size.div_ceil(METADATA_PIECE_BYTES)
}

/// How long a piece is; `None` behind the last one.
fn piece_bytes(size: u32, piece: u32) -> Option<usize> {
    let start = piece.checked_mul(METADATA_PIECE_BYTES)?;
    let left = size.checked_sub(start).filter(|left| *left > 0)?;
    Some(left.min(METADATA_PIECE_BYTES) as usize)
}

/// How many answers one peer has had lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetadataQuota {
    since: Millis,
    answers: u32,
}

impl MetadataQuota {
    /// The answer to a request: a piece of `info` when there is one and the peer has not had three times as many in ten
    /// minutes, else a reject.
    pub fn answer<'a>(&mut self, now: Millis, info: Option<&'a [u8]>, piece: u32) -> MetadataMessage<'a> {
        let reject = MetadataMessage::Reject { piece };
        let Some((info, total)) = info.and_then(|info| Some((info, u32::try_from(info.len()).ok()?))) else {
            return reject;
        };
        let start = piece as usize * METADATA_PIECE_BYTES as usize;
        let Some(bytes) = piece_bytes(total, piece).and_then(|length| info.get(start..start + length)) else {
            return reject;
        };
        if now.saturating_sub(self.since) >= QUOTA_MS {
            *self = Self { since: now, answers: 0 };
        }
        if self.answers >= QUOTA_FACTOR * piece_count(total) {
            return reject;
        }
        self.answers += 1;
        MetadataMessage::Data { piece, total, bytes }
    }
}

/// How long an answer may take.
const ANSWER_MS: Millis = 10_000;
/// How long a peer that rejected or was silent is left alone.
const REST_MS: Millis = 30_000;
/// How long a peer is asked while others wait.
const TURN_MS: Millis = 30_000;
/// The same for a peer that is asked alone; doubled for each one that was not done in time.
const ALONE_MS: Millis = 60_000;
/// Late answers remembered for each peer.
const LATE_MAX: usize = 8;
const QUOTA_MS: Millis = 600_000;
const QUOTA_FACTOR: u32 = 3;

#[cfg(test)]
mod tests;
