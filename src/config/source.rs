//! Where values come from: flags, environment, environment file, defaults; and which of them counts.

use super::error::ConfigError;
use super::table::{ROWS, Row};
use super::value;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where one value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The command line.
    Flag,
    /// The process environment.
    Environment,
    /// The environment file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// Every value as it was given and where. `Debug` shows no values: some are secret.
#[derive(Clone, Default)]
pub struct Origin {
    /// One for each row of the table, in its order.
    pub(super) settings: Vec<Setting>,
    env_file: Option<PathBuf>,
}

/// One value as it was given.
#[derive(Clone)]
pub(super) struct Setting {
    pub value: Option<OsString>,
    pub source: Source,
}

impl Origin {
    /// The environment file that was read, if there was one.
    pub fn env_file(&self) -> Option<&Path> {
        self.env_file.as_deref()
    }

    /// Where the value of this variable came from; `None` for a variable that is no setting.
    pub fn of(&self, variable: &str) -> Option<Source> {
        ROWS.iter()
            .zip(&self.settings)
            .find(|(row, _)| row.name == variable)
            .map(|(_, setting)| setting.source)
    }

    pub(super) fn defaults(personality: Personality) -> Self {
        let settings = ROWS.iter().map(|row| personality.default_of(row)).collect();
        Self { settings, env_file: None }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = ROWS.iter().zip(&self.settings).map(|(row, setting)| (row.name, setting.source));
        f.debug_map().entries(sources).finish()
    }
}

/// Whose interface we show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Personality {
    Weightless,
    /// Started under this name we behave like the UDP tracker of that name: open, in memory, UDP only.
    PicoTracker,
}

impl Personality {
    pub fn of(argv0: &OsStr) -> Self {
        if Path::new(argv0).file_name() == Some(OsStr::new("pico-tracker")) {
            Self::PicoTracker
        } else {
            Self::Weightless
        }
    }

    pub fn program(self) -> &'static str {
        match self {
            Self::Weightless => "weightless",
            Self::PicoTracker => "pico-tracker",
        }
    }

    /// The names of a row's flag, the first one preferred. `--port` is the HTTP port, but `pico-tracker`'s UDP port:
    /// a name that another row has as its own of `pico-tracker` is not a name of this one there.
    pub fn flags_of(self, row: &Row) -> Vec<&'static str> {
        match self {
            Self::Weightless => row.flag.into_iter().collect(),
            Self::PicoTracker => {
                let taken = |flag: &&str| ROWS.iter().any(|other| other.pico_flags.contains(flag));
                row.pico_flags.iter().copied().chain(row.flag.filter(|flag| !taken(flag))).collect()
            }
        }
    }

    pub fn default_text_of(self, row: &Row) -> &'static str {
        match (self, row.pico_default) {
            (Self::PicoTracker, Some(text)) => text,
            _ => row.default,
        }
    }

    fn default_of(self, row: &Row) -> Setting {
        let text = self.default_text_of(row);
        Setting { value: (!text.is_empty()).then(|| text.into()), source: Source::Default }
    }
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Run,
    Help,
    Manual,
    Version,
    CheckConfig,
    UsageStatus,
    HealthCheck,
    Backup,
}

/// A flag that is no setting: its names, of which one letter is for `pico-tracker` only, what it does, help.
pub(super) const ACTIONS: &[(&str, Option<&str>, Action, &str)] = &[
    ("check-config", None, Action::CheckConfig, "print the effective settings and their sources, and end"),
    ("usage-status", None, Action::UsageStatus, "print the state of the usage accounts, and end"),
    ("healthcheck", None, Action::HealthCheck, "ask the running daemon whether it is well, and end"),
    ("help", Some("h"), Action::Help, "print this, and end"),
    ("man", None, Action::Manual, "print the manual page in roff, and end"),
    ("version", Some("v"), Action::Version, "print name, version and commit, and end"),
];

/// The command line, read.
pub(super) struct Flags {
    /// What flags gave, by row.
    pub values: Vec<Option<OsString>>,
    pub env_file: Option<PathBuf>,
    pub backup: Option<PathBuf>,
    pub action: Action,
}

