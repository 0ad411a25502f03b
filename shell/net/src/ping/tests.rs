use super::*;
use crate::icmp::{ECHO_REPLY, ECHO_REPLY_V6, checksum};

fn targets() -> [IpAddr; 2] {
    [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()]
}

#[test]
fn what_answers_is_told_once_it_is_known_and_when_it_changes() {
    let begun = Instant::now();
    let at = |millis: u64| begun + Duration::from_millis(millis);
    let mut board = Board::new(&targets(), begun);
    board.answered(at(10), targets()[0]);
    assert_eq!(board.news(at(10)), None, "the other one may answer yet");
    board.answered(at(20), [192, 0, 2, 77].into());
    assert_eq!(board.news(at(999)), None);
    assert_eq!(board.news(at(1_000)), Some(1));
    assert_eq!(board.news(at(1_001)), None);
    assert_eq!(board.news(at(1_010)), Some(0));
    board.answered(at(1_020), targets()[1]);
    assert_eq!(board.news(at(1_020)), Some(1));
}

#[test]
fn targets_that_answer_at_once_are_known_at_once() {
    let begun = Instant::now();
    let mut board = Board::new(&targets(), begun);
    board.answered(begun, targets()[0]);
    board.answered(begun, targets()[1]);
    assert_eq!(board.news(begun), Some(2));
}

#[test]
fn only_replies_to_our_own_requests_count() {
    let request = request(true, 0x1234, 7);
    assert_eq!(checksum(&request), 0, "the checksum of a packet with a right checksum is 0");
    let mut reply = vec![0x45; 20];
    reply.extend(&request);
    assert!(!is_reply(true, 0x1234, &reply), "a request is no reply");
    reply[20] = ECHO_REPLY;
    assert!(is_reply(true, 0x1234, &reply));
    assert!(!is_reply(true, 0x1235, &reply), "another program's");
    assert!(!is_reply(true, 0x1234, &reply[..25]));
    assert!(!is_reply(true, 0x1234, &[]));
    let mut reply = super::request(false, 0x1234, 7);
    reply[0] = ECHO_REPLY_V6;
    assert!(is_reply(false, 0x1234, &reply));
}
