//! Two nodes on a perfect wire, driven by hand: what leaves when, and what the other one knows by then.

use std::net::SocketAddr;

use pbx::conf::Files;
use pbx::configuration::load;

use super::*;
use crate::event::Operator;
use crate::status::Answer;

mod configuration;
mod drain;
mod level;
mod records;
mod slices;
mod split;
mod third_router;
mod vrrp;

const SERVICE: &str = "10.77.0.100";
const PHONE: &str = "10.77.0.21:5060";

const SIP_CONF: &str = "[general]\nbindport=5060\n[5000]\ntype=friend\nusername=5000\nsecret=one\nhost=dynamic\n\
    context=ramais\n";
const EXTENSIONS_CONF: &str = "[ramais]\nexten => 600,1,Answer\nexten => 600,n,Echo\n";

struct Pair {
    nodes: [Node; 2],
    now: Now,
    /// What each node sent to phones.
    said: [Vec<String>; 2],
    /// Datagrams on their way between the nodes.
    wire: Vec<(usize, Vec<u8>)>,
    /// Whether the wire carries the log, or heartbeats alone.
    log_passes: bool,
    /// The wire carries nothing.
    cut: bool,
    journal_writes: bool,
    tells: Vec<Tell>,
    answers: Vec<Answer>,
    /// The priorities that each node adverted.
    adverts: [Vec<u8>; 2],
    neighbours_told: usize,
    /// How often each node left to the other what waited for a shared store.
    records_left: [usize; 2],
    sequence: u32,
    /// This node is dead: nothing reaches it, and it does nothing.
    dead: Option<usize>,
    /// What each node's disk remembers.
    disks: [Durable; 2],
    stopped: [bool; 2],
}

fn configuration() -> Configuration {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files: Files = [file("sip.conf", SIP_CONF), file("extensions.conf", EXTENSIONS_CONF)].into_iter().collect();
    load(&files).configuration.unwrap()
}

/// In its so-many-th life, with that program and what the disk remembers.
fn node_with(index: u8, links: u8, now: Now, level: Level, durable: Durable, life: u64) -> Node {
    let settings = Settings {
        name: ["a", "b"][usize::from(index)].into(),
        index: NodeIndex(index),
        priority: 150 - index,
        links,
        failback: Failback::Manual,
        timing: Timing::default(),
        restart: None,
        safeguards: Default::default(),
        records_shared: false,
        records_kept_max: RECORDS_KEPT_MAX,
        incarnation: Incarnation(u64::from(index) + 100 + 1_000 * life),
        service: SERVICE.parse::<std::net::IpAddr>().unwrap().into(),
        secret: [3; 32],
        vrrp: Some(vrrp::settings(150 - index)),
        level,
        tracks: Vec::new(),
        bandwidth: replication::files::transfer::BANDWIDTH,
    };
    let recovered = Recovered { durable, ..Recovered::default() };
    Node::new(settings, configuration(), recovered, Random::from_number(u64::from(index)), now)
}

impl Pair {
    fn new(links: u8) -> Self {
        Self::of_levels(links, [Level::OWN; 2])
    }

    fn of_levels(links: u8, levels: [Level; 2]) -> Self {
        let now = Now { local: LocalTime::from_millis(10_000), wall: base::WallTime(1_700_000_000_000_000) };
        let mut pair = Self {
            nodes: [0, 1].map(|index| node_with(index as u8, links, now, levels[index], Durable::default(), 0)),
            now,
            said: Default::default(),
            wire: Vec::new(),
            log_passes: true,
            cut: false,
            journal_writes: true,
            tells: Vec::new(),
            answers: Vec::new(),
            adverts: Default::default(),
            neighbours_told: 0,
            records_left: [0; 2],
            sequence: 0,
            dead: None,
            disks: [Durable::default(); 2],
            stopped: [false; 2],
        };
        pair.step(0, Event::Timeout);
        pair.step(1, Event::Timeout);
        pair
    }

