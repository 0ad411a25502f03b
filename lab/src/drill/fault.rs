//! The faults that the drill commits, each with its promise and its story.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The active node's process is killed.
    Kill,
    /// The active node's process and its parent, which owns the address, are killed at once.
    KillParentToo,
    /// The active node's process hangs.
    Freeze,
    /// The active node's process and its parent hang, and go on as if nothing had happened: once after a second and a
    /// half, once after five seconds.
    FreezeAll,
    /// The active node's cable is pulled.
    Cut,
    /// The active machine loses power: no network, no process, and of its disk only what was synced.
    Power,
    /// Both machines lose power, and boot a moment later.
    PowerBoth,
    /// The operator moves the service to the other node.
    Switchover,
    /// One node is killed, comes back, and then the other one is killed.
    Double,
    /// A node without a peer is killed and starts again.
    RestartAlone,
    /// The node that stands by is killed, with its parent.
    StandbyDies,
    /// The node that stands by is stopped and started again, as for an upgrade.
    StandbyRestarts,
    /// Both nodes get a new program, first the one that stands by, then the one that serves (see --previous).
    Upgrade,
    /// Only one node has a new program yet (see --previous), and the one that serves is killed: first the old program,
    /// then the new one. After that the other node is upgraded as well.
    UpgradeKill,
    /// The nodes cannot reach each other, but the phones reach both; then they can again.
    PeerLinkOnly,
    /// Packets pass between the nodes in one direction only: first the active node is not heard, then the standby.
    OneWay,
    /// Every twentieth packet between the nodes is lost, on one of their links or on both.
    Loss,
    /// One of the two links between the nodes is cut, and put right again: once the one of its own, once the LAN's.
    LinkCut,
    /// The switch falls in two, so that each node keeps some phones; then it is whole again.
    SplitAndHeal,
    /// The active node's cable is pulled and plugged in again, five times in three seconds.
    Flap,
    /// The disks that hold the nodes' state are full.
    DiskFull,
    /// The disks that hold the nodes' state answer after most of a second.
    SlowDisk,
    /// The active node's wall clock is set an hour ahead, and back again. Needs the package libfaketime.
    ClockStep,
    /// Somebody removes the service address from the active node's interface.
    AddressDeleted,
    /// Strangers who are no users send thousands of REGISTER requests a second.
    Overload,
    /// No fault: every core and the disk are flooded, and nothing may happen.
    Flood,
    /// One after another, but for the flood.
    All,
}

/// Which node serves after the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// The one that served before, in the same epoch.
    Same,
    Other,
    /// That is for the pair to find out.
    Either,
}

/// What the nodes must stand on for the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    Pair,
    Alone,
    /// With phones that call only while the switch is split.
    Halves,
    /// Each node's state is on a disk of its own.
    Disks,
    /// Each node has a wall clock that can be set.
    Clocks,
    /// Both nodes run the program that is to be replaced, with phones that call only while one of them is. No two trials
    /// are on the same ground: there is no way back.
    Previous,
}

/// What the drill knows of a fault.
pub(super) struct Facts {
    pub(super) name: &'static str,
    /// What goes wrong, in a headline.
    pub(super) story: &'static str,
    /// What has just been done; ACTIVE and STANDBY stand for names of nodes.
    pub(super) struck: &'static str,
    /// The longest silence that is promised, in milliseconds, the 20 ms between two packets included.
    pub(super) promise_ms: f64,
    pub(super) serves: Serves,
    /// What ends the fault, when the phones are listened to at its end as well; ACTIVE and STANDBY as above. Any other
    /// fault lasts until everything has been asked.
    pub(super) ended: Option<&'static str>,
}

/// What concealment hides: nobody hears it.
const UNHEARD_MS: f64 = 60.0;

/// The peer has to find out by silence (design, section 1, of a machine that hangs or is cut off, and of a split).
const SILENCE_MS: f64 = 200.0;

/// Both machines without power: the second of darkness, and another one for what a boot is here, which is to mount the
/// disk and to start the program. Both nodes hear each other then, and neither waits for its peer (docs/power.md).
const BOOT_MS: f64 = 2_000.0;

