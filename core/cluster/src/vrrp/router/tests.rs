//! Each state with each input, and what comes of it.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::vrrp::Version::{V2, V3};
use crate::vrrp::virtual_mac;

const OWN: &str = "10.77.0.11";
const PEER: &str = "10.77.0.12";
/// A foreign router whose address is greater than ours.
const ABOVE: &str = "10.77.0.31";
/// One whose address is less.
const BELOW: &str = "10.77.0.3";
const SERVICE: &str = "10.77.0.100";
const GROUP: &str = "224.0.0.18";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> LocalTime {
    LocalTime::from_millis(millis)
}

fn settings(version: Version) -> Settings {
    Settings {
        version,
        vrid: 10,
        priority: 150,
        interval: Duration::from_secs(1),
        addresses: vec![ip(SERVICE)],
        unicast_peers: Vec::new(),
        checksum_pseudo_header: true,
        authentication: Authentication::None,
    }
}

fn standing_by() -> Router {
    let mut router = Router::new(settings(V3));
    assert_eq!(router.own_address(at(0), Some(ip(OWN))), []);
    router
}

/// Serving since 1 s; the next advert is due at 2 s.
fn serving() -> Router {
    let mut router = standing_by();
    router.serve(at(1_000));
    router
}

fn foreign_advert(priority: u8) -> Advert {
    Advert {
        version: V3,
        vrid: 10,
        priority,
        interval: Duration::from_secs(1),
        addresses: vec![ip(SERVICE)],
        authentication: Authentication::None,
    }
}

fn hear(router: &mut Router, millis: u64, source: &str, advert: &Advert) -> Vec<Output> {
    let bytes = advert.encode(ip(source), ip(GROUP), true).unwrap();
    let packet = Packet { source: ip(source), destination: ip(GROUP), ttl: 255 };
    router.received(at(millis), packet, &bytes, Some(ip(PEER)))
}

/// What was sent, as priorities.
fn sent(outputs: &[Output]) -> Vec<u8> {
    let priority = |output: &Output| match output {
        Output::Send { source, destination, bytes } => {
            let packet = Packet { source: *source, destination: *destination, ttl: 255 };
            let version = if bytes[0] >> 4 == 2 { V2 } else { V3 };
            Some(Advert::decode(bytes, packet, version, Authentication::None).unwrap().priority)
        }
        _ => None,
    };
    outputs.iter().filter_map(priority).collect()
}

fn notices(outputs: &[Output]) -> Vec<Notice> {
    let notice = |output: &Output| match output {
        Output::Notice(notice) => Some(*notice),
        _ => None,
    };
    outputs.iter().filter_map(notice).collect()
}

fn tells(outputs: &[Output]) -> bool {
    outputs.contains(&Output::TellNeighbours)
}

fn known(source: &str, priority: u8) -> Notice {
    Notice::Foreign { source: ip(source), priority, interval: Duration::from_secs(1), claims: true }
}

#[test]
fn the_serving_node_says_so_at_once_and_each_interval() {
    let mut router = standing_by();
    assert_eq!(router.deadline(), None);
    let first = router.serve(at(1_000));
    let advert = Advert { priority: 150, ..foreign_advert(0) };
    let bytes = advert.encode(ip(OWN), ip(GROUP), true).unwrap();
    assert_eq!(first, [Output::Send { source: ip(OWN), destination: ip(GROUP), bytes }]);
    assert_eq!(router.deadline(), Some(at(2_000)));
    assert_eq!(router.timeout(at(1_999)), []);
    assert_eq!(router.timeout(at(2_000)), first);
    assert_eq!(router.deadline(), Some(at(3_000)));
    // After a stall there is one, not one for each that was missed.
    assert_eq!(sent(&router.timeout(at(7_500))), [150]);
    assert_eq!(router.deadline(), Some(at(8_500)));
    // A reign that is renewed is said again.
    assert_eq!(sent(&router.serve(at(8_000))), [150]);
}

#[test]
fn nobody_adverts_while_standing_by_but_for_one_advert_that_holds_the_place() {
    let mut router = standing_by();
    assert_eq!(router.timeout(at(5_000)), []);
    assert_eq!(sent(&router.hold(at(6_000))), [150]);
    assert_eq!(router.deadline(), None);
    assert_eq!(serving().hold(at(1_500)), [], "who serves has its own time for it");
}

