//! A network namespace for one test: two interfaces joined by a cable, seen by the calling thread alone.

use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

/// The node's interface and its own address.
pub const INTERFACE: &str = "tandem0";
/// The other end of the cable, in the same namespace.
pub const OTHER: &str = "tandem1";

/// Runs `test` on a thread with a network of its own, which ends with the thread. Needs root.
pub fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let handle = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
            ip("link set lo up");
            ip(&format!("link add {INTERFACE} type veth peer name {OTHER}"));
            ip(&format!("link set {INTERFACE} up"));
            ip(&format!("link set {OTHER} up"));
            ip(&format!("addr add 10.77.0.11/24 dev {INTERFACE}"));
            ip(&format!("addr add 10.77.0.12/24 dev {OTHER}"));
            test()
        });
        match handle.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Runs the `ip` program in this thread's namespace.
pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("the ip program (package iproute2)");
    assert!(status.success(), "ip {arguments}");
}
