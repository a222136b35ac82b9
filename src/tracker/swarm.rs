//! The peers of one entry and one address family: who is there, who is offered to whom.
//!
//! Up to `SMALL_PEERS_MAX` peers lie in one block, seeders first, then leechers, then partial seeds, so that a reply is
//! one or two copies. A larger swarm keeps one set of leaves for each class (role and identities), so that every reply
//! is still a walk over peers that all qualify, however rare they are.

use super::block::{Block, Peer, bits};
use super::leaves::Leaves;
use super::tick::{Lifetimes, Tick};
use crate::base::Rng;

/// What an operation needs to know of the world.
pub struct Context<'a> {
    /// The current tick.
    pub now: Tick,
    /// How long peers live.
    pub lifetimes: &'a Lifetimes,
    /// The key of the address hash.
    pub seed: u64,
}

/// Whom a requester is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// Seeders, then leechers, then partial seeds: for who is still downloading.
    SeedersFirst,
    /// Leechers that are not partial seeds: for who has everything it wants.
    LeechersOnly,
}

/// What a requester is to be given.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a, const N: usize> {
    /// Which kinds, in which order.
    pub offer: Offer,
    /// Only peers that have every one of these bits: the identity that was announced, or 0.
    pub identity: u8,
    /// At most so many.
    pub limit: usize,
    /// The requester itself, when it is of this family.
    pub except: Option<&'a [u8; N]>,
}

/// How many of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Peers that have everything.
    pub seeders: u32,
    /// All other peers.
    pub leechers: u32,
    /// Those of the leechers that are partial seeds.
    pub partial: u32,
}

/// The peers of one family.
#[derive(Clone, Debug)]
pub enum Swarm<const N: usize> {
    /// One block, segmented by role.
    Small(Block<N>),
    /// A set for each class that occurs.
    Large(Box<Large<N>>),
}

/// A swarm too large for one block.
#[derive(Clone, Debug, Default)]
pub struct Large<const N: usize> {
    /// Class bits (`bits::CLASS`) and the peers that have them.
    sets: Vec<(u8, Leaves<N>)>,
}

impl<const N: usize> Default for Swarm<N> {
    fn default() -> Self {
        Self::Small(Block::default())
    }
}

