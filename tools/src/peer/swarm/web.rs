//! Web seeds: runs of pieces handed to them, and the bytes they send put together into blocks.
//!
//! What a web seed sends begins and ends anywhere, so every block is gathered here and counts when it is whole. A run's
//! buffers are reserved when it is begun: what comes always has a place.

use super::{Action, News, Swarm};
use crate::peer::ledger::data_bytes;
use crate::peer::open::Source;
use crate::peer::wire::Block;
use crate::webseed::{Fetch, Upshot, Wanted, WebEvent, Webseeds};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use weightless::base::Millis;
use weightless::torrent::merkle::BLOCK_BYTES;

/// Who owns a piece that a web seed fetches, and writes its blocks.
pub(super) const WEB: u64 = u64::MAX;

/// What is on its way from web seeds.
#[derive(Default)]
pub(super) struct Gathering {
    /// Blocks of which some bytes have come, and how many.
    blocks: BTreeMap<Block, (Vec<u8>, u32)>,
    /// Whose each request is.
    seeds: HashMap<u64, usize>,
}

impl Swarm {
    /// Begins what web seeds may fetch now.
    pub(super) fn fetch_web(&mut self, now: Millis) {
        if !self.is_leeching() {
            return;
        }
        let (Some(seeds), Some(ledger)) = (&mut self.webseeds, &mut self.ledger) else { return };
        let (open, picker, content) = (&mut ledger.open, &mut ledger.picker, &ledger.content);
        let mut missing = |wanted: Wanted<'_>| {
            let pieces_max = wanted.pieces_max.min(open.room());
            // Looking for a gap is a walk over all pieces, and this is asked in every turn.
            if pieces_max == 0 || picker.waiting() == 0 {
                return None;
            }
            let run = picker.longest_gap(pieces_max, wanted.can)?;
            for piece in run.clone() {
                picker.begin_this(piece);
                open.reserve(piece, content.piece_bytes(piece), data_bytes(content, piece), WEB);
            }
            Some(run)
        };
        let mut fetches = Vec::new();
        seeds.poll(now, &mut missing, &mut fetches);
        self.begin_fetches(fetches);
    }

    fn begin_fetches(&mut self, fetches: Vec<Fetch>) {
        let swarm = self.settings.number;
        for fetch in fetches {
            self.gathering.seeds.insert(fetch.id, fetch.seed);
            self.actions.push(Action::Fetch { swarm, fetch });
        }
    }

    /// A web seed has sent something.
    pub fn fetched(&mut self, now: Millis, event: &WebEvent) {
        self.now = now;
        let Some(seeds) = &mut self.webseeds else { return };
        let mut fetches = Vec::new();
        let upshot = seeds.event(now, event, &mut fetches);
        self.begin_fetches(fetches);
        match event {
            WebEvent::Data { id, bytes, .. } => {
                let seed = self.gathering.seeds.get(id).copied();
                match upshot.stream_at.zip(seed) {
                    Some((at, seed)) => self.web_data(now, at, bytes, Source::Web(seed)),
                    None => self.totals.wasted += bytes.len() as u64,
                }
            }
            WebEvent::Done { id } | WebEvent::Failed { id, .. } => _ = self.gathering.seeds.remove(id),
            WebEvent::Began { .. } => {}
        }
        self.heed(upshot);
    }

    /// Bytes of web seeds that memory has room for.
    pub fn web_room(&self) -> u64 {
        self.ledger.as_ref().map_or(u64::MAX, |ledger| ledger.open.web_room())
    }

    /// Takes bytes that stand at `at` in the stream of pieces.
    fn web_data(&mut self, now: Millis, at: u64, mut bytes: &[u8], source: Source) {
        self.down.add(bytes.len() as u64);
        let Some(piece_length) = self.ledger.as_ref().map(|ledger| ledger.content.layout().piece_length())
        else {
            return;
        };
        let mut at = at;
        while !bytes.is_empty() {
            let (piece, within) = ((at / piece_length) as u32, (at % piece_length) as u32);
            let (index, offset) = (within / BLOCK_BYTES, within % BLOCK_BYTES);
            let open = self.ledger.as_ref().and_then(|ledger| ledger.open.find(piece));
            let block = open.map(|open| open.block(index)).filter(|block| block.length > offset);
            // A piece that was taken away: these bytes are nobody's.
            let length =
                block.map_or(piece_length - u64::from(within), |block| u64::from(block.length - offset));
            let (part, rest) = bytes.split_at(bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
            match block {
                Some(block) => self.gather(now, block, offset, part, source),
                None => self.totals.wasted += part.len() as u64,
            }
            at += part.len() as u64;
            bytes = rest;
        }
    }

    /// Adds bytes to a block; a whole one is delivered.
    fn gather(&mut self, now: Millis, block: Block, offset: u32, part: &[u8], source: Source) {
        if part.len() == block.length as usize {
            return self.deliver(now, block, part, source);
        }
        let fresh = || (vec![0; block.length as usize], 0);
        let (buffer, came) = self.gathering.blocks.entry(block).or_insert_with(fresh);
        let start = offset as usize;
        if let Some(into) = buffer.get_mut(start..start + part.len()) {
            into.copy_from_slice(part);
            *came += part.len() as u32;
        }
        if *came >= block.length
            && let Some((buffer, _)) = self.gathering.blocks.remove(&block)
        {
            self.deliver(now, block, &buffer, source);
        }
    }

    fn deliver(&mut self, now: Millis, block: Block, bytes: &[u8], source: Source) {
        let Some(ledger) = &mut self.ledger else { return };
        if ledger.open.arrives(block, WEB) {
            ledger.open.data(block.piece, block.begin, bytes, WEB);
            self.took(now, block, WEB, source);
        } else {
            self.totals.wasted += u64::from(block.length);
        }
    }

    /// A web seed sent wrong data: it is not asked again in this run.
    pub(super) fn drop_web_seed(&mut self, seed: usize) {
        if let Some(upshot) = self.webseeds.as_mut().map(|seeds| seeds.wrong_data(seed)) {
            self.heed(upshot);
        }
    }

    /// Does what follows from something that happened to a web seed.
    fn heed(&mut self, upshot: Upshot) {
        for pieces in upshot.released {
            self.release_pieces(pieces);
        }
        self.actions.extend(upshot.cancelled.into_iter().map(|id| Action::Drop { id }));
        if let Some((seed, why)) = upshot.dropped {
            let url = self
                .webseeds
                .as_ref()
                .and_then(|seeds| seeds.status().nth(seed))
                .map(|(url, _)| url.to_string());
            self.tell(News::WebSeedDropped { url: url.unwrap_or_default(), why });
        }
    }

    /// Pieces that a web seed had are everybody's again. Blocks that came whole stay if there is a peer who can send the
    /// rest: web seeds begin with whole pieces only.
    fn release_pieces(&mut self, pieces: Range<u32>) {
        self.gathering.blocks.retain(|block, _| !pieces.contains(&block.piece));
        let Some(ledger) = &mut self.ledger else { return };
        let peers = &self.peers;
        for piece in pieces {
            let can_go_on = peers.values().any(|peer| peer.has(piece) && !peer.chokes_us);
            let is_complete = ledger.open.find(piece).is_some_and(|open| open.missing() == 0);
            ledger.open.own(piece, None);
            if ledger.open.is_untouched(piece) || !(can_go_on || is_complete) {
                ledger.open.close(piece);
                ledger.picker.give_back(piece);
            }
        }
        self.starved = true;
    }

    /// Web seeds that are sending.
    pub fn web_seeds_in_use(&self) -> usize {
        let mut seeds: Vec<usize> = self.gathering.seeds.values().copied().collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds.len()
    }

    /// Web seeds that were named.
    pub fn web_seeds(&self) -> usize {
        self.web_seed_count
    }

    /// Whether a web seed may still be of use.
    pub fn has_web_seeds(&self) -> bool {
        self.webseeds.as_ref().is_some_and(|seeds: &Webseeds| !seeds.all_dropped())
    }
}
