//! `wl verify`: hashes local data and compares it with a torrent or an idtorrent.

use super::create_flags::threads;
use super::verify_data::{Local, Verdict, check, locate};
use super::verify_idt;
use crate::failure::{Class, Failure, shown};
use crate::flags::{Command, TRACKER, one, switch};
use crate::hash::walk::{Rules, Symlinks, walk};
use crate::paint::Ink;
use crate::signing::{Policy, REQUIRE_KEY};
use crate::source::{Loaded, MAX_SIZE};
use crate::{Context, Done, Voice, signing, source};
use serde_json::json;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use weightless::torrent::signatures::{Judged, Signatures};
use weightless::torrent::small::Idtorrent;
use weightless::torrent::{Metainfo, Shape};

/// The table of `wl verify`.
pub const COMMAND: Command = Command {
    name: "verify",
    usage: &["SOURCE [PATH]"],
    about: "check local data, and signatures, against a torrent or an idtorrent",
    flags: &[
        switch("strict", "files that are not in the torrent are an error"),
        REQUIRE_KEY,
        switch("signature-only", "check the signatures and leave the data alone"),
        one("threads", "N", "hashing threads (default: one per CPU, at most 16)"),
        MAX_SIZE,
        TRACKER,
    ],
    examples: &[
        ("wl verify data.torrent", "check the data below the current directory"),
        ("wl verify --strict data.torrent /srv/data", "check one directory, and that nothing else is in it"),
        (
            "wl verify --signature-only --require-key wl-key.pub data.torrent",
            "check who signed, not the data",
        ),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let (torrent, place) = match context.args.positional.as_slice() {
        [torrent, ..] if torrent.is_empty() => return Err(Failure::usage("SOURCE is empty")),
        [torrent] => (torrent, PathBuf::from(".")),
        [torrent, place] => (torrent, PathBuf::from(place)),
        [] => return Err(Failure::usage("missing SOURCE")),
        _ => return Err(Failure::usage("more than one PATH")),
    };
    let threads = threads(context)?;
    let found = source::find(context, torrent)?;
    let mut policy = Policy::read(context)?;
    let metainfo = match found.loaded {
        Loaded::Torrent(metainfo) => metainfo,
        Loaded::Idtorrent(wanted) => return idtorrent(context, &wanted, &place, &policy),
    };
    let signatures = policy.judge(context, &metainfo, found.registry.as_ref());
    let mut done = match context.args.on("signature-only") {
        true => {
            let json =
                json!({"name": metainfo.shown_name(), "info_hash": metainfo.hashes().best_hex(), "ok": true});
            Done { json, ..Done::default() }
        }
        false => {
            let local = locate(&metainfo, &place)?;
            let extra = if context.args.on("strict") { extra_files(&metainfo, &local)? } else { Vec::new() };
            report(context.voice, &metainfo, &check(context, &metainfo, &local, threads)?, &extra)
        }
    };
    report_signatures(context, &metainfo, &policy, &signatures, &mut done);
    Ok(done)
}

/// Nobody signs an idtorrent, so a required key fails it.
fn idtorrent(context: &Context, wanted: &Idtorrent, place: &Path, policy: &Policy) -> Result<Done, Failure> {
    let mut done = match context.args.on("signature-only") {
        true => verify_idt::unchecked(wanted),
        false => verify_idt::data(context, wanted, place)?,
    };
    done.text.push_str("not signed\n");
    demand(context, policy, &[], &mut done);
    done.json["signatures"] = json!([]);
    done.json["exit"] = done.exit.into();
    Ok(done)
}

/// Every required key must have signed.
fn demand(context: &Context, policy: &Policy, judged: &[Judged], done: &mut Done) {
    let missing: Vec<String> = policy.missing(judged).map(ToString::to_string).collect();
    for key in &missing {
        let word = context.voice.out.word(Ink::Bad, "FAILED");
        let _ = writeln!(done.text, "{word} no signature by {key}");
    }
    if !missing.is_empty() {
        done.exit = Class::Verification as u8;
        done.json["ok"] = false.into();
    }
    done.json["missing_keys"] = missing.into();
}

/// Adds the state of every signature to the report. An invalid one fails it, and so does a required key without one.
fn report_signatures(
    context: &Context,
    metainfo: &Metainfo,
    policy: &Policy,
    found: &Signatures,
    done: &mut Done,
) {
    for judged in &found.judged {
        let _ = writeln!(done.text, "{}", policy.words(judged, &metainfo.hashes()));
    }
    if found.judged.is_empty() {
        done.text.push_str("not signed\n");
    }
    demand(context, policy, &found.judged, done);
    if found.judged.iter().any(|judged| judged.verdict.is_err()) {
        done.exit = Class::Verification as u8;
        done.json["ok"] = false.into();
    }
    done.json["exit"] = done.exit.into();
    done.json["signatures"] = signing::objects(policy, found).into();
}

/// Files below the torrent's directory that it does not know.
fn extra_files(metainfo: &Metainfo, local: &Local) -> Result<Vec<PathBuf>, Failure> {
    if metainfo.shape() == Shape::SingleFile {
        return Ok(Vec::new());
    }
    let rules = Rules { exclude: Vec::new(), symlinks: Symlinks::Skip, raw_names: true, output: None };
    let root = std::path::absolute(&local.root).unwrap_or_else(|_| local.root.clone());
    let known: HashSet<PathBuf> =
        local.paths.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
    match walk(&root, &rules) {
        Ok(tree) => {
            Ok(tree.files.into_iter().map(|file| file.disk).filter(|path| !known.contains(path)).collect())
        }
        // An empty directory has no extra files either.
        Err(failure) if failure.class == Class::Input && !any_entry(&root) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn any_entry(root: &Path) -> bool {
    std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some())
}

fn report(voice: Voice, metainfo: &Metainfo, verdict: &Verdict, extra: &[PathBuf]) -> Done {
    let mut text = String::new();
    let mut files = Vec::new();
    let (mut all, mut failed) = (0u64, 0);
    let paint = voice.out;
    let bad_word = paint.word(Ink::Bad, "FAILED");
    for (index, file) in metainfo.files().iter().enumerate() {
        if file.symlink {
            continue;
        }
        let path = metainfo.shown_path(file);
        let bad: Vec<u64> = metainfo
            .layout()
            .pieces_of(index)
            .filter(|&piece| !verdict.good.get(piece as usize).copied().unwrap_or(false))
            .collect();
        let fault = verdict.faults.get(index).and_then(Option::as_deref);
        let ok = bad.is_empty() && fault.is_none();
        failed += u64::from(!ok);
        let _ = match (ok, fault) {
            (true, _) => writeln!(text, "{} {}", paint.word(Ink::Good, "OK"), shown(&path)),
            (false, Some(fault)) => {
                writeln!(text, "{bad_word} {}: {fault}{}", shown(&path), and_pieces(&bad, fault))
            }
            (false, None) => writeln!(text, "{bad_word} {}: pieces {}", shown(&path), ranges(&bad)),
        };
        all += 1;
        if voice.json {
            files.push(json!({"path": path, "ok": ok, "error": fault, "bad_pieces": bad}));
        }
    }
    for path in extra {
        let word = paint.word(Ink::Bad, "EXTRA");
        let _ = writeln!(text, "{word} {}", shown(&path.display().to_string()));
    }
    let good = verdict.good.iter().filter(|&&good| good).count();
    let pieces = verdict.good.len();
    let _ = writeln!(text, "{good} of {pieces} pieces good, {} of {all} files good", all - failed);
    let ok = failed == 0 && good == pieces && extra.is_empty();
    let exit = if ok { 0 } else { Class::Verification as u8 };
    let extra: Vec<String> = extra.iter().map(|path| path.display().to_string()).collect();
    let json = json!({
        "name": metainfo.shown_name(), "info_hash": metainfo.hashes().best_hex(), "ok": ok, "exit": exit,
        "pieces": pieces, "pieces_good": good, "files": files, "extra": extra,
    });
    Done { text, json, exit, file: None }
}

fn and_pieces(bad: &[u64], fault: &str) -> String {
    if bad.is_empty() || fault == "missing" { String::new() } else { format!(", pieces {}", ranges(bad)) }
}

/// `3, 7-9`.
pub(super) fn ranges(pieces: &[u64]) -> String {
    let mut out = String::new();
    let mut rest = pieces;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..).take_while(|(piece, expected)| *piece == expected).count();
        let last = first + run as u64 - 1;
        let comma = if out.is_empty() { "" } else { ", " };
        let _ =
            if first == last { write!(out, "{comma}{first}") } else { write!(out, "{comma}{first}-{last}") };
        rest = rest.get(run..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_numbers_are_written_as_ranges() {
        assert_eq!(ranges(&[3, 7, 8, 9]), "3, 7-9");
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[]), "");
    }
}
