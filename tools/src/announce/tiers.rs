//! Tiers of trackers (BEP 12): in order, shuffled inside once, a success moves to the front.

use super::{Problem, TRACKERS_MAX, TrackerUrl};
use crate::tracker::is_announce;
use std::collections::HashSet;
use weightless::base::Rng;

/// One tracker.
#[derive(Debug)]
pub(super) struct Tracker {
    pub url: String,
    pub trusted: bool,
    /// Whether it has ever served us.
    pub answered: bool,
    /// What went wrong the last time.
    pub problem: Option<Problem>,
}

/// All trackers, and the tiers as indexes of them. Each URL stands where it comes first, once; empty tiers vanish.
pub(super) fn arrange(tiers: Vec<Vec<TrackerUrl>>, rng: &mut Rng) -> (Vec<Tracker>, Vec<Vec<usize>>) {
    let mut trackers = Vec::new();
    let mut seen = HashSet::new();
    let mut arranged = Vec::new();
    for tier in tiers {
        let mut indexes = Vec::new();
        for TrackerUrl { url, trusted } in tier {
            if trackers.len() < TRACKERS_MAX && is_announce(&url) && seen.insert(url.clone()) {
                indexes.push(trackers.len());
                trackers.push(Tracker { url, trusted, answered: false, problem: None });
            }
        }
        shuffle(&mut indexes, rng);
        if !indexes.is_empty() {
            arranged.push(indexes);
        }
    }
    (trackers, arranged)
}

/// Moves a tracker that has answered to the front of its tier.
pub(super) fn promote(tiers: &mut [Vec<usize>], tracker: usize) {
    for tier in tiers {
        if let Some(at) = tier.iter().position(|&other| other == tracker)
            && let Some(front) = tier.get_mut(..=at)
        {
            front.rotate_right(1);
        }
    }
}

fn shuffle(items: &mut [usize], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
        items.swap(last, rng.below(bound) as usize);
    }
}
