//! The last look at an idtorrent: its file is hashed once more, from the disk, before it gets its name. Chunks that are
//! wrong by then are fetched again, once; a file that is wrong after that is given up.

use super::{Action, Failed, State, Swarm};
use crate::disk::{Job, Trouble};
use std::collections::BTreeSet;
use weightless::base::Millis;

/// How it stands.
#[derive(Debug, Default)]
pub(super) struct FinalCheck {
    /// Whether wrong chunks have been fetched again.
    repaired: bool,
    /// Chunks that peers were told of before they were found wrong: who asks for them means no harm.
    withdrawn: BTreeSet<u32>,
}

impl FinalCheck {
    /// Whether peers may still believe that a chunk is here.
    pub fn has_withdrawn(&self, piece: u32) -> bool {
        self.withdrawn.contains(&piece)
    }
}

impl Swarm {
    /// The file has been hashed once more.
    pub(super) fn reread(&mut self, now: Millis, files: Vec<usize>, result: Result<Vec<u32>, Trouble>) {
        let wrong = match result {
            Ok(wrong) => wrong,
            Err(trouble) => return self.fail(Failed::Disk(trouble)),
        };
        if wrong.is_empty() {
            let job = Job::Finish { files };
            return self.actions.push(Action::Disk { swarm: self.settings.number, job });
        }
        files.iter().for_each(|file| _ = self.finishing.remove(file));
        if let Some(ledger) = &mut self.ledger {
            ledger.miss(&wrong);
        }
        self.final_check.withdrawn.extend(&wrong);
        if std::mem::replace(&mut self.final_check.repaired, true) {
            return self.fail(Failed::FinalCheck { wrong });
        }
        if self.state == State::Finishing {
            self.state = State::Leeching;
        }
        self.progress.at = now;
        self.progress.dirty = true;
        self.starved = true;
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            self.reckon(&mut peer);
            self.peers.insert(key, peer);
        }
    }
}
