//! Tests of digest authentication, with the examples of RFC 7616 and hashes computed elsewhere.

use super::*;

/// RFC 7616 section 3.9.1, with the method that the example has.
fn example(algorithm: &str, response: &str) -> String {
    format!(
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    )
}

fn get() -> Method {
    Method::Other("GET".to_owned())
}

const MD5_EXAMPLE: &str = "8ca523f5e9506fed4657c9700eebdbec";
const SHA256_EXAMPLE: &str = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";

#[test]
fn examples_of_rfc_7616() {
    for (algorithm, response) in [("MD5", MD5_EXAMPLE), ("SHA-256", SHA256_EXAMPLE)] {
        let authorization = Authorization::parse(&example(algorithm, response)).expect("credentials");
        assert!(verify(&authorization, &get(), &Secret::Plain("Circle of Life")));
        assert!(!verify(&authorization, &get(), &Secret::Plain("circle of life")));
        assert!(!verify(&authorization, &Method::Invite, &Secret::Plain("Circle of Life")));
        assert_eq!(Authorization::parse(&authorization.to_string()), Ok(authorization));
    }
}

#[test]
fn every_field_counts() {
    let right = Authorization::parse(&example("MD5", MD5_EXAMPLE)).expect("credentials");
    let wrong = |change: fn(&mut Authorization)| {
        let mut authorization = right.clone();
        change(&mut authorization);
        !verify(&authorization, &get(), &Secret::Plain("Circle of Life"))
    };
    assert!(wrong(|a| a.username.push('x')));
    assert!(wrong(|a| a.realm.push('x')));
    assert!(wrong(|a| a.nonce.push('x')));
    assert!(wrong(|a| a.uri.push('x')));
    assert!(wrong(|a| a.response.push('0')));
    assert!(wrong(|a| a.response.clear()));
    assert!(wrong(|a| a.algorithm = Algorithm::Sha256));
    assert!(wrong(|a| a.nc = Some("00000002".to_owned())));
    assert!(wrong(|a| a.cnonce = None));
    assert!(wrong(|a| a.nc = None));
    assert!(wrong(|a| a.qop = None));
    assert!(wrong(|a| a.qop = Some("auth-int".to_owned())));
}

/// Hashes of user 5000, realm asterisk, password `se:cret`, nonce abcdef, REGISTER of `sip:192.0.2.100`: without qop,
/// and with nc 0000000a and cnonce xyz.
const HASHES: [(Algorithm, &str, &str, &str); 2] = [
    (
        Algorithm::Md5,
        "9815dd4396227c498a3e569e10b3469f",
        "e45d84590e4a6a305fb122ab37e853f3",
        "01f2d9e90337e9ff5fed14c8abf28736",
    ),
    (
        Algorithm::Sha256,
        "2cb573969972b2cb32930d7550f5baa2df6228e04d3646cd6674dad45abe97d2",
        "33bde0db6a2379c8e6ff17d9a7c304e166feb6f3a204e8c211d278af626b4c25",
        "4511220eaf95c20fa99d13f8d2464bfd42fe3c878ca5a3edacb3ffd7dd38eccd",
    ),
];

fn credentials(algorithm: Algorithm, response: &str, counted: bool) -> Authorization {
    let name = algorithm.as_str();
    let counted = if counted { ", qop=\"auth\", nc=0000000a, cnonce=\"xyz\"" } else { "" };
    let text = format!(
        "digest  username = \"5000\" ,realm=\"asterisk\",nonce=\"abcdef\", uri=\"sip:192.0.2.100\", \
         response=\"{response}\",algorithm={name}{counted}"
    );
    Authorization::parse(&text).expect("credentials")
}

#[test]
fn with_and_without_qop_and_from_a_stored_hash() {
    for (algorithm, ha1, plain, counted) in HASHES {
        for (response, with_qop) in [(plain, false), (counted, true)] {
            let authorization = credentials(algorithm, response, with_qop);
            assert!(verify(&authorization, &Method::Register, &Secret::Plain("se:cret")));
            assert!(verify(&authorization, &Method::Register, &Secret::Ha1 { algorithm, hex: ha1 }));
            let upper = ha1.to_ascii_uppercase();
            assert!(verify(&authorization, &Method::Register, &Secret::Ha1 { algorithm, hex: &upper }));
            assert!(!verify(&authorization, &Method::Register, &Secret::Ha1 { algorithm, hex: "" }));
            let upper = credentials(algorithm, &response.to_ascii_uppercase(), with_qop);
            assert!(verify(&upper, &Method::Register, &Secret::Plain("se:cret")));
        }
    }
}

