//! What keeps a second master away: a witness on a third machine, which may be cut off from either node, killed and
//! started again, and a power switch for fencing; and links between the nodes that may be cut while phones reach both.

use std::time::Duration;

use node::Event;
use node::base::LocalTime;
use node::cluster::witness::{Answer, Ask, Kind, Referee};
use node::cluster::{Fencing, OnFailure, Safeguards};

use super::World;
use super::record::Store;
use crate::check::FaultKind;
use crate::network::Path;
use crate::queue::Happening;

/// The witness's machine has been up for this long when a world begins.
const UP_US: u64 = 60_000_000;

/// How long a power switch takes, and a machine stays without power then.
const FENCING_US: u64 = 15_000;
const FENCED_US: u64 = 3_000_000;

const FENCING: Fencing = Fencing { wait: true, timeout: Duration::from_secs(2), on_failure: OnFailure::Stay };

/// The witness, and who reaches it.
pub struct Witness {
    /// `None` while it does not run.
    referee: Option<Referee>,
    /// An etcd in its place.
    pub(super) store: Option<Store>,
    /// Which machines it does not reach.
    cut: [bool; 2],
}

impl Witness {
    pub fn new(kind: Kind, life: u64, now_us: u64) -> Self {
        // It began so long ago that it waits for no lease of a former life.
        let began_us = now_us.saturating_sub(UP_US);
        match kind {
            Kind::Machine => {
                Self { referee: Some(Referee::new(life, LocalTime(began_us))), store: None, cut: [false; 2] }
            }
            Kind::Record => Self { referee: None, store: Some(Store::new()), cut: [false; 2] },
        }
    }
}

impl World {
    pub(super) fn safeguards(&self) -> Safeguards {
        let fencing = self.plan.fencing.then_some(FENCING);
        let (witness, witness_kind) = (self.plan.witness, self.plan.witness_kind);
        Safeguards { witness, witness_kind, fencing, ..Safeguards::default() }
    }

    /// A machine wants its peer's power cut.
    pub(super) fn fence(&mut self, machine: usize, life: u64, number: u64) {
        self.trace(|| format!("machine {machine}: fences its peer"));
        self.after(FENCING_US, Happening::FencingEnds { machine, life, number });
    }

    /// Whoever is cut off does not reach the power switch either.
    pub(super) fn fencing_ends(&mut self, machine: usize, life: u64, number: u64) {
        let done = self.machines[machine].is_reachable() && self.machines[machine].daemon_of(life).is_some();
        if done {
            self.cut_power(1 - machine, FENCED_US);
        }
        self.tell(machine, life, Event::Fenced { number, done });
    }

    /// A machine asks; it is on its way.
    pub(super) fn ask_witness(&mut self, machine: usize, bytes: Vec<u8>) {
        if self.ask_deputy(machine, &bytes) || !self.reaches_witness(machine) {
            return;
        }
        for delay_us in self.network.transit(&mut self.random, Path::Witness).into_iter().flatten() {
            self.after(delay_us, Happening::ToWitness { machine, bytes: bytes.clone() });
        }
    }

    pub(super) fn witness_gets(&mut self, machine: usize, bytes: &[u8]) {
        if !self.reaches_witness(machine) {
            return;
        }
        let (fresh, now) = (self.random.number(), LocalTime(self.now_us));
        let referee = self.witness.as_mut().and_then(|witness| witness.referee.as_mut());
        let answer = Ask::decode(bytes).ok().and_then(|ask| referee?.ask(now, fresh, &ask));
        let Some(mut answer) = answer else { return };
        if let Some(plant) = self.plant.as_mut() {
            plant.witness_answer(machine, &mut answer);
        }
        let bytes = Answer::encode(&answer);
        for delay_us in self.network.transit(&mut self.random, Path::Witness).into_iter().flatten() {
            self.after(delay_us, Happening::FromWitness { machine, bytes: bytes.clone() });
        }
    }

