//! Pages deep down a ranking. Instead of keeping all that is better, it is counted: the keys of all matches are sorted into
//! a few thousand buckets, the page begins in one of them, and that one is cut again until it holds few. What is better
//! need not be looked at again, and what is far worse is refused by the first few that are as good as the page.

use super::scan::{Filter, STRETCH};
use super::top::Top;
use super::{Catalogue, Found};
use crate::registry::search::{Search, Sort};

/// The matches of a search, ready to be gone through more than once.
struct Matches<'a> {
    catalogue: &'a Catalogue,
    sort: Sort,
    /// For each slot, whether it is one: 1 or 0.
    marks: Vec<u8>,
    total: u64,
}

impl Catalogue {
    /// Runs a search for a page that reaches beyond the first few hundred matches.
    pub(super) fn deep_page(&self, filter: &Filter, search: &Search) -> Found {
        let mut matches = self.matches(filter, search.sort);
        let total = matches.total;
        if search.offset >= total || search.limit == 0 {
            return Found { rows: Vec::new(), total };
        }
        let (best, before) = matches.best_key_near(search.offset);
        matches.forget_better(best);
        let mut top = Top::new(search.offset - before, search.limit);
        self.rank_all(&Filter::of_marks(matches.marks), search.sort, &mut top);
        self.found(top, total)
    }

    fn matches(&self, filter: &Filter, sort: Sort) -> Matches<'_> {
        let (mut all, mut total, mut marks) = (vec![0; self.rows.len()], 0, [0; STRETCH]);
        for (stretch, of_all) in all.chunks_mut(STRETCH).enumerate() {
            let marks = &mut marks[..of_all.len()];
            total += u64::from(self.mark_admitted(filter, stretch * STRETCH, marks));
            of_all.iter_mut().zip(marks).for_each(|(one, mark)| *one = *mark as u8);
        }
        Matches { catalogue: self, sort, marks: all, total }
    }
}

impl Matches<'_> {
    /// A key that is at least as good as that of the match of this rank, which must be less than the total, with few
    /// matches in between; and how many matches have a better one.
    fn best_key_near(&self, rank: u64) -> (u64, u64) {
        let (mut least, mut most) = self.bounds();
        let mut before = 0;
        loop {
            let shift = (most - least).checked_ilog2().map_or(0, |bits| (bits + 1).saturating_sub(BITS));
            let counts = self.counts(least, most, shift);
            // From the best bucket down to that of the rank.
            let mut bucket = counts.len() - 1;
            while bucket > 0 && before + u64::from(counts[bucket]) <= rank {
                before += u64::from(counts[bucket]);
                bucket -= 1;
            }
            least += (bucket as u64) << shift;
            most = most.min(least.saturating_add((1 << shift) - 1));
            if shift == 0 || counts[bucket] < FEW {
                return (most, before);
            }
        }
    }

    /// A key as small as any and one as large as any, also among what is no match.
    fn bounds(&self) -> (u64, u64) {
        let least = |column: &[u32]| u64::from(column.iter().fold(u32::MAX, |least, one| least.min(*one)));
        let most = |column: &[u32]| u64::from(column.iter().fold(0, |most, one| most.max(*one)));
        let created_at = &self.catalogue.created_at;
        match self.values() {
            None => (least(created_at), most(created_at)),
            Some(values) => (least(values) << 32 | least(created_at), most(values) << 32 | most(created_at)),
        }
    }

    /// How many matches there are in each bucket of keys from `least` to `most`.
    fn counts(&self, least: u64, most: u64, shift: u32) -> Vec<u32> {
        let buckets = ((most - least) >> shift) as usize + 1;
        // One more for all that lies elsewhere.
        let mut counts = vec![0; buckets + 1];
        self.each_key(self.marks.iter(), |mark, key| {
            let bucket =
                if key >= least && key <= most { ((key - least) >> shift) as usize } else { buckets };
            counts[bucket] += u32::from(*mark);
        });
        counts.truncate(buckets);
        counts
    }

    /// Takes the marks of matches that are better than this key away.
    fn forget_better(&mut self, best: u64) {
        let mut marks = std::mem::take(&mut self.marks);
        self.each_key(marks.iter_mut(), |mark, key| *mark &= u8::from(key <= best));
        self.marks = marks;
    }

    /// Tells the key of every slot, together with its mark.
    #[inline]
    fn each_key<M>(&self, marks: impl Iterator<Item = M>, mut found: impl FnMut(M, u64)) {
        let created_at = self.catalogue.created_at.iter().map(|created| u64::from(*created));
        match self.values() {
            None => marks.zip(created_at).for_each(|(mark, created)| found(mark, created)),
            Some(values) => {
                for ((mark, created), value) in marks.zip(created_at).zip(values) {
                    found(mark, u64::from(*value) << 32 | created);
                }
            }
        }
    }

    /// What comes before the time of registration, if anything does.
    fn values(&self) -> Option<&[u32]> {
        match self.sort {
            Sort::CreatedAt => None,
            Sort::Completions => Some(&self.catalogue.completions),
            Sort::Seeders => Some(&self.catalogue.seeders),
        }
    }
}

/// Buckets are numbers of so many bits.
const BITS: u32 = 12;
/// A bucket of fewer is not cut again.
const FEW: u32 = 256;
