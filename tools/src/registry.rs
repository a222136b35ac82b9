//! What a registry says about one torrent.

use crate::Context;
use crate::cmd::search::refused;
use crate::failure::{Class, Failure};
use crate::http::{self, Unreachable};
use crate::tracker::Tracker;
use serde_json::Value;
use std::time::Duration;
use ureq::http::Request;

const ENTRY_BYTES_MAX: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The entry of a hash in hex; null if there is none.
pub fn entry(context: &Context, tracker: &Tracker, hash: &str) -> Result<Value, Failure> {
    let url = format!("{}?info_hash={hash}", tracker.registry());
    let request = Request::get(&url).body(Vec::new()).map_err(|_| Failure::usage("not a usable URL"))?;
    let reply = http::send(&http::agent(context, TIMEOUT, 0), request, ENTRY_BYTES_MAX);
    let offline = |Unreachable(why)| Failure::new(Class::Network, format!("registry offline ({why})"));
    match reply.map_err(offline)? {
        reply if reply.status == 200 => serde_json::from_slice(&reply.body)
            .map_err(|_| Failure::new(Class::Network, "registry: answer is not an entry")),
        reply if reply.status == 404 => Ok(Value::Null),
        reply => Err(refused(reply.status, &reply.body)),
    }
}
