//! Two PBXs that went on from one state without each other, and what one of them makes of both.

use super::*;
use crate::object::kind;
use crate::record::Disposition;

const A: &str = "10.77.0.21:5060";
const B: &str = "10.77.0.22:5060";

type Objects = BTreeMap<(u8, String), Vec<u8>>;

/// Both sides of a split, and what they had in common when it began.
struct Split {
    common: Objects,
    stays: World,
    yields: World,
    /// When the side that yields noticed.
    alone_since: ClusterTime,
}

/// The same state at the node of this index, with the same things open.
fn copy(world: &World, index: u8) -> World {
    let mut pbx = new_pbx(index);
    let now = world.now();
    let objects = world.log.iter().map(|((kind, id), value)| (*kind, id.as_str(), value.as_slice()));
    assert!(pbx.replace(now, objects).is_empty());
    pbx.take_over();
    let mut copy = World { pbx, log: world.log.clone(), ..World::new() };
    copy.time = world.time;
    copy.settle();
    (copy.sent, copy.records) = Default::default();
    copy
}

impl Split {
    fn of(world: &World) -> Self {
        let alone_since = world.time + Duration::from_millis(120);
        let mut split = Self { common: world.log.clone(), stays: copy(world, 0), yields: copy(world, 1), alone_since };
        split.wait(Duration::from_millis(120));
        split
    }

    fn wait(&mut self, duration: Duration) {
        self.stays.wait(duration);
        self.yields.wait(duration);
    }

    /// Everything that changed at the side that yields is taken in by the one that stays; the calls whose last messages
    /// are sent again.
    fn heal(&mut self) -> Vec<CallNumber> {
        let now = self.stays.now();
        let ours = changes(&self.common, &self.stays);
        let mut calls = Vec::new();
        for ((kind, id), theirs) in changes(&self.common, &self.yields) {
            if !was_said_since(kind, &theirs.0, Some(self.alone_since)) {
                continue;
            }
            let here = ours.get(&(kind, id.clone())).map(version);
            let merged = self.stays.pbx.merge(now, kind, &id, version(&theirs), here).unwrap();
            if let Merged::Call(number) = merged {
                calls.push(number);
            }
        }
        self.stays.settle();
        self.stays.log_is_whole();
        calls
    }
}

/// What became of each object that changed, and whether it is gone.
fn changes(common: &Objects, world: &World) -> BTreeMap<(u8, String), (Vec<u8>, bool)> {
    let keys = common.keys().chain(world.log.keys()).chain(world.written.keys());
    let changed = keys.filter(|key| common.get(*key) != world.log.get(*key) || world.written.contains_key(*key));
    let value = |key: &(u8, String)| world.written.get(key).cloned().unwrap_or_default();
    changed.map(|key| (key.clone(), (value(key), !world.log.contains_key(key)))).collect()
}

fn version((value, gone): &(Vec<u8>, bool)) -> Version<'_> {
    Version { value, gone: *gone }
}

fn phones() -> (World, Phone, Phone) {
    let mut world = World::new();
    let (mut a, mut b) = (Phone::new("5000", "one", A), Phone::new("5001", "two", B));
    a.register(&mut world, 3600);
    b.register(&mut world, 3600);
    a.call_id = "the-call".into();
    (world, a, b)
}

/// A calls B, which rings.
fn ring(world: &mut World, a: &mut Phone, b: &Phone) -> (Request, Request) {
    let invite = a.invite(world, "5001");
    world.take_response(A, 100);
    let to_b = world.take_request(B, Method::Invite);
    world.send(B, &b.respond(&to_b, 180, None));
    world.take_response(A, 180);
    (invite, to_b)
}

/// B picks up, and A acknowledges.
fn pick_up(world: &mut World, a: &mut Phone, b: &Phone, invite: &Request, to_b: &Request) -> Response {
    world.send(B, &b.respond(to_b, 200, Some(4002)));
    world.take_request(B, Method::Ack);
    let ok = world.take_response(A, 200);
    let ack = a.ack(invite, &ok, true);
    world.send(A, &ack.to_bytes());
    world.nothing_more();
    ok
}

