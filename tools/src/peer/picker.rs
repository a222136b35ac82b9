//! Which piece next: the rarest among those that are wanted, missing and not yet begun; random among equals.
//!
//! Pieces that nobody has begun lie in one bucket for each number of peers that have them. Peers that have everything
//! are only counted: they change no order. A piece moves between buckets in constant time, and one that is begun,
//! stored or not wanted lies in none.

use super::bits::Bits;
use std::ops::Range;
use weightless::base::Rng;

/// What a piece is for the picker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a bucket, at this place.
    Waiting(u32),
    /// Being fetched.
    Begun,
    /// Verified and written.
    Stored,
    /// Not asked for.
    Unwanted,
}

/// The order in which pieces are begun.
pub struct Picker {
    states: Vec<State>,
    /// Peers that have a piece, those that have all not counted.
    counts: Vec<u16>,
    buckets: Vec<Vec<u32>>,
    waiting: u32,
    missing: u32,
    /// Pieces begun so far; the first few are picked at random.
    begun: u32,
    rng: Rng,
}

/// Pieces begun at random before the rarest are looked for: somebody new gets something to share soon.
const RANDOM_FIRST: u32 = 4;
/// Random tries before the rarest is taken after all.
const RANDOM_TRIES: u32 = 16;

impl Picker {
    /// All pieces of `stored` are there; of the others those in `wanted` are to be fetched.
    pub fn new(stored: &Bits, wanted: &Bits, rng: Rng) -> Self {
        let pieces = stored.pieces();
        let mut picker = Self {
            states: vec![State::Unwanted; pieces as usize],
            counts: vec![0; pieces as usize],
            buckets: vec![Vec::new()],
            waiting: 0,
            missing: 0,
            begun: 0,
            rng,
        };
        let mut order: Vec<u32> = Vec::new();
        for piece in 0..pieces {
            if stored.has(piece) {
                picker.set(piece, State::Stored);
            } else if wanted.has(piece) {
                order.push(piece);
            }
        }
        picker.shuffle(&mut order);
        for piece in order {
            picker.enqueue(piece);
        }
        picker
    }

    /// How many wanted pieces nobody has begun.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// How many wanted pieces are not stored.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Whether a piece is wanted and not stored.
    pub fn is_missing(&self, piece: u32) -> bool {
        matches!(self.state(piece), State::Waiting(_) | State::Begun)
    }

    /// Whether a piece is being fetched or judged.
    #[cfg(test)]
    pub fn is_begun(&self, piece: u32) -> bool {
        self.state(piece) == State::Begun
    }

    /// One more peer has the piece.
    pub fn gained(&mut self, piece: u32) {
        self.recount(piece, |count| count.saturating_add(1));
    }

    /// One peer less has it.
    pub fn lost(&mut self, piece: u32) {
        self.recount(piece, |count| count.saturating_sub(1));
    }

    /// How many peers that do not have everything have it.
    pub fn count(&self, piece: u32) -> u16 {
        self.counts.get(piece as usize).copied().unwrap_or(0)
    }

    /// Begins the best piece for a peer that has what `has` says.
    pub fn begin(&mut self, has: impl Fn(u32) -> bool) -> Option<u32> {
        let early = if self.begun < RANDOM_FIRST { self.any(&has) } else { None };
        let piece = early.or_else(|| self.buckets.iter().flatten().copied().find(|&piece| has(piece)))?;
        self.begin_this(piece);
        Some(piece)
    }

    /// Begins a piece that somebody names; says whether it was waiting.
    pub fn begin_this(&mut self, piece: u32) -> bool {
        let waiting = self.dequeue(piece);
        if waiting {
            self.set(piece, State::Begun);
            self.begun += 1;
        }
        waiting
    }

    /// A piece that was begun waits again.
    pub fn give_back(&mut self, piece: u32) {
        if self.state(piece) == State::Begun {
            self.enqueue(piece);
        }
    }

    /// A piece that was not wanted is wanted now.
    pub fn want(&mut self, piece: u32) {
        if self.state(piece) == State::Unwanted && (piece as usize) < self.states.len() {
            self.enqueue(piece);
        }
    }

    /// A piece is verified and written.
    pub fn stored(&mut self, piece: u32) {
        self.dequeue(piece);
        self.set(piece, State::Stored);
    }

    /// A stored piece is gone from the disk; nobody fetches it again.
    pub fn withdraw(&mut self, piece: u32) {
        self.dequeue(piece);
        self.set(piece, State::Unwanted);
    }

    /// The longest run of waiting pieces that `able` allows, from its front at most `pieces_max` of them. Nothing is begun.
    pub fn longest_gap(&self, pieces_max: u32, able: impl Fn(u32) -> bool) -> Option<Range<u32>> {
        let mut best: Range<u32> = 0..0;
        let mut start = None;
        for piece in 0..=self.states.len() as u32 {
            let waits = matches!(self.states.get(piece as usize), Some(State::Waiting(_))) && able(piece);
            match (waits, start) {
                (true, None) => start = Some(piece),
                (false, Some(first)) => {
                    if piece - first > best.end - best.start {
                        best = first..piece;
                    }
                    start = None;
                }
                _ => {}
            }
        }
        let end = best.end.min(best.start.saturating_add(pieces_max));
        (best.start < end).then_some(best.start..end)
    }

    fn any(&mut self, has: &impl Fn(u32) -> bool) -> Option<u32> {
        let pieces = self.states.len() as u32;
        for _ in 0..RANDOM_TRIES.min(pieces) {
            let piece = self.rng.below(pieces);
            if matches!(self.state(piece), State::Waiting(_)) && has(piece) {
                return Some(piece);
            }
        }
        None
    }

