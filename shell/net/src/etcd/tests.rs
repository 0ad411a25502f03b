//! With members that are a few lines each; the lab has a real etcd.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base::Incarnation;
use node::cluster::witness::{Verdict, Want};

use super::*;

const EMPTY: &str = r#"{"header":{"cluster_id":"1","member_id":"2","revision":"1","raft_term":"2"},"succeeded":true,
"responses":[{"response_range":{}},{"response_range":{}},{"response_range":{}}]}"#;

const WAIT: Duration = Duration::from_secs(20);

/// A member that says this to every request, and shows the head of each.
fn member(status: &'static str, body: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.expect("a connection"), sender.clone());
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                loop {
                    let (mut head, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().expect("a length");
                        }
                        if line == "\r\n" {
                            break;
                        }
                        head.push_str(&line);
                    }
                    reader.read_exact(&mut vec![0; length]).expect("a body");
                    let _ = sender.send(head);
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    if (&stream).write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, heads)
}

fn settings(members: Vec<String>) -> Settings {
    Settings { members, ca_file: None, identity: None, login: None, pair: [0; 8] }
}

fn ask(sequence: u64) -> Ask {
    Ask { index: NodeIndex(0), incarnation: Incarnation(7), sequence, want: Want::Watch, ..Ask::default() }
}

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = Self(std::env::temp_dir().join(format!("tandem-etcd-{name}-{}", std::process::id())));
        let _ = fs::remove_dir_all(&place.0);
        fs::create_dir_all(&place.0).expect("a directory");
        place
    }

    fn file(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_ask_is_answered_by_the_first_member_that_works_and_each_change_is_told_once() {
    // Nobody listens at the first one.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let (sick, _) = member("503 Service Unavailable", r#"{"message":"etcdserver: no leader"}"#);
    let (well, heads) = member("200 OK", EMPTY);
    let (answers, answered) = channel();
    let (texts, told) = channel();
    let asker = start(
        &settings(vec![format!("http://{gone}"), sick.clone(), format!("{well}/")]),
        NodeIndex(0),
        move |answer| answers.send(answer).expect("the test waits"),
        move |text| texts.send(text).expect("the test waits"),
    )
    .expect("a thread");
    for sequence in 1..=3 {
        asker.ask(ask(sequence));
        if sequence < 3 {
            let text = told.recv_timeout(WAIT).expect("trouble is told");
            let (address, why) =
                if sequence == 1 { (format!("http://{gone}"), "refused") } else { (sick.clone(), "no leader") };
            assert!(text.starts_with(&address) && text.contains(why), "{text}");
        }
    }
    let answer = answered.recv_timeout(WAIT).expect("an answer");
    assert_eq!((answer.verdict, answer.sequence), (Verdict::Free, 3));
    asker.ask(ask(4));
    assert_eq!(answered.recv_timeout(WAIT).expect("an answer").sequence, 4);
    assert_eq!(told.try_recv().ok(), None);
    let head = heads.recv_timeout(WAIT).expect("a request").to_lowercase();
    assert!(head.starts_with("post /v3/kv/txn http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
}

#[test]
fn a_user_logs_in_first_and_shows_the_token() {
    let place = Place::new("login");
    let file = place.file("password", 0o600, "secret\n");
    let (address, heads) = member("200 OK", r#"{"header":{"revision":"1"},"token":"abc.1"}"#);
    let mut members =
        Members::new(&Settings { login: Some(("pbx".into(), file)), ..settings(vec![address]) }).expect("members");
    // What it says to the transaction is no answer to that.
    assert!(matches!(members.look(0), Err(MemberError::Unreadable)));
    let paths: Vec<String> = heads.try_iter().collect();
    assert!(paths[0].starts_with("POST /v3/auth/authenticate "), "{paths:?}");
    assert!(paths[1].starts_with("POST /v3/kv/txn ") && paths[1].contains("authorization: abc.1\r\n"), "{paths:?}");
    assert!(matches!(members.look(0), Err(MemberError::Unreadable)));
    assert_eq!(heads.try_iter().count(), 1, "once is enough");
}

#[test]
fn a_refused_password_is_not_tried_with_each_ask() {
    let place = Place::new("refused");
    let file = place.file("password", 0o600, "wrong\n");
    let (address, heads) = member("400 Bad Request", r#"{"message":"etcdserver: authentication failed"}"#);
    let mut members =
        Members::new(&Settings { login: Some(("pbx".into(), file)), ..settings(vec![address]) }).expect("members");
    for _ in 0..3 {
        let refused = members.look(0).expect_err("a refusal").to_string();
        assert_eq!(refused, "etcd refuses: etcdserver: authentication failed");
    }
    assert_eq!(heads.try_iter().count(), 1);
}

#[test]
fn an_answer_without_end_is_not_read() {
    let body: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    let (address, _heads) = member("200 OK", body);
    let mut members = Members::new(&settings(vec![address])).expect("members");
    assert!(matches!(members.look(0), Err(MemberError::Silent(_))));
}

#[test]
fn secrets_that_others_can_read_and_files_that_hold_nothing_are_refused() {
    let place = Place::new("files");
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(vec!["https://127.0.0.1:1".into()]);
        change(&mut settings);
        Members::new(&settings).err().expect("a refusal").to_string()
    };
    let (open, empty) = (place.file("open", 0o640, "secret\n"), place.file("empty", 0o600, ""));
    let missing = place.0.join("missing");
    let text = refused(&|settings| settings.login = Some(("pbx".into(), open.clone())));
    assert!(text.ends_with(&format!("(mode 0640); run: chmod 600 {}", open.display())), "{text}");
    let text = refused(&|settings| settings.login = Some(("pbx".into(), empty.clone())));
    assert_eq!(text, format!("{} is no line with a password", empty.display()));
    let text = refused(&|settings| settings.ca_file = Some(empty.clone()));
    assert_eq!(text, format!("{} has no certificate in PEM", empty.display()));
    let text = refused(&|settings| settings.ca_file = Some(missing.clone()));
    assert_eq!(text, format!("cannot read {} for etcd", missing.display()));
    let certificate = place.file("cert", 0o644, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let text = refused(&|settings| settings.identity = Some((certificate.clone(), empty.clone())));
    assert_eq!(text, format!("{} has no private key in PEM", empty.display()));
    let text = refused(&|settings| settings.identity = Some((certificate.clone(), open.clone())));
    assert!(text.contains("chmod 600"), "{text}");
}
