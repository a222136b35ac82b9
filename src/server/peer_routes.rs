//! `/register_peer` and `/get_peers`: the swarms of idtorrents, which are the swarms of every other wire, for clients
//! that speak HTTP and JSON. The address, passkeys, rates and admission are those of announces; refusals are told by
//! their status.

use super::access::{FOREIGN_ORIGIN, UNAUTHORIZED};
use super::api::{self, outcome_of};
use super::http::{Asked, Handled, Step};
use super::reply::{Framing, Reply, TEXT};
use super::session::{Goal, Phase, Registrant};
use super::{Conn, Server, address};
use crate::base::Now;
use crate::base::limits::IDT_INTERVAL_S_MAX;
use crate::mailbox::Ticket;
use crate::registry::ApiError;
use crate::tracker::counters::{Family, Kind, Outcome, Proto};
use crate::tracker::listing::{Asker, ListedPeer, Role};
use crate::tracker::{Families, Lease, Reach};
use crate::wire::announce::{AnnouncedHash, Refusal};
use crate::wire::http_tracker::refusal_text;
use crate::wire::http1::Method;
use crate::wire::idt_peers::{self as wire, GetPeers, RegisterPeer, State};
use crate::wire::passkey::PathKey;
use std::net::SocketAddr;

/// A body on its way in, and whose.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    /// When its last byte came.
    pub now: Now,
    /// On which connection.
    pub conn: Conn,
    /// From whom.
    pub who: Registrant,
    /// How to frame the answer.
    pub framing: Framing,
    /// What it is counted by while it is in memory.
    pub ticket: Ticket,
}

impl Server {
    /// Judges the head of a request on `/register_peer`; its body comes afterwards.
    pub(super) fn register_peer(
        &mut self,
        asked: &Asked<'_, '_>,
        key: PathKey<'_>,
        out: &mut Vec<u8>,
    ) -> Handled {
        let (outcome, handled) = match asked.head.method {
            Method::Post => match self.may_register_peer(asked, key) {
                // It is counted when its body has come.
                Ok(who) => return Handled::NeedsBody(Goal::Peer(who)),
                // What is refused is not read to its end.
                Err(error) => (self.refuse(asked.now, asked.framing.closing(), error, out), Handled::Refused),
            },
            _ => (self.another_method(asked, "POST, OPTIONS", out), Handled::Answered),
        };
        let family = Family::of(asked.peer.ip().to_canonical());
        self.counters.request(Proto::Http, family, Kind::RegisterPeer, outcome);
        handled
    }

    fn may_register_peer(&mut self, asked: &Asked<'_, '_>, key: PathKey<'_>) -> Result<Registrant, ApiError> {
        let (ip, user) = self.announce_checks(asked, key).map_err(error_of)?;
        match asked.head.origin {
            Some(origin) if !self.lets_in(origin, asked) => Err(FOREIGN_ORIGIN),
            _ => Ok(Registrant { ip, user }),
        }
    }

    fn another_method(&mut self, asked: &Asked<'_, '_>, allow: &'static str, out: &mut Vec<u8>) -> Outcome {
        match self.is_over_the_rate(asked) {
            true => self.refuse(asked.now, asked.framing, api::TOO_MANY, out),
            false => self.api_other_method(asked, allow, out),
        }
    }

    /// The body of `POST /register_peer` is complete.
    pub(super) fn peer_registers(
        &mut self,
        from: Sender,
        body: &[u8],
        used: usize,
        out: &mut Vec<u8>,
    ) -> Step {
        self.upload_over(from.ticket);
        let outcome = match self.register_client(from.now, from.who, body) {
            Ok(json) => {
                let extra = [("Cache-Control", "no-store")];
                let reply = Reply::json(200, json.as_bytes()).with(&extra);
                self.write_reply(from.now, from.framing, &reply, out);
                Outcome::Ok
            }
            Err(error) => self.refuse(from.now, from.framing, error, out),
        };
        let Some(session) = self.sessions.get(from.conn) else { return Step::Close { linger: false } };
        session.phase = if from.framing.closes() { Phase::Closing } else { Phase::Idle };
        let family = Family::of(session.peer.ip().to_canonical());
        self.counters.request(Proto::Http, family, Kind::RegisterPeer, outcome);
        if from.framing.closes() { Step::Close { linger: false } } else { Step::Used(used) }
    }

