//! What is done to the nodes, their network and their disks when a fault comes, and when it ends.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use phone::audio::Gap;

use super::absence::Absences;
use super::checks::Check;
use super::fault::{Fault, Serves};
use super::flood::Flood;
use super::room::LEFT;
use super::scene::{Scene, WITH_A, WITH_B};
use super::slow_disk::SlowDisks;
use super::storm::Storm;
use crate::LabError;
use crate::disk::Disk;
use crate::netns::{Cable, LAN, Loss, Network};
use crate::nodes::{Node, SERVICE};
use crate::phones::SIP_PORT;

/// The share of packets between the nodes that gets lost.
const LOSS_PERCENT: u32 = 5;
const ALL_PERCENT: u32 = 100;

/// A loose contact: five cuts in three seconds.
const FLAPS: u32 = 5;
const FLAP: Duration = Duration::from_millis(300);

/// How long both machines are without power.
const DARKNESS: Duration = Duration::from_secs(1);

/// Fewer requests than this in the time of a trial are no storm: the machine was too busy to make one.
const STORM_MIN: u64 = 2_000;

/// How far the wall clock is set ahead.
const CLOCK_STEP_S: i64 = 3_600;

/// One fault, from its beginning to its end.
pub(super) struct Strike {
    fault: Fault,
    round: u32,
    active: usize,
    standby: usize,
    lossy_links: usize,
    /// The processes of the active node as they were before.
    daemon: i32,
    parent: Option<i32>,
    load: Option<Load>,
}

/// Something that goes on until it is dropped.
enum Load {
    Flood(Flood),
    Storm(Storm),
    SlowDisks(#[allow(dead_code)] SlowDisks),
}

impl Strike {
    /// `round` counts from 0; so many of the nodes' links lose packets when that is the fault.
    pub(super) fn new(
        scene: &Scene,
        fault: Fault,
        round: u32,
        active: usize,
        lossy_links: u32,
    ) -> Result<Self, LabError> {
        let node = scene.node(active)?;
        let (standby, lossy_links) = (1 - active.min(1), lossy_links as usize);
        let (daemon, parent) = (node.daemon()?, node.parent());
        Ok(Self { fault, round, active, standby, lossy_links, daemon, parent, load: None })
    }

    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Counts from 0.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// The node that must serve now; `None` when it may be either.
    pub(super) fn serving(&self) -> Option<usize> {
        match self.fault.serves(self.round) {
            Serves::Same => Some(self.active),
            Serves::Other => Some(self.standby),
            Serves::Either => None,
        }
    }

    /// Commits the fault.
    pub(super) fn begin(&mut self, scene: &mut Scene) -> Result<(), LabError> {
        let (active, standby) = (scene.name_of(self.active), scene.name_of(self.standby));
        let (active, standby) = (active.as_str(), standby.as_str());
        let node = scene.node(self.active)?;
        match self.fault {
            Fault::Kill | Fault::Double | Fault::UpgradeKill | Fault::RestartAlone => {
                node.signal(self.daemon, Signal::SIGKILL)
            }
            Fault::KillParentToo => self.signal_all(scene, Signal::SIGKILL),
            Fault::Freeze => node.signal(self.daemon, Signal::SIGSTOP),
            Fault::FreezeAll => self.signal_all(scene, Signal::SIGSTOP),
            Fault::Cut => scene.network.cut(active),
            Fault::Power => {
                scene.network.cut(active)?;
                scene.disk(self.active)?.lose_power()?;
                self.signal_all(scene, Signal::SIGKILL)
            }
            Fault::PowerBoth => self.black_out(scene),
            Fault::Switchover | Fault::All => node.switchover(),
            Fault::StandbyDies => scene.node_mut(self.standby)?.kill(),
            Fault::StandbyRestarts => {
                let node = scene.node_mut(self.standby)?;
                node.stop();
                node.start()
            }
            Fault::Upgrade => scene.upgrade(self.standby),
            Fault::PeerLinkOnly => scene.network.lose_between(&both_ways(&[active], &[standby], ALL_PERCENT)),
            Fault::OneWay => {
                let (from, to) = if self.round.is_multiple_of(2) { (active, standby) } else { (standby, active) };
                scene.network.lose_between(&[Loss { from: &[from], to: &[to], percent: ALL_PERCENT }])
            }
            Fault::Loss => {
                let lossy: Vec<Cable> = scene.links().iter().take(self.lossy_links).copied().collect();
                scene.network.lose_on(&lossy, &both_ways(&[active], &[standby], LOSS_PERCENT))
            }
            Fault::LinkCut => match self.own_link(scene) {
                Some(own) => scene.network.plug(active, own, false),
                None => scene.network.lose_on(&[LAN], &both_ways(&[active], &[standby], ALL_PERCENT)),
            },
            Fault::SplitAndHeal => scene.network.lose_between(&both_ways(&WITH_A, &WITH_B, ALL_PERCENT)),
            Fault::Flap => flap(scene, active),
            Fault::DiskFull => scene.disks().iter().try_for_each(|disk| disk.fill()),
            Fault::SlowDisk => {
                self.load = Some(Load::SlowDisks(SlowDisks::begin(scene.disks())?));
                Ok(())
            }
            Fault::ClockStep => node.set_clock(CLOCK_STEP_S),
            Fault::AddressDeleted => node.host.remove_address(SERVICE),
            Fault::Overload => {
                let host = scene.network.host(LEFT)?;
                self.load = Some(Load::Storm(Storm::begin(host, SocketAddr::from((SERVICE, SIP_PORT)))?));
                Ok(())
            }
            Fault::Flood => {
                self.load = Some(Load::Flood(Flood::begin(scene.directory())?));
                Ok(())
            }
        }
    }

