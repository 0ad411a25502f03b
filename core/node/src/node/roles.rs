//! What the cluster machine decides, carried out.

use base::Epoch;
use cluster::{Notice, Output, Role};

use super::{Node, absence};
use crate::action::{Action, Tell};
use crate::event::Now;

impl Node {
    pub(super) fn take_cluster_outputs(&mut self, now: Now, outputs: Vec<Output>) {
        // The cluster has changed over already when it says so.
        let before = std::mem::replace(&mut self.role_told, self.cluster.role());
        let mut lost_peer = false;
        for output in outputs {
            match output {
                Output::SendHeartbeat(heartbeat) => {
                    self.send_to_peer(super::peer::HEARTBEAT, &heartbeat.encode());
                    self.tell_about(now);
                }
                Output::BecomeActive { epoch } => self.become_active(now, before, epoch),
                Output::BecomeStandby { epoch } => self.become_standby(now, before, epoch),
                Output::EpochKnown { epoch } => {
                    if let Some(peering) = self.peering.as_mut() {
                        peering.set_epoch_floor(epoch);
                    }
                    self.durable.epoch = self.durable.epoch.max(epoch);
                    self.actions.push(Action::KeepDurable(self.durable));
                }
                Output::ReserveEpoch(epoch) => {
                    self.durable.reserved = epoch;
                    self.actions.push(Action::KeepDurable(self.durable));
                }
                Output::PeerUp { incarnation } => self.peer_up(now, incarnation),
                Output::PeerDown { incarnation } => {
                    lost_peer = true;
                    let silent = now.local.since(self.cluster.peer().heard_at);
                    self.actions.push(Action::Tell(Tell::PeerDown { incarnation, silent }));
                }
                Output::TellNeighbours => {
                    let parties = self.pbx.parties();
                    self.actions.push(Action::TellNeighbours { parties });
                }
                Output::BeginHandOver => {
                    self.handed_over = false;
                    self.actions.push(Action::Tell(Tell::HandOver { step: "begun" }));
                }
                Output::HandOverFailed => {
                    if let Some(peering) = self.peering.as_mut() {
                        peering.cancel_hand_over();
                    }
                    self.actions.push(Action::Tell(Tell::HandOver { step: "failed" }));
                    if self.stop_asked_by.take().is_some() {
                        // There is nobody to hand over to any more, and the stop was asked for all the same.
                        self.leave(now);
                    }
                }
                Output::AskWitness(ask) => self.actions.push(Action::AskWitness { bytes: ask.encode() }),
                Output::Fence(fence) => self.actions.push(Action::Fence(fence)),
                Output::Notice(notice @ Notice::DoubleActive { .. }) => {
                    let time = self.pbx_now(now);
                    self.pbx.expect_orphans(time);
                    self.actions.push(Action::Tell(Tell::Cluster(notice)));
                }
                Output::Notice(notice) => self.actions.push(Action::Tell(Tell::Cluster(notice))),
            }
        }
        if lost_peer && self.cluster.role() == Role::Standby {
            self.vrrp_hold(now);
        }
        if self.stop_asked_by.is_some() && self.cluster.role() == Role::Standby {
            // Handed over. The peer is told that we leave, so that it waits neither for us nor for what we hold.
            self.leave(now);
        }
    }

    fn become_active(&mut self, now: Now, before: Role, epoch: Epoch) {
        let cause = self.cause_active(before);
        self.configuration_role_changed();
        if self.restored && self.rebooted && before == Role::Starting {
            // Nobody knows better: a node that followed another one has the time from that one.
            self.cluster.observe(absence::cluster_time(&self.log, now.wall), now.local);
        }
        self.rest_of_log(now);
        self.rebuild_whole(now);
        self.claimed = false;
        self.lagging = false;
        self.journal_late = false;
        if let Some(peering) = self.peering.as_mut() {
            peering.lead(epoch);
        }
        self.actions.push(Action::Claim { epoch });
        self.vrrp_serve(now);
        self.actions.push(Action::Tell(Tell::BecameActive { epoch, cause }));
    }

    /// The address is ours: everything that the other one may have left unsaid is said again.
    pub(super) fn claimed(&mut self, now: Now, epoch: Epoch) {
        if self.cluster.role() != Role::Active || self.cluster.epoch() != epoch || self.claimed {
            return;
        }
        self.claimed = true;
        self.take_own_offer(now);
        self.actions.push(Action::MediaTakenOver);
        self.resend = self.pbx.take_over().into();
        self.resending = self.resend.len();
        self.resend_some(now);
        self.store_records_again();
    }

    fn become_standby(&mut self, now: Now, before: Role, epoch: Epoch) {
        let was_active = self.claimed;
        let cause = self.cause_standby(before);
        self.configuration_role_changed();
        self.claimed = false;
        self.outbox.discard();
        self.resend.clear();
        self.resend_at = None;
        self.restored = false;
        let changed = self.pbx.stand_by();
        self.actions.push(Action::Yield);
        self.vrrp_stand_by(now);
        if self.settings.records_shared {
            self.actions.push(Action::LeaveRecords);
        }
        if let Some(peering) = self.peering.as_mut() {
            peering.set_epoch_floor(epoch);
            peering.follow(&self.log);
        }
        self.actions.push(Action::Tell(Tell::BecameStandby { epoch, cause }));
        if was_active {
            self.put_back(now, changed);
        }
        self.stop_waits_until = None;
        self.end_intake();
    }
}
