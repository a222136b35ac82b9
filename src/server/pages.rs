//! The routes without policy: the version line, health, metrics, and what browsers and crawlers ask for.
//! The page for browsers, which shares `/` with the version line, is in `web`.

use super::Server;
use super::http::{Asked, Handled};
use super::reply::Reply;
use super::web::Asset;
use crate::tracker::counters::Outcome;

/// One of those routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// `/`
    Root,
    /// `/health`
    Health,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// A file of the page at `/`
    Asset(Asset),
    /// `/favicon.ico`
    Favicon,
    /// `/robots.txt`
    Robots,
}

impl Page {
    /// The page at a path.
    pub fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/" => Self::Root,
            b"/health" => Self::Health,
            b"/metrics" => Self::Metrics,
            b"/openapi.json" => Self::OpenApi,
            b"/favicon.ico" => Self::Favicon,
            b"/robots.txt" => Self::Robots,
            path => Self::Asset(Asset::of(path)?),
        })
    }

    /// Whether it may be asked for at any rate: what a monitor asks for, and the files without which a page would be
    /// broken. (The page itself takes part in the limit.)
    pub fn is_exempt(self) -> bool {
        matches!(self, Self::Root | Self::Health | Self::Metrics | Self::Asset(_))
    }
}

impl Server {
    /// Serves a page.
    pub(super) fn page(
        &mut self,
        asked: &Asked<'_, '_>,
        page: Page,
        out: &mut Vec<u8>,
    ) -> (Outcome, Handled) {
        let metrics;
        let reply = match page {
            Page::Root if Self::wants_html(asked) => return self.web_page(asked, out),
            Page::Root => {
                Reply { content_type: PLAIN, extra: VARY, ..Reply::text(200, "Weightless Tracker v1.0") }
            }
            Page::Asset(asset) => {
                self.asset(asked, asset, out);
                return (Outcome::Ok, Handled::Answered);
            }
            Page::Health => return self.health(asked, out),
            Page::Metrics => {
                metrics = self.metrics(asked.now);
                Reply { content_type: METRICS, ..Reply::text(200, &metrics) }
            }
            Page::OpenApi => Reply::json(200, OPEN_API),
            Page::Favicon => Reply::text(204, ""),
            Page::Robots => Reply::text(200, "User-agent: *\nDisallow: /\n"),
        };
        self.write_reply(asked.now, asked.framing, &reply, out);
        (Outcome::Ok, Handled::Answered)
    }
}

/// `/` is a line or a page.
const VARY: &[(&str, &str)] = &[("Vary", "Accept")];
const PLAIN: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The registry's interface for programs (OpenAPI 3.1); a test holds it against the running daemon.
const OPEN_API: &[u8] = include_bytes!("openapi.json");
