//! A relay in front of a peer that keeps what both sides say: how a test reads a handshake between two real clients.

use super::until;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// So much of each side is kept.
const KEPT_BYTES: usize = 64 << 10;
/// How a peer begins.
const PROTOCOL: &[u8] = b"\x13BitTorrent protocol";

/// What both sides of one connection have said so far.
#[derive(Clone, Default)]
pub struct Talk {
    /// Who connected.
    pub client: Vec<u8>,
    /// Whom the relay stands for.
    pub server: Vec<u8>,
}

/// Listens until the test ends.
pub struct Relay {
    address: SocketAddr,
    talks: Arc<Mutex<Vec<Talk>>>,
}

impl Relay {
    /// Stands for the peer at `to`.
    pub fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let talks = Arc::new(Mutex::new(Vec::<Talk>::new()));
        let kept = Arc::clone(&talks);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(to) else { continue };
                let number = {
                    let mut talks = kept.lock().expect("no thread panics with it");
                    talks.push(Talk::default());
                    talks.len() - 1
                };
                let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                pass_on(copy(&client), copy(&server), Arc::clone(&kept), move |talks| {
                    &mut talks[number].client
                });
                pass_on(server, client, Arc::clone(&kept), move |talks| &mut talks[number].server);
            }
        });
        Self { address, talks }
    }

    /// Where to connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The first connection on which both sides have said what `enough` asks for, after plain handshakes: a client may
    /// try encryption before.
    pub fn talk(&self, what: &str, enough: impl Fn(&Talk) -> bool) -> Talk {
        let plain = |talk: &Talk| talk.client.starts_with(PROTOCOL) && talk.server.starts_with(PROTOCOL);
        until(what, || {
            let talks = self.talks.lock().expect("no thread panics with it");
            talks.iter().find(|talk| plain(talk) && enough(talk)).cloned()
        })
    }
}

fn pass_on(
    mut from: TcpStream,
    mut to: TcpStream,
    kept: Arc<Mutex<Vec<Talk>>>,
    side: impl Fn(&mut [Talk]) -> &mut Vec<u8> + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut buffer)
            && count > 0
        {
            {
                let mut talks = kept.lock().expect("no thread panics with it");
                let kept = side(&mut talks);
                let room = KEPT_BYTES - kept.len();
                kept.extend_from_slice(&buffer[..count.min(room)]);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}
