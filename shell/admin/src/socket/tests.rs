use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::cluster::Drain;
use node::{Answer, Operator, PhoneLine};

use super::client::ask_within;
use super::line::{REQUEST_BYTES_MAX, Response};
use super::*;

/// A directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-admin-socket-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        path_in(&self.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn echo(operator: Operator) -> Option<Answer> {
    (operator != Operator::Stop).then(|| Answer::Done { text: format!("{operator:?}\nsecond line") })
}

/// Sends raw bytes and reads the line that comes back.
fn say(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn every_question_is_answered() {
    let directory = Directory::new("answered");
    serve(&directory.socket(), echo).unwrap();
    let ways = [Drain::Drained, Drain::Never, Drain::Calls, Drain::Ended].map(Operator::Drain);
    let others = [Operator::Status, Operator::Phones, Operator::Calls, Operator::SwitchOver, Operator::Reload];
    for operator in others.into_iter().chain(ways) {
        let answered = ask(&directory.socket(), operator).unwrap();
        assert_eq!(answered.answer, Answer::Done { text: format!("{operator:?}\nsecond line") });
        assert_eq!(answered.pid, std::process::id());
        assert!(answered.parent_pid > 0 && answered.parent_pid != answered.pid);
    }
    let stopping = ask(&directory.socket(), Operator::Stop).unwrap_err();
    assert_eq!(stopping.to_string(), "the node gave no answer: the node is stopping");
}

#[test]
fn an_answer_far_larger_than_a_socket_buffer_arrives_whole() {
    let directory = Directory::new("large");
    let phone = PhoneLine {
        endpoint: "5000".into(),
        contact: "sip:5000@192.0.2.7:5060".into(),
        source: "192.0.2.7:5060".into(),
        user_agent: "a phone".into(),
        registered_ms: 1,
        expires_seconds: 3600,
        reachability: "reachable".into(),
        round_trip_ms: Some(1.5),
    };
    let phones = Answer::Phones(vec![phone; 20_000]);
    let sent = phones.clone();
    serve(&directory.socket(), move |_| Some(sent.clone())).unwrap();
    assert_eq!(ask(&directory.socket(), Operator::Phones).unwrap().answer, phones);
}

#[test]
fn only_the_owner_may_open_it() {
    let directory = Directory::new("mode");
    serve(&directory.socket(), echo).unwrap();
    assert_eq!(fs::metadata(directory.socket()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn nobody_there_is_told() {
    let directory = Directory::new("nobody");
    let path = directory.socket();
    let missing = ask(&path, Operator::Status).unwrap_err();
    assert!(matches!(missing, AskError::NotRunning { .. }), "{missing:?}");
    drop(UnixListener::bind(&path).unwrap());
    let refused = ask(&path, Operator::Status).unwrap_err();
    assert_eq!(refused.to_string(), format!("no node is running there: nobody listens at {}", path.display()));
    let long = Path::new("/tmp").join("x".repeat(200));
    assert!(matches!(ask(&long, Operator::Status), Err(AskError::PathTooLong { .. })));
}

#[test]
fn a_frozen_node_is_a_timeout() {
    let directory = Directory::new("frozen");
    let frozen = UnixListener::bind(directory.socket()).unwrap();
    let limit = Duration::from_millis(50);
    let silent = ask_within(&directory.socket(), Operator::Status, limit).unwrap_err();
    assert!(matches!(silent, AskError::Timeout { .. }), "{silent:?}");
    drop(frozen);
}

#[test]
fn a_dead_node_leaves_room_and_a_living_one_does_not() {
    let directory = Directory::new("room");
    let path = directory.socket();
    drop(UnixListener::bind(&path).unwrap());
    serve(&path, echo).unwrap();
    assert!(ask(&path, Operator::Status).is_ok());
    assert!(matches!(serve(&path, echo), Err(ServeError::AlreadyServed { .. })));
    assert!(ask(&path, Operator::Status).is_ok(), "the living node's socket was taken away");
    let file = directory.0.join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(serve(&file, echo), Err(ServeError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn what_is_not_understood_is_answered_so() {
    let directory = Directory::new("nonsense");
    serve(&directory.socket(), echo).unwrap();
    for nonsense in ["\n", "status\n", "{\"ask\":\"nothing\"}\n", "{\"ask\":\"status\",\"more\":1}\n", "\u{0}\n"] {
        let line = say(&directory.socket(), nonsense.as_bytes());
        assert!(line.starts_with("{\"failed\":\"the question is not understood: "), "{nonsense:?}: {line}");
    }
    let line = say(&directory.socket(), b"{\"ask\":\"status\"}\n");
    assert!(line.starts_with("{\"answered\":{\"answer\":{\"done\":"), "{line}");
}

#[test]
fn a_question_that_does_not_end_is_cut() {
    let directory = Directory::new("endless");
    serve(&directory.socket(), echo).unwrap();
    let line = say(&directory.socket(), &vec![b'x'; REQUEST_BYTES_MAX + 1]);
    assert!(line.contains("the question is longer than 65536 bytes"), "{line}");
}

#[test]
fn more_than_so_many_at_once_are_told_to_try_again() {
    let directory = Directory::new("busy");
    let path = directory.socket();
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let holding = move |operator| {
        arrived.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        echo(operator)
    };
    serve(&path, holding).unwrap();
    let held: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || ask_within(&path, Operator::Status, Duration::from_secs(60)))
        })
        .collect();
    for _ in 0..CONNECTIONS_MAX {
        arrivals.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let refused = ask(&path, Operator::Status).unwrap_err();
    assert_eq!(refused.to_string(), "the node gave no answer: it is answering 16 others; try again");
    drop(release);
    for asked in held {
        assert!(asked.join().unwrap().is_ok());
    }
}

#[test]
fn an_answer_of_another_version_is_an_error_and_no_panic() {
    let directory = Directory::new("version");
    let listener = UnixListener::bind(directory.socket()).unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(b"{\"answered\":{\"answer\":{\"weather\":1}}}\n").unwrap();
        line
    });
    assert!(matches!(ask(&directory.socket(), Operator::SwitchOver), Err(AskError::Answer(_))));
    assert_eq!(other.join().unwrap(), "{\"ask\":\"switch_over\"}\n");
}

#[test]
fn responses_are_read_as_they_were_written() {
    let failed = Response::Failed("why".into());
    let text = serde_json::to_string(&failed).unwrap();
    assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), failed);
}
