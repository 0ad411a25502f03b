//! Two production nodes and two phones in virtual time: what they say is the corpus of many targets, and they are what
//! the targets of `node` speak to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::OnceLock;

use base::{Incarnation, LocalTime, NodeIndex, Random, WallTime};
use cluster::{Failback, Role, Timing};
use node::{Action, Event, Node, Now, Recovered, Settings};
use pbx::conf::Files;
use sip::{Method, Request, Response};

use crate::phone::{self, Phone, with_sdp};

pub const SERVER: &str = "10.77.0.100:5060";

pub const SIP_CONF: &str = "[general]\ncontext=nowhere\nbindport=5060\ndisallow=all\nallow=all\n\
    [5000]\ntype=friend\ncallerid=\"5000\" <5000>\nusername=5000\nsecret=one\nhost=dynamic\nqualify=yes\ncontext=ramais\n\
    [5001]\ntype=friend\ncallerid=\"5001\" <5001>\nusername=5001\nsecret=two\nhost=dynamic\nnat=yes\ncontext=ramais\n";

pub const EXTENSIONS_CONF: &str = "[ramais]\nexten => _500X,1,Dial(SIP/${EXTEN},25)\nexten => _500X,n,Hangup\n\
    exten => 600,1,Answer\nexten => 600,2,Echo\nexten => 601,1,Busy\nexten => 603,1,Answer\nexten => 603,n,Wait(5)\n";

/// Changes what the node of this index says to its peer.
pub type Damage = Box<dyn FnMut(usize, &mut Vec<u8>)>;

/// What was said in one conversation of two phones over a protected pair, in order.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub from_phones: Vec<Vec<u8>>,
    pub to_phones: Vec<Vec<u8>>,
    /// To the active node and to the standby.
    pub to_peer: [Vec<Vec<u8>>; 2],
    /// Encoded entries of the log.
    pub entries: Vec<Vec<u8>>,
    /// Kind, id and encoded value.
    pub objects: Vec<(u8, String, Vec<u8>)>,
}

pub struct Pair {
    pub now_us: u64,
    pub nodes: [Option<Node>; 2],
    pub said: Said,
    /// Changes what a node says to its peer on the way there.
    pub damage: Option<Damage>,
    queue: VecDeque<(usize, Event)>,
    heard: Vec<(SocketAddr, Vec<u8>)>,
}

impl Pair {
    /// A protected pair; the first node serves.
    pub fn new() -> Self {
        let mut pair = Self {
            now_us: 1_000_000_000,
            nodes: [None, None],
            said: Said::default(),
            damage: None,
            queue: VecDeque::new(),
            heard: Vec::new(),
        };
        for index in 0..2 {
            pair.nodes[index] = Some(new_node(index as u8, pair.now()));
            pair.tell(index, Event::Timeout);
            pair.run(1_000);
        }
        let mut waited_ms = 0;
        while !pair.nodes[0].as_ref().is_some_and(Node::is_protected) {
            pair.run(10_000);
            waited_ms += 10;
            assert!(waited_ms < 10_000, "the pair comes up");
        }
        pair
    }

    pub fn now(&self) -> Now {
        Now { local: LocalTime(self.now_us), wall: WallTime(1_700_000_000_000_000 + self.now_us) }
    }

    /// Tells one node, and all that follows from it at once.
    pub fn tell(&mut self, index: usize, event: Event) {
        self.queue.push_back((index, event));
        while let Some((index, event)) = self.queue.pop_front() {
            let now = self.now();
            let Some(node) = self.nodes[index].as_mut() else { continue };
            for action in node.handle(now, event) {
                self.carry_out(index, action);
            }
        }
    }

    fn carry_out(&mut self, index: usize, action: Action) {
        match action {
            Action::Send { destination, bytes, .. } => {
                self.said.to_phones.push(bytes.clone());
                self.heard.push((destination, bytes));
            }
            Action::PeerSend { link, mut bytes } => {
                self.said.to_peer[1 - index].push(bytes.clone());
                if let Some(damage) = self.damage.as_mut() {
                    damage(index, &mut bytes);
                }
                self.queue.push_back((1 - index, Event::Peer { link, bytes }));
            }
            Action::Claim { epoch } => self.queue.push_back((index, Event::Claimed { epoch })),
            Action::JournalAppend { position, bytes } => {
                self.said.entries.push(bytes);
                self.queue.push_back((index, Event::JournalWritten { lsn: position.lsn }));
            }
            Action::KeepDurable(durable) => {
                self.queue.push_back((index, Event::EpochReserved { epoch: durable.reserved }));
            }
            Action::StoreRecord(record) => {
                self.queue.push_back((index, Event::RecordsStored { identities: vec![record.identity] }));
            }
            _ => {}
        }
    }

