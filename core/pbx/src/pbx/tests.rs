//! Whole conversations with the PBX, each message made and read by the SIP room.
//!
//! After each step everything that changed is applied to a second PBX, as the standby does; at the end of a test both
//! must hold the same, and in `moved` tests the second one carries on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{ClusterTime, Level, NodeIndex, Random, WallTime};
use sip::digest::{Algorithm, answer};
use sip::{Fields, Message, Method, NameAddr, Request, Response, Uri, Via};

use super::*;
use crate::conf::Files;
use crate::configuration::load;
use crate::object::ObjectError;
use crate::service::ServiceAddress;

mod addresses;
pub(crate) mod bench;
mod calls;
mod merge;
mod registrations;
mod slices;

const SERVER: &str = "10.77.0.100:5060";

/// Of the trunk's network, whose parties have addresses that begin alike.
const TRUNK_SERVER: &str = "192.0.2.100:5060";
const TRUNK_NETWORK: &str = "192.0.2.";

const SIP_CONF: &str = "[general]\ncontext=nowhere\nbindport=5060\ndisallow=all\nallow=all\n\
    [5000]\ntype=friend\ncallerid=\"5000\" <5000>\nusername=5000\nsecret=one\nhost=dynamic\ncontext=ramais\n\
    [5001]\ntype=friend\ncallerid=\"5001\" <5001>\nusername=5001\nsecret=two\nhost=dynamic\ncontext=ramais\n";

const EXTENSIONS_CONF: &str = "[ramais]\nexten => 5000,1,Dial(SIP/5000,25)\nexten => 5000,2,Hangup\n\
    exten => 5001,1,Dial(SIP/5001,25)\nexten => 5001,2,Hangup\n\
    exten => 600,1,Answer\nexten => 600,2,Echo\nexten => 601,1,Busy\nexten => 602,1,Congestion\n\
    exten => 603,1,Answer\nexten => 603,n,Wait(5)\nexten => 603,n,Hangup\n";

/// A PBX, the objects it has put into the log, and what it said that nobody has read yet.
struct World {
    pbx: Pbx,
    log: BTreeMap<(u8, String), Vec<u8>>,
    /// The last value that each object was given.
    written: BTreeMap<(u8, String), Vec<u8>>,
    time: ClusterTime,
    sent: Vec<Transmit>,
    records: Vec<Record>,
    ports: BTreeMap<u16, Port>,
    /// The wall clock less cluster time, in microseconds.
    wall_us: u64,
}

fn files() -> Files {
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Files([text("sip.conf", SIP_CONF), text("extensions.conf", EXTENSIONS_CONF)].into_iter().collect())
}

fn new_pbx(index: u8) -> Pbx {
    pbx_with(index, &files())
}

fn pbx_with(index: u8, files: &Files) -> Pbx {
    let loaded = load(files);
    let configuration = loaded.configuration.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let own = |server: &str| ServiceAddress { address: server.parse::<SocketAddr>().unwrap().ip(), prefix_bits: 24 };
    let service = Service::new(own(SERVER), vec![own(TRUNK_SERVER)]);
    let settings = Settings { service, index: NodeIndex(index), secret: [7; 32] };
    Pbx::new(settings, Arc::new(configuration), Random::from_number(u64::from(index) + 1))
}

impl World {
    fn new() -> Self {
        Self {
            pbx: new_pbx(0),
            log: BTreeMap::new(),
            written: BTreeMap::new(),
            time: ClusterTime::from_millis(1_000_000),
            sent: Vec::new(),
            records: Vec::new(),
            ports: BTreeMap::new(),
            wall_us: 1_700_000_000_000_000,
        }
    }

    fn now(&self) -> Now {
        Now { cluster: self.time, wall: WallTime(self.wall_us + self.time.0) }
    }

    fn send(&mut self, source: &str, bytes: &[u8]) {
        let now = self.now();
        let local = if source.starts_with(TRUNK_NETWORK) { TRUNK_SERVER } else { SERVER };
        self.pbx.datagram(now, local.parse().unwrap(), source.parse().unwrap(), bytes);
        self.settle();
    }

    fn settle(&mut self) {
        for change in self.pbx.take_changes() {
            let key = (change.kind, change.id);
            match change.value {
                Some(value) => {
                    self.written.insert(key.clone(), value.clone());
                    self.log.insert(key, value);
                }
                None => drop(self.log.remove(&key)),
            }
        }
        for output in self.pbx.take_outputs() {
            match output {
                Output::Send(transmit) => self.sent.push(transmit),
                Output::Record(record) => self.records.push(*record),
                Output::OpenPort(port) => assert!(self.ports.insert(port.port, port).is_none(), "opened twice"),
                Output::UpdatePort(port) => assert!(self.ports.insert(port.port, port).is_some(), "not open"),
                Output::ClosePort(port) => assert!(self.ports.remove(&port).is_some(), "closed twice"),
                Output::Trouble(text) => panic!("trouble: {text}"),
            }
        }
    }

