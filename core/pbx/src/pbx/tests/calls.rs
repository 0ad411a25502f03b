use super::*;
use crate::record::Disposition;

const A: &str = "10.77.0.21:5060";
const B: &str = "10.77.0.22:5060";

/// Both phones registered.
fn ready() -> (World, Phone, Phone) {
    let mut world = World::new();
    let (mut a, mut b) = (Phone::new("5000", "one", A), Phone::new("5001", "two", B));
    a.register(&mut world, 3600);
    b.register(&mut world, 3600);
    a.call_id = "the-call".into();
    world.nothing_more();
    (world, a, b)
}

struct Talk {
    world: World,
    a: Phone,
    b: Phone,
    /// Our 200 to the INVITE of A; our INVITE to B.
    ok: Response,
    to_b: Request,
}

/// A has called B, B has answered, everything is acknowledged.
fn talking(step: impl Fn(&mut World)) -> Talk {
    let (mut world, mut a, b) = ready();
    let invite = a.invite(&mut world, "5001");
    world.take_response(A, 100);
    let to_b = world.take_request(B, Method::Invite);
    step(&mut world);
    world.sent.clear();
    world.send(B, &b.respond(&to_b, 180, None));
    world.take_response(A, 180);
    step(&mut world);
    world.sent.clear();
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    world.take_request(B, Method::Ack);
    let ok = world.take_response(A, 200);
    step(&mut world);
    world.sent.clear();
    let ack = a.ack(&invite, &ok, true);
    world.send(A, &ack.to_bytes());
    step(&mut world);
    world.sent.clear();
    Talk { world, a, b, ok, to_b }
}

fn stay(_: &mut World) {}

impl Talk {
    fn end_by_a(&mut self) {
        let bye = self.a.in_dialog(Method::Bye, &self.ok);
        self.world.send(A, &bye.to_bytes());
        self.world.take_response(A, 200);
        let bye = self.world.take_request(B, Method::Bye);
        assert!(bye.cseq().number > self.to_b.cseq().number);
        self.world.send(B, &self.b.respond(&bye, 200, None));
        self.world.nothing_more();
        // A's BYE may come again.
        self.world.send(A, &self.a.in_dialog(Method::Bye, &self.ok).to_bytes());
        self.world.sent.clear();
        self.world.wait(Duration::from_secs(40));
        self.over(Disposition::Answered);
    }

    fn over(&mut self, disposition: Disposition) {
        over(&mut self.world, disposition);
    }
}

/// One record, no call, no port left.
fn over(world: &mut World, disposition: Disposition) {
    assert_eq!(world.records.len(), 1, "exactly one record");
    assert_eq!(world.records[0].disposition, disposition);
    assert_eq!(world.pbx.calls.len(), 0, "{:?}", world.pbx.calls);
    assert!(world.ports.is_empty());
    assert!(world.pbx.keys.is_empty() && world.pbx.deadlines.is_empty());
}

#[test]
fn a_call_is_answered_and_hung_up_by_the_caller() {
    let mut talk = talking(stay);
    talk.world.log_is_whole();
    talk.end_by_a();
    let record = &talk.world.records[0];
    assert_eq!((record.source.as_str(), record.destination.as_str()), ("5000", "5001"));
    assert_eq!(record.context, "ramais");
    assert_eq!(record.last_application, "Dial");
    assert!(record.answered.is_some() && record.channel.starts_with("SIP/5000-"));
}

#[test]
fn the_media_of_both_sides_is_connected_through_our_ports() {
    let talk = talking(stay);
    let ports: Vec<&Port> = talk.world.ports.values().collect();
    let [caller, callee] = ports[..] else { panic!("{ports:?}") };
    assert_eq!(caller.forward_to, Some(callee.port));
    assert_eq!(callee.forward_to, Some(caller.port));
    assert_eq!(caller.remote.unwrap().rtp, "10.77.0.21:4000".parse().unwrap());
    assert_eq!(callee.remote.unwrap().rtp, "10.77.0.22:4002".parse().unwrap());
    let told_b = String::from_utf8(talk.to_b.body.clone()).unwrap();
    assert!(
        told_b.contains(&format!("m=audio {} ", callee.port)) && told_b.contains("c=IN IP4 10.77.0.100"),
        "{told_b}"
    );
    let told_a = String::from_utf8(talk.ok.body.clone()).unwrap();
    assert!(told_a.contains(&format!("m=audio {} ", caller.port)), "{told_a}");
}

