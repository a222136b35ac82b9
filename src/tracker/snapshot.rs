//! A slice of the table as bytes, and back: what is written to disk every few seconds, so that a restart is not a
//! stampede.
//!
//! ```text
//! header   "WLS1", slice u8, 3 zero bytes, tick length in ms u32, current tick u16, 2 zero bytes, entries u32
//! entry    key 20, completed u32 (0 when the database keeps it), blocks of IPv4 u32, blocks of IPv6 u32, the blocks
//! block    peers u16, then addresses, tags, ticks and bits of all of them, one array after the other
//! trailer  checksum of everything before, u64
//! ```
//!
//! All integers little-endian, addresses big-endian as on the wire.

use super::block::{Block, Peer};
use super::slice::Slice;
use super::slot::{Slot, flags};
use super::tick::{Lifetimes, Tick};
use crate::base::{PeerId, SwarmKey, UnixSeconds};
use std::net::SocketAddr;

/// One slice of the swarm table as it goes to disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SliceSnapshot {
    /// The first byte of every key in it.
    pub slice: u8,
    /// When it was taken.
    pub taken_at: UnixSeconds,
    /// What `encode` wrote.
    pub bytes: Vec<u8>,
}

/// A client as another tracker's file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormerPeer {
    /// What it announced.
    pub key: SwarmKey,
    /// Its id.
    pub peer_id: PeerId,
    /// Where others reach it: not mapped, not unspecified, a port.
    pub address: SocketAddr,
    /// When it last announced.
    pub seen: UnixSeconds,
    /// Whether it had everything.
    pub complete: bool,
}

/// Writes one slice. Entries without peers are left out, unless their count of completed downloads has no other home.
pub fn encode(number: u8, slice: &Slice, now: Tick, lifetimes: &Lifetimes) -> Vec<u8> {
    let kept = |slot: &&Slot| !slot.is_empty() || (slot.completed > 0 && !slot.is(flags::REGISTERED));
    let entries = slice.slots().filter(kept);
    let peers: usize = entries.clone().map(|slot| slot.len() as usize).sum();
    let mut out = Vec::with_capacity(64 + peers * 15 + entries.clone().count() * 34);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[number, 0, 0, 0]);
    out.extend_from_slice(&lifetimes.tick_ms().to_le_bytes());
    out.extend_from_slice(&now.0.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(entries.clone().count() as u32).to_le_bytes());
    for slot in entries {
        encode_slot(slot, &mut out);
    }
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn encode_slot(slot: &Slot, out: &mut Vec<u8>) {
    out.extend_from_slice(&slot.key.0);
    let completed = if slot.is(flags::REGISTERED) { 0 } else { slot.completed };
    out.extend_from_slice(&completed.to_le_bytes());
    let counts_at = out.len();
    out.extend_from_slice(&[0; 8]);
    let blocks4 = encode_blocks(slot.v4.blocks(), out);
    let blocks6 = slot.v6.as_ref().map_or(0, |swarm| encode_blocks(swarm.blocks(), out));
    out[counts_at..counts_at + 4].copy_from_slice(&blocks4.to_le_bytes());
    out[counts_at + 4..counts_at + 8].copy_from_slice(&blocks6.to_le_bytes());
}

fn encode_blocks<'a, const N: usize>(blocks: impl Iterator<Item = &'a Block<N>>, out: &mut Vec<u8>) -> u32 {
    let mut count = 0;
    for block in blocks.filter(|block| !block.is_empty()) {
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        block.columns().into_iter().for_each(|column| out.extend_from_slice(column));
        count += 1;
    }
    count
}

/// One torrent of a stored slice.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its key.
    pub key: SwarmKey,
    /// Completed downloads of an unregistered torrent.
    pub completed: u32,
    /// Its IPv4 peers that are still alive.
    pub v4: Vec<Peer<6>>,
    /// Its IPv6 peers that are still alive.
    pub v6: Vec<Peer<18>>,
}

/// The clocks when a stored slice is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// When the slice was written.
    pub taken_at: UnixSeconds,
    /// The wall clock.
    pub unix: UnixSeconds,
    /// The current tick.
    pub now: Tick,
    /// How long peers live.
    pub lifetimes: &'a Lifetimes,
}

/// Reads one slice, entry by entry. Times that would lie in the future become now. `None`: not such a slice, or
/// damaged; then nothing has been given to `entry`.
pub fn decode(
    number: u8,
    bytes: &[u8],
    reading: Reading<'_>,
    mut entry: impl FnMut(StoredEntry),
) -> Option<()> {
    let (body, sum) = bytes.split_last_chunk::<8>()?;
    if checksum(body) != u64::from_le_bytes(*sum) {
        return None;
    }
    let mut input = Input(body);
    if input.take(4)? != MAGIC || input.take(4)?[0] != number {
        return None;
    }
    let tick_ms = input.u32()?;
    let then = Tick(input.u16()?);
    input.take(2)?;
    let offline_s = reading.unix.saturating_sub(reading.taken_at);
    let age = |seen: Tick| u64::from(then.since(seen)) * u64::from(tick_ms) / 1000 + offline_s;
    let entries = input.u32()?;
    for _ in 0..entries {
        let key = SwarmKey(*input.take(20)?.first_chunk()?);
        let completed = input.u32()?;
        let (blocks4, blocks6) = (input.u32()?, input.u32()?);
        let mut stored = StoredEntry { key, completed, ..StoredEntry::default() };
        decode_blocks(&mut input, blocks4, &age, reading, &mut stored.v4)?;
        decode_blocks(&mut input, blocks6, &age, reading, &mut stored.v6)?;
        entry(stored);
    }
    input.0.is_empty().then_some(())
}

fn decode_blocks<const N: usize>(
    input: &mut Input<'_>,
    blocks: u32,
    age: &impl Fn(Tick) -> u64,
    reading: Reading<'_>,
    out: &mut Vec<Peer<N>>,
) -> Option<()> {
    for _ in 0..blocks {
        let len = input.u16()? as usize;
        let addresses = input.take(len * N)?.as_chunks::<N>().0;
        let tags = input.take(len * 4)?.as_chunks::<4>().0;
        let ticks = input.take(len * 2)?.as_chunks::<2>().0;
        let bits = input.take(len)?;
        for at in 0..len {
            let age_s = age(Tick(u16::from_le_bytes(ticks[at])));
            let seen = reading.lifetimes.tick_of_age(reading.now, age_s);
            if !reading.lifetimes.over(reading.now, seen, bits[at]) {
                out.push(Peer {
                    address: addresses[at],
                    tag: u32::from_le_bytes(tags[at]),
                    seen,
                    bits: bits[at],
                });
            }
        }
    }
    Some(())
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(*self.take(2)?.first_chunk()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }
}

/// Eight bytes at a time, because a slice may be megabytes.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let sum = words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| step(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| step(sum, u64::from(*byte)))
}

const MAGIC: &[u8] = b"WLS1";
