//! Web pages of other origins (CORS, the Fetch standard, section 3.2): which may use the registry, and what they are
//! told. Only for routes below `/api/` and their kin; off unless CORS_ORIGIN is set. Credentials are never allowed.

use super::Server;
use crate::wire::http1::{Head, Method};

/// Which origins may use the registry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Origins {
    /// None but our own.
    #[default]
    None,
    /// Every one.
    Any,
    /// These, as browsers write them: `https://example.org`.
    Listed(Vec<String>),
}

/// What one answer says about the page that asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cors {
    /// Nothing.
    #[default]
    Silent,
    /// Every page may read this.
    Any,
    /// The page of this number in the list may read this. A list that is replaced meanwhile can only make the answer
    /// name another origin, which no browser takes for its own.
    Listed(usize),
    /// This page may not, others may: a cache has to keep them apart.
    Unlisted,
}

impl Server {
    /// What the answer to this request says.
    pub(super) fn cors(&self, head: &Head<'_>) -> Cors {
        match (&self.settings.origins, head.origin) {
            (Origins::None, _) | (Origins::Any, None) => Cors::Silent,
            (Origins::Any, Some(_)) => Cors::Any,
            (Origins::Listed(list), origin) => {
                let is_it = |listed: &String| {
                    origin.is_some_and(|origin| listed.as_bytes().eq_ignore_ascii_case(origin))
                };
                list.iter().position(is_it).map_or(Cors::Unlisted, Cors::Listed)
            }
        }
    }

    /// The fields of an answer.
    pub(super) fn cors_fields(&self, cors: Cors) -> Vec<(&str, &str)> {
        let allowed = match (cors, &self.settings.origins) {
            (Cors::Silent, _) => return Vec::new(),
            (Cors::Any, _) => "*",
            (Cors::Listed(at), Origins::Listed(list)) => list.get(at).map_or("", String::as_str),
            (Cors::Listed(_) | Cors::Unlisted, _) => "",
        };
        let mut fields = Vec::with_capacity(3);
        if !allowed.is_empty() {
            fields.push(("Access-Control-Allow-Origin", allowed));
            fields.push(("Access-Control-Expose-Headers", "X-Total-Count, ETag, Content-Disposition"));
        }
        if cors != Cors::Any {
            fields.push(("Vary", "Origin"));
        }
        fields
    }
}

impl Cors {
    /// Whether the page may use what it asks for.
    pub fn allows(self) -> bool {
        matches!(self, Self::Any | Self::Listed(_))
    }
}

/// Whether a browser asks for leave before the request proper.
pub(super) fn is_preflight(head: &Head<'_>) -> bool {
    head.method == Method::Options && head.lines("access-control-request-method").next().is_some()
}

/// The leave it is given, besides the fields of every answer.
pub(super) const PREFLIGHT: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type, X-Weightless-Key"),
    ("Access-Control-Max-Age", "600"),
];
