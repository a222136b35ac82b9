//! `wl completions`: scripts that let a shell complete commands, flags and values, made from the flag tables.

use super::COMMANDS;
use crate::failure::Failure;
use crate::flags::{COMMON, Command, Flag, Takes};
use crate::{Context, Done};
use serde_json::json;
use std::fmt::Write;

/// The table of `wl completions`.
pub const COMMAND: Command = Command {
    name: "completions",
    usage: &["bash|zsh|fish"],
    about: "print a script that completes wl in a shell",
    flags: &[],
    examples: &[
        ("source <(wl completions bash)", "complete in this shell, for now"),
        ("wl completions fish > ~/.config/fish/completions/wl.fish", "complete in every fish"),
    ],
    run,
};

const SHELLS: &[&str] = &["bash", "zsh", "fish"];

fn run(context: &Context) -> Result<Done, Failure> {
    let shell = super::one_argument(context, "shell: bash, zsh or fish")?;
    let script = match shell.to_str() {
        Some("bash") => bash(),
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        _ => return Err(Failure::usage("completions are for bash, zsh or fish")),
    };
    Ok(Done { json: json!({"script": script}), text: script, ..Done::default() })
}

/// What may stand where a value or an argument is asked for.
enum Offer<'a> {
    /// These words.
    Words(Vec<&'a str>),
    /// Paths.
    Files,
    /// Nothing that could be known.
    Nothing,
}

fn value_of(flag: &Flag) -> Option<Offer<'static>> {
    let (Takes::One(value) | Takes::Many(value)) = flag.takes else { return None };
    Some(match value {
        _ if !flag.choices.is_empty() => Offer::Words(flag.choices.to_vec()),
        "FILE" | "PATH" | "DIR" | "KEY" => Offer::Files,
        _ => Offer::Nothing,
    })
}

fn argument_of(command: &Command) -> Offer<'static> {
    let takes = |what: &str| command.usage.iter().any(|usage| usage.contains(what));
    match () {
        () if command.name == COMMAND.name => Offer::Words(SHELLS.to_vec()),
        () if ["PATH", "SOURCE", "TORRENT", "FILE"].iter().any(|what| takes(what)) => Offer::Files,
        () => Offer::Nothing,
    }
}

fn flags_of(command: &Command) -> impl Iterator<Item = &'static Flag> {
    command.flags.iter().chain(COMMON)
}

fn names() -> Vec<&'static str> {
    COMMANDS.iter().map(|command| command.name).chain(["help"]).collect()
}

/// The forms of a flag as they are typed.
fn forms(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    std::iter::once(format!("--{}", flag.name)).chain(short).collect()
}

/// Bash splits `--flag=value` into three words.
const BASH_HEAD: &str = r#"# Completion of wl for bash.
_wl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    COMPREPLY=()
    if [ "$cur" = = ]; then
        cur=
    elif [ "$prev" = = ]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
"#;

fn bash() -> String {
    let mut out = String::from(BASH_HEAD);
    let names = names().join(" ");
    let _ = writeln!(out, "        COMPREPLY=($(compgen -W '{names}' -- \"$cur\"))\n        return\n    fi");
    out.push_str("    case ${COMP_WORDS[1]} in\n");
    let reply = |offer: &Offer<'_>| match offer {
        Offer::Words(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" ")),
        Offer::Files => "compopt -o default 2> /dev/null".to_string(),
        Offer::Nothing => ":".to_string(),
    };
    for command in COMMANDS {
        let _ = writeln!(out, "    {})\n        case $prev in", command.name);
        for flag in flags_of(command) {
            if let Some(offer) = value_of(flag) {
                let _ = writeln!(out, "        {}) {}; return ;;", forms(flag).join("|"), reply(&offer));
            }
        }
        let flags: Vec<String> = flags_of(command).flat_map(forms).collect();
        let words = reply(&Offer::Words(flags.iter().map(String::as_str).collect()));
        let _ = writeln!(out, "        esac\n        case $cur in\n        -*) {words} ;;");
        let _ = writeln!(out, "        *) {} ;;\n        esac\n        ;;", reply(&argument_of(command)));
    }
    let _ = writeln!(out, "    help) COMPREPLY=($(compgen -W '{names}' -- \"$cur\")) ;;");
    out.push_str("    esac\n}\ncomplete -F _wl wl\n");
    out
}

