//! `wl check` over UDP (BEP 15, BEP 41).

use super::check::{Answer, Question, Step};
use crate::failure::{Class, Failure};
use serde_json::json;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};
use weightless::wire::udp_tracker::{self as wire, action};

/// Asks the tracker at `rest`, the URL without its scheme.
pub fn ask(rest: &str, question: &Question) -> Result<Vec<Step>, Failure> {
    let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let no_host = |why: String| Failure::new(Class::Network, format!("{place}: {why}"));
    let mut found = place.to_socket_addrs().map_err(|error| no_host(error.to_string()))?;
    let address = found.next().ok_or_else(|| no_host("host not found".into()))?;
    let socket = open(address).map_err(|error| no_host(error.to_string()))?;
    let mut asker = Asker { socket, steps: Vec::new() };
    let mut request = Vec::new();
    wire::write_connect_request(&mut request, TRANSACTION);
    let Some(answer) = asker.step("connect", &request, |_| Vec::new()) else { return Ok(asker.steps) };
    let Some(id) = answer.get(8..16).and_then(|id| id.first_chunk::<8>()) else { return Ok(asker.steps) };
    let id = u64::from_be_bytes(*id);
    let peer_bytes = if address.is_ipv4() { 6 } else { 18 };
    asker.step("announce", &announce(id, question, path, None), |answer| {
        vec![
            ("interval", json!(number(answer, 8))),
            ("seeders", json!(number(answer, 16))),
            ("leechers", json!(number(answer, 12))),
            ("peers", json!(answer.len().saturating_sub(20) / peer_bytes)),
        ]
    });
    let mut scrape = head(id, action::SCRAPE);
    scrape.extend_from_slice(&question.hash.key().0);
    asker.step("scrape", &scrape, |answer| {
        vec![
            ("seeders", json!(number(answer, 8))),
            ("leechers", json!(number(answer, 16))),
            ("completed", json!(number(answer, 12))),
        ]
    });
    let _ = asker.socket.send(&announce(id, question, path, Some(STOPPED)));
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
        figures: impl Fn(&[u8]) -> Vec<(&'static str, serde_json::Value)>,
    ) -> Option<Vec<u8>> {
        let began = Instant::now();
        let received = self.exchange(request).or_else(|_| self.exchange(request));
        let wanted = request.get(8..12);
        let (answer, bytes) = match received {
            Err(error) => (Answer::Failed(why(&error)), None),
            Ok(bytes) if bytes.get(..4) == Some(&action::ERROR.to_be_bytes()) => {
                (Answer::Refused(String::from_utf8_lossy(&bytes[8..]).into_owned()), None)
            }
            Ok(bytes) if bytes.get(..4) == wanted && bytes.len() >= 16 => {
                (Answer::Served(figures(&bytes)), Some(bytes))
            }
            Ok(_) => (Answer::Failed("an answer to something else".into()), None),
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

fn head(id: u64, action: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &action.to_be_bytes(), &TRANSACTION.to_be_bytes()].concat()
}

/// An announce; the path of the URL goes along as BEP 41 has it, because a passkey may be in it.
fn announce(id: u64, question: &Question, path: &str, event: Option<u32>) -> Vec<u8> {
    let mut packet = head(id, action::ANNOUNCE);
    packet.extend_from_slice(&question.hash.key().0);
    packet.extend_from_slice(&question.peer_id.0);
    for counter in [0u64, 1, 0] {
        packet.extend_from_slice(&counter.to_be_bytes());
    }
    for field in [event.unwrap_or(STARTED), 0, 0, PEERS_WANTED] {
        packet.extend_from_slice(&field.to_be_bytes());
    }
    packet.extend_from_slice(&question.port.to_be_bytes());
    for part in path.as_bytes().chunks(255) {
        packet.extend_from_slice(&[2, part.len() as u8]);
        packet.extend_from_slice(part);
    }
    packet
}

fn number(answer: &[u8], at: usize) -> u32 {
    answer.get(at..at + 4).and_then(|four| four.first_chunk()).map_or(0, |four| u32::from_be_bytes(*four))
}

const TRANSACTION: u32 = 0x776c_6368;
const STARTED: u32 = 2;
const STOPPED: u32 = 3;
const PEERS_WANTED: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(4);
