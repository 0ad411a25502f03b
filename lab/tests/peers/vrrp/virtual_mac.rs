//! The virtual router's own Ethernet address: neighbours know the service address by it whoever serves, and each machine's
//! own address by the machine's own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tandem_lab::netns::Host;
use tandem_lab::nodes::SERVICE;
use tandem_lab::process::run;

use crate::pair::{Fault, Lab};
use crate::sipp::RAMAIS;

/// facts/vrrp.md: `00:00:5e:00:01:{vrid}`; the lab's virtual router is 10.
const VIRTUAL_MAC: &str = "00:00:5e:00:01:0a";

/// Nobody is there; that who has the address must be asked is what matters.
const DISCARD_PORT: u16 = 9;
const ANSWER_WAIT: Duration = Duration::from_millis(20);

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
fn the_service_address_keeps_its_hardware_address() {
    let mut lab = Lab::pair_with(RAMAIS.name, |_| "\n[vrrp]\nenabled = true\nvirtual_mac = true\n".into());
    let active = lab.wait_protected();
    let phone = lab.host("one").clone();
    let service = SERVICE.to_string();
    let own = |index: usize| lab.nodes[index].host.address.to_string();
    let owns = [own(0), own(1)];
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    let before = owns.each_ref().map(|own| until_known_by(&phone, own, |known| known != VIRTUAL_MAC));

    lab.strike(Fault::Kill, active);
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    assert!(lab.nodes[1 - active].status().is_ok_and(|status| status.serves()));
    let mut flush = phone.command("ip");
    run(flush.args(["neigh", "flush", "all"]), "", WAIT).expect("a flush");
    until_known_by(&phone, &service, |known| known == VIRTUAL_MAC);
    let after = owns.each_ref().map(|own| until_known_by(&phone, own, |known| known != VIRTUAL_MAC));
    assert_eq!(before, after, "each machine's own address is where it was");
    lab.wait_protected();
}
