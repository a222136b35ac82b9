//! One announce over HTTP (BEP 3, 23, 31), carried out on the calling thread.

use super::announce_url;
use super::guarded::{Answered, Client, Manners, NoAnswer};
use crate::announce::{Answer, Call, PEERS_MAX, Problem, Retry};
use crate::failure::shown_foreign;
use crate::ssrf::Purpose;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;
use weightless::wire::compact;
use weightless::wire::tracker_client::{HttpReply, parse_announce_reply};

/// How announces are made.
pub fn manners(purpose: Purpose, allow_private: bool, proxy: Option<ureq::Proxy>) -> Manners {
    Manners {
        purpose,
        allow_private,
        proxy,
        // The peer routes are where they are.
        redirects_max: if purpose == Purpose::PeerRoutes { 0 } else { 3 },
        connect: PATIENCE,
        silence: PATIENCE,
        total: Some(PATIENCE),
    }
}

/// Announces and waits for the answer.
pub fn ask(client: &Client, call: &Call) -> Result<Answer, Problem> {
    let url = announce_url::http(&call.url, &call.request, call.key);
    let heard = hear(client.get(&url, call.trusted, &[]))?;
    read_answer(heard.status, heard.retry_after_s, &heard.body)
}

/// An answer as a whole.
pub struct Heard {
    /// Its status.
    pub status: u16,
    /// `Retry-After`, if it is a number of seconds.
    pub retry_after_s: Option<u32>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Reads an answer to its end.
pub fn hear(answered: Result<Answered, NoAnswer>) -> Result<Heard, Problem> {
    let answered = answered.map_err(|no| match no {
        NoAnswer::Never(why) => Problem::Unusable(why),
        NoAnswer::Failed(why) => Problem::Failed(why),
    })?;
    let status = answered.response.status().as_u16();
    let retry_after = answered.response.headers().get("retry-after");
    let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    let reader = answered.response.into_body().into_reader();
    let read = reader.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut body);
    read.map_err(|error| Problem::Failed(crate::failure::reason(&error)))?;
    if body.len() as u64 > ANSWER_BYTES_MAX {
        return Err(Problem::Failed("answer too long".into()));
    }
    Ok(Heard { status, retry_after_s, body })
}

/// What an answer means. Trackers refuse with any status; a body that is none leaves the status to speak.
fn read_answer(status: u16, retry_after_s: Option<u32>, body: &[u8]) -> Result<Answer, Problem> {
    match parse_announce_reply(body) {
        Ok(HttpReply::Failed { reason, retry_in }) => {
            let retry = retry_in.map_or(Retry::Unsaid, |text| retry(&text));
            Err(Problem::Refused { reason: text(&reason), retry })
        }
        Ok(HttpReply::Served { response, interval_s, min_interval_s, warning, .. })
            if (200..300).contains(&status) =>
        {
            let v4 = compact::peers4(&response.peers4).map(SocketAddr::from);
            let v6 = compact::peers6(&response.peers6).map(SocketAddr::from);
            Ok(Answer {
                peers: v4.chain(v6).take(PEERS_MAX).collect(),
                complete: response.complete,
                incomplete: response.incomplete,
                interval_s,
                min_interval_s,
                warning: warning.map(|warning| text(&warning)),
            })
        }
        _ => Err(without_words(status, retry_after_s)),
    }
}

/// What a status means that came without words a person could read.
pub fn without_words(status: u16, retry_after_s: Option<u32>) -> Problem {
    match (status, retry_after_s) {
        (200..300, _) => Problem::Failed("not a tracker's answer".into()),
        (429 | 503, Some(seconds)) => {
            Problem::Refused { reason: format!("HTTP {status}"), retry: Retry::AfterS(seconds) }
        }
        (400..500, _) => Problem::Refused { reason: format!("HTTP {status}"), retry: Retry::Unsaid },
        _ => Problem::Failed(format!("HTTP {status}")),
    }
}

/// `retry in`: minutes, or `never` (BEP 31).
fn retry(text: &[u8]) -> Retry {
    let text = String::from_utf8_lossy(text);
    match text.trim() {
        "never" => Retry::Never,
        minutes => {
            minutes.parse().map_or(Retry::Unsaid, |minutes: u32| Retry::AfterS(minutes.saturating_mul(60)))
        }
    }
}

/// A server's words, safe to show.
pub fn text(bytes: &[u8]) -> String {
    shown_foreign(&String::from_utf8_lossy(bytes))
}

/// All the time an announce may take.
const PATIENCE: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: u64 = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_say() {
        let refused = |reason: &str, retry| Err(Problem::Refused { reason: reason.into(), retry });
        for (status, body, answer) in [
            (200, &b"d14:failure reason2:noe"[..], refused("no", Retry::Unsaid)),
            (400, b"d14:failure reason2:noe", refused("no", Retry::Unsaid)),
            (200, b"d14:failure reason2:\x1b[8:retry in1:5e", refused("\\x1b[", Retry::AfterS(300))),
            (200, b"d14:failure reason2:no8:retry in5:nevere", refused("no", Retry::Never)),
            (200, b"d14:failure reason2:no8:retry in4:soone", refused("no", Retry::Unsaid)),
            (200, b"<html>", Err(Problem::Failed("not a tracker's answer".into()))),
            (404, b"<html>", refused("HTTP 404", Retry::Unsaid)),
            (500, b"d8:intervali60ee", Err(Problem::Failed("HTTP 500".into()))),
        ] {
            assert_eq!(read_answer(status, None, body), answer, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(read_answer(503, Some(90), b""), refused("HTTP 503", Retry::AfterS(90)));
    }

    #[test]
    fn peers_of_both_families_are_taken_up_to_the_bound() {
        let many = vec![1; 6 * (PEERS_MAX + 1)];
        let six = [2; 18];
        let mut body = format!("d8:intervali60e12:min intervali30e5:peers{}:", many.len()).into_bytes();
        body.extend_from_slice(&many);
        body.extend_from_slice(b"15:warning message3:odde");
        let answer = read_answer(200, None, &body).expect("an answer");
        assert_eq!((answer.peers.len(), answer.min_interval_s), (PEERS_MAX, Some(30)));
        assert_eq!(answer.warning.as_deref(), Some("odd"));
        let mut body = b"d8:completei3e8:intervali60e5:peers6:\x7f\0\0\x01\0\x096:peers618:".to_vec();
        body.extend_from_slice(&six);
        body.push(b'e');
        let answer = read_answer(200, None, &body).expect("an answer");
        let peers: Vec<_> = answer.peers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(peers[0], "127.0.0.1:9");
        assert!(answer.peers[1].is_ipv6() && answer.complete == 3);
    }
}
