//! HTTP for URLs that a torrent names: every hop of a redirect is judged by `ssrf` on its resolved address, and nothing
//! goes from https back to http where that matters. One client belongs to one thread and keeps its connections.

use crate::http;
use crate::ssrf::{self, Forbidden, Guard, Purpose, Reach, Trust};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::http::{Response, Uri};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

/// What a client is to keep to.
#[derive(Clone, Debug)]
pub struct Manners {
    /// What its URLs are for.
    pub purpose: Purpose,
    /// `--allow-private`.
    pub allow_private: bool,
    /// The proxy, from the environment. It resolves names itself: then only addresses written out can be judged.
    pub proxy: Option<ureq::Proxy>,
    /// How many redirects are followed.
    pub redirects_max: u32,
    /// The longest wait for a connection.
    pub connect: Duration,
    /// The longest wait for the next bytes.
    pub silence: Duration,
    /// The longest time for all of it, if there is one.
    pub total: Option<Duration>,
}

/// An HTTP client.
pub struct Client {
    manners: Manners,
    typed: Agent,
    found: Agent,
    behind_public: Agent,
    /// Whether the last lookup found a public address.
    met_public: Arc<AtomicBool>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The rules do not allow it, or the URL cannot be used: asking again does not help.
    Never(String),
    /// Something failed.
    Failed(String),
}

