use super::*;

fn loopback() -> UdpSocket {
    bind_udp("127.0.0.1:0".parse().unwrap(), UdpOptions::default()).unwrap()
}

#[test]
fn an_absent_address_needs_freebind() {
    let absent: SocketAddr = "192.0.2.77:0".parse().unwrap();
    let error = bind_udp(absent, UdpOptions::default()).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("192.0.2.77"));
    bind_udp(absent, UdpOptions { freebind: true, ..UdpOptions::default() }).unwrap();
    let absent: SocketAddr = "[2001:db8::77]:0".parse().unwrap();
    bind_udp(absent, UdpOptions { freebind: true, ..UdpOptions::default() }).unwrap();
}

#[test]
fn options_reach_the_socket() {
    let options = UdpOptions { dscp: Some(46), receive_buffer_bytes: Some(100_000), ..UdpOptions::default() };
    let socket = Socket::from(bind_udp("127.0.0.1:0".parse().unwrap(), options).unwrap());
    assert_eq!(socket.tos_v4().unwrap(), 46 << 2);
    assert!(socket.recv_buffer_size().unwrap() >= 100_000);
    assert!(socket.nonblocking().unwrap());
}

#[test]
fn many_datagrams_come_in_batches() {
    let (sender, receiver) = (loopback(), loopback());
    let mut batch = Batch::new(4, 100);
    let mut seen = Vec::new();
    assert_eq!(receive_many(&receiver, &mut batch, |_, _| panic!("nothing was sent")).unwrap(), 0);
    for number in 0..6u8 {
        sender.send_to(&[number; 10], receiver.local_addr().unwrap()).unwrap();
    }
    let mut take = |batch: &mut Batch| {
        receive_many(&receiver, batch, |source, datagram| {
            assert_eq!(source, sender.local_addr().unwrap());
            assert_eq!(datagram.len(), 10);
            seen.push(datagram[0]);
        })
        .unwrap()
    };
    assert_eq!([take(&mut batch), take(&mut batch), take(&mut batch)], [4, 2, 0]);
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn too_long_and_empty_datagrams() {
    let (sender, receiver) = (loopback(), loopback());
    let mut batch = Batch::new(4, 100);
    for bytes in [101, 0, 100] {
        sender.send_to(&vec![7; bytes], receiver.local_addr().unwrap()).unwrap();
    }
    let mut lengths = Vec::new();
    let count = receive_many(&receiver, &mut batch, |_, datagram| lengths.push(datagram.len())).unwrap();
    assert_eq!((count, lengths, batch.truncated()), (3, vec![0, 100], 1));
}
