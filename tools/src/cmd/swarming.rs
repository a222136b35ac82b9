//! Running transfers: the loop, what ends it, and what is told meanwhile. `get`, `seed` and `serve` share it.

use super::giving_up::{no_tracker, nobody_to_ask, timed_out};
use super::transfer_flags::{Enough, Transfer};
use super::verify::ranges;
use crate::announce::{Announcer, HashOf, Identity, Persistence, TrackerUrl, Wire};
use crate::content::Content;
use crate::disk::{DESCRIPTORS_MAX, Opened, Pool, Storage};
use crate::drive::trackers::{Setup, Trackers};
use crate::drive::webfetch::WebFetcher;
use crate::drive::{Drive, Turn};
use crate::failure::{Class, Failure, shown_foreign};
use crate::peer::action::{Failed, News};
use crate::peer::bits::Bits;
use crate::peer::candidates::Origin;
use crate::peer::choker::Slots;
use crate::peer::handshake::new_peer_id;
use crate::peer::limits::CONNECTIONS_MAX;
use crate::peer::swarm::{Beginning, Settings, State, Swarm, Totals};
use crate::report::{Report, Standing};
use crate::webseed::Webseeds;
use crate::{Context, env};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use weightless::base::{InfoHashes, Millis, Rng, SwarmKey};

/// After a signal the trackers have so long to hear of it.
const FAREWELL_MS: Millis = 3_000;
/// Deadlines are looked at so often.
const CLOSELY: Duration = Duration::from_millis(200);
/// The same where they are minutes and hours away.
const AT_EASE: Duration = Duration::from_secs(1);

/// Running transfers.
pub struct Session {
    drive: Drive,
    transfer: Transfer,
    persistence: Persistence,
    report: Report,
    storages: Vec<Option<Arc<Storage>>>,
    names: Vec<String>,
    rng: Rng,
    /// How many descriptors the system allows.
    descriptors: u64,
    started: Millis,
    signal: Option<i32>,
    /// Whether a second signal came with the first.
    insistent: bool,
    /// Whether a person was told that no tracker of a torrent answers.
    told_of_trackers: Vec<bool>,
}

/// How a transfer ended, if it did not fail.
#[derive(Default)]
pub struct Ending {
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether everything that was wanted is there.
    pub complete: bool,
    /// Wanted bytes that are there, and all of them.
    pub done: u64,
    /// Wanted bytes.
    pub total: u64,
    /// What was counted.
    pub totals: Totals,
    /// How long it took.
    pub seconds: f64,
    /// Web seeds there were.
    pub web_seeds: usize,
    /// Piece layers that were not in the torrent, by file.
    pub layers: BTreeMap<usize, Vec<u8>>,
}

/// What a turn of the loop leads to.
enum Flow {
    On,
    End,
    Fail(Failure),
}

impl Session {
    /// Listens, and starts nothing yet.
    pub fn start(context: &Context, transfer: &Transfer, persistence: Persistence) -> Result<Self, Failure> {
        let no_chance = || Failure::new(Class::Unexpected, "the system gives no random numbers");
        let seed = env::random_u64().ok_or_else(no_chance)?;
        let descriptors = env::allow_descriptors();
        let drive = Drive::new(transfer.port, (transfer.down, transfer.up), |notify| {
            let setup = Setup { allow_private: transfer.allow_private, proxy: context.env.proxy.clone() };
            let fetcher = WebFetcher::new(setup.clone(), Arc::clone(notify));
            Ok((Trackers::start(setup, Rng::new(seed), Arc::clone(notify))?, fetcher))
        });
        let drive = drive.map_err(|error| {
            Failure::new(Class::Network, format!("cannot listen: {}", crate::failure::reason(&error)))
        })?;
        let now = drive.now();
        Ok(Self {
            report: Report::new(context, now, transfer.json_events),
            transfer: transfer.clone(),
            persistence,
            storages: Vec::new(),
            names: Vec::new(),
            rng: Rng::new(seed.rotate_left(32)),
            descriptors,
            started: now,
            signal: None,
            insistent: false,
            told_of_trackers: Vec::new(),
            drive,
        })
    }

