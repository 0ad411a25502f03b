//! Standing still: a daemon that is stopped (SIGSTOP, a page that does not come), or a whole machine (a paused virtual
//! machine), and going on as if nothing had been. The clocks go on meanwhile.

use node::Event;

use super::World;
use super::faults::LEASE_US;
use crate::check::FaultKind;
use crate::machine::{Pause, Stamp};
use crate::queue::Happening;

/// How long a parent lets its daemon be silent: an active one that has a protected peer, one that serves alone, one
/// that serves nobody.
const STALL_PROTECTED_US: u64 = 100_000;
const STALL_ALONE_US: u64 = 1_000_000;
const STALL_STANDBY_US: u64 = 2_000_000;

/// What a machine's sockets hold for a daemon that does not read.
const HELD_MAX: usize = 2_000;

impl World {
    /// Stops a daemon for so long; its parent goes on watching.
    pub fn freeze(&mut self, machine: usize, us: u64) {
        let Some((life, stamp)) = self.stand_still(machine) else { return };
        let patience_us = match (stamp.active, stamp.protected) {
            (true, true) => STALL_PROTECTED_US,
            (true, false) => STALL_ALONE_US,
            (false, _) => STALL_STANDBY_US,
        };
        let (boot, since_us) = (self.machines[machine].boot, self.now_us);
        self.after(patience_us, Happening::StallJudged { machine, life, since_us });
        self.after(us, Happening::GoesOn { machine, boot });
    }

    /// Stops a whole machine for so long, its parent process and kernel too.
    pub fn fall_asleep(&mut self, machine: usize, us: u64) {
        if self.stand_still(machine).is_none() {
            return;
        }
        let of = &mut self.machines[machine];
        of.asleep = true;
        let boot = of.boot;
        self.after(us, Happening::GoesOn { machine, boot });
    }

    fn stand_still(&mut self, machine: usize) -> Option<(u64, Stamp)> {
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        let serves = of.is_active() || of.has_address;
        let daemon = of.daemon.as_mut()?;
        daemon.pause.get_or_insert(Pause { since_us: now_us, events: Vec::new() });
        daemon.timer_at_us = None;
        let (life, stamp) = (daemon.life, daemon.stamp(now_us));
        self.trace(|| format!("machine {machine}: stands still"));
        self.checks.fault(now_us, if serves { FaultKind::Cut } else { FaultKind::Standby });
        Some((life, stamp))
    }

    pub(super) fn stall_judged(&mut self, machine: usize, life: u64, since_us: u64) {
        let boot = self.machines[machine].boot;
        let daemon = self.machines[machine].daemon_of(life);
        if daemon.and_then(|daemon| daemon.pause.as_ref()).is_some_and(|pause| pause.since_us == since_us) {
            self.trace(|| format!("machine {machine}: its parent kills the daemon that stands still"));
            self.lose(machine);
            self.death_noticed(machine, boot);
        }
    }

    /// Everything that waits is read before time is judged, as the daemon's loop does.
    pub(super) fn goes_on(&mut self, machine: usize, boot: u64) {
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        if of.boot != boot {
            return;
        }
        let slept = std::mem::take(&mut of.asleep);
        let Some(daemon) = of.daemon.as_mut() else { return };
        let Some(Pause { since_us, events: mut held }) = daemon.pause.take() else { return };
        let life = daemon.life;
        if let Some(plant) = self.plant.as_mut() {
            plant.woke(machine);
        }
        held.truncate(HELD_MAX);
        self.trace(|| format!("machine {machine}: goes on after {} events", held.len()));
        self.checks.fault(now_us, FaultKind::Heal);
        // The peer's word first, then the parent's, the phones' and the disk's, and the clock at last.
        held.retain(|event| !matches!(event, Event::Timeout));
        held.sort_by_key(|event| match event {
            Event::Peer { .. } | Event::Farewell { .. } | Event::Witness { .. } => 0,
            Event::Claimed { .. } => 1,
            _ => 2,
        });
        for event in held {
            self.tell(machine, life, event);
        }
        self.tell(machine, life, Event::Timeout);
        // A lease that ended in its sleep ends at once; a node that serves claims the address again.
        let of = &mut self.machines[machine];
        if slept && now_us - since_us >= LEASE_US && !of.is_active() {
            of.give_address_back();
        }
    }
}
