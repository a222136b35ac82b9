//! Sessions of accounting (accounts, section 2): one for each user, entry and peer id, found in one lookup.
//!
//! They lie in chunks and their index in parts, so that growing by one never moves many of them.

use super::users::fold;
use crate::base::{PeerId, SwarmKey};
use hashbrown::HashTable;

/// What names a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SessionKey {
    /// The user's number.
    pub user: u32,
    /// The key under which the torrent's entry lives.
    pub entry: SwarmKey,
    /// The client.
    pub peer_id: PeerId,
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// What names it.
    pub key: SessionKey,
    /// Whether `last` and `seen` mean anything: without them the session only waits for the next cut.
    pub has_base: bool,
    /// What has changed since the last cut is not in it.
    pub is_changed: bool,
    /// The place holds no session.
    is_vacant: bool,
    /// As what the client is here: a bit for each address family and identity, or `SEATS_UNKNOWN`.
    pub seats: u8,
    /// Uploaded and downloaded as last reported.
    pub last: [u64; 2],
    /// Uploaded and downloaded since the last cut.
    pub fresh: [u64; 2],
    /// When the client last announced, in seconds of accounting.
    pub seen: u64,
}

/// After a restart nobody knows over which families and hashes a client had announced.
pub(super) const SEATS_UNKNOWN: u8 = 1 << 7;

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    parts: Vec<HashTable<u32>>,
    chunks: Vec<Vec<Session>>,
    vacant: Vec<u32>,
    seed: u64,
}

impl Sessions {
    /// None yet. `seed` must not be guessable from outside.
    pub fn new(seed: u64) -> Self {
        let parts = (0..PARTS).map(|_| HashTable::new()).collect();
        Self { parts, chunks: Vec::new(), vacant: Vec::new(), seed }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places() - self.vacant.len()
    }

    /// Places, taken or vacant; sessions are numbered below this.
    pub fn places(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Where a session is.
    #[inline]
    pub fn find(&self, key: &SessionKey) -> Option<u32> {
        let hash = hash(self.seed, key);
        self.parts[part_of(hash)].find(hash, |&at| self.at(at).key == *key).copied()
    }

    /// Adds a session without a base. The key must be new.
    pub fn add(&mut self, key: SessionKey) -> u32 {
        let session = Session {
            key,
            has_base: false,
            is_changed: false,
            is_vacant: false,
            seats: 0,
            last: [0; 2],
            fresh: [0; 2],
            seen: 0,
        };
        let at = match self.vacant.pop() {
            Some(at) => {
                *self.at_mut(at) = session;
                at
            }
            None => {
                let at = self.places() as u32;
                match self.chunks.last_mut() {
                    Some(last) if last.len() < CHUNK => last.push(session),
                    // The first chunk grows as it is needed.
                    None => self.chunks.push(vec![session]),
                    Some(_) => {
                        let mut chunk = Vec::with_capacity(CHUNK);
                        chunk.push(session);
                        self.chunks.push(chunk);
                    }
                }
                at
            }
        };
        let (seed, chunks) = (self.seed, &self.chunks);
        let hash_of = |at: &u32| hash(seed, &chunks[*at as usize / CHUNK][*at as usize % CHUNK].key);
        let hash = hash(seed, &key);
        self.parts[part_of(hash)].insert_unique(hash, at, hash_of);
        at
    }

    /// Forgets a session.
    pub fn remove(&mut self, at: u32) {
        let hash = hash(self.seed, &self.at(at).key);
        if let Ok(entry) = self.parts[part_of(hash)].find_entry(hash, |&known| known == at) {
            entry.remove();
        }
        self.at_mut(at).is_vacant = true;
        self.vacant.push(at);
    }

    /// One of them.
    #[inline]
    pub fn at(&self, at: u32) -> &Session {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// One of them, to be changed.
    #[inline]
    pub fn at_mut(&mut self, at: u32) -> &mut Session {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// The session in a place, if it is not vacant.
    pub fn taken(&self, at: u32) -> Option<&Session> {
        let session = self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)?;
        (!session.is_vacant).then_some(session)
    }
}

/// A keyed hash: info hashes and peer ids are chosen by strangers, who must not be able to make them collide.
#[inline]
fn hash(seed: u64, key: &SessionKey) -> u64 {
    let word = |bytes: &[u8; 20], at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (entry, peer) = (&key.entry.0, &key.peer_id.0);
    let first = fold(word(entry, 0) ^ seed, word(entry, 8) ^ seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
    let second = fold(word(peer, 0) ^ seed.rotate_left(16), word(peer, 8) ^ seed ^ 0xd6e8_feb8_6659_fd93);
    let ends = fold(word(entry, 12) ^ seed.rotate_left(48), word(peer, 12) ^ seed ^ u64::from(key.user));
    fold(first ^ ends, second ^ seed.rotate_left(8) ^ u64::from(key.user))
}

/// Bits that the hash table itself does not look at first.
#[inline]
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

const PARTS: usize = 256;
/// Sessions in a chunk: 11 KiB.
const CHUNK: usize = 128;
