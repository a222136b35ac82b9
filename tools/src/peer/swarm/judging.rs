//! What the disk says of pieces, and who is to blame when one is wrong.
//!
//! A wrong piece from one source bans it. From several, the block hashes of the piece are fetched (BEP 52) and every
//! block is compared: whoever sent a wrong one is banned and the good ones stay. Where there are no block hashes the
//! piece is fetched once more from one peer alone, on parole: if it is good now, whoever sent another block before is
//! banned; if it is not, that peer is.

use super::{Action, Failed, Fault, News, Swarm, Ticket};
use crate::disk::{Job, Outcome, Trouble, Verdict};
use crate::hash::piece::PieceHashes;
use crate::peer::layers::BlockHashFetch;
use crate::peer::open::Source;
use crate::peer::wire::Message;
use std::collections::HashSet;
use std::net::SocketAddr;
use weightless::base::Millis;
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// So many sources have each sent a piece alone, and it was wrong each time.
const WRONG_ALONE_MAX: usize = 5;

/// A piece that came wrong from several sources.
#[derive(Default)]
pub(super) struct Suspect {
    /// Who sent each block, and its hash as it came.
    blocks: Vec<(Option<Source>, Hash)>,
    /// Sources that have sent all of it, wrong.
    alone: HashSet<Source>,
}

