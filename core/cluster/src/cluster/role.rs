//! The transitions of the role, and what may cause them.

use std::cmp::{Ordering, Reverse};
use std::time::Duration;

use base::{Epoch, Incarnation, LocalTime};

use super::{Cluster, Failback};
use crate::heartbeat::{Drain, Heartbeat, Reach, Role};
use crate::output::{Notice, Output, SwitchOverRefused};

impl Cluster {
    /// What a heartbeat that was accepted means for the role.
    pub(super) fn weigh(&mut self, now: LocalTime, heartbeat: &Heartbeat, out: &mut Vec<Output>) {
        if self.role != Role::Active {
            self.clock.observe(heartbeat.cluster_time, now);
        }
        if heartbeat.leaving {
            self.told_alone = heartbeat.alone && heartbeat.role == Role::Active || self.told_alone;
            return self.peer_gone(now, out);
        }
        match (self.role, heartbeat.role) {
            (Role::Active, Role::Active) => self.weigh_rival(now, heartbeat, out),
            (Role::Active, Role::Starting | Role::Standby) => self.weigh_follower(now, heartbeat, out),
            (Role::Starting | Role::Standby, Role::Active) => self.weigh_leader(now, heartbeat, out),
            (Role::Starting | Role::Standby, Role::Starting | Role::Standby) => self.learn(heartbeat.epoch, out),
        }
        self.judge(now, out);
    }

    /// Judges what time and the present knowledge allow: taking the role, giving it back.
    pub(super) fn judge(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.weigh_guard(now, out);
        match self.role {
            Role::Starting => self.judge_starting(now, out),
            Role::Standby => self.judge_standby(now, out),
            Role::Active => self.judge_active(now, out),
        }
    }

    /// When the role must be judged though nothing is heard.
    pub(super) fn role_deadline(&self) -> Option<LocalTime> {
        match self.role {
            Role::Active => None,
            // The first deadline is the first heartbeat, which is due when the machine is made.
            Role::Starting if self.at_once => None,
            Role::Starting => {
                let listened_long = self.listen_until + self.settings.timing.startup_wait;
                let dues = [self.listen_until, listened_long, self.alone_from()];
                dues.into_iter().filter(|due| self.judged_at.is_none_or(|at| at < *due)).min()
            }
            Role::Standby => Some(self.leader_heard_at + self.patience()),
        }
    }

    /// When the role is handed over without an operator: because we cannot serve, because the peer is the better one by
    /// what the nodes track, or because the peer has settled and has the greater priority, or an operator wants us out.
    pub(super) fn failback_deadline(&self) -> Option<LocalTime> {
        let since = self.in_step_since.filter(|_| self.may_hand_over().is_ok())?;
        let timing = &self.settings.timing;
        if !self.is_able() {
            return Some(since + timing.hand_over_wait);
        }
        if let Some(settled_at) = self.peer_sees_more_until() {
            return Some(settled_at.max(since));
        }
        if self.follower_behind {
            return None;
        }
        if self.is_out_beside_peer() {
            return Some(since + timing.settle);
        }
        if self.peer.view.drain.is_on() || self.sees_more() {
            return None;
        }
        // What fails here and not there is no matter of taste, so that it moves the role whatever failback says.
        let worse = self.worse_since.map(|worse| since.max(worse) + timing.track_settle);
        let automatic = self.settings.failback == Failback::Automatic;
        let preferred =
            self.outranked_since.filter(|_| automatic).map(|preferred| since.max(preferred) + timing.settle);
        [worse, preferred].into_iter().flatten().min()
    }

    /// A heartbeat of ours that is long overdue means that we did not run: what the peer sent meanwhile may still be
    /// unread, so nothing may be concluded from its silence. Every input that judges asks this first, because any of
    /// them may be the first one after a stall.
    pub(super) fn forgive_own_stall(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let timing = self.settings.timing;
        let late = now.since(self.heartbeat_at);
        if late <= timing.stall_tolerance || !self.settings.has_peer {
            return;
        }
        out.push(Output::Notice(Notice::Stalled { late }));
        if late + timing.heartbeat_interval >= timing.down_after {
            self.uncertain_until = now + timing.down_after;
        }
        self.reached_since = None;
        self.heard_alone_since = None;
        if self.peer.view.up {
            self.peer.grant_grace(now);
        }
        if let Some(lease) = &mut self.guard.lease {
            lease.grant_grace(now);
        }
        self.leader_heard_at = self.leader_heard_at.max(now + timing.down_after - self.patience());
        self.listen_until = self.listen_until.max(now + timing.down_after);
        self.hand_over_until = self.hand_over_until.map(|until| until.max(now + timing.down_after));
    }