    /// Where peers reach us.
    pub fn port(&self) -> u16 {
        self.drive.port()
    }

    /// Takes a torrent in, of which so far only the hashes are known; gives its number.
    pub fn add(
        &mut self,
        name: &str,
        hashes: InfoHashes,
        tiers: Vec<Vec<TrackerUrl>>,
        private: bool,
        small: bool,
    ) -> usize {
        let number = self.drive.engine.swarms().len();
        let peer_id = new_peer_id(&mut self.rng);
        let settings = Settings {
            number,
            hashes,
            peer_id,
            port: self.drive.port(),
            peers_max: self.transfer.peers_max,
            slots: match (self.transfer.slots, self.transfer.up) {
                (Some(slots), _) => Slots::Fixed(slots),
                (None, Some(up)) => Slots::ByRate(up),
                (None, None) => Slots::Auto,
            },
            pex: self.transfer.pex && !private,
            small,
            fetches: self.persistence == Persistence::Get,
            memory_bytes_max: self.transfer.memory_bytes,
        };
        let identity = Identity {
            wire: if small { Wire::PeerRoutes } else { Wire::Announce },
            peer_id,
            key: self.rng.u64() as u32,
            port: self.drive.port(),
            hashes: announced(&hashes),
            peers_enough: self.transfer.peers_max * 3 / 4,
        };
        let mut swarm = Swarm::new(self.drive.now(), settings, self.rng.u64());
        let chance = Rng::new(self.rng.u64());
        swarm.announce_by(Announcer::new(tiers, private, identity, self.persistence, chance));
        self.drive.engine.add(swarm, connections_max(self.transfer.peers_max, self.descriptors));
        self.storages.push(None);
        self.names.push(name.into());
        self.told_of_trackers.push(false);
        number
    }

    /// Peers that a link names, and those a person does.
    pub fn know(&mut self, number: usize, named: &[SocketAddr], typed: &[SocketAddr]) {
        let now = self.drive.now();
        if let Some(swarm) = self.drive.engine.swarm(number) {
            swarm.add_candidates(now, named.iter().copied(), Origin::Magnet);
            swarm.add_candidates(now, typed.iter().copied(), Origin::User);
        }
    }

    /// The torrent is known and its files are open.
    pub fn begin(
        &mut self,
        number: usize,
        content: Arc<Content>,
        opened: Opened,
        wanted_files: Vec<bool>,
        web_seeds: Vec<(String, bool)>,
        threads: usize,
    ) {
        let now = self.drive.now();
        let pieces = content.piece_count();
        self.drive.attach(number, Pool::start(&opened.storage, threads, self.drive.notify()));
        let beginning = Beginning {
            stored: Bits::from_wire(&opened.have, pieces).unwrap_or_else(|| Bits::none(pieces)),
            wanted_files,
            uploaded: opened.uploaded,
            webseeds: (!web_seeds.is_empty()).then(|| Webseeds::new(web_seeds, Arc::clone(&content))),
            finish: opened.finish,
            unjudged: opened.open,
            content: Arc::clone(&content),
        };
        if let Some(slot) = self.storages.get_mut(number) {
            *slot = Some(opened.storage);
        }
        if let Some(name) = self.names.get_mut(number) {
            *name = content.shown_name();
        }
        if let Some(swarm) = self.drive.engine.swarm(number) {
            swarm.begin(now, beginning);
        }
    }

    /// Looks for the info dictionary of the first torrent among its peers.
    pub fn fetch_metadata(
        &mut self,
        context: &Context,
        timeout: Option<Millis>,
    ) -> Result<Result<Vec<u8>, Ending>, Failure> {
        let mut found = None;
        self.run(context, |session, now, news| {
            for (_, news) in news {
                if let News::Metadata(info) = news {
                    found = Some(info);
                }
            }
            if found.is_some() {
                return Flow::End;
            }
            session.give_up(now, timeout)
        })?;
        Ok(found.ok_or_else(|| self.ending(0)))
    }

