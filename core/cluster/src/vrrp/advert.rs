//! The advert: what a virtual router's active member tells its backups, as bytes.
//!
//! ```text
//!  version 3 (RFC 9568 section 5.1)                    version 2 (RFC 3768 section 5.1)
//!  |Ver|Typ|  VRID |Priority| Count |                  |Ver|Typ|  VRID |Priority| Count |
//!  |0 0 0 0| Interval in 1/100 s |Checksum|            |Auth Type|Interval in s| Checksum |
//!  | addresses, 4 or 16 bytes each ... |               | addresses, 4 bytes each ...      |
//!                                                      | authentication, 8 bytes          |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{PROTOCOL, TTL, Version, timer};

#[cfg(test)]
mod tests;

/// The only type there is (RFC 9568 section 5.2.2).
const TYPE_ADVERTISEMENT: u8 = 1;

const HEADER_BYTES: usize = 8;
const CHECKSUM_AT: usize = 6;

/// Version 2 ends with so many bytes, whether or not they mean anything (RFC 3768 section 5.3.10).
pub const AUTHENTICATION_BYTES: usize = 8;

/// Authentication types of RFC 2338 section 5.3.6, which RFC 3768 has kept as numbers.
const AUTHENTICATION_NONE: u8 = 0;
const AUTHENTICATION_PASSWORD: u8 = 1;

/// The trailer of keepalived's `auth_hmac`, behind the addresses.
const HMAC_TRAILER_BYTES: usize = 28;

/// What version 2 may say to prove itself. It protects against mistakes only, because everybody on the link reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Authentication {
    #[default]
    #[n(0)]
    None,
    /// keepalived's `auth_type PASS`: a text of at most eight bytes, filled up with zeroes.
    #[n(1)]
    Password(#[n(0)] [u8; AUTHENTICATION_BYTES]),
}

impl Authentication {
    /// `None` when the text is empty or longer than eight bytes.
    pub fn password(text: &str) -> Option<Self> {
        let mut bytes = [0; AUTHENTICATION_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        (!text.is_empty()).then_some(Self::Password(bytes))
    }
}

/// What the IP header said around an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
}

/// One advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    pub version: Version,
    pub vrid: u8,
    /// 0: the sender leaves. 255: it owns the address.
    pub priority: u8,
    /// Between two adverts of the sender. Version 2 carries whole seconds, version 3 hundredths.
    pub interval: Duration,
    /// The virtual router's addresses, at least one, all of the packet's family.
    pub addresses: Vec<IpAddr>,
    /// Version 2 only.
    pub authentication: Authentication,
}

/// Why bytes are no advert that means us, or cannot be made one. The neighbour's configuration is to blame; no later
/// packet of it will fare better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvertError {
    #[error("its TTL is {ttl} and not 255: it does not come from this link")]
    Ttl { ttl: u8 },
    #[error("it has {bytes} bytes, less than its header says")]
    TooShort { bytes: usize },
    #[error("{bytes} bytes follow its addresses")]
    TooLong { bytes: usize },
    #[error(
        "28 bytes follow its addresses, as keepalived's auth_hmac makes them, and this node has no `hmac_key_file`"
    )]
    HmacTrailer,
    #[error("it is of VRRP version {version}, and this node is configured for version {own}")]
    Version { version: u8, own: u8 },
    #[error("it is of type {kind}, which means nothing")]
    Type { kind: u8 },
    #[error("it names no address")]
    NoAddress,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its authentication type {kind} is not what this node is configured for")]
    AuthenticationType { kind: u8 },
    #[error("its password is not the one that this node is configured with")]
    Password,
    #[error("it mixes address families, or is of version 2 with IPv6")]
    Family,
    #[error("{count} addresses do not fit an advert")]
    TooManyAddresses { count: usize },
}

impl Advert {
    /// The bytes behind the IP header. `pseudo_header` says whether version 3 over IPv4 has the pseudo-header in its
    /// checksum: RFC 9568 section 5.2.8 has not, keepalived has.
    pub fn encode(&self, source: IpAddr, destination: IpAddr, pseudo_header: bool) -> Result<Vec<u8>, AdvertError> {
        let of_family = |address: &IpAddr| address.is_ipv4() == source.is_ipv4();
        let v4_only = self.version == Version::V2 && source.is_ipv6();
        if v4_only || !self.addresses.iter().chain([&destination]).all(of_family) {
            return Err(AdvertError::Family);
        }
        let count = self.addresses.len();
        let count = u8::try_from(count).map_err(|_| AdvertError::TooManyAddresses { count })?;
        if count == 0 {
            return Err(AdvertError::NoAddress);
        }
        let [high, low] = timer::to_wire(self.version, self.interval).to_be_bytes();
        let (fifth, authentication) = match (self.version, self.authentication) {
            (Version::V3, _) => (high, None),
            (Version::V2, Authentication::None) => (AUTHENTICATION_NONE, Some([0; AUTHENTICATION_BYTES])),
            (Version::V2, Authentication::Password(bytes)) => (AUTHENTICATION_PASSWORD, Some(bytes)),
        };
        let first = self.version.number() << 4 | TYPE_ADVERTISEMENT;
        let mut bytes = vec![first, self.vrid, self.priority, count, fifth, low, 0, 0];
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        bytes.extend(authentication.into_iter().flatten());
        let with_pseudo_header = source.is_ipv6() || (self.version == Version::V3 && pseudo_header);
        let start = if with_pseudo_header { pseudo_header_sum(source, destination, bytes.len()) } else { 0 };
        let checksum = !sum(start, &bytes);
        if let Some(field) = bytes.get_mut(CHECKSUM_AT..HEADER_BYTES) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        Ok(bytes)
    }