/// facts/vrrp.md: Priority 0 = "I am leaving". A node that stops on purpose sends it unless the other one has the role.
#[test]
fn who_leaves_says_so_only_when_nobody_follows() {
    for (successor, expected) in
        [(Successor::Serves, &[][..]), (Successor::Follows, &[150]), (Successor::Nobody, &[PRIORITY_LEAVING])]
    {
        let mut router = serving();
        assert_eq!(sent(&router.stand_by(at(1_500), successor)), expected, "{successor:?}");
        assert_eq!(router.deadline(), None);
        assert_eq!(router.stand_by(at(1_600), successor), [], "once");
        assert_eq!(standing_by().stand_by(at(1_500), successor), [], "who did not serve has nothing to give back");
    }
}

#[test]
fn without_an_own_address_nothing_is_sent_until_there_is_one() {
    let mut router = Router::new(settings(V3));
    assert_eq!(router.serve(at(1_000)), []);
    assert_eq!(router.timeout(at(2_000)), []);
    assert_eq!(router.deadline(), Some(at(3_000)));
    assert_eq!(sent(&router.own_address(at(2_500), Some(ip(OWN)))), [150]);
    assert_eq!(router.own_address(at(2_600), Some(ip(OWN))), [], "no news");
    assert_eq!(router.own_address(at(2_700), None), []);
    assert_eq!(router.timeout(at(3_500)), []);
}

/// facts/vrrp.md: on a losing advertisement the active re-advertises at once (new in RFC 9568). Equal priority: the
/// greater primary IP address wins.
#[test]
fn who_serves_answers_at_once_who_loses() {
    for (priority, source, loses) in
        [(149, ABOVE, true), (1, BELOW, true), (150, BELOW, true), (150, ABOVE, false), (151, BELOW, false)]
    {
        let mut router = serving();
        let outputs = hear(&mut router, 1_400, source, &foreign_advert(priority));
        assert_eq!(sent(&outputs), if loses { &[150][..] } else { &[] }, "{priority} {source}");
        let outranked = Notice::Outranked { source: ip(source), priority, own: 150 };
        assert_eq!(notices(&outputs).contains(&outranked), !loses, "the operator must lower {priority}");
        assert!(tells(&outputs), "neighbours must not believe {source}");
        // Whoever wins by the RFCs, the pair goes on: the next advert comes in its time.
        let next = if loses { 2_400 } else { 2_000 };
        assert_eq!(sent(&router.timeout(at(next))), [150]);
    }
}

#[test]
fn a_standby_observes_and_says_nothing() {
    for (priority, source) in [(149, ABOVE), (150, ABOVE), (255, BELOW)] {
        let mut router = standing_by();
        let outputs = hear(&mut router, 1_400, source, &foreign_advert(priority));
        assert_eq!((sent(&outputs), tells(&outputs)), (vec![], false));
        assert_eq!(notices(&outputs)[0], known(source, priority));
        assert_eq!(router.foreign()[&ip(source)].outranks, notices(&outputs).len() == 2);
    }
}

/// RFC 9568 section 6.4.3: priority 0 is answered at once, so that the other backups know who is active.
#[test]
fn a_foreign_router_that_leaves_is_forgotten_and_answered() {
    let mut router = serving();
    hear(&mut router, 1_100, ABOVE, &foreign_advert(100));
    let outputs = hear(&mut router, 1_500, ABOVE, &foreign_advert(0));
    assert_eq!(sent(&outputs), [150]);
    assert_eq!(notices(&outputs), [Notice::ForeignGone { source: ip(ABOVE) }]);
    assert!(router.foreign().is_empty());
    assert_eq!(hear(&mut standing_by(), 1_500, ABOVE, &foreign_advert(0)), []);
}

/// facts/vrrp.md: stale ARP after a double master, because the winner never changed state and so sent no gratuitous ARP.
#[test]
fn neighbours_are_told_again_after_each_claim_of_a_foreign_router() {
    let mut router = serving();
    assert!(tells(&hear(&mut router, 1_100, ABOVE, &foreign_advert(100))), "at once");
    assert_eq!(router.deadline(), Some(at(1_110)));
    let told: Vec<u64> = (1_101..=7_000).filter(|millis| tells(&router.timeout(at(*millis)))).collect();
    assert_eq!(told, [1_110, 1_150, 1_300, 2_100, 6_100]);
    // One that insists does not start the schedule anew each time.
    assert!(tells(&hear(&mut router, 8_000, ABOVE, &foreign_advert(100))));
    let mut again = |millis| tells(&hear(&mut router, millis, ABOVE, &foreign_advert(100)));
    let told: Vec<u64> = (8_001..9_000).filter(|millis| again(*millis)).collect();
    assert_eq!(told, [8_010, 8_050, 8_200]);
    let mut other = serving();
    let elsewhere = Advert { addresses: vec![ip("10.77.0.99")], ..foreign_advert(100) };
    let outputs = hear(&mut other, 1_500, ABOVE, &elsewhere);
    assert!(!tells(&outputs), "nobody learned our address from it");
    assert!(matches!(notices(&outputs)[..], [Notice::Foreign { claims: false, .. }]));
    assert_eq!(sent(&outputs), [150], "it is of our virtual router all the same");
}

