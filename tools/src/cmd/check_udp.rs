//! `wl check` over UDP (BEP 15, BEP 41).

use super::check::{Answer, KEY, Question, Step};
use crate::drive::announce_url;
use crate::failure::{Class, Failure};
use serde_json::json;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};
use weightless::wire::announce::Event;
use weightless::wire::tracker_client::{self as client, UdpReply};
use weightless::wire::udp_tracker as wire;

/// Asks the tracker at `url`.
pub fn ask(url: &str, question: &Question) -> Result<Vec<Step>, Failure> {
    let no_port = || Failure::usage("the URL of a UDP tracker needs a port");
    let (place, path) = announce_url::udp(url).ok_or_else(no_port)?;
    let no_host = |why: String| Failure::new(Class::Network, format!("{place}: {why}"));
    let mut found = place.to_socket_addrs().map_err(|error| no_host(error.to_string()))?;
    let address = found.next().ok_or_else(|| no_host("host not found".into()))?;
    let socket = open(address).map_err(|error| no_host(error.to_string()))?;
    let mut asker = Asker { socket, steps: Vec::new() };
    let mut request = Vec::new();
    wire::write_connect_request(&mut request, TRANSACTION);
    let answer = asker.step("connect", &request, |reply| match reply {
        UdpReply::Connect { .. } => Some(Vec::new()),
        _ => None,
    });
    let connected = answer.as_deref().map(client::parse_udp_reply);
    let Some(Ok((_, UdpReply::Connect { connection_id }))) = connected else { return Ok(asker.steps) };
    let peer_bytes = if address.is_ipv4() { 6 } else { 18 };
    asker.step("announce", &announce(connection_id, question, path, Event::Started), |reply| {
        let UdpReply::Announce { interval_s, incomplete, complete, peers } = reply else { return None };
        Some(vec![
            ("interval", json!(interval_s)),
            ("seeders", json!(complete)),
            ("leechers", json!(incomplete)),
            ("peers", json!(peers.len() / peer_bytes)),
        ])
    });
    let mut scrape = Vec::new();
    client::write_udp_scrape(&mut scrape, connection_id, TRANSACTION, &[question.hash.key()]);
    asker.step("scrape", &scrape, |reply| {
        let UdpReply::Scrape(entries) = reply else { return None };
        let stats = client::scraped(entries).next()?;
        Some(vec![
            ("seeders", json!(stats.complete)),
            ("leechers", json!(stats.incomplete)),
            ("completed", json!(stats.downloaded)),
        ])
    });
    let _ = asker.socket.send(&announce(connection_id, question, path, Event::Stopped));
    Ok(asker.steps)
}

fn open(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

struct Asker {
    socket: UdpSocket,
    steps: Vec<Step>,
}

impl Asker {
    /// Asks once more if nothing comes back. The answer, if it is one.
    fn step(
        &mut self,
        name: &'static str,
        request: &[u8],
        figures: impl Fn(UdpReply<'_>) -> Option<Vec<(&'static str, serde_json::Value)>>,
    ) -> Option<Vec<u8>> {
        let began = Instant::now();
        let received = self.exchange(request).or_else(|_| self.exchange(request));
        let (answer, bytes) = match received {
            Err(error) => (Answer::Failed(why(&error)), None),
            Ok(bytes) => match client::parse_udp_reply(&bytes) {
                Ok((_, UdpReply::Error(text))) => {
                    (Answer::Refused(String::from_utf8_lossy(text).into_owned()), None)
                }
                other => match other.ok().and_then(|(_, reply)| figures(reply)) {
                    Some(figures) => (Answer::Served(figures), Some(bytes)),
                    None => (Answer::Failed("an answer to something else".into()), None),
                },
            },
        };
        self.steps.push(Step { name, took: began.elapsed(), answer });
        bytes
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.socket.send(request)?;
        let mut answer = vec![0; 4096];
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let length = self.socket.recv(&mut answer)?;
            if length >= 8 && answer[4..8] == TRANSACTION.to_be_bytes() {
                answer.truncate(length);
                return Ok(answer);
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there".into(),
        // A socket's time limit is reported either way.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("silence for {} s", 2 * PATIENCE.as_secs()),
        _ => error.to_string(),
    }
}

/// An announce; the path of the URL goes along as BEP 41 has it, because a passkey may be in it.
fn announce(connection_id: u64, question: &Question, path: &str, event: Event) -> Vec<u8> {
    let mut packet = Vec::new();
    let sender = client::Sender { address: Ipv4Addr::UNSPECIFIED, key: KEY };
    client::write_udp_announce(&mut packet, connection_id, TRANSACTION, &question.request(event), sender);
    client::write_url_data(&mut packet, path.as_bytes());
    packet
}

const TRANSACTION: u32 = 0x776c_6368;
const PATIENCE: Duration = Duration::from_secs(4);
