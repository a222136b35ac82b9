//! Hashes of v2 torrents between peers (BEP 52): layers that the torrent lacks, the hashes of the blocks of a wrong
//! piece, and answers to those who ask us.

use super::incoming::idle;
use super::{Action, Fault, Peer, Swarm, Ticket};
use crate::disk::{Job, Trouble};
use crate::peer::layers::{
    BlockHashFetch, BlockHashes, FileTree, LayerAnswer, LayerFetch, Tops, TreeShape, WantedLayer, answer,
};
use crate::peer::ledger::{Ledger, pieces_of};
use crate::peer::limits::{HASH_READS_WAITING_MAX, HASHES_BYTES_MAX, LEAVES_KEPT_MAX};
use crate::peer::wire::{HashRange, Message};
use std::collections::{BTreeMap, HashMap, VecDeque};
use weightless::base::Millis;
use weightless::torrent::Kind;
use weightless::torrent::merkle::Hash;

/// Requests that make no sense, from one peer.
const SENSELESS_MAX: u32 = 16;
/// Bytes that may wait for a peer while it is sent more hashes: an answer can have 256 KiB.
const ANSWERS_WAITING_BYTES_MAX: usize = 512 << 10;
/// Hashes of blocks that are kept, of all pieces together.
const LEAVES_HASHES_MAX: usize = 1 << 17;

/// What is known of hashes beside the ledger.
#[derive(Default)]
pub(super) struct Hashes {
    fetch: Option<LayerFetch>,
    /// Whether something happened that lets more be asked for.
    changed: bool,
    by_root: HashMap<Hash, usize>,
    tops: BTreeMap<usize, Option<Tops>>,
    /// Block hashes that were read for somebody, the youngest last.
    leaves: VecDeque<(u32, Vec<Hash>)>,
    /// Requests that wait for block hashes to be read.
    waiting: VecDeque<Waiting>,
    reading: HashMap<u64, u32>,
}

impl Hashes {
    /// Long pieces have many blocks, so both are bounded.
    fn forget_some(&mut self) {
        let all = |leaves: &VecDeque<(u32, Vec<Hash>)>| {
            leaves.iter().map(|(_, hashes)| hashes.len()).sum::<usize>()
        };
        while self.leaves.len() > LEAVES_KEPT_MAX
            || (self.leaves.len() > 1 && all(&self.leaves) > LEAVES_HASHES_MAX)
        {
            self.leaves.pop_front();
        }
    }
}

struct Waiting {
    peer: u64,
    range: HashRange,
    file: usize,
}

impl Swarm {
    /// What a torrent without all its layers has to be asked for.
    pub(super) fn begin_hashes(&mut self) {
        let Some(ledger) = self.ledger.as_ref().filter(|ledger| ledger.content.kind() != Kind::V1) else {
            return;
        };
        let content = &ledger.content;
        for file in (0..content.file_count()).rev() {
            if let Some(root) = content.file_root(file) {
                self.hashes.by_root.insert(root, file);
            }
        }
        let wanted: Vec<WantedLayer> = ledger
            .files_without_layer()
            .into_iter()
            .filter_map(|file| {
                let (root, bytes) = (content.file_root(file)?, content.file_bytes(file));
                Some(WantedLayer { file, root, bytes, first_piece: pieces_of(content, file).start })
            })
            .collect();
        let fetch = LayerFetch::new(&wanted, piece_length(ledger));
        self.hashes.fetch = Some(fetch).filter(|fetch| !fetch.is_done());
        self.hashes.changed = true;
    }

    /// Somebody has come, or has more than before: there may be somebody to ask.
    pub(super) fn hashes_may_come(&mut self) {
        self.hashes.changed = true;
    }