enum Meaning {
    Setting(usize),
    EnvFile,
    Backup,
    Action(Action),
}

/// Reads `--name value`, `--name=value` and both with one dash. The last one of a name counts.
pub(super) fn read_flags(
    personality: Personality,
    args: impl Iterator<Item = OsString>,
) -> Result<Flags, ConfigError> {
    let mut args = args.peekable();
    let mut flags =
        Flags { values: vec![None; ROWS.len()], env_file: None, backup: None, action: Action::Run };
    while let Some(arg) = args.next() {
        let Some((name, inline)) = split_flag(&arg) else { return Err(ConfigError::Positional(arg)) };
        let unknown = || ConfigError::UnknownFlag(name.to_owned());
        match meaning_of(personality, name).ok_or_else(unknown)? {
            // Help wins over whatever else is wrong, but not over what was wrong before it.
            Meaning::Action(action @ (Action::Help | Action::Manual | Action::Version)) => {
                flags.action = action;
                return Ok(flags);
            }
            Meaning::Action(_) if inline.is_some() => return Err(unknown()),
            Meaning::Action(action) if flags.action == Action::Run || flags.action == action => {
                flags.action = action;
            }
            Meaning::Action(_) => return Err(ConfigError::TwoActions),
            Meaning::EnvFile => flags.env_file = Some(value_of(personality, name, inline, &mut args)?.into()),
            Meaning::Backup if matches!(flags.action, Action::Run | Action::Backup) => {
                flags.action = Action::Backup;
                flags.backup = Some(value_of(personality, name, inline, &mut args)?.into());
            }
            Meaning::Backup => return Err(ConfigError::TwoActions),
            Meaning::Setting(index) if ROWS[index].boolean && inline.is_none() => {
                let word = args.next_if(|next| value::boolean(next).is_some());
                flags.values[index] = Some(word.unwrap_or_else(|| "true".into()));
            }
            Meaning::Setting(index) => {
                flags.values[index] = Some(value_of(personality, name, inline, &mut args)?);
            }
        }
    }
    Ok(flags)
}

/// The value after `=`, else the next argument. An empty one is a mistake (`--registry-key="$UNSET"`), and so is a
/// flag in its place; a value that looks like a flag can be given after `=`.
fn value_of(
    personality: Personality,
    name: &OsStr,
    inline: Option<&OsStr>,
    args: &mut std::iter::Peekable<impl Iterator<Item = OsString>>,
) -> Result<OsString, ConfigError> {
    let is_value = |next: &OsString| match split_flag(next) {
        Some((name, _)) => meaning_of(personality, name).is_none(),
        None => true,
    };
    let value = inline.map(OsStr::to_owned).or_else(|| args.next_if(is_value));
    value.filter(|value| !value.is_empty()).ok_or_else(|| ConfigError::MissingValue(name.to_owned()))
}

fn split_flag(arg: &OsStr) -> Option<(&OsStr, Option<&OsStr>)> {
    let bytes = arg.as_bytes();
    let bare =
        bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")).filter(|bare| !bare.is_empty())?;
    match bare.iter().position(|b| *b == b'=') {
        Some(at) => Some((OsStr::from_bytes(&bare[..at]), Some(OsStr::from_bytes(&bare[at + 1..])))),
        None => Some((OsStr::from_bytes(bare), None)),
    }
}

fn meaning_of(personality: Personality, name: &OsStr) -> Option<Meaning> {
    let name = name.to_str()?;
    if let Some(index) = ROWS.iter().position(|row| personality.flags_of(row).contains(&name)) {
        return Some(Meaning::Setting(index));
    }
    if name == "env-file" {
        return Some(Meaning::EnvFile);
    }
    if name == "backup" {
        return Some(Meaning::Backup);
    }
    let is_short =
        |short: Option<&str>| short == Some(name) && (name == "h" || personality == Personality::PicoTracker);
    let (_, _, action, _) = ACTIONS.iter().find(|(long, short, ..)| *long == name || is_short(*short))?;
    Some(Meaning::Action(*action))
}

