//! `wl`: the command line of Weightless. Creates, registers, shows and verifies torrents.
//!
//! `main` reads the command line and the environment once, runs one command and turns its outcome into output and an
//! exit code. Results go to stdout, everything else to stderr.

mod cmd;
mod env;
mod failure;
mod flags;
mod hash;
mod help;
mod http;
mod key;
mod manual;
mod nearest;
mod progress;
mod save;
mod show_size;
mod signing;
mod source;
mod tracker;

use env::Env;
use failure::{Failure, shown};
use flags::{Args, Command};
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
        self.say(&format!("Warning: {line}"));
    }
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let env = Env::read();
    let json = words.iter().any(|word| word == "--json" || word == "-j" || word == "-json");
    let outcome = run(&words, env).and_then(|done| print(&done, json));
    match outcome {
        Ok(exit) => ExitCode::from(exit),
        Err(failure) => {
            eprint!("{}", failure.text());
            if json {
                let _ = writeln!(io::stdout(), "{}", failure.json());
            }
            ExitCode::from(failure.class as u8)
        }
    }
}

fn run(words: &[OsString], env: Env) -> Result<Done, Failure> {
    let Some((first, rest)) = words.split_first() else {
        return Err(Failure::usage("no command").hint("wl help lists the commands"));
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
    let voice = Voice { json: args.on("json"), quiet: args.on("quiet"), verbose: args.on("verbose") };
    Ok(Context { args, env, voice })
}

/// Writes the result. A reader that went away ends the program silently with 141, as a shell would report it.
fn print(done: &Done, json: bool) -> Result<u8, Failure> {
    let object = format!("{}\n", done.json);
    let result = if json && !done.json.is_null() { &object } else { &done.text };
    let written = match &done.file {
        Some(bytes) => {
            eprint!("{result}");
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
