//! Passkeys that were found good lately, so that a client that comes back does not cost a signature again: computing one
//! is the most expensive step of such an announce. Only good ones are kept, in parts of bounded size; one that is full
//! begins anew. Bad ones are computed each time.

use crate::base::UserId;
use crate::tracker::FORESEEN_MAX;
use crate::tracker::users::seeded_hash;
use crate::wire::announce::Refusal;
use crate::wire::passkey::PasskeyKey;
use hashbrown::HashTable;

/// The passkeys. They must be forgotten when the key changes.
pub(super) struct KnownPasskeys {
    parts: [HashTable<Box<[u8]>>; PARTS],
    seed: u64,
}

impl KnownPasskeys {
    /// None yet; they take memory when they come. `seed` must not be guessable from outside.
    pub fn new(seed: u64) -> Self {
        Self { parts: std::array::from_fn(|_| HashTable::new()), seed }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::new(self.seed);
    }

    /// The user of a passkey. Why it is bad is for the operator alone, who must not be told its signature either.
    pub fn verify(&mut self, key: &PasskeyKey, passkey: &[u8]) -> Result<UserId, Refusal> {
        let (seed, hash) = (self.seed, seeded_hash(self.seed, passkey));
        let part = &mut self.parts[part_of(hash)];
        if let Some(known) = part.find(hash, |known| is_same(known, passkey))
            && let Some(user) = user_of(known).and_then(UserId::new)
        {
            return Ok(user);
        }
        let user = key.judge(passkey).map_err(|bad| {
            log::debug!("a passkey was refused: {}", bad.text());
            Refusal::Unauthorized
        })?;
        if part.len() >= PART_MAX {
            part.clear();
        }
        part.insert_unique(hash, passkey.into(), |known| seeded_hash(seed, known));
        Ok(user)
    }

    /// Reads what `verify` will need for passkeys that are about to be shown, and changes nothing.
    pub fn foresee<'a>(&self, passkeys: impl Iterator<Item = &'a [u8]>) {
        let mut likely: [&[u8]; FORESEEN_MAX] = [&[]; FORESEEN_MAX];
        for (likely, passkey) in likely.iter_mut().zip(passkeys) {
            let hash = seeded_hash(self.seed, passkey);
            *likely = self.parts[part_of(hash)].find(hash, |_| true).map_or(&[], |known| known);
        }
        // Each lies in one line of the machine's cache or in two.
        let ends = likely.iter().map(|known| known.first().unwrap_or(&0) ^ known.last().unwrap_or(&0));
        std::hint::black_box(ends.fold(0, |read, byte| read ^ byte));
    }
}

/// The user id in a passkey: what stands before the dot.
pub(super) fn user_of(passkey: &[u8]) -> Option<&[u8]> {
    let dot = passkey.iter().position(|byte| *byte == b'.')?;
    passkey.get(..dot)
}

/// Bits that the hash table itself does not look at first.
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

/// Looks at every byte, wherever they differ: how long it takes tells nothing about a signature.
fn is_same(known: &[u8], given: &[u8]) -> bool {
    let differ = known.iter().zip(given).fold(0, |differ, (known, given)| differ | known ^ given);
    known.len() == given.len() && std::hint::black_box(differ) == 0
}

const PARTS: usize = 16;
/// Passkeys kept in a part at most; in all of them, 10 MiB.
const PART_MAX: usize = 3584;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_good_stays_good_and_nothing_else_becomes_so() {
        let key = PasskeyKey::new(b"super-secret-key");
        let mut known = KnownPasskeys::new(7);
        let good = key.sign("user_clerk_123").expect("a user id");
        let user = UserId::new(b"user_clerk_123");
        assert_eq!(known.verify(&key, b"x.y"), Err(Refusal::Unauthorized));
        assert!(known.parts.iter().all(HashTable::is_empty), "bad ones take no room");
        for _ in 0..3 {
            assert_eq!(known.verify(&key, good.as_bytes()).ok(), user);
            for at in 0..good.len() {
                let mut bad = good.clone().into_bytes();
                bad[at] ^= 1;
                assert_eq!(known.verify(&key, &bad), Err(Refusal::Unauthorized), "byte {at}");
            }
            assert_eq!(known.verify(&key, &good.as_bytes()[..good.len() - 1]), Err(Refusal::Unauthorized));
            assert_eq!(known.verify(&key, format!("{good}0").as_bytes()), Err(Refusal::Unauthorized));
        }
        // Another key, and what the first has found good is forgotten.
        known.clear();
        assert_eq!(known.verify(&PasskeyKey::new(b"another"), good.as_bytes()), Err(Refusal::Unauthorized));
    }

    #[test]
    fn more_users_than_there_is_room_for_are_all_served() {
        let key = PasskeyKey::new(b"super-secret-key");
        let mut known = KnownPasskeys::new(7);
        for n in 0..PARTS * PART_MAX * 3 / 2 {
            let passkey = key.sign(&format!("user-{n}")).expect("a user id");
            for _ in 0..2 {
                let user = known.verify(&key, passkey.as_bytes()).expect("good");
                assert_eq!(user.as_str(), format!("user-{n}"));
            }
        }
        assert!(known.parts.iter().all(|part| part.len() <= PART_MAX && !part.is_empty()));
        assert!(known.parts.iter().map(HashTable::len).sum::<usize>() < PARTS * PART_MAX, "some began anew");
        let longest = key.sign(&"u".repeat(UserId::BYTES_MAX)).expect("a user id");
        assert!((0..2).all(|_| known.verify(&key, longest.as_bytes()).is_ok()));
    }

    #[test]
    fn looking_ahead_changes_nothing() {
        let key = PasskeyKey::new(b"super-secret-key");
        let mut known = KnownPasskeys::new(7);
        let good = key.sign("u").expect("a user id");
        known.foresee([good.as_bytes(), b""].into_iter());
        assert!(known.parts.iter().all(HashTable::is_empty));
        assert!(known.verify(&key, good.as_bytes()).is_ok());
        known.foresee(std::iter::repeat_n(good.as_bytes(), FORESEEN_MAX + 1));
        assert_eq!(known.parts.iter().map(HashTable::len).sum::<usize>(), 1);
    }
}
