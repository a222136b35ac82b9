//! The manual page wl(1), made from the flag tables.

use crate::cmd::COMMANDS;
use crate::flags::{COMMON, Command, Flag};
use crate::help::{capitalised, default_of, head_of};
use weightless::base::roff::Page;

/// What the exit codes mean.
pub const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "unexpected failure"),
    ("2", "usage: unknown command or flag, bad value, missing argument"),
    ("3", "input: a path that is missing or unreadable, no files, not a torrent, changed while hashing"),
    ("4", "local storage: disk full, permission, an existing different file"),
    ("5", "network: tracker, registry or origin unreachable, no peers, timeout"),
    ("6", "refused by a server"),
    ("7", "verification: data, hashes or signatures do not match"),
    ("130, 143", "stopped by Ctrl-C or SIGTERM"),
    ("141", "standard output was closed early"),
];

/// Variables that stand in for no flag.
const FURTHER_VARIABLES: &[(&str, &str)] = &[
    ("WL_CREATED_BY", "text for the key \"created by\" of new torrents"),
    ("SOURCE_DATE_EPOCH", "creation date of new torrents in seconds since 1970, instead of now"),
    ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "proxy for registries, origins and web seeds"),
    ("NO_COLOR, TERM, COLUMNS", "how output looks on a terminal"),
    ("XDG_CONFIG_HOME", "where wl/key.pem is looked for (default ~/.config)"),
];

/// The page.
pub fn page() -> String {
    let mut page = Page::new("wl", 1, env!("CARGO_PKG_VERSION"));
    page.section("name").paragraph("wl - make, register, sign and check torrents");
    page.section("synopsis").paragraph("wl COMMAND [flags] [arguments]");
    page.section("description").paragraph(
        "wl makes torrents of files and directories, registers them with a Weightless tracker, signs them, and checks \
         data against them. Results go to standard output, everything else to standard error.",
    );
    page.section("commands");
    COMMANDS.iter().for_each(|command| describe(&mut page, command));
    page.section("flags of every command");
    COMMON.iter().for_each(|flag| item(&mut page, flag));
    page.section("exit status");
    EXIT_CODES.iter().for_each(|(code, meaning)| {
        page.item(code, meaning);
    });
    page.section("environment")
        .paragraph("A flag comes before its variable; an empty variable counts as unset.");
    for flag in variables() {
        page.item(flag.env, &format!("default of --{}", flag.name));
    }
    FURTHER_VARIABLES.iter().for_each(|(name, meaning)| {
        page.item(name, meaning);
    });
    page.section("see also").paragraph("weightless(8)");
    page.finish()
}

fn describe(page: &mut Page, command: &Command) {
    for usage in command.usage {
        page.subsection(format!("wl {} [flags] {usage}", command.name).trim_end());
    }
    page.paragraph(&format!("{}.", capitalised(command.about)));
    command.flags.iter().for_each(|flag| item(page, flag));
    for (line, what) in command.examples {
        page.paragraph(&format!("{}:", capitalised(what))).verbatim(line);
    }
}

fn item(page: &mut Page, flag: &Flag) {
    page.item(head_of(flag).trim_start(), &format!("{}{}", flag.help, default_of(flag)));
}

/// Flags with a variable, each variable once.
fn variables() -> Vec<&'static Flag> {
    let mut found: Vec<&Flag> = Vec::new();
    for flag in COMMANDS.iter().flat_map(|command| command.flags) {
        if !flag.env.is_empty() && !found.iter().any(|known| known.env == flag.env) {
            found.push(flag);
        }
    }
    found
}
