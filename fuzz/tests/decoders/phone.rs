//! A phone's side of a conversation, as little as is needed to bring a pair to life.

use sip::digest::{Challenge, answer};
use sip::{Fields, Message, Method, Request, Response, Uri, Via};

pub const SDP: &str = "v=0\r\no=- 20005 20005 IN IP4 10.77.0.21\r\ns=-\r\nc=IN IP4 10.77.0.21\r\nt=0 0\r\n\
    m=audio 11780 RTP/AVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

#[derive(Clone, Debug)]
pub struct Phone {
    pub user: &'static str,
    pub password: &'static str,
    pub address: &'static str,
    branches: u32,
    cseq: u32,
}

impl Phone {
    pub fn new(user: &'static str, password: &'static str, address: &'static str) -> Self {
        Self { user, password, address, branches: 0, cseq: 0 }
    }

    pub fn request(&mut self, method: Method, to: &str, call_id: &str) -> Request {
        self.branches += 1;
        self.cseq += 1;
        let uri = format!("sip:{to}@10.77.0.100");
        let mut request = Request::new(method.clone(), Uri::parse(&uri).expect("a URI"));
        let branch = format!("z9hG4bK-{}-{call_id}-{}", self.user, self.branches);
        request.headers.push("Via", Via::udp(self.address.parse().expect("an address"), &branch).to_string());
        request.headers.push("Max-Forwards", "70");
        request.headers.push("From", format!("<sip:{}@10.77.0.100>;tag=of-{}", self.user, self.user));
        request.headers.push("To", format!("<{uri}>"));
        request.headers.push("Call-ID", call_id);
        request.headers.push("CSeq", format!("{} {method}", self.cseq));
        request.headers.push("Contact", format!("<sip:{}@{}>", self.user, self.address));
        request
    }

    /// The same request with the answer to a challenge.
    pub fn answered(&mut self, request: &Request, challenge: &Response) -> Request {
        let value =
            challenge.header("WWW-Authenticate").or(challenge.header("Proxy-Authenticate")).expect("a challenge");
        assert!(Challenge::parse(value).is_ok());
        let credentials =
            answer(value, self.user, self.password, &request.method, &request.uri.to_string(), "0a4f113b", 1)
                .expect("an answer");
        let name = if challenge.status == 407 { "Proxy-Authorization" } else { "Authorization" };
        let mut again = request.clone();
        self.branches += 1;
        self.cseq += 1;
        let branch = format!("z9hG4bK-{}-again-{}", self.user, self.branches);
        again.headers.set("Via", Via::udp(self.address.parse().expect("an address"), &branch).to_string());
        again.headers.set("CSeq", format!("{} {}", self.cseq, request.method));
        again.headers.push(name, credentials);
        again
    }

    /// A request within the dialog that `response` to our INVITE made.
    pub fn in_dialog(&mut self, method: Method, invite: &Request, response: &Response) -> Request {
        let mut request = self.request(method.clone(), self.user, invite.call_id());
        request.uri = response
            .contacts()
            .ok()
            .and_then(|contacts| contacts.first().map(|contact| contact.uri.clone()))
            .expect("a contact");
        request.headers.set("From", invite.header("From").unwrap_or_default());
        request.headers.set("To", response.header("To").unwrap_or_default());
        if method == Method::Ack {
            request.headers.set("CSeq", format!("{} ACK", invite.cseq().number));
        }
        request
    }

    /// Our answer to a request, with our contact, and our description when it succeeds.
    pub fn respond(&self, request: &Request, status: u16) -> Response {
        let mut response = request.respond(status, "", Some(&format!("of-{}", self.user)));
        response.headers.push("Contact", format!("<sip:{}@{}>", self.user, self.address));
        if status == 200 && request.method == Method::Invite {
            with_sdp(&mut response.headers, &mut response.body);
        }
        response
    }
}

pub fn with_sdp(headers: &mut sip::Headers, body: &mut Vec<u8>) {
    headers.push("Content-Type", "application/sdp");
    *body = SDP.as_bytes().to_vec();
}

pub fn response(bytes: &[u8]) -> Option<Response> {
    match Message::parse(bytes) {
        Ok(Message::Response(response)) => Some(response),
        _ => None,
    }
}

pub fn request(bytes: &[u8]) -> Option<Request> {
    match Message::parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}
