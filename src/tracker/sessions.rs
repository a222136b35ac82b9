//! Sessions of accounting (accounts, section 2): one for each user, entry and peer id, found in one lookup.
//!
//! Each has a place, which is also the number under which it is stored. What every announce needs of a session is one
//! line of the machine's cache. They lie in chunks and their index in parts, so that growing by one never moves many.

use super::users::fold;
use crate::base::{PeerId, SwarmKey};
use hashbrown::HashTable;

/// One session: 64 bytes, which begin where a line of the cache begins.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Session {
    /// The user's number above, `flags` below.
    owner: u32,
    /// When the client last announced, in seconds of accounting since `Usage` says.
    pub seen: u32,
    /// The key under which the torrent's entry lives.
    pub entry: SwarmKey,
    /// The client.
    pub peer_id: PeerId,
    /// Uploaded and downloaded as last reported.
    pub last: [u64; 2],
}

/// What `owner` holds below the user.
mod flags {
    /// As what the client is here: a bit for each address family and identity.
    pub const SEATS: u32 = 0b0011_1111 | super::SEATS_UNKNOWN as u32;
    /// `last` and `seen` mean something: without them the session only waits for the next cut.
    pub const BASE: u32 = 1 << 6;
}

/// After a restart nobody knows over which families and hashes a client had announced.
pub(super) const SEATS_UNKNOWN: u8 = 1 << 7;
const NOBODY: u32 = u32::MAX >> USER_SHIFT;
const USER_SHIFT: u32 = 8;

impl Session {
    /// Whose it is.
    #[inline]
    pub fn user(&self) -> u32 {
        self.owner >> USER_SHIFT
    }

    /// Whether it has something to be measured against.
    #[inline]
    pub fn has_base(&self) -> bool {
        self.owner & flags::BASE != 0
    }

    /// As what the client is here.
    #[inline]
    pub fn seats(&self) -> u8 {
        (self.owner & flags::SEATS) as u8
    }

    /// It is measured from now on, with the client here as this; with nothing, it is not measured any more.
    #[inline]
    pub fn seat(&mut self, seats: u8) {
        let base = if seats == 0 { 0 } else { flags::BASE };
        self.owner = self.owner & !(flags::SEATS | flags::BASE) | u32::from(seats) & flags::SEATS | base;
    }

    fn vacant() -> Self {
        let (entry, peer_id) = (SwarmKey([0; 20]), PeerId([0; 20]));
        Self { owner: NOBODY << USER_SHIFT, seen: 0, entry, peer_id, last: [0; 2] }
    }
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Where each is: a part of its hash above, its place below.
    parts: Vec<HashTable<u64>>,
    chunks: Vec<Chunk>,
    vacant: Vec<u32>,
    seed: u64,
}

/// What announces change most lies apart from what they only compare.
#[derive(Default, Debug)]
struct Chunk {
    sessions: Vec<Session>,
    /// Uploaded and downloaded since the last cut.
    fresh: Vec<[u64; 2]>,
}

