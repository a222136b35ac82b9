//! The torrent formats, checked from outside: bencode, metainfo, Merkle trees, magnet links, and every vector of the
//! metainfo specification.

mod bencode;
mod craft;

mod inspect;
mod refusals;
mod signature;
mod small;
mod strict;
