use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::config::{AlarmSettings, Email, Webhook};
use crate::events::{Teller, file};

const SECOND: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(60);
const REPEAT: Duration = Duration::from_secs(3_600);
const WAIT: Duration = Duration::from_secs(20);

fn alarm() -> Alarm {
    Alarm::new("a", AFTER, REPEAT, &[], 0)
}

fn down() -> Look {
    Look::Unprotected { reason: "the peer is down".into(), on_purpose: false }
}

/// Looks each second for so long; gives what was told, and after how many seconds.
fn looks(alarm: &mut Alarm, look: &Look, seconds: u64) -> Vec<(u64, Message)> {
    (1..=seconds).filter_map(|second| Some((second, alarm.look(SECOND, look)?))).collect()
}

#[test]
fn it_is_told_once_protection_is_away_for_long_and_again_while_it_lasts() {
    let mut alarm = alarm();
    let told = looks(&mut alarm, &down(), 2 * 3_600 + 120);
    let times: Vec<_> = told.iter().map(|(second, message)| (*second, message.seconds, message.repeated)).collect();
    assert_eq!(times, [(61, 60, 0), (3_661, 3_660, 1), (7_261, 7_260, 2)]);
    assert_eq!(told[0].1.reason.as_deref(), Some("the peer is down"));
    assert!(told[0].1.text.starts_with("a: calls are NOT PROTECTED, for 60 s now: the peer is down."));
    let cleared = alarm.look(SECOND, &Look::Protected).unwrap();
    assert_eq!((cleared.alarm, cleared.repeated), ("protected", 2));
    assert_eq!(looks(&mut alarm, &Look::Protected, 100), []);
}

#[test]
fn a_short_loss_is_not_told_and_neither_is_its_end() {
    let mut alarm = alarm();
    for _ in 0..10 {
        assert_eq!(looks(&mut alarm, &down(), 59), []);
        assert_eq!(alarm.look(SECOND, &Look::Protected), None);
    }
}

/// Maintenance raises no alarm, but a node that was forgotten after it does.
#[test]
fn what_was_done_on_purpose_is_told_after_a_working_day() {
    let drained = Look::Unprotected { reason: "the peer is drained and down".into(), on_purpose: true };
    let told = looks(&mut alarm(), &drained, 8 * 3_600 + 60);
    assert_eq!(told.iter().map(|(second, _)| *second).collect::<Vec<_>>(), [8 * 3_600 + 1]);
    // One that is back in service and down is none of that any more.
    let mut alarm = alarm();
    assert_eq!(looks(&mut alarm, &drained, 3_600), []);
    assert_eq!(looks(&mut alarm, &down(), 5)[0].0, 1);
}

#[test]
fn only_one_of_two_nodes_that_hear_each_other_tells() {
    let mut status = crate::human::tests::example().status;
    assert_eq!(Look::of(&status), Look::Protected);
    status.protected = false;
    status.unprotected_because = Some("the peer is catching up".into());
    let reason = "the peer is catching up".to_owned();
    assert_eq!(Look::of(&status), Look::Unprotected { reason, on_purpose: false });
    status.role = "standby".into();
    assert_eq!(Look::of(&status), Look::Others);
    // A standby that hears nobody and may not serve, for want of a carrier, is on its own.
    status.peer.as_mut().unwrap().up = false;
    assert!(matches!(Look::of(&status), Look::Unprotected { .. }));
    status.peer = None;
    assert_eq!(Look::of(&status), Look::Others);
    assert_eq!(looks(&mut alarm(), &Look::Others, 500), []);
}

#[test]
fn a_lost_witness_is_told_once_by_the_node_that_serves() {
    let mut status = crate::human::tests::example().status;
    assert_eq!(Look::of_witness(&status), Look::Others, "there is none");
    let line = |up: bool, peer_hears: Option<bool>| node::WitnessLine {
        up,
        mode: "prefer".into(),
        lease: "unknown".into(),
        counts: true,
        peer_hears,
        round_trip_ms: None,
    };
    status.witness = Some(line(true, Some(false)));
    assert_eq!(Look::of_witness(&status), Look::Protected);
    status.witness = Some(line(false, Some(false)));
    let look = Look::of_witness(&status);
    assert_eq!(look, Look::Unprotected { reason: "it does not answer".into(), on_purpose: false });
    status.role = "standby".into();
    assert_eq!(Look::of_witness(&status), Look::Others, "the active one tells");
    status.witness = Some(line(false, Some(true)));
    assert_eq!(
        Look::of_witness(&status),
        Look::Unprotected { reason: "the other node reaches it".into(), on_purpose: false }
    );
    let mut alarm = Alarm::of_witness("a", AFTER, REPEAT);
    let told = looks(&mut alarm, &look, 100);
    assert_eq!(
        told.iter().map(|(second, message)| (*second, message.alarm)).collect::<Vec<_>>(),
        [(61, "witness_lost")]
    );
    assert!(
        told[0].1.text.starts_with("a: the WITNESS is lost, for 60 s now: it does not answer."),
        "{}",
        told[0].1.text
    );
    assert_eq!(alarm.look(SECOND, &Look::Protected).unwrap().alarm, "witness_back");
}

