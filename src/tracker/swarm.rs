//! The peers of one entry and one address family: who is there, who is offered to whom.
//!
//! Up to `SMALL_PEERS_MAX` peers lie in one block (`small`), more in sets of leaves (`large`).

use super::block::{Block, Peer, bits};
use super::large::{Large, hash_address};
use super::small;
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
            Self::Small(block) => small::put(block, known, peer),
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
                small::take(block, at);
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
            Self::Small(block) => small::pick(block, wish, rng, out),
            Self::Large(large) => large.pick(wish, context, rng, out),
        }
    }

    /// Forgets expired peers: all of a small swarm, a few leaves of a large one. Cheap enough for every access.
    #[inline]
    pub fn expire_some(&mut self, context: &Context<'_>, rng: &mut Rng) {
        match self {
            Self::Small(block) => small::expire(block, context),
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
                small::expire(block, context);
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
                small::put(&mut block, None, &peer);
            }
            *self = Self::Small(block);
        }
    }
}

/// One kind of peer, in the order in which kinds are offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wave {
    Seeders,
    Leechers,
    Partial,
}

impl Wave {
    pub fn is_in(self, offer: Offer) -> bool {
        offer == Offer::SeedersFirst || self == Wave::Leechers
    }

    pub fn holds(self, class: u8) -> bool {
        self == wave_of(class)
    }
}

pub(super) fn wave_of(peer_bits: u8) -> Wave {
    match (peer_bits & bits::SEEDER != 0, peer_bits & bits::PARTIAL != 0) {
        (true, _) => Wave::Seeders,
        (false, false) => Wave::Leechers,
        (false, true) => Wave::Partial,
    }
}

/// Peers of one family in one block; also the bound under which a client that changed its port is recognised.
pub const SMALL_PEERS_MAX: usize = 64;
