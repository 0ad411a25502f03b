use node::Status;

use super::*;

pub(crate) fn example() -> NodeStatus {
    let peer = PeerLine {
        name: "b".into(),
        up: true,
        role: "standby".into(),
        in_step: true,
        lsn: 812,
        links_up: 1,
        links: 1,
        about: None,
        drain: None,
    };
    let status = Status {
        node: "a".into(),
        role: "active".into(),
        protected: true,
        unprotected_because: None,
        unprotected_on_purpose: false,
        drain: None,
        epoch: "3.0".into(),
        lag_ms: 0.42,
        registrations: 12,
        calls: 5,
        address: Some("10.77.0.100".into()),
        peer: Some(peer),
        unprotected_seconds: 75.0,
        lsn: 812,
        journal_lsn: 812,
        records_waiting: 0,
        configuration_hash: "00000000deadbeef".into(),
        vrrp: None,
        priority: 150,
        tracks: Vec::new(),
        witness: None,
        pings: None,
        configuration: None,
        worst_step: None,
        records: None,
        version: "0.1.0".into(),
        level: 2,
    };
    NodeStatus { status, pid: 200, parent_pid: 100 }
}

#[test]
fn a_protected_node_says_so_first() {
    let wanted = "\
PROTECTED: the death of a node would lose nothing
  node          a (active)
  address       10.77.0.100, held here
  peer          b (standby), in step at entry 812, 1 of 1 links up
  phones        12
  calls         5
  lag           0.4 ms
  unprotected   1:15 min in all
  records       0 waiting to be stored
  epoch         3.0, at entry 812
  configuration 00000000deadbeef, of this node alone: the pair keeps no versions yet
  process       200, parent 100
";
    assert_eq!(status(&example(), false), wanted);
}

#[test]
fn records_that_wait_are_shown_with_the_reason() {
    let mut node = example();
    let well = RecordsLine { store: "mysql at 10.0.0.2:3306".into(), ..RecordsLine::default() };
    let line = |node: &NodeStatus| {
        let text = status(node, false);
        text.lines().find(|line| line.starts_with("  records")).unwrap().to_owned()
    };
    node.status.records = Some(well.clone());
    assert_eq!(line(&node), "  records       0 waiting to be stored in mysql at 10.0.0.2:3306");
    let avoided = Some("mysql at 10.0.0.1:3306: it is read-only".into());
    node.status.records = Some(RecordsLine { avoided, ..well.clone() });
    assert!(line(&node).ends_with("in mysql at 10.0.0.2:3306, because mysql at 10.0.0.1:3306: it is read-only"));
    let trouble = Some("mysql at 10.0.0.2:3306: its disk is full".into());
    node.status.records_waiting = 7;
    node.status.records = Some(RecordsLine { trouble, spooled: 3, oldest_seconds: Some(185), ..well });
    let wanted = "  records       7 and 3 on this disk WAIT for their store, the oldest for 3:05 min: \
                  mysql at 10.0.0.2:3306: its disk is full";
    assert_eq!(line(&node), wanted);
}

#[test]
fn what_is_tracked_is_shown_with_what_it_costs() {
    let mut node = example();
    let track = |name: &str, state: &str, subtracts| TrackLine { name: name.into(), state: state.into(), subtracts };
    node.status.priority = 130;
    node.status.tracks = vec![
        track("gateway 10.77.0.1", "failing", 20),
        track("process x", "fault", 0),
        track("disk /", "well", 0),
        track("file /run/x", "not measured yet", 0),
    ];
    let text = status(&node, false);
    let wanted = "  priority      130; gateway 10.77.0.1 FAILS and subtracts 20, process x FAILS, so this node is not to \
                  serve, disk / is well, file /run/x is not measured yet";
    assert!(text.lines().any(|line| line == wanted), "{text}");
}

#[test]
fn an_unprotected_node_says_why() {
    let mut node = example();
    node.status.protected = false;
    node.status.unprotected_because = Some("the peer is down".into());
    node.status.address = None;
    node.status.peer = node.status.peer.map(|peer| PeerLine { up: false, links_up: 0, ..peer });
    let text = status(&node, false);
    assert!(text.starts_with("NOT PROTECTED because the peer is down\n"), "{text}");
    assert!(text.contains("\n  peer          b: DOWN, 0 of 1 links up\n"), "{text}");
    assert!(text.contains("\n  address       not held by this node\n"), "{text}");
}

#[test]
fn a_drained_node_says_so_here_and_there() {
    let mut node = example();
    node.status.drain = Some("drained".into());
    node.status.role = "standby".into();
    assert!(status(&node, false).contains("\n  node          a (standby, drained)\n"));
    let mut node = example();
    node.status.peer = node.status.peer.map(|peer| PeerLine { drain: Some("never".into()), ..peer });
    assert!(status(&node, false).contains("\n  peer          b (standby, drained for good), in step"));
    let down = PeerLine { up: false, ..node.status.peer.clone().unwrap() };
    node.status.peer = Some(down);
    assert!(status(&node, false).contains("b: DOWN, drained for good, 1 of 1 links up"));
}