    /// Ends the fault: what is broken is whole again, and what was killed may be started by who looks after it.
    pub(super) fn end(&mut self, scene: &mut Scene) -> Result<(), LabError> {
        self.load = None;
        let active = scene.name_of(self.active);
        let node = scene.node(self.active)?;
        match self.fault {
            // Its parent may have killed and replaced the frozen daemon meanwhile, which is as good.
            Fault::Freeze => drop(node.signal(self.daemon, Signal::SIGCONT)),
            Fault::FreezeAll => {
                scene.network.count_from(&active, SERVICE)?;
                self.signal_all(scene, Signal::SIGCONT)?;
            }
            Fault::Cut => {
                scene.network.count_from(&active, SERVICE)?;
                scene.network.heal(&active)?;
            }
            // A node that is stopped hands over first.
            Fault::Upgrade => scene.upgrade(self.active)?,
            Fault::Power => power_on(scene, &[self.active])?,
            Fault::PeerLinkOnly | Fault::OneWay | Fault::Loss | Fault::SplitAndHeal => {
                scene.network.lose_between(&[])?;
            }
            Fault::LinkCut => match self.own_link(scene) {
                Some(own) => scene.network.plug(&active, own, true)?,
                None => scene.network.lose_between(&[])?,
            },
            Fault::DiskFull => scene.disks().iter().try_for_each(|disk| disk.clear())?,
            Fault::ClockStep => node.set_clock(0)?,
            _ => {}
        }
        Ok(())
    }

    /// The cable that is cut in this round, when it is the one that only the nodes have.
    fn own_link(&self, scene: &Scene) -> Option<Cable> {
        scene.links().iter().find(|cable| **cable != LAN && self.round.is_multiple_of(2)).copied()
    }

    /// When the machine's cores were away during a flood, beside what the phones heard.
    pub(super) fn absences(&mut self, gaps: &[Gap]) -> Option<Absences> {
        match &mut self.load {
            Some(Load::Flood(flood)) => Some(flood.absences(gaps)),
            _ => None,
        }
    }

    /// A storm that nobody felt would show nothing.
    pub(super) fn check_storm(&self) -> Option<Check> {
        let Some(Load::Storm(storm)) = &self.load else { return None };
        let (sent, answered) = storm.counts();
        let said = format!("{sent} requests of strangers sent, {answered} answered");
        let good = usize::from(sent >= STORM_MIN);
        Some(Check { name: "strangers flooded the service", good, total: 1, notes: vec![said] })
    }

    /// The parent first, so that it sees nothing of what happens to its daemon.
    fn signal_all(&self, scene: &Scene, signal: Signal) -> Result<(), LabError> {
        let node = scene.node(self.active)?;
        if let Some(parent) = self.parent {
            node.signal(parent, signal)?;
        }
        // The kernel kills a daemon whose parent has died, which may have happened already.
        let daemon = node.signal(self.daemon, signal);
        if signal == Signal::SIGKILL { Ok(()) } else { daemon }
    }

    /// Nothing of either machine is left but its disk. The power comes back to both at the same moment.
    fn black_out(&self, scene: &mut Scene) -> Result<(), LabError> {
        let both = [self.active, self.standby];
        for index in both {
            scene.network.cut(&scene.name_of(index))?;
        }
        for index in both {
            scene.disk(index)?.lose_power()?;
        }
        for index in both {
            scene.node_mut(index)?.kill()?;
        }
        thread::sleep(DARKNESS);
        power_on(scene, &both)
    }
}

/// These machines boot, all at once.
fn power_on(scene: &mut Scene, indexes: &[usize]) -> Result<(), LabError> {
    let disks = scene.disks().to_vec();
    let Scene { nodes, network, .. } = scene;
    let network = &*network;
    let machines = nodes.iter_mut().zip(&disks).enumerate().filter(|(index, _)| indexes.contains(index));
    thread::scope(|scope| {
        let boots: Vec<_> = machines.map(|(_, (node, disk))| scope.spawn(move || boot(node, disk, network))).collect();
        boots.into_iter().try_for_each(|boot| boot.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// The machine has its disk as it was, and nothing else of before.
fn boot(node: &mut Node, disk: &Disk, network: &Network) -> Result<(), LabError> {
    node.kill()?;
    disk.power_on()?;
    if node.host.has_address(SERVICE)? {
        node.host.remove_address(SERVICE)?;
    }
    network.heal(&node.name)?;
    node.start()
}

fn both_ways<'a>(one: &'a [&'a str], other: &'a [&'a str], percent: u32) -> [Loss<'a>; 2] {
    [Loss { from: one, to: other, percent }, Loss { from: other, to: one, percent }]
}

fn flap(scene: &Scene, host: &str) -> Result<(), LabError> {
    for _ in 0..FLAPS {
        scene.network.cut(host)?;
        thread::sleep(FLAP);
        scene.network.heal(host)?;
        thread::sleep(FLAP);
    }
    Ok(())
}