    /// Lets time pass; a node that is never done with its timers fails the test.
    pub fn run(&mut self, duration_us: u64) {
        let until = self.now_us + duration_us;
        let mut steps = 0_u64;
        loop {
            let due = |node: &Option<Node>| node.as_ref().and_then(Node::next_timeout).map_or(u64::MAX, |due| due.0);
            let dues = [due(&self.nodes[0]), due(&self.nodes[1])];
            let index = usize::from(dues[1] < dues[0]);
            if dues[index] > until {
                break;
            }
            steps += 1;
            assert!(steps < 1_000 + duration_us / 100, "a node turns in circles");
            self.now_us = self.now_us.max(dues[index]);
            self.tell(index, Event::Timeout);
        }
        self.now_us = until;
    }

    /// A datagram from a phone comes to whoever serves.
    pub fn send(&mut self, source: &str, bytes: &[u8]) {
        let index = usize::from(!is_active(&self.nodes[0]));
        let (local, source) = (SERVER.parse().expect("an address"), source.parse().expect("an address"));
        self.said.from_phones.push(bytes.to_vec());
        self.tell(index, Event::Datagram { local, source, bytes: bytes.to_vec() });
        // Longer than anything is held.
        self.run(1_000);
    }

    /// What this address was sent since it was last asked.
    pub fn take(&mut self, address: &str) -> Vec<Vec<u8>> {
        let address: SocketAddr = address.parse().expect("an address");
        let (taken, kept) = std::mem::take(&mut self.heard).into_iter().partition(|(to, _)| *to == address);
        self.heard = kept;
        let taken: Vec<(SocketAddr, Vec<u8>)> = taken;
        taken.into_iter().map(|(_, bytes)| bytes).collect()
    }

    pub fn forget_heard(&mut self) {
        self.heard.clear();
    }

    fn take_response(&mut self, address: &str, status: u16) -> Response {
        let taken = self.take(address);
        let found = taken.iter().filter_map(|bytes| phone::response(bytes)).find(|response| response.status == status);
        found.unwrap_or_else(|| {
            panic!("no {status} among {:?}", taken.iter().map(|it| it.escape_ascii().to_string()).collect::<Vec<_>>())
        })
    }

    fn take_request(&mut self, address: &str, method: &Method) -> Request {
        let taken = self.take(address);
        let found = taken.iter().filter_map(|bytes| phone::request(bytes)).find(|request| request.method == *method);
        found.unwrap_or_else(|| panic!("no {method}"))
    }

    /// Sends a request, answers the challenge, and returns the request that was sent last.
    fn ask(&mut self, phone: &mut Phone, request: Request) -> Request {
        self.send(phone.address, &request.to_bytes());
        let challenge = self.take_response(phone.address, 401);
        if request.method == Method::Invite {
            let mut ack = request.clone();
            (ack.method, ack.body) = (Method::Ack, Vec::new());
            ack.headers.set("CSeq", format!("{} ACK", sip::Fields::cseq(&request).number));
            ack.headers.set("To", sip::Fields::header(&challenge, "To").unwrap_or_default());
            self.send(phone.address, &ack.to_bytes());
        }
        let again = phone.answered(&request, &challenge);
        self.send(phone.address, &again.to_bytes());
        again
    }

    pub fn register(&mut self, phone: &mut Phone) {
        let mut request = phone.request(Method::Register, phone.user, &format!("register-{}", phone.user));
        request.headers.push("Expires", "3600");
        self.ask(phone, request);
        self.take_response(phone.address, 200);
    }

