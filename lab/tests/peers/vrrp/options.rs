//! The virtual router's own Ethernet address: neighbours know the service address by it whoever serves, and each machine's
//! own address by the machine's own. And signed adverts: what is not signed is refused.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tandem_lab::LabError;
use tandem_lab::netns::Host;
use tandem_lab::nodes::SERVICE;
use tandem_lab::process::run;

use super::GROUP;
use super::adverts::Adverts;
use crate::pair::{Fault, Lab, own_directory};
use crate::sipp::RAMAIS;

/// facts/vrrp.md: `00:00:5e:00:01:{vrid}`; the lab's virtual router is 10.
const VIRTUAL_MAC: &str = "00:00:5e:00:01:0a";

/// Nobody is there; that who has the address must be asked is what matters.
const DISCARD_PORT: u16 = 9;
const ANSWER_WAIT: Duration = Duration::from_millis(20);

const VRRP: i32 = 112;

const WAIT: Duration = Duration::from_secs(10);

/// What a host believes an address's Ethernet address to be, after it has spoken with it.
fn hardware_of(host: &Host, address: &str) -> Option<String> {
    let socket = host.sockets(&[SocketAddr::from((host.address, 0))]).expect("a socket").remove(0);
    socket.send_to(b"?", (address, DISCARD_PORT)).expect("a question");
    std::thread::sleep(ANSWER_WAIT);
    let mut show = host.command("ip");
    let text = run(show.args(["neigh", "show", address]), "", WAIT).expect("neighbours");
    text.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned)
}

fn until_known_by(host: &Host, address: &str, wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let known = hardware_of(host, address);
        if let Some(known) = known.as_deref().filter(|known| wanted(known)) {
            return known.to_owned();
        }
        assert!(begun.elapsed() < WAIT, "{address} is at {known:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_service_address_keeps_its_hardware_address_and_adverts_are_signed() {
    let folder = own_directory();
    let key = folder.join("vrrp.key");
    std::fs::write(&key, "0f".repeat(32)).expect("a key");
    let options = format!("enabled = true\nvirtual_mac = true\nhmac_key_file = \"{}\"", key.display());
    let mut lab = Lab::pair_with(RAMAIS.name, |_| format!("\n[vrrp]\n{options}\n"));
    let adverts = Adverts::start(lab.host("one"));
    let active = lab.wait_protected();
    let phone = lab.host("one").clone();
    let service = SERVICE.to_string();
    let own = |index: usize| lab.nodes[index].host.address.to_string();
    let owns = [own(0), own(1)];
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    let before = owns.each_ref().map(|own| until_known_by(&phone, own, |known| known != VIRTUAL_MAC));

    // A plain advert of somebody who claims the address.
    let forged = [0x31, 10, 200, 1, 0, 100, 0, 0, 10, 77, 0, 100];
    phone
        .enter(|| {
            let failed = |source| LabError::Io { operation: "sending a forged advert".into(), source };
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(VRRP))).map_err(failed)?;
            socket.bind_device(Some(b"eth0")).map_err(failed)?;
            socket.send_to(&forged, &SockAddr::from(SocketAddr::from((GROUP, 0)))).map_err(failed)
        })
        .expect("a forged advert");
    let begun = Instant::now();
    while !lab.nodes[active].log_tail(50).contains("a VRRP advert is refused") {
        assert!(begun.elapsed() < WAIT, "{}", lab.nodes[active].log_tail(50));
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = lab.nodes[active].ask("status").expect("a status");
    assert_eq!(status["vrrp"]["foreign"].as_array().map(Vec::len), Some(0), "{status}");

    let begun = Instant::now();
    while adverts.of(lab.nodes[active].host.address, 0).is_empty() {
        assert!(begun.elapsed() < WAIT, "one each second");
        std::thread::sleep(Duration::from_millis(50));
    }

    lab.strike(Fault::Kill, active);
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    assert!(lab.nodes[1 - active].status().is_ok_and(|status| status.serves()));
    let mut flush = phone.command("ip");
    run(flush.args(["neigh", "flush", "all"]), "", WAIT).expect("a flush");
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    let after = owns.each_ref().map(|own| until_known_by(&phone, own, |known| known != VIRTUAL_MAC));
    assert_eq!(before, after, "each machine's own address is where it was");
    lab.wait_protected();
    for index in 0..2 {
        let packets = adverts.of(lab.nodes[index].host.address, 0);
        assert!(!packets.is_empty(), "each of them served, and a new one adverts at once");
        // The advert of one address, the kind and id of the key, and a good sum without what follows.
        let is_signed = |bytes: &[u8]| bytes.len() == 12 + 28 && bytes[12..16] == [1, 1, 0, 0];
        assert!(packets.iter().all(|packet| is_signed(&packet.bytes)), "{packets:?}");
        let said = lab.nodes[index].log_tail(200);
        assert!(!said.lines().any(|line| line.contains("is refused") && line.contains("10.77.0.1")), "{said}");
    }
    drop(lab);
    std::fs::remove_dir_all(folder).expect("a folder");
}
