//! The table of settings as people see it: `--help`, `--check-config`, the README.

use super::Config;
use super::error::printable;
use super::source::{ACTIONS, Personality, Setting};
use super::table::{ROWS, Row};
use crate::base::roff::Page;
use std::fmt::Write;

/// The text of `--help`.
pub(super) fn help(personality: Personality) -> String {
    let program = personality.program();
    let mut text = format!(
        "{program}: a BitTorrent tracker and data registry\n\n\
         usage: {program} [--flag value | --flag=value]...\n\n\
         A setting comes from its flag, else from the environment variable, else from the environment file, else it\n\
         has its default. One dash works as well as two.\n"
    );
    for row in ROWS {
        let flags = personality.flags_of(row);
        let flags: Vec<_> = flags.iter().map(|flag| dashed(personality, flag)).collect();
        let _ = write!(text, "\n  {}\n", [flags, names_of(row)].concat().join(", "));
        let default = match personality.default_text_of(row) {
            "" => "unset",
            default => default,
        };
        let _ = writeln!(text, "      {}\n      {} [{default}]", row.help, row.range);
    }
    text.push_str("\n  --env-file FILE\n      read variables from lines KEY=VALUE of this file\n");
    text.push_str("      a path; it must exist [.env.local, else /usr/local/bin/.env.local, if there]\n");
    let _ = write!(text, "\n  --backup FILE\n      {BACKUP_HELP}\n");
    for (long, short, _, help) in ACTIONS {
        let mut names = vec![dashed(personality, long)];
        names.extend(
            short.filter(|s| *s == "h" || personality == Personality::PicoTracker).map(|s| format!("-{s}")),
        );
        let _ = write!(text, "\n  {}\n      {help}\n", names.join(", "));
    }
    text
}

/// The manual page weightless(8).
pub(super) fn manual() -> String {
    let mut page = Page::new("weightless", 8, env!("CARGO_PKG_VERSION"));
    page.section("name").paragraph("weightless - BitTorrent tracker and data registry");
    page.section("synopsis").paragraph("weightless [--flag value | --flag=value]...");
    page.section("description").paragraph(
        "weightless answers BitTorrent announces and scrapes over HTTP and UDP, and keeps a registry of torrents. It \
         serves what was registered, unless it is told otherwise. A setting comes from its flag, else from the \
         environment variable, else from the environment file, else it has its default.",
    );
    page.section("settings");
    for row in ROWS {
        let flag = row.flag.map(|flag| format!("--{flag}"));
        let names: Vec<_> = flag.into_iter().chain(names_of(row)).collect();
        let default = if row.default.is_empty() { "unset" } else { row.default };
        page.item(&names.join(", "), &format!("{} ({}; default {default})", row.help, row.range));
    }
    page.item("--env-file FILE", "read variables from lines KEY=VALUE of this file");
    page.section("actions");
    for (long, short, _, help) in ACTIONS {
        let short =
            short.filter(|short| *short == "h").map(|short| format!(", -{short}")).unwrap_or_default();
        page.item(&format!("--{long}{short}"), help);
    }
    page.item("--backup FILE", BACKUP_HELP);
    page.section("signals");
    page.item("SIGHUP", "read the environment file and the whitelist again");
    page.item("SIGTERM, SIGINT", "store the swarms and end");
    page.section("see also").paragraph("wl(1)");
    page.finish()
}

fn dashed(personality: Personality, flag: &str) -> String {
    // The tracker that we stand in for documents one dash.
    let one = flag.len() == 1 || personality == Personality::PicoTracker;
    format!("{}{flag}", if one { "-" } else { "--" })
}

fn names_of(row: &Row) -> Vec<String> {
    std::iter::once(row.name).chain(row.alias).map(str::to_owned).collect()
}

impl Config {
    /// The text of `--check-config`: every setting on a line, its value (of a secret only the length), its source.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for (row, setting) in ROWS.iter().zip(&self.origin.settings) {
            let _ = writeln!(text, "{:<20} {:<30} {}", row.name, shown(row, setting), setting.source);
        }
        if let Some(path) = self.origin.env_file() {
            let _ = writeln!(text, "environment file     {}", path.display());
        }
        text
    }
}

fn shown(row: &Row, setting: &Setting) -> String {
    match &setting.value {
        None => "unset".to_owned(),
        Some(value) if row.secret => format!("set ({} bytes)", value.len()),
        Some(value) => printable(value),
    }
}

const BACKUP_HELP: &str = "copy the database to this new file, also while a tracker serves from it, and end";

/// The settings as a table in Markdown, for the README.
pub fn settings_table() -> String {
    let mut text = "| Variable | Flag | Default | Accepted | Meaning |\n|---|---|---|---|---|\n".to_owned();
    for row in ROWS {
        let flag = row.flag.map_or("—".to_owned(), |flag| format!("`--{flag}`"));
        let default = match row.default {
            "" => "unset".to_owned(),
            default => format!("`{default}`"),
        };
        let alias = row.alias.map_or(String::new(), |alias| format!(" (also `{alias}`)"));
        let _ =
            writeln!(text, "| `{}`{alias} | {flag} | {default} | {} | {} |", row.name, row.range, row.help);
    }
    text
}
