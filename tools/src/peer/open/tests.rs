//! Blocks, stripes and buffers: the corners one by one, then anything in any order.

use super::*;
use std::collections::HashMap;
use weightless::base::Rng;

impl OpenPieces {
    /// Panics where something does not hold; `asked` says of how many peers each block is asked.
    pub fn check_invariants(&self, asked: &HashMap<Block, u8>) {
        assert!(self.used + self.reserved <= self.bound, "{} + {}", self.used, self.reserved);
        let mut buffers = 0;
        for open in &self.open {
            let slots = || (0..).zip(&open.slots);
            let free = slots().filter(|(_, slot)| slot.asked == 0 && !slot.here).count();
            assert_eq!(open.free as usize, free, "free blocks of piece {}", open.piece);
            assert_eq!(open.missing as usize, slots().filter(|(_, slot)| !slot.here).count());
            assert!(slots().all(|(at, slot)| at >= open.cursor || slot.asked > 0 || slot.here));
            for (index, slot) in slots() {
                let by = asked.get(&open.block(index)).copied().unwrap_or(0);
                assert!(slot.here || slot.asked == by, "{:?}: {} of {by}", open.block(index), slot.asked);
                assert!(slot.asked <= ASKED_MAX && !(slot.here && slot.writer.is_some()));
            }
            buffers += open.stripes.iter().filter(|stripe| stripe.bytes.capacity() > 0).count();
        }
        assert!(buffers * self.buffer_bytes <= self.used, "{buffers} buffers in {} bytes", self.used);
    }

    fn len(&self) -> usize {
        self.open.len()
    }

    fn bytes_in_use(&self) -> usize {
        self.used
    }
}

const ONE: Source = Source::Web(1);
const TWO: Source = Source::Web(2);
const LONG: u32 = 8 << 20;

fn short() -> OpenPieces {
    let mut pieces = OpenPieces::new(65536, 1 << 20);
    pieces.open(0, 65536, 65536, None);
    pieces
}

fn long(stripes: usize) -> OpenPieces {
    let mut pieces = OpenPieces::new(LONG, stripes * STRIPE_BYTES as usize);
    pieces.open(0, LONG, LONG, None);
    pieces
}

/// A block comes whole from a peer.
fn send(pieces: &mut OpenPieces, block: Block, peer: u64, fill: u8) -> Option<(u8, Full)> {
    if !pieces.arrives(block, peer) {
        return None;
    }
    let half = block.length / 2;
    let bytes = vec![fill; block.length as usize];
    pieces.data(block.piece, block.begin, &bytes[..half as usize], peer);
    pieces.data(block.piece, block.begin + half, &bytes[half as usize..], peer);
    pieces.arrived(block, peer, Source::Web(peer as usize))
}

fn ask_all(pieces: &mut OpenPieces, peer: u64) -> Vec<Block> {
    std::iter::from_fn(|| pieces.ask(0, peer)).collect()
}

