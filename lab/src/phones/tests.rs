//! Two phones in namespaces of their own, one calling the other straight, with audio through real sockets.

mod sipp;

use std::net::Ipv4Addr;

use phone::audio::{ListenerReport, Mark};
use phone::{CallState, PhoneCommand};

use super::*;
use crate::netns::Network;

const CALLER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 21);
const CALLED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 22);

fn account(number: &str, address: Ipv4Addr) -> Account {
    Account { number: number.to_owned(), password: "secret".to_owned(), address }
}

fn state(phones: &Phones) -> CallState {
    phones.with(|driver| driver.phone(0).map_or(CallState::Idle, |phone| phone.state())).expect("a state")
}

fn reaches(phones: &Phones, wanted: fn(CallState) -> bool) {
    let reached = phones
        .wait_for(Duration::from_secs(5), move |driver| driver.phone(0).is_some_and(|phone| wanted(phone.state())));
    assert!(reached.expect("the phones run"), "{:?}", state(phones));
}

/// A network, and two phones that talk to each other straight.
fn talking() -> (Network, [Phones; 2]) {
    let network = Network::build(&[("one", CALLER), ("two", CALLED)]).expect("a network");
    let host = |name| network.host(name).expect("a host");
    let server = |address| SocketAddr::from((address, SIP_PORT));
    let caller = Phones::start(host("one"), &[account("5000", CALLER)], server(CALLED)).expect("a phone");
    let called = Phones::start(host("two"), &[account("5001", CALLED)], server(CALLER)).expect("a phone");
    let (own, other) = (Mark { call: 1, phone: 0 }, Mark { call: 1, phone: 1 });
    for (phones, speaks, hears) in [(&caller, own, other), (&called, other, own)] {
        phones.with(move |driver| driver.prepare_audio(0, speaks, hears)).expect("audio");
    }
    caller.with(|driver| driver.command(0, PhoneCommand::Call { number: "5001".to_owned() })).expect("a call");
    reaches(&called, |state| state == CallState::Ringing);
    called.with(|driver| driver.command(0, PhoneCommand::Answer)).expect("an answer");
    reaches(&caller, |state| state == CallState::Talking);
    reaches(&called, |state| state == CallState::Talking);
    (network, [caller, called])
}

fn report(driver: &Driver) -> ListenerReport {
    driver.handsets[0].listener.as_ref().map(|listener| listener.report(driver.now_us())).unwrap_or_default()
}

fn hears_new(phones: &Phones, count: u64) {
    let heard = phones.wait_for(Duration::from_secs(5), move |driver| report(driver).new >= count);
    assert!(heard.expect("the phones run"));
}

#[test]
fn a_call_from_phone_to_phone_has_the_right_audio() {
    let (_network, [caller, called]) = talking();
    for phones in [&caller, &called] {
        hears_new(phones, 20);
        let report = phones.with(|driver| report(driver)).expect("the phones run");
        assert_eq!((report.foreign, report.noise, report.ssrc_changes, report.lost), (0, 0, 0, 0));
        assert!(report.silence_us >= 15_000, "{report:?}");
    }
    called.with(|driver| driver.command(0, PhoneCommand::HangUp)).expect("the end");
    reaches(&caller, CallState::is_over);
    let status = called.wait_for(Duration::from_secs(5), |driver| {
        driver.phone(0).and_then(|phone| phone.call()).is_some_and(|call| call.bye_status == Some(200))
    });
    assert!(status.expect("the phones run"));
}

#[test]
fn a_cut_is_heard_as_silence_and_its_end_as_audio() {
    const CUT: Duration = Duration::from_millis(300);
    let (network, phones) = talking();
    phones.iter().for_each(|phones| hears_new(phones, 10));
    network.cut("two").expect("a cut");
    phones.iter().for_each(|phones| phones.with(|driver| driver.start_windows(&[0])).expect("the phones run"));
    thread::sleep(CUT);
    network.heal("two").expect("a heal");
    for phones in &phones {
        hears_new(phones, 10);
        let report = phones.with(|driver| report(driver)).expect("the phones run");
        assert!(report.silence_us >= CUT.as_micros() as u64, "{report:?}");
    } // What the host without carrier wanted to send may have waited in its kernel; what it was sent is gone.
    let lost = phones[1].with(|driver| report(driver).lost).expect("the phones run");
    assert!(lost >= 10, "{lost}");
}
