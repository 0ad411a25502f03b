use super::*;

#[test]
fn messages_are_read_back_and_anything_else_is_refused() {
    let ask = Ask {
        version: VERSION,
        index: NodeIndex(1),
        incarnation: Incarnation(u64::MAX),
        sequence: u64::MAX,
        challenge: u64::MAX,
        want: Want::Hold,
        holding: true,
        epoch: Epoch { number: u64::MAX, node: NodeIndex(1) },
        alone: true,
        gone: Some(Incarnation(u64::MAX)),
    };
    let bytes = ask.encode();
    assert!(bytes.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(Ask::decode(&bytes), Ok(ask));
    let answer = Answer {
        version: VERSION,
        index: NodeIndex(1),
        incarnation: Incarnation(7),
        sequence: 8,
        life: u64::MAX,
        challenge: u64::MAX,
        verdict: Verdict::Held,
        left_us: u64::MAX,
        other_silent_us: u64::MAX,
        other_alone: true,
        epoch: Epoch { number: 9, node: NodeIndex(0) },
    };
    assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    assert_eq!(Ask::decode(&[0; MESSAGE_BYTES_MAX + 1]), Err(WitnessError::TooLong { bytes: MESSAGE_BYTES_MAX + 1 }));
    assert_eq!(Ask::decode(&[bytes, vec![0]].concat()), Err(WitnessError::Malformed));
    assert_eq!(Answer::decode(&[]), Err(WitnessError::Malformed));
}

/// Other versions speak with this one: the numbers of fields and variants never change.
#[test]
fn the_encoding_stays_as_it_is() {
    let ask = Ask {
        version: 1,
        index: NodeIndex(1),
        incarnation: Incarnation(2),
        sequence: 3,
        challenge: 4,
        want: Want::Hold,
        holding: true,
        epoch: Epoch { number: 5, node: NodeIndex(1) },
        alone: false,
        gone: None,
    };
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(ask.encode()), ASK_GOLDEN);
    let answer = Answer { version: 1, sequence: 3, verdict: Verdict::Waiting, left_us: 6, ..Answer::default() };
    assert_eq!(hex(answer.encode()), ANSWER_GOLDEN);
}

const ASK_GOLDEN: &str = "89010102030401f5820501f4";
const ANSWER_GOLDEN: &str = "8b010000030000040600f4820000";
