//! A swarm too large for one block: a set of leaves for each class of peers (role and identities), so that every reply
//! is a walk over peers that all qualify, however rare they are.

use super::block::{Peer, bits};
use super::leaves::Leaves;
use super::swarm::{Context, Counts, Wave, Wish};
use crate::base::Rng;

/// A swarm too large for one block.
#[derive(Clone, Debug, Default)]
pub struct Large<const N: usize> {
    /// Class bits (`bits::CLASS`) and the peers that have them.
    pub(super) sets: Vec<(u8, Leaves<N>)>,
}
impl<const N: usize> Large<N> {
    /// Every class that has occurred, with its peers.
    pub(super) fn sets(&self) -> &[(u8, Leaves<N>)] {
        &self.sets
    }

    pub(super) fn counts(&self) -> Counts {
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

    pub(super) fn put(&mut self, known: Option<&Peer<N>>, peer: &Peer<N>, seed: u64) {
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

    pub(super) fn remove(&mut self, peer: &Peer<N>, seed: u64) {
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

    pub(super) fn pick(
        &mut self,
        wish: &Wish<'_, N>,
        context: &Context<'_>,
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> usize {
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
