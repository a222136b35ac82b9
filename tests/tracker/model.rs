//! The tracker as the specification tells it, in obvious code: a list of entries, each with a list of clients. Slow on
//! purpose; nothing of `src/tracker` is used but its words.

use std::net::{IpAddr, SocketAddr};
use weightless::base::{InfoHashes, SwarmKey};
use weightless::tracker::table::Totals;
use weightless::tracker::{Access, Families, Reach};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash, Event, Refusal, ScrapeStats};

/// One record.
#[derive(Clone, Debug)]
pub struct Client {
    pub at: SocketAddr,
    pub id: [u8; 20],
    pub seen_s: u64,
    pub seeder: bool,
    pub partial: bool,
    pub v1: bool,
    pub v2: bool,
    pub counted: bool,
}

/// One torrent, under its primary key.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: SwarmKey,
    pub registered: Option<InfoHashes>,
    pub blocked: bool,
    pub completed: u64,
    pub clients: Vec<Client>,
}

/// Everything the tracker should know.
#[derive(Debug)]
pub struct Model {
    pub access: Access,
    pub ttl_s: u64,
    pub peers_max: u64,
    pub entries: Vec<Entry>,
    pub completions: u64,
}

/// By which of its hashes an entry was named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    Only,
    V1,
    V2,
}

/// What an announce should be answered.
#[derive(Debug)]
pub struct Expected {
    pub complete: u32,
    pub incomplete: u32,
    /// Who may be offered, in the order in which kinds are offered: `[family][kind]`, own family first.
    pub eligible: [[Vec<SocketAddr>; 3]; 2],
    pub limit: usize,
}

impl Entry {
    fn new(key: SwarmKey) -> Self {
        Self { key, registered: None, blocked: false, completed: 0, clients: Vec::new() }
    }

    fn is_hybrid(&self) -> bool {
        matches!(self.registered, Some(InfoHashes::Hybrid(..)))
    }

    fn has_key(&self, key: SwarmKey) -> bool {
        let by_v1 = match self.registered {
            Some(InfoHashes::Hybrid(v1, _)) => v1.key() == key,
            _ => false,
        };
        self.key == key || by_v1
    }

    fn identity(&self, key: SwarmKey) -> Identity {
        match (self.is_hybrid(), self.key == key) {
            (false, _) => Identity::Only,
            (true, true) => Identity::V2,
            (true, false) => Identity::V1,
        }
    }

    pub fn seeders(&self) -> u32 {
        self.clients.iter().filter(|client| client.seeder).count() as u32
    }

    pub fn leechers(&self) -> u32 {
        self.clients.len() as u32 - self.seeders()
    }

    pub fn stats(&self) -> ScrapeStats {
        let partial = self.clients.iter().filter(|client| !client.seeder && client.partial).count() as u32;
        ScrapeStats {
            complete: self.seeders(),
            downloaded: self.completed,
            incomplete: self.leechers(),
            downloaders: self.leechers() - partial,
        }
    }
}

impl Client {
    fn has(&self, identity: Identity) -> bool {
        match identity {
            Identity::Only => true,
            Identity::V1 => self.v1,
            Identity::V2 => self.v2,
        }
    }

    /// 0 for seeders, 1 for leechers, 2 for partial seeds.
    pub fn kind(&self) -> usize {
        match (self.seeder, self.partial) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }
}