#[test]
fn a_restart_does_not_begin_to_count_anew() {
    let event = |kind: &str, at_ms: u64| Event {
        number: 0,
        at_ms,
        node: "a".into(),
        kind: kind.into(),
        text: String::new(),
        data: serde_json::Map::new(),
    };
    let lost = [event("protected", 1_000), event("unprotected", 10_000), event("started", 50_000)];
    let mut alarm = Alarm::new("a", AFTER, REPEAT, &lost, 65_000);
    assert_eq!(looks(&mut alarm, &down(), 10)[0].0, 5);
    let told = [&lost[..], &[event("alarm", 70_000)]].concat();
    let mut alarm = Alarm::new("a", AFTER, REPEAT, &told, 100_000);
    assert_eq!(looks(&mut alarm, &down(), 100), [], "it has been told already");
    assert_eq!(alarm.look(SECOND, &Look::Protected).unwrap().alarm, "protected");
    let cleared = [&told[..], &[event("protected", 75_000), event("all_clear", 75_000)]].concat();
    let mut alarm = Alarm::new("a", AFTER, REPEAT, &cleared, 100_000);
    assert_eq!(alarm.look(SECOND, &Look::Protected), None);
}

#[test]
fn times_are_told_as_people_say_them() {
    let told = [45, 119, 600, 7_200, 200_000].map(|seconds| people(Duration::from_secs(seconds)));
    assert_eq!(told, ["45 s", "119 s", "10 min", "2 h", "2 days"]);
}

fn message() -> Message {
    alarm().message("unprotected", AFTER, Some("the peer is down".into()), "a: NOT PROTECTED\nBcc: x@y".into())
}

#[test]
fn a_mail_has_a_head_that_nobody_can_add_to() {
    let email = Email { to: "ops@example.org".into(), sendmail: PathBuf::from("/usr/sbin/sendmail") };
    let text = deliver::mail_text(&email, &Message { node: "a\nBcc: x@y".into(), ..message() });
    let (head, body) = text.split_once("\n\n").unwrap();
    assert_eq!(head.lines().filter(|line| line.starts_with("Bcc")).count(), 0, "{head}");
    assert!(head.starts_with("To: ops@example.org\nSubject: tandem: a"), "{head}");
    assert!(body.starts_with("a: NOT PROTECTED Bcc: x@y\n"), "{body}");
}

#[test]
fn a_program_that_fails_or_is_not_there_is_known() {
    assert_eq!(deliver::program("read -r line && test \"${line#*NOT PROTECTED}\" != \"$line\"", &message()), Ok(()));
    assert!(deliver::program("exit 3", &message()).unwrap_err().contains("exit status: 3"));
    assert!(deliver::program("/does/not/exist 2>/dev/null", &message()).is_err());
}

/// Answers one request with 200; gives its head and body.
fn one_request(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    answer(stream)
}

