//! How the trackers are doing, for people.

use super::{Announcer, Problem};

/// One tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Its URL; a passkey may be in it.
    pub url: &'a str,
    /// Whether it has ever served us.
    pub answered: bool,
    /// What went wrong the last time it was asked.
    pub problem: Option<&'a Problem>,
}

impl Announcer {
    /// Every tracker, in the order of the tiers.
    pub fn status(&self) -> impl Iterator<Item = Status<'_>> {
        self.tiers.iter().flatten().filter_map(|&at| {
            let tracker = self.trackers.get(at)?;
            let problem = tracker.problem.as_ref();
            Some(Status { url: &tracker.url, answered: tracker.answered, problem })
        })
    }

    /// Whether every tracker has been asked and none has ever served us. False without trackers.
    pub fn has_failed_everywhere(&self) -> bool {
        let failed = |status: Status<'_>| !status.answered && status.problem.is_some();
        !self.trackers.is_empty() && self.status().all(failed)
    }
}
