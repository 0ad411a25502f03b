use super::*;

#[test]
fn values() {
    let table = [
        ("1 + 2", "3"),
        ("1+2*3", "7"),
        ("(1+2)*3", "9"),
        ("7 / 2", "3.5"),
        ("7 % 4", "3"),
        ("1 / 0", "0"),
        ("1 % 0", "0"),
        ("-3 + 1", "-2"),
        ("0 * -1", "0"),
        ("2 - 3 - 4", "-5"),
        ("word + 1", "1"),
        ("5 = 5.0", "1"),
        ("05 = 5", "1"),
        ("\"BUSY\" = \"BUSY\"", "1"),
        ("\"BUSY\"=\"NOANSWER\"", "0"),
        ("BUSY == BUSY", "1"),
        ("a != b", "1"),
        ("10 > 9", "1"),
        ("\"10a\" > \"9a\"", "0"),
        ("3 >= 3", "1"),
        ("2 <= 1", "0"),
        ("2 < 1", "0"),
        ("inf = inf", "1"),
        ("nan = nan", "1"),
        ("1 & 0", "0"),
        ("2 & 3", "2"),
        ("0 | 4", "4"),
        ("\"\" | yes", "yes"),
        ("!0", "1"),
        ("!word", "0"),
        ("1 = 1 & 2 = 2", "1"),
        ("1 = 2 | 2 = 2", "1"),
        ("1 ? yes :: no", "yes"),
        ("0 ? yes :: no", "no"),
        ("\"a | b\" = \"a | b\"", "1"),
        ("9007199254740992 * 9007199254740992", "9007199254740992"),
    ];
    for (text, expected) in table {
        assert_eq!(evaluate(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn unreadable() {
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    let signs = format!("{}1", "-".repeat(100_000));
    let choices = "1 ? ".repeat(50_000);
    let texts =
        ["", "1 +", "(1", "1)", "= 1", "\"open", "a =~ b", "a ~~ b", "a : b", "1 2", "1 ? 2", &deep, &signs, &choices];
    for text in texts {
        assert_eq!(evaluate(text), None, "{}", text.get(..20).unwrap_or(text));
    }
}

#[test]
fn truth_of_values() {
    for value in ["1", "-1", "0.5", "word", " x"] {
        assert!(is_true(value), "{value}");
    }
    for value in ["", " ", "0", "0.0", "-0"] {
        assert!(!is_true(value), "{value}");
    }
}

#[test]
fn unsupported_operators_are_found_outside_of_quotes_only() {
    assert!(uses_unsupported("\"a\" =~ \"b\""));
    assert!(!uses_unsupported("\"a =~ b\" = c"));
}