/// How long the phones are listened to after the fault: well over the promise, so that a silence that breaks it is
/// measured and not cut off.
const OBSERVE_MS: u64 = 2_500;
const OBSERVE_RESTART_MS: u64 = 4_000;
const OBSERVE_BOOT_MS: u64 = 6_000;
const OBSERVE_OF_MANY_MS: u64 = 1_500;

/// `ip` or `nft` in a namespace, on an idle machine.
const PROGRAM_US: u64 = 5_000;

/// How long a machine hangs before it goes on: the first time it still has its lease of the address, the second time
/// the lease is over. The half second before the end in which the phones are listened to comes on top.
const ASLEEP_MS: [u64; 2] = [1_000, 4_500];

impl Fault {
    const EACH: [Self; 26] = [
        Self::Kill,
        Self::KillParentToo,
        Self::Freeze,
        Self::FreezeAll,
        Self::Cut,
        Self::Switchover,
        Self::Double,
        Self::StandbyDies,
        Self::StandbyRestarts,
        Self::PeerLinkOnly,
        Self::OneWay,
        Self::Loss,
        Self::Flap,
        Self::AddressDeleted,
        Self::Overload,
        Self::Upgrade,
        Self::UpgradeKill,
        Self::LinkCut,
        // Faults on the same ground follow each other, so that one scene serves them.
        Self::Power,
        Self::PowerBoth,
        Self::DiskFull,
        Self::SlowDisk,
        Self::ClockStep,
        Self::RestartAlone,
        Self::SplitAndHeal,
        Self::Flood,
    ];

    pub(super) fn list(self) -> Vec<Self> {
        match self {
            Self::All => Self::EACH.into_iter().filter(|fault| fault.is_part_of_all()).collect(),
            one => vec![one],
        }
    }

    const fn is_part_of_all(self) -> bool {
        !matches!(self, Self::Flood)
    }

