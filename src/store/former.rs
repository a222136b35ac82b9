//! The clients of the Go tracker, from its table `peers`: read once, then emptied. Its rows hold the hash in hex, the
//! peer id as raw bytes in a text column, `address:port` as text, and seconds since 1970.

use super::columns::{natural, text, time};
use super::load::key_of;
use crate::base::{PeerId, UnixSeconds};
use crate::mailbox::FormerPeer;
use crate::registry::HashText;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Transaction};
use std::net::{IpAddr, SocketAddr};

/// Takes all rows out of `peers`. What cannot be read as a client is dropped: clients come back by themselves.
pub(super) fn take_peers(change: &Transaction<'_>) -> rusqlite::Result<Vec<FormerPeer>> {
    let mut taken = Vec::new();
    let mut statement = change.prepare("SELECT info_hash, peer_id, addr, updated_at, left FROM peers")?;
    let mut rows = statement.query([])?;
    let mut unreadable = 0;
    while let Some(row) = rows.next()? {
        match peer(row)? {
            Some(peer) => taken.push(peer),
            None => unreadable += 1,
        }
    }
    if unreadable > 0 {
        log::warn!("{unreadable} clients of the former tracker cannot be read; they will come back");
    }
    change.execute("DELETE FROM peers", [])?;
    Ok(taken)
}

fn peer(row: &Row<'_>) -> rusqlite::Result<Option<FormerPeer>> {
    let id = match row.get_ref(1)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => <[u8; 20]>::try_from(bytes).ok(),
        _ => None,
    };
    let address = text(row, 2)?.trim().parse::<SocketAddr>().ok().map(canonical);
    let address = address.filter(|address| address.port() != 0 && !address.ip().is_unspecified());
    let key = key_of(&HashText::new(text(row, 0)?));
    let seen = UnixSeconds::try_from(time(row, 3)?).unwrap_or(0);
    let complete = natural(row, 4)? == 0;
    Ok(key.zip(id).zip(address).map(|((key, id), address)| FormerPeer {
        key,
        peer_id: PeerId(id),
        address,
        seen,
        complete,
    }))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
