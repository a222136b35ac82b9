//! Accounting beside a naive model: every cut says exactly what the model says (I1, I4), whatever was lost, came late
//! or was sent again; and a crash at any moment goes on from what the disk has.
//!
//! Only torrents that are never registered are followed, under a user of their own.

use crate::world::World;
use std::collections::HashMap;
use weightless::base::{Now, UserId};
use weightless::mailbox::{Base, Cut, CutRow, StoredSession};
use weightless::wire::announce::{AnnounceRequest, Event};
use weightless::wire::passkey::{self, PasskeyKey};
use weightless::wire::udp_tracker as wire;

/// The user whose sessions the model follows.
pub const FOLLOWED: &str = "followed";
pub const SECRET: &[u8] = b"secret";

type Key = ([u8; 20], [u8; 20]);

/// One session of the model.
#[derive(Clone, Debug, Default)]
struct Session {
    base: Option<Measured>,
    fresh: [u64; 2],
}

#[derive(Clone, Debug)]
struct Measured {
    last: [u64; 2],
    seen_s: u64,
    /// Families that have announced and not stopped; after a crash nobody knows.
    families: Option<Vec<bool>>,
}

/// The model, and the disk beside it.
#[derive(Default)]
pub struct Accounts {
    sessions: HashMap<Key, Session>,
    /// Every base on disk, whoever's, by its number.
    bases: HashMap<u32, (String, Key, Base)>,
    /// What was taken and not committed yet.
    held: Vec<Cut>,
    ttl_s: u64,
    /// Cuts that had something in it, and crashes.
    pub seen: (u32, u32),
}

impl Accounts {
    pub fn new(ttl_s: u32) -> Self {
        Self { ttl_s: u64::from(ttl_s), ..Self::default() }
    }

    /// An announce was answered with peers.
    pub fn announced(&mut self, now: Now, is_ipv4: bool, packet: &[u8]) {
        let announce = wire::parse_announce(packet).expect("it was answered");
        let mut path = Vec::new();
        wire::url_data(announce.options, &mut path);
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let passkey::PathKey::Some(key) = passkey::passkey_of_path(path, b"/announce") else { return };
        let user = PasskeyKey::new(SECRET).verify(&key);
        if user == UserId::new(FOLLOWED.as_bytes()) {
            self.count(now.mono / 1000, is_ipv4, &announce.request);
        }
    }

    fn count(&mut self, now_s: u64, is_ipv4: bool, request: &AnnounceRequest) {
        let key = (request.info_hash.key().0, request.peer_id.0);
        let session = self.sessions.entry(key).or_default();
        if session.base.as_ref().is_some_and(|base| now_s.saturating_sub(base.seen_s) > self.ttl_s) {
            session.base = None;
        }
        let reported = [request.uploaded, request.downloaded];
        let stopped = request.event == Event::Stopped;
        if session.base.is_none() {
            if stopped {
                return;
            }
            session.base = Some(Measured { last: reported, seen_s: now_s, families: Some(vec![]) });
        }
        let base = session.base.as_mut().expect("made above");
        for (way, now) in reported.into_iter().enumerate() {
            let last = &mut base.last[way];
            if now >= *last {
                let sum = u128::from(session.fresh[way]) + u128::from(now - *last);
                session.fresh[way] = sum.min(i64::MAX as u128) as u64;
                *last = now;
            } else if request.event == Event::Started {
                *last = now;
            }
        }
        base.seen_s = now_s;
        if let Some(families) = &mut base.families {
            families.retain(|family| *family != is_ipv4);
            if !stopped {
                families.push(is_ipv4);
            } else if families.is_empty() {
                session.base = None;
            }
        }
    }

    /// The machine has made a cut: each of its rows is what the model has.
    pub fn cut(&mut self, now: Now, cut: Cut) {
        self.compare(now, &cut);
        self.seen.0 += 1;
        self.held.push(cut);
    }

    /// The same, but the mailbox was full.
    pub fn refused(&mut self, now: Now, cut: &Cut) {
        self.compare(now, cut);
        self.came_back(cut);
    }

    fn compare(&mut self, now: Now, cut: &Cut) {
        for row in cut.rows.iter().filter(|row| &*row.user == FOLLOWED) {
            let session = self.sessions.entry(key_of(row)).or_default();
            assert_eq!([row.uploaded, row.downloaded], session.fresh, "bytes of {:?}", key_of(row));
            session.fresh = [0; 2];
            match (&row.base, &session.base) {
                (Some(base), Some(measured)) => assert_eq!([base.uploaded, base.downloaded], measured.last),
                (None, Some(measured)) => {
                    assert!(now.mono / 1000 - measured.seen_s > self.ttl_s, "forgotten before its time");
                    session.base = None;
                }
                (Some(_), None) => panic!("{:?} was over", key_of(row)),
                (None, None) => {}
            }
        }
    }

    /// A commit: how many cuts were in it, and those that come back because it failed.
    pub fn committed(&mut self, durable: bool) -> (u32, Vec<Cut>) {
        let held = std::mem::take(&mut self.held);
        let count = held.len() as u32;
        if !durable {
            held.iter().for_each(|cut| self.came_back(cut));
            return (count, held);
        }
        for row in held.iter().flat_map(|cut| &cut.rows) {
            match row.base {
                Some(base) => {
                    drop(self.bases.insert(row.place, (row.user.to_string(), key_of(row), base)));
                }
                None => drop(self.bases.remove(&row.place)),
            }
        }
        (count, Vec::new())
    }

    /// A cut has not reached the disk: its bytes are fresh again.
    fn came_back(&mut self, cut: &Cut) {
        for row in cut.rows.iter().filter(|row| &*row.user == FOLLOWED) {
            let session = self.sessions.entry(key_of(row)).or_default();
            session.fresh = [
                session.fresh[0].saturating_add(row.uploaded).min(i64::MAX as u64),
                session.fresh[1].saturating_add(row.downloaded).min(i64::MAX as u64),
            ];
        }
    }

    /// The machine is gone, and what it had not stored: the next one goes on from the bases on disk, which belong to
    /// the bytes on disk.
    fn crashed(&mut self, now: Now) -> Vec<StoredSession> {
        self.seen.1 += 1;
        (self.sessions, self.held) = (HashMap::new(), Vec::new());
        let latest = self.bases.values().map(|(_, _, base)| base.seen).max().unwrap_or(0);
        for (_, key, base) in self.bases.values().filter(|(user, _, _)| user == FOLLOWED) {
            let last = [base.uploaded, base.downloaded];
            let seen_s = now.mono / 1000 - (latest - base.seen);
            let base = Some(Measured { last, seen_s, families: None });
            self.sessions.insert(*key, Session { base, fresh: [0; 2] });
        }
        let stored = self.bases.iter().map(|(place, (user, (entry, peer_id), base))| StoredSession {
            place: *place,
            user: user.clone(),
            entry: weightless::base::SwarmKey(*entry),
            peer_id: weightless::base::PeerId(*peer_id),
            base: *base,
        });
        stored.collect()
    }

    /// The last cuts have been made: nothing that was counted is anywhere else.
    pub fn ended(&self) {
        let left = self.sessions.iter().find(|(_, session)| session.fresh != [0; 2]);
        assert!(left.is_none(), "never handed over: {left:?}");
    }
}

fn key_of(row: &CutRow) -> Key {
    (row.entry.0, row.peer_id.0)
}

impl World {
    /// `kill -9`, and a start from what is on disk.
    pub fn crash(&mut self) {
        let sessions = self.accounts.crashed(self.now);
        self.begin_again(sessions);
    }
}
