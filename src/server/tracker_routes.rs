//! `/announce` and `/scrape` over HTTP (BEP 3, 7, 23, 24, 31, 48), and which path leads where.

use super::http::{Asked, Handled, RETRY};
use super::peer_routes::{GET_PEERS, REGISTER_PEER};
use super::reply::{Reply, TEXT};
use super::udp::outcome_of;
use super::{Server, address};
use crate::base::{Now, UserId};
use crate::tracker::counters::{Family, Kind, Outcome, Proto};
use crate::tracker::rate::Verdict;
use crate::tracker::{Families, Reach};
use crate::wire::announce::Refusal;
use crate::wire::http_tracker as wire;
use crate::wire::http1::Method;
use crate::wire::passkey::{self, PathKey};
use std::net::{IpAddr, SocketAddr};

/// What a path names.
enum Route<'a> {
    Announce(PathKey<'a>),
    Scrape(PathKey<'a>),
    RegisterPeer(PathKey<'a>),
    GetPeers(PathKey<'a>),
    Page(super::pages::Page),
    Api(&'a [u8]),
    Unknown,
}

impl Server {
    /// Serves one request, or says what it waits for.
    pub(super) fn request(&mut self, asked: &Asked<'_, '_>, out: &mut Vec<u8>) -> Handled {
        let family = Family::of(asked.peer.ip().to_canonical());
        let reads = matches!(asked.head.method, Method::Get | Method::Head);
        let mut handled = Handled::Answered;
        let (kind, outcome) = match route(asked.head.path) {
            Route::Api(path) => return self.api(asked, path, out),
            Route::RegisterPeer(key) => return self.register_peer(asked, key, out),
            Route::GetPeers(key) => return self.get_peers(asked, key, out),
            Route::Announce(key) if reads => (Kind::Announce, self.http_announce(asked, key, out)),
            Route::Scrape(key) if reads => (Kind::Scrape, self.http_scrape(asked, key, out)),
            Route::Page(page) if page.is_exempt() && reads => {
                let outcome;
                (outcome, handled) = self.page(asked, page, out);
                (Kind::Other, outcome)
            }
            Route::Page(page) if page.is_exempt() => (Kind::Other, self.other_method(asked, READS, out)),
            _ if self.is_over_the_rate(asked) => (Kind::Other, self.too_many(asked, out)),
            Route::Page(page) if reads => (Kind::Other, self.page(asked, page, out).0),
            Route::Announce(_) | Route::Scrape(_) | Route::Page(_) => {
                (Kind::Other, self.other_method(asked, READS, out))
            }
            Route::Unknown => {
                self.write_reply(asked.now, asked.framing, &Reply::text(404, "404 page not found"), out);
                (Kind::Other, Outcome::Invalid)
            }
        };
        self.counters.request(Proto::Http, family, kind, outcome);
        handled
    }

    fn http_announce(&mut self, asked: &Asked<'_, '_>, key: PathKey<'_>, out: &mut Vec<u8>) -> Outcome {
        let pace = self.pace();
        self.body.clear();
        let result = match self.announce_checks(asked, key) {
            Ok((ip, user)) => match wire::parse_announce(asked.head.query) {
                // HEAD asks whether this would be served; it must not change a swarm.
                Ok(_) if asked.head.method == Method::Head => Ok(()),
                Ok(announce) => self.announce_http_client(asked.now, ip, user.as_ref(), &announce),
                Err(bad) => {
                    let mut text = Vec::new();
                    bad.write_text(&mut text);
                    wire::write_failure(&mut self.body, &text, pace, None);
                    self.write_body(asked.now, asked.framing, TEXT, out);
                    return Outcome::Invalid;
                }
            },
            Err(refusal) => Err(refusal),
        };
        self.write_tracker_body(asked, result, false, out)
    }

    /// Steps 1 to 3 of the checks.
    pub(super) fn announce_checks(
        &mut self,
        asked: &Asked<'_, '_>,
        key: PathKey<'_>,
    ) -> Result<(IpAddr, Option<UserId>), Refusal> {
        let ip = asked.client.ok_or(Refusal::UnknownAddress)?;
        if self.rate.take_address(asked.now.mono, ip) != Verdict::Allowed {
            return Err(Refusal::RateLimited);
        }
        Ok((ip, self.check_passkey(key)?))
    }

    fn announce_http_client(
        &mut self,
        now: Now,
        ip: IpAddr,
        user: Option<&UserId>,
        announce: &wire::HttpAnnounce,
    ) -> Result<(), Refusal> {
        let may_name = self.settings.trust_ip_param && address::may_name_itself(ip);
        let ip = announce.address.filter(|_| may_name).unwrap_or(ip).to_canonical();
        let peers =
            announce.request.peers_wanted.unwrap_or(self.settings.peers_max).min(self.settings.peers_max);
        let reach = Reach { peers_max: peers as usize, families: Families::Both };
        let client = SocketAddr::new(ip, announce.request.port);
        self.tracker.announce(now, client, &announce.request, reach, &mut self.announced)?;
        if let Some(user) = user {
            self.tracker.account(now, user, client, &announce.request);
        }
        self.body.clear();
        let pace = self.pace();
        wire::write_announce(&mut self.body, &self.announced, pace, ip, announce.compact);
        Ok(())
    }

    fn http_scrape(&mut self, asked: &Asked<'_, '_>, key: PathKey<'_>, out: &mut Vec<u8>) -> Outcome {
        let checked = self.announce_checks(asked, key).map(|_| ());
        if checked == Err(Refusal::RateLimited) {
            return self.too_many(asked, out);
        }
        self.body.clear();
        if checked.is_ok() {
            for hash in wire::scraped_hashes(asked.head.query) {
                if let Some(stats) = self.tracker.scrape(asked.now, &hash) {
                    self.files.push(hash, stats);
                }
            }
            self.files.write(&mut self.body);
        }
        self.write_tracker_body(asked, checked, true, out)
    }

    /// Writes the body that lies ready, or the refusal in its place.
    fn write_tracker_body(
        &mut self,
        asked: &Asked<'_, '_>,
        result: Result<(), Refusal>,
        scrape: bool,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if let Err(refusal) = result {
            let pace = self.pace();
            let (text, retry) = wire::refusal_text(refusal, scrape);
            self.body.clear();
            wire::write_failure(&mut self.body, text.as_bytes(), pace, retry);
        }
        self.write_body(asked.now, asked.framing, TEXT, out);
        result.err().map_or(Outcome::Ok, outcome_of)
    }

    fn check_passkey(&mut self, key: PathKey<'_>) -> Result<Option<UserId>, Refusal> {
        match (&self.passkeys, key) {
            (None, PathKey::None) => Ok(None),
            (None, _) | (Some(_), PathKey::Bad) => Err(Refusal::Unauthorized),
            (Some(_), PathKey::None | PathKey::OtherPath) => Err(Refusal::PasskeyMissing),
            (Some(passkeys), PathKey::Some(key)) => self.known_passkeys.verify(passkeys, &key).map(Some),
        }
    }

    /// Takes a token for a request whose route does not do so itself. A client without an address
    /// pays with that of its proxy.
    pub(super) fn is_over_the_rate(&mut self, asked: &Asked<'_, '_>) -> bool {
        let client = asked.client.unwrap_or(asked.peer.ip());
        self.rate.take_address(asked.now.mono, client) != Verdict::Allowed
    }

    fn too_many(&mut self, asked: &Asked<'_, '_>, out: &mut Vec<u8>) -> Outcome {
        let reply = Reply::text(429, "Too Many Requests").with(RETRY);
        self.write_reply(asked.now, asked.framing, &reply, out);
        Outcome::Limited
    }

    /// OPTIONS, or a method the route does not have.
    pub(super) fn other_method(
        &mut self,
        asked: &Asked<'_, '_>,
        allow: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let (reply, outcome) = match asked.head.method {
            Method::Options => (Reply::text(204, ""), Outcome::Ok),
            _ => (Reply::text(405, "405 method not allowed"), Outcome::Invalid),
        };
        self.write_reply(asked.now, asked.framing, &reply.with(allow), out);
        outcome
    }
}

/// A route whose path may end with a passkey.
type WithPasskey<'a> = fn(PathKey<'a>) -> Route<'a>;

fn route<'a>(path: &'a [u8]) -> Route<'a> {
    let with_passkey: [(&[u8], WithPasskey<'a>); 4] = [
        (b"/announce", Route::Announce),
        (b"/scrape", Route::Scrape),
        (REGISTER_PEER, Route::RegisterPeer),
        (GET_PEERS, Route::GetPeers),
    ];
    for (front, named) in with_passkey {
        if path.starts_with(front) {
            return match passkey::passkey_of_path(path, front) {
                PathKey::OtherPath => Route::Unknown,
                key => named(key),
            };
        }
    }
    if path.starts_with(b"/api/") {
        return Route::Api(path);
    }
    super::pages::Page::of(path).map_or(Route::Unknown, Route::Page)
}

const READS: &[(&str, &str)] = &[("Allow", "GET, HEAD, OPTIONS")];
