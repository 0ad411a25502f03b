//! Tests of parameters.

use super::*;

#[test]
fn names_ignore_case_and_values_stay_as_written() {
    let params = Params::parse(r#"TAG = 7 ; lr;q=0.5;text="a;b" ;;empty="#).expect("parameters");
    assert_eq!((params.value("tag"), params.has("Tag")), (Some("7"), true));
    assert_eq!((params.value("lr"), params.has("LR")), (None, true));
    assert_eq!(params.value("text"), Some(r#""a;b""#));
    assert_eq!(params.value("empty"), Some(""));
    assert_eq!(params.value("absent"), None);
    assert_eq!(params.to_string(), r#";TAG=7;lr;q=0.5;text="a;b";empty="#);
}

#[test]
fn setting_keeps_the_place() {
    let mut params = Params::parse("a=1;b;c=3").expect("parameters");
    params.set("B", Some("2"));
    params.set("d", None);
    params.remove("A");
    assert_eq!(params.to_string(), ";b=2;c=3;d");
}

#[test]
fn wrong_parameters_are_refused() {
    for text in ["=1", "a b=1", "a\"=1", "a=\"1", "<a=1>", ",a"] {
        assert!(Params::parse(text).is_err(), "{text}");
    }
    let many = vec!["a"; PARAMS_MAX].join(";");
    assert!(Params::parse(&many).is_ok());
    let error = ParseError::TooMany { what: "parameters", max: PARAMS_MAX };
    assert_eq!(Params::parse(&format!("{many};a")), Err(error));
}
