//! One node alone: its daemon dies and comes back, and two baresips talk on.

use std::thread;
use std::time::{Duration, Instant};

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

#[test]
fn baresip_talks_on_when_a_lone_node_is_killed_and_starts_again() {
    let mut lab = Lab::alone(RAMAIS.name);
    lab.wait_protected();
    let phones = Phones::start(&lab, PORT);
    let Phones { one, two } = &phones;
    let (registered, sent) = (lab.registered_ms(), [one.registers_sent(), two.registers_sent()]);
    phones.call(one, two);
    let begun = Instant::now();
    let before_us = now_us();
    thread::sleep(Duration::from_secs(1));
    let before = phones.silences_ms(before_us);
    let daemon = lab.nodes[0].daemon().expect("a daemon");
    let struck_us = now_us();
    lab.nodes[0].signal_daemon(daemon, Signal::SIGKILL).expect("a kill");
    thread::sleep(Duration::from_millis(2_500));
    let after = phones.silences_ms(struck_us);
    println!("restart: longest silences {before:.1?} ms before, {after:.1?} ms after it");
    phones.hear_each_other("after the restart");
    let talked_ms = begun.elapsed().as_secs_f64() * 1000.0;
    assert_ne!(lab.nodes[0].daemon().expect("a daemon"), daemon, "it is another process");
    phones.hold_and_resume();
    phones.hang_up(two);
    let silent_ms = after[0].max(after[1]);
    phones.check_recordings(talked_ms - silent_ms);
    phones.call(two, one);
    phones.hang_up(two);
    assert_eq!(lab.registered_ms(), registered, "nobody had to register again");
    assert_eq!([one.registers_sent(), two.registers_sent()], sent, "nobody tried to");
    lab.wait_records(2);
    assert!(silent_ms <= SLACK * PROMISE_MS, "{silent_ms:.1} ms of silence");
}
