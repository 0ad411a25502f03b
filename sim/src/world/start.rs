//! How a world begins: the files, the machines, the phones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use node::base::{Epoch, Incarnation, NodeIndex, Random};
use node::cluster::witness::Kind;
use node::cluster::{Failback, ResumeActive, Timing};
use node::pbx::conf::Files;
use node::pbx::configuration::{self, Configuration};
use node::{Event, Node, Settings};
use phone::PhoneCommand;

use super::files::{self, Folders};
use super::witness::Witness;
use super::{Plan, SERVICE, SERVICE_PORT, START_US, SWEEP_US, World, service};
use crate::check::Checks;
use crate::handset::{FIRST_NUMBER, Handset};
use crate::machine::{DRIFT_MAX_PPM, Daemon, Machine};
use crate::network::Network;
use crate::queue::{Happening, Queue};

/// With a record in a store for a witness a dead node's lease binds for 600 ms from its last renewal, which the other one
/// reads up to 100 ms later, and is taken by a write that may be slow.
const CONSENT_US: u64 = 900_000;

/// The dialplan's number for Echo.
pub const ECHO: &str = "600";

/// Phones beyond which their numbers and ports need more room than in the published examples.
const CROWD: usize = 100;

impl World {
    /// A world whose machines have just been switched on.
    pub fn new(plan: Plan) -> Self {
        let mut random = Random::from_number(plan.seed);
        let handsets: Vec<Handset> = plan
            .phones
            .iter()
            .enumerate()
            .map(|(index, phone)| Handset::new(index, *phone, service(SERVICE_PORT), random.number()))
            .collect();
        let users = handsets.iter().map(|handset| handset.user.clone()).collect();
        let levels = plan.levels;
        let machine = |random: &mut Random, index: usize| {
            let drift_ppm = random.below(2 * DRIFT_MAX_PPM as u64 + 1) as i64 - DRIFT_MAX_PPM;
            // One has been up for a while when the other one boots.
            let booted_at_us = START_US - 1_000_000 - index as u64 * 700_000_000;
            Machine::new(random.below(20_000), booted_at_us, drift_ppm, levels[index])
        };
        let machines = [machine(&mut random, 0), machine(&mut random, 1)];
        let mut world = Self {
            now_us: START_US,
            queue: Queue::default(),
            network: Network::default(),
            machines,
            checks: Checks::new(users, plan.audio_us, plan.ring_s * 1_000_000),
            handsets,
            configuration: Arc::new(configuration(&plan)),
            secret: random.bytes(),
            random,
            plan,
            plant: None,
            witness: None,
            lives: 0,
            counter: None,
            answers: BTreeMap::new(),
            asked: 0,
            troubles: Vec::new(),
            happenings: 0,
            folders: Folders::default(),
            store_away_until_us: [0; 2],
        };
        for of in &mut world.machines {
            of.files = crate::files::Files::new(files::first_folder());
        }
        if world.plan.witness.is_some() {
            let life = world.random.number();
            let kind = world.plan.witness_kind;
            world.witness = Some(Witness::new(kind, life, START_US));
            if kind == Kind::Record {
                world.checks.consent_us = CONSENT_US;
            }
        }
        for machine in 0..2 {
            let delay_us = world.random.below(20_000);
            world.after(delay_us, Happening::StartDaemon { machine, boot: 1, resume: None });
        }
        world.after(SWEEP_US, Happening::Sweep);
        world
    }

    /// Waits for the protected pair and registers all phones.
    pub fn come_up(&mut self) {
        if !self.run_until(6_000_000, Self::is_protected_pair) {
            let text = "the pair is not protected 6 s after it was switched on".to_owned();
            return self.checks.fail(self.now_us, "pair", text);
        }
        for phone in 0..self.handsets.len() {
            self.command(phone, PhoneCommand::Register);
            self.run(2_000);
        }
        let all = |world: &Self| world.handsets.iter().all(|handset| handset.phone.is_registered());
        if !self.run_until(5_000_000, all) {
            self.checks.fail(self.now_us, "registration", "phones cannot register".to_owned());
        }
    }

