//! Both tracker wires byte by byte: what real clients sent, what we answer, and that nothing else can do harm.

mod golden_http;
mod golden_replies;
mod golden_udp;
mod http_round_trip;
mod idt_round_trip;
mod mangled;
mod support;
mod udp_round_trip;
