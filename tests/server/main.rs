//! The machine against the specification, row by row: no socket, no thread, and a clock that the tests move.

mod address;
mod checks;
mod cors;
mod downloads;
mod golden;
mod health;
mod http1;
mod idt_peers;
mod limits;
mod mail;
mod metrics;
mod options;
mod query;
mod ranks;
mod registry;
mod routes;
mod scrape;
mod smuggling;
mod statuses;
mod support;
mod swarm;
mod timers;
mod udp;
mod udp_errors;
mod udp_peers;
mod uploads;
