//! What systemd hears, and when.

use std::ffi::OsString;

use super::*;

const SILENCE_MAX: Duration = Duration::from_secs(4);

fn listener(name: &str) -> (UnixDatagram, OsString) {
    let name = format!("tandem-systemd-{name}-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, format!("@{name}").into())
}

fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 64];
    let next = || {
        let length = socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn ready_is_said_once_and_not_before_a_daemon_came_up() {
    let (socket, name) = listener("ready");
    let mut systemd = Systemd::connect(&name, None).unwrap();
    systemd.tell(LocalTime::from_millis(0), false, true);
    assert!(heard(&socket).is_empty());
    systemd.tell(LocalTime::from_millis(25), true, true);
    systemd.tell(LocalTime::from_millis(50), true, true);
    systemd.tell(LocalTime::from_millis(9_000), false, false);
    assert_eq!(heard(&socket), ["READY=1"]);
    systemd.tell_stopping();
    assert_eq!(heard(&socket), ["STOPPING=1"]);
}

#[test]
fn signs_of_life_come_four_times_within_the_silence_and_only_while_all_is_well() {
    let (socket, name) = listener("signs");
    let mut systemd = Systemd::connect(&name, Some(SILENCE_MAX)).unwrap();
    for ms in (1..=4_000).step_by(25) {
        systemd.tell(LocalTime::from_millis(ms), false, true);
    }
    assert_eq!(heard(&socket), ["WATCHDOG=1"; 4]);
    for ms in (4_001..=8_000).step_by(25) {
        systemd.tell(LocalTime::from_millis(ms), false, false);
    }
    assert!(heard(&socket).is_empty());
    systemd.tell(LocalTime::from_millis(8_001), false, true);
    assert_eq!(heard(&socket), ["WATCHDOG=1"]);
}

#[test]
fn a_systemd_that_does_not_read_delays_nobody_and_hears_it_later() {
    let (socket, name) = listener("full");
    let mut systemd = Systemd::connect(&name, None).unwrap();
    while systemd.say("X=1") {}
    systemd.tell(LocalTime::from_millis(0), true, true);
    assert!(heard(&socket).iter().all(|words| words == "X=1"));
    systemd.tell(LocalTime::from_millis(25), true, true);
    assert_eq!(heard(&socket), ["READY=1"]);
}

#[test]
fn a_socket_that_is_not_there_is_an_error() {
    assert!(Systemd::connect(OsStr::new("/nonexistent/notify"), None).is_err());
    assert!(Systemd::connect(OsStr::new("@tandem-systemd-nobody"), None).is_err());
}
