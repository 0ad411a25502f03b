use super::*;

#[test]
fn matching() {
    let table = [
        ("XXX", "123", true),
        ("XXX", "12", false),
        ("XXX", "1234", false),
        ("xxx", "019", true),
        ("NXX", "199", false),
        ("NXX", "299", true),
        ("Z", "0", false),
        ("Z", "1", true),
        ("5XXX", "5001", true),
        ("5XXX", "6001", false),
        ("[1-3a]X", "20", true),
        ("[1-3a]X", "a0", true),
        ("[1-3a]X", "40", false),
        ("[*#]9", "#9", true),
        ("[-5]", "-", false),
        ("9.", "9", false),
        ("9.", "91", true),
        ("9.", "9abc", true),
        ("9!", "9", true),
        ("9!", "91", true),
        ("9!", "8", false),
        (".", "", false),
        ("!", "", true),
        ("NXX-XXXX", "2345678", true),
        ("NXX-XXXX", "234-5678", true),
        ("+49X.", "+4930", true),
        ("ü", "ü", true),
        ("ü", "u", false),
        ("X", "٣", false),
    ];
    for (pattern, number, expected) in table {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(number), expected, "_{pattern} {number}");
    }
}

#[test]
fn refused() {
    let table = [
        ("", PatternError::Empty),
        ("-", PatternError::Empty),
        ("1[23", PatternError::OpenSet),
        ("[]", PatternError::BadSet),
        ("[9-1]", PatternError::BadSet),
        ("[ü]", PatternError::BadSet),
        ("1.2", PatternError::AfterWildcard),
        ("!!", PatternError::AfterWildcard),
    ];
    for (pattern, expected) in table {
        assert_eq!(Pattern::parse(pattern), Err(expected), "_{pattern}");
    }
}

#[test]
fn a_set_may_reach_beyond_ascii_and_matches_within() {
    let pattern = Pattern::parse("[a-ü]").unwrap();
    assert!(pattern.matches("z"));
    assert!(!pattern.matches("A"));
}

/// Each list is in the order in which the patterns are to be tried.
#[test]
fn order() {
    let lists: &[&[&str]] = &[
        &["5001", "500X", "50XX", "5XXX", "XXXX", "XX.", "X.", "X!", ".", "!"],
        &["5", "[56]", "[567]", "N", "Z", "X", ".", "!"],
        &["[12]X", "[34]X", "[13-4]X"],
        &["1N", "1Z", "1X", "1.", "1!", "1"],
        &["9NXXXXXX", "9.", "_"],
        &["ä", "ö", "X"],
    ];
    for list in lists {
        let patterns: Vec<Pattern> = list.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        for (left, pattern) in patterns.iter().enumerate() {
            for (right, other) in patterns.iter().enumerate() {
                assert_eq!(pattern.order(other), left.cmp(&right), "_{} _{}", list[left], list[right]);
            }
        }
    }
}