#[test]
fn a_held_piece_comes_out_whole_with_zeros_for_its_pads() {
    let mut pieces = OpenPieces::new(65536, 1 << 20);
    pieces.open(0, 65536, 20_000, None);
    let blocks = ask_all(&mut pieces, 1);
    assert_eq!(blocks.iter().map(|block| block.length).collect::<Vec<_>>(), [16384, 3616]);
    assert_eq!(send(&mut pieces, blocks[1], 1, 2), Some((1, Full::Block)));
    let Some((1, Full::Piece(bytes))) = send(&mut pieces, blocks[0], 1, 1) else { panic!("not full") };
    assert!(bytes.len() == 65536 && bytes[..16384].iter().all(|&byte| byte == 1));
    assert!(
        bytes[16384..20_000].iter().all(|&byte| byte == 2) && bytes[20_000..].iter().all(|&byte| byte == 0)
    );
    assert_eq!(pieces.bytes_in_use(), 65536, "the buffer is at the disk");
    pieces.close(0);
    pieces.returned(bytes);
    assert_eq!(pieces.bytes_in_use(), 0);
    // The buffer is used again, and what was in it is gone from the pads.
    pieces.open(1, 65536, 20_000, None);
    let blocks: Vec<Block> = std::iter::from_fn(|| pieces.ask(1, 1)).collect();
    send(&mut pieces, blocks[0], 1, 9);
    let Some((_, Full::Piece(bytes))) = send(&mut pieces, blocks[1], 1, 9) else { panic!("not full") };
    assert!(bytes[20_000..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_long_piece_is_handed_on_in_stripes_and_is_written_when_all_are() {
    let mut pieces = long(40);
    let blocks = ask_all(&mut pieces, 1);
    assert_eq!(blocks.len(), 512);
    let mut stripes = Vec::new();
    for block in blocks {
        if let Some((_, Full::Stripe { begin, bytes })) = send(&mut pieces, block, 1, 7) {
            assert_eq!(bytes.len(), STRIPE_BYTES as usize);
            stripes.push((begin, bytes));
        }
    }
    let begins: Vec<u32> = stripes.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(begins, (0..32).map(|at| at * STRIPE_BYTES).collect::<Vec<_>>());
    for (at, (_, bytes)) in stripes.into_iter().enumerate() {
        pieces.returned(bytes);
        assert_eq!(pieces.stripe_written(0), at == 31);
    }
    assert_eq!(pieces.bytes_in_use(), 0);
}

#[test]
fn without_room_nothing_new_is_asked_and_what_has_a_buffer_is() {
    let mut pieces = long(1);
    let first = ask_all(&mut pieces, 1);
    assert_eq!(first.len(), 16, "one stripe");
    let mut out = Vec::new();
    for block in &first {
        if let Some((_, Full::Stripe { bytes, .. })) = send(&mut pieces, *block, 1, 1) {
            out.push(bytes);
        }
    }
    assert!(pieces.ask(0, 1).is_none(), "the only buffer is at the disk");
    assert_eq!(pieces.free_for(1, |_| true), None);
    pieces.returned(out.pop().expect("one"));
    pieces.stripe_written(0);
    let second = pieces.ask(0, 1).expect("the second stripe");
    assert_eq!(second.begin, STRIPE_BYTES);
    // What was written turns out to be wrong: it has to wait for the buffer, but the rest of the second stripe has one.
    assert_eq!(pieces.forget_source(ONE), [0]);
    let next = pieces.ask(0, 2).expect("a block with a buffer");
    assert_eq!(next.begin, STRIPE_BYTES + BLOCK_BYTES);
    assert_eq!(pieces.free_for(2, |_| true), Some(0));
}

#[test]
fn a_stripe_is_not_written_twice_at_the_same_time() {
    let mut pieces = long(4);
    let blocks: Vec<Block> = (0..16).filter_map(|_| pieces.ask(0, 1)).collect();
    let mut out = Vec::new();
    for block in blocks {
        if let Some((_, Full::Stripe { bytes, .. })) = send(&mut pieces, block, 1, 1) {
            out.push(bytes);
        }
    }
    pieces.forget_source(ONE);
    assert_eq!(pieces.ask(0, 2).map(|block| block.begin), Some(STRIPE_BYTES), "the first is being written");
    pieces.returned(out.pop().expect("one"));
    assert!(!pieces.stripe_written(0));
    pieces.release(Block { piece: 0, begin: STRIPE_BYTES, length: BLOCK_BYTES }, 2);
    assert_eq!(pieces.ask(0, 2).map(|block| block.begin), Some(0));
}

#[test]
fn who_begins_last_writes_the_block_and_the_other_is_dropped() {
    let mut pieces = short();
    let block = pieces.ask(0, 1).expect("free");
    assert_eq!(pieces.ask_again(0, |_| false), Some(block));
    assert!(pieces.arrives(block, 1));
    pieces.data(0, 0, &[1; 9000], 1);
    assert!(pieces.arrives(block, 2));
    pieces.data(0, 0, &[2; 16384], 2);
    pieces.data(0, 9000, &[1; 7384], 1);
    assert_eq!(pieces.arrived(block, 1, ONE), None, "it was taken over");
    assert_eq!(pieces.arrived(block, 2, TWO), Some((2, Full::Block)));
    assert_eq!(pieces.find(0).expect("open").sources()[0], Some(TWO));
    assert!(!pieces.arrives(block, 1), "it is here");
    for peer in [1, 1, 1] {
        let block = pieces.ask(0, peer).expect("three more");
        send(&mut pieces, block, peer, 3);
    }
    assert_eq!(pieces.find(0).expect("open").missing(), 0);
    assert_eq!(pieces.find(0).expect("open").single_source(), None);
}

#[test]
fn a_released_block_is_free_again_and_may_still_come_late() {
    let mut pieces = short();
    let block = pieces.ask(0, 1).expect("free");
    let other = pieces.ask(0, 1).expect("free");
    pieces.release(block, 1);
    assert_eq!(send(&mut pieces, block, 1, 1), Some((0, Full::Block)), "late, and nobody was asked again");
    let third = pieces.ask(0, 2).expect("free");
    assert!(third != block && third != other);
    pieces.release(block, 1);
    pieces.release(other, 1);
    pieces.release(Block { piece: 9, begin: 0, length: 1 }, 1);
    assert_eq!(pieces.ask(0, 2), Some(other));
    // Asked of a second peer, and then the first one sends it after all.
    assert_eq!(send(&mut pieces, other, 1, 1), Some((1, Full::Block)));
}

#[test]
fn a_writer_that_goes_leaves_the_block_to_others() {
    let mut pieces = short();
    let block = pieces.ask(0, 1).expect("free");
    assert!(pieces.arrives(block, 1));
    pieces.data(0, 0, &[1; 100], 1);
    pieces.release(block, 1);
    pieces.data(0, 100, &[1; 100], 1);
    assert_eq!(pieces.arrived(block, 1, ONE), None);
    assert_eq!(pieces.ask(0, 2), Some(block));
    assert_eq!(send(&mut pieces, block, 2, 2), Some((1, Full::Block)));
}

#[test]
fn a_block_is_asked_of_three_peers_at_most() {
    let mut pieces = short();
    let block = pieces.ask(0, 1).expect("free");
    assert_eq!(pieces.ask_again(0, |_| true), None, "it was asked of this peer");
    assert_eq!(pieces.ask_again(0, |_| false), Some(block));
    assert_eq!(pieces.ask_again(0, |_| false), Some(block));
    assert_eq!(pieces.ask_again(0, |_| false), None);
    pieces.release(block, 1);
    assert_eq!(pieces.ask_again(0, |_| false), Some(block));
    assert_eq!(send(&mut pieces, block, 2, 1), Some((3, Full::Block)));
}

#[test]
fn an_owned_piece_is_asked_of_and_taken_from_its_owner_only() {
    let mut pieces = short();
    pieces.own(0, Some(7));
    assert_eq!((pieces.ask(0, 1), pieces.free_for(1, |_| true)), (None, None));
    let block = pieces.ask(0, 7).expect("its own");
    assert!(!pieces.arrives(block, 1) && pieces.arrives(block, 7));
    pieces.disown(7);
    assert!(pieces.ask(0, 1).is_some());
}

#[test]
fn what_one_source_sent_is_forgotten_and_the_rest_stays() {
    let mut pieces = short();
    let blocks = ask_all(&mut pieces, 1);
    send(&mut pieces, blocks[0], 1, 1);
    send(&mut pieces, blocks[1], 2, 2);
    send(&mut pieces, blocks[2], 1, 1);
    assert_eq!(pieces.forget_source(ONE), [0]);
    assert!(pieces.forget_source(ONE).is_empty());
    assert_eq!(pieces.find(0).expect("open").missing(), 3);
    assert_eq!(pieces.ask(0, 3), Some(blocks[0]));
    assert_eq!(pieces.ask(0, 3), Some(blocks[2]));
    assert_eq!(pieces.ask(0, 3), None, "the last one is still asked of the first peer");
}

#[test]
fn a_wrong_piece_is_opened_again_and_keeps_its_good_blocks() {
    let mut pieces = short();
    let blocks = ask_all(&mut pieces, 1);
    let mut whole = None;
    for (peer, block) in (1..).zip(&blocks) {
        if let Some((_, Full::Piece(bytes))) = send(&mut pieces, *block, peer, peer as u8) {
            whole = Some(bytes);
        }
    }
    assert!(pieces.forget_source(ONE).is_empty(), "it is complete: the disk has it");
    pieces.reopen(0, whole, None, |index| index == 2);
    assert_eq!(ask_all(&mut pieces, 9), [blocks[2]]);
    let Some((_, Full::Piece(bytes))) = send(&mut pieces, blocks[2], 9, 9) else { panic!("not full") };
    let fills: Vec<u8> = bytes.chunks(16384).map(|block| block[16383]).collect();
    assert_eq!(fills, [1, 2, 9, 4]);
}

#[test]
fn a_web_seed_has_its_room_before_it_begins_and_nobody_else_gets_it() {
    let mut pieces = OpenPieces::new(65536, 3 * 65536);
    pieces.reserve(5, 65536, 65536, 99);
    pieces.reserve(6, 65536, 65536, 99);
    assert_eq!(pieces.room(), 1);
    pieces.open(0, 65536, 65536, None);
    let block = pieces.ask(0, 1).expect("the last room");
    pieces.open(1, 65536, 65536, None);
    assert_eq!(pieces.ask(1, 1), None);
    assert!(pieces.arrives(Block { piece: 5, ..block }, 99));
    assert_eq!((pieces.room(), pieces.bytes_in_use()), (0, 2 * 65536));
    // What it did not begin is given back; what it began stays.
    pieces.own(5, None);
    pieces.own(6, None);
    assert!(pieces.is_untouched(6) && pieces.close(6) && !pieces.close(6));
    assert_eq!(pieces.room(), 1);
    assert!(pieces.ask(1, 1).is_some());
    pieces.check_invariants(&[(block, 1), (Block { piece: 1, ..block }, 1)].into());
}

#[test]
fn a_web_seed_that_sent_a_wrong_piece_keeps_no_promise() {
    let mut pieces = OpenPieces::new(LONG, STRIPE_BYTES as usize);
    pieces.reserve(0, LONG, 2 * STRIPE_BYTES, 99);
    for index in 0..32 {
        let block = pieces.find(0).expect("open").block(index);
        if let Some((_, Full::Stripe { bytes, .. })) = send(&mut pieces, block, 99, 1) {
            pieces.returned(bytes);
            pieces.stripe_written(0);
        }
    }
    pieces.reopen(0, None, None, |_| true);
    assert_eq!(ask_all(&mut pieces, 1).len(), 16, "no more than the bound");
    assert_eq!(pieces.web_room(), u64::from(STRIPE_BYTES), "what has a buffer can be filled");
}

/// Two hundred runs of anything in any order: blocks never get lost, buffers stay within the bound, and what comes out
/// is what the last writer of each block sent.
#[test]
fn whatever_happens_nothing_is_lost_and_memory_is_bounded() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (piece_length, bound) = match seed % 3 {
            0 => (65536, 3 * 65536),
            1 => (LONG, 2 * STRIPE_BYTES as usize),
            _ => (16384, 5 * 16384),
        };
        let mut model = Model::new(piece_length, bound);
        for _ in 0..3000 {
            model.step(&mut rng);
        }
        assert!(model.finish(), "seed {seed}: a block was lost");
    }
}

struct Model {
    pieces: OpenPieces,
    piece_length: u32,
    asked: Vec<(u64, Block)>,
    at_disk: Vec<(u32, bool, Vec<u8>)>,
    next: u32,
}

const OPEN_MAX: usize = 4;

impl Model {
    fn new(piece_length: u32, bound: usize) -> Self {
        let pieces = OpenPieces::new(piece_length, bound);
        Self { pieces, piece_length, asked: Vec::new(), at_disk: Vec::new(), next: 0 }
    }

    fn step(&mut self, rng: &mut Rng) {
        let peer = u64::from(rng.below(4));
        match rng.below(16) {
            0 => self.begin(rng),
            1..=5 => self.ask(peer),
            6 => self.ask_again(peer),
            7..=11 if !self.asked.is_empty() => {
                let at = rng.below(self.asked.len() as u32) as usize;
                let (peer, block) = self.asked.swap_remove(at);
                if rng.below(5) == 0 { self.pieces.release(block, peer) } else { self.deliver(peer, block) }
            }
            12 if self.at_disk.len() > 1 || rng.below(3) == 0 => self.disk(),
            13 if rng.below(20) == 0 => _ = self.pieces.forget_source(Source::Web(peer as usize)),
            14 if rng.below(20) == 0 => self.disk_refuses(rng),
            _ => {}
        }
        self.check();
    }

    fn begin(&mut self, rng: &mut Rng) {
        if self.pieces.len() >= OPEN_MAX || !self.pieces.has_room() {
            return;
        }
        // A long piece of a few stripes only: as the last one of a file.
        let longest = self.piece_length.min(3 * STRIPE_BYTES);
        let data = 1 + rng.below(longest);
        let whole = if self.piece_length == LONG { data } else { self.piece_length };
        self.pieces.open(self.next, whole, data, None);
        self.next += 1;
    }

    fn ask(&mut self, peer: u64) {
        if let Some(piece) = self.pieces.free_for(peer, |_| true) {
            let block = self.pieces.ask(piece, peer).expect("it was said to be free");
            self.asked.push((peer, block));
        }
    }

    fn ask_again(&mut self, peer: u64) {
        let open: Vec<u32> = self.pieces.iter().map(|open| open.piece).collect();
        let was_asked = |block: &Block| self.asked.contains(&(peer, *block));
        let again = open.into_iter().find_map(|piece| self.pieces.ask_again(piece, was_asked));
        self.asked.extend(again.map(|block| (peer, block)));
    }

    fn deliver(&mut self, peer: u64, block: Block) {
        let fill = block.piece as u8 ^ (block.begin / BLOCK_BYTES) as u8;
        match send(&mut self.pieces, block, peer, fill) {
            Some((_, full)) => {
                // The others are told that it is here.
                self.asked.retain(|(_, asked)| *asked != block);
                match full {
                    Full::Block => {}
                    Full::Piece(bytes) => self.at_disk.push((block.piece, true, bytes)),
                    Full::Stripe { bytes, .. } => self.at_disk.push((block.piece, false, bytes)),
                }
            }
            None => self.pieces.release(block, peer),
        }
    }

    fn disk(&mut self) {
        if self.at_disk.is_empty() {
            return;
        }
        let (piece, whole, bytes) = self.at_disk.remove(0);
        let done = whole || {
            self.pieces.returned(bytes.clone());
            self.pieces.stripe_written(piece)
        };
        if done {
            self.pieces.close(piece);
        }
        if whole {
            let blocks = bytes.chunks(BLOCK_BYTES as usize).enumerate();
            let right = |(at, block): (usize, &[u8])| block[0] == piece as u8 ^ at as u8 || block[0] == 0;
            assert!(blocks.into_iter().all(right), "every block is whole and in its place");
            self.pieces.returned(bytes);
        }
    }

    /// A held piece comes back wrong.
    fn disk_refuses(&mut self, rng: &mut Rng) {
        if let Some(at) = self.at_disk.iter().position(|(_, whole, _)| *whole) {
            let (piece, _, bytes) = self.at_disk.remove(at);
            let bad = rng.below(4);
            self.pieces.reopen(piece, Some(bytes), None, |index| index >= bad || index == 0);
        }
    }

    fn check(&self) {
        let mut asked = HashMap::new();
        self.asked.iter().for_each(|(_, block)| *asked.entry(*block).or_insert(0) += 1);
        self.pieces.check_invariants(&asked);
    }

    /// One good peer asks for what is left: everything comes to an end.
    fn finish(&mut self) -> bool {
        for (peer, block) in std::mem::take(&mut self.asked) {
            self.pieces.release(block, peer);
        }
        for _ in 0..20_000 {
            self.ask(9);
            if let Some((peer, block)) = self.asked.pop() {
                self.deliver(peer, block);
            }
            self.disk();
            self.check();
        }
        self.pieces.len() == 0 && self.pieces.bytes_in_use() == 0
    }
}
