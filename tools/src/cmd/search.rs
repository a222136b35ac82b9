//! `wl search`: asks a registry.

use crate::columns::fit;
use crate::failure::{Class, Failure, shown_foreign};
use crate::flags::{Command, Flag, TRACKER, one};
use crate::http::{self, Unreachable};
use crate::show_size::size;
use crate::tracker::Tracker;
use crate::{Context, Done, env};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use ureq::http::Request;

const OFFSET: Flag = one("offset", "N", "entries to skip").default("0");

/// The table of `wl search`.
pub const COMMAND: Command = Command {
    name: "search",
    usage: &["[QUERY]"],
    about: "search the registry of a tracker",
    flags: &[
        TRACKER,
        one("category", "TEXT", "only this category"),
        one("publisher", "TEXT", "only this publisher"),
        one("tags", "TEXT", "only entries whose tags contain this"),
        one("sort", "ORDER", "created_at, completions or seeders").default("created_at").choices(SORTS),
        one("limit", "N", "entries in the answer, 1-100").default("50"),
        OFFSET,
    ],
    examples: &[
        ("wl search", "the newest entries"),
        ("wl search --sort seeders imagenet", "entries called so, best seeded first"),
    ],
    run,
};

const SORTS: &[&str] = &["created_at", "completions", "seeders"];
const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 32 << 20;

fn run(context: &Context) -> Result<Done, Failure> {
    let tracker = Tracker::of(context)?;
    let url = format!("{}/search?{}", tracker.registry(), query(context)?);
    let request = Request::get(&url).body(Vec::new()).map_err(|_| Failure::usage("not a usable URL"))?;
    let agent = http::agent(context, TIMEOUT, 0);
    let reply = http::send(&agent, request, ANSWER_BYTES_MAX).map_err(|Unreachable(why)| {
        Failure::new(Class::Network, format!("registry {}: {why}", tracker.base))
    })?;
    if reply.status != 200 {
        return Err(refused(reply.status, &reply.body));
    }
    let strange = || Failure::new(Class::Network, "registry: answer is not a list of entries");
    let results: Value = serde_json::from_slice(&reply.body).map_err(|_| strange())?;
    let rows = results.as_array().ok_or_else(strange)?;
    let text = if rows.is_empty() { String::new() } else { table(rows, name_columns(context)) };
    let total = reply.total.unwrap_or(rows.len() as u64);
    say_what_is_left(context, rows.len() as u64, total)?;
    Ok(Done { text, json: json!({"total": total, "results": results}), ..Done::default() })
}

/// Says which part of all entries these are, unless they are all the rest.
fn say_what_is_left(context: &Context, shown: u64, total: u64) -> Result<(), Failure> {
    let offset: u64 = context.args.text(&OFFSET, &context.env)?.parse().unwrap_or(0);
    let end = offset.saturating_add(shown);
    if shown > 0 && end < total && !context.voice.json {
        let first = offset.saturating_add(1);
        context.voice.say(&format!("entries {first}-{end} of {total}; --offset {end} shows more"));
    }
    Ok(())
}

/// What a registry answered instead of what was asked.
pub fn refused(status: u16, body: &[u8]) -> Failure {
    let class = if status >= 500 { Class::Network } else { Class::Refused };
    Failure::new(class, format!("registry: {status}: {}", http::error_text(body)))
}

fn query(context: &Context) -> Result<String, Failure> {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| {
        let and = if query.is_empty() { "" } else { "&" };
        let _ = write!(query, "{and}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    };
    match context.args.positional.as_slice() {
        [] => {}
        [text] => add("q", text.to_str().ok_or_else(|| Failure::usage("QUERY is not UTF-8"))?),
        _ => return Err(Failure::usage("more than one QUERY").hint("quote a query of several words")),
    }
    for flag in COMMAND.flags.iter().filter(|flag| flag.name != TRACKER.name) {
        let value = context.args.text(flag, &context.env)?;
        let (fits, rule) = match flag.name {
            "sort" => (SORTS.contains(&value.as_str()), "is created_at, completions or seeders"),
            "limit" => (value.parse().is_ok_and(|n: u32| (1..=100).contains(&n)), "must be 1-100"),
            "offset" => (value.parse::<u64>().is_ok(), "must be a number"),
            _ => (true, ""),
        };
        if !fits {
            return Err(Failure::usage(format!("--{} {rule}", flag.name)));
        }
        if !value.is_empty() {
            add(flag.name, &value);
        }
    }
    Ok(query)
}

/// Names get what the other columns leave of the terminal's width.
fn name_columns(context: &Context) -> usize {
    const OTHERS: usize = 16 + 9 + 9 + 12 + 8 + 5 * 2;
    let columns = env::stdout_columns().filter(|_| context.env.stdout_is_terminal);
    columns.map_or(40, |columns| columns.saturating_sub(OTHERS).clamp(16, 80))
}

fn table(rows: &[Value], name_columns: usize) -> String {
    let mut out = format!(
        "{:<16}  {:<name_columns$}  {:>9}  {:>9}  {:<12}  VERIFIED\n",
        "HASH", "NAME", "SIZE", "S/L", "CATEGORY"
    );
    for row in rows {
        let text = |key: &str| shown_foreign(row.get(key).and_then(Value::as_str).unwrap_or_default());
        let count = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (hash, name) = (fit(&text("info_hash"), 16), fit(&text("name"), name_columns));
        let swarm = format!("{}/{}", count("seeders"), count("leechers"));
        let category = fit(&text("category"), 12);
        let verified = if row.get("verified").and_then(Value::as_bool) == Some(true) { "yes" } else { "no" };
        let bytes = size(count("size"));
        let _ = writeln!(out, "{hash}  {name}  {bytes:>9}  {swarm:>9}  {category}  {verified}");
    }
    out
}