fn answer(mut stream: impl Read + Write) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while !text.contains("\"text\"") {
        let count = stream.read(&mut chunk).unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
        if count == 0 {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    text
}

#[test]
fn the_alarm_reaches_webhook_program_and_mailbox() {
    let place = std::env::temp_dir().join(format!("tandem-alarm-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = |name: &str| place.join(name).display().to_string();
    fs::write(place.join("sendmail"), format!("#!/bin/sh\ncat > {}\n", at("mail"))).unwrap();
    let mut mode = fs::metadata(place.join("sendmail")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(place.join("sendmail"), mode).unwrap();
    let settings = AlarmSettings {
        after: Duration::ZERO,
        repeat: REPEAT,
        webhook: Some(Webhook { url: format!("http://{}/hook", listener.local_addr().unwrap()), ca_file: None }),
        program: Some(format!("cat > {}", at("program"))),
        email: Some(Email { to: "ops@example.org".into(), sendmail: place.join("sendmail") }),
    };
    let teller = Teller::start(&place, "a", None).unwrap();
    let watch = AlarmWatch::start(&settings, "a", &[], 0, teller.clone()).unwrap();
    let mut status = crate::human::tests::example().status;
    (status.protected, status.unprotected_because) = (false, Some("the peer is down".into()));
    watch.look(&status);
    let request = one_request(&listener);
    assert!(
        request.starts_with("POST /hook HTTP/1.1\r\n") && request.contains("\"alarm\":\"unprotected\""),
        "{request}"
    );
    let begun = Instant::now();
    let read = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
    while !(read("program").contains("NOT PROTECTED") && read("mail").contains("NOT PROTECTED")) {
        assert!(begun.elapsed() < WAIT, "in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
    teller.flush(WAIT);
    let kinds: Vec<String> = file::read(&place).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["alarm"]);
    fs::remove_dir_all(&place).unwrap();
}

/// A certificate that nobody on the web has signed, for this machine; and a server that has it.
fn secure_server(place: &Path) -> rustls::ServerConfig {
    let extensions =
        "[req]\ndistinguished_name = name\nx509_extensions = own\n[name]\n[own]\nsubjectAltName = IP:127.0.0.1\n";
    fs::write(place.join("own.cnf"), extensions).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-config", "own.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=hook", "-out", "ca.pem", "-keyout", "key.pem"]);
    assert!(openssl.current_dir(place).output().unwrap().status.success());
    let certificate = CertificateDer::from_pem_file(place.join("ca.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(place.join("key.pem")).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

#[test]
fn a_secure_webhook_is_told_when_its_certificate_is_known() {
    let place = std::env::temp_dir().join(format!("tandem-webhook-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    let server = std::sync::Arc::new(secure_server(&place));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let serve = |stream| rustls::StreamOwned::new(rustls::ServerConnection::new(server.clone()).unwrap(), stream);
        // Whoever does not know the certificate says so instead of a request.
        let (stranger, _) = listener.accept().unwrap();
        assert!(serve(stranger).read(&mut [0; 64]).is_err());
        let (friend, _) = listener.accept().unwrap();
        answer(serve(friend))
    });
    let to = |ca_file: Option<&str>| Webhook { url: url.clone(), ca_file: ca_file.map(|name| place.join(name)) };
    let refused = |webhook: Webhook| deliver::webhook(&webhook, &message()).unwrap_err();
    assert!(refused(to(None)).contains("certificate"), "nobody on the web has signed it");
    assert!(refused(to(Some("none.pem"))).contains("none.pem"));
    assert!(refused(to(Some("key.pem"))).contains("key.pem has no certificate"));
    assert_eq!(deliver::webhook(&to(Some("ca.pem")), &message()), Ok(()));
    assert!(serving.join().unwrap().starts_with("POST /hook HTTP/1.1\r\n"));
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn of_a_shared_store_the_node_that_serves_tells() {
    let mut status = crate::human::tests::example().status;
    assert_eq!(Look::of_records(&status), Look::Others, "nothing was told of a store");
    status.records = Some(node::RecordsLine { shared: true, ..Default::default() });
    assert_eq!(Look::of_records(&status), Look::Protected);
    let trouble = "mysql at 10.0.0.1:3306: its disk is full".to_owned();
    status.records = Some(node::RecordsLine { shared: true, trouble: Some(trouble.clone()), ..Default::default() });
    let told = Look::Unprotected { reason: trouble, on_purpose: false };
    assert_eq!(Look::of_records(&status), told);
    status.role = "standby".into();
    assert_eq!(Look::of_records(&status), Look::Others);
    status.records.as_mut().unwrap().shared = false;
    assert_eq!(Look::of_records(&status), told, "a store of its own is its own matter");
    let mut alarm = Alarm::of_records("a", AFTER, REPEAT);
    let messages = looks(&mut alarm, &told, 100);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].1.alarm, "records_wait");
    assert!(messages[0].1.text.ends_with("its disk is full. None is lost meanwhile"), "{}", messages[0].1.text);
    assert_eq!(alarm.look(SECOND, &Look::Protected).unwrap().alarm, "records_stored");
}
