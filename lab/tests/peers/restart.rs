//! One node alone: it dies and comes back, and two baresips talk on.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::SLACK;
use crate::baresip_calls::Phones;
use crate::capture::now_us;
use crate::pair::Lab;
use crate::sipp::RAMAIS;

/// `--listen` of a lone node in the lab.
const PORT: u16 = 5060;

/// The goal for a restart (design, section 1).
const PROMISE_MS: f64 = 300.0;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    /// The daemon; its parent starts another one.
    Daemon,
    /// Both at once; the service manager, here the test, starts the node again.
    Everything,
}

fn kill(lab: &mut Lab, death: Death) {
    let node = &mut lab.nodes[0];
    let status = node.status().expect("a status");
    if death == Death::Everything {
        node.signal(status.parent_pid.expect("a parent"), Signal::SIGKILL).expect("a kill");
    }
    // It may have followed its parent by itself.
    let killed = node.signal(status.pid.expect("a daemon"), Signal::SIGKILL);
    assert!(death == Death::Everything || killed.is_ok());
    if death == Death::Everything {
        while node.is_running() {
            thread::sleep(Duration::from_millis(1));
        }
        node.start().expect("a node");
    }
}

fn talks_on(death: Death) {
    let mut lab = Lab::alone(RAMAIS.name);
    lab.nodes[0].start().expect("a node");
    lab.wait_protected();
    let phones = Phones::start(&lab, PORT);
    let Phones { one, two } = &phones;
    let (registered, sent) = (lab.registered_ms(), [one.registers_sent(), two.registers_sent()]);
    let begun_us = now_us();
    phones.call(one, two);
    let before_us = now_us();
    thread::sleep(Duration::from_secs(1));
    let before = phones.silences_ms(before_us);
    let daemon = lab.nodes[0].daemon().expect("a daemon");
    let struck_us = now_us();
    kill(&mut lab, death);
    thread::sleep(Duration::from_millis(2_500));
    let after = phones.silences_ms(struck_us);
    println!("{death:?} restarted: longest silences {before:.1?} ms before, {after:.1?} ms after it");
    phones.hear_each_other("after the restart");
    assert_ne!(lab.nodes[0].daemon().expect("a daemon"), daemon, "it is another process");
    let came = phones.came_since(begun_us);
    phones.hold_and_resume();
    phones.hang_up(two);
    phones.check_recordings(came);
    phones.call(two, one);
    phones.hang_up(two);
    assert_eq!(lab.registered_ms(), registered, "nobody had to register again");
    assert_eq!([one.registers_sent(), two.registers_sent()], sent, "nobody tried to");
    lab.wait_records(2);
    let silent_ms = after[0].max(after[1]);
    assert!(silent_ms <= SLACK * PROMISE_MS, "{silent_ms:.1} ms of silence");
}

#[test]
fn baresip_talks_on_when_a_lone_daemon_is_killed() {
    talks_on(Death::Daemon);
}

#[test]
fn baresip_talks_on_when_a_lone_node_is_killed_and_started_again() {
    talks_on(Death::Everything);
}