    /// Two phones register and talk, one holds, the other hangs up; one calls Echo and stays there.
    pub fn talk(&mut self) {
        let mut one = Phone::new("5000", "one", "10.77.0.21:5060");
        let mut two = Phone::new("5001", "two", "10.77.0.22:5060");
        self.register(&mut one);
        self.register(&mut two);
        let mut invite = one.request(Method::Invite, "5001", "the-call");
        with_sdp(&mut invite.headers, &mut invite.body);
        let invite = self.ask(&mut one, invite);
        let ringing = self.take_request(two.address, &Method::Invite);
        self.send(two.address, &two.respond(&ringing, 180).to_bytes());
        self.keep_objects();
        self.send(two.address, &two.respond(&ringing, 200).to_bytes());
        let answered = self.take_response(one.address, 200);
        let ack = one.in_dialog(Method::Ack, &invite, &answered);
        self.send(one.address, &ack.to_bytes());
        self.keep_objects();
        let mut hold = one.in_dialog(Method::Invite, &invite, &answered);
        with_sdp(&mut hold.headers, &mut hold.body);
        hold.body = phone::SDP.replace("sendrecv", "sendonly").into_bytes();
        self.send(one.address, &hold.to_bytes());
        self.keep_objects();
        self.run(2_000_000);
        let bye = one.in_dialog(Method::Bye, &invite, &answered);
        self.send(one.address, &bye.to_bytes());
        self.keep_objects();
        let mut echo = two.request(Method::Invite, "600", "the-echo");
        with_sdp(&mut echo.headers, &mut echo.body);
        self.ask(&mut two, echo);
        self.keep_objects();
        self.run(100_000);
        self.forget_heard();
    }

    /// Puts every object that the log has named so far, with its last value, among what was said.
    fn keep_objects(&mut self) {
        for bytes in std::mem::take(&mut self.said.entries) {
            let entry = replication::Entry::decode(&bytes).expect("an entry");
            for delta in &entry.deltas {
                if let Some(value) = &delta.value {
                    self.said.objects.push((delta.key.kind, delta.key.id.clone(), value.clone()));
                }
            }
            self.said.entries.push(bytes);
        }
        self.said.objects.sort();
        self.said.objects.dedup();
    }

    /// Whoever is left serves, after whatever was said to it, and answers an OPTIONS.
    pub fn must_answer(&mut self) {
        let mut waited_ms = 0;
        while !self.nodes.iter().any(is_active) {
            self.run(100_000);
            waited_ms += 100;
            assert!(waited_ms < 10_000, "nobody serves");
        }
        self.run(300_000);
        self.forget_heard();
        let mut phone = Phone::new("5000", "one", "10.77.0.29:5060");
        let options = phone.request(Method::Options, "5000", &format!("options-{}", self.now_us));
        self.send(phone.address, &options.to_bytes());
        self.run(300_000);
        assert!(!self.take(phone.address).is_empty(), "OPTIONS is not answered");
    }

    /// What is said in a conversation, made once.
    pub fn conversation() -> Said {
        static SAID: OnceLock<Said> = OnceLock::new();
        SAID.get_or_init(|| {
            let mut pair = Self::new();
            pair.talk();
            pair.said
        })
        .clone()
    }
}

pub fn is_active(node: &Option<Node>) -> bool {
    node.as_ref().is_some_and(|node| node.role() == Role::Active)
}

pub fn new_node(index: u8, now: Now) -> Node {
    let settings = Settings {
        name: if index == 0 { "a" } else { "b" }.to_owned(),
        index: NodeIndex(index),
        priority: 150 - index,
        links: 1,
        failback: Failback::Manual,
        timing: Timing::default(),
        restart: None,
        safeguards: Default::default(),
        records_shared: false,
        records_kept_max: node::RECORDS_KEPT_MAX,
        incarnation: Incarnation(0x1111_1111_1111_1111 * (u64::from(index) + 1)),
        service: std::net::IpAddr::from([10, 77, 0, 100]).into(),
        secret: [7; 32],
        vrrp: None,
        level: base::Level::OWN,
        tracks: Vec::new(),
        bandwidth: replication::files::transfer::BANDWIDTH,
    };
    let files = Files::from_iter([("sip.conf", SIP_CONF), ("extensions.conf", EXTENSIONS_CONF)]);
    let loaded = pbx::configuration::load(&files);
    let configuration = loaded.configuration.expect("the files are sound");
    Node::new(settings, configuration, Recovered::default(), Random::from_number(u64::from(index) + 1), now)
}
