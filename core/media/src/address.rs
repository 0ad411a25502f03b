//! Socket and host addresses in minicbor, for `#[cbor(with = "media::address::socket")]` and its siblings.
//!
//! An address is one byte string in network order: 4 or 16 bytes of host, then 2 bytes of port where there is one. The
//! length says the family, and no other length is accepted. The scope and flow label of an IPv6 address are left out,
//! because an interface number of one node means nothing on the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minicbor::decode::Error;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

/// A `SocketAddr`: 6 or 18 bytes.
pub mod socket {
    use super::*;

    pub fn encode<C, W: Write>(
        address: &SocketAddr,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut bytes = [0; 18];
        let length = put_host(&mut bytes, address.ip());
        bytes[length..length + 2].copy_from_slice(&address.port().to_be_bytes());
        encoder.bytes(&bytes[..length + 2])?.ok()
    }

    pub fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<SocketAddr, Error> {
        let (host, port) = decoder.bytes()?.split_last_chunk::<2>().ok_or_else(wrong_length)?;
        Ok(SocketAddr::new(host_from(host)?, u16::from_be_bytes(*port)))
    }
}

/// An `Option<SocketAddr>`: as `socket`, or null.
pub mod optional_socket {
    use super::*;

    pub fn encode<C, W: Write>(
        address: &Option<SocketAddr>,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match address {
            Some(address) => socket::encode(address, encoder, context),
            None => encoder.null()?.ok(),
        }
    }

    pub fn decode<C>(decoder: &mut Decoder<'_>, context: &mut C) -> Result<Option<SocketAddr>, Error> {
        if decoder.datatype()? == minicbor::data::Type::Null {
            decoder.null()?;
            return Ok(None);
        }
        socket::decode(decoder, context).map(Some)
    }

    pub fn nil() -> Option<Option<SocketAddr>> {
        Some(None)
    }

    pub fn is_nil(address: &Option<SocketAddr>) -> bool {
        address.is_none()
    }
}

/// An `IpAddr`: 4 or 16 bytes.
pub mod host {
    use super::*;

    pub fn encode<C, W: Write>(
        address: &IpAddr,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let mut bytes = [0; 18];
        let length = put_host(&mut bytes, *address);
        encoder.bytes(&bytes[..length])?.ok()
    }

    pub fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<IpAddr, Error> {
        host_from(decoder.bytes()?)
    }
}

/// Writes the host into the front of `bytes` and returns how many bytes it took.
fn put_host(bytes: &mut [u8; 18], host: IpAddr) -> usize {
    match host {
        IpAddr::V4(host) => {
            bytes[..4].copy_from_slice(&host.octets());
            4
        }
        IpAddr::V6(host) => {
            bytes[..16].copy_from_slice(&host.octets());
            16
        }
    }
}

fn host_from(bytes: &[u8]) -> Result<IpAddr, Error> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    let octets = <[u8; 16]>::try_from(bytes).map_err(|_| wrong_length())?;
    Ok(IpAddr::V6(Ipv6Addr::from(octets)))
}

fn wrong_length() -> Error {
    Error::message("an address has a length of no address family")
}

#[cfg(test)]
mod tests;
