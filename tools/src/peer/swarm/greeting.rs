//! From a socket to a peer: dialling, handshakes in both directions, and the end of a connection.

use super::{Action, Fault, News, Peer, Swarm};
use crate::peer::candidates::Origin;
use crate::peer::handshake::{HANDSHAKE_BYTES, Handshake, Offers};
use crate::peer::limits::{PEERS_PER_ADDRESS_MAX, PEERS_PER_LOCAL_ADDRESS_MAX};
use crate::peer::session::{Direction, Has, Phase};
use crate::peer::wire::{Bounds, Message};
use std::net::{IpAddr, SocketAddr};
use weightless::base::{Millis, PeerId, SwarmKey};

/// Bitfields of peers that come before the metadata.
const RAW_BITFIELD_BYTES_MAX: u32 = 256 << 10;
/// Two connections between the same two peers, begun within this time, were begun at once.
const AT_ONCE: Millis = 10_000;

impl Swarm {
    /// Dials the best candidate, if another connection is wanted; the connection is called `key`. Says whether it did.
    pub fn dial(&mut self, now: Millis, key: u64) -> bool {
        if !self.wants_peers() {
            return false;
        }
        let (peers, bans) = (&self.peers, &self.bans);
        let known = |address: &SocketAddr| {
            bans.is_banned(address)
                || bans.is_cooling(now, address)
                || peers.values().any(|peer| peer.is_at(address))
        };
        // Nobody makes room for an address that would not be dialled after all.
        if peers.len() >= self.settings.peers_max
            && (!self.candidates.has_due(now, known) || !self.replace_worst(now))
        {
            return false;
        }
        let (peers, bans) = (&self.peers, &self.bans);
        let known = |address: &SocketAddr| {
            bans.is_banned(address)
                || bans.is_cooling(now, address)
                || peers.values().any(|peer| peer.is_at(address))
        };
        let Some((address, offers)) = self.candidates.next(now, known) else { return false };
        let mut peer = Box::new(Peer::new(now, key, address, Direction::Out, self.bounds()));
        peer.by_v2 = self.v1_key().is_none() || (offers == Offers::V2 && self.v2_key().is_some());
        self.peers.insert(key, peer);
        self.actions.push(Action::Dial { key, address });
        true
    }

    /// A connection we began is there.
    pub fn connected(&mut self, now: Millis, key: u64) {
        let (me, v1, v2, hybrid) = (self.settings.peer_id, self.v1_key(), self.v2_key(), self.is_hybrid());
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(swarm) = (if peer.by_v2 { v2 } else { v1 }) else { return };
        let offers = if hybrid && !peer.by_v2 { Offers::V2 } else { Offers::V1 };
        peer.phase = Phase::Greeting;
        peer.times.began = now;
        peer.out.write(|out| Handshake::ours(swarm, me, offers).write(out));
        self.touched.push(key);
    }

    /// Takes a connection over that somebody else opened for the swarm `asked`; the answer goes out at once.
    pub fn adopt(
        &mut self,
        now: Millis,
        mut peer: Box<Peer>,
        reserved: [u8; 8],
        asked: SwarmKey,
    ) -> Result<(), Fault> {
        self.may_adopt(&peer)?;
        let theirs = Handshake { reserved, swarm: asked, peer_id: PeerId([0; 20]) };
        let (answer, offers) = match (self.v1_key(), self.v2_key()) {
            (Some(v1), Some(v2)) if asked == v1 && theirs.has_v2() => (v2, Offers::V1),
            (Some(v1), Some(_)) if asked == v1 => (v1, Offers::V2),
            _ => (asked, Offers::V1),
        };
        peer.reader.set_bounds(self.bounds());
        peer.v2 = Some(answer) == self.v2_key();
        let me = self.settings.peer_id;
        peer.out.write(|out| Handshake::ours(answer, me, offers).write(out));
        // Whoever is in a hurry says more at once than its handshake.
        let rest = peer.greeting.split_off(HANDSHAKE_BYTES.min(peer.greeting.len()));
        let key = peer.key;
        self.touched.push(key);
        self.peers.insert(key, peer);
        self.received(now, key, &rest);
        Ok(())
    }

    fn may_adopt(&self, peer: &Peer) -> Result<(), Fault> {
        const UNFINISHED_MAX: usize = 20;
        if self.bans.is_banned(&peer.address) || self.bans.is_cooling(self.now, &peer.address) {
            return Err(Fault::Close("not wanted here"));
        }
        let unfinished = self.all().filter(|peer| peer.direction == Direction::In && !peer.is_open());
        if unfinished.count() >= UNFINISHED_MAX {
            return Err(Fault::Close("too many unfinished handshakes"));
        }
        if self.peers.len() >= self.settings.peers_max {
            return Err(Fault::Close("too many peers"));
        }
        let same = self.all().filter(|other| other.address.ip() == peer.address.ip());
        if same.count() >= per_address_max(peer.address.ip()) {
            return Err(Fault::Close("too many connections from one address"));
        }
        Ok(())
    }