    pub(super) const fn name(self) -> &'static str {
        self.facts().name
    }

    pub(super) const fn promise_ms(self) -> f64 {
        self.facts().promise_ms
    }

    pub(super) const fn ground(self) -> Ground {
        match self {
            Self::RestartAlone => Ground::Alone,
            Self::Power | Self::PowerBoth | Self::DiskFull | Self::SlowDisk => Ground::Disks,
            Self::ClockStep => Ground::Clocks,
            Self::SplitAndHeal => Ground::Halves,
            Self::Upgrade | Self::UpgradeKill => Ground::Previous,
            _ => Ground::Pair,
        }
    }

    /// How long it takes from its command until it has come, in microseconds: nothing for a signal, and the start of a
    /// program for all others.
    pub(super) const fn takes_us(self) -> u64 {
        match self {
            Self::Kill | Self::KillParentToo | Self::Freeze | Self::FreezeAll => 0,
            Self::Double | Self::UpgradeKill | Self::RestartAlone => 0,
            _ => PROGRAM_US,
        }
    }

    /// How many links the nodes need at least.
    pub(super) const fn links(self) -> u32 {
        match self {
            Self::LinkCut => 2,
            _ => 1,
        }
    }

    /// Disks that can fail are the real root's to mount.
    pub(super) const fn needs_root(self) -> bool {
        matches!(self.ground(), Ground::Disks)
    }

    /// What is said at that very moment may be lost with what no disk had synced: no calls are being set up then.
    pub(super) const fn loses_the_last_words(self) -> bool {
        matches!(self, Self::PowerBoth)
    }

    /// How often it is committed for one round that the user asks for.
    pub(super) const fn rounds(self) -> u32 {
        match self {
            Self::Double | Self::UpgradeKill | Self::OneWay | Self::FreezeAll | Self::LinkCut => 2,
            _ => 1,
        }
    }

    /// Which node serves after this round of it; the first is round 0.
    pub(super) const fn serves(self, round: u32) -> Serves {
        match self {
            // Who is not heard is replaced. A standby that is not heard is missed, no more.
            Self::OneWay if round % 2 == 1 => Serves::Same,
            _ => self.facts().serves,
        }
    }

    /// How long the phones are listened to after the fault, in milliseconds; less when many follow each other.
    /// `round` counts from 0.
    pub(super) const fn observe_ms(self, round: u32, many: bool) -> u64 {
        match self {
            Self::FreezeAll => ASLEEP_MS[round as usize % ASLEEP_MS.len()],
            Self::PowerBoth => OBSERVE_BOOT_MS,
            _ if many => OBSERVE_OF_MANY_MS,
            Self::RestartAlone => OBSERVE_RESTART_MS,
            _ => OBSERVE_MS,
        }
    }

    /// How long they are listened to after its end.
    pub(super) const fn observe_end_ms(self, many: bool) -> u64 {
        if many { OBSERVE_OF_MANY_MS } else { OBSERVE_MS }
    }

    #[rustfmt::skip]
    pub(super) const fn facts(self) -> Facts {
        match self {
            Self::Kill => Facts {
                name: "kill",
                story: "the program that carries all calls is killed in the middle of them (kill -9)",
                struck: "node ACTIVE is killed",
                promise_ms: UNHEARD_MS, serves: Serves::Other, ended: None,
            },
            Self::KillParentToo => Facts {
                name: "kill-parent-too",
                story: "the program that carries all calls is killed together with its parent, which owns the address",
                struck: "node ACTIVE is killed, with the parent that would have told the peer",
                promise_ms: SILENCE_MS, serves: Serves::Other, ended: None,
            },
            Self::Freeze => Facts {
                name: "freeze",
                story: "the program that carries all calls hangs (SIGSTOP)",
                struck: "node ACTIVE is frozen",
                promise_ms: SILENCE_MS, serves: Serves::Other, ended: None,
            },
            Self::FreezeAll => Facts {
                name: "freeze-all",
                story: "the machine that carries all calls hangs, and goes on a little later as if nothing had happened",
                struck: "node ACTIVE is frozen, with its parent",
                promise_ms: SILENCE_MS, serves: Serves::Other,
                ended: Some("node ACTIVE wakes up and believes that it still serves"),
            },
            Self::Cut => Facts {
                name: "cut",
                story: "the machine that carries all calls loses its network cable",
                struck: "node ACTIVE is cut off",
                promise_ms: SILENCE_MS, serves: Serves::Other, ended: None,
            },
            Self::Power => Facts {
                name: "power",
                story: "the machine that carries all calls loses power; what its disk had not synced is lost",
                struck: "node ACTIVE is without power",
                promise_ms: SILENCE_MS, serves: Serves::Other, ended: None,
            },
            Self::PowerBoth => Facts {
                name: "power-both",
                story: "both machines lose power; what their disks had not synced is lost; they boot a second later",
                struck: "nodes ACTIVE and STANDBY were without power for a second, and boot",
                promise_ms: BOOT_MS, serves: Serves::Either, ended: None,
            },
            Self::Switchover => Facts {
                name: "switchover",
                story: "the operator moves the service to the other machine, as for an upgrade",
                struck: "node ACTIVE is asked to hand over",
                promise_ms: 40.0, serves: Serves::Other, ended: None,
            },
            Self::Double => Facts {
                name: "double",
                story: "one machine's program is killed, comes back, and then the other one's is killed",
                struck: "node ACTIVE is killed",
                promise_ms: UNHEARD_MS, serves: Serves::Other, ended: None,
            },
            Self::RestartAlone => Facts {
                name: "restart-alone",
                story: "one machine without a partner: its program is killed and starts again",
                struck: "node ACTIVE is killed",
                promise_ms: 300.0, serves: Serves::Same, ended: None,
            },
            Self::StandbyDies => Facts {
                name: "standby-dies",
                story: "the machine that stands by dies, and nobody may notice",
                struck: "node STANDBY is killed, with its parent",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::StandbyRestarts => Facts {
                name: "standby-restarts",
                story: "the program on the machine that stands by is stopped and started again, as for an upgrade",
                struck: "node STANDBY has been stopped and started again",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::Upgrade => Facts {
                name: "upgrade",
                story: "both machines get a new program, one after the other, while calls go on",
                struck: "node STANDBY is stopped, gets the new program, and is started",
                promise_ms: 40.0, serves: Serves::Other,
                ended: Some("node ACTIVE is stopped, hands over, gets the new program, and is started"),
            },
            Self::UpgradeKill => Facts {
                name: "upgrade-kill",
                story: "one machine has a new program, and what serves is killed: the old program, then the new one",
                struck: "node ACTIVE is killed while node STANDBY runs another program",
                promise_ms: UNHEARD_MS, serves: Serves::Other, ended: None,
            },
            Self::PeerLinkOnly => Facts {
                name: "peer-link-only",
                story: "the machines lose sight of each other, while the phones reach both of them",
                struck: "nodes ACTIVE and STANDBY cannot reach each other",
                promise_ms: SILENCE_MS, serves: Serves::Either,
                ended: Some("nodes ACTIVE and STANDBY reach each other again"),
            },
            Self::OneWay => Facts {
                name: "one-way",
                story: "packets pass between the machines in one direction only",
                struck: "one of the nodes ACTIVE and STANDBY does not hear the other one any more",
                promise_ms: SILENCE_MS, serves: Serves::Other,
                ended: Some("nodes ACTIVE and STANDBY hear each other again"),
            },
            Self::Loss => Facts {
                name: "loss",
                story: "every twentieth packet between the machines is lost, and nobody may notice",
                struck: "a link between nodes ACTIVE and STANDBY loses 5 % of its packets",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::LinkCut => Facts {
                name: "link-cut",
                story: "one of the two links between the machines is cut, and nobody may notice",
                struck: "nodes ACTIVE and STANDBY have one link left",
                promise_ms: UNHEARD_MS, serves: Serves::Same,
                ended: Some("nodes ACTIVE and STANDBY have both links again"),
            },
            Self::SplitAndHeal => Facts {
                name: "split-and-heal",
                story: "the switch falls in two: each machine keeps some phones and serves them; then it is whole again",
                struck: "nodes ACTIVE and STANDBY are split, each with half of the phones",
                promise_ms: SILENCE_MS, serves: Serves::Either,
                ended: Some("the switch is whole again"),
            },
            Self::Flap => Facts {
                name: "flap",
                story: "the cable of the machine that carries all calls has a loose contact: five cuts in three seconds",
                struck: "node ACTIVE has been cut off and plugged in again five times",
                promise_ms: SILENCE_MS, serves: Serves::Either, ended: None,
            },
            Self::DiskFull => Facts {
                name: "disk-full",
                story: "the disks that hold the machines' state are full",
                struck: "nodes ACTIVE and STANDBY have no room left on their disks",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::SlowDisk => Facts {
                name: "slow-disk",
                story: "the disks that hold the machines' state take most of a second for each write",
                struck: "nodes ACTIVE and STANDBY have slow disks",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::ClockStep => Facts {
                name: "clock-step",
                story: "the wall clock of the machine that carries all calls is set an hour ahead, and back",
                struck: "node ACTIVE has a clock that is an hour ahead",
                promise_ms: UNHEARD_MS, serves: Serves::Same,
                ended: Some("node ACTIVE has the right time again"),
            },
            Self::AddressDeleted => Facts {
                name: "address-deleted",
                story: "somebody removes the service address from the machine that has it",
                struck: "the service address is removed from node ACTIVE",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::Overload => Facts {
                name: "overload",
                story: "strangers flood the service with REGISTER requests",
                struck: "node ACTIVE gets a storm of REGISTER requests from strangers",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::Flood => Facts {
                name: "flood",
                story: "no fault at all, but every core and the disk are busy with something else",
                struck: "node ACTIVE is flooded with work on every core and on the disk",
                promise_ms: UNHEARD_MS, serves: Serves::Same, ended: None,
            },
            Self::All => Facts {
                name: "all",
                story: "one fault after another",
                struck: "",
                promise_ms: SILENCE_MS, serves: Serves::Either, ended: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_fault_is_called_as_the_command_line_calls_it() {
        for fault in Fault::value_variants() {
            assert_eq!(fault.to_possible_value().expect("a value").get_name(), fault.name());
            assert!(fault.to_possible_value().expect("a value").get_help().is_some(), "{}", fault.name());
        }
    }

    #[test]
    fn all_of_them_are_listed_once_but_for_the_ones_it_names() {
        let each: BTreeSet<_> = Fault::EACH.iter().map(|fault| fault.name()).collect();
        assert_eq!(each.len(), Fault::value_variants().len() - 1, "everything but `all`");
        let all: BTreeSet<_> = Fault::All.list().iter().map(|fault| fault.name()).collect();
        let missing: Vec<_> = each.difference(&all).copied().collect();
        assert_eq!(missing, ["flood"]);
    }
}
