//! `wl version`.

use crate::failure::Failure;
use crate::flags::Command;
use crate::{Context, Done};
use serde_json::json;

/// The table of `wl version`.
pub const COMMAND: Command = Command {
    name: "version",
    usage: &[""],
    about: "print the version",
    flags: &[],
    examples: &[
        ("wl version", "version, commit and build date"),
        ("wl version --json", "the same for programs, with target and features"),
    ],
    run,
};

/// Prints the version. Commit and date come from the build, through BUILD_COMMIT and BUILD_DATE.
pub fn run(context: &Context) -> Result<Done, Failure> {
    if !context.args.positional.is_empty() {
        return Err(Failure::usage("wl version takes no argument"));
    }
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("BUILD_COMMIT").unwrap_or("unknown");
    let date = option_env!("BUILD_DATE").unwrap_or("unknown");
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let features: &[&str] = if cfg!(feature = "rustls") { &["rustls"] } else { &[] };
    Ok(Done {
        text: format!("wl {version} ({commit}) built {date}\n"),
        json: json!({"version": version, "commit": commit, "date": date, "target": target, "features": features}),
        ..Done::default()
    })
}
