//! The users that sessions belong to, each known by a small number while it has one.

use hashbrown::HashTable;
use std::sync::Arc;

/// Everybody with at least one session.
#[derive(Default, Debug)]
pub(super) struct Users {
    /// Positions by id.
    index: HashTable<u32>,
    users: Vec<User>,
    vacant: Vec<u32>,
}

#[derive(Debug)]
struct User {
    id: Arc<str>,
    /// Of the id, keyed.
    hash: u64,
    sessions: u32,
}

impl Users {
    /// The number of the user whose id has this hash.
    #[inline]
    pub fn find(&self, hash: u64, id: &str) -> Option<u32> {
        self.index.find(hash, |&at| self.is(at, id)).copied()
    }

    /// The number of a user, which is new if nobody had this id.
    pub fn find_or_add(&mut self, hash: u64, id: &str) -> u32 {
        if let Some(known) = self.find(hash, id) {
            return known;
        }
        let user = User { id: id.into(), hash, sessions: 0 };
        let at = match self.vacant.pop() {
            Some(at) => {
                self.users[at as usize] = user;
                at
            }
            None => {
                self.users.push(user);
                self.users.len() as u32 - 1
            }
        };
        let users = &self.users;
        self.index.insert_unique(hash, at, |&at| users[at as usize].hash);
        at
    }

    /// Whether a number is that of a user.
    #[inline]
    pub fn is(&self, at: u32, id: &str) -> bool {
        &*self.users[at as usize].id == id
    }

    /// The id of a user that has sessions.
    pub fn id(&self, at: u32) -> &Arc<str> {
        &self.users[at as usize].id
    }

    /// The hash of a user's id.
    pub fn hash(&self, at: u32) -> u64 {
        self.users[at as usize].hash
    }

    /// How many sessions a user has.
    #[inline]
    pub fn sessions(&self, at: u32) -> u32 {
        self.users[at as usize].sessions
    }

    /// One more.
    pub fn took_up(&mut self, at: u32) {
        self.users[at as usize].sessions += 1;
    }

    /// One less; with the last one the user is forgotten.
    pub fn gave_up(&mut self, at: u32) {
        let user = &mut self.users[at as usize];
        user.sessions -= 1;
        if user.sessions > 0 {
            return;
        }
        if let Ok(entry) = self.index.find_entry(user.hash, |&known| known == at) {
            entry.remove();
        }
        self.vacant.push(at);
    }

    /// Where the id of a user lies; nowhere if nobody has the number.
    #[inline]
    pub fn peek(&self, at: u32) -> Option<&[u8]> {
        self.users.get(at as usize).map(|user| user.id.as_bytes())
    }
}

/// A keyed hash of bytes that strangers have chosen.
#[inline]
pub fn seeded_hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let start = seed ^ bytes.len() as u64;
    let hash = words.iter().fold(start, |hash, word| fold(hash ^ u64::from_le_bytes(*word), seed | 1));
    let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    fold(hash ^ last, seed.rotate_left(32) | 1)
}

/// A product of 128 bits, folded to 64.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
