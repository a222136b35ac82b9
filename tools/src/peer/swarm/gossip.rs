//! Peers of peers (BEP 11): who is told of whom, and who is believed.

use super::{Peer, Swarm};
use crate::peer::candidates::Origin;
use crate::peer::extended::write_pex;
use crate::peer::handshake::Offers;
use crate::peer::pex::PexOutbox;
use crate::peer::session::Direction;
use crate::peer::wire::Message;
use weightless::base::Millis;

/// Flags of an address: a seed, and one that can be reached because we did.
const SEED: u8 = 0x02;
const REACHABLE: u8 = 0x10;

impl Swarm {
    /// Whether peers are told of each other here: never in a private torrent.
    pub(super) fn speaks_pex(&self) -> bool {
        self.settings.pex && !self.info.as_ref().is_some_and(|content| content.is_private())
    }

    /// A peer is ready, and where it listens is known: others are told of it.
    pub(super) fn enlist(&mut self, now: Millis, peer: &mut Peer) {
        if !self.speaks_pex() || !peer.is_open() {
            return;
        }
        if peer.pex_outbox.is_none() {
            peer.pex_outbox = Some(PexOutbox::new(now, &self.pex));
        }
        if let Some(address) = peer.dialled_address() {
            let seed = if peer.is_seed() { SEED } else { 0 };
            let reachable = if peer.direction == Direction::Out { REACHABLE } else { 0 };
            self.pex.joined(address, seed | reachable);
        }
    }

    /// Tells everybody who listens what is due.
    pub(super) fn gossip(&mut self, now: Millis) {
        if !self.speaks_pex() {
            return;
        }
        for peer in self.peers.values_mut() {
            let id = peer.hello.pex_id;
            let receiver = peer.dialled_address();
            let Some(outbox) = peer.pex_outbox.as_mut().filter(|outbox| id != 0 && outbox.next_due() <= now)
            else {
                continue;
            };
            if let Some(message) = outbox.next(now, &self.pex, receiver) {
                let mut payload = Vec::new();
                write_pex(&mut payload, &message);
                peer.say(&Message::Extended { id, payload: &payload });
                self.touched.push(peer.key);
            }
        }
    }

    /// A peer tells of others.
    pub(super) fn pex_message(&mut self, now: Millis, peer: &mut Peer, payload: &[u8]) {
        if !self.speaks_pex() {
            return;
        }
        let offers = if self.v1_key().is_some() { Offers::V1 } else { Offers::V2 };
        for (address, _) in peer.pex_inbox.received(now, peer.address.ip(), payload) {
            self.candidates.add(now, address, Origin::Pex(peer.key), offers);
        }
    }
}
