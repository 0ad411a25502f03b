//! minicbor encoding of socket addresses, for `#[cbor(with = "crate::address")]`: the text form, such as
//! `192.0.2.1:5060` or `[2001:db8::1]:5060`, so that a dump of the log can be read.

use std::net::SocketAddr;

use minicbor::decode::{self, Decoder};
use minicbor::encode::{self, Encoder, Write};

pub fn encode<C, W: Write>(
    address: &SocketAddr,
    encoder: &mut Encoder<W>,
    _context: &mut C,
) -> Result<(), encode::Error<W::Error>> {
    encoder.str(&address.to_string())?.ok()
}

pub fn decode<C>(decoder: &mut Decoder<'_>, _context: &mut C) -> Result<SocketAddr, decode::Error> {
    let at = decoder.position();
    decoder.str()?.parse().map_err(|_| decode::Error::message("not a socket address").at(at))
}

#[cfg(test)]
mod tests;
