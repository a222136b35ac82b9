//! The pieces being fetched: which block was asked of how many peers, whose bytes are in it, and the buffers they lie in.
//!
//! A piece of at most [`HELD_BYTES_MAX`] lies in one buffer until it is complete. A larger one is cut into stripes that
//! are handed on as soon as each is full, so memory never depends on the piece length. All buffers together, those out
//! at the disk included, stay under a bound; where it is reached nothing new is begun.
//!
//! A block has one writer at a time. Somebody who begins to send it takes it over, and what the former writer still
//! sends is dropped: a block that is complete came whole from its source.

use super::wire::Block;
use std::net::SocketAddr;
use weightless::torrent::merkle::BLOCK_BYTES;

/// Longest piece that is held in memory whole.
pub const HELD_BYTES_MAX: u32 = 4 << 20;
/// Bytes of a stripe of a longer one.
pub const STRIPE_BYTES: u32 = 256 << 10;
/// How many peers may be asked for one block near the end.
const ASKED_MAX: u8 = 3;

/// Who sent a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A peer at its address.
    Peer(SocketAddr),
    /// A web seed by its number.
    Web(usize),
}

/// One piece being fetched.
pub struct Open {
    /// Which one.
    pub piece: u32,
    /// Whose alone it is, if not everybody's.
    pub owner: Option<u64>,
    /// Bytes as hashed, zeros of pads included.
    piece_bytes: u32,
    /// Bytes that count: pads behind them are zeros, asked for or not.
    data_bytes: u32,
    slots: Vec<Slot>,
    stripes: Vec<Stripe>,
    free: u32,
    missing: u32,
    /// No block before this one is free.
    cursor: u32,
    /// Stripes handed on and not yet confirmed.
    out: u32,
    /// Whether a buffer is promised to it that it does not have yet.
    reserved: bool,
    /// Whether it gets buffers even when there is no room: somebody sends it who cannot be asked to wait.
    promised: bool,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    asked: u8,
    here: bool,
    writer: Option<u64>,
    source: Option<Source>,
}

#[derive(Default)]
struct Stripe {
    bytes: Vec<u8>,
    missing: u32,
    handed_on: bool,
    /// It was handed on and is fetched again.
    again: bool,
}

/// What a finished block brought about.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// Nothing more.
    Block,
    /// A stripe of a long piece is complete: its place and bytes.
    Stripe {
        /// Where it begins in the piece.
        begin: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A piece that is held is complete: its bytes, pads included.
    Piece(Vec<u8>),
}

/// All pieces being fetched.
pub struct OpenPieces {
    open: Vec<Open>,
    spare: Vec<Vec<u8>>,
    piece_length: u32,
    buffer_bytes: usize,
    used: usize,
    /// Of pieces that were promised a buffer and have none yet.
    reserved: usize,
    bound: usize,
}

impl OpenPieces {
    /// Room for buffers of `memory_bytes_max` together, and for one at least.
    pub fn new(piece_length: u32, memory_bytes_max: usize) -> Self {
        let buffer_bytes = if is_held(piece_length) { piece_length } else { STRIPE_BYTES } as usize;
        let bound = memory_bytes_max.max(buffer_bytes);
        Self { open: Vec::new(), spare: Vec::new(), piece_length, buffer_bytes, used: 0, reserved: 0, bound }
    }

    /// How many open pieces have blocks that nobody was asked for.
    pub fn begun(&self) -> usize {
        self.open.iter().filter(|open| open.free > 0).count()
    }

