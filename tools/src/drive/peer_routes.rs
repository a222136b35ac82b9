//! One announce by `/register_peer` and `/get_peers`, carried out on the calling thread: the client registers, and unless
//! it leaves or has enough peers it asks who else is there.

use super::announce_url;
use super::guarded::Client;
use super::http_tracker::{Heard, hear, text, without_words};
use crate::announce::{Answer, Call, PEERS_MAX, Problem};
use weightless::wire::announce::Event;
use weightless::wire::idt_client as wire;

/// Registers, asks for peers, and waits for the answers.
pub fn ask(client: &Client, call: &Call) -> Result<Answer, Problem> {
    let route = |name| {
        let url = announce_url::peer_route(&call.url, call.trusted, name);
        url.ok_or_else(|| Problem::Unusable("not a URL".into()))
    };
    let body = wire::register_body(&call.request);
    let heard = hear(client.post(&route("register_peer")?, call.trusted, &body))?;
    let registered = served(&heard).and_then(|body| wire::parse_registered(body).ok_or_else(no_tracker))?;
    let interval_s = registered.interval_s.unwrap_or(INTERVAL_S);
    if call.request.event == Event::Stopped || call.request.peers_wanted == Some(0) {
        return Ok(Answer { interval_s, ..Answer::default() });
    }
    let query = wire::peers_query(&call.request);
    let url = announce_url::with_query(&route("get_peers")?, query.as_bytes());
    let heard = hear(client.get(&url, call.trusted, &[]))?;
    let swarm = served(&heard).and_then(|body| wire::parse_peers(body).ok_or_else(no_tracker))?;
    Ok(Answer {
        peers: swarm.peers.into_iter().map(|(address, _)| address).take(PEERS_MAX).collect(),
        complete: swarm.seeders,
        incomplete: swarm.leechers,
        interval_s,
        min_interval_s: None,
        warning: None,
    })
}

/// The body of an answer that says yes.
fn served(heard: &Heard) -> Result<&[u8], Problem> {
    let problem = match heard.status {
        200 => return Ok(&heard.body),
        status => without_words(status, heard.retry_after_s),
    };
    // The tracker's own words say more than its status.
    match (problem, wire::parse_error(&heard.body)) {
        (Problem::Refused { retry, .. }, Some(words)) => {
            Err(Problem::Refused { reason: text(words.as_bytes()), retry })
        }
        (problem, _) => Err(problem),
    }
}

fn no_tracker() -> Problem {
    Problem::Failed("not a tracker's answer".into())
}

/// The interval of a tracker that names none.
const INTERVAL_S: u32 = 300;
