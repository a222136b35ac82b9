//! A swarm in one block: seeders first, then leechers, then partial seeds, so that a reply is one or two copies.

use super::block::{Block, Peer};
use super::swarm::{Context, Offer, Wave, Wish, wave_of};
use crate::base::Rng;

/// Puts a peer into its segment; `known` is what stands under its address.
pub(super) fn put<const N: usize>(block: &mut Block<N>, known: Option<&Peer<N>>, peer: &Peer<N>) {
    if let Some(known) = known
        && let Some(at) = block.find(&peer.address)
    {
        if wave_of(known.bits) == wave_of(peer.bits) {
            block.set(at, peer);
            return;
        }
        take(block, at);
    }
    // A hole at the end is moved down to the end of the peer's own segment: one move for each later segment.
    block.push(peer);
    let mut hole = block.len() - 1;
    let seeders = block.seeders as usize;
    let others_end = seeders + block.leechers as usize;
    match wave_of(peer.bits) {
        Wave::Partial => {}
        Wave::Leechers => {
            block.copy(others_end, hole);
            hole = others_end;
            block.leechers += 1;
        }
        Wave::Seeders => {
            block.copy(others_end, hole);
            block.copy(seeders, others_end);
            hole = seeders;
            block.seeders += 1;
        }
    }
    block.set(hole, peer);
}

/// Takes out the peer at `at`; the segments behind it close up.
pub(super) fn take<const N: usize>(block: &mut Block<N>, at: usize) {
    let seeders = block.seeders as usize;
    let others_end = seeders + block.leechers as usize;
    let mut hole = at;
    if at < seeders {
        block.copy(seeders - 1, hole);
        hole = seeders - 1;
        block.seeders -= 1;
    }
    if at < others_end && others_end > seeders {
        block.copy(others_end - 1, hole);
        hole = others_end - 1;
    }
    if at >= seeders && at < others_end {
        block.leechers -= 1;
    }
    let last = block.len() - 1;
    block.copy(last, hole);
    block.pop();
}

/// Forgets every peer that is past its lifetime.
pub(super) fn expire<const N: usize>(block: &mut Block<N>, context: &Context<'_>) {
    if block.is_empty() || !block.any_expired(context.now, context.lifetimes) {
        return;
    }
    let mut at = 0;
    while at < block.len() {
        if context.lifetimes.over(context.now, block.seen(at), block.bits(at)) {
            take(block, at);
        } else {
            at += 1;
        }
    }
}

/// Copies the addresses that fulfil `wish`; returns how many.
pub(super) fn pick<const N: usize>(
    block: &Block<N>,
    wish: &Wish<'_, N>,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) -> usize {
    let seeders = block.seeders as usize;
    let others_end = seeders + block.leechers as usize;
    let segments = match wish.offer {
        Offer::SeedersFirst => [0..seeders, seeders..others_end, others_end..block.len()],
        Offer::LeechersOnly => [seeders..others_end, 0..0, 0..0],
    };
    let before = out.len();
    for segment in segments {
        let left = wish.limit - (out.len() - before) / N;
        if left == 0 || segment.is_empty() {
            continue;
        }
        let start = match segment.len() {
            // Everybody fits: the order within a segment does not matter then.
            len if len <= left => segment.start,
            len => segment.start + rng.below(len as u32) as usize,
        };
        let taken = copy_fitting(block, start..segment.end, wish, left, out);
        copy_fitting(block, segment.start..start, wish, left - taken, out);
    }
    (out.len() - before) / N
}

fn copy_fitting<const N: usize>(
    block: &Block<N>,
    range: std::ops::Range<usize>,
    wish: &Wish<'_, N>,
    limit: usize,
    out: &mut Vec<u8>,
) -> usize {
    let Wish { identity, except, .. } = *wish;
    let before = out.len();
    let addresses = &block.addresses().as_chunks::<N>().0[range.clone()];
    if identity == 0 && except.is_none() {
        let count = addresses.len().min(limit);
        out.extend_from_slice(addresses[..count].as_flattened());
        return count;
    }
    for (address, at) in addresses.iter().zip(range) {
        if (out.len() - before) / N == limit {
            break;
        }
        if Some(address) != except && block.bits(at) & identity == identity {
            out.extend_from_slice(address);
        }
    }
    (out.len() - before) / N
}
