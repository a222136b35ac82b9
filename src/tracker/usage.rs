//! Accounting: how many bytes each user has moved, by what clients report (accounts, sections 2 and 4).
//!
//! A session's counters are compared with those of its last announce; the difference is fresh until a cut takes it to
//! the store, together with the counters it leads up to. A cut that has not reached the disk comes back and is added
//! again, so that a byte is always in exactly one place. What clients report is taken as it is.

use super::sessions::{SEATS_UNKNOWN, Session, SessionKey, Sessions};
use super::users::Users;
use crate::base::limits::{USAGE_CUT_SESSIONS, USAGE_SESSIONS_MAX, USER_SESSIONS_MAX};
use crate::base::{Millis, PeerId, SwarmKey};
use crate::wire::announce::{AnnounceRequest, Event};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a session is measured against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Base {
    /// Bytes uploaded as last reported, at most 2^63-1.
    pub uploaded: u64,
    /// Bytes downloaded as last reported, at most 2^63-1.
    pub downloaded: u64,
    /// When, in seconds of accounting: they begin with the first start, and do not pass while the tracker is down.
    pub seen: u64,
}

/// A session as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSession {
    /// Whose.
    pub user: String,
    /// The key of the torrent's entry.
    pub entry: SwarmKey,
    /// The client.
    pub peer_id: PeerId,
    /// What it is measured against.
    pub base: Base,
}

/// What one session adds to a cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CutRow {
    /// Whose session.
    pub user: Arc<str>,
    /// The key of the torrent's entry.
    pub entry: SwarmKey,
    /// The client.
    pub peer_id: PeerId,
    /// Bytes uploaded since the last cut, to be added to the user's.
    pub uploaded: u64,
    /// Bytes downloaded since the last cut.
    pub downloaded: u64,
    /// What is to be stored of the session; `None`: nothing any more.
    pub base: Option<Base>,
}

/// Bytes and bases that belong together: either all of them reach the disk or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cut {
    /// One for each session that has changed.
    pub rows: Vec<CutRow>,
    /// Accounting has ended: whatever bases are stored are to be forgotten, before the rows are looked at.
    pub forget_bases: bool,
    /// An earlier cut had not been answered when this one was made. If that one has failed, this one must fail too:
    /// its bases come after bytes that are not stored.
    pub follows_unanswered: bool,
}

/// Where a client of a session stands at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// The key of the torrent's entry.
    pub entry: SwarmKey,
    /// The key of the swarm that has become a part of it, if one may have.
    pub former: Option<SwarmKey>,
    /// One bit for its address family and the identity it announced.
    pub bit: u8,
}

/// The accounts since the last cut.
#[derive(Debug)]
pub(super) struct Usage {
    sessions: Sessions,
    users: Users,
    /// Sessions with something for the next cut, oldest first, each once.
    changed: VecDeque<u32>,
    seed: u64,
    /// Seconds of accounting when the monotonic clock was 0, modulo 2^64.
    epoch: u64,
    ttl_s: u64,
    sessions_max: usize,
    /// Fresh bytes of all sessions: up, down.
    fresh: [u64; 2],
    /// Bytes in cuts that have not been answered.
    handed: [u64; 2],
    unanswered: u32,
    forget_bases: bool,
    /// Sessions that found no room.
    turned_away: u64,
    cursor: u32,
}

impl Usage {
    /// Goes on from the sessions that were stored; `unix` is when the very first begin.
    pub fn new(
        seed: u64,
        ttl_s: u32,
        sessions_max: u64,
        clock: (Millis, u64),
        stored: &[StoredSession],
    ) -> Self {
        let sessions_max = if sessions_max == 0 { u64::MAX } else { sessions_max };
        let (mono, unix) = clock;
        let started = stored.iter().map(|session| session.base.seen).max().unwrap_or(unix);
        let mut usage = Self {
            sessions: Sessions::new(seed),
            users: Users::default(),
            changed: VecDeque::new(),
            seed,
            epoch: started.wrapping_sub(mono / 1000),
            ttl_s: u64::from(ttl_s),
            sessions_max: sessions_max.min(USAGE_SESSIONS_MAX as u64) as usize,
            fresh: [0; 2],
            handed: [0; 2],
            unanswered: 0,
            forget_bases: false,
            turned_away: 0,
            cursor: 0,
        };
        stored.iter().for_each(|session| usage.restore(session));
        usage
    }

    /// No session: there is nothing to expire.
    pub fn is_empty(&self) -> bool {
        self.sessions.len() == 0
    }

    /// Whether a cut would have something in it.
    pub fn is_changed(&self) -> bool {
        self.forget_bases || !self.changed.is_empty()
    }

