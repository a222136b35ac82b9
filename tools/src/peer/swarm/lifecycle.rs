//! From a hash to a torrent, from a torrent to complete files, from complete files to a seeder, and the end.

use super::{Action, Failed, Fault, News, State, Swarm};
use crate::announce::{Announcer, Answer, HashOf, Problem};
use crate::content::Content;
use crate::disk::{Job, Trouble};
use crate::peer::bits::Bits;
use crate::peer::candidates::Origin;
use crate::peer::handshake::Offers;
use crate::peer::ledger::Ledger;
use crate::peer::session::Has;
use crate::peer::wire::Message;
use crate::webseed::Webseeds;
use std::sync::Arc;
use weightless::base::{Millis, Rng};

/// What is known when the pieces begin to matter.
pub struct Beginning {
    /// What is transferred.
    pub content: Arc<Content>,
    /// What is there already.
    pub stored: Bits,
    /// Which files are to be fetched.
    pub wanted_files: Vec<bool>,
    /// What former runs uploaded.
    pub uploaded: u64,
    /// Where its parts can be fetched by HTTP.
    pub webseeds: Option<Webseeds>,
    /// Complete files that do not have their final names.
    pub finish: Vec<usize>,
    /// Pieces on the disk that can only be judged with a layer.
    pub unjudged: Vec<u32>,
}

impl Swarm {
    /// Whom to announce to.
    pub fn announce_by(&mut self, announcer: Announcer) {
        self.announcer = Some(announcer);
    }

    /// The torrent is known and the disk is ready: pieces are fetched from now on, or served.
    pub fn begin(&mut self, now: Millis, beginning: Beginning) {
        let Beginning { content, stored, wanted_files, uploaded, webseeds, finish, unjudged } = beginning;
        let rng = Rng::new(self.rng.u64());
        let ledger =
            Ledger::new(Arc::clone(&content), stored, wanted_files, self.settings.memory_bytes_max, rng);
        // A seeder of incomplete data fetches nothing.
        let fetches = self.settings.fetches;
        self.state = match (ledger.is_complete(), fetches) {
            (true, _) => State::Finishing,
            (false, true) => State::Leeching,
            (false, false) => State::Seeding,
        };
        self.unjudged = unjudged.into_iter().collect();
        self.web_seed_count = webseeds.as_ref().map_or(0, |seeds| seeds.status().count());
        self.metadata = None;
        self.info = Some(content);
        self.uploaded_before = uploaded;
        self.webseeds = webseeds;
        self.progress.at = now;
        self.progress.checkpoint_at = now;
        self.ledger = Some(ledger);
        if !self.speaks_pex() {
            self.candidates.forget_hearsay();
        }
        self.begin_hashes();
        self.finish(finish);
        self.recall_peers(now);
        self.maybe_complete();
    }