#[test]
fn a_clock_that_is_set_during_a_call_leaves_the_record_in_order() {
    let mut talk = talking(|world| world.wall_us -= 3_600_000_000);
    talk.world.wait(Duration::from_secs(7));
    talk.end_by_a();
    talk.world.wait(Duration::from_secs(40));
    let record = &talk.world.records[0];
    let (answered, ended) = (record.answered.unwrap(), record.ended.unwrap());
    assert_eq!(ended.wall.0 - answered.wall.0, 7_000_000);
    assert!(record.started.wall <= answered.wall);
}

#[test]
fn the_callee_hangs_up() {
    let mut talk = talking(stay);
    let bye = talk.b.in_dialog_of(Method::Bye, &talk.to_b);
    talk.world.send(B, &bye.to_bytes());
    talk.world.take_response(B, 200);
    let bye = talk.world.take_request(A, Method::Bye);
    talk.world.send(A, &talk.a.respond(&bye, 200, None));
    talk.world.wait(Duration::from_secs(40));
    talk.over(Disposition::Answered);
}

#[test]
fn a_call_moves_to_the_other_node_after_every_message() {
    let mut talk = talking(World::move_to_other_node);
    talk.end_by_a();
}

#[test]
fn what_was_said_last_is_said_again_by_the_other_node() {
    let (mut world, mut a, b) = ready();
    a.invite(&mut world, "5001");
    let to_b = world.take_request(B, Method::Invite);
    world.move_to_other_node();
    world.take_response(A, 100);
    assert_eq!(world.take_request(B, Method::Invite), to_b, "the same branch and CSeq");
    world.send(B, &b.respond(&to_b, 180, None));
    world.move_to_other_node();
    world.take_response(A, 180);
    world.nothing_more();
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    world.move_to_other_node();
    world.take_response(A, 200);
    world.take_request(B, Method::Ack);
}

#[test]
fn hold_and_resume_are_answered_with_the_mirrored_direction() {
    let mut talk = talking(stay);
    for (direction, mirrored) in [("sendonly", "recvonly"), ("sendrecv", "sendrecv"), ("inactive", "inactive")] {
        let mut reinvite = talk.a.in_dialog(Method::Invite, &talk.ok);
        reinvite.headers.push("Content-Type", "application/sdp");
        reinvite.body = sdp(A, 4000, direction);
        talk.world.send(A, &reinvite.to_bytes());
        let ok = talk.world.take_response(A, 200);
        let body = String::from_utf8(ok.body.clone()).unwrap();
        assert!(body.contains(&format!("a={mirrored}")), "{direction}: {body}");
        assert!(body.contains("RTP/AVP 0 8 101"), "the codecs stay: {body}");
        talk.world.log_is_whole();
        let ack = talk.a.ack(&reinvite, &ok, true);
        talk.world.send(A, &ack.to_bytes());
        talk.world.nothing_more();
        let hears = talk.world.ports.values().filter(|port| port.forward_to.is_some()).count();
        assert_eq!(hears, if direction == "sendrecv" { 2 } else { 1 }, "{direction}: who holds is sent nothing");
        talk.world.move_to_other_node();
        talk.world.sent.clear();
    }
    talk.end_by_a();
}

#[test]
fn the_caller_cancels() {
    let (mut world, mut a, b) = ready();
    let invite = a.invite(&mut world, "5001");
    world.take_response(A, 100);
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 180, None));
    world.take_response(A, 180);
    let mut cancel = invite.clone();
    cancel.method = Method::Cancel;
    cancel.body.clear();
    cancel.headers.set("CSeq", format!("{} CANCEL", invite.cseq().number));
    world.send(A, &cancel.to_bytes());
    world.take_response(A, 200);
    let terminated = world.take_response(A, 487);
    let to_b_cancel = world.take_request(B, Method::Cancel);
    assert_eq!(to_b_cancel.top_via().unwrap().branch(), to_b.top_via().unwrap().branch());
    world.send(A, &a.ack(&invite, &terminated, false).to_bytes());
    world.send(B, &b.respond(&to_b_cancel, 200, None));
    world.send(B, &b.respond(&to_b, 487, None));
    world.take_request(B, Method::Ack);
    world.nothing_more();
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::NoAnswer);
}