#[test]
fn a_call_that_one_side_made_alone_goes_on_at_the_other() {
    let (world, mut a, b) = phones();
    let mut split = Split::of(&world);
    let (invite, to_b) = ring(&mut split.yields, &mut a, &b);
    let ok = pick_up(&mut split.yields, &mut a, &b, &invite, &to_b);
    assert_eq!(split.heal().len(), 1);
    assert_eq!(split.stays.ports, split.yields.ports);
    split.stays.send(A, &a.in_dialog(Method::Bye, &ok).to_bytes());
    split.stays.take_response(A, 200);
    let bye = split.stays.take_request(B, Method::Bye);
    split.stays.send(B, &b.respond(&bye, 200, None));
    assert_eq!(split.stays.records.len(), 1);
    assert_eq!(split.stays.records[0].disposition, Disposition::Answered);
}

#[test]
fn a_call_that_rings_at_one_side_alone_can_be_answered_at_the_other() {
    let (world, mut a, b) = phones();
    let mut split = Split::of(&world);
    let (invite, to_b) = ring(&mut split.yields, &mut a, &b);
    split.heal();
    pick_up(&mut split.stays, &mut a, &b, &invite, &to_b);
}

#[test]
fn who_hung_up_at_one_side_is_believed_and_the_other_party_is_told() {
    let (mut world, mut a, b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let ok = pick_up(&mut world, &mut a, &b, &invite, &to_b);
    let mut split = Split::of(&world);
    split.wait(Duration::from_secs(1));
    split.yields.send(A, &a.in_dialog(Method::Bye, &ok).to_bytes());
    split.yields.take_response(A, 200);
    // B is at the other side and hears nothing of it, however long that is tried.
    let unheard = split.yields.take_request(B, Method::Bye);
    split.wait(Duration::from_secs(40));
    split.heal();
    let bye = split.stays.take_request(B, Method::Bye);
    assert!(bye.cseq().number > unheard.cseq().number, "that number may have been used");
    split.stays.nothing_more();
    let ended = split.yields.records[0].ended;
    assert_eq!(split.stays.records.len(), 1);
    assert_eq!(split.stays.records[0].ended, ended, "it ended when A hung up");
}

#[test]
fn who_hung_up_at_the_side_that_stays_is_told_to_the_party_at_the_other_one() {
    let (mut world, mut a, mut b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let ok = pick_up(&mut world, &mut a, &b, &invite, &to_b);
    let mut split = Split::of(&world);
    // A does something over there, so that both sides have a version of their own.
    let mut hold = a.in_dialog(Method::Invite, &ok);
    hold.headers.push("Content-Type", "application/sdp");
    hold.body = sdp(A, 4000, "sendonly");
    split.yields.send(A, &hold.to_bytes());
    let held = split.yields.take_response(A, 200);
    split.yields.send(A, &a.ack(&hold, &held, true).to_bytes());
    split.stays.send(B, &b.in_dialog_of(Method::Bye, &to_b).to_bytes());
    split.wait(Duration::from_secs(40));
    assert!(split.stays.pbx.calls.is_empty());
    split.stays.sent.clear();
    split.heal();
    split.stays.take_request(A, Method::Bye);
    split.stays.nothing_more();
    assert_eq!(split.stays.records.len(), 1, "there is one record already");
}

#[test]
fn a_timer_at_the_cut_off_side_ends_no_call() {
    let (mut world, mut a, b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let mut split = Split::of(&world);
    pick_up(&mut split.stays, &mut a, &b, &invite, &to_b);
    split.wait(Duration::from_secs(70));
    assert!(split.yields.pbx.calls.is_empty(), "nobody answered there within 25 s");
    assert_eq!(split.yields.records.len(), 1);
    split.stays.sent.clear();
    assert_eq!(split.heal(), []);
    assert!(split.stays.pbx.calls.values().next().unwrap().is_answered());
    assert_eq!(split.stays.records, [], "the call lives");
}

#[test]
fn a_timer_at_the_side_that_stays_ends_no_call_of_the_other_one() {
    let (mut world, mut a, b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let mut split = Split::of(&world);
    let ok = pick_up(&mut split.yields, &mut a, &b, &invite, &to_b);
    split.wait(Duration::from_secs(70));
    assert!(split.stays.pbx.calls.is_empty());
    split.stays.sent.clear();
    assert_eq!(split.heal().len(), 1);
    assert_eq!(split.stays.pbx.records().count(), 0, "it has not ended");
    split.stays.send(A, &a.in_dialog(Method::Bye, &ok).to_bytes());
    split.stays.take_response(A, 200);
    split.stays.take_request(B, Method::Bye);
}

#[test]
fn a_call_that_its_phone_made_again_at_the_other_side_is_not_made_twice() {
    let (world, mut a, b) = phones();
    let mut split = Split::of(&world);
    let before = a.clone();
    ring(&mut split.yields, &mut a, &b);
    ring(&mut split.stays, &mut before.clone(), &b);
    assert_eq!(split.heal(), []);
    assert_eq!(split.stays.pbx.calls.len(), 1);
}

/// It came in the last moment before the cut, and nobody answered: the phone has called the other node and is done.
#[test]
fn a_call_that_nobody_was_told_of_comes_from_nowhere() {
    let (world, mut a, b) = phones();
    let mut split = Split { alone_since: world.time + Duration::from_millis(120), ..Split::of(&world) };
    split.yields.time = world.time;
    ring(&mut split.yields, &mut a, &b);
    split.wait(Duration::from_secs(40));
    assert_eq!(split.yields.records.len(), 1, "it rang out");
    assert_eq!(split.heal(), []);
    assert_eq!((split.stays.pbx.calls.len(), split.stays.pbx.records().count()), (0, 0));
}

#[test]
fn the_newest_registration_holds() {
    let (world, mut a, mut b) = phones();
    let mut split = Split::of(&world);
    split.wait(Duration::from_secs(10));
    a.register(&mut split.yields, 3600);
    b.register(&mut split.stays, 3600);
    let expected = [split.yields.pbx.registrar.clone(), split.stays.pbx.registrar.clone()];
    let of = |registrar: &Registrar, aor: &str| registrar.iter().find(|it| it.key.aor == aor).cloned();
    split.heal();
    assert_eq!(of(&split.stays.pbx.registrar, "5000"), of(&expected[0], "5000"));
    assert_eq!(of(&split.stays.pbx.registrar, "5001"), of(&expected[1], "5001"));
}

#[test]
fn who_unregistered_is_gone_unless_it_came_back() {
    let (world, mut a, mut b) = phones();
    let mut split = Split::of(&world);
    split.wait(Duration::from_secs(10));
    a.register(&mut split.yields, 0);
    b.register(&mut split.yields, 0);
    b.register(&mut split.stays, 3600);
    split.heal();
    let left: Vec<&str> = split.stays.pbx.registrar.iter().map(|binding| binding.key.aor.as_str()).collect();
    assert_eq!(left, ["5001"]);
}

#[test]
fn records_are_united_and_none_is_doubled() {
    let (mut world, mut a, b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let ok = pick_up(&mut world, &mut a, &b, &invite, &to_b);
    let mut split = Split::of(&world);
    // Both sides end the common call; and each has one that the other one never hears of.
    for side in [&mut split.yields, &mut split.stays] {
        side.send(A, &a.clone().in_dialog(Method::Bye, &ok).to_bytes());
        side.sent.clear();
        let mut caller = a.clone();
        caller.call_id = "another-call".into();
        caller.invite(side, "601");
    }
    split.wait(Duration::from_secs(40));
    split.heal();
    let mut identities: Vec<String> = split.stays.pbx.records().map(|record| record.identity.clone()).collect();
    identities.sort();
    identities.dedup();
    assert_eq!((identities.len(), split.stays.pbx.records().count()), (3, 3));
}

/// The answer that all is taken may be lost, and all comes once more.
#[test]
fn what_is_merged_again_changes_nothing() {
    let (mut world, mut a, b) = phones();
    let (invite, to_b) = ring(&mut world, &mut a, &b);
    let mut split = Split::of(&world);
    pick_up(&mut split.yields, &mut a, &b, &invite, &to_b);
    a.call_id = "another-call".into();
    a.invite(&mut split.yields, "600");
    assert_eq!(split.heal().len(), 2);
    let (calls, log) = (split.stays.pbx.calls.clone(), split.stays.log.clone());
    assert_eq!(split.heal(), []);
    assert_eq!(split.stays.pbx.calls, calls);
    assert_eq!(split.stays.log, log);
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let (world, ..) = phones();
    let mut split = Split::of(&world);
    let now = split.stays.now();
    let bad = Version { value: &[0xff, 0x00], gone: false };
    for (kind, id) in [(1, "5000|sip:5000@10.77.0.21"), (2, "7"), (3, "0123"), (9, "x")] {
        assert!(split.stays.pbx.merge(now, kind, id, bad, None).is_err(), "{kind}");
    }
    assert!(split.stays.pbx.take_changes().is_empty());
}

/// The first node had it for a moment, was replaced, and follows: it must know the call by what its INVITE is known by.
#[test]
fn an_invite_that_came_to_both_nodes_belongs_to_the_call_of_the_one_that_stays() {
    let (world, mut a, b) = phones();
    let mut split = Split::of(&world);
    let (invite, _) = ring(&mut split.stays, &mut a, &b);
    split.yields.send(A, &invite.to_bytes());
    assert_eq!(split.yields.pbx.calls.len(), 1);
    let now = split.yields.now();
    let objects = split.stays.log.iter().map(|((kind, id), value)| (*kind, id.as_str(), value.as_slice()));
    assert!(split.yields.pbx.replace(now, objects).is_empty());
    assert_eq!(split.yields.pbx.calls, split.stays.pbx.calls);
    assert_eq!(split.yields.pbx.keys, split.stays.pbx.keys);
}

/// A phone that hears nothing sends its INVITE again, and by then to the other node: two calls that are one.
#[test]
fn an_invite_that_came_to_both_sides_is_told_from_another_call() {
    let (mut world, mut a, b) = phones();
    let (_, common) = (ring(&mut world, &mut a, &b), calls(&world));
    let mut split = Split::of(&world);
    let mut again = Phone { call_id: "another-call".into(), ..a.clone() };
    again.clone().invite(&mut split.yields, "5001");
    again.invite(&mut split.stays, "5001");
    let new = |world: &World| calls(world).into_iter().find(|call| !common.contains(call)).expect("a call");
    let (ours, theirs) = (new(&split.stays), new(&split.yields));
    let identity = |call: &[u8]| minicbor::decode::<Call>(call).unwrap().record.identity;
    assert_ne!(identity(&ours), identity(&theirs));
    let pbx = &split.stays.pbx;
    assert_eq!(pbx.repeats(&theirs, &Invites::default()), Some(identity(&theirs)), "it lives here");
    let ended = Invites::of([ours.as_slice()].into_iter());
    assert_eq!(new_pbx(0).repeats(&theirs, &ended), Some(identity(&theirs)), "it has ended here");
    assert_eq!(new_pbx(0).repeats(&theirs, &Invites::default()), None, "nobody knows it here");
    assert_eq!(pbx.repeats(&common[0], &Invites::default()), None, "both had it before");
}

/// The calls of a log.
fn calls(world: &World) -> Vec<Vec<u8>> {
    world.log.iter().filter(|((of, _), _)| *of == kind::CALL).map(|(_, value)| value.clone()).collect()
}
