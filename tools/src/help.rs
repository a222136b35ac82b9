//! Help, made from the flag tables.

use crate::Done;
use crate::cmd::COMMANDS;
use crate::failure::Failure;
use crate::flags::{COMMON, Command, Flag, Takes};
use crate::manual;
use crate::nearest::nearest;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;

/// `wl help` and `wl help CMD`; `wl help --man` is the manual page, for whoever installs.
pub fn answer(words: &[OsString]) -> Result<Done, Failure> {
    if words.iter().any(|word| word == "--man") {
        return Ok(Done { text: manual::page(), ..Done::default() });
    }
    let text = match words.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        Some(name) => of(find(name)?),
        None => overview(),
    };
    Ok(Done { text, ..Done::default() })
}

/// The command called so.
pub fn find(name: &OsStr) -> Result<&'static Command, Failure> {
    if let Some(command) = COMMANDS.iter().find(|command| name == command.name) {
        return Ok(command);
    }
    let name = name.to_string_lossy();
    if name.starts_with('-') {
        return Err(Failure::usage(format!("{name} stands before the command"))
            .hint("usage: wl COMMAND [flags] [arguments]"));
    }
    let failure = Failure::usage(format!("unknown command {name}"));
    Err(match nearest(&name, COMMANDS.iter().map(|command| command.name)) {
        Some(near) => failure.hint(format!("did you mean wl {near}?")),
        None => failure.hint("wl help lists the commands"),
    })
}

fn overview() -> String {
    let mut text =
        String::from("wl makes torrents, registers them with a Weightless tracker and checks data.\n\n");
    text.push_str("Usage: wl COMMAND [flags] [arguments]\n\nCommands:\n");
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<12} {}", command.name, command.about);
    }
    text.push_str("  help         show this, or the help of a command\n\nExamples:\n");
    text.push_str("  wl create ./dataset           make dataset.torrent and register it\n");
    text.push_str("  wl verify dataset.torrent .   check the files below this directory\n\n");
    text.push_str("wl COMMAND --help shows flags and examples of a command.\n");
    text
}

/// The help of one command.
pub fn of(command: &Command) -> String {
    let mut text = format!("{}.\n\nUsage:\n", capitalised(command.about));
    for usage in command.usage {
        let _ = writeln!(text, "  wl {} [flags] {usage}", command.name);
    }
    text.push_str("\nFlags:\n");
    for flag in command.flags.iter().chain(COMMON) {
        flag_lines(&mut text, flag);
    }
    text.push_str("\nExamples:\n");
    for (line, what) in command.examples {
        let _ = writeln!(text, "  {line}\n      {what}");
    }
    text
}

/// The text with its first letter as a capital.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn flag_lines(text: &mut String, flag: &Flag) {
    let mut line = format!("{:<30}", format!("  {}", head_of(flag)));
    let help = format!("{}{}", flag.help, default_of(flag));
    for word in help.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS && line.trim() != "" {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(30);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// Help is written for terminals as narrow as this, and read in wider ones.
const COLUMNS: usize = 80;

/// The forms of a flag and its value; those without a short form are indented by its width.
pub fn head_of(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".into(), |short| format!("-{short}, "));
    let value = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::One(value) => format!(" {value}"),
        Takes::Many(value) => format!(" {value} ..."),
    };
    format!("{short}--{}{value}", flag.name)
}

/// What holds when a flag is absent, in words; empty for nothing.
pub fn default_of(flag: &Flag) -> String {
    match (flag.env, flag.default) {
        ("", "") => String::new(),
        ("", default) => format!(" (default {default})"),
        (env, "") => format!(" (default ${env})"),
        (env, default) => format!(" (default ${env}, else {default})"),
    }
}
