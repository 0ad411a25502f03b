//! The worked examples of RFC 2617 section 3.5 and RFC 7616 section 3.9.1.

use super::Challenge;

#[test]
fn md5_example_of_rfc_2617() {
    let value = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                 nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let mut challenge = Challenge::parse(value, false).expect("a challenge");
    let line = challenge.answer("Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b");
    assert!(line.starts_with("Authorization: Digest username=\"Mufasa\""), "{line}");
    assert!(line.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{line}");
    assert!(line.contains("nc=00000001") && line.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""), "{line}");
    let again = challenge.answer("Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b");
    assert!(again.contains("nc=00000002"), "{again}");
}

#[test]
fn sha_256_example_of_rfc_7616() {
    let value = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"";
    let mut challenge = Challenge::parse(value, true).expect("a challenge");
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let line = challenge.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce);
    assert!(line.starts_with("Proxy-Authorization: "), "{line}");
    assert!(line.contains("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"), "{line}");
}

#[test]
fn unknown_schemes_and_algorithms_are_refused() {
    for value in ["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512", "Digest realm=\"x\"", ""] {
        assert!(Challenge::parse(value, false).is_none(), "{value}");
    }
}
