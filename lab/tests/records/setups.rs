//! The tests by which the two published setups that Tandem replaces show that they work, by their names. In both a machine
//! is a PBX and a member of a Galera cluster; a third machine only votes. Whatever is done, calls are up meanwhile: they
//! must be what they were after each step, no phone may have to register again, the files must be equal on both machines,
//! and each call must have one row on both databases.
//!
//! | published test | here |
//! | --- | --- |
//! | add lines to a configuration file, delete lines, on the primary | [`Setup::edit`] on the node that serves |
//! | the same on the secondary | [`Setup::edit`] on the node that stands by |
//! | cluster size and rows on both database nodes | [`Setup::check`], after every step |
//! | copy files, switch, find them, switch back | [`Setup::copy_and_switch`] |
//! | disconnect each server | [`Away::Disconnected`] |
//! | shut each server down | [`Away::ShutDown`] |
//! | cut each server's power | [`Away::WithoutPower`] |
//! | cut both servers' power | [`Setup::cut_both`]; the database is begun anew by hand, as Galera wants it |
//! | return of the first server | the end of [`Setup::take_away`]: it has what was done meanwhile, and stands by |

use std::collections::BTreeMap;
use std::fs;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use tandem_lab::nodes::{Node, SERVICE};
use tandem_lab::stores::{DATABASE, Server, USER};

use super::room::{Ground, NODES, Room, told_configuration, wait_for};
use super::{SERIAL, THIRD, cluster, wait_size};

/// What is younger than a tenth of a second when both machines lose power may be forgotten, as docs/power.md says; on
/// disks that share a machine with others it takes longer.
const SYNCED: Duration = Duration::from_secs(1);

/// How long both machines are without power.
const DARKNESS: Duration = Duration::from_secs(1);

/// What Asterisk has written into the table.
const FOREIGN: usize = 1;

/// Where lines are added and deleted.
const EDITED: &str = "extensions.conf";

/// Two machines of a pair with their databases, and the one that votes.
struct Setup {
    room: Room,
    members: [Server; 2],
    third: Server,
    /// As many as there were when all phones were registered.
    registrations: u64,
    begun: Instant,
}

/// How a server is taken away.
#[derive(Clone, Copy, Debug)]
enum Away {
    Disconnected,
    ShutDown,
    WithoutPower,
}

#[test]
fn what_the_published_setups_are_tested_with() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let mut setup = Setup::new();
    let primary = setup.room.wait_protected();
    setup.edit(primary);
    setup.edit(1 - primary);
    setup.copy_and_switch();
    for away in [Away::Disconnected, Away::ShutDown, Away::WithoutPower] {
        // The one that serves, and then the other one, which has taken over.
        for _ in 0..2 {
            setup.take_away(away);
        }
    }
    setup.cut_both();
    println!("{} calls, each with one row on both members", setup.room.made.len());
}

impl Setup {
    fn new() -> Self {
        let begun = Instant::now();
        let ground = Ground::new(&[THIRD]).with_disks();
        let places = NODES.map(|(name, _)| (name, ground.directory.join(name).join("database")));
        let [one, two, third] = cluster(&ground, places);
        let store = format!("mysql://{USER}@{},{}/{DATABASE}", NODES[0].1, NODES[1].1);
        let room = ground.pair(&store);
        (0..2).for_each(|machine| room.disk(machine).sync().expect("a disk"));
        let registrations = room.registrations();
        let mut setup = Self { room, members: [one, two], third, registrations, begun };
        setup.check("the beginning");
        setup
    }

    /// Lines are added to a file on this node and deleted again; each time both nodes have and run them.
    fn edit(&mut self, node: usize) {
        self.room.round(|room| {
            let old = read(&room.nodes[node], EDITED);
            for text in [format!("{old}exten => 6011,1,Answer\nexten => 6011,2,Hangup\n"), old] {
                room.nodes[node].write_pbx_file(EDITED, &text).expect("a file");
                wait_for("the edited file on both nodes", || {
                    room.nodes.iter().all(|node| read(node, EDITED) == text) && is_equal(room)
                });
                room.wait_calls();
            }
        });
        self.check("lines added and deleted");
    }

    /// Files that are copied to the node that serves are with the other one when that serves, and the other way round.
    fn copy_and_switch(&mut self) {
        for name in ["first.conf", "second.conf"] {
            let text = format!("; {name}\n");
            self.room.round(|room| {
                let serves = room.wait_protected();
                room.nodes[serves].write_pbx_file(name, &text).expect("a file");
                // No later than the switch: a node takes over on purpose only with what the other one has.
                wait_for("the copied file is a version", || {
                    is_equal(room) && read(&room.nodes[1 - serves], name) == text
                });
                room.nodes[serves].switchover().expect("a switchover");
                wait_for("the other node serves", || serves_now(&room.nodes[1 - serves]));
                assert_eq!(read(&room.nodes[1 - serves], name), text);
                room.wait_calls();
            });
            self.check("files copied, and switched");
        }
    }

