//! `wl check` over HTTP (BEP 3, BEP 48).

use super::check::{Answer, KEY, Question, Step};
use crate::drive::announce_url;
use crate::failure::Failure;
use crate::{Context, http};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use ureq::http::Request;
use weightless::wire::announce::Event;
use weightless::wire::bencode::{Form, Limits, Value as Bencode, parse};
use weightless::wire::tracker_client as client;

/// Asks the tracker behind `url`, an announce URL or the base of one.
pub fn ask(context: &Context, url: &str, question: &Question) -> Result<Vec<Step>, Failure> {
    let announce_url = match url.split_once("://").and_then(|(_, rest)| rest.trim_end_matches('/').find('/'))
    {
        Some(_) => url.to_owned(),
        None => format!("{}/announce", url.trim_end_matches('/')),
    };
    let agent = http::agent(context, PATIENCE, 3);
    let announce = |event| announce_url::http(&announce_url, &question.request(event), KEY);
    let mut steps = vec![step(&agent, "announce", &announce(Event::Started), announced)];
    if let Some((front, back)) = announce_url.rsplit_once("announce") {
        let mut query = Vec::new();
        client::write_scrape_query(&mut query, &[question.hash]);
        let scrape = announce_url::with_query(&format!("{front}scrape{back}"), &query);
        steps.push(step(&agent, "scrape", &scrape, scraped));
    }
    if matches!(steps[0].answer, Answer::Served(_)) {
        step(&agent, "leave", &announce(Event::Stopped), |_| Vec::new());
    }
    Ok(steps)
}

type Figures = Vec<(&'static str, Value)>;

fn step(agent: &ureq::Agent, name: &'static str, url: &str, figures: fn(&Bencode<'_>) -> Figures) -> Step {
    let began = Instant::now();
    let request = Request::get(url).body(Vec::new());
    let answer = match request.map_err(|error| error.to_string()) {
        Err(why) => Answer::Failed(why),
        Ok(request) => match http::send(agent, request, ANSWER_BYTES_MAX) {
            Err(http::Unreachable(why)) => Answer::Failed(why),
            Ok(reply) => read(&reply, figures),
        },
    };
    Step { name, took: began.elapsed(), answer }
}

fn read(reply: &http::Reply, figures: fn(&Bencode<'_>) -> Figures) -> Answer {
    let Ok(value) = parse(&reply.body, &Limits::TRACKER_RESPONSE, Form::Tolerant) else {
        return match reply.status {
            200 => Answer::Failed("not a tracker's answer (no bencode)".into()),
            status => Answer::Failed(format!("HTTP {status}")),
        };
    };
    match value.get(b"failure reason").and_then(|reason| reason.as_bytes()) {
        Some(reason) => Answer::Refused(String::from_utf8_lossy(reason).into_owned()),
        None => Answer::Served(figures(&value)),
    }
}

fn announced(answer: &Bencode<'_>) -> Figures {
    let mut figures = Vec::new();
    for (key, name) in [("interval", "interval"), ("complete", "seeders"), ("incomplete", "leechers")] {
        if let Some(number) = answer.get(key.as_bytes()).and_then(|value| value.as_int()) {
            figures.push((name, json!(number)));
        }
    }
    let peers = |key: &[u8], size: usize| {
        let value = answer.get(key);
        let compact = value.as_ref().and_then(|value| value.as_bytes()).map(|bytes| bytes.len() / size);
        compact.or_else(|| Some(value?.as_list()?.count())).unwrap_or(0)
    };
    figures.push(("peers", json!(peers(b"peers", 6) + peers(b"peers6", 18))));
    let ip = answer.get(b"external ip").and_then(|value| match value.as_bytes()?.len() {
        4 => Some(IpAddr::from(*value.as_bytes()?.first_chunk::<4>()?)),
        _ => Some(IpAddr::from(*value.as_bytes()?.first_chunk::<16>()?)),
    });
    figures.extend(ip.map(|ip| ("your address", json!(ip.to_string()))));
    figures
}

fn scraped(answer: &Bencode<'_>) -> Figures {
    let Some(file) = answer.get(b"files").and_then(|files| files.as_dict()?.next().map(|(_, file)| file))
    else {
        return vec![("files", json!(0))];
    };
    let mut figures = Vec::new();
    for (key, name) in [("complete", "seeders"), ("incomplete", "leechers"), ("downloaded", "completed")] {
        if let Some(number) = file.get(key.as_bytes()).and_then(|value| value.as_int()) {
            figures.push((name, json!(number)));
        }
    }
    figures
}

const PATIENCE: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: u64 = 2 * 1024 * 1024;
