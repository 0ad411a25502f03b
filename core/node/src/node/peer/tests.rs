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
