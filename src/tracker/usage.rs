//! Accounting: how many bytes each user has moved, by what clients report (accounts, sections 2 and 4).
//!
//! A session's counters are compared with those of its last announce; the difference is fresh until a cut takes it to
//! the store, together with the counters it leads up to. A cut that has not reached the disk comes back and is added
//! again, so that a byte is always in exactly one place. What clients report is taken as it is.

use super::FORESEEN_MAX;
use super::marks::Marks;
use super::sessions::{Hash, SEATS_UNKNOWN, Session, Sessions};
use super::users::{Users, seeded_hash};
use crate::base::limits::{USAGE_CUT_SESSIONS, USAGE_SESSIONS_MAX, USER_SESSIONS_MAX};
use crate::base::{Millis, PeerId, SwarmKey};
use crate::wire::announce::{AnnounceRequest, Event};
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
    /// The number under which it is stored.
    pub place: u32,
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
    /// The number under which the session is stored. Whatever else is stored there is over.
    pub place: u32,
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
    /// Sessions with something for the next cut.
    changed: Marks,
    /// Sessions without a base that a cut has told of. They keep their places until the disk has forgotten them.
    leaving: Vec<u32>,
    seed: u64,
    /// Seconds of accounting when the monotonic clock was 0, modulo 2^64.
    epoch: u64,
    /// The second of accounting from which sessions count theirs.
    origin: u64,
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
            changed: Marks::default(),
            leaving: Vec::new(),
            seed,
            epoch: started.wrapping_sub(mono / 1000),
            // What is older is over, and it does not matter by how much.
            origin: started.saturating_sub(u64::from(ttl_s) + 1),
            ttl_s: u64::from(ttl_s),
            sessions_max: sessions_max.min(USAGE_SESSIONS_MAX as u64) as usize,
            fresh: [0; 2],
            handed: [0; 2],
            unanswered: 0,
            forget_bases: false,
            turned_away: 0,
            cursor: 0,
        };
        let mut in_order: Vec<_> = stored.iter().collect();
        in_order.sort_by_key(|session| session.place);
        in_order.into_iter().for_each(|session| usage.restore(session));
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
        let visitor =
            Visitor { user, hash: seeded_hash(self.seed, user.as_bytes()), peer_id: &request.peer_id };
        let found = self.find(&visitor, &seat.entry);
        let measured = found.filter(|&at| self.is_measured(at, now_s)).or_else(|| {
            let former = self.find(&visitor, &seat.former?)?;
            self.is_measured(former, now_s).then(|| self.carry_over(former, found, &seat.entry))
        });
        let stopped = request.event == Event::Stopped;
        let reported = [request.uploaded, request.downloaded];
        let (at, known) = match measured {
            Some(at) => (at, true),
            None if stopped => return,
            None => {
                let Some(at) = self.begin(&visitor, found, &seat.entry) else { return };
                (at, false)
            }
        };
        let (session, fresh) = self.sessions.counted_mut(at);
        let mut seats = session.seats();
        if !known {
            (seats, session.last) = (0, reported);
        }
        for (way, now) in reported.into_iter().enumerate() {
            if now >= session.last[way] {
                let delta = (now - session.last[way]).min(BYTES_MAX - fresh[way]);
                fresh[way] += delta;
                self.fresh[way] = self.fresh[way].saturating_add(delta);
                session.last[way] = now;
            } else if request.event == Event::Started {
                session.last[way] = now;
            }
            // Else the packet is late, and what it says was counted already.
        }
        session.seen = now_s;
        session.seat(if stopped { seats & !seat.bit } else { seats | seat.bit });
        self.changed.insert(at);
    }

    /// Reads what announces that are about to be served will need, step by step for all of them, and changes nothing.
    /// Each is an entry, a client and a user.
    pub fn foresee<'a>(&self, announces: impl Iterator<Item = (SwarmKey, PeerId, &'a str)>) {
        let mut places = [u32::MAX; FORESEEN_MAX];
        let mut count = 0;
        for (place, (entry, peer_id, user)) in places.iter_mut().zip(announces) {
            let hash = self.sessions.hash(seeded_hash(self.seed, user.as_bytes()), &entry, &peer_id);
            *place = self.sessions.likely(hash).unwrap_or(u32::MAX);
            count += 1;
        }
        let mut read = 0;
        for place in &mut places[..count] {
            let (byte, user) = self.sessions.peek(*place).unwrap_or((0, u32::MAX));
            (read, *place) = (read ^ byte, user);
        }
        let ids = places[..count].iter().filter_map(|user| self.users.peek(*user)?.first());
        let read = ids.fold(read, |read, byte| read ^ byte);
        // Without a use of what was read, nothing would be.
        std::hint::black_box(read);
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
                .is_some_and(|session| session.has_base() && self.is_over_age(session, now_s));
            if over {
                self.sessions.at_mut(self.cursor).seat(0);
                self.changed.insert(self.cursor);
            }
        }
    }

    /// Takes what has changed since the last cut; of many the next in their turn. Nothing while another cut is under
    /// way, unless it is the last one.
    pub fn cut(&mut self, is_last: bool) -> Option<Cut> {
        if !self.is_changed() || self.unanswered > 0 && !is_last {
            return None;
        }
        let places = self.changed.take(USAGE_CUT_SESSIONS);
        let rows = places.into_iter().map(|at| self.take(at)).collect();
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
            self.release();
        }
    }

    /// A cut has not reached the disk: its bytes are added to what has come since, and what is known here of a session
    /// is newer than what the cut says.
    pub fn failed(&mut self, cut: Cut) {
        self.unanswered -= 1;
        self.forget_bases |= cut.forget_bases;
        for row in cut.rows {
            let at = self.place_of(&row);
            for (way, bytes) in [row.uploaded, row.downloaded].into_iter().enumerate() {
                let (_, fresh) = self.sessions.counted_mut(at);
                fresh[way] = fresh[way].saturating_add(bytes).min(BYTES_MAX);
                self.fresh[way] = self.fresh[way].saturating_add(bytes);
                self.handed[way] = self.handed[way].saturating_sub(bytes);
            }
            self.changed.insert(at);
        }
        if self.unanswered == 0 {
            self.release();
        }
    }

    /// Accounting ends: what was counted still goes to the store, what was measured against is forgotten.
    pub fn end(&mut self) {
        self.forget_bases = true;
        for at in 0..self.sessions.places() as u32 {
            if self.sessions.taken(at).is_none() {
                continue;
            }
            self.sessions.at_mut(at).seat(0);
            if !self.changed.contains(at) {
                self.leaving.push(at);
            }
        }
        if self.unanswered == 0 {
            self.release();
        }
    }

    /// One session as it was stored. Nobody knows any more over which families and hashes its client announces, so
    /// that it is kept until it expires.
    fn restore(&mut self, stored: &StoredSession) {
        let place = stored.place;
        if (place as usize) < self.sessions.places() || place as usize >= PLACES_MAX {
            return;
        }
        let hash = seeded_hash(self.seed, stored.user.as_bytes());
        let visitor = Visitor { user: &stored.user, hash, peer_id: &stored.peer_id };
        let rival = self.find(&visitor, &stored.entry);
        let user = self.users.find_or_add(hash, &stored.user);
        self.users.took_up(user);
        let hash = self.sessions.hash(hash, &stored.entry, &stored.peer_id);
        self.sessions.add_at(place, hash, user, stored.entry, stored.peer_id);
        let session = self.sessions.at_mut(place);
        session.seat(SEATS_UNKNOWN);
        session.seen = u32::try_from(stored.base.seen.saturating_sub(self.origin)).unwrap_or(u32::MAX);
        session.last = [stored.base.uploaded, stored.base.downloaded];
        // A crash between two cuts can leave a session under its former number too. The later one is right.
        if let Some(rival) = rival {
            let former =
                if self.sessions.at(rival).seen > self.sessions.at(place).seen { place } else { rival };
            self.sessions.unlist(hash, former);
            self.sessions.at_mut(former).seat(0);
            self.changed.insert(former);
        }
    }

    #[inline]
    fn find(&self, visitor: &Visitor<'_>, entry: &SwarmKey) -> Option<u32> {
        let hash = self.sessions.hash(visitor.hash, entry, visitor.peer_id);
        self.sessions.find(hash, |session| {
            session.entry == *entry
                && session.peer_id == *visitor.peer_id
                && self.users.is(session.user(), visitor.user)
        })
    }

    fn is_measured(&self, at: u32, now_s: u32) -> bool {
        let session = self.sessions.at(at);
        session.has_base() && !self.is_over_age(session, now_s)
    }

    fn is_over_age(&self, session: &Session, now_s: u32) -> bool {
        u64::from(now_s.saturating_sub(session.seen)) > self.ttl_s
    }

    /// Seconds of accounting since the origin.
    fn seconds(&self, now: Millis) -> u32 {
        u32::try_from(self.epoch.wrapping_add(now / 1000).wrapping_sub(self.origin)).unwrap_or(u32::MAX)
    }

    /// A session for a client that has none to be measured against; `found` is one that only waits for a cut. `None`
    /// when there are too many.
    fn begin(&mut self, visitor: &Visitor<'_>, found: Option<u32>, entry: &SwarmKey) -> Option<u32> {
        if found.is_some() {
            return found;
        }
        let known = self.users.find(visitor.hash, visitor.user);
        let of_user = known.map_or(0, |user| self.users.sessions(user));
        if self.sessions.len() >= self.sessions_max || of_user >= USER_SESSIONS_MAX {
            self.turned_away += 1;
            return None;
        }
        let user = known.unwrap_or_else(|| self.users.find_or_add(visitor.hash, visitor.user));
        Some(self.add(user, *entry, *visitor.peer_id))
    }

    fn add(&mut self, user: u32, entry: SwarmKey, peer_id: PeerId) -> u32 {
        self.users.took_up(user);
        let hash = self.sessions.hash(self.users.hash(user), &entry, &peer_id);
        self.sessions.add(hash, user, entry, peer_id)
    }

    /// The swarm of a v1 hash has become a part of a hybrid's entry: the session takes the entry's name and keeps its
    /// place, so that what is stored of it changes at one instant. One that had the name and is not measured takes the
    /// former name until the next cut: its bytes are the same user's.
    fn carry_over(&mut self, former: u32, found: Option<u32>, entry: &SwarmKey) -> u32 {
        let before = self.sessions.at(former).entry;
        if let Some(found) = found {
            self.rename(found, entry, None);
        }
        self.rename(former, &before, Some(entry));
        if let Some(found) = found {
            let hash = self.hash_of(former, &before);
            let session = self.sessions.at_mut(found);
            session.entry = before;
            session.seat(0);
            self.sessions.list(hash, found);
            self.changed.insert(found);
        }
        self.changed.insert(former);
        former
    }

    /// A session is no longer found by one entry, and is by another.
    fn rename(&mut self, at: u32, from: &SwarmKey, to: Option<&SwarmKey>) {
        self.sessions.unlist(self.hash_of(at, from), at);
        if let Some(to) = to {
            self.sessions.at_mut(at).entry = *to;
            self.sessions.list(self.hash_of(at, to), at);
        }
    }

    fn hash_of(&self, at: u32, entry: &SwarmKey) -> Hash {
        let session = self.sessions.at(at);
        self.sessions.hash(self.users.hash(session.user()), entry, &session.peer_id)
    }

    /// A changed session's part of a cut.
    fn take(&mut self, at: u32) -> CutRow {
        let (session, fresh) = self.sessions.counted_mut(at);
        let [uploaded, downloaded] = std::mem::take(fresh);
        let [last_up, last_down] = session.last;
        let seen = self.origin + u64::from(session.seen);
        let base = session.has_base().then_some(Base { uploaded: last_up, downloaded: last_down, seen });
        let (user, entry, peer_id) = (self.users.id(session.user()).clone(), session.entry, session.peer_id);
        for (way, bytes) in [uploaded, downloaded].into_iter().enumerate() {
            self.fresh[way] = self.fresh[way].saturating_sub(bytes);
            self.handed[way] = self.handed[way].saturating_add(bytes);
        }
        if base.is_none() {
            self.leaving.push(at);
        }
        CutRow { place: at, user, entry, peer_id, uploaded, downloaded, base }
    }

    /// Where bytes that come back belong: to their session, which has kept its place unless it has another name now.
    fn place_of(&mut self, row: &CutRow) -> u32 {
        let here = self.sessions.taken(row.place).map(Session::user);
        if here.is_some_and(|user| self.users.is(user, &row.user)) {
            return row.place;
        }
        debug_assert!(false, "places are kept until the disk has answered");
        let user = self.users.find_or_add(seeded_hash(self.seed, row.user.as_bytes()), &row.user);
        self.add(user, row.entry, row.peer_id)
    }

    /// No cut is under way: places of which the disk knows nothing any more are vacant.
    fn release(&mut self) {
        for at in std::mem::take(&mut self.leaving) {
            let gone = |session: &Session| !session.has_base() && !self.changed.contains(at);
            if !self.sessions.taken(at).is_some_and(gone) {
                continue;
            }
            let (user, entry) = (self.sessions.at(at).user(), self.sessions.at(at).entry);
            self.sessions.remove(self.hash_of(at, &entry), at);
            self.users.gave_up(user);
        }
    }
}

/// Who announces.
struct Visitor<'a> {
    user: &'a str,
    /// Of the user.
    hash: u64,
    peer_id: &'a PeerId,
}

/// Counters and sums are 63 bits, as SQLite has them.
const BYTES_MAX: u64 = i64::MAX as u64;
/// Stored numbers are below this; an opened database has none that is out of proportion.
const PLACES_MAX: usize = 4 * USAGE_SESSIONS_MAX;