#[test]
fn two_that_answer_each_other_do_not_fill_the_link() {
    let mut router = serving();
    let mut count = 0;
    for millis in 1_001..=1_100 {
        for _ in 0..10 {
            count += sent(&hear(&mut router, millis, ABOVE, &foreign_advert(100))).len();
        }
    }
    assert_eq!(count, 10, "one in {ADVERT_PAUSE:?}");
}

/// facts/vrrp.md: a backup adopts the interval that the active advertises; a mismatch is logged, never dropped.
#[test]
fn another_interval_is_adopted_and_told_once() {
    let slow = Advert { interval: Duration::from_secs(3), ..foreign_advert(100) };
    let mut router = standing_by();
    let interval = Duration::from_secs(3);
    let differs = Notice::IntervalDiffers { source: ip(ABOVE), interval, own: Duration::from_secs(1) };
    assert!(notices(&hear(&mut router, 1_000, ABOVE, &slow)).contains(&differs));
    for millis in [4_000, 7_000, 10_000, 13_000, 16_000] {
        assert_eq!(hear(&mut router, millis, ABOVE, &slow), [], "once");
    }
    // Three of its intervals and its skew, 3 s * 255 / 256 at most.
    assert_eq!(router.deadline(), Some(at(16_000) + Duration::from_micros(11_988_281)));
    assert_eq!(router.timeout(at(27_988)), []);
    assert_eq!(notices(&router.timeout(at(27_989))), [Notice::ForeignGone { source: ip(ABOVE) }]);
    assert_eq!(router.deadline(), None);
}

/// facts/vrrp.md: v2 carries whole seconds only: half a second here and one second there are the same advert.
#[test]
fn intervals_that_are_the_same_on_the_wire_do_not_differ() {
    let mut router = Router::new(Settings { interval: Duration::from_millis(500), ..settings(V2) });
    let advert = Advert { version: V2, ..foreign_advert(100) };
    assert_eq!(notices(&hear(&mut router, 1_000, ABOVE, &advert)), [known(ABOVE, 100)]);
}

#[test]
fn a_foreign_router_is_told_of_when_it_is_new_and_when_it_changes() {
    let mut router = standing_by();
    assert_eq!(notices(&hear(&mut router, 1_000, ABOVE, &foreign_advert(100))), [known(ABOVE, 100)]);
    assert_eq!(notices(&hear(&mut router, 2_000, ABOVE, &foreign_advert(100))), []);
    assert_eq!(notices(&hear(&mut router, 3_000, ABOVE, &foreign_advert(90))), [], "too soon after the last word");
    assert_eq!(router.foreign()[&ip(ABOVE)].priority, 90);
    for millis in [5_000, 8_000] {
        assert_eq!(notices(&hear(&mut router, millis, ABOVE, &foreign_advert(90))), []);
    }
    assert_eq!(notices(&hear(&mut router, 11_000, ABOVE, &foreign_advert(90))), [known(ABOVE, 90)]);
    assert_eq!(notices(&hear(&mut router, 12_000, BELOW, &foreign_advert(90))), [known(BELOW, 90)]);
}

#[test]
fn adverts_of_the_pair_and_of_other_virtual_routers_mean_nothing() {
    for mut router in [standing_by(), serving()] {
        assert_eq!(hear(&mut router, 1_500, PEER, &foreign_advert(254)), [], "heartbeats decide");
        assert_eq!(hear(&mut router, 1_500, OWN, &foreign_advert(254)), []);
        let other = Advert { vrid: 11, ..foreign_advert(254) };
        assert_eq!(hear(&mut router, 1_500, ABOVE, &other), []);
        assert!(router.foreign().is_empty());
    }
    // What was taken for a stranger turns out to be the peer.
    let mut router = standing_by();
    let packet = Packet { source: ip(PEER), destination: ip(GROUP), ttl: 255 };
    let bytes = foreign_advert(100).encode(ip(PEER), ip(GROUP), true).unwrap();
    assert_eq!(router.received(at(1_000), packet, &bytes, None).len(), 1);
    assert_eq!(hear(&mut router, 1_100, PEER, &foreign_advert(100)), []);
    assert!(router.foreign().is_empty());
}

