//! Conversations with UDP trackers (BEP 15, BEP 41): connect, announce, ask again when nothing comes.
//!
//! A pure machine between the socket and whoever wants to announce. A try goes to one address and lasts 15 s x 2^n;
//! the next one goes to the next address of the tracker, so that one family that leads nowhere costs one try.
//! A connection id is used for 60 s, by all that is asked of that address.

use super::http_tracker::text;
use crate::announce::{Answer, Call, PEERS_MAX, Problem, Retry};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use weightless::base::{Millis, Rng};
use weightless::wire::compact;
use weightless::wire::tracker_client::{self as client, Sender, UdpReply};
use weightless::wire::udp_tracker::write_connect_request;

/// All conversations.
#[derive(Debug)]
pub struct Exchange {
    asks: Vec<Ask>,
    connections: HashMap<SocketAddr, Connection>,
    rng: Rng,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram from a socket connected to that address.
    Send(SocketAddr, Vec<u8>),
    /// Tell how a call ended.
    Done(u64, Result<Answer, Problem>),
}

/// One call.
#[derive(Debug)]
struct Ask {
    call: Call,
    path: String,
    /// Where the tracker is; those that refuse are taken out.
    addresses: Vec<SocketAddr>,
    at: SocketAddr,
    tries: u32,
    transaction: u32,
    phase: Phase,
    deadline: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// With an id of this conversation.
    Announcing,
    /// With an id that somebody else was given before: the tracker may have forgotten it.
    AnnouncingWithOldId,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    id: u64,
    since: Millis,
}

impl Exchange {
    /// Nobody is asked anything yet.
    pub fn new(rng: Rng) -> Self {
        Self { asks: Vec::new(), connections: HashMap::new(), rng }
    }

    /// Begins a call. `path` goes along with the announce; `addresses` are those that may be contacted.
    pub fn begin(
        &mut self,
        now: Millis,
        call: Call,
        path: &str,
        addresses: Vec<SocketAddr>,
        out: &mut Vec<Action>,
    ) {
        let refused = match addresses.first() {
            None => Some(Problem::Failed("host not found".into())),
            Some(_) if path.len() > PATH_BYTES_MAX => Some(Problem::Unusable("URL too long".into())),
            Some(_) if self.asks.len() >= ASKS_MAX => {
                Some(Problem::Failed("too many announces at once".into()))
            }
            Some(_) => None,
        };
        let at = match (refused, addresses.first()) {
            (None, Some(&at)) => at,
            (refused, _) => {
                let problem = refused.unwrap_or(Problem::Failed("host not found".into()));
                return out.push(Action::Done(call.id, Err(problem)));
            }
        };
        let path = path.to_owned();
        let phase = Phase::Connecting;
        let mut ask = Ask { call, path, addresses, at, tries: 0, transaction: 0, phase, deadline: 0 };
        self.speak(now, &mut ask, out);
        self.asks.push(ask);
    }

    /// Takes a datagram that came from `from`.
    pub fn received(&mut self, now: Millis, from: SocketAddr, datagram: &[u8], out: &mut Vec<Action>) {
        let Ok((transaction, reply)) = client::parse_udp_reply(datagram) else { return };
        let theirs = |ask: &Ask| ask.at == from && ask.transaction == transaction;
        let Some(at) = self.asks.iter().position(theirs) else { return };
        let mut ask = self.asks.swap_remove(at);
        match (ask.phase, reply) {
            (Phase::Connecting, UdpReply::Connect { connection_id }) => {
                self.connections.insert(from, Connection { id: connection_id, since: now });
                self.speak(now, &mut ask, out);
                ask.phase = Phase::Announcing;
                self.asks.push(ask);
            }
            (Phase::AnnouncingWithOldId, UdpReply::Error(_)) => {
                self.connections.remove(&from);
                self.speak(now, &mut ask, out);
                self.asks.push(ask);
            }
            (_, UdpReply::Error(reason)) => {
                let problem = Problem::Refused { reason: text(reason), retry: Retry::Unsaid };
                out.push(Action::Done(ask.call.id, Err(problem)));
            }
            (Phase::Announcing | Phase::AnnouncingWithOldId, UdpReply::Announce { .. }) => {
                out.push(Action::Done(ask.call.id, Ok(answer(from, reply))));
            }
            // An answer to something else: as if it had not come.
            _ => self.asks.push(ask),
        }
    }

