//! The only place that asks the system for variables, the time and terminals. Everything else is told.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The variables `wl` looks at, beside the proxy ones that the HTTP client understands.
pub const VARIABLES: &[&str] = &[
    "WL_TRACKER",
    "WL_USER_ID",
    "TRACKER_SECRET",
    "WL_SOURCE",
    "WL_CREATED_BY",
    "WL_API_KEY",
    "WL_KEY",
    "SOURCE_DATE_EPOCH",
    "NO_COLOR",
    "TERM",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "COLUMNS",
    "HOME",
    "XDG_CONFIG_HOME",
];

/// What the process was started with.
pub struct Env {
    variables: HashMap<&'static str, String>,
    /// Seconds since 1970 at the start.
    pub unix: u64,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// The proxy for HTTP, from HTTP_PROXY and its relatives.
    pub proxy: Option<ureq::Proxy>,
}

/// How many columns the terminal on stderr has just now; `None` when it does not say.
pub fn stderr_columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stderr())?;
    Some(usize::from(width.0)).filter(|&columns| columns > 0)
}

/// How many columns the terminal on stdout has.
pub fn stdout_columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0)).filter(|&columns| columns > 0)
}

/// 32 bytes of the system's chance for a private key, wiped when dropped; `None` when it gives none.
pub fn random_seed() -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut seed[..]).ok()?;
    Some(seed)
}

/// The system's chance, for what need not be secret.
pub fn random_u64() -> Option<u64> {
    getrandom::u64().ok()
}

/// Has as many descriptors allowed as the system lets us have; gives how many that is.
pub fn allow_descriptors() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit).is_ok();
    (if raised { limit.maximum } else { soft }).unwrap_or(u64::MAX)
}

impl Env {
    /// Looks once.
    pub fn read() -> Self {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some((*name, std::env::var(name).ok()?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self {
            variables,
            unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            proxy: ureq::Proxy::try_from_env(),
        }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}