    /// What peers said before the torrent was known is taken up.
    fn recall_peers(&mut self, now: Millis) {
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            // Hashes are what is asked for next.
            peer.reader.set_bounds(self.bounds_for(&peer));
            let pieces = self.stored().map_or(0, Bits::pieces);
            let outcome = match std::mem::replace(&mut peer.has, Has::Unsaid) {
                Has::Raw(mut bytes) => {
                    // Gathered from single pieces it may be shorter than it should be.
                    bytes.resize(bytes.len().max(crate::peer::bits::byte_length(pieces)), 0);
                    match Bits::from_wire(&bytes, pieces) {
                        Some(bits) => self.has_now(&mut peer, Has::Some(bits)),
                        None => Err(Fault::Ban("bitfield of a wrong shape")),
                    }
                }
                has => self.has_now(&mut peer, has),
            };
            if peer.is_open() {
                self.say_what_is_new(&mut peer);
            }
            match outcome {
                Ok(()) => {
                    self.ask(now, &mut peer);
                    self.touched.push(key);
                    self.peers.insert(key, peer);
                }
                Err(fault) => self.lost(peer, fault),
            }
        }
    }

    /// Pieces that were there from the start, for a peer that was greeted before that was known.
    fn say_what_is_new(&mut self, peer: &mut super::Peer) {
        if let Some(stored) = self.stored() {
            let pieces: Vec<u32> = stored.iter().collect();
            pieces.into_iter().for_each(|piece| peer.say(&Message::Have(piece)));
        }
        if peer.extended {
            self.say_hello(peer);
        }
    }

    /// Files whose pieces are all stored get their final names.
    pub(super) fn finish(&mut self, files: Vec<usize>) {
        let files: Vec<usize> = files.into_iter().filter(|&file| self.finishing.insert(file)).collect();
        if !files.is_empty() && self.settings.fetches {
            let job = if self.settings.small { Job::Reread { files } } else { Job::Finish { files } };
            self.actions.push(Action::Disk { swarm: self.settings.number, job });
            self.progress.unclosed = true;
        } else {
            self.finishing.clear();
        }
    }

    pub(super) fn finished(&mut self, files: Vec<usize>, result: Result<(), Trouble>) {
        for file in files {
            self.finishing.remove(&file);
            self.tell(News::FileDone { file });
        }
        match result {
            Ok(()) => self.maybe_complete(),
            Err(trouble) => self.fail(Failed::Disk(trouble)),
        }
    }

    /// Directories are on the disk and the record of progress is gone.
    pub(super) fn closed_files(&mut self, result: Result<(), Trouble>) {
        self.progress.closing = false;
        match result {
            Ok(()) => self.maybe_complete(),
            Err(trouble) => self.fail(Failed::Disk(trouble)),
        }
    }

    /// Everything is stored, proven and has its final name: what is left is to seed.
    pub(super) fn maybe_complete(&mut self) {
        let complete = self.ledger.as_ref().is_some_and(Ledger::is_complete);
        if !complete || !matches!(self.state, State::Leeching | State::Finishing) {
            return;
        }
        if self.state == State::Leeching {
            self.state = State::Finishing;
            self.progress.fetched = true;
        }
        if !self.finishing.is_empty() || !self.prove_files() {
            return;
        }
        if std::mem::take(&mut self.progress.unclosed) {
            self.progress.closing = true;
            self.actions.push(Action::Disk { swarm: self.settings.number, job: Job::Close });
        }
        if self.progress.closing {
            return;
        }
        self.state = State::Seeding;
        self.webseeds = None;
        if std::mem::take(&mut self.progress.fetched)
            && let Some(announcer) = &mut self.announcer
        {
            announcer.completed();
        }
        self.tell(News::Complete);
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            self.declare(&mut peer);
            if peer.is_open() && peer.extended {
                self.say_hello(&mut peer);
                self.touched.push(key);
            }
            self.peers.insert(key, peer);
        }
    }

    /// Makes durable what is stored. `clean`: nothing will be written afterwards.
    pub fn checkpoint(&mut self, now: Millis, clean: bool) {
        let Some(ledger) = self.ledger.as_ref().filter(|_| self.settings.fetches) else { return };
        let job = Job::Checkpoint {
            bits: ledger.stored.as_wire().to_vec(),
            uploaded: self.uploaded_before + self.totals.uploaded,
            clean,
        };
        self.progress.checkpoint_at = now;
        self.progress.fresh_bytes = 0;
        self.progress.dirty = false;
        self.progress.checkpoints += 1;
        self.actions.push(Action::Disk { swarm: self.settings.number, job });
    }

    pub(super) fn checkpointed(&mut self, result: Result<(), Trouble>) {
        self.progress.checkpoints = self.progress.checkpoints.saturating_sub(1);
        match result {
            Ok(()) if self.progress.checkpoints == 0 => self.tell(News::Saved),
            Ok(()) => {}
            Err(trouble) => self.fail(Failed::Disk(trouble)),
        }
    }

    /// Our address has changed.
    pub fn readdressed(&mut self) {
        if let Some(announcer) = &mut self.announcer {
            announcer.renew();
        }
    }

    /// A tracker has answered, or not.
    pub fn announced(&mut self, now: Millis, id: u64, answer: Result<Answer, Problem>) {
        self.now = now;
        let url = self.calls.remove(&id).unwrap_or_default();
        self.tell(News::Tracker { url, said: said(&answer) });
        let Some(announcer) = &mut self.announcer else { return };
        let Some(learned) = announcer.answered(now, id, answer) else { return };
        let offers = match learned.hash {
            HashOf::V1 => Offers::V1,
            HashOf::V2 => Offers::V2,
        };
        for address in learned.peers {
            self.candidates.add(now, address, Origin::Tracker, offers);
        }
    }

    /// The end begins: nothing more is asked for, trackers are told.
    pub fn stop(&mut self, now: Millis) {
        if let Some(announcer) = &mut self.announcer {
            announcer.stop(now);
        }
        let unfinished = matches!(self.state, State::Leeching | State::Finishing);
        let failed = self.state == State::Stopped;
        self.state = State::Stopped;
        if (unfinished || failed) && self.ledger.is_some() {
            self.checkpoint(now, true);
        }
        self.announce(now);
    }

    /// Whether the trackers know that we go, or have had their time.
    pub fn is_gone(&self, now: Millis) -> bool {
        self.progress.checkpoints == 0
            && self.announcer.as_ref().is_none_or(|announcer| announcer.is_finished(now))
    }

    /// A file that is being seeded cannot be read any more. Which one, and whether others share its fate, the disk is asked.
    pub(super) fn lost_file(&mut self, trouble: Trouble) {
        if self.settings.fetches {
            return self.fail(Failed::Disk(trouble));
        }
        if self.read_trouble.replace(trouble).is_none() {
            self.actions.push(Action::Disk { swarm: self.settings.number, job: Job::Inspect });
        }
    }

    /// Files that changed or are gone: their pieces are withdrawn, and whoever was told of them is disconnected.
    pub(super) fn inspected(&mut self, changed: Vec<usize>) {
        let trouble = self.read_trouble.take();
        let Some(ledger) = &mut self.ledger else { return };
        let gone: Vec<usize> =
            changed.into_iter().filter(|&file| !ledger.withdraw(file).is_empty()).collect();
        let nothing_left = ledger.stored.count() == 0;
        if gone.is_empty() || nothing_left {
            match trouble {
                Some(trouble) => return self.fail(Failed::Disk(trouble)),
                None if nothing_left && !gone.is_empty() => return self.fail(Failed::NothingLeft),
                None => return,
            }
        }
        for file in gone {
            self.tell(News::Withdrawn { file });
        }
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            self.drop_peer(key, Fault::Close("a file is gone"));
        }
    }
}

/// The outcome of an announce in a few words.
fn said(answer: &Result<Answer, Problem>) -> String {
    match answer {
        Ok(answer) => {
            let (peers, seeders, leechers) = (answer.peers.len(), answer.complete, answer.incomplete);
            format!("{peers} peers; {seeders} seeders, {leechers} leechers; again in {} s", answer.interval_s)
        }
        Err(Problem::Refused { reason, .. }) => format!("refused: {reason}"),
        Err(Problem::Failed(why) | Problem::Unusable(why)) => why.clone(),
    }
}
