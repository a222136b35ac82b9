//! The best few of many: which matches belong on a page, without sorting all of them.

use std::cmp::{Ordering, Reverse};

/// What an entry is ranked by, but for the tie-break, which is fetched only when needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank {
    /// The more the better.
    pub value: u32,
    /// The later the better.
    pub created_at: u32,
    /// Which entry.
    pub slot: u32,
}

/// Collects candidates and gives the page of the ranking that was asked for.
///
/// It keeps at most twice as many candidates as the page reaches deep; when that is full, the worse half goes, and
/// what is worse than the best that went is not let in any more. So each candidate costs one comparison. For a page so
/// deep that most candidates would be kept, `deep` finds the few that matter first.
#[derive(Debug)]
pub(super) struct Top {
    kept: Vec<Rank>,
    /// How many of the best are needed.
    depth: usize,
    offset: usize,
    /// The worst that may still count, known after the first cut.
    worst: Option<Rank>,
}

impl Rank {
    /// Larger for the better, but for the tie-break.
    #[inline]
    pub fn key(&self) -> u64 {
        u64::from(self.value) << 32 | u64::from(self.created_at)
    }
}

impl Top {
    /// For a page of `limit` after `offset`.
    pub fn new(offset: u64, limit: u32) -> Self {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let depth = offset.saturating_add(limit as usize);
        Self { kept: Vec::new(), depth, offset, worst: None }
    }

    /// How far down the ranking the page reaches.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// A candidate that is worse than this one is not let in. (One that is as good, but for the tie-break, may be.)
    pub fn worst(&self) -> Option<Rank> {
        self.worst
    }

    /// Takes a candidate.
    #[inline]
    pub fn offer<T: Ord>(&mut self, rank: Rank, tie_break: impl Fn(u32) -> T) {
        if self.worst.is_some_and(|worst| better(&worst, &rank, &tie_break) == Ordering::Less) {
            return;
        }
        self.kept.push(rank);
        if self.kept.len() >= self.depth.saturating_mul(2).max(KEPT_MIN) {
            self.cut(&tie_break);
        }
    }

    /// The slots of the page, best first.
    pub fn page<T: Ord>(mut self, tie_break: impl Fn(u32) -> T) -> Vec<u32> {
        self.cut(&tie_break);
        if self.offset >= self.kept.len() {
            return Vec::new();
        }
        if self.offset > 0 {
            self.kept.select_nth_unstable_by(self.offset, |a, b| better(a, b, &tie_break));
        }
        let page = &mut self.kept[self.offset..];
        page.sort_unstable_by(|a, b| better(a, b, &tie_break));
        page.iter().map(|rank| rank.slot).collect()
    }

    fn cut<T: Ord>(&mut self, tie_break: &impl Fn(u32) -> T) {
        if self.depth == 0 {
            self.kept.clear();
        } else if self.kept.len() > self.depth {
            let last = self.depth - 1;
            let (_, worst, _) = self.kept.select_nth_unstable_by(last, |a, b| better(a, b, tie_break));
            self.worst = Some(*worst);
            self.kept.truncate(self.depth);
        }
    }
}

/// `Less` puts `a` first.
#[inline]
fn better<T: Ord>(a: &Rank, b: &Rank, tie_break: &impl Fn(u32) -> T) -> Ordering {
    Reverse(a.key()).cmp(&Reverse(b.key())).then_with(|| tie_break(a.slot).cmp(&tie_break(b.slot)))
}

const KEPT_MIN: usize = 256;
