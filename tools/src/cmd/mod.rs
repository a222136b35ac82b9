//! The commands, one file each, in the order in which help lists them.

pub mod check;
pub mod check_http;
pub mod check_udp;
pub mod completions;
pub mod create;
pub mod create_flags;
pub mod create_hash;
pub mod create_idt;
pub mod create_stream;
pub mod get;
pub mod get_files;
pub mod giving_up;
pub mod keygen;
pub mod magnet;
pub mod passkey;
pub mod register;
pub mod search;
pub mod seed;
pub mod serve;
pub mod show;
pub mod show_idt;
pub mod sign;
pub mod swarming;
pub mod takedown;
pub mod target;
pub mod transfer_flags;
pub mod verify;
pub mod verify_data;
pub mod verify_idt;
pub mod version;

use crate::Context;
use crate::failure::Failure;
use crate::flags::Command;
use std::ffi::OsStr;

/// Every command.
pub const COMMANDS: &[&Command] = &[
    &create::COMMAND,
    &get::COMMAND,
    &seed::COMMAND,
    &serve::COMMAND,
    &show::COMMAND,
    &verify::COMMAND,
    &magnet::COMMAND,
    &keygen::COMMAND,
    &sign::COMMAND,
    &search::COMMAND,
    &takedown::COMMAND,
    &passkey::COMMAND,
    &check::COMMAND,
    &completions::COMMAND,
    &version::COMMAND,
];

/// The one argument of a command.
fn one_argument<'c>(context: &'c Context, what: &str) -> Result<&'c OsStr, Failure> {
    match context.args.positional.as_slice() {
        [one] if one.is_empty() => Err(Failure::usage(format!("{what} is empty"))),
        [one] => Ok(one),
        [] => Err(Failure::usage(format!("missing {what}"))),
        _ => Err(Failure::usage(format!("more than one {what}"))),
    }
}