/// A wrong piece whose block hashes are being fetched.
pub(super) struct Blaming {
    pub fetch: BlockHashFetch,
    bytes: Option<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl Swarm {
    /// The disk has done something.
    pub fn disk(&mut self, now: Millis, outcome: Outcome) {
        self.now = now;
        match outcome {
            Outcome::Stored { piece, bytes, verdict, hashes, leaves } => {
                self.judged(piece, Some(bytes), verdict, &hashes, leaves);
            }
            Outcome::Checked { piece, verdict, hashes, leaves } => {
                self.judged(piece, None, verdict, &hashes, leaves);
            }
            Outcome::Written { piece, bytes, result, .. } => self.written(piece, bytes, result),
            Outcome::Read { ticket, result } => {
                if let Some(Ticket::Blocks { peer, count }) = self.tickets.remove(&ticket) {
                    self.blocks_read(peer, count, result);
                }
            }
            Outcome::Leaves { ticket, result } => self.leaves_came(ticket, result),
            Outcome::Checkpointed(result) => self.checkpointed(result),
            Outcome::Reread { files, result } => self.reread(now, files, result),
            Outcome::Finished { files, result } => self.finished(files, result),
            Outcome::Closed(result) => self.closed_files(result),
            Outcome::Inspected { changed } => self.inspected(changed),
            #[cfg(test)]
            Outcome::Loaded { .. } => {}
        }
    }

    fn judged(
        &mut self,
        piece: u32,
        bytes: Option<Vec<u8>>,
        verdict: Verdict,
        hashes: &PieceHashes,
        leaves: Vec<Hash>,
    ) {
        match verdict {
            Verdict::Good => self.accept(piece, bytes, hashes, &leaves),
            Verdict::Bad => self.blame(piece, bytes, leaves),
            Verdict::Contradiction => self.fail(Failed::Contradiction),
            Verdict::Failed(trouble) => self.fail(Failed::Disk(trouble)),
        }
    }

    fn written(&mut self, piece: u32, bytes: Vec<u8>, result: Result<(), Trouble>) {
        let Some(ledger) = &mut self.ledger else { return };
        ledger.open.returned(bytes);
        self.starved = true;
        if let Err(trouble) = result {
            return self.fail(Failed::Disk(trouble));
        }
        if ledger.open.stripe_written(piece) {
            let mut expected = ledger.expected(piece);
            // Its blocks are compared with those that came before.
            expected.with_leaves |= self.suspects.contains_key(&piece);
            let job = Job::Check { piece, expected };
            self.actions.push(Action::Disk { swarm: self.settings.number, job });
        }
    }

    /// A piece is verified and written.
    fn accept(&mut self, piece: u32, bytes: Option<Vec<u8>>, hashes: &PieceHashes, leaves: &[Hash]) {
        if let Some(suspect) = self.suspects.remove(&piece) {
            match &bytes {
                Some(bytes) => self.compare(&suspect, &block_hashes(bytes, suspect.blocks.len() as u32)),
                None => self.compare(&suspect, leaves),
            }
        }
        let Some(ledger) = &mut self.ledger else { return };
        ledger.open.close(piece);
        if let Some(bytes) = bytes {
            ledger.open.returned(bytes);
        }
        let was_missing = ledger.picker.is_missing(piece);
        let files = ledger.piece_stored(piece, hashes);
        self.progress.fresh_bytes += u64::from(ledger.data_bytes(piece));
        self.progress.dirty = true;
        for peer in self.peers.values_mut().filter(|peer| peer.is_open()) {
            if !peer.has(piece) {
                peer.say(&Message::Have(piece));
                self.touched.push(peer.key);
            } else if was_missing {
                peer.useful = peer.useful.saturating_sub(1);
            }
        }
        self.lose_interest();
        self.starved = true;
        self.finish(files);
        self.maybe_complete();
    }

    /// Peers that have nothing more for us are told.
    fn lose_interest(&mut self) {
        let bored: Vec<u64> = self
            .peers
            .values()
            .filter(|peer| peer.interesting && peer.useful == 0)
            .map(|peer| peer.key)
            .collect();
        for key in bored {
            if let Some(mut peer) = self.peers.remove(&key) {
                self.declare(&mut peer);
                self.peers.insert(key, peer);
            }
        }
    }

    /// A piece came wrong.
    fn blame(&mut self, piece: u32, bytes: Option<Vec<u8>>, leaves: Vec<Hash>) {
        let Some(ledger) = &mut self.ledger else { return };
        let Some(open) = ledger.open.find(piece) else {
            // It lay on the disk from a former run: now it is fetched.
            ledger.picker.give_back(piece);
            self.starved = true;
            return;
        };
        let (single, blocks) = (open.single_source(), open.blocks());
        let data_bytes = ledger.data_bytes(piece);
        self.totals.wasted += u64::from(data_bytes);
        self.totals.downloaded = self.totals.downloaded.saturating_sub(u64::from(data_bytes));
        if blocks == 0 {
            // Only padding, and it does not hash to what the torrent says.
            return self.fail(Failed::NeverMatches { piece });
        }
        if let Some(source) = single {
            let suspect = self.suspects.entry(piece).or_default();
            suspect.alone.insert(source);
            if suspect.alone.len() >= WRONG_ALONE_MAX {
                return self.fail(Failed::NeverMatches { piece });
            }
            self.reopen(piece, bytes, |_| true);
            self.punish(source, "sent a wrong piece");
            return self.give_to_one(piece);
        }
        let node = ledger.piece_node(piece).and_then(|node| node.hash);
        let fetch =
            node.filter(|_| leaves.len() == blocks as usize).and_then(|node| self.block_hashes(piece, node));
        match fetch {
            Some(fetch) => _ = self.blaming.insert(piece, Blaming { fetch, bytes, leaves }),
            None => self.on_parole(piece, bytes, leaves),
        }
    }

    /// Block hashes came: every block that does not have its hash is fetched again, its sender banned.
    pub(super) fn blame_blocks(&mut self, piece: u32, hashes: &[Hash]) {
        let Some(Blaming { bytes, leaves, .. }) = self.blaming.remove(&piece) else { return };
        let Some(open) = self.ledger.as_ref().and_then(|ledger| ledger.open.find(piece)) else { return };
        let sources = open.sources();
        let wrong: Vec<bool> = leaves.iter().zip(hashes).map(|(came, hash)| came != hash).collect();
        let is_wrong = |index: u32| wrong.get(index as usize).copied().unwrap_or(true);
        let good = wrong.iter().filter(|wrong| !**wrong).count() as u64 * u64::from(BLOCK_BYTES);
        self.totals.wasted = self.totals.wasted.saturating_sub(good);
        self.totals.downloaded += good;
        let culprits: HashSet<Source> = sources
            .iter()
            .zip(&wrong)
            .filter(|(_, wrong)| **wrong)
            .filter_map(|(source, _)| *source)
            .collect();
        if culprits.is_empty() {
            // Every block is right and the piece is not: the torrent lies.
            return self.fail(Failed::NeverMatches { piece });
        }
        self.reopen(piece, bytes, is_wrong);
        for culprit in culprits {
            self.punish(culprit, "sent a wrong block");
        }
    }

    /// Nobody had the block hashes.
    pub(super) fn blame_otherwise(&mut self, piece: u32) {
        if let Some(Blaming { fetch, bytes, leaves }) = self.blaming.remove(&piece) {
            self.excuse_hashes(&fetch.unanswered().collect::<Vec<_>>());
            self.on_parole(piece, bytes, leaves);
        }
    }

    fn on_parole(&mut self, piece: u32, bytes: Option<Vec<u8>>, leaves: Vec<Hash>) {
        let Some(open) = self.ledger.as_ref().and_then(|ledger| ledger.open.find(piece)) else { return };
        let hashes = match &bytes {
            Some(bytes) => block_hashes(bytes, open.blocks()),
            None => leaves,
        };
        let blocks = open.sources().into_iter().zip(hashes).collect();
        self.suspects.entry(piece).or_default().blocks = blocks;
        self.reopen(piece, bytes, |_| true);
        self.give_to_one(piece);
    }

    fn reopen(&mut self, piece: u32, bytes: Option<Vec<u8>>, is_bad: impl Fn(u32) -> bool) {
        if let Some(ledger) = &mut self.ledger {
            ledger.open.reopen(piece, bytes, None, is_bad);
        }
        self.starved = true;
    }

    /// From now on one peer alone sends a piece: the fastest that has it and lets us ask.
    fn give_to_one(&mut self, piece: u32) {
        let alone = self.suspects.get(&piece).map(|suspect| &suspect.alone);
        let fits = |source| alone.is_none_or(|alone| !alone.contains(&source));
        let able =
            self.peers.values().filter(|peer| peer.has(piece) && !peer.chokes_us && fits(peer.source()));
        let owner = able.max_by_key(|peer| peer.down.per_second()).map(|peer| peer.key);
        let somebody = self.peers.values().any(|peer| peer.has(piece));
        let Some(ledger) = &mut self.ledger else { return };
        ledger.open.own(piece, owner);
        if !somebody {
            // Web seeds begin with whole pieces, and so does whoever comes later.
            ledger.open.close(piece);
            ledger.picker.give_back(piece);
        }
    }

    /// A piece on parole was good: whoever sent something else before is banned.
    fn compare(&mut self, suspect: &Suspect, good: &[Hash]) {
        let differing = suspect.blocks.iter().zip(good).filter(|((_, came), good)| came != *good);
        let culprits: HashSet<Source> = differing.filter_map(|((source, _), _)| *source).collect();
        for culprit in culprits {
            self.punish(culprit, "sent a wrong block");
        }
    }

    pub(super) fn punish(&mut self, source: Source, why: &'static str) {
        match source {
            Source::Peer(address) => self.ban_source(address, why),
            Source::Web(seed) => self.drop_web_seed(seed),
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.open.forget_source(source);
        }
    }

    /// Nobody at this address is talked to again.
    pub(super) fn ban_source(&mut self, address: SocketAddr, why: &'static str) {
        if !self.bans.is_banned(&address) {
            self.tell(News::Banned { address, why });
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.open.forget_source(Source::Peer(address));
        }
        self.ban(address);
        self.starved = true;
    }

    /// Leaves came, for whatever they were read.
    fn leaves_came(&mut self, ticket: u64, result: Result<Vec<Hash>, Trouble>) {
        match self.tickets.remove(&ticket) {
            Some(Ticket::Leaves) => self.leaves_read(ticket, result),
            Some(Ticket::Proof { piece }) => match result {
                Ok(leaves) => self.proof_read(piece, leaves),
                Err(trouble) => self.fail(Failed::Disk(trouble)),
            },
            Some(Ticket::Blocks { .. }) | None => {}
        }
    }

    /// The v2 hash of a piece that was stored in a former run.
    fn proof_read(&mut self, piece: u32, mut leaves: Vec<Hash>) {
        let Some(ledger) = &mut self.ledger else { return };
        let piece_length = u32::try_from(ledger.content.layout().piece_length()).unwrap_or(u32::MAX);
        ledger.computed(piece, merkle::piece_hash(&mut leaves, piece_length));
        self.proving.remove(&piece);
        if self.proving.is_empty() {
            self.maybe_complete();
        }
    }

    /// Files without a layer whose pieces are all stored are proven by what the pieces hash to together. Says whether
    /// all are.
    pub(super) fn prove_files(&mut self) -> bool {
        let Some(ledger) = &mut self.ledger else { return true };
        if ledger.content.kind() != Kind::Hybrid || !self.proving.is_empty() {
            return self.proving.is_empty();
        }
        let files: Vec<usize> =
            ledger.files_without_layer().into_iter().filter(|&file| ledger.is_wanted(file)).collect();
        for file in files {
            match ledger.prove(file) {
                Some(Ok(())) => {}
                Some(Err(_)) => {
                    self.fail(Failed::Contradiction);
                    return false;
                }
                None => self.proving.extend(ledger.uncomputed(file)),
            }
        }
        let pieces: Vec<u32> = self.proving.iter().copied().collect();
        for piece in pieces {
            let ticket = self.new_ticket(Ticket::Proof { piece });
            self.actions
                .push(Action::Disk { swarm: self.settings.number, job: Job::Leaves { ticket, piece } });
        }
        self.proving.is_empty()
    }
}

/// The hashes of the blocks of a piece in memory.
fn block_hashes(bytes: &[u8], blocks: u32) -> Vec<Hash> {
    bytes.chunks(BLOCK_BYTES as usize).take(blocks as usize).map(merkle::leaf).collect()
}

impl From<Fault> for &'static str {
    fn from(fault: Fault) -> Self {
        let (Fault::Close(why) | Fault::Shun(why) | Fault::Ban(why)) = fault;
        why
    }
}
