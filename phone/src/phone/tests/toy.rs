//! A toy server: asks for digest, keeps contacts, forwards everything else and stays on the route.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::random::Random;
use crate::*;

pub(super) const fn ms(millis: u64) -> u64 {
    millis * 1000
}

const LATENCY_US: u64 = 1000;

pub(super) struct Toy {
    pub(super) phones: [Phone; 2],
    pub(super) nonce: String,
    pub(super) stale: bool,
    /// Drops everything.
    pub(super) deaf: bool,
    pub(super) transcript: Vec<String>,
    now_us: u64,
    lose: Option<(u64, Random)>,
    contacts: BTreeMap<String, String>,
    /// In flight: when it arrives, from, to.
    flying: Vec<(u64, SocketAddr, SocketAddr, Vec<u8>)>,
    server: SocketAddr,
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl Toy {
    pub(super) fn new(policy: AnswerPolicy) -> Self {
        let server = address("10.0.0.100:5060");
        let phone = |index: u64, answer| {
            Phone::new(PhoneConfig {
                user: format!("{}", 5000 + index),
                password: "secret".to_owned(),
                server,
                address: address(&format!("10.0.0.{}:5060", 21 + index)),
                media_address: address(&format!("10.0.0.{}:4000", 21 + index)),
                register_every_s: 300,
                answer,
                seed: index,
            })
        };
        Self {
            phones: [phone(0, AnswerPolicy::never()), phone(1, policy)],
            nonce: "first".to_owned(),
            stale: false,
            deaf: false,
            transcript: Vec::new(),
            now_us: 0,
            lose: None,
            contacts: BTreeMap::new(),
            flying: Vec::new(),
            server,
        }
    }

    pub(super) fn command(&mut self, phone: usize, command: PhoneCommand) {
        self.phones[phone].handle(self.now_us, PhoneInput::Command(command));
        self.collect();
    }

    pub(super) fn call(&mut self) {
        self.command(0, PhoneCommand::Call { number: "5001".to_owned() });
    }

    pub(super) fn states(&self) -> [CallState; 2] {
        [self.phones[0].state(), self.phones[1].state()]
    }

    pub(super) fn lose_one_in(&mut self, times: u64, seed: u64) {
        self.lose = Some((times, Random::new(seed)));
    }

    pub(super) fn expect_clean(&self) {
        for phone in &self.phones {
            assert_eq!(phone.violations(), [], "{}", phone.config().user);
        }
    }

    pub(super) fn run(&mut self, for_us: u64) {
        let end = self.now_us + for_us;
        loop {
            let arrival = self.flying.iter().map(|flight| flight.0).min();
            let timeout = self.phones.iter().filter_map(Phone::next_timeout).min();
            let Some(next) = [arrival, timeout].into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now_us = self.now_us.max(next);
            if arrival == Some(next) {
                let at = self.flying.iter().position(|flight| flight.0 == next).expect("a flight");
                let (_, from, to, bytes) = self.flying.remove(at);
                self.deliver(from, to, &bytes);
            } else {
                for phone in &mut self.phones {
                    phone.handle(self.now_us, PhoneInput::Timeout);
                }
            }
            self.collect();
        }
        self.now_us = end;
    }

    fn collect(&mut self) {
        for at in 0..self.phones.len() {
            let from = self.phones[at].config().address;
            let outputs: Vec<PhoneOutput> = self.phones[at].drain_outputs().collect();
            for output in outputs {
                self.transcript.push(format!("{} {at} {output:?}", self.now_us));
                if let PhoneOutput::Send { to, bytes } = output {
                    self.fly(from, to, bytes);
                }
            }
        }
    }

    fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let lost = self.lose.as_mut().is_some_and(|(times, random)| random.below(*times) == 0);
        if !lost && !self.deaf {
            self.flying.push((self.now_us + LATENCY_US, from, to, bytes));
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == self.server {
            return self.serve(from, bytes);
        }
        let now_us = self.now_us;
        let phone = self.phones.iter_mut().find(|phone| phone.config().address == to).expect("a phone");
        phone.handle(now_us, PhoneInput::Datagram { source: from, bytes });
    }

    fn serve(&mut self, from: SocketAddr, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        let start = lines.remove(0);
        if start.starts_with("SIP/2.0") {
            let own = lines.iter().position(|line| line.starts_with("Via:")).expect("a Via");
            lines.remove(own);
            let via = lines.iter().find(|line| line.starts_with("Via:")).expect("another Via");
            let to = address(via.split([' ', ';']).nth(2).expect("a sender"));
            let text = format!("{start}\r\n{}\r\n\r\n{body}", lines.join("\r\n"));
            return self.fly(self.server, to, text.into_bytes());
        }
        let mut words = start.split(' ');
        let (method, uri) = (words.next().expect("a method"), words.next().expect("an address"));
        let nonce = format!("nonce=\"{}\"", self.nonce);
        let authorized = lines.iter().any(|line| line.starts_with("Authorization:") && line.contains(&nonce));
        let initial = !lines.iter().any(|line| line.starts_with("To:") && line.contains("tag="));
        if matches!(method, "REGISTER" | "INVITE") && initial && !authorized {
            let stale = if self.stale { ", stale=true" } else { "" };
            let ask = format!("WWW-Authenticate: Digest realm=\"toy\", qop=\"auth\", {nonce}{stale}\r\n");
            return self.reply(from, "401 Unauthorized", &lines, &ask);
        }
        if method == "REGISTER" {
            let contact = lines.iter().find(|line| line.starts_with("Contact:")).expect("a contact").clone();
            let user = uri_user(&contact);
            self.contacts.insert(user, contact.split(['<', '>']).nth(1).expect("a URI").to_owned());
            return self.reply(from, "200 OK", &lines, &format!("{contact};expires=360\r\n"));
        }
        // The ACK of a challenged INVITE ends here.
        if method == "ACK" && lines.iter().any(|line| line.contains("tag=toy")) {
            return;
        }
        self.forward(method, uri, lines, body);
    }

    fn reply(&mut self, to: SocketAddr, status: &str, lines: &[String], more: &str) {
        let keep = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let echo = lines.iter().filter(|line| keep.iter().any(|name| line.starts_with(name)));
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in echo {
            text.push_str(line);
            text.push_str(if line.starts_with("To:") { ";tag=toy\r\n" } else { "\r\n" });
        }
        text.push_str(&format!("{more}Content-Length: 0\r\n\r\n"));
        self.fly(self.server, to, text.into_bytes());
    }

    fn forward(&mut self, method: &str, uri: &str, mut lines: Vec<String>, body: &str) {
        let uri = if uri.contains("line=") { uri.to_owned() } else { self.contacts[&uri_user(uri)].clone() };
        let to = crate::message::socket_address(&uri).expect("an address");
        lines.retain(|line| !line.starts_with("Route:"));
        let via = lines.iter().find(|line| line.starts_with("Via:")).expect("a Via");
        let branch = via.split("branch=").nth(1).and_then(|rest| rest.split(';').next()).expect("a branch");
        let mut head = vec![format!("{method} {uri} SIP/2.0")];
        head.push(format!("Via: SIP/2.0/UDP {};branch={branch}f", self.server));
        if method == "INVITE" {
            head.push(format!("Record-Route: <sip:{};lr>", self.server));
        }
        head.extend(lines);
        let text = format!("{}\r\n\r\n{body}", head.join("\r\n"));
        self.fly(self.server, to, text.into_bytes());
    }
}

fn uri_user(text: &str) -> String {
    text.split("sip:").nth(1).and_then(|rest| rest.split('@').next()).expect("a user").to_owned()
}