    /// Whether another buffer fits.
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more buffers fit.
    pub fn room(&self) -> u32 {
        let free = self.bound.saturating_sub(self.used + self.reserved) / self.buffer_bytes;
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// The open pieces.
    pub fn iter(&self) -> impl Iterator<Item = &Open> {
        self.open.iter()
    }

    /// One of them.
    pub fn find(&self, piece: u32) -> Option<&Open> {
        self.open.iter().find(|open| open.piece == piece)
    }

    fn find_mut(&mut self, piece: u32) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.piece == piece)
    }

    /// Opens a piece with nothing in it. `data_bytes` are asked for; the rest up to `piece_bytes` is zeros.
    pub fn open(&mut self, piece: u32, piece_bytes: u32, data_bytes: u32, owner: Option<u64>) {
        debug_assert!(self.find(piece).is_none() && data_bytes <= piece_bytes);
        let blocks = data_bytes.div_ceil(BLOCK_BYTES);
        let stripes = if is_held(self.piece_length) { 1 } else { data_bytes.div_ceil(STRIPE_BYTES) };
        let per_stripe = if is_held(self.piece_length) { blocks } else { STRIPE_BYTES / BLOCK_BYTES };
        let missing = |stripe: u32| per_stripe.min(blocks - (stripe * per_stripe).min(blocks));
        self.open.push(Open {
            piece,
            owner,
            piece_bytes,
            data_bytes,
            slots: vec![Slot::default(); blocks as usize],
            stripes: (0..stripes).map(|at| Stripe { missing: missing(at), ..Stripe::default() }).collect(),
            free: blocks,
            missing: blocks,
            cursor: 0,
            out: 0,
            reserved: false,
            promised: false,
        });
    }

    /// Opens a piece that is promised the room it needs: all of it, or where it is cut into stripes, one of them at a time.
    pub fn reserve(&mut self, piece: u32, piece_bytes: u32, data_bytes: u32, owner: u64) {
        self.open(piece, piece_bytes, data_bytes, Some(owner));
        self.reserved += self.buffer_bytes;
        if let Some(open) = self.find_mut(piece) {
            open.reserved = true;
            open.promised = true;
        }
    }

    /// Closes a piece and takes its buffers back; says whether it was open.
    pub fn close(&mut self, piece: u32) -> bool {
        let Some(at) = self.open.iter().position(|open| open.piece == piece) else { return false };
        let open = self.open.swap_remove(at);
        self.reserved -= if open.reserved { self.buffer_bytes } else { 0 };
        for stripe in open.stripes {
            if stripe.bytes.capacity() > 0 {
                self.returned(stripe.bytes);
            }
        }
        true
    }

    /// A buffer came back from the disk.
    pub fn returned(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.used >= self.buffer_bytes);
        self.used = self.used.saturating_sub(self.buffer_bytes);
        if bytes.capacity() >= self.buffer_bytes {
            self.spare.push(bytes);
        }
    }

    /// Asks a peer for the next free block of a piece, in order; `None` when none is free, the piece is another peer's, or
    /// a stripe more has no room.
    pub fn ask(&mut self, piece: u32, peer: u64) -> Option<Block> {
        let at = self.open.iter().position(|open| open.piece == piece)?;
        let open = self.open.get(at).filter(|open| open.is_open_to(peer))?;
        let (first, index) = self.askable(open)?;
        if !self.make_room(at, index) {
            return None;
        }
        let open = self.open.get_mut(at)?;
        open.cursor = if first == index { index + 1 } else { first };
        open.free -= 1;
        open.slots.get_mut(index as usize)?.asked = 1;
        Some(open.block(index))
    }

    /// An open piece of which a peer can be asked for something new.
    pub fn free_for(&self, peer: u64, has: impl Fn(u32) -> bool) -> Option<u32> {
        let fits = |open: &&Open| open.is_open_to(peer) && has(open.piece) && self.askable(open).is_some();
        self.open.iter().find(fits).map(|open| open.piece)
    }

    /// The first free block of a piece, and the first that has a buffer or could get one: without room, a stripe further
    /// behind may still have its buffer and lack blocks.
    fn askable(&self, open: &Open) -> Option<(u32, u32)> {
        if open.free == 0 {
            return None;
        }
        let held = is_held(self.piece_length);
        let room = self.has_room() || open.promised;
        let first = open.cursor as usize;
        let free = open.slots.get(first..)?.iter().zip(open.cursor..);
        let mut free = free.filter(|(slot, _)| slot.asked == 0 && !slot.here).map(|(_, index)| index);
        let first = free.next()?;
        let index = if open.can_fill(first, held, room) {
            first
        } else {
            free.find(|&index| open.can_fill(index, held, room))?
        };
        Some((first, index))
    }

    /// Whether nothing of a piece has come or is asked for.
    pub fn is_untouched(&self, piece: u32) -> bool {
        self.find(piece).is_some_and(|open| open.free == open.blocks() && open.out == 0)
    }

    /// From now on a piece is one peer's alone, or everybody's.
    pub fn own(&mut self, piece: u32, owner: Option<u64>) {
        let freed = if let Some(open) = self.find_mut(piece) {
            open.owner = owner;
            open.promised = false;
            std::mem::take(&mut open.reserved)
        } else {
            false
        };
        self.reserved -= if freed { self.buffer_bytes } else { 0 };
    }

    /// Bytes that web seeds may bring now. What is held whole has its room from the start; stripes are bounded by who
    /// reads: past the bound, which a stripe of each may exceed, it waits for the disk.
    pub fn web_room(&self) -> u64 {
        if is_held(self.piece_length) {
            return u64::MAX;
        }
        let left = self.bound.checked_sub(self.used);
        left.map_or(0, |left| (left as u64).max(STRIPE_BYTES.into()))
    }

    /// What was one peer's alone is everybody's.
    pub fn disown(&mut self, peer: u64) {
        for open in self.open.iter_mut().filter(|open| open.owner == Some(peer)) {
            open.owner = None;
        }
    }

    /// A block of a piece that others were asked for already, and `asked_of_this_peer` does not have; near the end.
    pub fn ask_again(&mut self, piece: u32, asked_of_this_peer: impl Fn(&Block) -> bool) -> Option<Block> {
        let open = self.find_mut(piece)?;
        let index = (0..open.slots.len() as u32).find(|&index| {
            let slot = open.slots.get(index as usize).copied().unwrap_or_default();
            !slot.here && (1..ASKED_MAX).contains(&slot.asked) && !asked_of_this_peer(&open.block(index))
        })?;
        open.slots.get_mut(index as usize)?.asked += 1;
        Some(open.block(index))
    }

    /// A peer will not send a block after all.
    pub fn release(&mut self, block: Block, peer: u64) {
        let Some(open) = self.find_mut(block.piece) else { return };
        let index = block.begin / BLOCK_BYTES;
        let Some(slot) = open.slots.get_mut(index as usize) else { return };
        if slot.writer == Some(peer) {
            slot.writer = None;
        }
        if slot.here || slot.asked == 0 {
            return;
        }
        slot.asked -= 1;
        if slot.asked == 0 {
            open.free += 1;
            open.cursor = open.cursor.min(index);
        }
    }

    /// A peer begins to send a block. Says whether it is wanted: asked of somebody, and not here.
    pub fn arrives(&mut self, block: Block, peer: u64) -> bool {
        let Some(at) = self.open.iter().position(|open| open.piece == block.piece) else { return false };
        let index = block.begin / BLOCK_BYTES;
        let Some(open) = self.open.get(at) else { return false };
        let wanted = open.slots.get(index as usize).is_some_and(|slot| !slot.here)
            && open.block(index) == block
            && open.owner.is_none_or(|owner| owner == peer);
        if !wanted || !self.make_room(at, index) {
            return false;
        }
        let slot = self.open.get_mut(at).and_then(|open| open.slots.get_mut(index as usize));
        slot.is_some_and(|slot| {
            slot.writer = Some(peer);
            true
        })
    }

    /// Bytes of a block that `peer` is sending, at `begin` in the piece. Dropped when somebody else took the block over.
    pub fn data(&mut self, piece: u32, begin: u32, bytes: &[u8], peer: u64) {
        let held = is_held(self.piece_length);
        let Some(open) = self.find_mut(piece) else { return };
        let writer = open.slots.get((begin / BLOCK_BYTES) as usize).and_then(|slot| slot.writer);
        if writer != Some(peer) {
            return;
        }
        let (stripe, at) = if held { (0, begin) } else { (begin / STRIPE_BYTES, begin % STRIPE_BYTES) };
        let into = open
            .stripes
            .get_mut(stripe as usize)
            .and_then(|stripe| stripe.bytes.get_mut(at as usize..at as usize + bytes.len()));
        if let Some(into) = into {
            into.copy_from_slice(bytes);
        }
    }

    /// The last byte of a block came. `None` when it does not count, because somebody else sent it; else how many peers
    /// had been asked for it, and what it completed.
    pub fn arrived(&mut self, block: Block, peer: u64, source: Source) -> Option<(u8, Full)> {
        let piece_length = self.piece_length;
        let open = self.find_mut(block.piece)?;
        let index = block.begin / BLOCK_BYTES;
        let slot = open.slots.get_mut(index as usize)?;
        if slot.writer != Some(peer) || slot.here {
            return None;
        }
        let asked = slot.asked;
        *slot = Slot { asked: 0, here: true, writer: None, source: Some(source) };
        if asked == 0 {
            // Nobody was asked any more: it had been counted as free.
            open.free -= 1;
        }
        open.missing -= 1;
        Some((asked, open.fill(block.begin, piece_length)))
    }

    /// A stripe handed on was written; says whether the whole piece is.
    pub fn stripe_written(&mut self, piece: u32) -> bool {
        self.find_mut(piece).is_some_and(|open| {
            open.out = open.out.saturating_sub(1);
            open.missing == 0 && open.out == 0
        })
    }

    /// Takes blocks of a piece back into the state of never having come: those `is_bad` names. The bytes of a held piece
    /// come back with it.
    pub fn reopen(
        &mut self,
        piece: u32,
        bytes: Option<Vec<u8>>,
        owner: Option<u64>,
        is_bad: impl Fn(u32) -> bool,
    ) {
        let held = is_held(self.piece_length);
        // From now on it is like every other piece, whoever fetched it first.
        self.own(piece, owner);
        let Some(open) = self.find_mut(piece) else { return };
        open.cursor = 0;
        if let (Some(bytes), Some(stripe)) = (bytes, open.stripes.first_mut()) {
            stripe.bytes = bytes;
            stripe.handed_on = false;
        }
        for index in 0..open.slots.len() as u32 {
            if is_bad(index) {
                open.forget(index, held);
            }
        }
    }

    /// Drops what `source` sent of pieces that are not complete yet; says of which pieces there was something.
    pub fn forget_source(&mut self, source: Source) -> Vec<u32> {
        let held = is_held(self.piece_length);
        let mut touched = Vec::new();
        for open in self.open.iter_mut().filter(|open| open.missing > 0) {
            let theirs = |slot: &Slot| slot.here && slot.source == Some(source);
            let indexes: Vec<u32> =
                (0..).zip(&open.slots).filter(|(_, slot)| theirs(slot)).map(|(at, _)| at).collect();
            for &index in &indexes {
                open.forget(index, held);
            }
            if !indexes.is_empty() {
                touched.push(open.piece);
            }
        }
        touched
    }

    /// Sees that the stripe of a block has a buffer.
    fn make_room(&mut self, at: usize, index: u32) -> bool {
        let held = is_held(self.piece_length);
        let room = self.has_room();
        let bytes_max = self.buffer_bytes;
        let Some(open) = self.open.get_mut(at) else { return false };
        let number = if held { 0 } else { index / (STRIPE_BYTES / BLOCK_BYTES) };
        let length =
            if held { open.piece_bytes } else { (open.data_bytes - number * STRIPE_BYTES).min(STRIPE_BYTES) };
        let data = if held { open.data_bytes } else { length } as usize;
        let has_buffer = |stripe: &Stripe| stripe.bytes.capacity() > 0;
        if open.stripes.get(number as usize).is_some_and(has_buffer) {
            return true;
        }
        if !open.can_fill(index, held, room || open.promised) {
            return false;
        }
        let Some(stripe) = open.stripes.get_mut(number as usize) else { return false };
        if std::mem::take(&mut open.reserved) {
            self.reserved -= bytes_max;
        }
        self.used += bytes_max;
        let mut bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(bytes_max));
        bytes.resize(length as usize, 0);
        if let Some(pads) = bytes.get_mut(data..) {
            pads.fill(0);
        }
        stripe.bytes = bytes;
        true
    }
}

