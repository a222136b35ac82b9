//! One table per command: from it come parsing, help, and whatever else wants to know the flags.
//!
//! The forms are those of the first `wl`, which used Go's parser: `--name value`, `--name=value`, `-name value`, switches
//! as `--private` or `--private=false`, `--` ends the flags. Flags may also follow the arguments.

use crate::env::Env;
use crate::failure::Failure;
use crate::nearest::nearest;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// A command: its place in the help, its flags, what it does.
pub struct Command {
    /// The word after `wl`.
    pub name: &'static str,
    /// What stands behind the flags, one line for each form.
    pub usage: &'static [&'static str],
    /// One line of help.
    pub about: &'static str,
    /// Its own flags, without the common ones.
    pub flags: &'static [Flag],
    /// Command lines and what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Does it.
    pub run: fn(&crate::Context) -> Result<crate::Done, Failure>,
}

/// A flag.
pub struct Flag {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its one-letter form.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// The variable that stands in for it when it is absent; empty for none.
    pub env: &'static str,
    /// What holds when neither is given; empty for nothing.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// All values it takes, where they are few; for completion.
    pub choices: &'static [&'static str],
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off.
    Nothing,
    /// One value, called so in the help.
    One(&'static str),
    /// One value each time it is given.
    Many(&'static str),
}

/// A switch.
pub const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, takes: Takes::Nothing, env: "", default: "", help, choices: &[] }
}

/// A flag with one value.
pub const fn one(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, takes: Takes::One(value), env: "", default: "", help, choices: &[] }
}

/// A flag that may be given several times.
pub const fn many(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, takes: Takes::Many(value), env: "", default: "", help, choices: &[] }
}

impl Flag {
    /// Adds a one-letter form.
    pub const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// Adds a variable that stands in for the flag.
    pub const fn env(mut self, env: &'static str) -> Self {
        self.env = env;
        self
    }

    /// Names all values it takes.
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// Adds a default.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
}

/// The flags every command has.
pub const COMMON: &[Flag] = &[
    switch("help", "show this help").short('h'),
    switch("json", "print one JSON object instead of text").short('j'),
    switch("quiet", "print nothing on stderr but errors").short('q'),
    switch("verbose", "say more on stderr").short('v'),
    switch("no-color", "no colour, whatever the terminal"),
];

/// The flags of commands that talk to a tracker.
pub const TRACKER: Flag =
    one("tracker", "URL", "base URL of the tracker").env("WL_TRACKER").default("http://localhost:8080");
/// Half of a passkey.
pub const USER_ID: Flag = one("user-id", "ID", "user of the passkey in the announce URL").env("WL_USER_ID");
/// The other half.
pub const SECRET: Flag = one("secret", "SECRET", "tracker secret that signs the passkey; @FILE reads a file")
    .env("TRACKER_SECRET");
/// The registry's key.
pub const API_KEY: Flag =
    one("api-key", "KEY", "key for writing to the registry; @FILE reads a file").env("WL_API_KEY");

/// A parsed command line.
pub struct Args {
    values: HashMap<&'static str, Vec<OsString>>,
    /// What is not a flag, in order.
    pub positional: Vec<OsString>,
}

/// Reads `words`, the command line behind the command's name.
pub fn parse(command: &Command, words: &[OsString]) -> Result<Args, Failure> {
    let mut args = Args { values: HashMap::new(), positional: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            args.positional.extend(words.cloned());
            break;
        }
        let Some((name, attached)) = split(word) else {
            args.positional.push(word.clone());
            continue;
        };
        let flag = find(command, &name)?;
        let value = match (flag.takes, attached) {
            (Takes::Nothing, None) => OsString::from("true"),
            (Takes::Nothing, Some(value)) => OsString::from(boolean(flag, &value)?),
            (_, Some(value)) => value,
            (_, None) => words
                .next()
                .cloned()
                .ok_or_else(|| Failure::usage(format!("flag --{} needs a value", flag.name)))?,
        };
        let values = args.values.entry(flag.name).or_default();
        if !matches!(flag.takes, Takes::Many(_)) {
            values.clear();
        }
        values.push(value);
    }
    Ok(args)
}

impl Args {
    /// The value of a flag: given, else from its variable, else its default; empty counts as absent for a variable.
    pub fn text(&self, flag: &Flag, env: &Env) -> Result<String, Failure> {
        match self.values.get(flag.name).and_then(|values| values.last()) {
            Some(value) => utf8(flag, value),
            None => Ok(env.get(flag.env).unwrap_or(flag.default).to_string()),
        }
    }

    /// The value of a flag without a variable or default.
    pub fn given(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name)?.last().map(OsString::as_os_str)
    }

    /// The value of a flag as text, if it was given.
    pub fn given_text(&self, name: &'static str) -> Result<Option<String>, Failure> {
        self.given(name).map(|value| utf8(&one(name, "", ""), value)).transpose()
    }

    /// Every value of a flag, in order.
    pub fn all(&self, name: &'static str) -> Result<Vec<String>, Failure> {
        let values = self.values.get(name).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(|value| utf8(&one(name, "", ""), value)).collect()
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        self.given(name).is_some_and(|value| value == "true")
    }
}

fn utf8(flag: &Flag, value: &OsStr) -> Result<String, Failure> {
    let text = value.to_str().ok_or_else(|| Failure::usage(format!("value of --{} is not UTF-8", flag.name)));
    text.map(str::to_string)
}

/// The forms Go's parser takes for a switch.
fn boolean(flag: &Flag, value: &OsStr) -> Result<&'static str, Failure> {
    match value.to_str() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok("true"),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok("false"),
        _ => Err(Failure::usage(format!("--{} is true or false", flag.name))),
    }
}

/// The name of a flag and the value after `=`; `None` for an argument. A lone `-` is an argument.
fn split(word: &OsStr) -> Option<(String, Option<OsString>)> {
    let bytes = word.as_encoded_bytes();
    if bytes.first() != Some(&b'-') || bytes.len() < 2 {
        return None;
    }
    match bytes.iter().position(|&b| b == b'=') {
        None => Some((word.to_string_lossy().trim_start_matches('-').to_string(), None)),
        Some(at) => {
            let name = String::from_utf8_lossy(bytes.get(..at)?);
            Some((name.trim_start_matches('-').to_string(), Some(behind(word, at + 1))))
        }
    }
}

#[cfg(unix)]
fn behind(word: &OsStr, at: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(word.as_bytes().get(at..).unwrap_or_default()).to_os_string()
}

#[cfg(not(unix))]
fn behind(word: &OsStr, at: usize) -> OsString {
    word.to_string_lossy().get(at..).unwrap_or_default().into()
}

fn find<'c>(command: &'c Command, name: &str) -> Result<&'c Flag, Failure> {
    let flags = || command.flags.iter().chain(COMMON);
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    flags().find(|flag| flag.name == name || (letter.is_some() && flag.short == letter)).ok_or_else(|| {
        let known = flags().map(|flag| flag.name);
        let failure = Failure::usage(format!("unknown flag --{name} for wl {}", command.name));
        match nearest(name, known) {
            Some(near) => failure.hint(format!("did you mean --{near}?")),
            None => failure.hint(format!("wl {} --help lists the flags", command.name)),
        }
    })
}
