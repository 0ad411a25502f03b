//! Our phone against one that nobody here wrote: SIPp's own scenarios, as caller and as called.

use std::process::Child;

use phone::{CallState, EndReason, PhoneCommand, Violation};

use super::*;

fn sipp(network: &Network, arguments: &[&str]) -> Child {
    let mut command = network.host("two").expect("a host").command("sipp");
    command.args(["-i", "10.77.0.22", "-p", "5060", "-m", "1", "-nostdin", "-timeout", "20s", "-timeout_error"]);
    command.args(arguments).current_dir(std::env::temp_dir());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.spawn().expect("SIPp (apt-get install sip-tester)")
}

fn violations(phones: &Phones) -> Vec<Violation> {
    let violations = phones.with(|driver| driver.phone(0).map(|phone| phone.violations().to_vec()));
    violations.expect("the phones run").unwrap_or_default()
}

fn lab() -> (Network, Phones) {
    let network = Network::build(&[("one", CALLER), ("two", CALLED)]).expect("a network");
    let host = network.host("one").expect("a host");
    let server = SocketAddr::from((CALLED, SIP_PORT));
    let phones = Phones::start(host, &[account("5000", CALLER)], server).expect("a phone");
    (network, phones)
}

#[test]
fn calls_a_sipp_and_hangs_up() {
    let (network, phones) = lab();
    let mut called = sipp(&network, &["-sn", "uas"]);
    phones.with(|driver| driver.command(0, PhoneCommand::Call { number: "5001".to_owned() })).expect("a call");
    reaches(&phones, |state| state == CallState::Talking);
    let peer = phones.with(|driver| driver.phone(0).and_then(|phone| phone.media_peer())).expect("the phones run");
    assert_eq!(peer.map(|peer| peer.ip()), Some(CALLED.into()));
    phones.with(|driver| driver.command(0, PhoneCommand::HangUp)).expect("the end");
    let answered = phones.wait_for(Duration::from_secs(5), |driver| {
        driver.phone(0).and_then(|phone| phone.call()).is_some_and(|call| call.bye_status == Some(200))
    });
    assert!(answered.expect("the phones run"));
    assert_eq!(violations(&phones), []);
    assert!(called.wait().expect("an end").success(), "SIPp saw its scenario through");
}

#[test]
fn is_called_by_a_sipp() {
    let (network, phones) = lab();
    let mut caller = sipp(&network, &["-sn", "uac", "-s", "5000", "-d", "300", "10.77.0.21:5060"]);
    reaches(&phones, |state| state == CallState::Ringing);
    phones.with(|driver| driver.command(0, PhoneCommand::Answer)).expect("an answer");
    reaches(&phones, |state| state == CallState::Ended { reason: EndReason::PeerHungUp });
    assert!(caller.wait().expect("an end").success(), "SIPp saw its scenario through");
    // SIPp dials the address as it was told on its command line and not the contact, which is noticed.
    let odd = violations(&phones);
    assert!(odd.iter().all(|violation| matches!(violation, Violation::WrongTarget { .. })), "{odd:?}");
}