impl<const N: usize> Swarm<N> {
    /// How many peers of each kind.
    #[inline]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Small(block) => {
                let seeders = u32::from(block.seeders);
                let others = block.len() as u32 - seeders;
                Counts { seeders, leechers: others, partial: others - u32::from(block.leechers) }
            }
            Self::Large(large) => large.counts(),
        }
    }

    /// How many peers in all.
    #[inline]
    pub fn len(&self) -> u32 {
        match self {
            Self::Small(block) => block.len() as u32,
            Self::Large(large) => large.sets.iter().map(|(_, set)| set.len()).sum(),
        }
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peer with this address.
    #[inline]
    pub fn find(&self, address: &[u8; N], context: &Context<'_>) -> Option<Peer<N>> {
        match self {
            Self::Small(block) => block.find(address).map(|at| block.peer(at)),
            Self::Large(large) => {
                let hash = hash_address(address, context.seed);
                large.sets.iter().find_map(|(_, set)| set.find(hash, address).map(|place| set.peer(place)))
            }
        }
    }

    /// Reads a little of each cache line that an announce of the peer at `address` will need first.
    #[inline]
    pub fn foresee(&self, address: &[u8; N], seed: u64) -> u8 {
        match self {
            Self::Small(block) => block.foresee(),
            Self::Large(large) => {
                let hash = hash_address(address, seed);
                large.sets.iter().fold(0, |read, (_, set)| read ^ set.foresee(hash))
            }
        }
    }

    /// Puts `peer` in, in place of `known` when that is what `find` returned for its address.
    pub fn put(&mut self, known: Option<&Peer<N>>, peer: &Peer<N>, context: &Context<'_>) {
        debug_assert!(known.is_none_or(|known| known.address == peer.address));
        match self {
            Self::Small(block) => put_small(block, known, peer),
            Self::Large(large) => large.put(known, peer, context.seed),
        }
        if let Self::Small(block) = self
            && block.len() > SMALL_PEERS_MAX
        {
            let block = std::mem::take(block);
            let mut large = Box::new(Large::default());
            for at in 0..block.len() {
                large.put(None, &block.peer(at), context.seed);
            }
            *self = Self::Large(large);
        }
    }

    /// Takes out the peer with this address, if it is here.
    pub fn remove(&mut self, address: &[u8; N], context: &Context<'_>) -> Option<Peer<N>> {
        let peer = self.find(address, context)?;
        match self {
            Self::Small(block) => {
                let at = block.find(address)?;
                take_small(block, at);
            }
            Self::Large(large) => large.remove(&peer, context.seed),
        }
        self.make_small_again();
        Some(peer)
    }

    /// Another peer of the same IP and the same tag: the same client before it changed its port. Looks at everybody:
    /// not for large swarms.
    pub fn former_self(&self, peer: &Peer<N>) -> Option<Peer<N>> {
        let ip = &peer.address[..N - 2];
        self.blocks().find_map(|block| {
            (0..block.len())
                .find(|&at| {
                    let address = block.address(at);
                    block.tag(at) == peer.tag && address[..N - 2] == *ip && *address != peer.address
                })
                .map(|at| block.peer(at))
        })
    }

    /// Copies the addresses that fulfil `wish` to `out`, from a random start within each kind. Returns how many.
    pub fn pick(
        &mut self,
        wish: &Wish<'_, N>,
        context: &Context<'_>,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> usize {
        match self {
            Self::Small(block) => pick_small(block, wish, rng, out),
            Self::Large(large) => large.pick(wish, context, rng, out),
        }
    }

    /// Forgets expired peers: all of a small swarm, a few leaves of a large one. Cheap enough for every access.
    #[inline]
    pub fn expire_some(&mut self, context: &Context<'_>, rng: &mut Rng) {
        match self {
            Self::Small(block) => expire_small(block, context),
            Self::Large(large) => {
                for (_, set) in &mut large.sets {
                    let leaf = rng.below(set.leaf_count() as u32) as usize;
                    set.expire(leaf, context.now, context.lifetimes);
                }
            }
        }
    }

    /// Forgets every expired peer of leaves `from..to` of each set (all of a small swarm). Returns whether there are
    /// leaves after those.
    pub fn expire_leaves(&mut self, from: usize, to: usize, context: &Context<'_>) -> bool {
        let more = match self {
            Self::Small(block) => {
                expire_small(block, context);
                false
            }
            Self::Large(large) => {
                let mut more = false;
                for (_, set) in &mut large.sets {
                    for leaf in from..to.min(set.leaf_count()) {
                        set.expire(leaf, context.now, context.lifetimes);
                    }
                    more |= set.leaf_count() > to;
                }
                more
            }
        };
        if !more {
            self.tidy();
        }
        more
    }

    /// Every block of peers.
    pub fn blocks(&self) -> impl Iterator<Item = &Block<N>> {
        let (small, large) = match self {
            Self::Small(block) => (Some(block), [].as_slice()),
            Self::Large(large) => (None, large.sets.as_slice()),
        };
        small.into_iter().chain(large.iter().flat_map(|(_, set)| set.blocks()))
    }

    /// Every peer.
    pub fn peers(&self) -> impl Iterator<Item = Peer<N>> {
        self.blocks().flat_map(|block| (0..block.len()).map(|at| block.peer(at)))
    }

    /// Gives memory back after a sweep.
    fn tidy(&mut self) {
        if let Self::Large(large) = self {
            large.sets.iter_mut().for_each(|(_, set)| set.shrink());
            large.sets.retain(|(_, set)| !set.is_empty());
            self.make_small_again();
        }
    }

    /// Half of `SMALL_PEERS_MAX`, so that a swarm at the edge does not go back and forth.
    fn make_small_again(&mut self) {
        if let Self::Large(large) = self
            && large.sets.iter().map(|(_, set)| set.len() as usize).sum::<usize>() <= SMALL_PEERS_MAX / 2
        {
            let mut block = Block::default();
            for peer in large.sets.iter().flat_map(|(_, set)| set.iter()) {
                put_small(&mut block, None, &peer);
            }
            *self = Self::Small(block);
        }
    }
}

impl<const N: usize> Large<N> {
    /// Every class that has occurred, with its peers.
    pub(super) fn sets(&self) -> &[(u8, Leaves<N>)] {
        &self.sets
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (class, set) in &self.sets {
            if class & bits::SEEDER != 0 {
                counts.seeders += set.len();
            } else {
                counts.leechers += set.len();
                counts.partial += if class & bits::PARTIAL != 0 { set.len() } else { 0 };
            }
        }
        counts
    }