/// What is asked.
#[derive(Clone, Copy)]
enum Ask<'a> {
    /// A GET with these headers.
    Get(&'a [(&'a str, &'a str)]),
    /// A POST of JSON.
    Post(&'a str),
}

/// An answer that is no redirect.
pub struct Answered {
    /// Its head, and the body to be read.
    pub response: Response<Body>,
    /// Where it came from in the end.
    pub url: String,
}

impl Client {
    /// A client without connections.
    pub fn new(manners: Manners) -> Self {
        let met_public = Arc::new(AtomicBool::new(true));
        let agent = |trust| {
            let config = http::config(manners.proxy.clone(), 0)
                .max_redirects_will_error(false)
                .timeout_resolve(Some(manners.connect))
                .timeout_connect(Some(manners.connect))
                .timeout_send_request(Some(manners.silence))
                .timeout_recv_response(Some(manners.silence))
                .timeout_per_read(Some(manners.silence))
                .max_response_header_size(HEAD_BYTES_MAX)
                .input_buffer_size(HEAD_BYTES_MAX)
                .output_buffer_size(OUTPUT_BYTES)
                .max_idle_connections_per_host(1)
                .build();
            let guard = Guard::new(manners.purpose, trust, Arc::clone(&met_public));
            Agent::with_parts(config, DefaultConnector::default(), guard)
        };
        let found = if manners.allow_private { Trust::FoundPrivateAllowed } else { Trust::Found };
        let behind_public =
            if manners.allow_private { Trust::FoundPrivateAllowed } else { Trust::FoundBehindPublic };
        let (typed, found, behind_public) = (agent(Trust::Typed), agent(found), agent(behind_public));
        Self { manners, typed, found, behind_public, met_public }
    }

    /// Sends a GET and follows redirects. `trusted`: a person typed the URL.
    pub fn get(&self, url: &str, trusted: bool, headers: &[(&str, &str)]) -> Result<Answered, NoAnswer> {
        let until = self.manners.total.map(|total| Instant::now() + total);
        let mut url = usable(url);
        let mut behind_public = false;
        for _ in 0..=self.manners.redirects_max {
            let agent = match (trusted, behind_public) {
                (true, _) => &self.typed,
                (false, false) => &self.found,
                (false, true) => &self.behind_public,
            };
            let response = self.hop(agent, &url, trusted, behind_public, until, Ask::Get(headers))?;
            if !redirects(&response) {
                return Ok(Answered { response, url });
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| joined(&url, location));
            let next = next.ok_or_else(|| NoAnswer::Failed("a redirect to nowhere".into()))?;
            if is_https(&url) && !is_https(&next) {
                return Err(NoAnswer::Never("a redirect from https to http".into()));
            }
            behind_public |= self.met_public.load(Ordering::Relaxed);
            url = next;
        }
        Err(NoAnswer::Failed("too many redirects".into()))
    }

    /// Sends JSON by POST. A redirect is not followed.
    pub fn post(&self, url: &str, trusted: bool, json: &str) -> Result<Answered, NoAnswer> {
        let until = self.manners.total.map(|total| Instant::now() + total);
        let agent = if trusted { &self.typed } else { &self.found };
        let url = usable(url);
        let response = self.hop(agent, &url, trusted, false, until, Ask::Post(json))?;
        if redirects(&response) {
            return Err(NoAnswer::Failed("a redirect of what was sent".into()));
        }
        Ok(Answered { response, url })
    }

    fn hop(
        &self,
        agent: &Agent,
        url: &str,
        trusted: bool,
        behind_public: bool,
        until: Option<Instant>,
        ask: Ask<'_>,
    ) -> Result<Response<Body>, NoAnswer> {
        let uri: Uri = url.parse().map_err(|_| NoAnswer::Never("not a URL".into()))?;
        // A proxy hides from the resolver where we go.
        self.met_public.store(true, Ordering::Relaxed);
        let trust = match (trusted, self.manners.allow_private, behind_public) {
            (true, ..) => Trust::Typed,
            (false, true, _) => Trust::FoundPrivateAllowed,
            (false, false, true) => Trust::FoundBehindPublic,
            (false, false, false) => Trust::Found,
        };
        let judged = ssrf::check_written(self.manners.purpose, trust, &uri);
        let reach = judged.map_err(|Forbidden(why)| NoAnswer::Never(why.into()))?;
        if reach == Some(Reach::Private) {
            self.met_public.store(false, Ordering::Relaxed);
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(NoAnswer::Failed("timeout".into()));
        }
        let answer = match ask {
            Ask::Get(headers) => {
                let request = headers
                    .iter()
                    .fold(agent.get(uri), |request, (name, value)| request.header(*name, *value));
                request.config().timeout_global(left).build().call()
            }
            Ask::Post(json) => {
                let request = agent.post(uri).header("Content-Type", "application/json");
                request.config().timeout_global(left).build().send(json)
            }
        };
        answer.map_err(|error| no_answer(&error))
    }
}

fn redirects(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn no_answer(error: &ureq::Error) -> NoAnswer {
    match (ssrf::forbidden(error), error) {
        (Some(Forbidden(why)), _) => NoAnswer::Never(why.into()),
        (None, ureq::Error::BadUri(_) | ureq::Error::Http(_)) => NoAnswer::Never("not a URL".into()),
        (None, error) => NoAnswer::Failed(http::why(error)),
    }
}

/// The URL with everything escaped that may not stand in one, and without its fragment.
pub fn usable(url: &str) -> String {
    const ODD: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    let url = url.split('#').next().unwrap_or_default();
    percent_encoding::utf8_percent_encode(url, ODD).to_string()
}

/// Where a redirect leads (RFC 3986 section 5), http and https only.
fn joined(base: &str, location: &str) -> Option<String> {
    let location = usable(location.trim());
    let (scheme, rest) = base.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    if location.contains("://") && !location.starts_with(['/', '?', '.']) {
        let (scheme, rest) = location.split_once("://")?;
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        return (is_http && !rest.is_empty()).then(|| location.clone());
    }
    if location.is_empty() {
        return None;
    }
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    let full = match location.as_bytes().first() {
        Some(b'/') => location,
        Some(b'?') => format!("{}{location}", if path.is_empty() { "/" } else { path }),
        _ => format!("{}/{location}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    Some(format!("{scheme}://{authority}{}", without_dots(&full)))
}

/// A path without `.` and `..`, its query untouched.
fn without_dots(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    let is_folder = ["/.", "/.."].iter().any(|end| path.ends_with(end));
    format!("/{}{}{query}", parts.join("/"), if is_folder && !parts.is_empty() { "/" } else { "" })
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|front| front.eq_ignore_ascii_case("https://"))
}

/// Status line and headers of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const OUTPUT_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        for (base, location, there) in [
            ("http://h:1/a/b?c", "https://o/x", Some("https://o/x")),
            ("http://h:1/a/b?c", "//o/x", Some("http://o/x")),
            ("http://h:1/a/b?c", "/x?y=http://z/", Some("http://h:1/x?y=http://z/")),
            ("http://h:1/a/b?c", "x", Some("http://h:1/a/x")),
            ("http://h:1/a/b?c", "../x/./y", Some("http://h:1/x/y")),
            ("http://h:1/a/b?c", "../../../..", Some("http://h:1/")),
            ("http://h:1/a/b?c", "?d", Some("http://h:1/a/b?d")),
            ("http://h:1", "x y#z", Some("http://h:1/x%20y")),
            ("http://h:1/a", "file:///etc/passwd", None),
            ("http://h:1/a", "ftp://o/x", None),
            ("http://h:1/a", "", None),
            ("http://h:1/a", "http://", None),
        ] {
            assert_eq!(joined(base, location).as_deref(), there, "{location}");
        }
    }

    #[test]
    fn what_may_not_stand_in_a_url_is_escaped_and_escapes_are_left_alone() {
        assert_eq!(usable("http://h/ü b%20c?d=e|f#g"), "http://h/%C3%BC%20b%20c?d=e%7Cf");
    }
}
