use std::fs;
use std::path::PathBuf;

use super::*;
use crate::cli::Target;

/// A directory with a node's socket, removed at the end of its test.
struct Served(PathBuf);

impl Served {
    fn new(test: &str, answer: Answer) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-admin-operate-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        socket::serve(&socket::path_in(&path), move |_| Some(answer.clone())).unwrap();
        Self(path)
    }

    fn run(&self, json: bool) -> (bool, String) {
        let target = Target { config: PathBuf::new(), state_dir: Some(self.0.clone()) };
        let mut out = Vec::new();
        let done = run(Operator::Status, &NodeArguments { target, json }, false, &mut out).unwrap();
        (done, String::from_utf8(out).unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_status_has_the_promised_fields_and_the_processes() {
    let example = human::tests::example();
    let served = Served::new("status", Answer::Status(Box::new(example.status.clone())));
    let (done, text) = served.run(true);
    assert!(done);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["node", "role", "protected", "epoch", "lag_ms", "registrations", "calls", "address", "peer"] {
        assert!(object.get(field).is_some(), "no {field} in {text}");
    }
    assert_eq!(object["pid"], std::process::id());
    assert!(object["parent_pid"].is_u64());
    assert_eq!(serde_json::from_str::<NodeStatus>(&text).unwrap().status, example.status);
    assert!(served.run(false).1.starts_with("PROTECTED: "));
}

#[test]
fn lists_are_arrays() {
    assert_eq!(Served::new("phones", Answer::Phones(Vec::new())).run(true), (true, "[]\n".into()));
    assert_eq!(Served::new("calls", Answer::Calls(Vec::new())).run(true), (true, "[]\n".into()));
}

#[test]
fn what_was_refused_is_no_success() {
    let refused = Served::new("refused", Answer::Refused { text: "not protected".into() });
    assert_eq!(refused.run(false), (false, "refused: not protected\n".into()));
    let object: serde_json::Value = serde_json::from_str(&refused.run(true).1).unwrap();
    assert_eq!(object, serde_json::json!({ "done": false, "text": "not protected" }));
    let done = Served::new("done", Answer::Done { text: "handing over".into() });
    assert_eq!(done.run(false), (true, "handing over\n".into()));
}
