//! What a phone may not be asked to bear: each misuse is answered as RFC 3261 says and recorded.

use super::toy::ms;
use crate::*;

/// A phone that talks, called by a server whose every message is written here.
struct Bench {
    phone: Phone,
    now_us: u64,
    tag: String,
    contact: String,
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.100\r\ns=-\r\nc=IN IP4 10.0.0.100\r\nt=0 0\r\n\
                   m=audio 10000 RTP/AVP 0\r\n";

impl Bench {
    fn new(answer: AnswerPolicy) -> Self {
        let address = |text: &str| text.parse().expect("an address");
        let phone = Phone::new(PhoneConfig {
            user: "5000".to_owned(),
            password: "secret".to_owned(),
            server: address("10.0.0.100:5060"),
            address: address("10.0.0.21:5060"),
            media_address: "10.0.0.21:4000".parse().expect("an address"),
            register_every_s: 300,
            answer,
            seed: 1,
        });
        let contact = phone.contact.clone();
        Self { phone, now_us: 0, tag: String::new(), contact }
    }

    fn request(&self, method: &str, branch: &str, cseq: u32, to_tag: &str, body: &str) -> String {
        let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        let (contact, length) = (&self.contact, body.len());
        format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.100:5060;branch=z9hG4bK{branch};rport\r\n\
             From: <sip:5001@10.0.0.100>;tag=them\r\nTo: <sip:5000@10.0.0.100>{to_tag}\r\nCall-ID: abc\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:10.0.0.100:5060>\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Hands a message in and gives back what the phone sent.
    fn hand_in(&mut self, text: &str) -> Vec<String> {
        let source = self.phone.config().server;
        self.phone.handle(self.now_us, PhoneInput::Datagram { source, bytes: text.as_bytes() });
        self.sent()
    }

    fn sent(&mut self) -> Vec<String> {
        let sent = self.phone.drain_outputs().filter_map(|output| match output {
            PhoneOutput::Send { bytes, .. } => Some(String::from_utf8(bytes).expect("text")),
            PhoneOutput::Event(_) => None,
        });
        sent.collect()
    }

    fn wait(&mut self, for_us: u64) -> Vec<String> {
        let end = self.now_us + for_us;
        while let Some(at) = self.phone.next_timeout().filter(|at| *at <= end) {
            self.now_us = at;
            self.phone.handle(at, PhoneInput::Timeout);
        }
        self.now_us = end;
        self.sent()
    }

    fn talking() -> Self {
        let mut bench = Self::new(AnswerPolicy::after(0));
        let invite = bench.request("INVITE", "a", 10, "", SDP);
        let sent = bench.hand_in(&invite);
        assert!(sent[0].starts_with("SIP/2.0 180") && sent[1].starts_with("SIP/2.0 200"), "{sent:?}");
        let to = sent[1].lines().find(|line| line.starts_with("To:")).expect("To");
        bench.tag = to.split("tag=").nth(1).expect("a tag").to_owned();
        let ack = bench.request("ACK", "b", 10, &bench.tag, "");
        assert_eq!(bench.hand_in(&ack), Vec::<String>::new());
        assert_eq!(bench.phone.violations(), []);
        bench
    }
}

#[test]
fn a_cseq_must_grow() {
    for cseq in [9, 10] {
        let mut bench = Bench::talking();
        let bye = bench.request("BYE", "c", cseq, &bench.tag, "");
        assert!(bench.hand_in(&bye)[0].starts_with("SIP/2.0 500"));
        let expected = Violation::CseqNotGrowing { method: "BYE".to_owned(), last: 10, cseq };
        assert_eq!(bench.phone.violations(), [expected]);
        assert_eq!(bench.phone.state(), CallState::Talking);
    }
}

#[test]
fn tags_must_match() {
    let mut bench = Bench::talking();
    let bye = bench.request("BYE", "c", 11, "wrong", "");
    assert!(bench.hand_in(&bye)[0].starts_with("SIP/2.0 481"));
    let theirs = bench.request("BYE", "d", 11, &bench.tag, "").replace("tag=them", "tag=others");
    assert!(bench.hand_in(&theirs)[0].starts_with("SIP/2.0 481"));
    let other_call = bench.request("BYE", "e", 11, &bench.tag, "").replace("Call-ID: abc", "Call-ID: xyz");
    assert!(bench.hand_in(&other_call)[0].starts_with("SIP/2.0 481"));
    let violations = bench.phone.violations();
    assert_eq!(violations[0], Violation::TagChanged { expected: bench.tag.clone(), found: "wrong".to_owned() });
    assert_eq!(violations[1], Violation::TagChanged { expected: "them".to_owned(), found: "others".to_owned() });
    assert_eq!(violations[2], Violation::UnknownDialog { method: "BYE".to_owned() });
}

#[test]
fn a_retransmission_is_no_violation_and_gets_the_same_answer() {
    let mut bench = Bench::talking();
    let bye = bench.request("BYE", "c", 11, &bench.tag, "");
    let first = bench.hand_in(&bye);
    assert!(first[0].starts_with("SIP/2.0 200"));
    assert_eq!(bench.hand_in(&bye), first);
    assert_eq!(bench.phone.state(), CallState::Ended { reason: EndReason::PeerHungUp });
    assert_eq!(bench.phone.violations(), []);
}

#[test]
fn the_same_invite_under_another_branch_is_merged() {
    let mut bench = Bench::new(AnswerPolicy::never());
    let invite = bench.request("INVITE", "a", 10, "", SDP);
    assert!(bench.hand_in(&invite)[0].starts_with("SIP/2.0 180"));
    assert!(bench.hand_in(&invite)[0].starts_with("SIP/2.0 180"), "a retransmission gets the last response again");
    let again = bench.request("INVITE", "b", 10, "", SDP);
    assert!(bench.hand_in(&again)[0].starts_with("SIP/2.0 482"));
    assert_eq!(bench.phone.violations(), [Violation::MergedRequest]);
}

#[test]
fn an_answer_is_sent_again_until_it_is_acknowledged() {
    let mut bench = Bench::new(AnswerPolicy::after(0));
    let invite = bench.request("INVITE", "a", 10, "", SDP);
    bench.hand_in(&invite);
    assert_eq!(bench.hand_in(&invite), Vec::<String>::new(), "absorbed (RFC 6026)");
    assert_eq!(bench.wait(ms(4_000)).len(), 3, "after 0.5, 1.5 and 3.5 s");
    let sent = bench.wait(ms(30_000));
    assert!(sent.iter().any(|text| text.starts_with("BYE ")), "{sent:?}");
    assert_eq!(bench.phone.violations(), [Violation::AckMissing]);
    assert_eq!(bench.phone.state(), CallState::Ended { reason: EndReason::NeverAcknowledged });
}

#[test]
fn a_refusal_is_sent_again_until_it_is_acknowledged() {
    let mut bench = Bench::new(AnswerPolicy::busy());
    let invite = bench.request("INVITE", "a", 10, "", SDP);
    assert!(bench.hand_in(&invite)[0].starts_with("SIP/2.0 486"));
    assert_eq!(bench.wait(ms(2_000)).len(), 2);
    let ack = bench.request("ACK", "a", 10, "any", "");
    bench.hand_in(&ack);
    assert_eq!(bench.wait(ms(60_000)).len(), 0);
    assert_eq!(bench.phone.violations(), []);
}

#[test]
fn wrong_targets_sources_and_bodies() {
    let mut bench = Bench::talking();
    let options = bench.request("OPTIONS", "c", 11, &bench.tag, "");
    bench.hand_in(&options.replace(&bench.contact, "sip:5000@10.0.0.21"));
    let uri = "sip:5000@10.0.0.21".to_owned();
    assert_eq!(bench.phone.violations(), [Violation::WrongTarget { uri }]);
    let source = "10.0.0.11:5060".parse().expect("an address");
    let options = bench.request("OPTIONS", "d", 1, "", "");
    bench.phone.handle(0, PhoneInput::Datagram { source, bytes: options.as_bytes() });
    assert_eq!(bench.phone.violations()[1], Violation::ForeignSource { source });
    bench.hand_in("no SIP at all");
    assert!(matches!(bench.phone.violations()[2], Violation::Malformed { .. }));
    assert_eq!(bench.phone.counters().options_answered, 2);
}

#[test]
fn a_changed_description_needs_another_version() {
    let mut bench = Bench::talking();
    let moved = SDP.replace("10000", "10002");
    let reinvite = bench.request("INVITE", "c", 11, &bench.tag, &moved);
    assert!(bench.hand_in(&reinvite)[0].starts_with("SIP/2.0 200"));
    assert_eq!(bench.phone.violations(), [Violation::SdpVersion]);
    assert_eq!(bench.phone.media_peer(), "10.0.0.100:10002".parse().ok());
}

#[test]
fn a_cancel_without_its_invite() {
    let mut bench = Bench::talking();
    let cancel = bench.request("CANCEL", "zzz", 10, "", "");
    assert!(bench.hand_in(&cancel)[0].starts_with("SIP/2.0 481"));
    assert_eq!(bench.phone.violations(), [Violation::UnknownCancel]);
}

#[test]
fn odd_bytes_never_panic() {
    let bench = Bench::talking();
    let invite = bench.request("INVITE", "q", 20, "", SDP);
    for at in 0..invite.len() {
        for byte in [0_u8, b'\r', b'"', b'<', b';', 0xff] {
            let mut bytes = invite.clone().into_bytes();
            bytes[at] = byte;
            let mut phone = bench.phone.clone();
            let source = phone.config().server;
            phone.handle(1, PhoneInput::Datagram { source, bytes: &bytes });
            phone.handle(1, PhoneInput::Datagram { source, bytes: &bytes[..at] });
        }
    }
}