#[test]
fn colours_are_there_when_wanted_only() {
    assert!(status(&example(), true).starts_with("\u{1b}[1;32mPROTECTED\u{1b}[0m:"));
    let mut node = example();
    node.status.protected = false;
    assert!(status(&node, true).starts_with("\u{1b}[1;31mNOT PROTECTED\u{1b}[0m"));
    node.status.peer = None;
    assert!(status(&node, true).starts_with("\u{1b}[1;33mNOT PROTECTED\u{1b}[0m"));
    assert!(!status(&node, false).contains('\u{1b}'));
}

#[test]
fn phones_are_aligned_and_harmless() {
    let phone = PhoneLine {
        endpoint: "5000".into(),
        contact: "sip:5000@192.0.2.7:5060".into(),
        source: "192.0.2.7:5060".into(),
        user_agent: "Bad\u{1b}[2J".into(),
        registered_ms: 0,
        expires_seconds: 3599,
        reachability: "reachable".into(),
        round_trip_ms: Some(3.21),
    };
    let other = PhoneLine {
        endpoint: "201".into(),
        user_agent: "x".repeat(60),
        reachability: "unknown".into(),
        round_trip_ms: None,
        ..phone.clone()
    };
    let boast = format!("{}…", "x".repeat(47));
    let wanted = format!(
        "\
ENDPOINT  SOURCE          REACHABLE  ROUND TRIP  EXPIRES  {:<48}  CONTACT
5000      192.0.2.7:5060  reachable      3.2 ms   3599 s  {:<48}  sip:5000@192.0.2.7:5060
201       192.0.2.7:5060  unknown             -   3599 s  {boast}  sip:5000@192.0.2.7:5060
",
        "USER AGENT", "Bad?[2J"
    );
    assert_eq!(phones(&[phone, other], false), wanted);
    assert_eq!(phones(&[], false), "no phone is registered\n");
}

#[test]
fn calls_are_aligned() {
    let call = CallLine {
        number: 7,
        identity: "0123456789abcdef0123456789abcdef".into(),
        source: "5000".into(),
        destination: "5001".into(),
        state: "talking".into(),
        started_ms: 0,
        age_seconds: 3725.4,
        talked_seconds: Some(61.0),
    };
    let ringing =
        CallLine { number: 12, state: "ringing".into(), age_seconds: 4.9, talked_seconds: None, ..call.clone() };
    let wanted = "\
CALL  FROM  TO    STATE          AGE    TALKED  IDENTITY
   7  5000  5001  talking  1:02:05 h  1:01 min  0123456789abcdef0123456789abcdef
  12  5000  5001  ringing        4 s         -  0123456789abcdef0123456789abcdef
";
    assert_eq!(calls(&[call, ringing], false), wanted);
    assert_eq!(calls(&[], false), "no call is in progress\n");
}

#[test]
fn other_routers_are_shown_with_what_is_wrong_with_them() {
    let ours = VrrpLine {
        version: 3,
        vrid: 10,
        priority: 150,
        interval_ms: 1_000,
        own: Some("10.77.0.11".into()),
        foreign: Vec::new(),
    };
    let line = |line: VrrpLine| {
        let mut node = example();
        node.status.vrrp = Some(line);
        let text = status(&node, false);
        text.lines().find(|line| line.contains("vrrp")).unwrap().trim().to_owned()
    };
    let expected = "vrrp          router 10, version 3, priority 150 each 1000 ms, from 10.77.0.11";
    assert_eq!(line(ours.clone()), expected);
    let foreign = |claims, outranks| ForeignLine {
        address: "10.77.0.31".into(),
        priority: 200,
        interval_ms: 1_000,
        claims,
        outranks,
    };
    let with = |foreign| line(VrrpLine { foreign: vec![foreign], ..ours.clone() });
    assert_eq!(with(foreign(true, true)), format!("{expected}; 10.77.0.31 is active, priority 200, LOWER IT"));
    let other = with(foreign(false, false));
    assert!(other.ends_with("; 10.77.0.31 is active with OTHER ADDRESSES, priority 200"), "{other}");
    assert!(line(VrrpLine { own: None, ..ours }).contains("NO OWN ADDRESS"));
}

#[test]
fn the_witness_and_the_ping_targets_have_a_line_each() {
    let mut node = example();
    assert!(!status(&node, false).contains("witness"));
    let heard = node::WitnessLine {
        up: true,
        mode: "prefer".into(),
        lease: "this node".into(),
        counts: true,
        peer_hears: Some(true),
        round_trip_ms: Some(0.44),
    };
    node.status.witness = Some(heard.clone());
    node.status.pings = Some(node::PingsLine { answering: 0, targets: 2, peer_answering: Some(2) });
    let shown = status(&node, false);
    assert!(shown.contains("  witness       answers, 0.4 ms away, its lease has this node\n"), "{shown}");
    assert!(shown.contains("  ping          NONE of 2 targets answer, 2 to the peer\n"), "{shown}");
    node.status.witness = Some(node::WitnessLine { up: false, peer_hears: Some(false), round_trip_ms: None, ..heard });
    let shown = status(&node, false);
    assert!(
        shown.contains(
            "DOES NOT ANSWER, NOT heard by the peer, mode prefer; without it only a node that hears its peer serves\n"
        ),
        "{shown}"
    );
}
