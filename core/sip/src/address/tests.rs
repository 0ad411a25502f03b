//! Tests of the encoding of socket addresses.

use minicbor::{Decode, Encode};

use super::*;

#[derive(Debug, PartialEq, Encode, Decode)]
struct Holder {
    #[cbor(n(0), with = "crate::address")]
    address: SocketAddr,
}

#[test]
fn addresses_are_their_text() {
    for text in ["192.0.2.1:5060", "[2001:db8::1]:5061", "[fe80::1%3]:1"] {
        let holder = Holder { address: text.parse().expect("an address") };
        let bytes = minicbor::to_vec(&holder).expect("encoding to memory cannot fail");
        assert_eq!(minicbor::decode::<(&str,)>(&bytes).expect("text").0, text);
        assert_eq!(minicbor::decode::<Holder>(&bytes).expect("an address"), holder);
    }
}

#[test]
fn what_is_no_address_is_an_error() {
    for text in ["", "192.0.2.1", "host:5060", "192.0.2.1:65536"] {
        let bytes = minicbor::to_vec((text,)).expect("encoding to memory cannot fail");
        assert!(minicbor::decode::<Holder>(&bytes).is_err(), "{text}");
    }
}
