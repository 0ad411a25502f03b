//! Several service addresses as one group, on two networks and of both IP versions: a call from the one network to the
//! other goes on through a kill and through the loss of one of the networks, neighbours are told by the rules of IPv6,
//! and what is deleted comes back.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use phone::audio::{ListenerReport, Mark};
use phone::{AnswerPolicy, CallState, PhoneCommand, PhoneConfig};
use tandem_lab::netns::{Host, Network, SECOND};
use tandem_lab::nodes::{SERVICE, make_key};
use tandem_lab::phones::{Driver, Phones};

use crate::pair::{Fault, Lab, binary, example_files};
use crate::sipp::INTERNAL;
use crate::tap::{ETHERTYPE_ALL, Tap};

/// Of the trunk's network.
const TRUNK_SERVICE: Ipv6Addr = Ipv6Addr::new(0xfd88, 0, 0, 0, 0, 0, 0, 0x100);
const TRUNK_PHONE: Ipv6Addr = Ipv6Addr::new(0xfd88, 0, 0, 0, 0, 0, 0, 0x22);

const SIP_PORT: u16 = 5060;
const MEDIA_PORT: u16 = 4000;
const WAIT: Duration = Duration::from_secs(10);

/// facts/linux.md and design section 5: when neighbours are told, in milliseconds after the first time.
const TOLD_AFTER_MS: [u64; 6] = [0, 10, 50, 200, 1_000, 5_000];

/// A tell that comes late on a busy machine is late by less.
const TOLD_LATE_MS_MAX: u64 = 300;