    /// Nobody listens at an address, or it cannot be reached: whoever asked there asks elsewhere.
    pub fn unreachable(&mut self, now: Millis, address: SocketAddr, why: &str, out: &mut Vec<Action>) {
        self.connections.remove(&address);
        let (stranded, rest) = std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.at == address);
        self.asks = rest;
        for mut ask in stranded {
            ask.addresses.retain(|&other| other != address);
            match ask.addresses.first() {
                None => out.push(Action::Done(ask.call.id, Err(Problem::Failed(why.into())))),
                Some(&next) => {
                    ask.at = next;
                    self.speak(now, &mut ask, out);
                    self.asks.push(ask);
                }
            }
        }
    }

    /// Does what the time calls for.
    pub fn tick(&mut self, now: Millis, out: &mut Vec<Action>) {
        self.connections.retain(|_, connection| now < connection.since + CONNECTION_MS);
        let (late, rest) = std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.deadline <= now);
        self.asks = rest;
        for mut ask in late {
            ask.tries += 1;
            if ask.tries >= ask.call.udp_tries {
                out.push(Action::Done(ask.call.id, Err(Problem::Failed("timeout".into()))));
                continue;
            }
            let next = ask.addresses.get(ask.tries as usize % ask.addresses.len().max(1));
            ask.at = next.copied().unwrap_or(ask.at);
            self.speak(now, &mut ask, out);
            self.asks.push(ask);
        }
    }

    /// When [`Exchange::tick`] has something to do.
    pub fn next_due(&self) -> Option<Millis> {
        let ids = self.connections.values().map(|connection| connection.since + CONNECTION_MS);
        self.asks.iter().map(|ask| ask.deadline).chain(ids).min()
    }

    /// Whether a socket to that address is of use.
    pub fn is_using(&self, address: &SocketAddr) -> bool {
        self.connections.contains_key(address) || self.asks.iter().any(|ask| ask.at == *address)
    }

    /// Sends what comes next in a conversation: an announce if there is a connection id, else a connect.
    fn speak(&mut self, now: Millis, ask: &mut Ask, out: &mut Vec<Action>) {
        ask.transaction = self.rng.u64() as u32;
        ask.deadline = now + (TRY_MS << ask.tries.min(TRIES_MAX));
        let mut datagram = Vec::new();
        let fresh = self.connections.get(&ask.at).filter(|connection| now < connection.since + CONNECTION_MS);
        match fresh {
            None => {
                ask.phase = Phase::Connecting;
                write_connect_request(&mut datagram, ask.transaction);
            }
            Some(connection) => {
                ask.phase = Phase::AnnouncingWithOldId;
                let sender = Sender { address: Ipv4Addr::UNSPECIFIED, key: ask.call.key };
                let Call { request, .. } = &ask.call;
                client::write_udp_announce(&mut datagram, connection.id, ask.transaction, request, sender);
                client::write_url_data(&mut datagram, ask.path.as_bytes());
            }
        }
        out.push(Action::Send(ask.at, datagram));
    }
}

fn answer(from: SocketAddr, reply: UdpReply<'_>) -> Answer {
    let UdpReply::Announce { interval_s, incomplete, complete, peers } = reply else {
        return Answer::default();
    };
    let peers = match from.ip().to_canonical().is_ipv4() {
        true => compact::peers4(peers).map(SocketAddr::from).take(PEERS_MAX).collect(),
        false => compact::peers6(peers).map(SocketAddr::from).take(PEERS_MAX).collect(),
    };
    Answer { peers, complete, incomplete, interval_s, ..Answer::default() }
}

