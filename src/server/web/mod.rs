//! The page at `/` for browsers, and the files it is made of: embedded, served from memory, at most 64 KiB in all.
//!
//! A search or an entry is rendered by the store's reader and put into the frame here, so the page works without a
//! script; with one it can also hash files and show how the daemon is doing. The content security policy lets in
//! nothing but these files, so that not even a mistake in the page runs what somebody registered.

use super::http::{Asked, Handled, RETRY};
use super::metrics::ApiRoute;
use super::outbox::Mail;
use super::reply::{Framing, Reply};
use super::{Server, Settings};
use crate::base::Now;
use crate::mailbox::ToReader;
use crate::registry::answer::{etag, matches_etag};
use crate::registry::html::{self, Escaped, Grouped, Html};
use crate::registry::registration::sha256_hex;
use crate::registry::{ApiError, HashText, Question, Search};
use crate::tracker::counters::Outcome;
use crate::tracker::rate::Verdict;
use crate::wire::query::form_param;
use std::fmt::Write;

/// A file of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asset {
    /// What happens in the page.
    App,
    /// What hashes files, in a thread of its own.
    Worker,
    /// How it looks.
    Style,
    /// What a tab shows.
    Icon,
}

impl Asset {
    const ALL: [Self; 4] = [Self::App, Self::Worker, Self::Style, Self::Icon];

    /// The file at a path.
    pub fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/web/app.js" => Self::App,
            b"/web/worker.js" => Self::Worker,
            b"/web/style.css" => Self::Style,
            b"/web/icon.svg" => Self::Icon,
            _ => return None,
        })
    }

    fn bytes(self) -> &'static [u8] {
        match self {
            Self::App => include_bytes!("app.js"),
            Self::Worker => include_bytes!("worker.js"),
            Self::Style => include_bytes!("style.css"),
            Self::Icon => include_bytes!("icon.svg"),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::App | Self::Worker => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Icon => "image/svg+xml",
        }
    }
}

/// The frame around every page, and the entity tags of its files.
pub struct Web {
    /// What stands before the title, before the page and behind it.
    frame: [String; 3],
    etags: [String; Asset::ALL.len()],
}

impl Web {
    /// The frame of a daemon that the world reaches by its PUBLIC_URL, and that may want passkeys of clients.
    pub fn new(settings: &Settings) -> Self {
        let public = Escaped(settings.public_url.as_deref().unwrap_or_default()).to_string();
        let passkey = if settings.tracker_secret.is_some() { "1" } else { "" };
        let filled = |part: &str| part.replace("{passkey}", passkey).replace("{public}", &public);
        let (before, rest) = FRAME.split_once("{title}").expect("the frame has a title");
        let (between, behind) = rest.split_once("{page}").expect("the frame has a place for the page");
        Self {
            frame: [before, between, behind].map(filled),
            etags: Asset::ALL.map(|asset| etag(&sha256_hex(asset.bytes()))),
        }
    }
}