#[test]
fn a_busy_callee_is_told_to_the_caller() {
    let (mut world, mut a, b) = ready();
    let invite = a.invite(&mut world, "5001");
    world.take_response(A, 100);
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 486, None));
    world.take_request(B, Method::Ack);
    let busy = world.take_response(A, 486);
    world.send(A, &a.ack(&invite, &busy, false).to_bytes());
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::Busy);
}

#[test]
fn nobody_answers_within_the_time_of_dial() {
    let (mut world, mut a, b) = ready();
    a.invite(&mut world, "5001");
    world.take_response(A, 100);
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 180, None));
    world.take_response(A, 180);
    world.wait(Duration::from_millis(24_900));
    world.nothing_more();
    world.wait(Duration::from_millis(200));
    world.take_request(B, Method::Cancel);
    world.take_response(A, 480);
    world.wait(Duration::from_secs(80));
    over(&mut world, Disposition::NoAnswer);
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let (mut world, mut a, b) = ready();
    a.invite(&mut world, "5001");
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 180, None));
    world.wait(Duration::from_millis(25_100));
    world.sent.clear();
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    world.take_request(B, Method::Ack);
    world.take_request(B, Method::Bye);
    world.wait(Duration::from_secs(80));
    over(&mut world, Disposition::NoAnswer);
}

#[test]
fn a_phone_without_registration_is_unavailable() {
    let mut world = World::new();
    let mut a = Phone::new("5000", "one", A);
    a.invite(&mut world, "5001");
    world.take_response(A, 100);
    world.take_response(A, 480);
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::NoAnswer);
}

#[test]
fn numbers_that_the_dialplan_lacks_are_not_found_and_make_no_record() {
    let (mut world, mut a, _) = ready();
    a.invite(&mut world, "999");
    world.take_response(A, 404);
    assert!(world.records.is_empty() && world.pbx.calls.is_empty());
}

#[test]
fn echo_sends_the_caller_its_own_packets() {
    let (mut world, mut a, _) = ready();
    let invite = a.invite(&mut world, "600");
    world.take_response(A, 100);
    let ok = world.take_response(A, 200);
    world.send(A, &a.ack(&invite, &ok, true).to_bytes());
    let port = world.ports.values().next().unwrap();
    assert_eq!(port.forward_to, Some(port.port));
    assert!(port.echo_ssrc.is_some());
    world.log_is_whole();
    world.move_to_other_node();
    let bye = a.in_dialog(Method::Bye, &ok);
    world.send(A, &bye.to_bytes());
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::Answered);
}

#[test]
fn busy_and_congestion_refuse_before_an_answer() {
    for (number, status, disposition) in [("601", 486, Disposition::Busy), ("602", 503, Disposition::Congestion)] {
        let (mut world, mut a, _) = ready();
        a.invite(&mut world, number);
        world.take_response(A, 100);
        world.take_response(A, status);
        world.wait(Duration::from_secs(40));
        over(&mut world, disposition);
    }
}

/// While an operator lets the calls come to an end, new ones are sent away for a while and those that there are go on.
#[test]
fn a_closed_pbx_takes_no_new_calls() {
    let (mut world, mut a, mut b) = ready();
    let invite = a.invite(&mut world, "603");
    world.take_response(A, 100);
    let ok = world.take_response(A, 200);
    world.send(A, &a.ack(&invite, &ok, true).to_bytes());
    world.pbx.set_closed(true);
    world.sent.clear();
    b.invite(&mut world, "600");
    let refused = world.take_response(B, 503);
    assert_eq!(refused.headers.value("Retry-After"), Some("60"));
    assert_eq!(world.pbx.calls_live(), 1);
    world.sent.clear();
    world.wait(Duration::from_secs(6));
    let bye = world.take_request(A, Method::Bye);
    world.send(A, &a.respond(&bye, 200, None));
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::Answered);
    world.pbx.set_closed(false);
    b.call_id = "another-call".into();
    world.sent.clear();
    b.invite(&mut world, "600");
    world.take_response(B, 100);
    world.take_response(B, 200);
}