fn write_node(network: &Network, directory: &Path, own: &str, other: &str) {
    let folder = directory.join(own);
    let pbx = folder.join("pbx");
    fs::create_dir_all(&pbx).expect("a folder");
    for entry in fs::read_dir(example_files(INTERNAL.name)).expect("an example") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|end| end == "conf") {
            fs::copy(&path, pbx.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    let address = |name: &str| network.host(name).expect("a host").address;
    let text = format!(
        "[node]\nname = \"{own}\"\nstate_dir = \"state\"\npbx_dir = \"pbx\"\nwait_for_peer = 2\n\n\
         [service]\nvrid = 10\npriority = 150\naddresses = [\n\
         {{ address = \"{SERVICE}/24\", interface = \"eth0\" }},\n\
         {{ address = \"{TRUNK_SERVICE}/64\", interface = \"eth1\" }},\n]\n\n\
         [peer]\nkey_file = \"../pair.key\"\n\n\
         [[peer.link]]\nlocal = \"{}:7700\"\nremote = \"{}:7700\"\n\n\
         [[track]]\nkind = \"gateway\"\naddress = \"{}\"\nweight = -10\n\n\
         [[track]]\nkind = \"file\"\npath = \"weight\"\ninterval = 100\n",
        address(own),
        address(other),
        address("one")
    );
    fs::write(folder.join("tandem.toml"), text).expect("a file");
}

fn lab() -> Lab {
    Lab::of_two(|network, directory| {
        let hosts = [("a", "fd88::11/64"), ("b", "fd88::12/64"), ("two", "fd88::22/64")];
        network.add_switch(&hosts).expect("a second network");
        make_key(&binary(), &directory.join("pair.key")).expect("a key");
        write_node(network, directory, "a", "b");
        write_node(network, directory, "b", "a");
    })
}

fn config(number: &str, password: &str, server: SocketAddr, own: SocketAddr, seed: u64) -> PhoneConfig {
    PhoneConfig {
        user: number.to_owned(),
        password: password.to_owned(),
        server,
        address: own,
        media_address: SocketAddr::new(own.ip(), MEDIA_PORT),
        register_every_s: 3_000,
        answer: AnswerPolicy::never(),
        seed,
    }
}

/// The office's phone, and the one on the trunk's network.
fn phones(lab: &Lab) -> Phones {
    let (office, trunk) = (lab.host("one"), lab.host("two"));
    let at = |port| SocketAddr::from((office.address, port));
    let caller = config(INTERNAL.caller.number, INTERNAL.caller.password, (SERVICE, SIP_PORT).into(), at(SIP_PORT), 1);
    let (server, own) = ((TRUNK_SERVICE, SIP_PORT).into(), (TRUNK_PHONE, SIP_PORT).into());
    let called = config(INTERNAL.called.number, INTERNAL.called.password, server, own, 2);
    Phones::start_with(vec![(office, caller), (trunk, called)]).expect("phones")
}

fn state(driver: &Driver, phone: usize) -> CallState {
    driver.phone(phone).map_or(CallState::Idle, |phone| phone.state())
}

fn report(driver: &Driver, phone: usize) -> ListenerReport {
    let listener = driver.handsets.get(phone).and_then(|handset| handset.listener.as_ref());
    listener.map(|listener| listener.report(driver.now_us())).unwrap_or_default()
}

fn wait(phones: &Phones, what: &str, holds: impl Fn(&Driver) -> bool + Send + Clone + 'static) {
    assert!(phones.wait_for(WAIT, holds).expect("the phones run"), "in vain: {what}");
}

/// From now on each hears the other.
fn both_hear(phones: &Phones, when: &str) {
    phones.with(|driver| driver.start_windows(&[0, 1])).expect("the phones run");
    wait(phones, when, |driver| (0..2).all(|phone| report(driver, phone).new >= 10));
    let reports = phones.with(|driver| [0, 1].map(|phone| report(driver, phone))).expect("the phones run");
    assert!(reports.iter().all(|report| report.foreign == 0 && report.ssrc_changes == 0), "{when}: {reports:?}");
}

fn talk(phones: &Phones) {
    let register = |driver: &mut Driver| (0..2).for_each(|phone| driver.command(phone, PhoneCommand::Register));
    phones.with(register).expect("the phones run");
    wait(phones, "both are registered", |driver| {
        (0..2).all(|phone| driver.phone(phone).is_some_and(|phone| phone.is_registered()))
    });
    phones
        .with(|driver| {
            let mark = |phone| Mark { call: 1, phone };
            driver.prepare_audio(0, mark(0), mark(1));
            driver.prepare_audio(1, mark(1), mark(0));
            driver.command(0, PhoneCommand::Call { number: INTERNAL.called.number.to_owned() });
        })
        .expect("the phones run");
    wait(phones, "it rings", |driver| state(driver, 1) == CallState::Ringing);
    phones.with(|driver| driver.command(1, PhoneCommand::Answer)).expect("the phones run");
    wait(phones, "they talk", |driver| (0..2).all(|phone| state(driver, phone) == CallState::Talking));
}

/// When this address was advertised unasked, by the wall clock's microseconds, on a host's cables.
struct Advertised(Tap<u64>);

impl Advertised {
    fn start(host: &Host) -> Self {
        Self(Tap::start(host, ETHERTYPE_ALL, |packet, at_us| advertisement(packet).then_some(at_us)))
    }
}

/// RFC 4861 sections 4.4 and 7.2.6, read without the product's code: hop limit 255, from the service address to all
/// nodes, type 136 with the override flag alone, about the service address, with a hardware address.
fn advertisement(packet: &[u8]) -> bool {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    packet.len() == 72
        && packet[0] >> 4 == 6
        && packet[6..8] == [58, 255]
        && packet[8..24] == TRUNK_SERVICE.octets()
        && packet[24..40] == all_nodes.octets()
        && packet[40..42] == [136, 0]
        && packet[44..48] == [0x20, 0, 0, 0]
        && packet[48..64] == TRUNK_SERVICE.octets()
        && packet[64..66] == [2, 1]
}

/// How often `ip` shows the trunk's service address on this host.
fn has_trunk_service(host: &Host) -> bool {
    let mut command = host.command("ip");
    let text = tandem_lab::process::run(command.args(["-6", "-brief", "addr", "show", "dev", "eth1"]), "", WAIT);
    text.expect("addresses").contains(&format!("{TRUNK_SERVICE}/128"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// facts/vrrp.md: `vrrp_sync_group`, and (3) of its users' reports: the address deleted from outside without a
/// failover.
#[test]
fn two_networks_fail_over_together() {
    let mut lab = lab();
    let active = lab.wait_protected();
    let phones = phones(&lab);
    talk(&phones);
    both_hear(&phones, "at first");

    // One of two networks is lost: all addresses move, and the call goes on in both.
    let first = lab.nodes[active].name.clone();
    lab.network.plug(&first, SECOND, false).expect("a cut");
    until("the other node serves", || lab.nodes[1 - active].status().is_ok_and(|status| status.serves()));
    both_hear(&phones, "after one network was lost");
    assert!(!lab.nodes[active].host.has_address(SERVICE).expect("addresses"), "the other one is given up, too");
    assert!(!has_trunk_service(&lab.nodes[active].host));
    lab.network.plug(&first, SECOND, true).expect("a cable");
    let active = lab.wait_protected();
    assert_eq!(lab.nodes[1 - active].name, first);

    // A node dies: neighbours hear it by the rules of IPv6.
    let advertised = Advertised::start(lab.host("two"));
    lab.strike(Fault::Kill, active);
    both_hear(&phones, "after a kill");
    let survivor = 1 - active;
    until("all six times are over", || advertised.0.heard(|_| true).len() >= TOLD_AFTER_MS.len());
    let told = advertised.0.heard(|_| true);
    let after_ms: Vec<u64> = told.iter().map(|at_us| (at_us - told[0]) / 1_000).collect();
    println!("neighbours were told after {after_ms:?} ms");
    for (after_ms, wanted_ms) in after_ms.iter().zip(TOLD_AFTER_MS) {
        // The first one may itself have been late by a little.
        assert!((wanted_ms.saturating_sub(5)..=wanted_ms + TOLD_LATE_MS_MAX).contains(after_ms), "{after_ms} ms");
    }

    // Somebody deletes an address: it comes back, and everybody stays where they are.
    let host = lab.nodes[survivor].host.clone();
    let mut command = host.command("ip");
    let delete = command.args(["addr", "del", &format!("{TRUNK_SERVICE}/128"), "dev", "eth1"]);
    tandem_lab::process::run(delete, "", WAIT).expect("a deletion");
    until("it is put back", || has_trunk_service(&host));
    both_hear(&phones, "after a deletion");
    assert!(lab.nodes[survivor].status().is_ok_and(|status| status.serves()));

    // Something fails at the node that serves: the role moves by a planned switchover, and it is told why.
    let active = lab.wait_protected();
    let folder = lab.directory.join(&lab.nodes[active].name);
    fs::write(folder.join("weight"), "-20\n").expect("a file");
    until("the better node serves", || lab.nodes[1 - active].status().is_ok_and(|status| status.serves()));
    both_hear(&phones, "after a switchover");
    let status = lab.nodes[active].ask("status").expect("a status");
    assert_eq!((&status["priority"], &status["tracks"][0]["state"]), (&130.into(), &"well".into()), "{status}");
    assert_eq!((&status["tracks"][1]["state"], &status["tracks"][1]["subtracts"]), (&"failing".into(), &20.into()));
    let events = lab.nodes[active].ask_lines("events").expect("events");
    let has = |kind: &str, text: &str| {
        let is_it = |event: &serde_json::Value| {
            event["kind"] == kind && event["text"].as_str().is_some_and(|it| it.contains(text))
        };
        assert!(events.iter().any(is_it), "no {kind} with `{text}`: {events:?}");
    };
    has("track", "weight fails: it subtracts 20");
    has("cluster", "the peer's priority is 150 and ours 130");

    phones.with(|driver| driver.command(1, PhoneCommand::HangUp)).expect("the phones run");
    wait(&phones, "both are told of the end", |driver| (0..2).all(|phone| state(driver, phone).is_over()));
    drop(phones);
    lab.wait_records(1);
}