/// The first try; each further one takes twice as long.
const TRY_MS: Millis = 15_000;
/// The longest try is 15 s x 2^8.
const TRIES_MAX: u32 = 8;
/// A connection id is used for so long.
const CONNECTION_MS: Millis = 60_000;
/// Calls at the same time.
const ASKS_MAX: usize = 256;
/// A longer path would not fit a datagram that arrives everywhere.
const PATH_BYTES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::Wire;
    use weightless::base::{PeerId, SwarmKey};
    use weightless::wire::announce::{AnnounceRequest, AnnouncedHash, Event};
    use weightless::wire::udp_tracker as wire;

    const V4: &str = "192.0.2.1:80";
    const V6: &str = "[2001:db8::1]:80";

    fn call(id: u64, udp_tries: u32) -> Call {
        let request = AnnounceRequest {
            info_hash: AnnouncedHash::Short(SwarmKey([1; 20])),
            peer_id: PeerId([2; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left: Some(1),
            event: Event::Started,
            peers_wanted: Some(50),
        };
        Call { id, url: String::new(), trusted: true, request, key: 9, udp_tries, wire: Wire::Announce }
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().expect(address)
    }

    struct Bench(Exchange);

    impl Bench {
        fn new() -> Self {
            Self(Exchange::new(Rng::new(1)))
        }

        fn begin(&mut self, now: Millis, call: Call, path: &str, addresses: &[&str]) -> Vec<Action> {
            let mut out = Vec::new();
            let addresses = addresses.iter().map(|address| at(address)).collect();
            self.0.begin(now, call, path, addresses, &mut out);
            out
        }

        fn receive(&mut self, now: Millis, from: &str, datagram: &[u8]) -> Vec<Action> {
            let mut out = Vec::new();
            self.0.received(now, at(from), datagram, &mut out);
            out
        }

        fn tick(&mut self, now: Millis) -> Vec<Action> {
            let mut out = Vec::new();
            self.0.tick(now, &mut out);
            out
        }
    }

    /// The datagram of the only action, which must be sent to `to`.
    fn sent(actions: &[Action], to: &str) -> Vec<u8> {
        match actions {
            [Action::Send(address, datagram)] if *address == at(to) => datagram.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn connected(request: &[u8], id: u64) -> Vec<u8> {
        let mut out = Vec::new();
        wire::write_connect(&mut out, wire::parse_preamble(request).expect("a request").transaction, id);
        out
    }

    fn announced(request: &[u8], peers: &[u8]) -> Vec<u8> {
        let transaction = wire::parse_preamble(request).expect("a request").transaction;
        [&1u32.to_be_bytes()[..], &transaction.to_be_bytes(), &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2], peers]
            .concat()
    }

    #[test]
    fn connect_announce_answer_and_the_id_serves_the_next() {
        let mut bench = Bench::new();
        let connect = sent(&bench.begin(0, call(5, 3), "/announce?k=1", &[V4]), V4);
        assert_eq!(wire::parse_preamble(&connect).expect("whole").connection_id, wire::PROTOCOL_ID);
        let announce = sent(&bench.receive(10, V4, &connected(&connect, 77)), V4);
        assert_eq!(wire::parse_preamble(&announce).expect("whole").connection_id, 77);
        let read = wire::parse_announce(&announce).expect("an announce");
        assert_eq!(read.request, call(5, 3).request);
        let mut path = Vec::new();
        wire::url_data(read.options, &mut path);
        assert_eq!(path, b"/announce?k=1");
        let done = bench.receive(20, V4, &announced(&announce, &[10, 0, 0, 1, 0, 5, 9, 9]));
        let [Action::Done(5, Ok(answer))] = done.as_slice() else { panic!("{done:?}") };
        assert_eq!(answer.peers, [at("10.0.0.1:5")]);
        assert_eq!((answer.interval_s, answer.incomplete, answer.complete), (1800, 1, 2));
        let again = sent(&bench.begin(59_000, call(6, 3), "", &[V4]), V4);
        assert_eq!(again.len(), 98, "no connect, and no option without a path");
        assert!(bench.0.is_using(&at(V4)));
        let late = sent(&bench.begin(60_010, call(7, 3), "", &[V4]), V4);
        assert_eq!(late.len(), 16, "60 s after the id came it is not used any more");
    }

    #[test]
    fn only_the_one_who_was_asked_can_answer() {
        let mut bench = Bench::new();
        let connect = sent(&bench.begin(0, call(1, 3), "", &[V4]), V4);
        let mut wrong = connected(&connect, 77);
        assert_eq!(bench.receive(1, V6, &wrong), [], "another address");
        assert_eq!(bench.receive(1, V4, &announced(&connect, &[])), [], "an answer to something else");
        wrong[7] ^= 1;
        assert_eq!(bench.receive(1, V4, &wrong), [], "another transaction");
        assert_eq!(bench.receive(1, V4, &wrong[..7]), [], "half a packet");
        sent(&bench.receive(1, V4, &connected(&connect, 77)), V4);
    }

    #[test]
    fn tries_last_longer_each_time_and_take_turns_with_the_addresses() {
        let mut bench = Bench::new();
        sent(&bench.begin(0, call(1, 3), "", &[V6, V4]), V6);
        assert_eq!((bench.0.next_due(), bench.tick(14_999)), (Some(15_000), vec![]));
        sent(&bench.tick(15_000), V4);
        assert_eq!(bench.0.next_due(), Some(45_000));
        sent(&bench.tick(45_000), V6);
        assert_eq!(bench.tick(105_000), [Action::Done(1, Err(Problem::Failed("timeout".into())))]);
        assert_eq!((bench.0.next_due(), bench.0.is_using(&at(V4))), (None, false));
        let mut patient = Bench::new();
        patient.begin(0, call(1, 9), "", &[V4]);
        let mut now = 0;
        for n in 0..9 {
            now += 15_000 << n;
            assert_eq!(patient.tick(now).len(), 1);
        }
        assert_eq!(patient.0.next_due(), None);
    }

    #[test]
    fn a_closed_port_sends_us_on_at_once() {
        let mut bench = Bench::new();
        bench.begin(0, call(1, 3), "", &[V6, V4]);
        let mut out = Vec::new();
        bench.0.unreachable(5, at(V6), "connection refused", &mut out);
        sent(&out, V4);
        out.clear();
        bench.0.unreachable(6, at(V4), "connection refused", &mut out);
        assert_eq!(out, [Action::Done(1, Err(Problem::Failed("connection refused".into())))]);
    }

    #[test]
    fn an_error_is_a_refusal_unless_it_may_be_about_an_old_id() {
        let error = |request: &[u8]| {
            let mut out = Vec::new();
            wire::write_error(
                &mut out,
                wire::parse_preamble(request).expect("whole").transaction,
                "no",
                None,
            );
            out
        };
        let refused =
            |id| [Action::Done(id, Err(Problem::Refused { reason: "no".into(), retry: Retry::Unsaid }))];
        let mut bench = Bench::new();
        let connect = sent(&bench.begin(0, call(1, 3), "", &[V4]), V4);
        let announce = sent(&bench.receive(1, V4, &connected(&connect, 7)), V4);
        assert_eq!(bench.receive(2, V4, &error(&announce)), refused(1));
        let announce = sent(&bench.begin(3, call(2, 3), "", &[V4]), V4);
        let connect = sent(&bench.receive(4, V4, &error(&announce)), V4);
        assert_eq!(connect.len(), 16);
        let announce = sent(&bench.receive(5, V4, &connected(&connect, 8)), V4);
        assert_eq!(bench.receive(6, V4, &error(&announce)), refused(2));
    }

    #[test]
    fn there_is_a_bound() {
        let mut bench = Bench::new();
        for id in 0..ASKS_MAX as u64 {
            sent(&bench.begin(0, call(id, 3), "", &[V4]), V4);
        }
        let last = bench.begin(0, call(999, 3), "", &[V4]);
        assert!(matches!(last.as_slice(), [Action::Done(999, Err(Problem::Failed(_)))]), "{last:?}");
        let mut bench = Bench::new();
        assert_eq!(bench.begin(0, call(1, 3), &"x".repeat(PATH_BYTES_MAX), &[V4]).len(), 1);
        let long = bench.begin(0, call(2, 3), &"x".repeat(PATH_BYTES_MAX + 1), &[V4]);
        assert!(matches!(long.as_slice(), [Action::Done(2, Err(Problem::Unusable(_)))]), "{long:?}");
        assert!(matches!(bench.begin(0, call(3, 3), "", &[]).as_slice(), [Action::Done(3, Err(_))]));
    }
}