    fn recount(&mut self, piece: u32, change: impl Fn(u16) -> u16) {
        let waiting = self.dequeue(piece);
        if let Some(count) = self.counts.get_mut(piece as usize) {
            *count = change(*count);
        }
        if waiting {
            self.enqueue(piece);
        }
    }

    fn state(&self, piece: u32) -> State {
        self.states.get(piece as usize).copied().unwrap_or(State::Unwanted)
    }

    fn set(&mut self, piece: u32, state: State) {
        let is_missing = |state| matches!(state, State::Waiting(_) | State::Begun);
        if let Some(slot) = self.states.get_mut(piece as usize) {
            self.missing -= u32::from(is_missing(*slot));
            self.missing += u32::from(is_missing(state));
            *slot = state;
        }
    }

    /// Puts a piece at a random place of its bucket, so that equals come in no order.
    fn enqueue(&mut self, piece: u32) {
        let level = usize::from(self.count(piece));
        if self.buckets.len() <= level {
            self.buckets.resize(level + 1, Vec::new());
        }
        let Some(bucket) = self.buckets.get_mut(level) else { return };
        bucket.push(piece);
        let last = bucket.len() as u32 - 1;
        let place = self.rng.below(last + 1);
        bucket.swap(place as usize, last as usize);
        let moved = bucket.get(last as usize).copied();
        self.set(piece, State::Waiting(place));
        if let Some(moved) = moved.filter(|&moved| moved != piece) {
            self.set(moved, State::Waiting(last));
        }
        self.waiting += 1;
    }

    /// Takes a piece out of its bucket; says whether it was in one.
    fn dequeue(&mut self, piece: u32) -> bool {
        let State::Waiting(place) = self.state(piece) else { return false };
        let level = usize::from(self.count(piece));
        let Some(bucket) = self.buckets.get_mut(level) else { return false };
        debug_assert_eq!(bucket.get(place as usize), Some(&piece));
        bucket.swap_remove(place as usize);
        let moved = bucket.get(place as usize).copied();
        if let Some(moved) = moved {
            self.set(moved, State::Waiting(place));
        }
        self.set(piece, State::Begun);
        self.waiting -= 1;
        true
    }

    fn shuffle(&mut self, order: &mut [u32]) {
        for at in (1..order.len()).rev() {
            let other = self.rng.below(at as u32 + 1) as usize;
            order.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(pieces: u32, seed: u64) -> Picker {
        Picker::new(&Bits::none(pieces), &Bits::all(pieces), Rng::new(seed))
    }

    #[test]
    fn the_rarest_comes_first_once_a_few_are_begun() {
        let mut picker = picker(100, 1);
        for piece in 0..100 {
            for _ in 0..(piece % 7) + 1 {
                picker.gained(piece);
            }
        }
        for _ in 0..RANDOM_FIRST {
            assert!(picker.begin(|_| true).is_some());
        }
        let mut last = 0;
        while let Some(piece) = picker.begin(|_| true) {
            assert!(picker.count(piece) >= last);
            last = picker.count(piece);
        }
        assert_eq!(picker.waiting(), 0);
    }

    #[test]
    fn equals_come_in_an_order_that_nobody_shares() {
        let order = |seed| {
            let mut picker = picker(64, seed);
            std::iter::from_fn(move || picker.begin(|_| true)).collect::<Vec<_>>()
        };
        let (one, other) = (order(1), order(2));
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn a_peer_gets_only_what_it_has_and_unwanted_pieces_are_nobodys() {
        let mut wanted = Bits::none(10);
        (0..5).for_each(|piece| assert!(wanted.add(piece)));
        let mut stored = Bits::none(10);
        stored.add(0);
        let mut picker = Picker::new(&stored, &wanted, Rng::new(3));
        assert_eq!(picker.begin(|piece| piece >= 5 || piece == 0), None);
        assert_eq!(picker.begin(|piece| piece == 3), Some(3));
        assert!(picker.is_missing(3) && picker.is_missing(4) && !picker.is_missing(0));
        picker.give_back(3);
        assert_eq!(picker.begin(|piece| piece == 3), Some(3));
        picker.stored(3);
        picker.give_back(3);
        assert!(!picker.is_missing(3));
        assert_eq!(picker.longest_gap(9, |_| true), Some(1..3));
        assert_eq!(picker.longest_gap(1, |_| true), Some(1..2));
    }

    /// Whatever happens in whatever order, every waiting piece can be found, once.
    #[test]
    fn the_buckets_stay_whole() {
        let mut rng = Rng::new(9);
        let mut picker = picker(50, 9);
        for _ in 0..20_000 {
            let piece = rng.below(50);
            match rng.below(6) {
                0 | 1 => picker.gained(piece),
                2 => picker.lost(piece),
                3 => drop(picker.begin_this(piece)),
                4 => picker.give_back(piece),
                _ => drop(picker.begin(|other| other % 3 == piece % 3)),
            }
            let waiting: usize = picker.buckets.iter().map(Vec::len).sum();
            assert_eq!(waiting as u32, picker.waiting());
            for (level, bucket) in picker.buckets.iter().enumerate() {
                for (place, &piece) in bucket.iter().enumerate() {
                    assert_eq!(picker.state(piece), State::Waiting(place as u32));
                    assert_eq!(usize::from(picker.count(piece)), level);
                }
            }
        }
    }
}