impl Model {
    pub fn entry(&self, key: SwarmKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.has_key(key))
    }

    fn own(&mut self, key: SwarmKey) -> &mut Entry {
        let at = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            self.entries.push(Entry::new(key));
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    fn admit(&self, hash: &AnnouncedHash) -> Result<(), Refusal> {
        let entry = self.entry(hash.key());
        if entry.is_some_and(|entry| entry.blocked) {
            return Err(Refusal::Blocked);
        }
        let registered = entry.and_then(|entry| entry.registered).is_some_and(|hashes| match hash {
            AnnouncedHash::Short(_) => true,
            AnnouncedHash::Full(full) => hashes.v2() == Some(*full),
        });
        match self.access {
            Access::Open => Ok(()),
            Access::Registered if registered => Ok(()),
            Access::Registered => Err(Refusal::Unregistered),
            Access::Listed => Err(Refusal::NotListed),
        }
    }

    pub fn announce(
        &mut self,
        now_s: u64,
        from: SocketAddr,
        request: &AnnounceRequest,
        reach: Reach,
    ) -> Result<Expected, Refusal> {
        self.admit(&request.info_hash)?;
        let key = request.info_hash.key();
        let full = self.peers_max != 0 && self.peers() >= self.peers_max;
        let (at, identity) = match self.entries.iter().position(|entry| entry.has_key(key)) {
            Some(at) => (at, self.entries[at].identity(key)),
            None => {
                self.entries.push(Entry::new(key));
                (self.entries.len() - 1, Identity::Only)
            }
        };
        let entry = &mut self.entries[at];
        if request.event == Event::Stopped {
            stop(entry, from, identity);
        } else {
            if full && !entry.clients.iter().any(|client| client.at == from) {
                return Err(Refusal::Full);
            }
            if enter(entry, now_s, from, request, identity) {
                entry.completed += 1;
                self.completions += 1;
            }
        }
        let entry = &self.entries[at];
        Ok(Expected {
            complete: entry.seeders(),
            incomplete: entry.leechers(),
            eligible: eligible(entry, from, request, identity, reach.families),
            limit: reach.peers_max,
        })
    }

    pub fn scrape(&self, hash: &AnnouncedHash) -> Option<ScrapeStats> {
        self.admit(hash).ok()?;
        Some(self.entry(hash.key()).map(Entry::stats).unwrap_or_default())
    }

    pub fn register(&mut self, hashes: InfoHashes, completions: u64) {
        let key = hashes.primary_key();
        let before = self.own(key).registered;
        if before == Some(hashes) {
            return;
        }
        self.unregister(key);
        let hybrid = matches!(hashes, InfoHashes::Hybrid(..));
        let entry = self.own(key);
        entry.completed = if before.is_some() { entry.completed.max(completions) } else { completions };
        entry.registered = Some(hashes);
        entry.clients.iter_mut().for_each(|client| (client.v1, client.v2) = (false, hybrid));
        if let InfoHashes::Hybrid(v1, _) = hashes
            && let Some(at) = self.entries.iter().position(|entry| entry.key == v1.key())
        {
            let former = self.entries.remove(at);
            let entry = self.own(key);
            for client in former.clients {
                merge(entry, Client { v1: true, v2: false, ..client });
            }
        }
    }

    fn unregister(&mut self, key: SwarmKey) {
        let entry = self.own(key);
        if entry.is_hybrid() {
            entry.clients.retain(|client| client.v2);
        }
        entry.clients.iter_mut().for_each(|client| (client.v1, client.v2) = (false, false));
        entry.registered = None;
    }

    pub fn block(&mut self, key: SwarmKey) {
        if let Some(primary) =
            self.entry(key).and_then(|entry| entry.registered).map(|hashes| hashes.primary_key())
        {
            self.unregister(primary);
        }
        let entry = self.own(key);
        *entry = Entry { blocked: true, ..Entry::new(key) };
    }

    pub fn unblock(&mut self, key: SwarmKey) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.has_key(key)) {
            entry.blocked = false;
        }
    }

    /// Forgets who has not announced for longer than the lifetime.
    pub fn expire(&mut self, now_s: u64) {
        let ttl_s = self.ttl_s;
        for entry in &mut self.entries {
            entry.clients.retain(|client| now_s - client.seen_s <= ttl_s);
        }
    }

    /// What is left after a restart: unregistered torrents only where they are served.
    pub fn restart(&mut self) {
        self.completions = 0;
        let open = self.access == Access::Open;
        self.entries.retain(|entry| open || entry.registered.is_some() || entry.blocked);
    }

    pub fn peers(&self) -> u64 {
        self.entries.iter().map(|entry| entry.clients.len() as u64).sum()
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            for client in &entry.clients {
                *match (client.at.is_ipv4(), client.seeder) {
                    (true, true) => &mut totals.seeders4,
                    (true, false) => &mut totals.leechers4,
                    (false, true) => &mut totals.seeders6,
                    (false, false) => &mut totals.leechers6,
                } += 1;
            }
            totals.swarms += u64::from(!entry.clients.is_empty());
            totals.registered += u64::from(entry.registered.is_some());
            totals.blocked += u64::from(entry.blocked);
            let alone = entry.clients.is_empty() && entry.registered.is_none() && !entry.blocked;
            totals.ghosts += u64::from(alone && entry.completed > 0);
        }
        totals
    }
}