    /// Asks for hashes what can be asked now.
    pub(super) fn fetch_hashes(&mut self, now: Millis) {
        let due = |at: Option<Millis>| at.is_some_and(|at| at <= now);
        let layers_due = self.hashes.fetch.as_ref().is_some_and(|fetch| due(fetch.next_due(now)));
        let blame_due =
            self.blaming.values().any(|blaming| due(blaming.fetch.next_due()) || !blaming.fetch.is_waiting());
        if !std::mem::take(&mut self.hashes.changed) && !layers_due && !blame_due {
            return;
        }
        let able: Vec<u64> =
            self.peers.values().filter(|peer| peer.is_open() && peer.v2).map(|peer| peer.key).collect();
        let peers = &self.peers;
        let mut requests = Vec::new();
        if let Some(fetch) = &mut self.hashes.fetch {
            let has = |key: u64, pieces: std::ops::Range<u32>| {
                peers.get(&key).is_some_and(|peer| pieces.into_iter().any(|piece| peer.has(piece)))
            };
            fetch.next_requests(now, &able, &has, &mut requests);
        }
        let mut given_up = Vec::new();
        for (&piece, blaming) in &mut self.blaming {
            let having: Vec<u64> = able
                .iter()
                .copied()
                .filter(|key| peers.get(key).is_some_and(|peer| peer.has(piece)))
                .collect();
            blaming.fetch.next_requests(now, &having, &mut requests);
            if blaming.fetch.has_failed() || !blaming.fetch.is_waiting() {
                given_up.push(piece);
            }
        }
        for (key, range) in requests {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.say(&Message::HashRequest(range));
                self.touched.push(key);
            }
        }
        for piece in given_up {
            self.blame_otherwise(piece);
        }
    }

    /// The fetch of the block hashes of a wrong piece; `None` where nobody can have them.
    pub(super) fn block_hashes(&mut self, piece: u32, node: Hash) -> Option<BlockHashFetch> {
        let ledger = self.ledger.as_ref()?;
        let (file, in_file) = ledger.content.place_in_file(piece)?;
        let root = ledger.content.file_root(file)?;
        let shape = TreeShape::of(ledger.content.file_bytes(file), piece_length(ledger));
        let somebody = self.peers.values().any(|peer| peer.is_open() && peer.v2 && peer.has(piece));
        self.hashes.changed = true;
        if somebody { BlockHashFetch::new(root, shape, u32::try_from(in_file).ok()?, node) } else { None }
    }

    /// Bytes of hashes that a peer may send; the bound stays, because a late answer is no offence.
    pub(super) fn hash_bytes_asked(&self, peer: &Peer) -> u32 {
        if peer.v2 { HASHES_BYTES_MAX } else { 0 }
    }

    /// A peer has sent hashes.
    pub(super) fn hashes_came(
        &mut self,
        peer: &mut Peer,
        range: &HashRange,
        hashes: &[u8],
    ) -> Result<(), Fault> {
        if !peer.v2 {
            return Err(Fault::Close("hashes on a v1 connection"));
        }
        self.hashes.changed = true;
        match self.hashes.fetch.as_mut().map(|fetch| fetch.received(peer.key, range, hashes)) {
            Some(LayerAnswer::Accepted { .. }) => {
                self.progress.at = self.now;
                self.take_layers(peer);
                // It is not among the peers while it speaks, and has more that we want than before.
                self.reckon(peer);
                return Ok(());
            }
            Some(LayerAnswer::Known) => return Ok(()),
            Some(LayerAnswer::Wrong) => return Err(Fault::Ban("sent wrong hashes")),
            Some(LayerAnswer::Unasked) | None => {}
        }
        let pieces: Vec<u32> = self.blaming.keys().copied().collect();
        for piece in pieces {
            let Some(blaming) = self.blaming.get_mut(&piece) else { continue };
            match blaming.fetch.received(peer.key, range, hashes) {
                BlockHashes::More => return Ok(()),
                BlockHashes::Complete(hashes) => {
                    let unanswered: Vec<(u64, u32)> = blaming.fetch.unanswered().collect();
                    peer.hashes_excused += count_of(&unanswered, peer.key);
                    self.excuse_hashes(&unanswered);
                    self.blame_blocks(piece, &hashes);
                    // The one who told may be the culprit.
                    let banned = self.bans.is_banned(&peer.address);
                    return if banned { Err(Fault::Ban("sent a wrong block")) } else { Ok(()) };
                }
                BlockHashes::Wrong => return Err(Fault::Ban("sent wrong hashes")),
                BlockHashes::Unasked => {}
            }
        }
        // What a fetch that has ended had asked may still come.
        peer.hashes_excused =
            peer.hashes_excused.checked_sub(1).ok_or(Fault::Ban("sent hashes that were not asked for"))?;
        Ok(())
    }

    pub(super) fn hashes_rejected(
        &mut self,
        now: Millis,
        peer: &mut Peer,
        range: &HashRange,
    ) -> Result<(), Fault> {
        if !peer.v2 {
            return Err(Fault::Close("hashes on a v1 connection"));
        }
        self.hashes.changed = true;
        let of_layer = self.hashes.fetch.as_mut().is_some_and(|fetch| fetch.rejected(now, peer.key, range));
        if of_layer || self.blaming.values_mut().any(|blaming| blaming.fetch.rejected(peer.key, range)) {
            return Ok(());
        }
        match peer.hashes_excused.checked_sub(1) {
            Some(left) => {
                peer.hashes_excused = left;
                Ok(())
            }
            None => idle(peer),
        }
    }

    pub(super) fn forget_hashes(&mut self, peer: &Peer) {
        if let Some(fetch) = &mut self.hashes.fetch {
            fetch.peer_gone(peer.key);
        }
        for blaming in self.blaming.values_mut() {
            blaming.fetch.peer_gone(peer.key);
        }
        self.hashes.waiting.retain(|waiting| waiting.peer != peer.key);
        self.hashes.changed = true;
    }

    /// Layers that are complete become part of what is known.
    fn take_layers(&mut self, peer: &mut Peer) {
        let Some(fetch) = &mut self.hashes.fetch else { return };
        let complete: Vec<(Vec<usize>, Vec<u8>)> = std::iter::from_fn(|| fetch.take_complete()).collect();
        if fetch.is_done() {
            let unanswered: Vec<(u64, u32)> = fetch.unanswered().collect();
            self.hashes.fetch = None;
            peer.hashes_excused += count_of(&unanswered, peer.key);
            self.excuse_hashes(&unanswered);
        }
        for (files, layer) in complete {
            for file in files {
                self.learn_layer(file, layer.clone());
            }
        }
    }

    /// A fetch of hashes has ended: what it had asked may still come, and is no offence.
    pub(super) fn excuse_hashes(&mut self, unanswered: &[(u64, u32)]) {
        for (key, count) in unanswered {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.hashes_excused += count;
            }
        }
    }

    fn learn_layer(&mut self, file: usize, layer: Vec<u8>) {
        let Some(ledger) = &mut self.ledger else { return };
        if !ledger.learn_layer(file, layer) {
            return self.fail(super::Failed::Contradiction);
        }
        // What lies on the disk already is looked at before it is asked for.
        let pieces: Vec<u32> =
            pieces_of(&ledger.content, file).filter(|piece| self.unjudged.contains(piece)).collect();
        for piece in pieces {
            self.unjudged.remove(&piece);
            ledger.picker.begin_this(piece);
            let job = Job::Check { piece, expected: ledger.expected(piece) };
            self.actions.push(Action::Disk { swarm: self.settings.number, job });
        }
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            if let Some(mut peer) = self.peers.remove(&key) {
                self.reckon(&mut peer);
                self.peers.insert(key, peer);
            }
        }
        self.starved = true;
    }

    /// A peer asks for hashes.
    pub(super) fn hash_request(&mut self, peer: &mut Peer, range: HashRange) -> Result<(), Fault> {
        if !peer.v2 {
            return Err(Fault::Close("hashes on a v1 connection"));
        }
        let known = self.hashes.by_root.get(&range.root).copied().zip(self.ledger.as_ref());
        let shape = known.map(|(file, ledger)| {
            (file, TreeShape::of(ledger.content.file_bytes(file), piece_length(ledger)))
        });
        let Some((file, shape)) = shape.filter(|(_, shape)| shape.accepts(&range)) else {
            peer.faults.bad_hash_requests += 1;
            peer.say(&Message::HashReject(range));
            let excess = peer.faults.bad_hash_requests >= SENSELESS_MAX;
            return if excess { Err(Fault::Shun("asks for hashes that cannot be")) } else { Ok(()) };
        };
        if shape.pieces_under(&range).is_empty() {
            self.answer_hashes(peer, file, &range);
            return Ok(());
        }
        let theirs = self.hashes.waiting.iter().filter(|waiting| waiting.peer == peer.key).count();
        if theirs >= HASH_READS_WAITING_MAX {
            peer.say(&Message::HashReject(range));
            return Ok(());
        }
        // Answered once this message has been dealt with: until then the peer is not where an answer looks for it.
        self.hashes.waiting.push_back(Waiting { peer: peer.key, range, file });
        Ok(())
    }

    /// Answers what can be answered from memory; the first that cannot has its block hashes read.
    pub(super) fn read_leaves(&mut self) {
        while let Some(Waiting { peer, range, file }) = self.hashes.waiting.front() {
            let (key, range, file) = (*peer, *range, *file);
            let Some(ledger) = &self.ledger else { return };
            let shape = TreeShape::of(ledger.content.file_bytes(file), piece_length(ledger));
            let first = pieces_of(&ledger.content, file).start;
            let under: Vec<u32> = shape.pieces_under(&range).map(|piece| first + piece).collect();
            let here = under.len() <= LEAVES_KEPT_MAX && under.iter().all(|&piece| ledger.stored.has(piece));
            let missing: Vec<u32> = under
                .iter()
                .copied()
                .filter(|piece| !self.hashes.leaves.iter().any(|(kept, _)| kept == piece))
                .collect();
            if here && !missing.is_empty() {
                if self.hashes.reading.is_empty() {
                    for piece in missing {
                        let ticket = self.new_ticket(Ticket::Leaves);
                        self.hashes.reading.insert(ticket, piece);
                        let job = Job::Leaves { ticket, piece };
                        self.actions.push(Action::Disk { swarm: self.settings.number, job });
                    }
                }
                return;
            }
            self.hashes.waiting.pop_front();
            if let Some(mut peer) = self.peers.remove(&key) {
                self.answer_hashes(&mut peer, file, &range);
                self.touched.push(key);
                self.peers.insert(key, peer);
            }
        }
    }

    /// Block hashes were read for a request that waits.
    pub(super) fn leaves_read(&mut self, ticket: u64, result: Result<Vec<Hash>, Trouble>) {
        let Some(piece) = self.hashes.reading.remove(&ticket) else { return };
        match result {
            Ok(leaves) => {
                self.hashes.leaves.push_back((piece, leaves));
                self.hashes.forget_some();
            }
            Err(trouble) => {
                if let Some(waiting) = self.hashes.waiting.pop_front()
                    && let Some(peer) = self.peers.get_mut(&waiting.peer)
                {
                    peer.say(&Message::HashReject(waiting.range));
                    self.touched.push(waiting.peer);
                }
                self.lost_file(trouble);
            }
        }
        if self.hashes.reading.is_empty() {
            self.read_leaves();
        }
    }

    fn answer_hashes(&mut self, peer: &mut Peer, file: usize, range: &HashRange) {
        let Some(ledger) = &self.ledger else { return };
        if peer.out.len() > ANSWERS_WAITING_BYTES_MAX {
            // It asks faster than it reads.
            peer.say(&Message::HashReject(*range));
            return;
        }
        let content = &ledger.content;
        let shape = TreeShape::of(content.file_bytes(file), piece_length(ledger));
        let first = pieces_of(content, file).start;
        let root = content.file_root(file).unwrap_or_default();
        let layer = if shape.pieces() == 1 { Some(root.as_slice()) } else { ledger.layer(file) };
        let Some(layer) = layer else {
            peer.say(&Message::HashReject(*range));
            return;
        };
        let tops = self.hashes.tops.entry(file).or_insert_with(|| Tops::of(shape, layer)).as_ref();
        let kept = &self.hashes.leaves;
        let leaves = |piece: u32| {
            kept.iter().find(|(known, _)| *known == first + piece).map(|(_, leaves)| leaves.as_slice())
        };
        match answer(range, &FileTree { shape, layer, tops, leaves: &leaves }) {
            Some(hashes) => peer.say(&Message::Hashes { range: *range, hashes: &hashes }),
            None => peer.say(&Message::HashReject(*range)),
        }
    }
}

fn count_of(unanswered: &[(u64, u32)], peer: u64) -> u32 {
    unanswered.iter().find(|(key, _)| *key == peer).map_or(0, |(_, count)| *count)
}

fn piece_length(ledger: &Ledger) -> u32 {
    u32::try_from(ledger.content.layout().piece_length()).unwrap_or(u32::MAX)
}