    fn wait(&mut self, duration: Duration) {
        let until = self.time + duration;
        while let Some(due) = self.pbx.deadline().filter(|due| *due <= until) {
            self.time = self.time.max(due);
            let now = self.now();
            self.pbx.timeout(now);
            self.settle();
        }
        self.time = until;
    }

    /// The other node, which knows nothing but the log, goes on from here.
    fn move_to_other_node(&mut self) {
        let mut other = new_pbx(1);
        let now = self.now();
        let objects = self.log.iter().map(|((kind, id), value)| (*kind, id.as_str(), value.as_slice()));
        assert!(other.replace(now, objects).is_empty());
        let mut ports = BTreeMap::new();
        for output in other.take_outputs() {
            if let Output::OpenPort(port) = output {
                ports.insert(port.port, port);
            }
        }
        assert_eq!(ports, self.ports, "the other node has the same media ports open");
        self.pbx = other;
        self.sent.clear();
        for number in self.pbx.take_over() {
            self.sent.extend(self.pbx.resend(number));
        }
        self.settle();
    }

    /// The one message for this address that waits; the others stay.
    fn take(&mut self, destination: &str) -> Message {
        let destination: SocketAddr = destination.parse().unwrap();
        let at = self.sent.iter().position(|transmit| transmit.destination == destination);
        let at = at.unwrap_or_else(|| panic!("nothing was sent to {destination}: {:?}", self.sent));
        Message::parse(&self.sent.remove(at).bytes).unwrap()
    }

    fn take_response(&mut self, destination: &str, status: u16) -> Response {
        match self.take(destination) {
            Message::Response(response) => {
                assert_eq!(response.status, status, "{response:?}");
                response
            }
            Message::Request(request) => panic!("a request instead of {status}: {request:?}"),
        }
    }

    fn take_request(&mut self, destination: &str, method: Method) -> Request {
        match self.take(destination) {
            Message::Request(request) => {
                assert_eq!(request.method, method);
                request
            }
            Message::Response(response) => panic!("a response instead of {method}: {response:?}"),
        }
    }

    fn nothing_more(&self) {
        assert!(self.sent.is_empty(), "unexpected: {:?}", self.sent);
    }

    /// Everything that the standby would have is exactly what this node has.
    fn log_is_whole(&mut self) {
        let mut other = new_pbx(1);
        let now = self.now();
        let objects = self.log.iter().map(|((kind, id), value)| (*kind, id.as_str(), value.as_slice()));
        assert!(other.replace(now, objects).is_empty());
        assert_eq!(other.calls, self.pbx.calls);
        assert_eq!(other.registrar, self.pbx.registrar);
        assert_eq!(other.records, self.pbx.records);
        assert_eq!(other.keys, self.pbx.keys);
        assert_eq!(other.deadlines, self.pbx.deadlines);
        assert_eq!(other.holders, self.pbx.holders);
    }
}

impl Pbx {
    /// What a node does with a whole store: what is gone leaves, what there is comes.
    fn replace<'a>(&mut self, now: Now, objects: impl Iterator<Item = (u8, &'a str, &'a [u8])>) -> Vec<ObjectError> {
        let objects: BTreeMap<(u8, String), &[u8]> =
            objects.map(|(kind, id, value)| ((kind, id.to_owned()), value)).collect();
        let mut after = None;
        while let Some(last) = self.sweep(now, after.take(), 3, |kind, id| objects.contains_key(&(kind, id))) {
            after = Some(last);
        }
        let applied = objects.iter().map(|((kind, id), value)| self.apply(now, *kind, id, Some(value)));
        applied.filter_map(Result::err).collect()
    }
}

/// A phone's side of one dialog, as little as the tests need.
#[derive(Clone)]
struct Phone {
    user: &'static str,
    password: &'static str,
    address: &'static str,
    call_id: String,
    tag: String,
    cseq: u32,
    branches: u32,
}

impl Phone {
    fn new(user: &'static str, password: &'static str, address: &'static str) -> Self {
        Self {
            user,
            password,
            address,
            call_id: format!("call-{user}"),
            tag: format!("tag-{user}"),
            cseq: 0,
            branches: 0,
        }
    }

    fn request(&mut self, method: Method, uri: &str) -> Request {
        self.branches += 1;
        self.cseq += 1;
        let mut request = Request::new(method.clone(), Uri::parse(uri).unwrap());
        let branch = format!("z9hG4bK-{}-{}", self.user, self.branches);
        request.headers.push("Via", Via::udp(self.address.parse().unwrap(), &branch).to_string());
        request.headers.push("Max-Forwards", "70");
        request.headers.push("From", format!("<sip:{}@10.77.0.100>;tag={}", self.user, self.tag));
        request.headers.push("To", format!("<{uri}>"));
        request.headers.push("Call-ID", self.call_id.clone());
        request.headers.push("CSeq", format!("{} {method}", self.cseq));
        request.headers.push("Contact", format!("<sip:{}@{}>", self.user, self.address));
        request
    }