    /// Both nodes well, the first active and protected.
    fn protected() -> Self {
        let mut pair = Self::new(1);
        pair.run(3_000);
        assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Active, Role::Standby));
        assert!(pair.nodes[0].is_protected() && pair.nodes[1].is_protected());
        pair
    }

    fn step(&mut self, index: usize, event: Event) {
        for action in self.nodes[index].handle(self.now, event) {
            match action {
                Action::Send { bytes, .. } => self.said[index].push(first_line(&bytes)),
                Action::PeerSend { bytes, .. } => self.wire.push((1 - index, bytes)),
                Action::Claim { epoch } => self.step(index, Event::Claimed { epoch }),
                Action::JournalAppend { position, .. } if self.journal_writes => {
                    self.step(index, Event::JournalWritten { lsn: position.lsn });
                }
                Action::KeepDurable(durable) => {
                    self.disks[index] = durable;
                    self.step(index, Event::EpochReserved { epoch: durable.reserved });
                }
                Action::Stopped => self.stopped[index] = true,
                Action::Tell(tell) => self.tells.push(tell),
                Action::Reply { answer, .. } => self.answers.push(*answer),
                Action::SendVrrp { bytes, .. } => self.adverts[index].push(bytes[2]),
                Action::TellNeighbours { .. } => self.neighbours_told += 1,
                Action::LeaveRecords => self.records_left[index] += 1,
                _ => {}
            }
        }
    }

    fn deliver(&mut self) {
        while !self.wire.is_empty() {
            let (to, bytes) = self.wire.remove(0);
            if self.cut || self.dead == Some(to) {
                continue;
            }
            if bytes.first() == Some(&peer::HEARTBEAT) || self.log_passes {
                self.step(to, Event::Peer { link: 0, bytes });
            }
        }
    }

    /// Lets time pass, a millisecond at a time.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now.local += Duration::from_millis(1);
            self.now.wall += Duration::from_millis(1);
            for index in 0..2 {
                if self.dead != Some(index) && self.nodes[index].next_timeout().is_some_and(|due| due <= self.now.local)
                {
                    self.step(index, Event::Timeout);
                }
            }
            self.deliver();
        }
    }

    /// Its program ends, and its parent says so.
    fn kill(&mut self, index: usize) {
        let incarnation = self.nodes[index].settings.incarnation;
        self.dead = Some(index);
        self.step(1 - index, Event::Farewell { incarnation });
    }

    /// A new life of a node, with this program and what its disk remembers; its log is gone.
    fn start(&mut self, index: usize, level: Level, life: u64) {
        self.nodes[index] = node_with(index as u8, 1, self.now, level, self.disks[index], life);
        (self.dead, self.stopped[index]) = (None, false);
        self.step(index, Event::Timeout);
    }

    fn ask(&mut self, index: usize, operator: Operator) -> Answer {
        self.step(index, Event::Asked { number: 9, operator });
        self.answers.pop().expect("an answer")
    }

    fn roles(&self) -> [Role; 2] {
        [0, 1].map(|index| self.nodes[index].role())
    }

    fn phone_says(&mut self, index: usize, text: &str) {
        let local: SocketAddr = format!("{SERVICE}:5060").parse().unwrap();
        self.step(index, Event::Datagram { local, source: PHONE.parse().unwrap(), bytes: text.into() });
    }

    /// A REGISTER with credentials; returns once it was handed to the node.
    fn register(&mut self, index: usize) {
        self.phone_says(index, &self.register_text(""));
        self.deliver();
        let nonce_time = self.nodes[index].cluster.cluster_time(self.now.local);
        let nonce = sip::digest::Nonces { secret: [3; 32] }.make(nonce_time);
        let challenge = format!("Digest realm=\"asterisk\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
        let method = sip::Method::Register;
        let made = sip::digest::answer(&challenge, "5000", "one", &method, "sip:10.77.0.100", "c", 1).unwrap();
        self.sequence += 1;
        self.phone_says(index, &self.register_text(&format!("Authorization: {made}\r\n")));
    }

    fn register_text(&self, more: &str) -> String {
        let number = self.sequence + 1;
        format!(
            "REGISTER sip:10.77.0.100 SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bKr{number}\r\n\
             From: <sip:5000@10.77.0.100>;tag=t\r\nTo: <sip:5000@10.77.0.100>\r\nCall-ID: reg\r\n\
             CSeq: {number} REGISTER\r\nContact: <sip:5000@{PHONE}>\r\nExpires: 300\r\n{more}Content-Length: 0\r\n\r\n"
        )
    }
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn an_answer_leaves_only_when_the_peer_has_what_it_says() {
    let mut pair = Pair::protected();
    pair.register(0);
    assert_eq!(pair.said[0], ["SIP/2.0 401 Unauthorized"], "the 200 waits");
    assert_eq!(pair.nodes[1].pbx().registrations(), 0);
    pair.deliver();
    assert_eq!(pair.nodes[1].pbx().registrations(), 1);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK");
}

#[test]
fn a_peer_that_does_not_acknowledge_is_not_waited_for_for_ever_and_a_late_acknowledgement_restores_protection() {
    let mut pair = Pair::protected();
    pair.log_passes = false;
    pair.register(0);
    pair.run(240);
    assert_eq!(pair.said[0].len(), 1, "still held");
    pair.run(20);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK");
    assert!(!pair.nodes[0].is_protected());
    assert_eq!(pair.nodes[0].status(pair.now).role, "alone");
    pair.log_passes = true;
    pair.run(500);
    assert!(pair.nodes[0].is_protected());
    assert_eq!(pair.nodes[1].pbx().registrations(), 1);
    let snapshots = pair.nodes[0].peering.as_ref().unwrap().session().counters().snapshots;
    assert_eq!(snapshots, 0, "the late acknowledgement was enough");
}

#[test]
fn alone_an_answer_waits_for_the_journal_but_not_for_ever() {
    let mut pair = Pair::new(0);
    pair.run(100);
    assert_eq!(pair.nodes[0].role(), Role::Active);
    pair.journal_writes = false;
    pair.register(0);
    pair.run(240);
    assert_eq!(pair.said[0].len(), 1, "held until the disk has it");
    pair.run(20);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK", "a full disk does not silence the phones");
    pair.step(0, Event::JournalWritten { lsn: Lsn(1) });
    pair.journal_writes = true;
    pair.register(0);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK", "and is waited for again when it is well");
}

#[test]
fn the_standby_hears_no_phones() {
    let mut pair = Pair::protected();
    pair.phone_says(1, &pair.register_text(""));
    assert!(pair.said[1].is_empty());
}

#[test]
fn an_operator_moves_the_service_from_either_node() {
    for asked in [0, 1] {
        let mut pair = Pair::protected();
        pair.register(0);
        pair.run(50);
        pair.step(asked, Event::Asked { number: 1, operator: Operator::SwitchOver });
        pair.run(100);
        assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Standby, Role::Active), "asked {asked}");
        pair.run(1_000);
        assert!(pair.nodes[1].is_protected());
        assert_eq!(pair.nodes[1].pbx().registrations(), 1);
        assert!(matches!(pair.answers[0], Answer::Done { .. }));
    }
}

