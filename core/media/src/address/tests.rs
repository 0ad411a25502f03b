use std::net::{IpAddr, SocketAddr};

use minicbor::{Decode, Encode};

#[derive(Debug, PartialEq, Encode, Decode)]
struct Sample {
    #[n(0)]
    #[cbor(with = "super::socket")]
    socket: SocketAddr,
    #[n(1)]
    #[cbor(with = "super::host")]
    host: IpAddr,
    #[n(2)]
    #[cbor(with = "super::optional_socket", has_nil)]
    optional: Option<SocketAddr>,
    #[n(3)]
    last: u8,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sample(socket: &str, host: &str, optional: Option<&str>) -> Sample {
    Sample {
        socket: socket.parse().unwrap(),
        host: host.parse().unwrap(),
        optional: optional.map(|address| address.parse().unwrap()),
        last: 7,
    }
}

#[test]
fn encodings_are_golden() {
    let cases = [
        (sample("10.77.0.100:5060", "10.77.0.1", None), "84460a4d006413c4440a4d0001f607"),
        (
            sample("[2001:db8::1]:5060", "::1", Some("192.0.2.9:4000")),
            "845220010db800000000000000000000000113c4500000000000000000000000000000000146c00002090fa007",
        ),
    ];
    for (value, golden) in cases {
        let bytes = minicbor::to_vec(&value).unwrap();
        assert_eq!(hex(&bytes), golden);
        assert_eq!(minicbor::decode::<Sample>(&bytes).unwrap(), value);
    }
}

#[test]
fn other_lengths_are_refused() {
    for length in 0..40usize {
        let mut bytes = vec![0x58, length as u8];
        bytes.extend(vec![1; length]);
        let mut decoder = minicbor::Decoder::new(&bytes);
        let decoded = super::socket::decode(&mut decoder, &mut ());
        assert_eq!(decoded.is_ok(), matches!(length, 6 | 18), "socket of {length} bytes");
        let mut decoder = minicbor::Decoder::new(&bytes);
        let decoded = super::host::decode(&mut decoder, &mut ());
        assert_eq!(decoded.is_ok(), matches!(length, 4 | 16), "host of {length} bytes");
    }
}
