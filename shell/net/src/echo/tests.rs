use super::*;

/// Checked by hand: ones complement of 0x0800 + 0x1234 + 0x0007.
#[test]
fn the_question_has_its_checksum() {
    assert_eq!(question([10, 77, 0, 1].into(), 0x1234, 7), [8, 0, 0xe5, 0xc4, 0x12, 0x34, 0, 7]);
    assert_eq!(question([10, 77, 0, 1].into(), 0xffff, 0xffff), [8, 0, 0xf7, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(question("2001:db8::1".parse().unwrap(), 0x1234, 7), [128, 0, 0, 0, 0x12, 0x34, 0, 7]);
}

#[test]
fn only_the_answer_to_the_question_is_one() {
    let address: IpAddr = [10, 77, 0, 1].into();
    let mut packet = vec![0x45; 20];
    packet[12..16].copy_from_slice(&[10, 77, 0, 1]);
    packet.extend([0, 0, 1, 2, 0x12, 0x34, 0, 7]);
    assert!(is_answer(address, &packet, 0x1234, 7));
    assert!(!is_answer(address, &packet, 0x1234, 8), "an earlier question");
    assert!(!is_answer(address, &packet, 0x1235, 7), "somebody else's question");
    assert!(!is_answer([10, 77, 0, 2].into(), &packet, 0x1234, 7), "somebody else's answer");
    packet[20] = 8;
    assert!(!is_answer(address, &packet, 0x1234, 7), "our own question, as a loopback shows it");
    for length in 0..packet.len() {
        assert!(!is_answer(address, &packet[..length], 0x1234, 7));
    }
    assert!(is_answer("::1".parse().unwrap(), &[129, 0, 1, 2, 0x12, 0x34, 0, 7], 0x1234, 7));
}