    fn register(&mut self, world: &mut World, seconds: u32) -> Response {
        let mut request = self.request(Method::Register, "sip:10.77.0.100");
        request.headers.set("To", format!("<sip:{}@10.77.0.100>", self.user));
        request.headers.push("Expires", seconds.to_string());
        world.send(self.address, &request.to_bytes());
        let challenge = world.take_response(self.address, 401);
        let request = self.answered(&request, &challenge, "10.77.0.100");
        world.send(self.address, &request.to_bytes());
        match world.take(self.address) {
            Message::Response(response) => response,
            Message::Request(request) => panic!("{request:?}"),
        }
    }

    /// The same request again with credentials.
    fn answered(&mut self, request: &Request, challenge: &Response, uri_host: &str) -> Request {
        self.branches += 1;
        self.cseq += 1;
        let mut again = request.clone();
        let branch = format!("z9hG4bK-{}-{}", self.user, self.branches);
        again.headers.set("Via", Via::udp(self.address.parse().unwrap(), &branch).to_string());
        again.headers.set("CSeq", format!("{} {}", self.cseq, request.method));
        let header = challenge.headers.values("WWW-Authenticate").find(|value| value.contains("MD5")).unwrap();
        let uri = format!("sip:{uri_host}");
        let made = answer(header, self.user, self.password, &request.method, &uri, "cnonce", 1).unwrap();
        assert!(made.contains(Algorithm::Md5.as_str()));
        again.headers.push("Authorization", made);
        again
    }

    /// Sends an INVITE and authenticates; returns the request that was accepted.
    fn invite(&mut self, world: &mut World, number: &str) -> Request {
        let mut request = self.request(Method::Invite, &format!("sip:{number}@10.77.0.100"));
        request.headers.push("Content-Type", "application/sdp");
        request.body = sdp(self.address, 4000, "sendrecv");
        world.send(self.address, &request.to_bytes());
        let challenge = world.take_response(self.address, 401);
        world.send(self.address, &self.ack(&request, &challenge, false).to_bytes());
        world.nothing_more();
        let request = self.answered(&request, &challenge, &format!("{number}@10.77.0.100"));
        world.send(self.address, &request.to_bytes());
        request
    }

    /// The ACK of a final response: in the INVITE's transaction, or for a 2xx in one of its own.
    fn ack(&mut self, invite: &Request, response: &Response, success: bool) -> Request {
        let mut ack = Request::new(Method::Ack, invite.uri.clone());
        let mut via = invite.top_via().unwrap();
        if success {
            self.branches += 1;
            via = Via::udp(self.address.parse().unwrap(), &format!("z9hG4bK-{}-{}", self.user, self.branches));
            ack.uri = contact_of(response);
        }
        via.params.remove("received");
        ack.headers.push("Via", via.to_string());
        for name in ["From", "Call-ID"] {
            ack.headers.push(name, invite.headers.value(name).unwrap());
        }
        ack.headers.push("To", response.headers.value("To").unwrap());
        ack.headers.push("CSeq", format!("{} ACK", invite.cseq().number));
        ack
    }

    /// A request in the dialog that `response` to our INVITE made.
    fn in_dialog(&mut self, method: Method, response: &Response) -> Request {
        let mut request = self.request(method, &contact_of(response).to_string());
        request.headers.set("To", response.headers.value("To").unwrap());
        request
    }

    /// A response to a request that we received, with our tag.
    fn respond(&self, request: &Request, status: u16, media_port: Option<u16>) -> Vec<u8> {
        let tag = (status > 100).then_some(self.tag.as_str());
        let mut response = request.respond(status, "", tag);
        response.headers.push("Contact", format!("<sip:{}@{}>", self.user, self.address));
        if let Some(port) = media_port {
            response.headers.push("Content-Type", "application/sdp");
            response.body = sdp(self.address, port, "sendrecv");
        }
        response.to_bytes()
    }

    /// A request of ours in the dialog that somebody's INVITE made.
    fn in_dialog_of(&mut self, method: Method, invite: &Request) -> Request {
        self.call_id = invite.call_id().to_owned();
        let target = NameAddr::parse(invite.headers.value("Contact").unwrap()).unwrap().uri;
        let mut request = self.request(method, &target.to_string());
        request.headers.set("To", invite.headers.value("From").unwrap());
        request.headers.set("From", format!("{};tag={}", invite.headers.value("To").unwrap(), self.tag));
        request
    }
}

/// The target of requests in a dialog; where a refusal made none, the server itself.
fn contact_of(response: &Response) -> Uri {
    let contact = response.headers.value("Contact").and_then(|value| NameAddr::parse(value).ok());
    contact.map_or_else(|| Uri::sip(None, "10.77.0.100", None), |contact| contact.uri)
}

fn sdp(address: &str, port: u16, direction: &str) -> Vec<u8> {
    let host = address.split(':').next().unwrap();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
    .into_bytes()
}
