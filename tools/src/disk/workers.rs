//! The loop of a disk thread: one job, one outcome.

use super::job::{Job, Outcome};
use super::piece::Bench;
use super::pool::Shared;
use super::storage::Storage;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// Works until there are no more jobs and nobody can send one.
pub fn work(storage: Arc<Storage>, jobs: &Receiver<Job>, outcomes: &Sender<Outcome>, shared: &Shared) {
    let mut bench = Bench::new(Arc::clone(&storage));
    for job in jobs {
        let outcome = carry_out(&storage, &mut bench, shared, job);
        // Its owner is only gone when the program ends; jobs that are durable steps are done all the same.
        let _ = outcomes.send(outcome);
        shared.notify();
    }
}

fn carry_out(storage: &Storage, bench: &mut Bench, shared: &Shared, job: Job) -> Outcome {
    match job {
        Job::Store { piece, bytes, expected } => {
            let judged = bench.store(piece, &bytes, &expected);
            let (verdict, hashes, leaves) = (judged.verdict, judged.hashes, judged.leaves);
            Outcome::Stored { piece, bytes, verdict, hashes, leaves }
        }
        Job::Write { piece, begin, bytes } => {
            let result = bench.write(piece, begin, &bytes);
            Outcome::Written { piece, bytes, result }
        }
        Job::Check { piece, expected } => {
            let judged = bench.check(piece, &expected);
            let (verdict, hashes, leaves) = (judged.verdict, judged.hashes, judged.leaves);
            Outcome::Checked { piece, verdict, hashes, leaves }
        }
        Job::Read { ticket, blocks } => {
            let mut buffer = shared.buffer();
            let result = match bench.read(&blocks, &mut buffer) {
                Ok(()) => Ok(buffer),
                Err(trouble) => {
                    shared.recycle(buffer);
                    Err(trouble)
                }
            };
            Outcome::Read { ticket, result }
        }
        Job::Leaves { ticket, piece } => Outcome::Leaves { ticket, result: bench.leaves(piece) },
        #[cfg(test)]
        Job::Load { block } => Outcome::Loaded { result: bench.load(block) },
        Job::Checkpoint { bits, uploaded, clean } => {
            Outcome::Checkpointed(storage.checkpoint(bits, uploaded, clean))
        }
        Job::Reread { files } => {
            let result = storage.reread(&files);
            Outcome::Reread { files, result }
        }
        Job::Finish { files } => {
            let result = storage.finish(&files);
            Outcome::Finished { files, result }
        }
        Job::Close => Outcome::Closed(storage.close()),
        Job::Inspect => Outcome::Inspected { changed: storage.inspect() },
    }
}