impl Open {
    /// Whether a peer may send blocks of it.
    pub fn is_open_to(&self, peer: u64) -> bool {
        self.owner.is_none_or(|owner| owner == peer)
    }

    /// Whether a block can be asked for that nobody was asked for.
    pub fn has_free(&self) -> bool {
        self.free > 0
    }

    /// Blocks that have not come.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Who sent each block.
    pub fn sources(&self) -> Vec<Option<Source>> {
        self.slots.iter().map(|slot| slot.source).collect()
    }

    /// The only source of all blocks, if there is one.
    pub fn single_source(&self) -> Option<Source> {
        let first = self.slots.first()?.source?;
        self.slots.iter().all(|slot| slot.source == Some(first)).then_some(first)
    }

    /// One of its blocks.
    pub fn block(&self, index: u32) -> Block {
        let begin = index * BLOCK_BYTES;
        Block { piece: self.piece, begin, length: BLOCK_BYTES.min(self.data_bytes.saturating_sub(begin)) }
    }

    /// A block as a peer sends it, up to the last byte that is not padding.
    pub fn without_pads(&self, block: Block) -> Block {
        Block { length: block.length.min(self.data_bytes.saturating_sub(block.begin)), ..block }
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Whether the stripe of a block has a buffer, or may get one. One that is written again waits until nothing of the
    /// piece is on its way to the disk: two writes of the same bytes could overtake each other.
    fn can_fill(&self, index: u32, held: bool, room: bool) -> bool {
        let number = if held { 0 } else { index / (STRIPE_BYTES / BLOCK_BYTES) };
        self.stripes.get(number as usize).is_some_and(|stripe| {
            let waits = stripe.handed_on || (stripe.again && self.out > 0);
            stripe.bytes.capacity() > 0 || (room && !waits)
        })
    }

    fn fill(&mut self, begin: u32, piece_length: u32) -> Full {
        let held = is_held(piece_length);
        let number = if held { 0 } else { begin / STRIPE_BYTES };
        let Some(stripe) = self.stripes.get_mut(number as usize) else { return Full::Block };
        stripe.missing -= 1;
        if stripe.missing > 0 {
            return Full::Block;
        }
        stripe.handed_on = true;
        let bytes = std::mem::take(&mut stripe.bytes);
        if held {
            return Full::Piece(bytes);
        }
        self.out += 1;
        Full::Stripe { begin: number * STRIPE_BYTES, bytes }
    }

    /// A block that came has never come. In a stripe that was handed on all its blocks share that, because its other bytes
    /// are no longer here.
    fn forget(&mut self, index: u32, held: bool) {
        let per_stripe = STRIPE_BYTES / BLOCK_BYTES;
        let number = if held { 0 } else { index / per_stripe };
        let handed_on = self.stripes.get(number as usize).is_some_and(|stripe| stripe.handed_on);
        let indexes =
            if handed_on { number * per_stripe..(number + 1) * per_stripe } else { index..index + 1 };
        for index in indexes {
            let Some(slot) = self.slots.get_mut(index as usize).filter(|slot| slot.here) else { continue };
            *slot = Slot::default();
            self.free += 1;
            self.missing += 1;
            self.cursor = self.cursor.min(index);
            if let Some(stripe) = self.stripes.get_mut(number as usize) {
                stripe.missing += 1;
            }
        }
        if let Some(stripe) = self.stripes.get_mut(number as usize) {
            stripe.again |= stripe.handed_on && !held;
            stripe.handed_on = false;
        }
    }
}

fn is_held(piece_length: u32) -> bool {
    piece_length <= HELD_BYTES_MAX
}

#[cfg(test)]
mod tests;