#[test]
fn a_bad_advert_is_told_of_once_and_changes_nothing() {
    let packet = Packet { source: ip(ABOVE), destination: ip(GROUP), ttl: 254 };
    let good = foreign_advert(254).encode(ip(ABOVE), ip(GROUP), true).unwrap();
    let refused = Notice::Refused { source: ip(ABOVE), error: AdvertError::Ttl { ttl: 254 } };
    for mut router in [standing_by(), serving()] {
        assert_eq!(router.received(at(1_500), packet, &good, None), [Output::Notice(refused)]);
        assert_eq!(router.received(at(1_600), packet, &good, None), []);
        assert!(router.foreign().is_empty());
        hear(&mut router, 1_700, ABOVE, &foreign_advert(100));
        assert_eq!(notices(&router.received(at(1_800), packet, &good, None)), [refused], "bad again");
        for byte in 0..=255 {
            router.received(at(1_900), Packet { ttl: 255, ..packet }, &[byte, 10], None);
            router.received(at(1_900), Packet { ttl: 255, ..packet }, &[byte], None);
        }
        assert_eq!(router.foreign()[&ip(ABOVE)].priority, 100);
    }
}

#[test]
fn crowds_of_foreign_routers_are_answered_and_not_remembered() {
    let mut router = serving();
    for host in 0..200_u64 {
        let source = format!("10.77.1.{host}");
        let outputs = hear(&mut router, 2_000 + host * 20, &source, &foreign_advert(100));
        assert_eq!(sent(&outputs), [150]);
        let bad = Packet { source: ip(&source), destination: ip(GROUP), ttl: 1 };
        router.received(at(2_000 + host * 20), bad, &[0x31, 10], None);
    }
    assert_eq!((router.foreign().len(), router.refused.len()), (FOREIGN_MAX, FOREIGN_MAX));
}

#[test]
fn unicast_goes_to_each_neighbour_and_is_taken_from_no_other() {
    let peers = vec![ip(ABOVE), ip(BELOW), ip(OWN)];
    let mut router = Router::new(Settings { unicast_peers: peers, ..settings(V3) });
    router.own_address(at(0), Some(ip(OWN)));
    let outputs = router.serve(at(1_000));
    let to: Vec<IpAddr> = outputs
        .iter()
        .map(|output| match output {
            Output::Send { destination, .. } => *destination,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(to, [ip(ABOVE), ip(BELOW)], "not to ourselves");
    assert_eq!(sent(&outputs), [150, 150], "each with its own checksum");
    assert_eq!(hear(&mut router, 1_100, "10.77.0.32", &foreign_advert(254)), []);
    assert_eq!(notices(&hear(&mut router, 1_100, ABOVE, &foreign_advert(100))), [known(ABOVE, 100)]);
}

#[test]
fn notices_are_sentences_and_say_what_to_do() {
    let (source, interval) = (ip(ABOVE), Duration::from_secs(1));
    let error = AdvertError::HmacTrailer;
    let cases = [
        (known(ABOVE, 90), "router 10.77.0.31 is active with priority 90 each 1000 ms", true),
        (Notice::Foreign { source, priority: 9, interval, claims: false }, "correct it", true),
        (Notice::Outranked { source, priority: 200, own: 150 }, "lower its priority", true),
        (Notice::IntervalDiffers { source, interval, own: interval * 2 }, "we each 2000 ms", true),
        (Notice::ForeignGone { source }, "not active any more", false),
        (Notice::Refused { source, error }, "auth_hmac", true),
    ];
    for (notice, part, trouble) in cases {
        assert!(notice.to_string().contains(part), "{notice}");
        assert_eq!(notice.is_trouble(), trouble, "{notice}");
    }
}

/// facts/vrrp.md: the virtual MAC is `00:00:5e:00:01:{vrid}` for IPv4, `00:00:5e:00:02:{vrid}` for IPv6.
#[test]
fn the_virtual_mac_is_that_of_the_rfc() {
    assert_eq!(virtual_mac(10, ip(SERVICE)), [0, 0, 0x5e, 0, 1, 10]);
    assert_eq!(virtual_mac(255, ip("2001:db8::100")), [0, 0, 0x5e, 0, 2, 255]);
}

/// What fails of what a node tracks is heard by the other routers at once, and only while it serves.
#[test]
fn a_changed_priority_is_advertised_at_once() {
    let mut router = standing_by();
    let now = at(1_000);
    assert_eq!(router.set_priority(now, 130), [], "it does not serve");
    router.serve(now);
    let later = now + Duration::from_millis(100);
    assert_eq!(router.set_priority(later, 130), [], "that is no change");
    let sent = router.set_priority(later, 110);
    let [Output::Send { bytes, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(bytes[2], 110);
    assert_eq!(router.deadline(), Some(later + router.settings().interval));
}
