//! One client's visit to one swarm: it comes in, stays or leaves, and is offered others.

use super::block::{Peer, bits};
use super::swarm::{Context, Offer, Swarm, Wish};
use super::{Families, Reach};
use crate::base::Rng;
use crate::wire::announce::{AnnounceRequest, Event, Refusal};

/// One client's visit to one swarm.
pub(super) struct Visit {
    /// Why it came.
    pub event: Event,
    /// As which of a hybrid's identities; 0 in any other torrent.
    pub identity: u8,
    /// Whether a new client may come in.
    pub room: bool,
    /// Whom it is to be offered, if anybody.
    pub wish: Option<(Offer, Reach)>,
}

impl Visit {
    /// Updates the client's own family, then picks peers: of that family, and of the other as far as there is room.
    /// Returns whether a download was completed.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site for each family; a struct would only rename them"
    )]
    pub fn pay<const N: usize, const M: usize>(
        &self,
        own: &mut Swarm<N>,
        other: Option<&mut Swarm<M>>,
        peer: &Peer<N>,
        few: bool,
        context: &Context<'_>,
        rng: &mut Rng,
        out: (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<bool, Refusal> {
        if self.event == Event::Stopped {
            self.leave(own, peer, context);
            return Ok(false);
        }
        let finished = self.enter(own, peer, few, context)?;
        if let Some((offer, reach)) = self.wish {
            let wish =
                Wish { offer, identity: self.identity, limit: reach.peers_max, except: Some(&peer.address) };
            let taken = own.pick(&wish, context, rng, out.0);
            if let (Families::Both, Some(other)) = (reach.families, other) {
                let wish =
                    Wish { offer, identity: self.identity, limit: reach.peers_max - taken, except: None };
                other.pick(&wish, context, rng, out.1);
            }
        }
        Ok(finished)
    }

    fn enter<const N: usize>(
        &self,
        swarm: &mut Swarm<N>,
        peer: &Peer<N>,
        few: bool,
        context: &Context<'_>,
    ) -> Result<bool, Refusal> {
        let is_over = |peer: &Peer<N>| context.lifetimes.over(context.now, peer.seen, peer.bits);
        let mut known = swarm.find(&peer.address, context);
        let came_back = known.as_ref().is_some_and(is_over);
        if came_back {
            // A large swarm may hold it still; all the same it is new, except that it fills its own seat.
            swarm.remove(&peer.address, context);
            known = None;
        }
        let (mut kept, mut was_leecher) = (0, false);
        let mut recall = |earlier: &Peer<N>| {
            if is_over(earlier) {
                return;
            }
            kept |= earlier.bits & (bits::IDENTITIES | bits::COUNTED);
            was_leecher |= earlier.bits & bits::SEEDER == 0;
        };
        match &known {
            // Another peer id at the same address is a restarted client: its record is written anew.
            Some(known) if known.tag == peer.tag => recall(known),
            Some(_) => {}
            None if !self.room && !came_back => return Err(Refusal::Full),
            None => {
                while few && let Some(former) = swarm.former_self(peer) {
                    swarm.remove(&former.address, context);
                    recall(&former);
                }
            }
        }
        let is_seeder = peer.bits & bits::SEEDER != 0;
        let finished =
            kept & bits::COUNTED == 0 && (self.event == Event::Completed || was_leecher && is_seeder);
        let counted = if finished { bits::COUNTED } else { 0 };
        swarm.put(known.as_ref(), &Peer { bits: peer.bits | kept | counted, ..*peer }, context);
        Ok(finished)
    }

    /// Takes back the identity that was announced; the record goes when none is left.
    fn leave<const N: usize>(&self, swarm: &mut Swarm<N>, peer: &Peer<N>, context: &Context<'_>) {
        let Some(known) = swarm.find(&peer.address, context) else { return };
        let left = known.bits & !self.identity;
        if self.identity == 0 || left & bits::IDENTITIES == 0 {
            swarm.remove(&peer.address, context);
        } else {
            swarm.put(Some(&known), &Peer { bits: left, ..known }, context);
        }
    }
}

/// The role a client has after this announce.
pub(super) fn role_of(request: &AnnounceRequest) -> u8 {
    match (request.event, request.left) {
        (Event::Completed, _) | (_, Some(0)) => bits::SEEDER,
        (Event::Paused, _) => bits::PARTIAL,
        _ => 0,
    }
}

/// Whom a client is offered after this announce, if anybody.
pub(super) fn offer_to(request: &AnnounceRequest) -> Option<Offer> {
    match (request.event, request.left) {
        (Event::Stopped, _) => None,
        (Event::Paused | Event::Completed, _) | (_, Some(0)) => Some(Offer::LeechersOnly),
        _ => Some(Offer::SeedersFirst),
    }
}

/// An address as it goes on the wire.
pub(super) fn compact<const I: usize, const N: usize>(ip: [u8; I], port: u16) -> [u8; N] {
    let mut address = [0; N];
    address[..I].copy_from_slice(&ip);
    address[I..].copy_from_slice(&port.to_be_bytes());
    address
}
