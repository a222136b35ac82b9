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
    sessions: u32,
}

impl Users {
    /// The number of a user.
    #[inline]
    pub fn find(&self, seed: u64, id: &str) -> Option<u32> {
        self.index.find(hash(seed, id), |&at| &*self.users[at as usize].id == id).copied()
    }

    /// The number of a user, which is new if nobody had this id.
    pub fn find_or_add(&mut self, seed: u64, id: &str) -> u32 {
        if let Some(known) = self.find(seed, id) {
            return known;
        }
        let user = User { id: id.into(), sessions: 0 };
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
        self.index.insert_unique(hash(seed, id), at, |&at| hash(seed, &users[at as usize].id));
        at
    }

    /// The id of a user that has sessions.
    pub fn id(&self, at: u32) -> &Arc<str> {
        &self.users[at as usize].id
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
    pub fn gave_up(&mut self, seed: u64, at: u32) {
        let user = &mut self.users[at as usize];
        user.sessions -= 1;
        if user.sessions > 0 {
            return;
        }
        if let Ok(entry) = self.index.find_entry(hash(seed, &user.id), |&known| known == at) {
            entry.remove();
        }
        self.vacant.push(at);
    }
}

#[inline]
fn hash(seed: u64, id: &str) -> u64 {
    seeded_hash(seed, id.as_bytes())
}

/// A keyed hash of bytes that strangers have chosen.
#[inline]
pub fn seeded_hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(seed ^ bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        fold(hash ^ u64::from_le_bytes(word), seed | 1)
    })
}

/// A product of 128 bits, folded to 64.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