    /// The peer's daemon is known to be gone: it said so itself, or its parent did.
    pub(super) fn peer_gone(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.peer.farewell(now + self.settings.timing.farewell_quiet);
        if self.peer.view.up {
            self.peer.lost();
            self.peer_down(now, self.peer.view.incarnation.unwrap_or_default(), out);
        }
        self.leader_gone = true;
        self.guard.gone(now, self.peer.view.incarnation);
        self.judge(now, out);
    }

    pub(super) fn peer_up(&mut self, now: LocalTime, incarnation: Incarnation, out: &mut Vec<Output>) {
        // Who has waited for it gives it the time to say that it leads.
        self.listen_until = self.listen_until.max(now);
        self.heartbeat_due = true;
        out.push(Output::PeerUp { incarnation });
    }

    /// From here on nobody waits for its acknowledgement, so what we say is said alone.
    pub(super) fn peer_down(&mut self, now: LocalTime, incarnation: Incarnation, out: &mut Vec<Output>) {
        out.push(Output::PeerDown { incarnation });
        self.end_double_active(now);
        self.in_step_since = None;
        self.heard_alone_since = None;
        if self.role == Role::Active && !self.alone {
            self.alone = true;
            self.heartbeat_due = true;
        }
        self.end_hand_over(out);
    }

    pub(super) fn may_hand_over(&self) -> Result<(), SwitchOverRefused> {
        if self.role != Role::Active {
            Err(SwitchOverRefused::NotActive)
        } else if !self.settings.has_peer {
            Err(SwitchOverRefused::NoPeer)
        } else if self.hand_over_until.is_some() {
            Err(SwitchOverRefused::UnderWay)
        } else if !self.peer.view.up {
            Err(SwitchOverRefused::PeerDown)
        } else if self.in_step_since.is_none() {
            Err(SwitchOverRefused::PeerNotInStep)
        } else if !self.peer.view.carrier {
            Err(SwitchOverRefused::PeerWithoutCarrier)
        } else if self.peer.view.drain == Drain::Never {
            Err(SwitchOverRefused::PeerDrained)
        } else if self.peer.view.pings == Some(0) {
            Err(SwitchOverRefused::PeerSeesNothing)
        } else {
            Ok(())
        }
    }

    pub(super) fn begin_hand_over(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.hand_over_until = Some(now + self.settings.timing.hand_over_wait);
        out.push(Output::BeginHandOver);
    }

    /// Serves from now on, in an epoch greater than any that is known.
    pub(super) fn take_over(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let reserved = self.next_is_reserved();
        let epoch = if reserved { self.reserved } else { self.next_epoch() };
        if self.role != Role::Active {
            self.guard.took(now);
        }
        // A reign that is only renewed goes on.
        self.reached_since = self.reached_since.filter(|_| self.role == Role::Active);
        self.role = Role::Active;
        self.heard_alone_since = None;
        self.epoch = epoch;
        self.at_once = false;
        self.alone = true;
        self.in_step_since = None;
        self.outranked_since = None;
        self.worse_since = None;
        self.hand_over_until = None;
        self.double_active = false;
        self.leader_gone = false;
        self.noticed.no_carrier = false;
        self.uncertain_until = LocalTime::ZERO;
        self.heartbeat_due = true;
        out.push(Output::BecomeActive { epoch });
        self.neighbours.start(now);
        if !reserved {
            // Availability comes first: a slow disk must not keep the phones waiting.
            out.push(Output::Notice(Notice::EpochNotReserved { epoch }));
        }
        self.learn(epoch, out);
        self.reserve_next(out);
    }

    /// Follows from now on, whoever leads in this epoch.
    pub(super) fn become_standby(&mut self, now: LocalTime, epoch: Epoch, out: &mut Vec<Output>) {
        self.guard.yielded();
        // A hand-over that ends in another's reign has succeeded.
        self.hand_over_until = None;
        self.role = Role::Standby;
        self.heard_alone_since = None;
        self.epoch = epoch;
        self.at_once = false;
        self.synced = false;
        self.told_alone = false;
        self.leader_heard_at = now;
        self.leader_gone = false;
        self.alone = false;
        self.in_step_since = None;
        self.double_active = false;
        self.neighbours.stop();
        self.heartbeat_due = true;
        out.push(Output::BecomeStandby { epoch });
        self.reserve_next(out);
    }