/// The keyed hash of a session's name.
#[derive(Clone, Copy)]
pub(super) struct Hash(u64);

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
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.sessions.len())
    }

    /// A keyed hash: info hashes and peer ids are chosen by strangers, who must not be able to make them collide.
    /// `user` is one of the user's id.
    #[inline]
    pub fn hash(&self, user: u64, entry: &SwarmKey, peer_id: &PeerId) -> Hash {
        let seed = self.seed;
        let word = |bytes: &[u8; 20], at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let (entry, peer) = (&entry.0, &peer_id.0);
        let first =
            fold(word(entry, 0) ^ seed, word(entry, 8) ^ seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
        let second = fold(word(peer, 0) ^ seed.rotate_left(16), word(peer, 8) ^ seed ^ 0xd6e8_feb8_6659_fd93);
        let ends = fold(word(entry, 12) ^ seed.rotate_left(48), word(peer, 12) ^ seed ^ user);
        Hash(fold(first ^ ends, second ^ seed.rotate_left(8) ^ user))
    }

    /// Where the session is that has this hash and is meant.
    #[inline]
    pub fn find(&self, hash: Hash, is_meant: impl Fn(&Session) -> bool) -> Option<u32> {
        let is_it = |&known: &u64| known >> 32 == hash.upper() && is_meant(self.at(known as u32));
        self.parts[hash.part()].find(hash.spread(), is_it).map(|known| *known as u32)
    }

    /// Where a session with this hash most likely is.
    #[inline]
    pub fn likely(&self, hash: Hash) -> Option<u32> {
        let found = self.parts[hash.part()].find(hash.spread(), |known| known >> 32 == hash.upper());
        found.map(|known| *known as u32)
    }

    /// Reads a byte of what an announce will need of a session, and the user's number.
    #[inline]
    pub fn peek(&self, at: u32) -> Option<(u8, u32)> {
        let chunk = self.chunks.get(at as usize / CHUNK)?;
        let (session, fresh) =
            (chunk.sessions.get(at as usize % CHUNK)?, chunk.fresh.get(at as usize % CHUNK)?);
        Some((fresh[0] as u8, session.user()))
    }

    /// Adds a session without a base; `hash` must be that of its name, and new.
    pub fn add(&mut self, hash: Hash, user: u32, entry: SwarmKey, peer_id: PeerId) -> u32 {
        let at = self.vacant.pop().unwrap_or_else(|| self.new_place());
        *self.at_mut(at) = Session { owner: user << USER_SHIFT, entry, peer_id, ..Session::vacant() };
        self.list(hash, at);
        at
    }

    /// The same in a place of its own behind all others; the ones between are vacant.
    pub fn add_at(&mut self, place: u32, hash: Hash, user: u32, entry: SwarmKey, peer_id: PeerId) {
        while self.places() < place as usize {
            let vacant = self.new_place();
            self.vacant.push(vacant);
        }
        let at = self.new_place();
        debug_assert_eq!(at, place);
        *self.at_mut(at) = Session { owner: user << USER_SHIFT, entry, peer_id, ..Session::vacant() };
        self.list(hash, at);
    }

    /// Forgets a session.
    pub fn remove(&mut self, hash: Hash, at: u32) {
        self.unlist(hash, at);
        *self.at_mut(at) = Session::vacant();
        self.vacant.push(at);
    }

    /// It can be found from now on.
    pub fn list(&mut self, hash: Hash, at: u32) {
        let known = hash.upper() << 32 | u64::from(at);
        self.parts[hash.part()].insert_unique(hash.spread(), known, |known| spread(known >> 32));
    }

    /// It cannot be found any more. Returns whether it could.
    pub fn unlist(&mut self, hash: Hash, at: u32) -> bool {
        let entry = self.parts[hash.part()].find_entry(hash.spread(), |known| *known as u32 == at);
        entry.map(|entry| entry.remove()).is_ok()
    }

    /// One of them.
    #[inline]
    pub fn at(&self, at: u32) -> &Session {
        &self.chunks[at as usize / CHUNK].sessions[at as usize % CHUNK]
    }

    /// One of them, to be changed.
    #[inline]
    pub fn at_mut(&mut self, at: u32) -> &mut Session {
        &mut self.chunks[at as usize / CHUNK].sessions[at as usize % CHUNK]
    }

    /// One of them, and its bytes since the last cut.
    #[inline]
    pub fn counted_mut(&mut self, at: u32) -> (&mut Session, &mut [u64; 2]) {
        let chunk = &mut self.chunks[at as usize / CHUNK];
        (&mut chunk.sessions[at as usize % CHUNK], &mut chunk.fresh[at as usize % CHUNK])
    }

    /// The session in a place, if it is not vacant.
    pub fn taken(&self, at: u32) -> Option<&Session> {
        let session = self.chunks.get(at as usize / CHUNK)?.sessions.get(at as usize % CHUNK)?;
        (session.user() != NOBODY).then_some(session)
    }

    fn new_place(&mut self) -> u32 {
        let at = self.places();
        // The first chunk grows as it is needed.
        if at > 0 && at.is_multiple_of(CHUNK) {
            let (sessions, fresh) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
            self.chunks.push(Chunk { sessions, fresh });
        } else if at == 0 {
            self.chunks.push(Chunk::default());
        }
        if let Some(last) = self.chunks.last_mut() {
            last.sessions.push(Session::vacant());
            last.fresh.push([0; 2]);
        }
        at as u32
    }
}

impl Hash {
    #[inline]
    fn part(self) -> usize {
        self.0 as usize % PARTS
    }

    /// What the index keeps of it.
    #[inline]
    fn upper(self) -> u64 {
        self.0 >> 32
    }

    #[inline]
    fn spread(self) -> u64 {
        spread(self.upper())
    }
}

/// The index looks at the lowest and at the highest bits; both come from the 32 that it keeps, so that growing reads
/// no session.
#[inline]
fn spread(upper: u64) -> u64 {
    upper << 32 | upper
}

const PARTS: usize = 256;
/// Sessions in a chunk: 80 KiB.
const CHUNK: usize = 1024;
const _: () = assert!(size_of::<Session>() == 64);
