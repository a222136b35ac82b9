//! Chance, injected. A fast generator for picking peers and jitter; never for secrets.

/// A small seeded generator. The same seed gives the same sequence, which is what makes simulations repeatable.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A value in `0..bound`; `bound` must not be 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        debug_assert!(bound > 0);
        self.0.u32(0..bound)
    }

    /// Any 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }
}