    fn put(&mut self, known: Option<&Peer<N>>, peer: &Peer<N>, seed: u64) {
        let class = peer.bits & bits::CLASS;
        let hash = hash_address(&peer.address, seed);
        match known {
            Some(known) if known.bits & bits::CLASS == class => {
                let set = self.set_of(class);
                if let Some(place) = set.find(hash, &peer.address) {
                    set.set(place, peer);
                }
            }
            Some(known) => {
                self.remove(known, seed);
                self.set_of(class).insert(hash, peer, |address| hash_address(address, seed));
            }
            None => self.set_of(class).insert(hash, peer, |address| hash_address(address, seed)),
        }
    }

    fn remove(&mut self, peer: &Peer<N>, seed: u64) {
        let set = self.set_of(peer.bits & bits::CLASS);
        if let Some(place) = set.find(hash_address(&peer.address, seed), &peer.address) {
            set.remove(place);
        }
    }

    fn set_of(&mut self, class: u8) -> &mut Leaves<N> {
        let at = self.sets.iter().position(|(known, _)| *known == class).unwrap_or_else(|| {
            self.sets.push((class, Leaves::default()));
            self.sets.len() - 1
        });
        &mut self.sets[at].1
    }

    fn pick(&mut self, wish: &Wish<'_, N>, context: &Context<'_>, rng: &mut Rng, out: &mut Vec<u8>) -> usize {
        let Wish { offer, identity, limit, except } = *wish;
        let except = except.map(|address| (hash_address(address, context.seed), address));
        let lease = (context.now, context.lifetimes);
        let mut left = limit;
        for wave in [Wave::Seeders, Wave::Leechers, Wave::Partial] {
            if left == 0 || !wave.is_in(offer) {
                continue;
            }
            let fits = |class: u8| wave.holds(class) && class & identity == identity;
            let fitting = self.sets.iter().filter(|(class, set)| fits(*class) && !set.is_empty());
            let several = fitting.clone().nth(1).is_some();
            // Who is alone is not asked how many it can give: it gives what it can.
            let offers = |set: &Leaves<N>| if several { set.eligible(except) } else { set.len() as usize };
            let mut total: usize = fitting.map(|(_, set)| offers(set)).sum();
            for (_, set) in self.sets.iter_mut().filter(|(class, _)| fits(*class)) {
                let here = offers(set);
                if left == 0 || here == 0 {
                    continue;
                }
                // Each class gives its share, so that no peer is offered more often than another.
                let share = match total {
                    total if left >= total || here == total => left,
                    total => (left * here + rng.below(total as u32) as usize) / total,
                };
                total -= here;
                left -= set.pick(share, except, lease, rng, out);
            }
        }
        limit - left
    }
}

/// One kind of peer, in the order in which kinds are offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wave {
    Seeders,
    Leechers,
    Partial,
}

impl Wave {
    fn is_in(self, offer: Offer) -> bool {
        offer == Offer::SeedersFirst || self == Wave::Leechers
    }

    fn holds(self, class: u8) -> bool {
        self == wave_of(class)
    }
}

fn wave_of(peer_bits: u8) -> Wave {
    match (peer_bits & bits::SEEDER != 0, peer_bits & bits::PARTIAL != 0) {
        (true, _) => Wave::Seeders,
        (false, false) => Wave::Leechers,
        (false, true) => Wave::Partial,
    }
}

fn put_small<const N: usize>(block: &mut Block<N>, known: Option<&Peer<N>>, peer: &Peer<N>) {
    if let Some(known) = known
        && let Some(at) = block.find(&peer.address)
    {
        if wave_of(known.bits) == wave_of(peer.bits) {
            block.set(at, peer);
            return;
        }
        take_small(block, at);
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

fn take_small<const N: usize>(block: &mut Block<N>, at: usize) {
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

fn expire_small<const N: usize>(block: &mut Block<N>, context: &Context<'_>) {
    if block.is_empty() || !block.any_expired(context.now, context.lifetimes) {
        return;
    }
    let mut at = 0;
    while at < block.len() {
        if context.lifetimes.over(context.now, block.seen(at), block.bits(at)) {
            take_small(block, at);
        } else {
            at += 1;
        }
    }
}

fn pick_small<const N: usize>(
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

/// A keyed hash of a compact address: nobody outside can choose addresses that fall into one leaf.
#[inline]
pub fn hash_address<const N: usize>(address: &[u8; N], seed: u64) -> u64 {
    let mut hash = seed;
    for chunk in address.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash ^ u64::from_le_bytes(word), seed | 1);
    }
    fold(hash, 0x9e37_79b9_7f4a_7c15)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Peers of one family in one block; also the bound under which a client that changed its port is recognised.
pub const SMALL_PEERS_MAX: usize = 64;
