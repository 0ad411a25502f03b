//! The drill without root: a user namespace in which an ordinary user is root, with a network and mounts of its own.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use crate::LabError;

/// Where `ip netns` keeps its namespaces: within this directory, which must be writable.
const RUN: &str = "/run";

/// What may forbid an ordinary user a namespace, the value with which it does, and what to type.
const FORBIDDERS: [(&str, &str, &str); 3] = [
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

/// Makes an ordinary user root of a namespace of its own, and says whether that was needed. Call it before any thread
/// is started: a process of several threads is refused.
pub(crate) fn become_root_of_own() -> Result<bool, LabError> {
    let (user, group) = (Uid::effective(), Gid::effective());
    if user.is_root() {
        return Ok(false);
    }
    enter(user, group).map_err(|source| LabError::UserNamespace { advice: advice(&read), source })?;
    Ok(true)
}

fn enter(user: Uid, group: Gid) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    // Without this the kernel takes no map of groups (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1\n"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1\n"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some("tmpfs"), RUN, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    Ok(())
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What to do about a refusal.
fn advice(read: &dyn Fn(&Path) -> Option<String>) -> String {
    let forbids =
        |(path, value, _): &&(&str, &str, &str)| read(Path::new(path)).is_some_and(|text| text.trim() == *value);
    match FORBIDDERS.iter().find(forbids) {
        Some((path, value, command)) => {
            format!("{path} is {value}: type `sudo {command}`, or run `sudo tandem drill`")
        }
        None => "run it as root: `sudo tandem drill`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_forbids_it_and_what_to_type() {
        for (path, value, command) in FORBIDDERS {
            let told = advice(&|asked: &Path| (asked == Path::new(path)).then(|| format!("{value}\n")));
            assert!(told.contains(path) && told.contains(command) && told.contains("sudo tandem drill"), "{told}");
        }
        let all_allowed = |asked: &Path| {
            let forbidder = FORBIDDERS.iter().find(|(path, ..)| asked == Path::new(path));
            forbidder.map(|(_, value, _)| if *value == "0" { "1\n".to_owned() } else { "0\n".to_owned() })
        };
        assert_eq!(advice(&all_allowed), "run it as root: `sudo tandem drill`");
        assert_eq!(advice(&|_: &Path| None), "run it as root: `sudo tandem drill`");
    }
}