    pub(super) fn witness_answers(&mut self, machine: usize, bytes: Vec<u8>) {
        if !self.reaches_witness(machine) {
            return;
        }
        if let Some(life) = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life) {
            self.tell(machine, life, Event::Witness { bytes });
        }
    }

    pub(super) fn reaches_witness(&self, machine: usize) -> bool {
        let of = &self.machines[machine];
        of.is_reachable() && !of.asleep && self.witness.as_ref().is_some_and(|witness| !witness.cut[machine])
    }

    pub fn has_witness(&self) -> bool {
        self.witness.is_some()
    }

    /// The witness is a record in a store.
    pub fn has_store(&self) -> bool {
        self.plan.witness_kind == Kind::Record && self.has_witness()
    }

    /// Two masters are kept from each other.
    pub fn is_guarded(&self) -> bool {
        self.witness.is_some() || self.plan.fencing
    }

    pub fn kill_witness(&mut self) {
        self.trace(|| "witness: killed".to_owned());
        if let Some(witness) = self.witness.as_mut() {
            witness.referee = None;
            if let Some(store) = &mut witness.store {
                store.up = false;
                // One ask that is lost with it and a slow one after that are more than the record is relied on for.
                if self.network.links_cut {
                    self.checks.fault(self.now_us, FaultKind::Cut);
                }
            }
        }
    }

    /// It knows nothing of before, unless it is a store.
    pub fn start_witness(&mut self) {
        self.trace(|| "witness: starts".to_owned());
        let (life, now) = (self.random.number(), LocalTime(self.now_us));
        match self.witness.as_mut() {
            Some(Witness { store: Some(store), .. }) => store.up = true,
            Some(witness) => witness.referee = Some(Referee::new(life, now)),
            None => {}
        }
    }

    /// Whether this machine and the witness do not reach each other.
    pub fn cut_from_witness(&mut self, machine: usize, cut: bool) {
        self.trace(|| format!("machine {machine}: cut from the witness: {cut}"));
        if let Some(witness) = self.witness.as_mut() {
            witness.cut[machine] = cut;
        }
    }

    /// Every link between the two nodes is cut, or all of them work again. Phones reach both nodes all the time.
    pub fn cut_links(&mut self, cut: bool) {
        if self.network.links_cut == cut {
            return;
        }
        self.network.links_cut = cut;
        self.trace(|| format!("links between the nodes: {}", if cut { "cut" } else { "whole" }));
        if !cut {
            self.checks.fault(self.now_us, FaultKind::Heal);
            return;
        }
        // Whoever serves and reaches the witness goes on, and nobody may notice; else the other one takes over.
        let serving = self.active();
        let stays = serving.is_some_and(|serving| self.witness.as_ref().is_some_and(|witness| !witness.cut[serving]));
        self.checks.fault(self.now_us, if stays { FaultKind::Standby } else { FaultKind::Cut });
    }

    /// Cuts the links for so long; `isolated` is cut from the witness, too.
    pub(super) fn cut_links_for(&mut self, isolated: Option<usize>, us: u64) {
        if let Some(machine) = isolated {
            self.cut_from_witness(machine, true);
        }
        self.cut_links(true);
        self.after(us, Happening::Joined);
    }

    /// The witness starts after so long.
    pub fn after_witness(&mut self, us: u64) {
        self.after(us, Happening::WitnessStarts);
    }

    /// The links between the nodes work again, and everybody reaches the witness.
    pub fn join(&mut self) {
        for machine in 0..2 {
            self.cut_from_witness(machine, false);
        }
        self.cut_links(false);
    }

    /// Where there is a witness, or fencing, there are never two masters: machines that have the address, can be reached by phones,
    /// and run a daemon that answers them.
    pub(super) fn check_masters(&mut self) {
        let serves = |machine: &usize| {
            let of = &self.machines[*machine];
            let awake = of.daemon.as_ref().is_some_and(|daemon| daemon.pause.is_none());
            of.has_address && of.is_reachable() && awake && !of.asleep
        };
        if self.is_guarded() && (0..2).filter(serves).count() > 1 {
            let text = "both nodes have the service address although they are guarded against it".to_owned();
            self.checks.fail(self.now_us, "masters", text);
        }
    }
}