    /// Fetches the first torrent; with `enough` it is seeded afterwards, until it was.
    pub fn fetch(
        &mut self,
        context: &Context,
        timeout: Option<Millis>,
        enough: Option<Enough>,
    ) -> Result<Ending, Failure> {
        let mut since = None;
        self.run(context, |session, now, news| {
            for (number, news) in news {
                match news {
                    News::Complete => {
                        since = Some(now);
                        session.report.event("complete", &json!({}));
                    }
                    News::Failed(failed) => return Flow::Fail(session.failure(number, failed)),
                    _ => {}
                }
            }
            match (since, enough) {
                (None, _) => session.give_up(now, timeout),
                (Some(since), Some(enough)) if session.is_enough(now, since, enough) => Flow::End,
                // The trackers hear of a completed download before they hear that we leave.
                (Some(since), None) if now > since + FAREWELL_MS || !session.owes_completed() => Flow::End,
                (Some(_), _) => Flow::On,
            }
        })?;
        Ok(self.ending(0))
    }

    /// Seeds until there has been enough of it.
    pub fn seed(&mut self, context: &Context) -> Result<Ending, Failure> {
        let since = self.drive.now();
        let enough = self.transfer.enough;
        self.run(context, |session, now, news| {
            for (number, news) in news {
                if let News::Failed(failed) = news {
                    return Flow::Fail(session.failure(number, failed));
                }
            }
            if session.is_enough(now, since, enough) { Flow::End } else { Flow::On }
        })?;
        Ok(self.ending_of_all())
    }

    /// Ends it: progress is made durable, trackers are told, and then everything is closed.
    pub fn leave(mut self) -> bool {
        self.report.end();
        let at_once = self.farewell();
        self.drive.close();
        at_once
    }

    /// Says whether a second signal cut it short.
    fn farewell(&mut self) -> bool {
        let begun = self.drive.now();
        let mut at_once = self.insistent;
        for number in 0..self.names.len() {
            if let Some(swarm) = self.drive.engine.swarm(number) {
                swarm.stop(begun);
            }
        }
        while let Ok(turn) = self.drive.turn(CLOSELY) {
            at_once |= turn.signal.is_some();
            let now = self.drive.now();
            let swarms = self.drive.engine.swarms();
            let gone = at_once || now > begun + FAREWELL_MS || swarms.iter().all(|swarm| swarm.is_gone(now));
            if gone && swarms.iter().all(Swarm::is_saved) {
                break;
            }
        }
        at_once
    }

