//! One datagram, one decision, at most one answer (BEP 15, BEP 41).
//!
//! A source that has not shown a valid connection id never receives more bytes than it sent, and what is not this
//! protocol is not answered at all.

use super::passkeys::user_of;
use super::{Health, Server};
use crate::base::limits::{UDP_PEERS_IPV4_MAX, UDP_PEERS_IPV6_MAX};
use crate::base::{Now, UserId};
use crate::tracker::counters::{Dropped, Family, Kind, Outcome, Proto};
use crate::tracker::rate::Verdict;
use crate::tracker::{Families, Reach};
use crate::wire::announce::{Refusal, client_address};
use crate::wire::passkey;
use crate::wire::udp_tracker;
use crate::wire::udp_tracker::{self as wire, action};
use std::net::{IpAddr, SocketAddr};

impl Server {
    /// Looks ahead at datagrams that are about to be answered, so that the table's memory is on its way when it is
    /// needed. Nothing is checked, because nothing is changed or answered.
    pub fn foresee<'a>(&self, datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])> + Clone) {
        let announces = datagrams.filter_map(|(from, bytes)| {
            let is_announce = wire::parse_preamble(bytes)?.action == action::ANNOUNCE;
            let announce = is_announce.then(|| wire::parse_announce(bytes).ok())??;
            Some((from, announce))
        });
        if self.passkeys.is_some() {
            let shown = announces.clone().filter_map(|(_, announce)| {
                let path = wire::url_data_at_once(announce.options)?;
                let passkey = path.strip_prefix(b"/announce/")?;
                Some((announce.request, passkey))
            });
            self.known_passkeys.foresee(shown.clone().map(|(_, passkey)| passkey));
            self.tracker.foresee_accounts(shown.filter_map(|(request, passkey)| {
                let user = std::str::from_utf8(user_of(passkey)?).ok()?;
                Some((request.info_hash.key(), request.peer_id, user))
            }));
        }
        self.tracker.foresee(announces.map(|(from, announce)| {
            let request = announce.request;
            (request.info_hash.key(), SocketAddr::new(from.ip(), request.port))
        }));
    }

    /// Answers one datagram into `reply`. False: say nothing.
    pub fn datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8], reply: &mut Vec<u8>) -> bool {
        reply.clear();
        self.counters.received_bytes[Proto::Udp as usize] += bytes.len() as u64;
        if self.health == Health::Stopping {
            return false;
        }
        let from = client_address(from.ip(), from.port());
        let Some(preamble) = wire::parse_preamble(bytes) else {
            self.counters.drop(Dropped::Short);
            return false;
        };
        let answered = match preamble.action {
            action::CONNECT => self.udp_connect(now, from, &preamble, bytes.len(), reply),
            action::ANNOUNCE | action::SCRAPE => {
                if self.ids.verify(preamble.connection_id, from.ip(), now.unix) {
                    self.udp_verified(now, from, &preamble, bytes, reply);
                } else {
                    let kind = if preamble.action == action::SCRAPE { Kind::Scrape } else { Kind::Announce };
                    self.count_udp(from, kind, Outcome::Invalid);
                    wire::write_error(
                        reply,
                        preamble.transaction,
                        "invalid connection ID",
                        Some(bytes.len()),
                    );
                }
                true
            }
            _ => self.udp_unknown(now, from, &preamble, reply),
        };
        self.counters.sent_bytes[Proto::Udp as usize] += reply.len() as u64;
        answered
    }

    fn udp_connect(
        &mut self,
        now: Now,
        from: SocketAddr,
        preamble: &wire::Preamble,
        asked_bytes: usize,
        reply: &mut Vec<u8>,
    ) -> bool {
        if preamble.connection_id != wire::PROTOCOL_ID {
            self.counters.drop(Dropped::Magic);
            return false;
        }
        match self.udp_rate.take_socket(now.mono, from) {
            Verdict::Allowed => {
                wire::write_connect(reply, preamble.transaction, self.ids.issue(from.ip(), now.unix));
                self.count_udp(from, Kind::Connect, Outcome::Ok);
                true
            }
            Verdict::Refused => {
                let text = "rate limit exceeded, try again later";
                wire::write_error(reply, preamble.transaction, text, Some(asked_bytes));
                self.count_udp(from, Kind::Connect, Outcome::Limited);
                true
            }
            Verdict::RefusedAgain => {
                self.counters.drop(Dropped::Limited);
                false
            }
        }
    }

    /// An announce or a scrape of a source that has proved its address: errors are told in full.
    fn udp_verified(
        &mut self,
        now: Now,
        from: SocketAddr,
        preamble: &wire::Preamble,
        bytes: &[u8],
        reply: &mut Vec<u8>,
    ) {
        let (kind, result) = match preamble.action {
            action::ANNOUNCE => (Kind::Announce, self.udp_announce(now, from, preamble, bytes, reply)),
            _ => (Kind::Scrape, self.udp_scrape(now, preamble, bytes, reply)),
        };
        let outcome = match result {
            Ok(()) => Outcome::Ok,
            Err((text, outcome)) => {
                wire::write_error(reply, preamble.transaction, text, None);
                outcome
            }
        };
        self.count_udp(from, kind, outcome);
    }

    fn udp_announce(
        &mut self,
        now: Now,
        from: SocketAddr,
        preamble: &wire::Preamble,
        bytes: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), (&'static str, Outcome)> {
        let announce = wire::parse_announce(bytes).map_err(|bad| (bad.text(), Outcome::Invalid))?;
        let user = self.udp_passkey(announce.options).map_err(refusal)?;
        let mut ip = from.ip();
        if self.settings.trust_ip_param && super::address::may_name_itself(ip) {
            let named = IpAddr::V4(announce.address_field);
            ip = if ip.is_ipv4() && super::address::is_unicast(named) { named } else { ip };
        }
        let (family, cap) = match from.ip() {
            IpAddr::V4(_) => (wire::AddressFamily::V4, UDP_PEERS_IPV4_MAX),
            IpAddr::V6(_) => (wire::AddressFamily::V6, UDP_PEERS_IPV6_MAX),
        };
        let cap = cap.min(self.settings.udp_peers_max);
        let peers = announce.request.peers_wanted.unwrap_or(self.settings.peers_max).min(cap);
        let reach = Reach { peers_max: peers as usize, families: Families::Own };
        let client = SocketAddr::new(ip, announce.request.port);
        self.tracker.announce(now, client, &announce.request, reach, &mut self.announced).map_err(refusal)?;
        if let Some(user) = &user {
            self.tracker.account(now, user, client, &announce.request);
        }
        wire::write_announce(reply, preamble.transaction, self.settings.interval_s, &self.announced, family);
        Ok(())
    }

    fn udp_scrape(
        &mut self,
        now: Now,
        preamble: &wire::Preamble,
        bytes: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), (&'static str, Outcome)> {
        let hashes = wire::parse_scrape(bytes).map_err(|bad| (bad.text(), Outcome::Invalid))?;
        if self.passkeys.is_some() {
            // A scrape packet has no room for a passkey.
            return Err(refusal(Refusal::Unauthorized));
        }
        wire::begin_scrape(reply, preamble.transaction);
        for key in hashes {
            let stats = self.tracker.scrape(now, &crate::wire::announce::AnnouncedHash::Short(key));
            wire::push_scrape(reply, &stats.unwrap_or_default());
        }
        Ok(())
    }

    /// The user of the passkey in the options; nobody where passkeys are not in use.
    fn udp_passkey(&mut self, options: &[u8]) -> Result<Option<UserId>, Refusal> {
        let Some(passkeys) = &self.passkeys else { return Ok(None) };
        let whole = udp_tracker::url_data_at_once(options).unwrap_or_else(|| {
            self.body.clear();
            udp_tracker::url_data(options, &mut self.body);
            &self.body
        });
        let has_query = whole.contains(&b'?');
        let path =
            if has_query { whole.split(|byte| *byte == b'?').next().unwrap_or_default() } else { whole };
        match passkey::passkey_of_path(path, b"/announce") {
            passkey::PathKey::None | passkey::PathKey::OtherPath => Err(Refusal::PasskeyMissing),
            passkey::PathKey::Bad => Err(Refusal::Unauthorized),
            passkey::PathKey::Some(key) => self.known_passkeys.verify(passkeys, &key).map(Some),
        }
    }

    fn udp_unknown(
        &mut self,
        now: Now,
        from: SocketAddr,
        preamble: &wire::Preamble,
        reply: &mut Vec<u8>,
    ) -> bool {
        if self.ids.verify(preamble.connection_id, from.ip(), now.unix) {
            wire::write_error(reply, preamble.transaction, "unknown action", None);
            self.count_udp(from, Kind::Other, Outcome::Invalid);
            return true;
        }
        if from.ip().is_loopback() {
            // The health probe of the UDP seed: no header, 15 bytes.
            reply.extend_from_slice(b"unknown action\n");
            return true;
        }
        self.counters.drop(Dropped::Action);
        false
    }

    fn count_udp(&mut self, from: SocketAddr, kind: Kind, outcome: Outcome) {
        self.counters.request(Proto::Udp, Family::of(from.ip()), kind, outcome);
    }

    /// The shell could not send an answer.
    pub fn send_failed(&mut self) {
        self.counters.drop(Dropped::Send);
    }
}

fn refusal(refusal: Refusal) -> (&'static str, Outcome) {
    (wire::refusal_text(refusal), outcome_of(refusal))
}

/// How a refusal is counted.
pub(super) fn outcome_of(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Unauthorized | Refusal::PasskeyMissing => Outcome::Unauthorized,
        Refusal::Blocked => Outcome::Blocked,
        Refusal::NotListed | Refusal::Unregistered => Outcome::Unregistered,
        Refusal::RateLimited => Outcome::Limited,
        Refusal::UnknownAddress => Outcome::Invalid,
        Refusal::Full => Outcome::Error,
    }
}