    /// Asks for the next epoch to be reserved, unless that is done or under way.
    pub(super) fn reserve_next(&mut self, out: &mut Vec<Output>) {
        let reserved = self.next_is_reserved();
        let next = self.next_epoch();
        if !reserved && self.asked < next {
            self.asked = next;
            out.push(Output::ReserveEpoch(next));
        }
    }

    /// The number must grow with each reign, so that it alone tells the order to people.
    fn next_is_reserved(&self) -> bool {
        self.reserved_now && self.reserved.number > self.known.number
    }

    /// An epoch of ours that is greater than any that is known or was ever reserved for us.
    fn next_epoch(&self) -> Epoch {
        self.known.max(self.reserved).next(self.settings.index)
    }

    pub(super) fn learn(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        if epoch > self.known {
            self.known = epoch;
            out.push(Output::EpochKnown { epoch });
            self.reserve_next(out);
        }
    }

    /// Both are active. The side that phones reached better since the split stays, whatever the numbers say; where that
    /// does not tell, the greater epoch. Who stays takes a number beyond both, and tells the neighbours again, because
    /// some of them listened to the other one.
    fn weigh_rival(&mut self, now: LocalTime, heartbeat: &Heartbeat, out: &mut Vec<Output>) {
        if !self.double_active && self.hand_over_until.is_none() {
            out.push(Output::Notice(Notice::DoubleActive { own: self.epoch, peer: heartbeat.epoch }));
        }
        let greater = heartbeat.epoch > self.epoch;
        self.learn(heartbeat.epoch, out);
        let handing_over = self.hand_over_until.is_some() && greater;
        let stays = match self.reach(now).cmp(&reach_of(heartbeat)) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => !greater,
        };
        // Nobody can make a rival yield that hears nothing. It has had the time to hear us: after a heal it does at once.
        let is_deaf = self.peer.is_deaf(now, self.settings.timing.down_after);
        if handing_over || is_deaf || !stays {
            self.become_standby(now, self.known, out);
            self.told_alone = heartbeat.alone;
        } else if greater {
            self.take_over(now, out);
        } else if !self.double_active {
            self.double_active = true;
            self.neighbours.start(now);
        }
    }

    /// We are active and the peer is not. If it knows of a later reign than ours, ours is over: the one with the longer
    /// history goes on, in a new epoch. But a standby led that later reign itself, and has given it up for us.
    fn weigh_follower(&mut self, now: LocalTime, heartbeat: &Heartbeat, out: &mut Vec<Output>) {
        self.end_double_active(now);
        if heartbeat.epoch <= self.epoch {
            return;
        }
        self.learn(heartbeat.epoch, out);
        // Yielding helps only a peer that hears it, and one that does not hears nothing of a new epoch either.
        if !self.peer.view.hears_us {
            return;
        }
        let gave_up = heartbeat.role == Role::Standby;
        if self.heard_more(now, heartbeat).unwrap_or_else(|| gave_up || self.leads()) {
            self.take_over(now, out);
        } else {
            self.become_standby(now, heartbeat.epoch, out);
        }
    }

    /// Which side alone has proof that phones reached it since the two lost each other: true for us, `None` when that
    /// does not tell.
    fn heard_more(&self, now: LocalTime, heartbeat: &Heartbeat) -> Option<bool> {
        let (we, it) = (self.serves_alone(now), reach_of(heartbeat) == Reach::Proven);
        (we != it).then_some(we)
    }

    fn weigh_leader(&mut self, now: LocalTime, heartbeat: &Heartbeat, out: &mut Vec<Output>) {
        if heartbeat.epoch < self.known {
            if self.noticed.stale != Some(heartbeat.epoch) {
                self.noticed.stale = Some(heartbeat.epoch);
                let known = self.known;
                out.push(Output::Notice(Notice::StaleEpochRefused { epoch: heartbeat.epoch, known }));
            }
            return;
        }
        self.learn(heartbeat.epoch, out);
        if self.role == Role::Starting {
            self.become_standby(now, heartbeat.epoch, out);
        }
        self.epoch = heartbeat.epoch;
        self.leader_heard_at = now;
        self.leader_gone = false;
        self.guard.resigned = false;
        self.told_alone = heartbeat.alone;
    }

    fn judge_starting(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.leaving {
            return;
        }
        let listened = now >= self.listen_until;
        let listened_long = now >= self.listen_until + self.settings.timing.startup_wait;
        let peer = &self.peer.view;
        // A stale active one is about to learn from us that its reign is over.
        let peer_waits = peer.up && peer.hears_us && peer.role != Role::Active;
        // A standby that has everything is taking over this very moment.
        let peer_takes_over = peer_waits && peer.role == Role::Standby && peer.synced && peer.carrier;
        let free = self.at_once
            || (!peer.up && now >= self.alone_from())
            || (peer.up && (listened_long || (listened && self.leads())))
            || (peer_waits && !peer_takes_over && self.leads());
        if free {
            self.take_free_role(now, out);
        }
    }

    /// From when on a starting node that hears no peer serves alone. One whose daemon is proven to be gone need not be
    /// waited for.
    fn alone_from(&self) -> LocalTime {
        if self.leader_gone { self.listen_until } else { self.listen_until.max(self.peer_wait_until) }
    }

    fn judge_standby(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.leaving {
            return;
        }
        let silent = now.since(self.leader_heard_at);
        let leaderless = self.leader_gone || silent >= self.settings.timing.down_after;
        let peer = &self.peer.view;
        let peer_waits = peer.up && peer.hears_us && peer.role != Role::Active;
        if silent >= self.patience()
            || (self.leader_gone && self.is_synced())
            || (leaderless && peer_waits && !peer.synced && self.leads())
        {
            let lacks = !self.is_synced() && !self.guard.resigned;
            self.take_free_role(now, out);
            if lacks && self.role == Role::Active {
                out.push(Output::Notice(Notice::TookOverUnsynced));
            }
        }
    }

    fn judge_active(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.watch_rank(now);
        if self.hand_over_until.is_some_and(|until| until <= now) {
            self.end_hand_over(out);
            self.in_step_since = self.in_step_since.map(|_| now);
        }
        if self.failback_deadline().is_some_and(|deadline| deadline <= now) {
            // Carrier, drain and ping targets have words of their own.
            if self.is_able() && self.outranked_since.is_some() && !self.is_out_beside_peer() {
                let notice = Notice::Outranked { own: self.rank(), peer: self.peer.view.rank() };
                out.push(Output::Notice(notice));
            }
            self.begin_hand_over(now, out);
        }
    }

    /// The rival is gone: whoever it told last that it has the address is told otherwise.
    fn end_double_active(&mut self, now: LocalTime) {
        if std::mem::take(&mut self.double_active) {
            self.neighbours.start(now);
        }
    }

    fn end_hand_over(&mut self, out: &mut Vec<Output>) {
        if self.hand_over_until.take().is_some() {
            out.push(Output::HandOverFailed);
        }
    }

    /// How long a standby waits for a silent leader. One that lacks something waits longer: the leader may be
    /// restarting, and it has what we have not.
    pub(super) fn patience(&self) -> std::time::Duration {
        if self.guard.resigned {
            // We have it all ourselves.
            Duration::ZERO
        } else if self.is_synced() {
            self.settings.timing.down_after
        } else {
            self.settings.timing.unsynced_wait
        }
    }

    pub(super) fn may_serve(&self) -> bool {
        let can = self.is_able() && self.drain != Drain::Never && !self.sees_nothing();
        can || !self.settings.has_peer
    }

    fn take_free_role(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.may_serve() {
            if self.may_take(now, out) && self.is_fenced(now, out) {
                self.take_over(now, out);
            }
        } else if !self.noticed.no_carrier {
            self.noticed.no_carrier = true;
            let notice = match (self.carrier, self.drain) {
                (false, _) => Notice::NoCarrier,
                (true, Drain::Never) => Notice::DrainedForGood,
                (true, _) if self.sees_nothing() => Notice::SeesNothing,
                (true, _) => Notice::Fault,
            };
            out.push(Output::Notice(notice));
        }
    }

    /// Which of the two leads when neither serves: the one that can, then the one with the longer history, then the one
    /// that nobody wants out, then the one of greater priority, then the first. Both nodes come to the same answer from
    /// the same heartbeats.
    pub(super) fn leads(&self) -> bool {
        let rank = |able: bool, drain: Drain| (able && drain != Drain::Never, !drain.is_on());
        let (can, wanted) = rank(self.is_able() && !self.sees_nothing(), self.drain);
        let own = (can, self.position, wanted, self.settings.priority, Reverse(self.settings.index));
        let peer = &self.peer.view;
        let (can, wanted) = rank(peer.carrier && peer.pings != Some(0), peer.drain);
        own > (can, peer.position, wanted, peer.priority, Reverse(peer.index))
    }
}

/// A node of the version before this field says only whether it has proof.
fn reach_of(heartbeat: &Heartbeat) -> Reach {
    if heartbeat.heard_phones_at.is_some() { Reach::Proven } else { heartbeat.reach }
}