    /// Turns until `decide` has had enough, or a signal.
    fn run(
        &mut self,
        context: &Context,
        mut decide: impl FnMut(&mut Self, Millis, Vec<(usize, News)>) -> Flow,
    ) -> Result<(), Failure> {
        let mut failure = None;
        // The clock of deadlines and of the line for people; who waits for nothing and nobody looks at sleeps longer.
        let patience = match self.persistence {
            Persistence::Seed if !self.report.is_watched() => AT_EASE,
            _ => CLOSELY,
        };
        loop {
            let Turn { news, signal, insistent } = self.drive.turn(patience).map_err(unexpected)?;
            self.insistent |= insistent;
            let now = self.drive.now();
            self.tell(context, &news);
            self.signal = signal.or(self.signal);
            self.show(context, now);
            match decide(self, now, news) {
                Flow::On if self.signal.is_none() => self.warn_of_trackers(context),
                Flow::On | Flow::End => break,
                Flow::Fail(why) => {
                    failure = Some(why);
                    break;
                }
            }
        }
        self.report.end();
        match failure {
            Some(failure) => {
                // What is stored is made durable, and trackers hear of the end.
                self.farewell();
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Says once of each torrent that no tracker answers, where it goes on all the same.
    fn warn_of_trackers(&mut self, context: &Context) {
        for (swarm, told) in self.drive.engine.swarms().iter().zip(&mut self.told_of_trackers) {
            if !*told && let Some(failure) = swarm.announcer().and_then(no_tracker) {
                *told = true;
                self.report.warn(context, &failure.message);
            }
        }
    }

    fn tell(&mut self, context: &Context, news: &[(usize, News)]) {
        for (number, news) in news {
            let (text, event, fields) = match news {
                News::PeerGained { address, client } => (
                    format!("peer {address}: connected ({client})"),
                    "peer",
                    json!({"address": address.to_string(), "client": client}),
                ),
                News::PeerLost { address, why } => (
                    format!("peer {address}: {why}"),
                    "peer_lost",
                    json!({"address": address.to_string(), "why": why}),
                ),
                News::Banned { address, why } => (
                    format!("peer {address}: banned, {why}"),
                    "banned",
                    json!({"address": address.to_string(), "why": why}),
                ),
                News::WebSeedDropped { url, why } => {
                    (format!("web seed {url}: {why}"), "web_seed_dropped", json!({"url": url, "why": why}))
                }
                News::Tracker { url, said } => (
                    format!("tracker {}: {said}", shown_foreign(url)),
                    "tracker",
                    json!({"url": url, "said": said}),
                ),
                News::FileDone { file } => {
                    let path = self.path(*number, *file);
                    (format!("finished {path}"), "file", json!({"path": path}))
                }
                News::Withdrawn { file, .. } => {
                    let path = self.path(*number, *file);
                    self.report
                        .warn(context, &format!("{path}: changed or gone; its pieces are no longer offered"));
                    self.report.event("withdrawn", &json!({"path": path}));
                    continue;
                }
                _ => continue,
            };
            self.report.detail(context, &text);
            self.report.event(event, &fields);
        }
    }

    fn show(&mut self, context: &Context, now: Millis) {
        let mut all = Standing { name: self.names.join(", "), seeding: true, ..Standing::default() };
        for swarm in self.drive.engine.swarms() {
            let (peers, seeds) = swarm.peer_counts();
            let (down, up) = swarm.rates();
            let (done, total) = swarm.bytes();
            all.done += done;
            all.total += total;
            all.down += down;
            all.up += up;
            all.peers = (all.peers.0 + peers, all.peers.1 + seeds);
            all.web_seeds += swarm.web_seeds_in_use();
            all.uploaded += swarm.uploaded_in_all();
            if let Some(ledger) = swarm.ledger().filter(|ledger| ledger.content.idtorrent().is_some()) {
                let (done, total) = all.chunks.unwrap_or_default();
                all.chunks = Some((done + ledger.stored.count(), total + ledger.stored.pieces()));
            }
            all.seeding &= swarm.state() == State::Seeding;
            all.unknown |= swarm.ledger().is_none();
        }
        self.report.standing(context, now, &all);
    }

    fn is_enough(&self, now: Millis, since: Millis, enough: Enough) -> bool {
        let size: u64 = self.drive.engine.swarms().iter().map(|swarm| swarm.bytes().1).sum();
        let uploaded: u64 = self.drive.engine.swarms().iter().map(Swarm::uploaded_in_all).sum();
        let by_ratio = enough.ratio.is_some_and(|ratio| uploaded as f64 >= ratio * size as f64);
        by_ratio || enough.time_ms.is_some_and(|time| now >= since + time)
    }

    /// Whether there is anybody left to hope for.
    fn give_up(&self, now: Millis, timeout: Option<Millis>) -> Flow {
        let Some(swarm) = self.drive.engine.swarms().first() else { return Flow::End };
        let somebody = swarm.connections() > 0 || swarm.has_web_seeds() || swarm.has_candidates();
        if !somebody && let Some(failure) = swarm.announcer().and_then(nobody_to_ask) {
            return Flow::Fail(failure);
        }
        let idle = now.saturating_sub(swarm.progress_at());
        if timeout.is_none_or(|timeout| idle < timeout) {
            return Flow::On;
        }
        Flow::Fail(timed_out(swarm, idle))
    }

    fn owes_completed(&self) -> bool {
        let announcers = self.drive.engine.swarms().iter().filter_map(Swarm::announcer);
        announcers.into_iter().any(Announcer::owes_completed)
    }

    fn failure(&self, number: usize, failed: Failed) -> Failure {
        match failed {
            Failed::Disk(trouble) => {
                let missing = self
                    .drive
                    .engine
                    .swarms()
                    .get(number)
                    .map_or(0, |swarm| swarm.bytes().1 - swarm.bytes().0);
                trouble.during_transfer(missing)
            }
            Failed::NothingLeft => Failure::new(Class::Storage, "no file is left to seed"),
            Failed::NeverMatches { piece } => {
                Failure::new(Class::Verification, format!("piece {piece} never matches"))
            }
            Failed::FinalCheck { wrong } => {
                let wrong: Vec<u64> = wrong.into_iter().map(u64::from).collect();
                let what = format!("final check failed: chunks {} are not what was written", ranges(&wrong));
                Failure::new(Class::Verification, what)
                    .hint("something else writes to the file, or the disk is failing")
            }
            Failed::Contradiction => {
                Failure::new(Class::Verification, "v1 and v2 hashes describe different data")
            }
        }
    }

    fn ending(&self, number: usize) -> Ending {
        let Some(swarm) = self.drive.engine.swarms().get(number) else { return Ending::default() };
        let (done, total) = swarm.bytes();
        Ending {
            signal: self.signal,
            complete: swarm.state() == State::Seeding,
            done,
            total,
            totals: swarm.totals(),
            seconds: self.drive.now().saturating_sub(self.started) as f64 / 1000.0,
            web_seeds: swarm.web_seeds(),
            layers: swarm.ledger().map(|ledger| ledger.learned_layers().clone()).unwrap_or_default(),
        }
    }

    /// What all torrents together came to.
    fn ending_of_all(&self) -> Ending {
        let mut all = self.ending(0);
        for number in 1..self.names.len() {
            let more = self.ending(number);
            all.totals.downloaded += more.totals.downloaded;
            all.totals.uploaded += more.totals.uploaded;
            all.totals.wasted += more.totals.wasted;
            all.totals.peers += more.totals.peers;
        }
        all
    }

    fn path(&self, number: usize, file: usize) -> String {
        let storage = self.storages.get(number).and_then(Option::as_ref);
        storage.map(|storage| storage.final_path(file).display().to_string()).unwrap_or_default()
    }
}

fn unexpected(error: std::io::Error) -> Failure {
    Failure::new(Class::Unexpected, crate::failure::reason(&error))
}

/// How many connections there may be: what a person wants, within what files and trackers leave of the descriptors.
fn connections_max(peers_max: usize, descriptors: u64) -> usize {
    /// Of listeners, trackers, web seeds, the terminal.
    const OTHERS: u64 = 64;
    const LEAST: u64 = 16;
    let left = descriptors.saturating_sub(DESCRIPTORS_MAX as u64 + OTHERS).max(LEAST);
    CONNECTIONS_MAX.max(peers_max).min(usize::try_from(left).unwrap_or(usize::MAX))
}

/// The keys a torrent is announced by.
fn announced(hashes: &InfoHashes) -> Vec<(SwarmKey, HashOf)> {
    let v1 = hashes.v1().map(|v1| (v1.key(), HashOf::V1));
    let v2 = hashes.v2().map(|v2| (v2.key(), HashOf::V2));
    v1.into_iter().chain(v2).collect()
}

/// Whether a peer that a link names may be dialled.
pub fn may_be_dialled(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_what_files_leave_of_the_descriptors() {
        for (peers_max, descriptors, connections) in
            [(100, 1 << 20, 200), (1000, 1 << 20, 1000), (1000, 1024, 704), (1000, 320, 16), (1000, 0, 16)]
        {
            assert_eq!(connections_max(peers_max, descriptors), connections, "{peers_max} of {descriptors}");
        }
    }
}