#[test]
fn a_switchover_without_a_protected_peer_is_refused_with_the_reason() {
    let mut pair = Pair::new(0);
    pair.run(100);
    pair.step(0, Event::Asked { number: 1, operator: Operator::SwitchOver });
    assert!(matches!(&pair.answers[0], Answer::Refused { text } if text.contains("no peer")), "{:?}", pair.answers);
}

#[test]
fn nonsense_from_the_peer_changes_nothing() {
    let mut pair = Pair::protected();
    let mut random = Random::from_number(5);
    for length in 0..200 {
        let mut bytes: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first = [peer::HEARTBEAT, 2, 77][length % 3];
        }
        pair.step(length % 2, Event::Peer { link: 0, bytes });
    }
    pair.run(500);
    assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Active, Role::Standby));
    assert!(pair.nodes[0].is_protected());
}

#[test]
fn the_nodes_know_each_others_version_clock_and_configuration() {
    let mut pair = Pair::protected();
    pair.run(1_500);
    for of in [0, 1] {
        let status = pair.nodes[of].status(pair.now);
        let about = status.peer.and_then(|peer| peer.about).unwrap();
        assert_eq!((about.version, about.service), (status.version, SERVICE.to_owned()));
        assert_eq!(about.configuration_hash, status.configuration_hash);
        assert!(about.clock_ahead_ms.abs() < 5.0, "{}", about.clock_ahead_ms);
    }
}

#[test]
fn a_change_of_role_tells_its_cause() {
    let mut pair = Pair::protected();
    let causes = |pair: &mut Pair| {
        let tells = std::mem::take(&mut pair.tells);
        let cause = |tell| match tell {
            Tell::BecameActive { cause, .. } | Tell::BecameStandby { cause, .. } => Some(cause),
            _ => None,
        };
        tells.into_iter().filter_map(cause).collect::<Vec<_>>()
    };
    assert_eq!(causes(&mut pair), ["nobody else served", "the peer serves"]);
    pair.step(0, Event::Asked { number: 1, operator: Operator::SwitchOver });
    pair.run(500);
    assert_eq!(causes(&mut pair), ["the peer handed over", "handed over to the peer"]);
    let incarnation = pair.nodes[1].settings.incarnation;
    pair.step(0, Event::Farewell { incarnation });
    assert_eq!(causes(&mut pair), ["the peer's program ended"]);
}