/// The environment file, split into lines of `KEY=VALUE`.
#[derive(Default)]
pub(super) struct EnvFile {
    path: Option<PathBuf>,
    /// Names and values, both trimmed, in the order of the file.
    lines: Vec<(String, OsString)>,
    warnings: Vec<String>,
}

/// Finds and reads the environment file. One that is named must be there; one that is there must be readable,
/// because what it says may be what keeps the tracker closed.
pub(super) fn read_env_file(
    named: Option<&Path>,
    read_file: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<EnvFile, ConfigError> {
    let failed =
        |path: &Path, error: io::Error| ConfigError::EnvFile { path: path.into(), kind: error.kind() };
    if let Some(path) = named {
        return read_file(path).map(|text| parse_env_file(path, &text)).map_err(|e| failed(path, e));
    }
    for path in ENV_FILES.iter().map(Path::new) {
        match read_file(path) {
            Ok(text) => return Ok(parse_env_file(path, &text)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => return Err(failed(path, e)),
        }
    }
    Ok(EnvFile::default())
}

fn parse_env_file(path: &Path, text: &[u8]) -> EnvFile {
    let mut file = EnvFile { path: Some(path.into()), ..EnvFile::default() };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.starts_with(b"#") || line.trim_ascii().is_empty() {
            continue;
        }
        // The text of the line stays unsaid: it may be a secret whose `=` is missing.
        let Some(at) = line.iter().position(|b| *b == b'=') else {
            file.warnings.push(format!("{}: line {} has no =", path.display(), number + 1));
            continue;
        };
        let name = String::from_utf8_lossy(line[..at].trim_ascii()).into_owned();
        let value = OsString::from_vec(line[at + 1..].trim_ascii().to_vec());
        file.lines.push((name, value));
    }
    file
}

impl EnvFile {
    /// The last value of a name counts.
    fn value(&self, name: &str) -> Option<OsString> {
        self.lines.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// Decides for every row which value counts, and collects what should be warned about.
pub(super) fn settle(
    personality: Personality,
    mut flags: Vec<Option<OsString>>,
    env: impl Fn(&str) -> Option<OsString>,
    file: EnvFile,
) -> Result<(Origin, Vec<String>), ConfigError> {
    let mut warnings = file.warnings.clone();
    let names = file.lines.iter().map(|(name, _)| OsString::from(name));
    warnings.extend(unknown_variables(names));
    let mut settings = Vec::with_capacity(ROWS.len());
    for (row, flag) in ROWS.iter().zip(&mut flags) {
        let setting = if let Some(value) = flag.take() {
            if row.secret {
                warnings
                    .push(format!("{}: the command line is visible to every user of this machine", row.name));
            }
            Setting { value: Some(value), source: Source::Flag }
        } else if let Some(value) = either_name(row, &env)? {
            Setting { value: Some(value), source: Source::Environment }
        } else if let Some(value) = either_name(row, |name| file.value(name))? {
            Setting { value: Some(value), source: Source::File }
        } else {
            personality.default_of(row)
        };
        settings.push(setting);
    }
    Ok((Origin { settings, env_file: file.path }, warnings))
}

/// The value under a row's name or its alias. Empty equals unset; two different values are an error.
fn either_name(
    row: &Row,
    look_up: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<OsString>, ConfigError> {
    let look_up = |name| look_up(name).filter(|value| !value.is_empty());
    let Some(alias) = row.alias else { return Ok(look_up(row.name)) };
    match (look_up(row.name), look_up(alias)) {
        (Some(one), Some(other)) if one != other => Err(ConfigError::Conflict { variable: row.name, alias }),
        (one, other) => Ok(one.or(other)),
    }
}

/// A warning for each name that starts like one of ours and is none. Other unknown variables are nobody's business.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let known = |name: &str| ROWS.iter().any(|row| row.alias == Some(name));
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("PICO_TRACKER__") && !known(name))
        .map(|name| format!("{} is not a setting", name.escape_debug()))
        .collect()
}

/// Looked for in this order; the first one found is used.
const ENV_FILES: [&str; 2] = [".env.local", "/usr/local/bin/.env.local"];
