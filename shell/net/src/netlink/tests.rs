use super::*;

#[test]
fn messages_are_split_on_four_bytes() {
    let mut datagram = Vec::new();
    for length in [17u32, 16] {
        let start = datagram.len();
        datagram.extend(length.to_ne_bytes());
        datagram.resize(start + (length as usize).next_multiple_of(4), 0);
    }
    let (first, rest) = split_message(&datagram).unwrap();
    let (second, rest) = split_message(rest).unwrap();
    assert_eq!((first.len(), second.len(), rest.len()), (17, 16, 0));
    assert!(split_message(rest).is_none());
    assert!(split_message(&datagram[..15]).is_none());
    assert!(split_message(&[0; 32]).is_none());
}

#[test]
fn lifetimes_are_whole_seconds_and_never_zero() {
    let valid = |duration| cache_info(duration).ifa_valid;
    assert_eq!(valid(None), u32::MAX);
    assert_eq!(valid(Some(Duration::ZERO)), 1);
    assert_eq!(valid(Some(Duration::from_secs(2))), 2);
    assert_eq!(valid(Some(Duration::from_millis(2001))), 3);
}

#[test]
fn loopback_is_known_and_nonsense_is_not() {
    let mut addresses = Addresses::open().unwrap();
    assert_eq!(addresses.interface_index("lo").unwrap(), 1);
    assert_eq!(addresses.hardware_address("lo").unwrap(), None);
    for name in ["", "absent0", "a-name-that-is-far-too-long"] {
        assert!(matches!(addresses.interface_index(name), Err(NetlinkError::NoInterface(_))), "{name}");
    }
    // The socket is still in step after errors.
    assert_eq!(addresses.interface_index("lo").unwrap(), 1);
}