fn zsh() -> String {
    let mut out = String::from(
        "#compdef wl\n# Completion of wl for zsh.\n\n_wl() {\n    local -a commands\n    commands=(\n",
    );
    for command in COMMANDS {
        let _ = writeln!(out, "        '{}:{}'", command.name, zsh_text(command.about));
    }
    out.push_str("        'help:show the help of a command'\n    )\n");
    out.push_str(
        "    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n",
    );
    out.push_str("    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    let action = |offer: &Offer<'_>| match offer {
        Offer::Words(words) => format!("({})", words.join(" ")),
        Offer::Files => "_files".to_string(),
        Offer::Nothing => " ".to_string(),
    };
    for command in COMMANDS {
        let _ = write!(out, "    {})\n        _arguments -S", command.name);
        for flag in flags_of(command) {
            let help = zsh_text(flag.help);
            let value = match (flag.takes, value_of(flag)) {
                (Takes::One(name) | Takes::Many(name), Some(offer)) => format!(":{name}:{}", action(&offer)),
                _ => String::new(),
            };
            let many = if matches!(flag.takes, Takes::Many(_)) { "*" } else { "" };
            for form in forms(flag) {
                let equals = if !value.is_empty() && form.starts_with("--") { "=" } else { "" };
                let _ = write!(out, " \\\n            '{many}{form}{equals}[{help}]{value}'");
            }
        }
        let _ = writeln!(out, " \\\n            '*:argument:{}'\n        ;;", action(&argument_of(command)));
    }
    out.push_str("    help) _describe command commands ;;\n    esac\n}\n\n");
    // Sourced, it registers itself; found in fpath, it is the function's body.
    out.push_str("if [ \"$funcstack[1]\" = _wl ]; then\n    _wl \"$@\"\nelse\n    compdef _wl wl\nfi\n");
    out
}

/// Text inside `'...[...]'` of `_arguments` or `'...:...'` of `_describe`.
fn zsh_text(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "'\\''");
    ['[', ']', ':'].iter().fold(text, |text, c| text.replace(*c, &format!("\\{c}")))
}

fn fish() -> String {
    let mut out = String::from("# Completion of wl for fish.\ncomplete -c wl -f\n");
    let top = "__fish_use_subcommand";
    for command in COMMANDS {
        let _ = writeln!(out, "complete -c wl -n {top} -a {} -d {}", command.name, quoted(command.about));
    }
    let _ = writeln!(out, "complete -c wl -n {top} -a help -d 'show the help of a command'");
    let _ = writeln!(
        out,
        "complete -c wl -n '__fish_seen_subcommand_from help' -a {}",
        quoted(&names().join(" "))
    );
    for command in COMMANDS {
        let here = format!("-n '__fish_seen_subcommand_from {}'", command.name);
        match argument_of(command) {
            Offer::Files => _ = writeln!(out, "complete -c wl {here} -F"),
            Offer::Words(words) => _ = writeln!(out, "complete -c wl {here} -a {}", quoted(&words.join(" "))),
            Offer::Nothing => {}
        }
        for flag in flags_of(command) {
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let value = match value_of(flag) {
                None => String::new(),
                Some(Offer::Words(words)) => format!(" -x -a {}", quoted(&words.join(" "))),
                Some(Offer::Files) => " -r -F".to_string(),
                Some(Offer::Nothing) => " -x".to_string(),
            };
            let _ = writeln!(
                out,
                "complete -c wl {here} -l {}{short}{value} -d {}",
                flag.name,
                quoted(flag.help)
            );
        }
    }
    out
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
