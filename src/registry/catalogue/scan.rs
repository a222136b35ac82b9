//! Passes over the columns, some hundred slots at a time: first which of them are wanted, then which of those might get
//! onto the page. Both are plain loops without branches over 32-bit columns, which the compiler turns into vector code;
//! only what is left is looked at one by one.

use super::top::{Rank, Top};
use super::{Catalogue, GONE};
use crate::registry::search::Sort;

/// The filters of a search with their words looked up.
pub(super) struct Filter {
    /// For each slot, whether its name holds the text asked for: 1 or 0.
    pub names: Option<Vec<u8>>,
    pub category: Want,
    pub publisher: Want,
    /// For each word, whether it holds the text asked for.
    pub tags: Option<Vec<bool>>,
}

/// What a column must hold.
pub(super) enum Want {
    /// Anything.
    Any,
    /// This word.
    Only(u32),
    /// A word that nobody has.
    None,
}

impl Filter {
    /// One that admits what these marks say, and nothing else.
    pub fn of_marks(marks: Vec<u8>) -> Self {
        Self { names: Some(marks), category: Want::Any, publisher: Want::Any, tags: None }
    }

    fn is_open(&self) -> bool {
        matches!((&self.category, &self.publisher, &self.tags), (Want::Any, Want::Any, None))
    }

    #[inline]
    fn admits(&self, catalogue: &Catalogue, at: usize) -> bool {
        let is = |want: &Want, column: &[u32]| match want {
            Want::Any => true,
            Want::Only(only) => *only == column[at],
            Want::None => false,
        };
        catalogue.categories[at] != GONE
            && self.names.as_ref().is_none_or(|holds| holds[at] != 0)
            && is(&self.category, &catalogue.categories)
            && is(&self.publisher, &catalogue.publishers)
            && self.tags.as_ref().is_none_or(|holds| holds[catalogue.tags[at] as usize])
    }
}

impl Catalogue {
    /// Ranks every entry that the filter admits. Returns how many there are.
    pub(super) fn rank_all(&self, filter: &Filter, sort: Sort, top: &mut Top) -> u64 {
        // One for each slot of a stretch that is wanted, else zero.
        let (mut total, mut marks) = (0, [0; STRETCH]);
        // From the last slot down: new entries come last, so the first candidates are mostly the best ones and almost all
        // others are refused by the second pass.
        for begin in (0..self.rows.len()).step_by(STRETCH).rev() {
            let length = STRETCH.min(self.rows.len() - begin);
            let marks = &mut marks[..length];
            let admitted = self.mark_admitted(filter, begin, marks);
            if admitted == 0 {
                continue;
            }
            total += u64::from(admitted);
            if let Some(worst) = top.worst() {
                self.keep_better(sort, begin, marks, worst);
                if marks.iter().sum::<u32>() == 0 {
                    continue;
                }
            }
            for (at, _) in marks.iter().enumerate().rev().filter(|(_, mark)| **mark != 0) {
                top.offer(self.rank(sort, begin + at), |slot| self.tie_break(slot));
            }
        }
        total
    }

    /// Ranks those of these slots that the filter admits, from the last down. Returns how many there are.
    pub(super) fn rank_these(&self, slots: &[u32], filter: &Filter, sort: Sort, top: &mut Top) -> u64 {
        let mut total = 0;
        for slot in slots.iter().rev().map(|slot| *slot as usize) {
            if filter.admits(self, slot) {
                total += 1;
                top.offer(self.rank(sort, slot), |slot| self.tie_break(slot));
            }
        }
        total
    }

    /// The slots that a filter admits when they are so few that looking at each of their names is less work than looking for
    /// a text in all names.
    pub(super) fn few_admitted(&self, filter: &Filter) -> Option<Vec<u32>> {
        if filter.is_open() {
            return None;
        }
        let (mut few, mut marks) = (Vec::new(), [0; STRETCH]);
        for begin in (0..self.rows.len()).step_by(STRETCH) {
            let length = STRETCH.min(self.rows.len() - begin);
            let marks: &mut [u32] = &mut marks[..length];
            if self.mark_admitted(filter, begin, marks) > 0 {
                few.extend((begin..).zip(&*marks).filter(|(_, mark)| **mark != 0).map(|(at, _)| at as u32));
                if few.len() > self.rows.len() / FEW {
                    return None;
                }
            }
        }
        Some(few)
    }

    /// Marks the entries that the filter admits. Returns how many there are.
    pub(super) fn mark_admitted(&self, filter: &Filter, begin: usize, marks: &mut [u32]) -> u32 {
        let stretch = begin..begin + marks.len();
        let names = filter.names.as_ref().map(|holds| &holds[stretch.clone()]);
        if names.is_some_and(|holds| holds.iter().fold(0, |any, one| any | one) == 0) {
            return none(marks);
        }
        let categories = &self.categories[stretch.clone()];
        match filter.category {
            Want::Any => {
                marks.iter_mut().zip(categories).for_each(|(mark, is)| *mark = u32::from(*is != GONE))
            }
            Want::Only(want) => {
                marks.iter_mut().zip(categories).for_each(|(mark, is)| *mark = u32::from(*is == want));
            }
            Want::None => return none(marks),
        }
        match filter.publisher {
            Want::Any => {}
            Want::Only(want) => {
                let publishers = &self.publishers[stretch.clone()];
                marks.iter_mut().zip(publishers).for_each(|(mark, is)| *mark &= u32::from(*is == want));
            }
            Want::None => return none(marks),
        }
        if let Some(holds) = names {
            marks.iter_mut().zip(holds).for_each(|(mark, is)| *mark &= u32::from(*is));
        }
        if let Some(holds) = &filter.tags {
            let tags = &self.tags[stretch];
            marks.iter_mut().zip(tags).for_each(|(mark, is)| *mark &= u32::from(holds[*is as usize]));
        }
        marks.iter().sum()
    }

    /// Takes the marks of those away that cannot get onto the page.
    fn keep_better(&self, sort: Sort, begin: usize, marks: &mut [u32], worst: Rank) {
        let stretch = begin..begin + marks.len();
        let created_at = &self.created_at[stretch.clone()];
        let values = match sort {
            Sort::CreatedAt => {
                let admit =
                    |(mark, created): (&mut u32, &u32)| *mark &= u32::from(*created >= worst.created_at);
                return marks.iter_mut().zip(created_at).for_each(admit);
            }
            Sort::Completions => &self.completions[stretch],
            Sort::Seeders => &self.seeders[stretch],
        };
        for ((mark, value), created) in marks.iter_mut().zip(values).zip(created_at) {
            let better = u32::from(*value > worst.value);
            let same = u32::from(*value == worst.value) & u32::from(*created >= worst.created_at);
            *mark &= better | same;
        }
    }

    pub(super) fn rank(&self, sort: Sort, at: usize) -> Rank {
        let value = match sort {
            Sort::CreatedAt => 0,
            Sort::Completions => self.completions[at],
            Sort::Seeders => self.seeders[at],
        };
        Rank { value, created_at: self.created_at[at], slot: at as u32 }
    }
}

fn none(marks: &mut [u32]) -> u32 {
    marks.fill(0);
    0
}

/// Slots looked at together: their marks stay in the nearest cache.
pub(super) const STRETCH: usize = 1024;
/// One in so many entries is few.
const FEW: usize = 32;
