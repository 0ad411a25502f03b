//! Descriptions written and read back, and those of others.

use super::*;

#[test]
fn an_offer_is_read_back() {
    let address: SocketAddr = "10.77.0.21:4000".parse().expect("an address");
    for direction in [Direction::SendReceive, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive] {
        let text = write(7, 3, address, direction, None);
        let read = Description::parse(&text).expect("a description");
        assert_eq!((read.session.as_str(), read.version), ("7", 3));
        assert_eq!((read.address, read.direction, read.events), (address, direction, true));
    }
}

#[test]
fn an_answer_names_only_what_was_offered() {
    let address: SocketAddr = "[2001:db8::1]:4000".parse().expect("an address");
    let offer = Description::parse("o=- 1 1 IN IP4 10.0.0.1\r\nc=IN IP4 10.0.0.1\r\nm=audio 10000 RTP/AVP 0 8\r\n");
    let answer = write(1, 1, address, Direction::SendReceive, Some(&offer.expect("an offer")));
    assert!(answer.contains("m=audio 4000 RTP/AVP 0\r\n"), "{answer}");
    assert!(answer.contains("c=IN IP6 2001:db8::1\r\n"), "{answer}");
}

#[test]
fn reads_what_others_write() {
    let text = "v=0\r\no=- 1 2 IN IP4 10.0.0.1\r\ns=x\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n\
                m=video 900 RTP/AVP 99\r\nc=IN IP4 10.0.0.7\r\nm=audio 10000 RTP/AVP 8 0\r\nc=IN IP4 10.0.0.2\r\n";
    let read = Description::parse(text).expect("a description");
    assert_eq!(read.address, "10.0.0.2:10000".parse().expect("an address"));
    assert_eq!(read.direction, Direction::SendOnly);
    let old_hold = text.replace("10.0.0.2", "0.0.0.0").replace("a=sendonly\r\n", "");
    assert_eq!(Description::parse(&old_hold).expect("a description").direction, Direction::SendOnly);
    for broken in [text.replace("10000", "0"), text.replace("8 0", "8"), text.replace("o=", "x="), String::new()] {
        assert!(Description::parse(&broken).is_err(), "{broken}");
    }
}
