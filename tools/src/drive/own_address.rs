//! The addresses this machine speaks from, as its routes say: the trackers have to hear when they change. Looking sends
//! no packet.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use weightless::base::Millis;

/// The address of each family, where there is a way to the Internet.
pub type Addresses = [Option<IpAddr>; 2];

/// What they were at the last look.
#[derive(Debug, Default)]
pub struct OwnAddress {
    known: Option<Addresses>,
    looked_at: Millis,
}

impl OwnAddress {
    /// Looks if it is time, and says whether there is an address that was not there before. One that went away is no
    /// news: from there nobody could be told.
    pub fn has_changed(&mut self, now: Millis, look: impl FnOnce() -> Addresses) -> bool {
        if self.known.is_some() && now < self.next_look() {
            return false;
        }
        self.looked_at = now;
        let addresses = look();
        let Some(before) = &mut self.known else {
            self.known = Some(addresses);
            return false;
        };
        let mut changed = false;
        for (before, address) in before.iter_mut().zip(addresses) {
            // A family that is gone for a while and comes back with the address it had is where it was.
            if address.is_some() && *before != address {
                *before = address;
                changed = true;
            }
        }
        changed
    }

    /// When the next look is due.
    pub fn next_look(&self) -> Millis {
        self.looked_at + LOOK_MS
    }
}

/// Asks the routes.
pub fn look() -> Addresses {
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].map(|(any, there)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(there).ok()?;
        let own = socket.local_addr().ok().map(|own: SocketAddr| own.ip())?;
        (!own.is_unspecified()).then_some(own)
    })
}

const LOOK_MS: Millis = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_new_is_noticed_at_the_next_look() {
        let four = |last| Some(IpAddr::from([192, 0, 2, last]));
        let six = Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
        let mut own = OwnAddress::default();
        let mut now = 0;
        for (addresses, changed) in [
            ([four(1), None], false),
            ([four(1), None], false),
            ([four(2), None], true),
            ([four(2), None], false),
            ([None, None], false),
            ([four(2), None], false),
            ([four(2), six], true),
            ([four(3), None], true),
            ([four(3), six], false),
        ] {
            assert_eq!(own.has_changed(now, || addresses), changed, "{addresses:?}");
            assert!(!own.has_changed(now + LOOK_MS - 1, || panic!("not yet")));
            now = own.next_look();
        }
    }

    #[test]
    fn looking_gives_addresses_that_could_be_ours() {
        for ip in look().into_iter().flatten() {
            assert!(UdpSocket::bind((ip, 0)).is_ok(), "{ip}");
        }
    }
}