    fn register_client(&mut self, now: Now, who: Registrant, body: &[u8]) -> Result<String, ApiError> {
        let said = RegisterPeer::parse(body).map_err(|text| ApiError::new(400, text))?;
        let may_name = self.settings.trust_ip_param && address::may_name_itself(who.ip);
        let ip = said.ip.filter(|_| may_name).unwrap_or(who.ip).to_canonical();
        let reach = Reach { peers_max: 0, families: Families::Own };
        let from = SocketAddr::new(ip, said.port);
        let request = said.announce(ip);
        self.tracker
            .announce_for(now, from, &request, reach, Lease::Registered, &mut self.announced)
            .map_err(error_of)?;
        if let Some(user) = &who.user {
            self.tracker.account(now, user, from, &request);
        }
        Ok(wire::registered(&wire::Registered {
            file_id: said.file_id,
            state: said.state,
            interval_s: self.idt_interval_s(),
            ttl_s: self.settings.policy.idt_peer_ttl_s,
            peers: u64::from(self.announced.complete) + u64::from(self.announced.incomplete),
            your_ip: ip,
        }))
    }

    /// Serves a request on `/get_peers`.
    pub(super) fn get_peers(
        &mut self,
        asked: &Asked<'_, '_>,
        key: PathKey<'_>,
        out: &mut Vec<u8>,
    ) -> Handled {
        let outcome = match asked.head.method {
            Method::Get | Method::Head => match self.peers_asked_for(asked, key, out) {
                Ok(()) => Outcome::Ok,
                Err(error) => self.refuse(asked.now, asked.framing, error, out),
            },
            _ => self.another_method(asked, "GET, HEAD, OPTIONS", out),
        };
        let family = Family::of(asked.peer.ip().to_canonical());
        self.counters.request(Proto::Http, family, Kind::GetPeers, outcome);
        Handled::Answered
    }

    fn peers_asked_for(
        &mut self,
        asked: &Asked<'_, '_>,
        key: PathKey<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let (ip, _) = self.announce_checks(asked, key).map_err(error_of)?;
        let wanted = GetPeers::parse(asked.head.query).map_err(|text| ApiError::new(400, text))?;
        let peers_max = wanted.limit.unwrap_or(self.settings.peers_max).min(self.settings.peers_max);
        let asker = Asker { ip, port: wanted.port };
        let hash = AnnouncedHash::Short(wanted.file_id.key());
        let mut peers = Vec::new();
        let stats =
            self.tracker.list(asked.now, asker, &hash, peers_max as usize, &mut peers).map_err(error_of)?;
        let extra = [("Cache-Control", "no-store")];
        let body;
        let reply = match wanted.compact {
            true => {
                body = wire::peers_text(peers.iter().map(|peer| peer.address));
                Reply { content_type: TEXT, ..Reply::json(200, body.as_bytes()) }
            }
            false => {
                let swarm = wire::Swarm {
                    file_id: wanted.file_id,
                    seeders: stats.complete,
                    leechers: stats.incomplete,
                    interval_s: self.idt_interval_s(),
                };
                body = wire::peers_json(&swarm, peers.iter().map(told));
                Reply::json(200, body.as_bytes())
            }
        };
        self.write_reply(asked.now, asked.framing, &reply.with(&extra), out);
        Ok(())
    }

    /// How often clients are to register: three times before they are forgotten, and not seldom.
    fn idt_interval_s(&self) -> u32 {
        (self.settings.policy.idt_peer_ttl_s / 3).min(IDT_INTERVAL_S_MAX)
    }

    fn refuse(&mut self, now: Now, framing: Framing, error: ApiError, out: &mut Vec<u8>) -> Outcome {
        self.write_api_error(now, framing, error, out);
        match error {
            NOT_SERVED | NOT_LISTED => Outcome::Unregistered,
            _ => outcome_of(error),
        }
    }
}

fn told(peer: &ListedPeer) -> (SocketAddr, State) {
    let state = if peer.role == Role::Seeding { State::Seeding } else { State::Leeching };
    (peer.address, state)
}

/// A refusal by its status, in the words that announces are told.
fn error_of(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::UnknownAddress => api::BAD_ADDRESS,
        Refusal::RateLimited => api::TOO_MANY,
        Refusal::Unauthorized | Refusal::PasskeyMissing => UNAUTHORIZED,
        Refusal::Blocked => crate::registry::api::BLOCKED,
        Refusal::NotListed => NOT_LISTED,
        Refusal::Unregistered => NOT_SERVED,
        Refusal::Full => ApiError::new(503, refusal_text(refusal, false).0),
    }
}

/// The routes' paths; each may be followed by a passkey.
pub(super) const REGISTER_PEER: &[u8] = b"/register_peer";
pub(super) const GET_PEERS: &[u8] = b"/get_peers";

const NOT_LISTED: ApiError = ApiError::new(403, "torrent not authorized");
const NOT_SERVED: ApiError = ApiError::new(403, "Unregistered torrent: info_hash not found in registry");
