//! What nodes print is read in each form they may print it, and their files are what people have.

use super::*;

#[test]
fn a_status_is_read() {
    let text = r#"{"node":"a","role":"active","protected":true,"epoch":{"number":3,"node":0},"lag_ms":0.4,
        "registrations":12,"calls":[{},{}],"address":"10.77.0.100","peer":{"name":"b"},"pid":7,"parent_pid":6,"x":1}"#;
    let status = Status::read(text).expect("a status");
    assert!(status.protected && status.serves());
    assert_eq!((status.registration_count(), status.call_count()), (Some(12), Some(2)));
    assert_eq!((status.pid, status.parent_pid), (Some(7), Some(6)));
    let least = Status::read(r#"{"node":"b","role":"standby"}"#).expect("a status");
    assert!(!least.serves() && !least.protected);
    assert!(Status::read("no JSON").is_err());
}

#[test]
fn records_are_read_in_every_form() {
    let row = r#"{"src":"5000","dst":"5001","disposition":"ANSWERED","duration":7,"billsec":5,"uniqueid":"u","id":1}"#;
    for text in [format!("[{row}]"), format!("{{\"records\":[{row}]}}"), format!("{row}\n")] {
        let rows = CallRow::read(&text).expect("records");
        assert_eq!(rows.len(), 1, "{text}");
        assert_eq!((rows[0].src.as_str(), rows[0].billsec), ("5000", 5.0));
        assert_eq!(rows[0].identity, "u");
    }
    assert_eq!(CallRow::read("").expect("none"), []);
    assert!(CallRow::read("[{\"src\":1}]").is_err());
}

#[test]
fn the_dialplan_reaches_every_account() {
    let directory = std::env::temp_dir().join(format!("tandem-lab-files-{}", std::process::id()));
    let account = |number: &str| Account {
        number: number.to_owned(),
        password: "pw".to_owned(),
        address: Ipv4Addr::new(10, 77, 0, 21),
    };
    write_pbx(&directory, &[account("5000"), account("5001")]).expect("files");
    let sip = fs::read_to_string(directory.join("sip.conf")).expect("sip.conf");
    assert_eq!(sip.matches("type=friend").count(), 2);
    assert!(sip.contains("[5001]") && sip.contains("secret=pw"));
    let dialplan = fs::read_to_string(directory.join("extensions.conf")).expect("extensions.conf");
    assert!(dialplan.contains("exten => _5XXX,1,Dial(SIP/${EXTEN},7200)"), "{dialplan}");
    assert!(dialplan.contains("exten => 600,2,Echo"), "{dialplan}");
    fs::remove_dir_all(&directory).expect("removal");
}

#[test]
fn one_setting_is_taken_out_and_no_other() {
    let text = "[node]\nname = \"a\"\nwait_for_peer = 2\n\n[service]\nwait_for_peers = 3\n";
    let less = "[node]\nname = \"a\"\n\n[service]\nwait_for_peers = 3\n";
    assert_eq!(without_setting(text, "wait_for_peer"), less);
    assert_eq!(without_setting(less, "wait_for_peer"), less);
}

#[test]
fn a_node_s_wall_clock_is_set_for_itself_alone() {
    const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
    let now_s = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a date").as_secs() as i64;
    let directory = std::env::temp_dir().join(format!("tandem-lab-clock-{}", std::process::id()));
    let network = crate::netns::Network::build(&[("a", HERE)]).expect("a network");
    let host = network.host("a").expect("a host");
    let mut node = Node::alone(host, Path::new("/bin/sh"), &directory, &[]).expect("files");
    assert!(node.set_clock(0).is_err(), "it has none yet");
    node.use_own_clock().expect("a clock");
    let told = |ahead_s: i64| {
        node.set_clock(ahead_s).expect("a clock");
        let mut command = node.with_own_clock(node.clock.as_deref().expect("a clock")).expect("the library");
        command.args(["-c", "date +%s"]);
        let text = process::run(&mut command, "", COMMAND_LIMIT).expect("a date");
        text.trim().parse::<i64>().expect("seconds") - now_s()
    };
    for ahead_s in [3_600, -3_600, 0] {
        assert!((ahead_s - 5..=ahead_s + 5).contains(&told(ahead_s)), "{ahead_s}");
    }
    fs::remove_dir_all(&directory).expect("removal");
}