    /// Takes bytes of a handshake; gives what is behind it. `None`: more is needed.
    pub(super) fn greet<'a>(
        &mut self,
        now: Millis,
        peer: &mut Peer,
        input: &'a [u8],
    ) -> Result<Option<&'a [u8]>, Fault> {
        let missing = HANDSHAKE_BYTES.saturating_sub(peer.greeting.len());
        let (front, rest) = input.split_at(missing.min(input.len()));
        peer.greeting.extend_from_slice(front);
        let Ok(bytes) = <&[u8; HANDSHAKE_BYTES]>::try_from(peer.greeting.as_slice()) else { return Ok(None) };
        let theirs = Handshake::parse(bytes).ok_or(Fault::Close("not BitTorrent"))?;
        if peer.direction == Direction::Out {
            self.judge_answer(peer, &theirs)?;
        }
        peer.greeting = Vec::new();
        if theirs.peer_id == self.settings.peer_id {
            self.candidates.forget(peer.address);
            return Err(Fault::Close("ourselves"));
        }
        self.resolve_twins(now, peer, theirs.peer_id)?;
        peer.peer_id = Some(theirs.peer_id);
        peer.fast = theirs.has_fast();
        peer.extended = theirs.has_extensions();
        peer.phase = Phase::Open;
        self.totals.peers += 1;
        if peer.direction == Direction::Out {
            self.candidates.connected(peer.address);
        }
        self.introduce(now, peer);
        let client = peer.client();
        self.tell(News::PeerGained { address: peer.address, client });
        Ok(Some(rest))
    }

    /// Whether somebody we dialled answers for the swarm that was meant.
    fn judge_answer(&self, peer: &mut Peer, theirs: &Handshake) -> Result<(), Fault> {
        let by_v2 = Some(theirs.swarm) == self.v2_key();
        let by_v1 = Some(theirs.swarm) == self.v1_key() && !peer.by_v2;
        if !by_v1 && !by_v2 {
            return Err(Fault::Close("answers for another torrent"));
        }
        peer.v2 = by_v2;
        Ok(())
    }

    /// One connection is enough for each pair of peers: the older one, or of two begun at once that of the smaller id.
    fn resolve_twins(&mut self, now: Millis, peer: &Peer, theirs: PeerId) -> Result<(), Fault> {
        let Some(twin) = self.peers.values().find(|other| other.peer_id == Some(theirs)) else {
            return Ok(());
        };
        let at_once = twin.direction != peer.direction && now.saturating_sub(twin.times.began) < AT_ONCE;
        let we_opened_smaller = self.settings.peer_id.0 < theirs.0;
        let keep_new = at_once && (peer.direction == Direction::Out) == we_opened_smaller;
        if !keep_new {
            return Err(Fault::Close("connected twice"));
        }
        let twin = twin.key;
        self.drop_peer(twin, Fault::Close("connected twice"));
        Ok(())
    }

    /// What comes first: what we have, then what we can do.
    fn introduce(&mut self, now: Millis, peer: &mut Peer) {
        match self.stored() {
            Some(stored) if stored.is_full() && peer.fast => peer.say(&Message::HaveAll),
            Some(stored) if stored.count() > 0 => peer.say(&Message::Bitfield(stored.as_wire())),
            _ if peer.fast => peer.say(&Message::HaveNone),
            _ => {}
        }
        if peer.extended {
            self.say_hello(peer);
        }
        peer.times.heard = now;
        peer.times.sent = now;
        peer.times.block = now;
        self.enlist(now, peer);
        self.touched.push(peer.key);
    }

    /// A connection has ended, whoever ended it.
    pub fn closed(&mut self, key: u64, why: &'static str) {
        self.drop_peer(key, Fault::Close(why));
    }

    /// Cleans up behind a connection that is no longer among the peers.
    pub(super) fn lost(&mut self, mut peer: Box<Peer>, fault: Fault) {
        let (Fault::Close(why) | Fault::Shun(why) | Fault::Ban(why)) = fault;
        self.actions.push(Action::Close { key: peer.key });
        self.release_all(&mut peer);
        self.uncount(&peer);
        self.forget_extras(&peer);
        match fault {
            Fault::Close(_) => {}
            Fault::Shun(_) => self.bans.cool_down(self.now, peer.address),
            Fault::Ban(_) => self.ban_source(peer.address, why),
        }
        match (peer.direction, peer.is_open()) {
            (Direction::Out, false) => self.candidates.failed(self.now, peer.address),
            (Direction::Out, true) => self.candidates.closed(self.now, peer.address),
            (Direction::In, _) => {
                if let Fault::Close(_) = fault
                    && let Some(address) = peer.dialled_address()
                {
                    self.candidates.add(self.now, address, Origin::Incoming, peer.offers());
                }
            }
        }
        self.choke_due |= !peer.choked;
        if peer.is_open() {
            self.tell(News::PeerLost { address: peer.address, why });
        }
        self.starved = true;
    }

    /// Nothing of a peer's pieces counts any more.
    fn uncount(&mut self, peer: &Peer) {
        let Some(ledger) = &mut self.ledger else { return };
        if let Has::Some(bits) = &peer.has {
            bits.iter().for_each(|piece| ledger.picker.lost(piece));
        }
    }

    /// The bounds of messages, as far as the torrent is known.
    pub(super) fn bounds(&self) -> Bounds {
        let bitfield = self.ledger.as_ref().map(|ledger| ledger.stored.as_wire().len());
        let bitfield = bitfield.and_then(|bytes| u32::try_from(bytes).ok());
        Bounds { bitfield_bytes_max: bitfield.unwrap_or(RAW_BITFIELD_BYTES_MAX), hashes_bytes_max: 0 }
    }
}

/// How many connections one address may have.
pub fn per_address_max(ip: IpAddr) -> usize {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if local { PEERS_PER_LOCAL_ADDRESS_MAX } else { PEERS_PER_ADDRESS_MAX }
}
