//! One request to the hub and its answer (accounts, section 6): the bytes of a batch are the same at every attempt.

use super::Settings;
use crate::base::UnixSeconds;
use crate::base::limits::HUB_ANSWER_BYTES_MAX;
use crate::mailbox::{HubVerdict, UsageBatch};
use crate::wire::http1::parse_date;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, http::Response};

/// The shape of a batch on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// With the id that makes a repetition harmless.
    Keyed,
    /// As the Go tracker sends it, without one.
    Legacy,
}

impl Format {
    /// The JSON of a batch.
    pub fn body(self, batch: &UsageBatch) -> String {
        let mut users = String::with_capacity(64 + batch.items.len() * 64);
        for item in &batch.items {
            let comma = if users.is_empty() { "" } else { "," };
            let user = serde_json::Value::from(item.user.as_str());
            let (up, down) = (item.uploaded, item.downloaded);
            users.push_str(&format!("{comma}{user}:{{\"Uploaded\":{up},\"Downloaded\":{down}}}"));
        }
        match self {
            Self::Keyed => format!("{{\"sync_id\":\"{}\",\"deltas\":{{{users}}}}}", batch.sync_id),
            Self::Legacy => format!("{{{users}}}"),
        }
    }
}

/// An HTTP client for one hub.
pub(super) struct Client(Agent);

impl Client {
    /// Redirects are not followed: they would lead the key elsewhere. The environment's proxies are not asked for,
    /// because settings come from one place.
    pub fn new(settings: &Settings) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIME_LIMIT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(format!("weightless/{}", settings.version))
            .tls_config(tls(&settings.url));
        Self(config.build().into())
    }

    /// Sends a batch, and reads the answer.
    pub fn send(&self, settings: &Settings, batch: &UsageBatch) -> Reply {
        let url = format!("{}{PATH}", settings.url);
        let mut request = self.0.post(url).content_type("application/json");
        if let Some(key) = &settings.key {
            request = request.header("X-Weightless-Key", key.as_slice());
        }
        match request.send(settings.format.body(batch).as_bytes()) {
            Ok(response) => Reply::read(response),
            Err(error) => Reply { status: 0, retry_after: None, trouble: error.to_string() },
        }
    }
}

/// The system's roots, or those that SSL_CERT_FILE names; read only for a hub that is spoken to by https.
fn tls(url: &str) -> TlsConfig {
    let is_https = url.get(..8).is_some_and(|front| front.eq_ignore_ascii_case("https://"));
    let mut roots = Vec::new();
    if is_https {
        let found = rustls_native_certs::load_native_certs();
        found.errors.iter().for_each(|error| log::warn!("hub: {error}"));
        roots.extend(found.certs.iter().map(|cert| Certificate::from_der(cert).to_owned()));
        if roots.is_empty() {
            log::error!("hub: this system has no root certificates, so that no https can be trusted");
        }
    }
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// What came back.
pub(super) struct Reply {
    /// 0 when there was no whole head in time.
    status: u16,
    retry_after: Option<String>,
    /// Why there was none.
    trouble: String,
}

impl Reply {
    fn read(response: Response<Body>) -> Self {
        let status = response.status().as_u16();
        let field = response.headers().get("retry-after");
        let retry_after = field.and_then(|value| value.to_str().ok()).map(str::to_owned);
        // The head has said everything; the rest is read so that the hub may finish, as far as time allows.
        let body = response.into_body().into_reader().take(HUB_ANSWER_BYTES_MAX);
        let _ = io::copy(&mut { body }, &mut io::sink());
        Self { status, retry_after, trouble: String::new() }
    }

    /// The status; 0 for none.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What it means.
    pub fn verdict(&self) -> HubVerdict {
        match self.status {
            200 => HubVerdict::Applied,
            403 => HubVerdict::Forbidden,
            408 | 425 | 429 => HubVerdict::Retry,
            400..=499 => HubVerdict::Rejected,
            _ => HubVerdict::Retry,
        }
    }

    /// How long the hub wants to be left alone, from `now` on: said as seconds or as a date.
    pub fn retry_after_s(&self, now: UnixSeconds) -> Option<u64> {
        let text = self.retry_after.as_deref().filter(|_| matches!(self.status, 408 | 425 | 429))?.trim();
        text.parse().ok().or_else(|| Some(parse_date(text.as_bytes())?.saturating_sub(now)))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            0 => write!(f, "no answer ({})", self.trouble),
            status => write!(f, "it answers {status}"),
        }
    }
}

const PATH: &str = "/api/internal/usage-sync";
const TIME_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::UsageItem;

    #[test]
    fn a_batch_has_the_bytes_of_the_specification() {
        let item =
            |user: &str, uploaded, downloaded| UsageItem { user: user.to_owned(), uploaded, downloaded };
        let items = vec![item("a\"b", 1, 0), item("user_clerk_123", 9_007_199_254_740_991, 5)];
        let batch = UsageBatch { sync_id: "ab".repeat(16), items, is_rejected: false };
        let users = r#"{"a\"b":{"Uploaded":1,"Downloaded":0},"user_clerk_123":{"Uploaded":9007199254740991,"Downloaded":5}}"#;
        assert_eq!(Format::Legacy.body(&batch), users);
        let keyed = format!(r#"{{"sync_id":"abababababababababababababababab","deltas":{users}}}"#);
        assert_eq!(Format::Keyed.body(&batch), keyed);
    }

    #[test]
    fn each_answer_means_what_the_table_says() {
        use HubVerdict::{Applied, Forbidden, Rejected, Retry};
        let reply = |status, retry_after: Option<&str>| Reply {
            status,
            retry_after: retry_after.map(str::to_owned),
            trouble: String::new(),
        };
        for (status, verdict) in [
            (200, Applied),
            (403, Forbidden),
            (408, Retry),
            (425, Retry),
            (429, Retry),
            (400, Rejected),
            (401, Rejected),
            (404, Rejected),
            (499, Rejected),
            (500, Retry),
            (503, Retry),
            (100, Retry),
            (201, Retry),
            (204, Retry),
            (302, Retry),
            (0, Retry),
        ] {
            assert_eq!(reply(status, None).verdict(), verdict, "{status}");
        }
        assert_eq!(reply(429, Some("17")).retry_after_s(0), Some(17));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(reply(429, Some(date)).retry_after_s(784_111_700), Some(77));
        assert_eq!(reply(429, Some(date)).retry_after_s(784_111_800), Some(0));
        assert_eq!(reply(429, Some("soon")).retry_after_s(0), None);
        assert_eq!(reply(500, Some("17")).retry_after_s(0), None);
    }
}