    /// The server that serves is taken away and comes back. What is edited and called meanwhile is there when it returns.
    fn take_away(&mut self, away: Away) {
        let Self { room, members, .. } = self;
        let gone = room.wait_protected();
        let name = NODES[gone].0;
        room.round(|room| {
            match away {
                Away::Disconnected => room.network.cut(name).expect("a cut"),
                Away::ShutDown => {
                    room.nodes[gone].stop();
                    members[gone].stop().expect("a server that ends");
                }
                Away::WithoutPower => lose_power(room, members, &[gone]),
            }
            wait_for("the other node serves", || serves_now(&room.nodes[1 - gone]));
            room.wait_calls();
            let text = read(&room.nodes[1 - gone], EDITED) + &format!("; {away:?}: {name}\n");
            room.nodes[1 - gone].write_pbx_file(EDITED, &text).expect("a file");
            // Of a component that breaks twice at once, Galera wants every member back, or a human.
            wait_size(&members[1 - gone], 2);
        });
        match away {
            Away::Disconnected => room.network.heal(name).expect("a heal"),
            Away::ShutDown => {
                room.nodes[gone].start().expect("a node");
                members[gone].start(false).expect("a member");
            }
            Away::WithoutPower => {
                boot(room, gone);
                members[gone].start(false).expect("a member");
            }
        }
        self.check(&format!("the return of {name}, which was {away:?}"));
        let text = read(&self.room.nodes[gone], EDITED);
        assert!(text.contains(&format!("; {away:?}: {name}\n")), "what was edited meanwhile: {text}");
        assert_eq!(self.room.wait_protected(), 1 - gone, "it stands by");
    }

    /// Nothing of either machine is left but its disk, and the third one is gone as well. The pair is back by itself, with
    /// the calls; the database wants a human, and the records wait for it.
    fn cut_both(&mut self) {
        let Self { room, members, third, .. } = self;
        room.round(|room| {
            thread::sleep(SYNCED);
            lose_power(room, members, &[0, 1]);
            third.kill();
            thread::sleep(DARKNESS);
            (0..2).for_each(|machine| boot(room, machine));
            room.wait_protected();
            room.wait_calls();
        });
        room.wait_told("the records wait", |records| records["waiting"].as_u64() > Some(0));
        members[0].start(true).expect("the first member");
        third.start(false).expect("the third voice");
        members[1].start(false).expect("the second member");
        self.check("both without power");
    }

    /// What must hold after each step.
    fn check(&mut self, step: &str) {
        println!("{:>5.1} s: {step}", self.begun.elapsed().as_secs_f64());
        for member in &self.members {
            wait_size(member, 3);
        }
        let active = self.room.wait_protected();
        wait_for(&format!("equal files after {step}"), || is_equal(&self.room));
        self.room.wait_records(FOREIGN);
        self.room.equal(&[&self.members[0], &self.members[1]], FOREIGN);
        let known = self.room.nodes[active].status().expect("a status").registration_count();
        assert_eq!((known, self.room.registrations()), (Some(self.registrations), self.registrations), "after {step}");
    }
}

fn lose_power(room: &mut Room, members: &mut [Server; 2], machines: &[usize]) {
    for machine in machines {
        room.network.cut(NODES[*machine].0).expect("a cut");
    }
    for machine in machines {
        room.disk(*machine).lose_power().expect("a disk without power");
    }
    for machine in machines {
        room.nodes[*machine].kill().expect("a node's end");
        members[*machine].kill();
    }
}

/// The machine has its disk as it was, and nothing else of before.
fn boot(room: &mut Room, machine: usize) {
    room.disk(machine).power_on().expect("a disk");
    let host = &room.nodes[machine].host;
    if host.has_address(SERVICE).expect("addresses") {
        host.remove_address(SERVICE).expect("an address");
    }
    room.nodes[machine].start().expect("a node");
    room.network.heal(NODES[machine].0).expect("a heal");
}

fn serves_now(node: &Node) -> bool {
    node.status().is_ok_and(|status| status.serves())
}

fn read(node: &Node, file: &str) -> String {
    fs::read_to_string(node.pbx_directory().join(file)).unwrap_or_default()
}

/// Both nodes run one version, nothing is refused or in conflict, and both directories have the same files.
fn is_equal(room: &Room) -> bool {
    let head = |node: &Node| {
        let told = told_configuration(node);
        let runs = told["runs_head"] == true && told["peer_runs_head"] == true;
        let quiet = told["conflict"].is_null() && told["refused"].as_array().is_some_and(Vec::is_empty);
        if runs && quiet { told["head"].as_str().map(str::to_owned) } else { None }
    };
    let files = |node: &Node| -> BTreeMap<String, String> {
        let entries = fs::read_dir(node.pbx_directory()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.map(|name| (name.clone(), read(node, &name))).collect()
    };
    let [a, b] = [0, 1].map(|node| (head(&room.nodes[node]), files(&room.nodes[node])));
    a.0.is_some() && a == b
}