#[test]
fn wait_goes_on_at_the_other_node() {
    let (mut world, mut a, _) = ready();
    let invite = a.invite(&mut world, "603");
    world.take_response(A, 100);
    let ok = world.take_response(A, 200);
    world.send(A, &a.ack(&invite, &ok, true).to_bytes());
    world.wait(Duration::from_secs(3));
    world.move_to_other_node();
    world.wait(Duration::from_millis(1_900));
    world.sent.clear();
    world.wait(Duration::from_millis(200));
    let bye = world.take_request(A, Method::Bye);
    world.send(A, &a.respond(&bye, 200, None));
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::Answered);
    assert_eq!(world.records[0].billable_seconds(), 5);
}

#[test]
fn an_answer_that_nobody_acknowledges_ends_the_call() {
    let (mut world, mut a, b) = ready();
    a.invite(&mut world, "5001");
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    world.sent.clear();
    world.wait(Duration::from_secs(33));
    let sent: Vec<_> = world.sent.iter().filter_map(|transmit| Message::parse(&transmit.bytes).ok()).collect();
    let byes = sent.iter().filter(|message| matches!(message, Message::Request(it) if it.method == Method::Bye));
    assert!(byes.count() >= 2, "both sides are told");
    world.wait(Duration::from_secs(80));
    over(&mut world, Disposition::Answered);
}

#[test]
fn a_caller_whose_ack_is_missing_is_told_of_the_end_after_it() {
    let (mut world, mut a, mut b) = ready();
    let invite = a.invite(&mut world, "5001");
    let to_b = world.take_request(B, Method::Invite);
    world.take_response(A, 100);
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    let ok = world.take_response(A, 200);
    world.take_request(B, Method::Ack);
    let bye = b.in_dialog_of(Method::Bye, &to_b);
    world.send(B, &bye.to_bytes());
    world.take_response(B, 200);
    world.nothing_more();
    world.move_to_other_node();
    world.take_response(A, 200);
    let ack = a.ack(&invite, &ok, true);
    world.send(A, &ack.to_bytes());
    let bye = world.take_request(A, Method::Bye);
    world.send(A, &a.respond(&bye, 200, None));
    world.wait(Duration::from_secs(40));
    over(&mut world, Disposition::Answered);
}

#[test]
fn a_reinvite_is_as_good_as_the_ack_before_it() {
    let (mut world, mut a, b) = ready();
    a.invite(&mut world, "5001");
    let to_b = world.take_request(B, Method::Invite);
    world.take_response(A, 100);
    world.send(B, &b.respond(&to_b, 200, Some(4002)));
    let ok = world.take_response(A, 200);
    // The ACK is lost.
    let mut hold = a.in_dialog(Method::Invite, &ok);
    hold.headers.push("Content-Type", "application/sdp");
    hold.body = sdp(A, 4000, "sendonly");
    world.send(A, &hold.to_bytes());
    let held = world.take_response(A, 200);
    let ack = a.ack(&hold, &held, true);
    world.send(A, &ack.to_bytes());
    world.sent.clear();
    world.wait(Duration::from_secs(40));
    world.nothing_more();
    assert_eq!(world.pbx.calls.len(), 1);
}

#[test]
fn requests_outside_any_dialog_are_refused() {
    let (mut world, mut a, _) = ready();
    for (method, status) in [(Method::Bye, 481), (Method::Cancel, 481), (Method::Refer, 405), (Method::Options, 200)] {
        let request = a.request(method, "sip:5001@10.77.0.100");
        world.send(A, &request.to_bytes());
        world.take_response(A, status);
    }
    world.nothing_more();
}
