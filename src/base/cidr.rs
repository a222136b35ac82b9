//! Address ranges in CIDR notation (RFC 4632, RFC 4291 section 2.3), for settings that name networks.
//!
//! An IPv4-mapped IPv6 address is the IPv4 address it carries, in the range and in what is asked of it: a socket may
//! report the same machine either way.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: an address and how many of its leading bits count. Bits beyond them are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u8,
}

/// The text is not `address`, `address/bits`, or has more bits than the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotACidr;

impl Cidr {
    /// Whether `address` lies in the network. Addresses of the other family never do.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_head(own.to_bits().into(), other.to_bits().into(), 32, self.prefix_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same_head(own.to_bits(), other.to_bits(), 128, self.prefix_bits)
            }
            _ => false,
        }
    }
}

/// Whether the first `prefix` of `width` bits are equal.
fn same_head(one: u128, other: u128, width: u8, prefix: u8) -> bool {
    // A shift by the whole width is not defined, and a prefix of 0 matches everything.
    prefix == 0 || (one ^ other) >> (width - prefix) == 0
}

impl FromStr for Cidr {
    type Err = NotACidr;

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let width: u8 = if written.is_ipv4() { 32 } else { 128 };
        let mut prefix_bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| NotACidr)?,
            Some(_) => return Err(NotACidr),
        };
        if prefix_bits > width {
            return Err(NotACidr);
        }
        let mut address = written;
        // Only a range inside ::ffff:0:0/96 is a range of IPv4 addresses.
        if written.is_ipv6() && written.to_canonical().is_ipv4() && prefix_bits >= 96 {
            address = written.to_canonical();
            prefix_bits -= 96;
        }
        Ok(Self { address, prefix_bits })
    }
}

/// As it is written in settings: `10.0.0.0/8`.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        range.parse::<Cidr>().expect(range).contains(address.parse().expect(address))
    }

    #[test]
    fn the_leading_bits_decide() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("10.9.8.7/8", "10.0.0.1"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:ffff::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
    }

    #[test]
    fn families_do_not_mix_but_mapped_addresses_are_ipv4() {
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(!contains("::/0", "192.0.2.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in
            ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "host", "1.2.3.4/8/8"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(NotACidr), "{text}");
        }
    }
}
