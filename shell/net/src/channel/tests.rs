use std::net::UdpSocket;

use super::*;

#[test]
fn messages_stay_whole_and_in_order() {
    let (one, other) = Channel::pair().unwrap();
    assert!(one.receive().unwrap().is_none());
    other.send(b"first", &[]).unwrap();
    other.send(&[7; MESSAGE_BYTES_MAX], &[]).unwrap();
    let (bytes, files) = one.receive().unwrap().unwrap();
    assert_eq!((bytes.as_slice(), files.len()), (&b"first"[..], 0));
    assert_eq!(one.receive().unwrap().unwrap().0, vec![7; MESSAGE_BYTES_MAX]);
    assert!(one.receive().unwrap().is_none());
}

#[test]
fn files_travel_and_stay_open() {
    let (one, other) = Channel::pair().unwrap();
    let sockets: Vec<UdpSocket> = (0..FILES_MAX).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let files: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
    one.send(b"sockets", &files).unwrap();
    drop(sockets);
    let (_, files) = other.receive().unwrap().unwrap();
    let received: Vec<_> = files.into_iter().map(|file| UdpSocket::from(file).local_addr().unwrap()).collect();
    assert_eq!(received, addresses);
}

#[test]
fn bounds_hold() {
    let (one, _other) = Channel::pair().unwrap();
    let files = vec![one.as_fd(); FILES_MAX + 1];
    assert!(matches!(one.send(&[0; MESSAGE_BYTES_MAX + 1], &[]), Err(ChannelError::TooLarge { .. })));
    assert!(matches!(one.send(b"x", &files), Err(ChannelError::TooLarge { .. })));
    assert!(matches!(one.send(b"", &[]), Err(ChannelError::TooLarge { .. })));
}

#[test]
fn a_full_channel_says_so_and_goes_on_later() {
    let (one, other) = Channel::pair().unwrap();
    let mut sent = 0;
    let full = loop {
        match one.send(&[0; MESSAGE_BYTES_MAX], &[]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, ChannelError::Full) && sent > 0, "{full} after {sent}");
    let impatient = one.send_patiently(&[0; MESSAGE_BYTES_MAX], &[], Duration::ZERO);
    assert!(matches!(impatient, Err(ChannelError::Full)));
    for _ in 0..sent {
        assert!(other.receive().unwrap().is_some());
    }
    one.send_patiently(b"again", &[], Duration::from_secs(5)).unwrap();
    assert_eq!(other.receive().unwrap().unwrap().0, b"again");
}

#[test]
fn the_end_is_seen_after_the_last_message() {
    let (one, other) = Channel::pair().unwrap();
    other.send(b"last", &[]).unwrap();
    drop(other);
    assert_eq!(one.receive().unwrap().unwrap().0, b"last");
    assert!(matches!(one.receive(), Err(ChannelError::Closed)));
    assert!(matches!(one.send(b"x", &[]), Err(ChannelError::Closed)));
}
