//! The HTTP client: bounded answers, bounded time, statuses as values.

use crate::Context;
use crate::failure::shown;
use std::io::Read;
use std::time::Duration;
use ureq::config::ConfigBuilder;
use ureq::http::{Request, Response};
use ureq::middleware::MiddlewareNext;
use ureq::typestate::AgentScope;
use ureq::{Body, SendBody};

/// An answer, whatever its status.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `X-Total-Count`, if there is one.
    pub total: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer, in a few words.
pub struct Unreachable(pub String);

/// A client whose requests take at most `timeout` and follow at most `redirects`.
pub fn agent(context: &Context, timeout: Duration, redirects: u32) -> ureq::Agent {
    narrated(context, redirects).timeout_global(Some(timeout)).build().into()
}

/// A client for answers of any length: only a pause longer than `patience` ends them.
pub fn patient_agent(context: &Context, patience: Duration, redirects: u32) -> ureq::Agent {
    let patience = Some(patience);
    narrated(context, redirects)
        .timeout_resolve(patience)
        .timeout_connect(patience)
        .timeout_recv_response(patience)
        .timeout_per_read(patience)
        .build()
        .into()
}

fn narrated(context: &Context, redirects: u32) -> ConfigBuilder<AgentScope> {
    let config = config(context.env.proxy.clone(), redirects);
    if context.voice.is_detailed() { config.middleware(narrate) } else { config }
}

/// What all our clients have in common: statuses are values, and we say who we are.
pub fn config(proxy: Option<ureq::Proxy>, redirects: u32) -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .max_redirects(redirects)
        .http_status_as_error(false)
        .proxy(proxy)
        .user_agent(concat!("wl/", env!("CARGO_PKG_VERSION")))
}

/// Says on stderr what was asked and what came back, for `--verbose`.
fn narrate(request: Request<SendBody>, next: MiddlewareNext) -> Result<Response<Body>, ureq::Error> {
    let what = shown(&format!("{} {}", request.method(), request.uri()));
    let outcome = next.handle(request);
    match &outcome {
        Ok(response) => eprintln!("{what}: {}", response.status().as_u16()),
        Err(error) => eprintln!("{what}: {}", shown(&why(error))),
    }
    outcome
}

/// Sends a request and reads the answer, of which more than `body_bytes_max` bytes are an error.
pub fn send(
    agent: &ureq::Agent,
    request: Request<Vec<u8>>,
    body_bytes_max: u64,
) -> Result<Reply, Unreachable> {
    let with_body = !request.body().is_empty();
    let response = if with_body { agent.run(request) } else { agent.run(request.map(|_| ())) };
    reply(response.map_err(|error| Unreachable(why(&error)))?, body_bytes_max)
}

/// The same with a body that is read while it is sent; the request names its length.
pub fn send_long(
    agent: &ureq::Agent,
    request: Request<SendBody<'_>>,
    body_bytes_max: u64,
) -> Result<Reply, Unreachable> {
    reply(agent.run(request).map_err(|error| Unreachable(why(&error)))?, body_bytes_max)
}

fn reply(response: Response<Body>, body_bytes_max: u64) -> Result<Reply, Unreachable> {
    let status = response.status().as_u16();
    let total = response.headers().get("x-total-count").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    let reader = response.into_body().into_reader();
    reader.take(body_bytes_max + 1).read_to_end(&mut body).map_err(|error| Unreachable(error.to_string()))?;
    if body.len() as u64 > body_bytes_max {
        return Err(Unreachable("answer too long".into()));
    }
    Ok(Reply { status, total, body })
}

/// An error in the words of a person.
pub fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "timeout".into(),
        ureq::Error::HostNotFound => "host not found".into(),
        ureq::Error::ConnectionFailed => "connection failed".into(),
        ureq::Error::TooManyRedirects => "too many redirects".into(),
        ureq::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// The text of an error answer: `{"error":"<text>"}`, or the body itself.
pub fn error_text(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = json.as_ref().and_then(|json| json.get("error")?.as_str()).map(str::to_string);
    crate::failure::shown_foreign(&text.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_string()))
}
