//! The rules of learning, as tables: what happens at A's port, and where B's packets to A then go.

use super::*;

/// A's address in its SDP.
const SIGNALLED: &str = "192.0.2.1:4000";
/// A behind its NAT.
const NAT: &str = "198.51.100.1:7000";
/// The same NAT after it chose another port.
const REBOUND: &str = "198.51.100.1:7002";
const STRANGER: &str = "203.0.113.9:9000";

enum Step {
    /// A packet from this address, and whether it is passed on.
    Packet(&'static str, bool),
    Update(&'static str),
    TakenOver,
    /// The port is opened at another node with what this one would have replicated.
    OtherNode,
}

use Step::*;

/// Each row: milliseconds, what happens, and where packets to A go afterwards.
fn check(name: &str, symmetric: bool, rows: &[(u64, Step, &str)]) {
    for rtcp in [0, 1] {
        let mut relay = call();
        let a = |remote| Port { symmetric, ..port(A_PORT, remote, Some(B_PORT)) };
        // For RTCP the same table is played on the odd port, with the same addresses.
        let at = |address: &str| Some(Remote { rtp: self::address(address), rtcp: self::address(address) });
        relay.update(a(at(SIGNALLED)));
        let mut known = address(SIGNALLED);
        for (row, (millis, step, destination)) in rows.iter().enumerate() {
            let context = format!("{name}, row {row}, rtcp {rtcp}");
            let now = LocalTime::from_millis(*millis);
            match step {
                Packet(source, is_passed) => {
                    let sent = send(&mut relay, *millis, A_PORT + rtcp, source);
                    assert_eq!(sent.is_some(), *is_passed, "{context}");
                }
                Update(remote) => relay.update(a(at(remote))),
                TakenOver => relay.taken_over(now),
                OtherNode => {
                    let mut other = call();
                    other.update(a(Some(Remote { rtp: known, rtcp: known })));
                    relay = other;
                }
            }
            for learned in relay.learned() {
                assert_eq!(learned.port, A_PORT, "{context}");
                let (this, that) = if rtcp == 0 { (learned.rtp, learned.rtcp) } else { (learned.rtcp, learned.rtp) };
                assert_eq!(that, None, "{context}: the other of RTP and RTCP learns by itself");
                known = this.unwrap();
            }
            let sent = send(&mut relay, *millis, B_PORT + rtcp, "192.0.2.2:5000").unwrap();
            // B's own port is learned only in this table's world, not in its reports.
            relay.learned();
            assert_eq!(sent.destination, address(destination), "{context}");
            if !matches!(step, Update(_)) {
                assert_eq!(known, address(destination), "{context}: the node knows");
            } else {
                known = address(destination);
            }
        }
    }
}

#[test]
fn the_first_source_is_learned_and_held() {
    check(
        "held",
        true,
        &[
            (0, Packet(NAT, true), NAT),
            (20, Packet(STRANGER, false), NAT),
            (2_000, Packet(STRANGER, false), NAT),
            (2_000, Packet(NAT, true), NAT),
            (4_000, Packet(STRANGER, false), NAT),
            (4_001, Packet(STRANGER, true), STRANGER),
        ],
    );
}

#[test]
fn a_silent_source_gives_way() {
    check(
        "silent",
        true,
        &[
            (0, Packet(NAT, true), NAT),
            (2_001, Packet(REBOUND, true), REBOUND),
            (2_002, Packet(NAT, false), REBOUND),
            (4_002, Packet(NAT, true), NAT),
        ],
    );
}

#[test]
fn the_signalled_address_is_never_a_stranger() {
    check(
        "signalled",
        true,
        &[
            (0, Packet(STRANGER, true), STRANGER),
            (10, Packet(SIGNALLED, true), SIGNALLED),
            (20, Packet(STRANGER, false), SIGNALLED),
        ],
    );
}

#[test]
fn an_update_keeps_what_was_learned_unless_another_address_is_signalled() {
    check(
        "updated",
        true,
        &[
            (0, Packet(NAT, true), NAT),
            // The node replicates what was learned and says it back, or changes something else.
            (10, Update(NAT), NAT),
            (15, Packet(STRANGER, false), NAT),
            (20, Update(NAT), NAT),
            // The party has moved.
            (30, Update("192.0.2.77:6000"), "192.0.2.77:6000"),
            (40, Packet(REBOUND, true), REBOUND),
        ],
    );
    check(
        "unchanged",
        true,
        &[(0, Packet(NAT, true), NAT), (10, Update(SIGNALLED), NAT), (20, Packet(STRANGER, false), NAT)],
    );
}

#[test]
fn the_other_node_goes_on_where_this_one_was() {
    check(
        "taken over",
        true,
        &[
            (0, Packet(NAT, true), NAT),
            (10, OtherNode, NAT),
            (20, TakenOver, NAT),
            (30, Packet(NAT, true), NAT),
            (40, Packet(STRANGER, false), NAT),
        ],
    );
    check(
        "a stranger is first after a takeover",
        true,
        &[
            (0, Packet(NAT, true), NAT),
            (10, OtherNode, NAT),
            (20, TakenOver, NAT),
            (30, Packet(STRANGER, true), STRANGER),
            (40, Packet(NAT, true), NAT),
            (50, Packet(STRANGER, false), NAT),
        ],
    );
    check(
        "only signalled before the takeover",
        true,
        &[(10, OtherNode, SIGNALLED), (20, TakenOver, SIGNALLED), (30, Packet(NAT, true), NAT)],
    );
}

#[test]
fn without_symmetric_only_the_signalled_host_is_heard_and_sent_to() {
    check(
        "not symmetric",
        false,
        &[
            (0, Packet(NAT, false), SIGNALLED),
            (10, Packet(SIGNALLED, true), SIGNALLED),
            (20, Packet("192.0.2.1:4998", true), SIGNALLED),
            (9_000, Packet(NAT, false), SIGNALLED),
            (9_010, Update(NAT), NAT),
            (9_020, Packet(NAT, true), NAT),
            (9_030, Packet(SIGNALLED, false), NAT),
        ],
    );
}

#[test]
fn a_takeover_keeps_whoever_talks_and_forgets_an_earlier_reign() {
    let mut relay = call();
    send(&mut relay, 0, A_PORT, NAT);
    assert_eq!(relay.learned(), [Learned { port: A_PORT, rtp: Some(address(NAT)), rtcp: None }]);
    relay.taken_over(LocalTime::from_millis(2_000));
    assert_eq!(send(&mut relay, 2_000, A_PORT, STRANGER), None);
    // What the node was never told is not worth keeping over what it believes.
    send(&mut relay, 5_000, A_PORT, REBOUND);
    relay.taken_over(LocalTime::from_millis(60_000));
    assert_eq!(send(&mut relay, 60_000, B_PORT, "192.0.2.2:5000"), forward(A_PORT, NAT));
    // Another node served meanwhile, and what it learned was replicated before it was lost.
    relay.update(port(A_PORT, remote("198.51.100.1:7100"), Some(B_PORT)));
    assert_eq!(send(&mut relay, 60_000, B_PORT, "192.0.2.2:5000"), forward(A_PORT, "198.51.100.1:7100"));
}

#[test]
fn changes_are_reported_once_and_together() {
    let mut relay = call();
    assert_eq!(relay.learned(), []);
    send(&mut relay, 0, A_PORT, NAT);
    send(&mut relay, 0, A_PORT + 1, REBOUND);
    send(&mut relay, 1, B_PORT, "192.0.2.2:5000");
    let both = Learned { port: A_PORT, rtp: Some(address(NAT)), rtcp: Some(address(REBOUND)) };
    assert_eq!(relay.learned(), [both]);
    send(&mut relay, 20, A_PORT, NAT);
    assert_eq!(relay.learned(), []);
    // Learned and gone back before anybody asked: nothing to tell.
    send(&mut relay, 30, B_PORT, STRANGER);
    send(&mut relay, 3_000, B_PORT, STRANGER);
    send(&mut relay, 3_001, B_PORT, "192.0.2.2:5000");
    assert_eq!(relay.learned(), []);
    // Port A is closed before anybody asked.
    send(&mut relay, 6_000, A_PORT, REBOUND);
    relay.close(A_PORT);
    assert_eq!(relay.learned(), []);
}
