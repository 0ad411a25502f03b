//! Messages that test a parser, after the ideas of RFC 4475, each with what must come out of it. A file's name says
//! what is special about it; files are byte for byte what a phone could send.

use tandem_sip::{CSeq, Fields, Message, Method, ParseError, Request, Response, Scheme, Uri};

macro_rules! torture {
    ($name:literal) => {
        ($name, include_bytes!(concat!("torture/", $name, ".sip")).as_slice())
    };
}

fn parsed(bytes: &[u8]) -> Message {
    let message = Message::parse(bytes).expect("a valid message");
    let again = Message::parse(&message.to_bytes()).expect("what we wrote");
    assert_eq!(again, message);
    message
}

fn request(bytes: &[u8]) -> Request {
    match parsed(bytes) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request was expected"),
    }
}

fn response(bytes: &[u8]) -> Response {
    match parsed(bytes) {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a response was expected"),
    }
}

#[test]
fn wacky_whitespace_and_folding() {
    let request = request(torture!("valid_wacky_whitespace").1);
    let to = request.to().expect("To");
    assert_eq!((to.uri.to_string().as_str(), to.tag()), ("sip:5001@pbx.example.com", Some("77aa")));
    let from = Fields::from(&request).expect("From");
    assert_eq!(from.display.as_deref(), Some(r#"Line "One" \ desk"#));
    assert_eq!(from.tag(), Some("98asjd8"));
    assert_eq!(request.max_forwards(), Some(68));
    assert_eq!(request.cseq(), CSeq { number: 9, method: Method::Invite });
    assert_eq!(request.header("Subject"), Some(""));
    assert_eq!(request.header("NewFangledHeader"), Some("newfangled value continued newfangled value"));
    let branches: Vec<_> = request.headers.values("Via").map(|via| via.parse::<tandem_sip::Via>()).collect();
    let branches: Vec<_> = branches.iter().map(|via| via.as_ref().expect("Via").branch().expect("branch")).collect();
    assert_eq!(branches, ["z9hG4bK390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    let contact = request.contacts().expect("Contact").remove(0);
    assert_eq!(contact.display.as_deref(), Some(r#"Quoted string """#));
    assert_eq!(contact.params.value("newparam"), Some("newvalue"));
    assert_eq!(contact.params.value("q"), Some("0.33"));
    assert_eq!(request.body, b"v=0\n");
    assert!(request.uri.params.has("unknown"));
}

#[test]
fn all_token_characters() {
    let request = request(torture!("valid_all_token_characters").1);
    assert_eq!(request.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(request.uri.user.as_deref(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(request.uri.password.as_deref(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(request.uri.host, "example.com");
    assert_eq!(request.to().expect("To").display.as_deref(), Some("été \u{7} \u{0} \u{7f}"));
    let from = Fields::from(&request).expect("From");
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(from.params.value("fromParam''~+*_!.-%"), Some("\"a;b,c\""));
    assert_eq!(request.call_id(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    assert_eq!(request.header("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
}

#[test]
fn escapes_in_users() {
    let request = request(torture!("valid_escapes_in_user").1);
    assert_eq!(request.uri.user.as_deref(), Some("sips:user@example.com"));
    assert_eq!(request.uri.host, "example.net");
    assert_eq!(request.uri.to_string(), "sip:sips%3Auser%40example.com@example.net");
    assert_eq!(request.to().expect("To").uri, Uri::sip(Some("user"), "example.com", None));
    assert_eq!(Fields::from(&request).expect("From").uri.user.as_deref(), Some("I%20have%20spaces"));
    assert_eq!(request.contacts().expect("Contact")[0].uri.user.as_deref(), Some("caller"));
    assert_eq!(request.content_type().as_deref(), Some("application/sdp"));
}

#[test]
fn escaped_nulls() {
    let request = request(torture!("valid_escaped_nulls").1);
    assert_eq!(request.to().expect("To").uri.user.as_deref(), Some("null-%00-null"));
    let users: Vec<_> = request.contacts().expect("Contact").into_iter().filter_map(|c| c.uri.user).collect();
    assert_eq!(users, ["%00", "%00%00"]);
}

#[test]
fn percent_is_no_escape_in_methods_and_header_names() {
    let request = request(torture!("valid_percent_is_no_escape_in_method").1);
    assert_eq!(request.method, Method::Other("RE%47IST%45R".to_owned()));
    assert_eq!(request.to().expect("To").display.as_deref(), Some("%Z%45"));
    assert_eq!(request.contacts().expect("Contact").len(), 2);
    assert_eq!(request.header("C%6Fntact"), Some("<sip:alias2@host2.example.com>"));
}

#[test]
fn no_space_after_display_name() {
    let request = request(torture!("valid_no_space_after_display_name").1);
    let from = Fields::from(&request).expect("From");
    assert_eq!((from.display.as_deref(), from.tag()), (Some("caller"), Some("323")));
}

#[test]
fn long_values() {
    let request = request(torture!("valid_long_values").1);
    assert_eq!(request.headers.values("Via").count(), 32);
    assert_eq!(request.cseq().number, 3_882_340);
    assert_eq!(request.call_id().len(), "longreq.one".len() + 360 + "longcallid".len());
    assert_eq!(request.to().expect("To").uri.port, Some(6000));
}

#[test]
fn many_headers() {
    let request = request(torture!("valid_many_headers").1);
    assert_eq!(request.headers.len(), 126);
    assert_eq!(request.header("x-number-119"), Some("119"));
}

#[test]
fn extra_bytes_after_the_body_are_discarded() {
    let request = request(torture!("valid_extra_bytes_after_body").1);
    assert_eq!(request.method, Method::Register);
    assert!(request.body.is_empty());
}

#[test]
fn semicolon_in_user() {
    let request = request(torture!("valid_semicolon_in_user").1);
    assert_eq!(request.uri.user.as_deref(), Some("user;par=u@example.net"));
    assert_eq!(request.uri.host, "example.com");
    assert!(request.uri.params.is_empty());
    assert!(request.lists("Accept", "message/sipfrag"));
}

#[test]
fn unknown_transport() {
    let request = request(torture!("valid_unknown_transport").1);
    let last = request.headers.values("Via").last().expect("Via").parse::<tandem_sip::Via>().expect("Via");
    assert_eq!((last.host.as_str(), last.port), ("2001:db8::9:1", Some(5061)));
    assert_eq!(last.received(), Some("2001:db8::9:255".parse().expect("address")));
}

#[test]
fn binary_body() {
    assert_eq!(request(torture!("valid_binary_body").1).body, [0, 1, 2, 13, 10, 13, 10, 255, 254, 128, 0, 10]);
}

#[test]
fn reason_phrases() {
    let unusual = response(torture!("valid_unusual_reason_phrase").1);
    assert_eq!((unusual.status, unusual.reason.as_str()), (200, "= 2**3 * 5**2 но сто"));
    let empty = response(torture!("valid_empty_reason_phrase").1);
    assert_eq!((empty.status, empty.reason.as_str()), (100, ""));
}

#[test]
fn no_content_length() {
    assert_eq!(request(torture!("valid_no_content_length").1).body, b"v=0\r\no=- 1 1 IN IP4 192.0.2.20\r\n");
}

#[test]
fn unknown_scheme() {
    let request = request(torture!("valid_unknown_scheme").1);
    assert_eq!(request.uri.scheme, Scheme::Other("nobodyknowsthisscheme".to_owned()));
    assert_eq!(request.uri.host, "totallyopaquecontent");
    assert_eq!(request.to().expect("To").uri.to_string(), "isbn:2983792873");
    assert_eq!(Fields::from(&request).expect("From").uri.to_string(), "http://www.example.com");
}

#[test]
fn bare_branch_cookie() {
    let via = request(torture!("valid_bare_branch_cookie").1).top_via().expect("Via");
    assert_eq!(via.branch(), Some("z9hG4bK"));
    assert!(!via.has_unique_branch());
}

#[test]
fn careless_line_ends_and_spaces() {
    assert_eq!(request(torture!("valid_space_after_request_line").1).uri.host, "example.com");
    let bare = request(torture!("valid_bare_line_feeds").1);
    assert_eq!((bare.call_id(), bare.body.as_slice()), ("bare.line.feeds", b"abc".as_slice()));
}

#[test]
fn latin1_display_name() {
    let request = request(torture!("valid_latin1_display_name").1);
    assert_eq!(Fields::from(&request).expect("From").display.as_deref(), Some("Jörg"));
}

#[test]
fn contact_star() {
    let request = request(torture!("valid_contact_star").1);
    assert!(request.contact_is_star());
    assert_eq!(request.contacts(), Ok(Vec::new()));
    assert_eq!(request.expires(), Some(0));
}

/// Every invalid message, the error, and the status to answer it with where that is possible.
#[test]
fn invalid_messages() {
    use ParseError::{BodyTooShort, Empty, Malformed, MethodMismatch, Missing, Repeated, TooLong, TooMany, Version};
    let table = [
        (torture!("invalid_extra_separators"), Malformed("Via"), Some(400)),
        (torture!("invalid_content_length_too_large"), BodyTooShort { announced: 9999, present: 5 }, Some(400)),
        (torture!("invalid_content_length_negative"), Malformed("Content-Length"), Some(400)),
        (torture!("invalid_content_length_overflow"), Malformed("Content-Length"), Some(400)),
        (torture!("invalid_content_length_twice"), Repeated("Content-Length"), Some(400)),
        (torture!("invalid_cseq_overlarge"), Malformed("CSeq"), Some(400)),
        (torture!("invalid_cseq_negative"), Malformed("CSeq"), Some(400)),
        (torture!("invalid_cseq_without_method"), Malformed("CSeq"), Some(400)),
        (torture!("invalid_cseq_twice"), Repeated("CSeq"), Some(400)),
        (torture!("invalid_cseq_other_method"), MethodMismatch, Some(400)),
        (torture!("invalid_cseq_other_unknown_method"), MethodMismatch, Some(400)),
        (torture!("invalid_status_overlarge"), Malformed("status"), None),
        (torture!("invalid_status_negative"), Malformed("status"), None),
        (torture!("invalid_response_without_cseq"), Missing("CSeq"), None),
        (torture!("invalid_quote_unterminated"), Malformed("display name"), Some(400)),
        (torture!("invalid_quote_missing"), Malformed("display name"), Some(400)),
        (torture!("invalid_bracket_unterminated"), Malformed("address in angle brackets"), Some(400)),
        (torture!("invalid_request_uri_in_brackets"), Malformed("URI"), Some(400)),
        (torture!("invalid_request_uri_with_space"), Malformed("request line"), Some(400)),
        (torture!("invalid_request_uri_without_host"), Malformed("host"), Some(400)),
        (torture!("invalid_request_uri_port_overlarge"), Malformed("port"), Some(400)),
        (torture!("invalid_request_line_empty_words"), Malformed("request line"), Some(400)),
        (torture!("invalid_version_unknown"), Version, None),
        (torture!("invalid_version_unknown_with_readable_via"), Version, Some(505)),
        (torture!("invalid_from_with_headers_unbracketed"), Malformed("address"), Some(400)),
        (torture!("invalid_mandatory_headers_missing"), Missing("From"), Some(400)),
        (torture!("invalid_via_missing"), Missing("Via"), None),
        (torture!("invalid_call_id_empty"), Malformed("Call-ID"), Some(400)),
        (torture!("invalid_call_id_twice"), Repeated("Call-ID"), Some(400)),
        (torture!("invalid_from_twice"), Repeated("From"), Some(400)),
        (torture!("invalid_max_forwards_twice"), Repeated("Max-Forwards"), Some(400)),
        (torture!("invalid_header_without_colon"), Malformed("header"), Some(400)),
        (torture!("invalid_header_name_with_space"), Malformed("header name"), Some(400)),
        (torture!("invalid_headers_cut_off"), Malformed("end of the headers"), Some(400)),
        (torture!("invalid_headers_too_many"), TooMany { what: "headers", max: 128 }, Some(400)),
        (torture!("invalid_header_too_long"), TooLong { what: "header", max: 8192 }, Some(400)),
        (torture!("invalid_folded_header_too_long"), TooLong { what: "header", max: 8192 }, Some(400)),
        (torture!("invalid_ack_malformed"), Malformed("CSeq"), None),
        (torture!("invalid_keepalive"), Empty, None),
        (torture!("invalid_zeros"), Malformed("end of the headers"), None),
        (torture!("invalid_stun"), Malformed("end of the headers"), None),
    ];
    for ((name, bytes), expected, status) in table {
        let error = Message::parse(bytes).expect_err(name);
        let answered = error.refused().map(|(request, status)| {
            let response = request.respond(status, "", Some("tag"));
            assert_eq!(response.headers.value("Via"), request.headers.value("Via"), "{name}");
            status
        });
        assert_eq!(answered, status, "{name}");
        let reason = match error {
            ParseError::Refused { source, .. } => *source,
            other => other,
        };
        assert_eq!(reason, expected, "{name}");
    }
}
