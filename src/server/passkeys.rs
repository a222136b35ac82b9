//! Passkeys that were found good lately, so that a client that comes back does not cost a signature again: computing one
//! is the most expensive step of such an announce. Only good ones are kept, in a table of fixed size in which a newer
//! one takes the place of an older; bad ones are computed each time.

use crate::base::UserId;
use crate::tracker::users::seeded_hash;
use crate::wire::announce::Refusal;
use crate::wire::passkey::PasskeyKey;

/// The table. It must be emptied when the key changes.
pub(super) struct KnownPasskeys {
    places: Vec<Option<Box<Known>>>,
    seed: u64,
}

struct Known {
    user: UserId,
    bytes: [u8; PASSKEY_BYTES_MAX],
    length: u8,
}

impl KnownPasskeys {
    /// An empty table; it takes memory when passkeys come. `seed` must not be guessable from outside.
    pub fn new(seed: u64) -> Self {
        Self { places: Vec::new(), seed }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.places = Vec::new();
    }

    /// The user of a passkey. Why it is bad is for the operator alone, who must not be told its signature either.
    pub fn verify(&mut self, key: &PasskeyKey, passkey: &[u8]) -> Result<UserId, Refusal> {
        let at = (seeded_hash(self.seed, passkey) % PLACES as u64) as usize;
        if let Some(Some(known)) = self.places.get(at)
            && is_same(&known.bytes[..known.length as usize], passkey)
        {
            return Ok(known.user);
        }
        let user = key.judge(passkey).map_err(|bad| {
            log::debug!("a passkey was refused: {}", bad.text());
            Refusal::Unauthorized
        })?;
        let mut bytes = [0; PASSKEY_BYTES_MAX];
        if let Some(front) = bytes.get_mut(..passkey.len()) {
            front.copy_from_slice(passkey);
            if self.places.is_empty() {
                self.places.resize_with(PLACES, || None);
            }
            self.places[at] = Some(Box::new(Known { user, bytes, length: passkey.len() as u8 }));
        }
        Ok(user)
    }
}

/// Looks at every byte, wherever they differ: how long it takes tells nothing about a signature.
fn is_same(known: &[u8], given: &[u8]) -> bool {
    let differ = known.iter().zip(given).fold(0, |differ, (known, given)| differ | known ^ given);
    known.len() == given.len() && std::hint::black_box(differ) == 0
}

/// A user id, a dot, and 64 digits.
const PASSKEY_BYTES_MAX: usize = UserId::BYTES_MAX + 1 + 64;
/// Passkeys kept at most: 4 MiB of them.
const PLACES: usize = 16_384;

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
        assert!(known.places.is_empty(), "bad ones take no room");
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
    fn more_users_than_places_are_all_served() {
        let key = PasskeyKey::new(b"super-secret-key");
        let mut known = KnownPasskeys::new(7);
        for n in 0..PLACES + PLACES / 2 {
            let passkey = key.sign(&format!("user-{n}")).expect("a user id");
            for _ in 0..2 {
                let user = known.verify(&key, passkey.as_bytes()).expect("good");
                assert_eq!(user.as_str(), format!("user-{n}"));
            }
        }
        assert_eq!(known.places.len(), PLACES);
        let longest = key.sign(&"u".repeat(UserId::BYTES_MAX)).expect("a user id");
        assert!((0..2).all(|_| known.verify(&key, longest.as_bytes()).is_ok()));
    }
}