    /// Reads an advert and makes every check of RFC 9568 section 7.1 and RFC 3768 section 7.1 but that of the VRID,
    /// which is the caller's. `version` and `authentication` are what this node is configured for.
    pub fn decode(
        bytes: &[u8],
        packet: Packet,
        version: Version,
        authentication: Authentication,
    ) -> Result<Self, AdvertError> {
        if packet.ttl != TTL {
            return Err(AdvertError::Ttl { ttl: packet.ttl });
        }
        let too_short = AdvertError::TooShort { bytes: bytes.len() };
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(too_short)?;
        let [first, vrid, priority, count, fifth, low, ..] = *header;
        if first >> 4 != version.number() {
            return Err(AdvertError::Version { version: first >> 4, own: version.number() });
        }
        if first & 0x0f != TYPE_ADVERTISEMENT {
            return Err(AdvertError::Type { kind: first & 0x0f });
        }
        if version == Version::V2 && packet.source.is_ipv6() {
            return Err(AdvertError::Family);
        }
        let address_bytes = if packet.source.is_ipv4() { 4 } else { 16 };
        let (addresses, rest) = rest.split_at_checked(usize::from(count) * address_bytes).ok_or(too_short)?;
        let proof = trailer(version, rest, bytes.len())?;
        if !checksum_holds(bytes, version, packet) {
            return Err(AdvertError::Checksum);
        }
        if count == 0 {
            return Err(AdvertError::NoAddress);
        }
        let interval = match version {
            Version::V2 => u16::from(low),
            Version::V3 => u16::from_be_bytes([fifth & 0x0f, low]),
        };
        let authentication = match version {
            Version::V2 => prove(fifth, proof, authentication)?,
            Version::V3 => Authentication::None,
        };
        let interval = timer::from_wire(version, interval);
        let addresses = addresses.chunks(address_bytes).filter_map(address).collect();
        Ok(Self { version, vrid, priority, interval, addresses, authentication })
    }
}

/// What follows the addresses: nothing in version 3, the authentication in version 2.
fn trailer(version: Version, rest: &[u8], bytes: usize) -> Result<[u8; AUTHENTICATION_BYTES], AdvertError> {
    let (proof, more) = match version {
        Version::V2 => {
            let (proof, more) = rest.split_first_chunk().ok_or(AdvertError::TooShort { bytes })?;
            (*proof, more)
        }
        Version::V3 => ([0; AUTHENTICATION_BYTES], rest),
    };
    match more.len() {
        0 => Ok(proof),
        HMAC_TRAILER_BYTES => Err(AdvertError::HmacTrailer),
        bytes => Err(AdvertError::TooLong { bytes }),
    }
}

fn prove(kind: u8, proof: [u8; AUTHENTICATION_BYTES], wanted: Authentication) -> Result<Authentication, AdvertError> {
    match (kind, wanted) {
        // RFC 3768 section 5.3.10: without authentication the bytes are ignored.
        (AUTHENTICATION_NONE, Authentication::None) => Ok(wanted),
        (AUTHENTICATION_PASSWORD, Authentication::Password(password)) if password == proof => Ok(wanted),
        (AUTHENTICATION_PASSWORD, Authentication::Password(_)) => Err(AdvertError::Password),
        _ => Err(AdvertError::AuthenticationType { kind }),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

/// Version 3 over IPv4 is taken with and without the pseudo-header: RFC 9568 leaves it out, keepalived and RFC 5798's
/// readers put it in.
fn checksum_holds(bytes: &[u8], version: Version, packet: Packet) -> bool {
    let plain = packet.source.is_ipv4();
    let pseudo = version == Version::V3;
    let with_pseudo_header = || sum(pseudo_header_sum(packet.source, packet.destination, bytes.len()), bytes);
    (plain && sum(0, bytes) == u16::MAX) || (pseudo && with_pseudo_header() == u16::MAX)
}

/// The one's complement sum that goes on from `start` (RFC 1071).
fn sum(start: u16, bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    };
    // A packet has at most 64 KiB, so that the sum of its words fits.
    let mut total = bytes.chunks(2).map(word).fold(u32::from(start), u32::saturating_add);
    while total > u32::from(u16::MAX) {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// Source, destination, length and protocol (RFC 9293 section 3.1 for IPv4, RFC 8200 section 8.1 for IPv6: their fields
/// differ in width and order only, which a sum does not see).
fn pseudo_header_sum(source: IpAddr, destination: IpAddr, bytes: usize) -> u16 {
    let add = |start: u16, address: IpAddr| match address {
        IpAddr::V4(address) => sum(start, &address.octets()),
        IpAddr::V6(address) => sum(start, &address.octets()),
    };
    let length = sum(add(add(0, source), destination), &(bytes as u32).to_be_bytes());
    sum(length, &[0, PROTOCOL])
}
