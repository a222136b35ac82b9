//! `wl`: the command line of Weightless. Creates, registers, shows and verifies torrents.
//!
//! `main` reads the command line and the environment once, runs one command and turns its outcome into output and an
//! exit code. Results go to stdout, everything else to stderr.

mod announce;
mod cmd;
mod columns;
mod content;
mod disk;
mod drive;
mod env;
mod failure;
mod flags;
mod hash;
mod help;
mod http;
mod interrupt;
mod key;
mod manual;
mod nearest;
mod overrun;
mod paint;
mod peer;
mod progress;
mod registry;
mod report;
mod save;
mod show_size;
mod signing;
mod source;
mod ssrf;
mod tracker;
mod webseed;

use env::Env;
use failure::{Failure, shown};
use flags::{Args, Command};
use paint::{Ink, Paint};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// What a command works with.
pub struct Context {
    /// Its command line.
    pub args: Args,
    /// What the process was started with.
    pub env: Env,
    /// How it talks.
    pub voice: Voice,
}

/// Who is listening.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    /// One JSON object on stdout.
    pub json: bool,
    /// Only errors on stderr.
    pub quiet: bool,
    /// More on stderr.
    pub verbose: bool,
    /// Colour on stdout.
    pub out: Paint,
    /// Colour on stderr.
    pub err: Paint,
}

/// What a command has to say at its end.
#[derive(Default)]
pub struct Done {
    /// For a person.
    pub text: String,
    /// For a program.
    pub json: Value,
    /// A file for stdout; the text then goes to stderr.
    pub file: Option<Vec<u8>>,
    /// The exit code.
    pub exit: u8,
}

impl Voice {
    /// Says something that is not the result.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{}", shown(line));
        }
    }

    /// Says what a person should look at.
    pub fn warn(&self, line: &str) {
        if !self.quiet {
            eprintln!("{} {}", self.err.word(Ink::Odd, "Warning:"), shown(line));
        }
    }

    /// Whether details are wanted: one line for each file or answer.
    pub fn is_detailed(&self) -> bool {
        self.verbose && !self.quiet
    }
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let env = Env::read();
    // Where events are JSON lines, the result is the last of them.
    let json =
        asks_for(&words, &["--json", "-json", "-j"]) || asks_for(&words, &["--json-events", "-json-events"]);
    let quiet = asks_for(&words, &["--quiet", "-quiet", "-q"]);
    let err = Paint::new(&env, env.stderr_is_terminal, asks_for(&words, &["--no-color", "-no-color"]));
    let outcome = run(&words, env).and_then(|done| print(&done, json, quiet));
    match outcome {
        Ok(exit) => ExitCode::from(exit),
        Err(failure) => {
            eprint!("{}", failure.text(err));
            if json {
                let _ = writeln!(io::stdout(), "{}", failure.json());
            }
            ExitCode::from(failure.class as u8)
        }
    }
}

/// Whether a switch is on, for what has to be known even when the command line cannot be read.
fn asks_for(words: &[OsString], forms: &[&str]) -> bool {
    let flags = words.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    flags.fold(false, |on, word| {
        let (name, value) = word.split_once('=').unwrap_or((word, "true"));
        if forms.contains(&name) { matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True") } else { on }
    })
}

fn run(words: &[OsString], env: Env) -> Result<Done, Failure> {
    let Some((first, rest)) = words.split_first() else {
        let names: Vec<_> = cmd::COMMANDS.iter().map(|command| command.name).collect();
        return Err(Failure::usage("no command; usage: wl COMMAND [flags] [arguments]")
            .hint(format!("commands: {}; wl help explains them", names.join(", "))));
    };
    match first.to_str() {
        Some("help" | "--help" | "-help" | "-h") => return help::answer(rest),
        Some("--version" | "-version" | "-V") => {
            return cmd::version::run(&context(&cmd::version::COMMAND, rest, env)?);
        }
        _ => {}
    }
    let command = help::find(first)?;
    let context = context(command, rest, env)?;
    if context.args.on("help") {
        return Ok(Done { text: help::of(command), ..Done::default() });
    }
    (command.run)(&context)
}

fn context(command: &Command, words: &[OsString], env: Env) -> Result<Context, Failure> {
    let args = flags::parse(command, words)?;
    let plain = args.on("no-color");
    let voice = Voice {
        json: args.on("json"),
        quiet: args.on("quiet"),
        verbose: args.on("verbose"),
        out: Paint::new(&env, env.stdout_is_terminal, plain),
        err: Paint::new(&env, env.stderr_is_terminal, plain),
    };
    Ok(Context { args, env, voice })
}

/// Writes the result. A reader that went away ends the program silently with 141, as a shell would report it.
fn print(done: &Done, json: bool, quiet: bool) -> Result<u8, Failure> {
    let object = format!("{}\n", done.json);
    let result = if json && !done.json.is_null() { &object } else { &done.text };
    let written = match &done.file {
        Some(bytes) => {
            if !quiet {
                eprint!("{result}");
            }
            io::stdout().write_all(bytes)
        }
        None => io::stdout().write_all(result.as_bytes()),
    };
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(done.exit),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(141),
        Err(error) => {
            Err(Failure::new(failure::Class::Storage, format!("stdout: {}", failure::reason(&error))))
        }
    }
}