#[test]
fn a_stored_hash_serves_its_own_algorithm_only() {
    let (_, ha1, _, counted) = HASHES[0];
    let authorization = credentials(Algorithm::Md5, counted, true);
    let other = Secret::Ha1 { algorithm: Algorithm::Sha256, hex: ha1 };
    assert!(!verify(&authorization, &Method::Register, &other));
}

#[test]
fn a_challenge_is_answered() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let challenge = Challenge { realm: "aste\"risk".to_owned(), nonce: "n,1".to_owned(), algorithm, stale: false };
        let text = challenge.to_string();
        assert_eq!(Challenge::parse(&text), Ok(challenge));
        let answer = answer(&text, "50\"00", "pass", &Method::Invite, "sip:a@h", "client", 10).expect("an answer");
        let authorization = Authorization::parse(&answer).expect("credentials");
        assert_eq!((authorization.username.as_str(), authorization.realm.as_str()), ("50\"00", "aste\"risk"));
        assert_eq!((authorization.nonce.as_str(), authorization.uri.as_str()), ("n,1", "sip:a@h"));
        assert_eq!(authorization.nc.as_deref(), Some("0000000a"));
        assert!(verify(&authorization, &Method::Invite, &Secret::Plain("pass")));
        assert!(!verify(&authorization, &Method::Bye, &Secret::Plain("pass")));
    }
}

#[test]
fn a_challenge_is_written_as_phones_expect_it() {
    let challenge =
        Challenge { realm: "asterisk".to_owned(), nonce: "abc".to_owned(), algorithm: Algorithm::Sha256, stale: true };
    let expected = "Digest realm=\"asterisk\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\", stale=true";
    assert_eq!(challenge.to_string(), expected);
}

#[test]
fn an_old_challenge_is_answered_without_qop() {
    let old = "Digest realm=\"asterisk\", nonce=\"abcdef\", opaque=\"o\"";
    let answer = answer(old, "5000", "se:cret", &Method::Register, "sip:192.0.2.100", "x", 1).expect("an answer");
    let authorization = Authorization::parse(&answer).expect("credentials");
    assert_eq!(authorization.response, HASHES[0].2);
    assert_eq!((authorization.qop, authorization.nc, authorization.cnonce), (None, None, None));
    assert_eq!(authorization.opaque.as_deref(), Some("o"));
}

#[test]
fn wrong_headers_are_refused() {
    let challenges = [
        "",
        "Digest",
        "Basic realm=\"a\", nonce=\"b\"",
        "Digest realm=\"a\"",
        "Digest nonce=\"a\"",
        "Digest realm=\"a\", nonce=\"b\", algorithm=MD5-sess",
        "Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\"",
        "Digest realm=\"a, nonce=\"b",
        "Digest realm=\"a\", nonce=\"b\", realm=\"c\"",
        "Digest realm=\"a\", nonce",
    ];
    for text in challenges {
        assert!(Challenge::parse(text).is_err(), "{text}");
        assert!(answer(text, "u", "p", &Method::Invite, "sip:h", "c", 1).is_err(), "{text}");
    }
    let right = example("MD5", MD5_EXAMPLE);
    for field in ["username", "realm", "uri", "nonce", "response"] {
        let without = right.replace(&format!(" {field}="), " x=");
        assert_eq!(Authorization::parse(&without), Err(ParseError::Malformed("digest credentials")), "{field}");
    }
    assert_eq!(Authorization::parse(&example("SHA-512", "")), Err(ParseError::Malformed("algorithm")));
    let fields: String = (0..FIELDS_MAX).map(|number| format!(", x{number}=1")).collect();
    let error = ParseError::TooMany { what: "digest fields", max: FIELDS_MAX };
    assert_eq!(Authorization::parse(&format!("{right}{fields}")), Err(error));
}