impl Server {
    /// Whether a request for `/` wants the page: only who names HTML does; `*/*` gets the line of text.
    pub(super) fn wants_html(asked: &Asked<'_, '_>) -> bool {
        let accept = asked.head.accept.unwrap_or_default();
        accept.split(|byte| *byte == b',').any(|range| {
            let mut words = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let is_html = words.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"));
            is_html && !words.any(|word| matches!(word, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
        })
    }

    /// The page at `/`: asks the reader for what is in it.
    pub(super) fn web_page(&mut self, asked: &Asked<'_, '_>, out: &mut Vec<u8>) -> (Outcome, Handled) {
        let client = asked.client.unwrap_or(asked.peer.ip());
        if self.rate.take_address(asked.now.mono, client) != Verdict::Allowed {
            self.write_web_problem(asked.now, asked.framing, 429, out);
            return (Outcome::Limited, Handled::Answered);
        }
        let Some(question) = self.web_question(asked) else {
            self.write_web_problem(asked.now, asked.framing, 400, out);
            return (Outcome::Invalid, Handled::Answered);
        };
        if matches!(question, Question::ListPage(_)) {
            self.publish_seeders();
        }
        let ticket = self.sessions.ticket(asked.conn);
        self.waiting += 1;
        self.outbox.push(Mail::Read(ToReader::Ask { ticket, question }));
        (Outcome::Ok, Handled::Parked(ticket, ApiRoute::Page))
    }

    fn web_question(&self, asked: &Asked<'_, '_>) -> Option<Question> {
        let query = asked.head.query;
        for name in ["info_hash", "q", "category", "publisher", "tags", "sort", "offset"] {
            form_param(query, name).ok()?;
        }
        let param = |name: &str| form_param(query, name).ok().flatten();
        if let Some(hash) = param("info_hash") {
            return Some(Question::EntryPage {
                hash: HashText::new(hash),
                trackers: self.own_urls(asked.head),
            });
        }
        let search = Search::from_params(|name| if name == "limit" { None } else { param(name) });
        Some(Question::ListPage(Search { limit: html::ROWS, ..search }))
    }

    /// One of the page's files.
    pub(super) fn asset(&mut self, asked: &Asked<'_, '_>, asset: Asset, out: &mut Vec<u8>) {
        let tag = self.web.etags[asset as usize].clone();
        let known = asked.head.if_none_match.map(String::from_utf8_lossy);
        let fields = [
            ("ETag", tag.as_str()),
            ("Cache-Control", "no-cache"),
            NO_SNIFF,
            ("Content-Security-Policy", POLICY),
        ];
        let reply = if known.is_some_and(|known| matches_etag(&known, &tag)) {
            Reply::text(304, "").with(&fields)
        } else {
            Reply { status: 200, content_type: asset.content_type(), body: asset.bytes(), extra: &fields }
        };
        self.write_reply(asked.now, asked.framing, &reply, out);
    }

    /// Puts a page into the frame, live counts into the page.
    pub(super) fn write_web_page(
        &mut self,
        now: Now,
        framing: Framing,
        status: u16,
        page: &Html,
        out: &mut Vec<u8>,
    ) -> Option<Vec<u8>> {
        let [before, between, behind] = &self.web.frame;
        let inside: usize = page.parts.iter().map(|part| part.html.len() + COUNTS_BYTES).sum();
        let bytes =
            before.len() + between.len() + behind.len() + page.title.len() * 2 + inside + page.tail.len();
        let mut body = String::with_capacity(bytes);
        let _ = write!(body, "{before}{}{between}", Escaped(&page.title));
        for part in &page.parts {
            body.push_str(&part.html);
            let live = part.hashes.map(|hashes| self.tracker.live(&hashes)).unwrap_or_default();
            counts(&mut body, live.complete.into(), live.incomplete.into());
        }
        body.push_str(&page.tail);
        body.push_str(behind);
        let retry = if matches!(status, 429 | 503) { RETRY } else { &[] };
        let extra = [FIELDS, retry].concat();
        let reply = Reply { status, content_type: HTML, body: b"", extra: &extra };
        self.write_body_of(now, framing, &reply, body.into_bytes(), out)
    }

    /// What the store could not answer, in words.
    pub(super) fn write_web_error(&mut self, now: Now, framing: Framing, error: ApiError, out: &mut Vec<u8>) {
        self.write_web_problem(now, framing, error.status, out);
    }

    fn write_web_problem(&mut self, now: Now, framing: Framing, status: u16, out: &mut Vec<u8>) {
        let (title, words) = match status {
            400 => ("That address cannot be read", "It holds bytes that are not text."),
            404 => (
                "Not found",
                "Nothing is registered under this hash. It may never have been here, or have been taken down.",
            ),
            429 => (
                "One moment",
                "Too many requests came from your address. Wait a second, then load the page again.",
            ),
            503 => ("One moment", "The registry's database is busy or cannot be reached. Try again shortly."),
            _ => (
                "Something broke",
                "The registry's database has failed this request. Its operator finds the reason in the log.",
            ),
        };
        let long = self.write_web_page(now, framing, status, &html::problem(title, words), out);
        debug_assert!(long.is_none(), "a page about a problem is short");
    }
}

/// The live counts of one swarm.
fn counts(html: &mut String, seeders: u64, leechers: u64) {
    let class = if seeders > 0 { "n seeds up" } else { "n seeds" };
    let word = |n, one: &'static str, many: &'static str| if n == 1 { one } else { many };
    let _ = write!(
        html,
        "<span class=\"{class}\">{} {}</span> <span class=\"n\">{} {}</span>",
        Grouped(seeders),
        word(seeders, "seeder", "seeders"),
        Grouped(leechers),
        word(leechers, "leecher", "leechers")
    );
}

/// About as much as `counts` writes.
const COUNTS_BYTES: usize = 96;
const FRAME: &str = include_str!("index.html");
const HTML: &str = "text/html; charset=utf-8";
const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
/// Nothing from anywhere else, nothing inline, in nobody's frame, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types weightless";
const FIELDS: &[(&str, &str)] = &[
    ("Content-Security-Policy", POLICY),
    NO_SNIFF,
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
    ("Vary", "Accept"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_fits_the_budget() {
        let files: usize = Asset::ALL.iter().map(|asset| asset.bytes().len()).sum();
        let all = files + FRAME.len();
        assert!(all <= 64 * 1024, "{all} bytes");
    }

    /// What the policy would refuse anyway is not even there.
    #[test]
    fn the_frame_names_only_its_own_files() {
        for attribute in ["src=\"", "href=\""] {
            for rest in FRAME.split(attribute).skip(1) {
                let target = rest.split('"').next().unwrap_or_default();
                // Relative ones, because a proxy may put all of it below a path.
                let known = Asset::of(format!("/{target}").as_bytes()).is_some()
                    || target.starts_with('#')
                    || ["./", "metrics", "openapi.json"].contains(&target);
                assert!(known, "{target}");
            }
        }
        assert!(!FRAME.contains("style=\"") && !FRAME.contains("onclick"));
    }
}