fn stop(entry: &mut Entry, from: SocketAddr, identity: Identity) {
    for client in entry.clients.iter_mut().filter(|client| client.at == from) {
        client.v1 &= identity == Identity::V2;
        client.v2 &= identity == Identity::V1;
    }
    entry.clients.retain(|client| client.at != from || client.v1 || client.v2);
}

/// Returns whether a download was completed.
fn enter(
    entry: &mut Entry,
    now_s: u64,
    from: SocketAddr,
    request: &AnnounceRequest,
    identity: Identity,
) -> bool {
    let id = request.peer_id.0;
    let mut earlier: Vec<Client> = Vec::new();
    match entry.clients.iter().position(|client| client.at == from) {
        Some(at) => {
            let known = entry.clients.remove(at);
            earlier.extend((known.id == id).then_some(known));
        }
        None if entry.clients.len() <= 64 => {
            let is_former = |client: &Client| client.at.ip() == from.ip() && client.id == id;
            earlier.extend(entry.clients.iter().filter(|client| is_former(client)).cloned());
            entry.clients.retain(|client| !is_former(client));
        }
        None => {}
    }
    let completed = request.event == Event::Completed;
    let seeder = completed || request.left == Some(0);
    let counted = earlier.iter().any(|client| client.counted);
    let was_leecher = earlier.iter().any(|client| !client.seeder);
    let finished = !counted && (completed || was_leecher && seeder);
    entry.clients.push(Client {
        at: from,
        id,
        seen_s: now_s,
        seeder,
        partial: request.event == Event::Paused,
        v1: identity == Identity::V1 || earlier.iter().any(|client| client.v1),
        v2: identity == Identity::V2 || earlier.iter().any(|client| client.v2),
        counted: counted || finished,
    });
    finished
}

fn eligible(
    entry: &Entry,
    from: SocketAddr,
    request: &AnnounceRequest,
    identity: Identity,
    families: Families,
) -> [[Vec<SocketAddr>; 3]; 2] {
    let mut found: [[Vec<SocketAddr>; 3]; 2] = Default::default();
    if request.event == Event::Stopped {
        return found;
    }
    let has_all = request.left == Some(0) || matches!(request.event, Event::Paused | Event::Completed);
    for client in entry.clients.iter().filter(|client| client.at != from && client.has(identity)) {
        let other = client.at.is_ipv4() != from.is_ipv4();
        if (other && families == Families::Own) || (has_all && client.kind() != 1) {
            continue;
        }
        found[usize::from(other)][client.kind()].push(client.at);
    }
    found
}

/// The later record wins, of equals the newcomer; what either had announced stays announced.
fn merge(entry: &mut Entry, client: Client) {
    let Some(known) = entry.clients.iter_mut().find(|known| known.at == client.at) else {
        entry.clients.push(client);
        return;
    };
    let (v1, v2) = (known.v1 || client.v1, known.v2 || client.v2);
    let counted = known.counted || client.counted;
    let later = if client.seen_s >= known.seen_s { client } else { known.clone() };
    *known = Client { v1, v2, counted, ..later };
}

/// The compact form of an address: BEP 23 and BEP 7.
pub fn compact(at: SocketAddr) -> Vec<u8> {
    let mut bytes = match at.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend_from_slice(&at.port().to_be_bytes());
    bytes
}
