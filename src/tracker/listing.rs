//! The peers of a swarm for whoever asks without coming in (`/get_peers` of idtorrents). It is seen by nobody, and the
//! swarm is as it was.

use super::block::bits;
use super::swarm::{Context, Offer, Swarm, Wish};
use super::visit::compact;
use super::{Tracker, stats_of};
use crate::base::{Now, Rng};
use crate::wire::announce::{AnnouncedHash, Refusal, ScrapeStats};
use crate::wire::compact as addresses;
use std::net::{IpAddr, SocketAddr};

/// A peer, and whether it has everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does in its swarm.
    pub role: Role,
}

/// What a peer does in its swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It has everything.
    Seeding,
    /// It has not.
    Leeching,
}

/// Who asks for peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Its address: peers of the same family come first.
    pub ip: IpAddr,
    /// The port it listens on, if it says so: it is not told of itself then.
    pub port: Option<u16>,
}

impl Tracker {
    /// Puts at most `peers_max` peers of a swarm into `out`: those of the asker's family first, seeders first among
    /// them, otherwise in random order. Returns the counts of the swarm.
    pub fn list(
        &mut self,
        now: Now,
        asker: Asker,
        hash: &AnnouncedHash,
        peers_max: usize,
        out: &mut Vec<ListedPeer>,
    ) -> Result<ScrapeStats, Refusal> {
        out.clear();
        let Some(found) = self.admit(hash)? else { return Ok(ScrapeStats::default()) };
        let tick = self.table.lifetimes().tick(now.mono);
        let rng = &mut self.rng;
        let was_changed = self.table.slice(found.entry.slice).changed;
        let gone = self.table.change(found.entry, tick, |slot, context| {
            let before = slot.len();
            slot.expire_some(context, rng);
            let mut list = List { identity: found.identity, peers_max, context, rng, out };
            match asker.ip {
                IpAddr::V4(ip) => {
                    let own: Option<[u8; 6]> = asker.port.map(|port| compact(ip.octets(), port));
                    list.add(&mut slot.v4, own.as_ref(), |peer| addresses::parse4(peer).into());
                    let other = slot.v6.as_deref_mut();
                    other
                        .into_iter()
                        .for_each(|v6| list.add(v6, None, |peer| addresses::parse6(peer).into()));
                }
                IpAddr::V6(ip) => {
                    let own: Option<[u8; 18]> = asker.port.map(|port| compact(ip.octets(), port));
                    let same = slot.v6.as_deref_mut();
                    same.into_iter()
                        .for_each(|v6| list.add(v6, own.as_ref(), |peer| addresses::parse6(peer).into()));
                    list.add(&mut slot.v4, None, |peer| addresses::parse4(peer).into());
                }
            }
            slot.drop_empty_family();
            before - slot.len()
        });
        self.table.mark(found.entry.slice, was_changed || gone > 0);
        let stats = stats_of(self.table.slot(found.entry));
        self.table.forget_if_idle(found.entry);
        Ok(stats)
    }
}

/// A list on its way.
struct List<'a, 'c> {
    identity: u8,
    peers_max: usize,
    context: &'a Context<'c>,
    rng: &'a mut Rng,
    out: &'a mut Vec<ListedPeer>,
}

impl List<'_, '_> {
    /// Adds the peers of one family as far as there is room.
    fn add<const N: usize>(
        &mut self,
        swarm: &mut Swarm<N>,
        except: Option<&[u8; N]>,
        address_of: impl Fn(&[u8; N]) -> SocketAddr,
    ) {
        let limit = self.peers_max - self.out.len();
        let wish = Wish { offer: Offer::SeedersFirst, identity: self.identity, limit, except };
        let mut picked = Vec::with_capacity(limit.min(swarm.len() as usize) * N);
        swarm.pick(&wish, self.context, self.rng, &mut picked);
        let from = self.out.len();
        for peer in picked.as_chunks::<N>().0 {
            let seeds = swarm.find(peer, self.context).is_some_and(|peer| peer.bits & bits::SEEDER != 0);
            let role = if seeds { Role::Seeding } else { Role::Leeching };
            self.out.push(ListedPeer { address: address_of(peer), role });
        }
        // Who takes only the first of a list must not find the same one as everybody else.
        for class in self.out[from..].chunk_by_mut(|a, b| a.role == b.role) {
            for at in (1..class.len()).rev() {
                class.swap(at, self.rng.below(at as u32 + 1) as usize);
            }
        }
    }
}