    /// Whether so much has changed that another cut should not wait.
    pub fn has_a_full_cut(&self) -> bool {
        self.changed.len() >= USAGE_CUT_SESSIONS
    }

    /// Whether nothing at all is left of it, neither here nor on its way to the disk.
    pub fn is_over(&self) -> bool {
        self.is_empty() && !self.is_changed() && self.unanswered == 0
    }

    /// Sessions.
    pub fn sessions(&self) -> u64 {
        self.sessions.len() as u64
    }

    /// Sessions that found no room and are not counted.
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Bytes that are not on disk: up, down.
    pub fn pending(&self) -> [u64; 2] {
        [0, 1].map(|way| self.fresh[way].saturating_add(self.handed[way]))
    }

    /// One announce that was served.
    pub fn count(&mut self, now: Millis, user: &str, seat: &Seat, request: &AnnounceRequest) {
        let now_s = self.seconds(now);
        let known = self.users.find(self.seed, user);
        let key = |user: u32, entry: SwarmKey| SessionKey { user, entry, peer_id: request.peer_id };
        let found = known.and_then(|user| self.sessions.find(&key(user, seat.entry)));
        let measured = found.filter(|&at| self.is_measured(at, now_s)).or_else(|| {
            let user = known?;
            let former = self.sessions.find(&key(user, seat.former?))?;
            self.is_measured(former, now_s).then(|| self.carry_over(former, key(user, seat.entry)))
        });
        let stopped = request.event == Event::Stopped;
        let reported = [request.uploaded, request.downloaded];
        let at = match measured {
            Some(at) => at,
            None if stopped => return,
            None => {
                let Some(at) = self.begin(user, found, &key(0, seat.entry)) else { return };
                let session = self.sessions.at_mut(at);
                (session.has_base, session.seats, session.last) = (true, 0, reported);
                at
            }
        };
        let session = self.sessions.at_mut(at);
        for (way, now) in reported.into_iter().enumerate() {
            if now >= session.last[way] {
                let delta = now - session.last[way];
                let room = BYTES_MAX - session.fresh[way];
                session.fresh[way] += delta.min(room);
                self.fresh[way] = self.fresh[way].saturating_add(delta.min(room));
                session.last[way] = now;
            } else if request.event == Event::Started {
                session.last[way] = now;
            }
            // Else the packet is late, and what it says was counted already.
        }
        session.seen = now_s;
        if stopped {
            session.seats &= !seat.bit;
            session.has_base = session.seats != 0;
        } else {
            session.seats |= seat.bit;
        }
        self.mark(at);
    }

    /// Looks for sessions that are over, `budget` places at most.
    pub fn sweep(&mut self, now: Millis, budget: usize) {
        let now_s = self.seconds(now);
        let places = self.sessions.places() as u32;
        for _ in 0..budget.min(places as usize) {
            self.cursor = if self.cursor + 1 < places { self.cursor + 1 } else { 0 };
            let over = self
                .sessions
                .taken(self.cursor)
                .is_some_and(|session| session.has_base && self.is_over_age(session, now_s));
            if over {
                self.sessions.at_mut(self.cursor).has_base = false;
                self.mark(self.cursor);
            }
        }
    }

    /// Takes what has changed since the last cut; the oldest changes if there are many. Nothing while another cut is
    /// under way, unless it is the last one.
    pub fn cut(&mut self, is_last: bool) -> Option<Cut> {
        if !self.is_changed() || self.unanswered > 0 && !is_last {
            return None;
        }
        let count = self.changed.len().min(USAGE_CUT_SESSIONS);
        let mut rows = Vec::with_capacity(count);
        for at in self.changed.drain(..count).collect::<Vec<_>>() {
            rows.push(self.take(at));
        }
        let cut = Cut {
            rows,
            forget_bases: std::mem::take(&mut self.forget_bases),
            follows_unanswered: self.unanswered > 0,
        };
        self.unanswered += 1;
        Some(cut)
    }

    /// So many cuts are on disk.
    pub fn stored(&mut self, cuts: u32) {
        self.unanswered -= cuts;
        if self.unanswered == 0 {
            self.handed = [0; 2];
        }
    }

    /// A cut has not reached the disk: its bytes are added to what has come since, and what is known here of a session
    /// is newer than what the cut says.
    pub fn failed(&mut self, cut: Cut) {
        self.unanswered -= 1;
        self.forget_bases |= cut.forget_bases;
        for row in cut.rows {
            let user = self.users.find_or_add(self.seed, &row.user);
            let key = SessionKey { user, entry: row.entry, peer_id: row.peer_id };
            let at = self.sessions.find(&key).unwrap_or_else(|| {
                self.users.took_up(user);
                self.sessions.add(key)
            });
            for (way, bytes) in [row.uploaded, row.downloaded].into_iter().enumerate() {
                let session = self.sessions.at_mut(at);
                session.fresh[way] = session.fresh[way].saturating_add(bytes).min(BYTES_MAX);
                self.fresh[way] = self.fresh[way].saturating_add(bytes);
                self.handed[way] = self.handed[way].saturating_sub(bytes);
            }
            self.mark(at);
        }
    }

