//! Extensions: who can do what (BEP 10), and metadata (BEP 9).

use super::incoming::idle;
use super::serving::AHEAD_BYTES;
use super::{Fault, News, Peer, State, Swarm};
use crate::peer::extended::{
    HELLO_ID, MetadataMessage, OUR_METADATA_ID, OUR_PEX_ID, OwnHello, parse_hello, parse_metadata,
    write_hello, write_metadata,
};
use crate::peer::limits::METADATA_WAITING_MAX;
use crate::peer::metadata::Progress;
use crate::peer::wire::{Bounds, Message};
use weightless::base::Millis;

impl Swarm {
    /// Our extension handshake; a later one tells what has changed.
    pub(super) fn say_hello(&mut self, peer: &mut Peer) {
        let own = OwnHello {
            metadata: !self.settings.small,
            pex: self.speaks_pex(),
            metadata_size: self.info_bytes().and_then(|info| u32::try_from(info.len()).ok()),
            port: Some(self.settings.port).filter(|&port| port != 0),
            complete: self.state == State::Seeding,
            your_ip: Some(peer.address.ip()),
        };
        let mut payload = Vec::new();
        write_hello(&mut payload, &own);
        peer.say(&Message::Extended { id: HELLO_ID, payload: &payload });
    }

    pub(super) fn extended(
        &mut self,
        now: Millis,
        peer: &mut Peer,
        id: u8,
        payload: &[u8],
    ) -> Result<(), Fault> {
        if !peer.extended {
            return Err(Fault::Close("speaks of extensions it does not have"));
        }
        match id {
            HELLO_ID => {
                idle(peer)?;
                self.hello(now, peer, payload)
            }
            OUR_METADATA_ID => self.metadata_message(now, peer, payload),
            OUR_PEX_ID => {
                self.pex_message(now, peer, payload);
                idle(peer)
            }
            _ => idle(peer),
        }
    }

    fn hello(&mut self, now: Millis, peer: &mut Peer, payload: &[u8]) -> Result<(), Fault> {
        let update = parse_hello(payload).ok_or(Fault::Close("extension handshake that is not bencode"))?;
        peer.hello.apply(update);
        self.enlist(now, peer);
        if peer.hello.metadata_id != 0
            && let (Some(fetch), Some(size)) = (&mut self.metadata, peer.hello.metadata_size)
        {
            fetch.peer_offers(peer.key, size);
        }
        Ok(())
    }

    fn info_bytes(&self) -> Option<&[u8]> {
        self.info.as_ref()?.metainfo().map(|metainfo| metainfo.info())
    }

    fn metadata_message(&mut self, now: Millis, peer: &mut Peer, payload: &[u8]) -> Result<(), Fault> {
        let Some(message) = parse_metadata(payload) else { return Ok(()) };
        if let MetadataMessage::Request { piece } = message {
            self.metadata_request(now, peer, piece);
            return Ok(());
        }
        let Some(fetch) = &mut self.metadata else { return Ok(()) };
        match fetch.received(now, peer.key, &message) {
            Progress::More => Ok(()),
            Progress::Complete(info) => {
                self.progress.at = now;
                self.tell(News::Metadata(info));
                Ok(())
            }
            Progress::Drop(_) => Err(Fault::Close("metadata that was not asked for")),
            Progress::Ban(keys) => {
                for key in keys.iter().filter(|&&key| key != peer.key) {
                    let address = self.peers.get(key).map(|peer| peer.address);
                    if let Some(address) = address {
                        self.ban_source(address, "sent wrong metadata");
                    }
                }
                if keys.contains(&peer.key) { Err(Fault::Ban("sent wrong metadata")) } else { Ok(()) }
            }
        }
    }

    /// Some peers ask for all pieces at once: the answers wait their turn, so that they never lie in memory together.
    fn metadata_request(&mut self, now: Millis, peer: &mut Peer, piece: u32) {
        if peer.hello.metadata_id == 0 {
            return;
        }
        if peer.metadata_queue.len() < METADATA_WAITING_MAX {
            peer.metadata_queue.push_back(piece);
            self.serve_metadata(now, peer);
        } else {
            say_metadata(peer, &MetadataMessage::Reject { piece });
        }
    }

    /// Answers the next requests for metadata, unless enough is on its way.
    pub(super) fn serve_metadata(&mut self, now: Millis, peer: &mut Peer) {
        let info = self.info.as_ref().and_then(|content| content.metainfo()).map(|metainfo| metainfo.info());
        while peer.out.len() <= AHEAD_BYTES
            && let Some(piece) = peer.metadata_queue.pop_front()
        {
            let answer = peer.metadata_quota.answer(now, info, piece);
            say_metadata(peer, &answer);
            self.touched.push(peer.key);
        }
    }

    /// Asks for metadata what is due.
    pub(super) fn fetch_metadata(&mut self, now: Millis) {
        let Some(fetch) = &mut self.metadata else { return };
        let mut requests = Vec::new();
        fetch.next_requests(now, &mut requests);
        for (key, piece) in requests {
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            say_metadata(peer, &MetadataMessage::Request { piece });
            self.touched.push(key);
        }
    }

    pub(super) fn bounds_for(&self, peer: &Peer) -> Bounds {
        let mut bounds = self.bounds();
        bounds.hashes_bytes_max = self.hash_bytes_asked(peer);
        bounds
    }

    /// What other rooms keep of a peer goes with it.
    pub(super) fn forget_extras(&mut self, peer: &Peer) {
        if let Some(fetch) = &mut self.metadata {
            fetch.peer_gone(peer.key);
        }
        if let Some(address) = peer.dialled_address() {
            self.pex.left(address);
        }
        self.forget_hashes(peer);
    }
}

fn say_metadata(peer: &mut Peer, message: &MetadataMessage<'_>) {
    let mut payload = Vec::new();
    write_metadata(&mut payload, message);
    peer.say(&Message::Extended { id: peer.hello.metadata_id, payload: &payload });
}
