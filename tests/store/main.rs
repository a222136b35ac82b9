//! The store as the server sees it: mail in, mail out, real SQLite files.

mod downloads;
mod failures;
mod idtorrents;
mod model;
mod opening;
mod pages;
mod reading;
mod registering;
mod signed;
mod support;
mod takedowns;
mod usage;
