//! Golden encodings of what the nodes tell each other besides log and heartbeats.

use super::*;

#[test]
fn notes_are_encoded_as_ever() {
    let golden =
        [(Note::RecordsStored(vec!["ab".into(), "c".into()]), "820081826261626163"), (Note::SwitchOver, "820180")];
    for (note, hex) in golden {
        let bytes = pbx::object::encode(&note);
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), hex, "{note:?}");
        assert_eq!(minicbor::decode::<Note>(&bytes).unwrap(), note);
    }
}

/// A peer of a later version may say what this one does not know; it is passed over.
#[test]
fn a_note_that_nobody_knows_is_no_note() {
    assert!(minicbor::decode::<Note>(&[0x82, 0x18, 99, 0x80]).is_err());
}

#[test]
fn notes_of_the_configuration_stay_as_they_were() {
    let id = VersionId(replication::Hash([1; 32]));
    let of = format!("5820{}", "01".repeat(32));
    let refused = Refused::new(id.0, "b", &["x:1: y".into()]);
    let examples = [
        (Note::Propose { version: vec![1, 2], head: Some(id) }, format!("820482420102{of}")),
        (Note::Fetch(vec![1, 2]), "820581420102".into()),
        (Note::Ready { version: id, problems: vec!["y".into()] }, format!("820682{of}816179")),
        (Note::Refused(Some(refused)), format!("82078183{of}61628166783a313a2079")),
        (Note::Runs { runs: Some(id), has: None }, format!("820881{of}")),
        (Note::Contents(Message::Lacking { content: id.0 }), format!("820981820281{of}")),
        (Note::Ask { number: 7, request: ConfigRequest::Rollback(id) }, format!("820a8207820181{of}")),
        (Note::Told { number: 7, done: true, text: "y".into() }, "820b8307f56179".into()),
    ];
    for (note, golden) in examples {
        let bytes = pbx::object::encode(&note);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{note:?}");
        assert_eq!(minicbor::decode::<Note>(&bytes).unwrap(), note);
    }
}