    /// Accounting ends: what was counted still goes to the store, what was measured against is forgotten.
    pub fn end(&mut self) {
        self.forget_bases = true;
        for at in 0..self.sessions.places() as u32 {
            let Some(session) = self.sessions.taken(at) else { continue };
            if session.is_changed {
                self.sessions.at_mut(at).has_base = false;
            } else {
                self.forget(at);
            }
        }
    }

    /// One session as it was stored. Nobody knows any more over which families and hashes its client announces, so
    /// that it is kept until it expires.
    fn restore(&mut self, stored: &StoredSession) {
        let user = self.users.find_or_add(self.seed, &stored.user);
        let key = SessionKey { user, entry: stored.entry, peer_id: stored.peer_id };
        if self.sessions.find(&key).is_some() {
            return;
        }
        self.users.took_up(user);
        let at = self.sessions.add(key);
        let session = self.sessions.at_mut(at);
        (session.has_base, session.seats, session.seen) = (true, SEATS_UNKNOWN, stored.base.seen);
        session.last = [stored.base.uploaded, stored.base.downloaded];
    }

    fn is_measured(&self, at: u32, now_s: u64) -> bool {
        let session = self.sessions.at(at);
        session.has_base && !self.is_over_age(session, now_s)
    }

    fn is_over_age(&self, session: &Session, now_s: u64) -> bool {
        now_s.saturating_sub(session.seen) > self.ttl_s
    }

    fn seconds(&self, now: Millis) -> u64 {
        self.epoch.wrapping_add(now / 1000)
    }

    /// A session for a client that has none to be measured against; `found` is one that only waits for a cut. `None`
    /// when there are too many.
    fn begin(&mut self, user: &str, found: Option<u32>, key: &SessionKey) -> Option<u32> {
        if found.is_some() {
            return found;
        }
        let known = self.users.find(self.seed, user);
        let of_user = known.map_or(0, |user| self.users.sessions(user));
        if self.sessions.len() >= self.sessions_max || of_user >= USER_SESSIONS_MAX {
            self.turned_away += 1;
            return None;
        }
        let user = self.users.find_or_add(self.seed, user);
        self.users.took_up(user);
        Some(self.sessions.add(SessionKey { user, ..*key }))
    }

    /// The swarm of a v1 hash has become a part of a hybrid's entry: what its sessions are measured against goes on.
    fn carry_over(&mut self, former: u32, key: SessionKey) -> u32 {
        let Session { last, seats, seen, .. } = *self.sessions.at(former);
        let at = self.sessions.find(&key).unwrap_or_else(|| {
            self.users.took_up(key.user);
            self.sessions.add(key)
        });
        let session = self.sessions.at_mut(at);
        (session.has_base, session.last, session.seats, session.seen) = (true, last, seats, seen);
        self.sessions.at_mut(former).has_base = false;
        // In this order, so that no cut forgets the one without having the other.
        self.mark(at);
        self.mark(former);
        at
    }

    fn mark(&mut self, at: u32) {
        let session = self.sessions.at_mut(at);
        if !session.is_changed {
            session.is_changed = true;
            self.changed.push_back(at);
        }
    }

    /// A changed session's part of a cut.
    fn take(&mut self, at: u32) -> CutRow {
        let session = self.sessions.at_mut(at);
        let [uploaded, downloaded] = std::mem::take(&mut session.fresh);
        session.is_changed = false;
        let base = Base { uploaded: session.last[0], downloaded: session.last[1], seen: session.seen };
        let base = session.has_base.then_some(base);
        let SessionKey { user, entry, peer_id } = session.key;
        for (way, bytes) in [uploaded, downloaded].into_iter().enumerate() {
            self.fresh[way] = self.fresh[way].saturating_sub(bytes);
            self.handed[way] = self.handed[way].saturating_add(bytes);
        }
        let row = CutRow { user: self.users.id(user).clone(), entry, peer_id, uploaded, downloaded, base };
        if base.is_none() {
            self.forget(at);
        }
        row
    }

    fn forget(&mut self, at: u32) {
        let user = self.sessions.at(at).key.user;
        self.sessions.remove(at);
        self.users.gave_up(self.seed, user);
    }
}

/// Counters and sums are 63 bits, as SQLite has them.
const BYTES_MAX: u64 = i64::MAX as u64;
