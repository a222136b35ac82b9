//! What the tracker counts: plain integers, because only the reactor's thread can reach them.

/// Which wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// TCP.
    Http,
    /// UDP.
    Udp,
}

/// Which address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[inline]
    pub fn of(ip: std::net::IpAddr) -> Self {
        match ip {
            std::net::IpAddr::V4(_) => Self::V4,
            std::net::IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A UDP connect.
    Connect,
    /// An announce.
    Announce,
    /// A scrape.
    Scrape,
    /// A route below `/api/`.
    Api,
    /// `POST /register_peer`.
    RegisterPeer,
    /// `GET /get_peers`.
    GetPeers,
    /// Anything else.
    Other,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Served.
    Ok,
    /// Not understood.
    Invalid,
    /// A passkey or key was missing or bad.
    Unauthorized,
    /// The hash was taken down.
    Blocked,
    /// The hash is not tracked here.
    Unregistered,
    /// Too many requests.
    Limited,
    /// Could not be served.
    Error,
}

/// Why a datagram got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// Shorter than any packet.
    Short,
    /// A connect without the protocol id.
    Magic,
    /// An action nobody knows, from a source that has proved nothing.
    Action,
    /// Over the rate, and told so before.
    Limited,
    /// The answer could not be sent.
    Send,
}

/// Labels as they stand in the metrics, in the order of the enums.
pub mod labels {
    /// Of `Proto`.
    pub const PROTO: [&str; 2] = ["http", "udp"];
    /// Of `Family`.
    pub const FAMILY: [&str; 2] = ["ipv4", "ipv6"];
    /// Of `Kind`.
    pub const KIND: [&str; 7] =
        ["connect", "announce", "scrape", "api", "register_peer", "get_peers", "other"];
    /// Of `Outcome`.
    pub const OUTCOME: [&str; 7] =
        ["ok", "invalid", "unauthorized", "blocked", "unregistered", "limited", "error"];
    /// Of `Dropped`.
    pub const DROPPED: [&str; 5] = ["short", "magic", "action", "limited", "send"];
}

/// Everything that is only ever added to.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    requests: [[[[u64; 7]; 7]; 2]; 2],
    dropped: [u64; 5],
    /// Bytes received, by `Proto`.
    pub received_bytes: [u64; 2],
    /// Bytes sent, by `Proto`.
    pub sent_bytes: [u64; 2],
    /// Downloads completed since start.
    pub completions: u64,
    /// Connections accepted, by `Family`.
    pub accepted: [u64; 2],
    /// Connections turned away: for the limit, for want of descriptors.
    pub shed: [u64; 2],
    /// Connections that took too long: head, idle, body, write.
    pub timeouts: [u64; 4],
}

impl Counters {
    /// Counts a request.
    #[inline]
    pub fn request(&mut self, proto: Proto, family: Family, kind: Kind, outcome: Outcome) {
        self.requests[proto as usize][family as usize][kind as usize][outcome as usize] += 1;
    }

    /// Counts a datagram that got no answer.
    #[inline]
    pub fn drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    /// Requests of one kind that were served, on both wires.
    pub fn served(&self, kind: Kind) -> u64 {
        self.requests.iter().flatten().map(|kinds| kinds[kind as usize][Outcome::Ok as usize]).sum()
    }

    /// Every request counter with its labels, in the order of the enums.
    pub fn requests(&self) -> impl Iterator<Item = ([&'static str; 4], u64)> + '_ {
        self.requests.iter().enumerate().flat_map(|(proto, families)| {
            families.iter().enumerate().flat_map(move |(family, kinds)| {
                kinds.iter().enumerate().flat_map(move |(kind, outcomes)| {
                    outcomes.iter().enumerate().map(move |(outcome, count)| {
                        let names = [
                            labels::PROTO[proto],
                            labels::FAMILY[family],
                            labels::KIND[kind],
                            labels::OUTCOME[outcome],
                        ];
                        (names, *count)
                    })
                })
            })
        })
    }

    /// Every drop counter with its label.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        labels::DROPPED.iter().copied().zip(self.dropped)
    }
}