    pub(super) fn start_daemon(&mut self, machine: usize, boot: u64, resume: Option<Epoch>) {
        let of = &self.machines[machine];
        if !of.powered || of.boot != boot || of.stopped || of.daemon.is_some() {
            return;
        }
        let now = self.clocks(machine);
        let recovered = of.disk.recover(boot, now.local);
        let incarnation = Incarnation(self.random.number());
        let settings = Settings {
            name: if machine == 0 { "a" } else { "b" }.to_owned(),
            index: NodeIndex(machine as u8),
            priority: if machine == 0 { 150 } else { 100 },
            links: self.plan.links,
            failback: Failback::Manual,
            timing: Timing::default(),
            restart: resume.map(|epoch| ResumeActive { epoch }),
            incarnation,
            service: std::net::IpAddr::from(SERVICE).into(),
            secret: self.secret,
            vrrp: None,
            level: of.level,
            tracks: Vec::new(),
            safeguards: self.safeguards(),
            bandwidth: node::replication::files::transfer::BANDWIDTH,
            records_shared: self.plan.store.is_shared(),
            records_kept_max: self.plan.store.kept_max(),
        };
        self.trace(|| format!("node {machine}: starts, resume {resume:?}, log at {:?}", recovered.log.position()));
        let random = Random::from_seed(self.random.bytes());
        let configuration = self.configuration_at_start(machine);
        let twin = self
            .plant
            .as_ref()
            .filter(|plant| plant.wants_twins())
            .map(|_| Node::new(settings.clone(), configuration.clone(), recovered.clone(), random.clone(), now));
        let node = Node::new(settings, configuration, recovered, random, now);
        self.lives += 1;
        let life = self.lives;
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        of.last_incarnation = incarnation;
        of.carrier_lost = false;
        of.daemon = Some(Daemon::new(node, life, incarnation, now_us));
        let connected = of.connected;
        if let Some(plant) = self.plant.as_mut() {
            plant.started(machine, twin);
        }
        if !connected && self.cuts_drop_carrier() {
            self.after(1_000, Happening::Carrier { machine, life, up: false });
        }
        self.tell(machine, life, Event::Timeout);
        self.files_start(machine, life);
        self.empty_spool_later(machine);
    }

    pub(super) fn boot(&mut self, machine: usize) {
        let start_us = 30_000 + self.random.below(30_000);
        let of = &mut self.machines[machine];
        if of.powered {
            return;
        }
        of.powered = true;
        of.boot += 1;
        of.booted_at_us = self.now_us.saturating_sub(Duration::from_millis(900).as_micros() as u64);
        let boot = of.boot;
        self.trace(|| format!("machine {machine}: has power again"));
        self.after(start_us, Happening::StartDaemon { machine, boot, resume: None });
    }
}

/// Both published examples in one: friends by number, a pattern, and Echo.
fn configuration(plan: &Plan) -> Configuration {
    let mut sip = String::from(
        "[general]\ncontext=ramais\nbindport=5060\nbindaddr=0.0.0.0\nsrvlookup=yes\ndisallow=all\nallow=all\n",
    );
    for index in 0..plan.phones.len() {
        let user = FIRST_NUMBER + index;
        sip.push_str(&format!(
            "\n[{user}]\ntype=friend\ncallerid=\"{user}\" <{user}>\nusername={user}\nsecret=secret{user}\nhost=dynamic\n\
             nat=yes\ncanreinvite=no\ncontext=ramais\naccountcode=account{user}\n"
        ));
        if plan.qualify {
            sip.push_str("qualify=yes\n");
        }
    }
    let crowd = plan.phones.len() > CROWD;
    let pattern = if crowd { "_XXX." } else { "_50XX" };
    let extensions = format!(
        "[ramais]\nexten => {pattern},1,Dial(SIP/${{EXTEN}},{})\nexten => {pattern},2,Hangup\nexten => {ECHO},1,Answer\n\
         exten => {ECHO},2,Echo\nexten => {ECHO},3,Hangup\n",
        plan.ring_s
    );
    let ports = if crowd { "[general]\nrtpstart=10000\nrtpend=59999\n" } else { "" };
    let files = [("sip.conf", sip), ("extensions.conf", extensions), ("rtp.conf", ports.to_owned())];
    let files: Files = files.into_iter().collect();
    let loaded = configuration::load(&files);
    match loaded.configuration {
        Some(configuration) => configuration,
        None => panic!("the simulation's own files are refused: {:?}", loaded.diagnostics),
    }
}
