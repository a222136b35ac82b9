//! What a transfer is about: from the argument a person typed to hashes, trackers, web seeds and, if a file or a registry
//! had it, the torrent itself.

use crate::announce::TrackerUrl;
use crate::content::Content;
use crate::failure::{Class, Failure};
use crate::source::{self, Found, Loaded, Named};
use crate::tracker::{Tracker, is_announce, is_http};
use crate::{Context, registry, signing};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::sync::Arc;
use weightless::base::InfoHashes;
use weightless::torrent::Magnet;
use weightless::torrent::magnet::Select;
use weightless::torrent::signatures::Judged;

/// What is to be transferred.
pub struct Target {
    /// Its hashes.
    pub hashes: InfoHashes,
    /// The torrent or idtorrent, if it is known already.
    pub found: Option<Arc<Content>>,
    /// Tiers of trackers.
    pub tiers: Vec<Vec<TrackerUrl>>,
    /// Web seeds of a magnet link; those of a torrent are in it.
    pub web_seeds: Vec<String>,
    /// Peers a magnet link names.
    pub peers: Vec<SocketAddr>,
    /// The files a magnet link asks for.
    pub select: Select,
    /// A name for people, until the torrent tells.
    pub name: String,
    /// The registry's word on who signed it.
    pub entry: Option<Judged>,
}

/// Finds out what the argument names.
pub fn resolve(context: &Context, argument: &OsStr) -> Result<Target, Failure> {
    match source::named(context, argument)? {
        Named::Found(found) => of_file(context, found),
        Named::Magnet(magnet) => of_magnet(context, magnet),
        Named::Hash(hashes) => of_magnet(context, Magnet::new(hashes)),
    }
}

fn content(loaded: Loaded) -> Arc<Content> {
    Arc::new(match loaded {
        Loaded::Torrent(metainfo) => Content::torrent(*metainfo),
        Loaded::Idtorrent(idtorrent) => Content::small(idtorrent),
    })
}

/// Trackers a metafile names, in tiers. Those of an idtorrent are base URLs, each to be asked.
fn named_by(content: &Content) -> Vec<Vec<String>> {
    match content {
        Content::Torrent(metainfo) => metainfo.about.trackers.clone(),
        Content::Small(idtorrent, _) => {
            let http = idtorrent.trackers.iter().filter(|url| is_http(url));
            http.map(|url| vec![Tracker::at(url).plain_announce()]).collect()
        }
    }
}

fn of_file(context: &Context, found: Found) -> Result<Target, Failure> {
    let content = content(found.loaded);
    Ok(Target {
        hashes: content.hashes(),
        tiers: tiers(context, named_by(&content), Rules::of(&content))?,
        web_seeds: Vec::new(),
        peers: Vec::new(),
        select: Select::All,
        name: content.shown_name(),
        entry: None,
        found: Some(content),
    })
}

/// Asks the registries a link names, then that of `--tracker`; where none has the torrent its peers will.
fn of_magnet(context: &Context, magnet: Magnet) -> Result<Target, Failure> {
    let own = Tracker::of(context)?;
    let named = magnet.trackers.iter().filter(|url| is_http(url)).map(|url| Tracker::at(url));
    let mut found = None;
    let mut entry = None;
    for tracker in named.chain([own]) {
        match source::ask(context, &tracker, &magnet.hashes) {
            Ok(answer) => {
                let content = content(answer.loaded);
                // Who signed it is asked for apart, and may stay unknown.
                let object =
                    registry::entry(context, &tracker, &content.hashes().best_hex()).unwrap_or_default();
                entry = signing::of_entry(&object, &content.hashes());
                found = Some(content);
                break;
            }
            // Nothing but the torrent that was asked for will do, from whomever it comes.
            Err(failure) if failure.class == Class::Verification => context.voice.warn(&failure.message),
            Err(_) => {}
        }
    }
    if magnet.select == Select::Unreadable {
        context.voice.warn("the link's file selection (so) cannot be read; all files are taken");
    }
    let mut named: Vec<Vec<String>> = magnet.trackers.iter().map(|url| vec![url.clone()]).collect();
    for tier in found.iter().flat_map(|content| named_by(content)) {
        let fresh: Vec<String> = tier.into_iter().filter(|url| !magnet.trackers.contains(url)).collect();
        if !fresh.is_empty() {
            named.push(fresh);
        }
    }
    let rules = found.as_deref().map_or(Rules::Link, |content| Rules::of(content).by_link());
    Ok(Target {
        hashes: found.as_ref().map_or(magnet.hashes, |content| content.hashes()),
        tiers: tiers(context, named, rules)?,
        web_seeds: magnet.web_seeds,
        peers: magnet.peers,
        select: magnet.select,
        name: magnet.name.unwrap_or_else(|| magnet.hashes.best_hex()),
        entry,
        found,
    })
}

/// When the tracker a person names is one of those that are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Where the person typed it, or the link names none: then that of `--tracker` is asked, typed or not.
    Link,
    /// Where the person typed it. Nobody named the default: a torrent without trackers is told to none.
    Torrent,
    /// Where the person typed it and the torrent names none.
    Private,
    /// Always: an idtorrent need not name any.
    Idtorrent,
}

impl Rules {
    fn of(content: &Content) -> Self {
        match content {
            Content::Small(..) => Self::Idtorrent,
            content if content.is_private() => Self::Private,
            _ => Self::Torrent,
        }
    }

    /// The same for what a registry knew under a link or a hash.
    fn by_link(self) -> Self {
        if self == Self::Torrent { Self::Link } else { self }
    }
}

/// The trackers a torrent names, and the one a person did. With a passkey the person's stands in for the same tracker
/// without one.
fn tiers(context: &Context, named: Vec<Vec<String>>, rules: Rules) -> Result<Vec<Vec<TrackerUrl>>, Failure> {
    let typed = context.args.given("tracker").is_some() || context.env.get("WL_TRACKER").is_some();
    let url = context.args.text(&crate::flags::TRACKER, &context.env)?;
    let own = if url.starts_with("udp://") { None } else { Some(Tracker::with_passkey(context)?) };
    let announce = own.as_ref().map_or_else(|| url.clone(), Tracker::announce);
    // The passkey, or a base that goes on behind the host, is known to whoever typed it.
    let is_better = |own: &&Tracker| own.has_passkey() || rules == Rules::Idtorrent;
    let same =
        |other: &str| own.as_ref().filter(is_better).is_some_and(|own| Tracker::at(other).base == own.base);
    let mut tiers: Vec<Vec<TrackerUrl>> = named
        .into_iter()
        .map(|tier| tier.into_iter().filter(|url| is_announce(url) && !same(url)))
        .map(|tier| tier.map(|url| TrackerUrl { trusted: typed && url == announce, url }).collect::<Vec<_>>())
        .filter(|tier| !tier.is_empty())
        .collect();
    let known = tiers.iter().flatten().any(|tracker| tracker.url == announce);
    // A private torrent is announced where it says, unless it says nothing or the person's tracker is the same one.
    let stands_in = own.as_ref().is_some_and(Tracker::has_passkey);
    let added = match rules {
        Rules::Link => typed || tiers.is_empty(),
        Rules::Torrent => typed,
        Rules::Private => typed && (stands_in || tiers.is_empty()),
        Rules::Idtorrent => true,
    };
    if !known && added {
        tiers.insert(0, vec![TrackerUrl { url: announce, trusted: true }]);
    }
    Ok(tiers)
}
