//! Completion scripts and the manual page: every command and flag is in them, and the shells that are here take them.

use crate::support::Place;
use std::process::{Command, Output};

/// Every command with its flags, read from the help that people see.
fn flags(place: &Place) -> Vec<(String, Vec<String>)> {
    let help = place.wl("help").stdout;
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<_> =
        names.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"create") && names.contains(&"completions"), "{help}");
    let of = |name: &str| {
        let help = place.wl(&format!("{name} --help")).stdout;
        let words =
            help.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        words.map(|word| word.trim_start_matches('-').to_string()).filter(|word| word.len() > 1).collect()
    };
    names.iter().filter(|name| **name != "help").map(|name| (name.to_string(), of(name))).collect()
}

/// Runs a script with a shell; `None` if that shell is not here.
fn shell(program: &str, flag: &str, script: &str) -> Option<Output> {
    let ran = Command::new(program).args([flag, script]).output();
    if ran.is_err() {
        eprintln!("no {program} here: its script was not tried");
    }
    ran.ok()
}

fn lines(output: &Output) -> Vec<String> {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}

#[test]
fn every_command_and_flag_is_in_every_script_and_in_the_manual() {
    let place = Place::new();
    let manual = place.wl("help --man").stdout.replace("\\-", "-");
    assert!(manual.starts_with(".TH WL 1 "));
    let scripts = ["bash", "zsh", "fish"].map(|shell| {
        let ran = place.wl(&format!("completions {shell}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran.stdout
    });
    for (command, flags) in flags(&place) {
        assert!(flags.contains(&"json".to_string()), "{command}: {flags:?}");
        assert!(manual.contains(&format!(".SS wl {command} [flags]")), "{command}");
        for flag in flags {
            assert!(manual.contains(&format!("--{flag}")), "{command} --{flag} in the manual");
            let [bash, zsh, fish] = &scripts;
            assert!(bash.contains(&format!("--{flag}")), "{command} --{flag} in bash");
            assert!(zsh.contains(&format!("--{flag}")), "{command} --{flag} in zsh");
            let line = format!("'__fish_seen_subcommand_from {command}' -l {flag} ");
            assert!(fish.contains(&line), "{command} --{flag} in fish");
        }
    }
    assert_eq!(place.wl("completions").code, 2);
    assert_eq!(place.wl("completions tcsh").code, 2);
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let script = Place::new().wl("completions bash").stdout;
    for (typed, expected) in [
        ("wl cre", "create"),
        ("wl show --fi", "--files"),
        ("wl create --format h", "hybrid"),
        ("wl create --format = v", "v1 v2"),
        ("wl create --format =", "hybrid v1 v2"),
        ("wl completions ''", "bash zsh fish"),
        ("wl search --sort c", "created_at completions"),
        ("wl help ver", "verify version"),
        ("wl create --name x", ""),
    ] {
        let words = typed.split(' ').count() - 1;
        let line =
            format!("{script}\nCOMP_WORDS=({typed}) COMP_CWORD={words}\n_wl\necho \"${{COMPREPLY[*]}}\"");
        let Some(ran) = shell("bash", "-c", &line) else { return };
        assert_eq!(lines(&ran), [expected], "{typed}");
    }
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let script = Place::new().wl("completions fish").stdout;
    for (typed, expected) in [
        ("wl cre", vec!["create"]),
        ("wl show --fi", vec!["--files"]),
        ("wl create --format h", vec!["hybrid"]),
        ("wl completions z", vec!["zsh"]),
    ] {
        let line = format!("{script}\ncomplete -C '{typed}'");
        let Some(ran) = shell("fish", "-c", &line) else { return };
        let found = lines(&ran);
        let found: Vec<_> = found.iter().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(found, expected, "{typed}");
    }
}

#[test]
fn zsh_reads_its_script() {
    let script = Place::new().wl("completions zsh").stdout;
    if let Some(ran) = shell("zsh", "-nc", &script) {
        assert!(ran.status.success() && lines(&ran).is_empty());
    }
}
