//! Tests of the bounds, line ends and lengths; whole messages are in `tests/torture.rs`.

use super::*;

const HEAD: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n";

/// Headers in `HEAD`.
const HEAD_HEADERS: usize = 5;

fn parse(extra: &str) -> Result<Request, ParseError> {
    match Message::parse(format!("{HEAD}{extra}").as_bytes()) {
        Ok(Message::Request(request)) => Ok(request),
        Ok(Message::Response(_)) => panic!("a request was written"),
        Err(ParseError::Refused { source, .. }) => Err(*source),
        Err(error) => Err(error),
    }
}

#[test]
fn the_longest_message_is_read_and_a_longer_one_is_not() {
    let body = "x".repeat(MESSAGE_BYTES_MAX - HEAD.len() - 2);
    assert_eq!(parse(&format!("\r\n{body}")).map(|request| request.body.len()), Ok(body.len()));
    let error = ParseError::TooLong { what: "message", max: MESSAGE_BYTES_MAX };
    assert_eq!(parse(&format!("\r\n{body}x")), Err(error));
}

#[test]
fn the_most_headers_are_read_and_more_are_not() {
    let most = "X: y\r\n".repeat(HEADERS_MAX - HEAD_HEADERS);
    assert_eq!(parse(&format!("{most}\r\n")).map(|request| request.headers.len()), Ok(HEADERS_MAX));
    let error = ParseError::TooMany { what: "headers", max: HEADERS_MAX };
    assert_eq!(parse(&format!("{most}X: y\r\n\r\n")), Err(error.clone()));
    // The elements of a list count each.
    let list = vec!["<sip:a@h>"; HEADERS_MAX].join(",");
    assert_eq!(parse(&format!("Contact: {list}\r\n\r\n")), Err(error));
}

#[test]
fn the_longest_header_is_read_and_a_longer_one_is_not() {
    let value = "y".repeat(HEADER_BYTES_MAX - "X: ".len());
    assert!(parse(&format!("X: {value}\r\n\r\n")).is_ok());
    let error = ParseError::TooLong { what: "header", max: HEADER_BYTES_MAX };
    assert_eq!(parse(&format!("X: {value}y\r\n\r\n")), Err(error));
    let line = format!("OPTIONS sip:{} SIP/2.0\r\n\r\n", "h".repeat(HEADER_BYTES_MAX));
    let error = ParseError::TooLong { what: "start line", max: HEADER_BYTES_MAX };
    assert_eq!(Message::parse(line.as_bytes()), Err(error));
}

#[test]
fn content_length_decides_where_the_body_ends() {
    // Header, bytes after the empty line, body.
    let table: [(&str, &str, Result<&str, ParseError>); 9] = [
        ("", "abc", Ok("abc")),
        ("Content-Length: 3\r\n", "abc", Ok("abc")),
        ("l: 2\r\n", "abc", Ok("ab")),
        ("Content-Length: 0\r\n", "abc", Ok("")),
        ("Content-Length: 3\r\nl: 3\r\n", "abc", Ok("abc")),
        ("Content-Length: 4\r\n", "abc", Err(ParseError::BodyTooShort { announced: 4, present: 3 })),
        ("Content-Length: 3\r\nl: 2\r\n", "abc", Err(ParseError::Repeated("Content-Length"))),
        ("Content-Length: +3\r\n", "abc", Err(ParseError::Malformed("Content-Length"))),
        ("Content-Length:\r\n", "abc", Err(ParseError::Malformed("Content-Length"))),
    ];
    for (header, after, expected) in table {
        let body = parse(&format!("{header}\r\n{after}")).map(|request| request.body);
        assert_eq!(body, expected.map(|body| body.as_bytes().to_vec()), "{header:?}");
    }
    let request = parse("Content-Length: 0\r\n\r\n").expect("a request");
    assert_eq!(request.headers.value("Content-Length"), None);
    let written = request.to_bytes();
    assert!(written.ends_with(b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn lists_become_fields_of_their_own() {
    let request = parse("Route: <sip:a,b;lr> , <sip:c;lr>\r\nAllow: INVITE, ACK\r\nRoute: <sip:d;lr>\r\n\r\n");
    let request = request.expect("a request");
    assert_eq!(request.headers.values("Route").collect::<Vec<_>>(), ["<sip:a,b;lr>", "<sip:c;lr>", "<sip:d;lr>"]);
    assert_eq!(request.headers.values("Allow").collect::<Vec<_>>(), ["INVITE, ACK"]);
}

#[test]
fn folded_lines_are_joined() {
    let request = parse("Subject: one\r\n two\n\t three  \r\n \r\nX: y\r\n\r\nbody").expect("a request");
    assert_eq!(request.header("Subject"), Some("one two three"));
    assert_eq!((request.header("X"), request.body.as_slice()), (Some("y"), b"body".as_slice()));
}

#[test]
fn a_message_may_end_with_its_last_header_line() {
    assert_eq!(parse("X: y\r\n").map(|request| request.body.len()), Ok(0));
    assert_eq!(parse("X: y"), Err(ParseError::Malformed("end of the headers")));
}

#[test]
fn a_refused_request_keeps_what_could_be_read() {
    let text = format!("{HEAD}no header\r\nX: y\r\n\r\n").replace("sip:h SIP", "h SIP");
    let error = Message::parse(text.as_bytes()).expect_err("an error");
    let (request, status) = error.refused().expect("an answerable request");
    assert_eq!((status, request.method.clone(), request.header("X")), (400, Method::Options, Some("y")));
    assert_eq!(request.uri.to_string(), "sip:invalid");
    let response = request.respond(status, "", Some("tag")).to_bytes();
    assert!(matches!(Message::parse(&response), Ok(Message::Response(response)) if response.status == 400));
}

#[test]
fn status_lines() {
    let rest = HEAD.split_once("\r\n").expect("a line").1;
    let parse = |line: &str| match Message::parse(format!("{line}\r\n{rest}\r\n").as_bytes()) {
        Ok(Message::Response(response)) => Ok((response.status, response.reason)),
        Ok(Message::Request(_)) => panic!("a response was written"),
        Err(error) => Err(error),
    };
    assert_eq!(parse("SIP/2.0 200 All is well"), Ok((200, "All is well".to_owned())));
    assert_eq!(parse("sip/2.0 180"), Ok((180, String::new())));
    assert_eq!(parse("SIP/2.1 200 OK"), Err(ParseError::Version));
    for wrong in ["SIP/2.0 99 Low", "SIP/2.0 700 High", "SIP/2.0 2x0 No", "SIP/2.0  200 OK"] {
        assert_eq!(parse(wrong), Err(ParseError::Malformed("status")), "{wrong}");
    }
    assert_eq!(parse("SIP/2.0"), Err(ParseError::Malformed("status line")));
}
