//! One call of which two nodes made something while they could not see each other (design, section 4: merge).

use super::step::{Output, Step};
use super::{CALLEES_MAX, Call, Leg, Progress};

/// What phones have made of a version of a call. Of two versions the greater one holds: a phone's word counts, and what
/// a timer did on the side that the phone could not reach does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Testimony {
    /// A timer ended it: somebody was silent, perhaps only because of the split.
    TimedOut,
    /// It is being set up.
    Setup,
    /// Somebody answered it.
    Answered,
    /// A phone ended it, or has confirmed that it is over.
    HungUp,
}

impl Call {
    pub fn testimony(&self) -> Testimony {
        match (&self.progress, self.is_answered()) {
            (Progress::Ended { .. }, _) if self.record.ended_by_phone || self.caller.left => Testimony::HungUp,
            (Progress::Ended { .. }, _) => Testimony::TimedOut,
            (_, true) => Testimony::Answered,
            (_, false) => Testimony::Setup,
        }
    }

    /// A phone ended this call at the other node, whose version is `other`: whoever is still in it is told, and the
    /// record is the other node's, which knows when.
    pub fn end_as(&mut self, step: &mut Step<'_>, other: &Self) {
        if !self.is_ended() {
            self.let_go(step, other);
            step.out.push(Output::Record(Box::new(self.record.clone())));
        }
    }

    /// Lets everybody go whom `other`, a version in which the call is over, has not let go.
    pub fn let_go(&mut self, step: &mut Step<'_>, other: &Self) {
        self.skip_used(other);
        for twin in other.legs().map(|(_, leg)| leg) {
            let room = self.callees.len() < CALLEES_MAX;
            match self.twin_mut(twin) {
                Some(leg) if twin.left => *leg = twin.clone(),
                None if room => self.callees.push(twin.clone()),
                Some(_) | None => {}
            }
        }
        self.cause = other.cause;
        self.record = other.record.clone();
        self.hang_up(step);
    }

    /// This version holds, and `other` does not: whoever only the other node has rung is let go.
    pub fn outweigh(&mut self, step: &mut Step<'_>, other: &Self) {
        // What phones have said last, they have said before.
        step.by_phone = false;
        self.skip_used(other);
        for stranger in &other.callees {
            if self.twin_mut(stranger).is_none() && self.callees.len() < CALLEES_MAX {
                let mut leg = stranger.clone();
                leg.hang_up(step, 487);
                self.callees.push(leg);
            }
        }
    }

    /// Leaves out what the other node may have used of the numbers that both count: CSeq and versions of SDP.
    pub fn skip_used(&mut self, other: &Self) {
        for twin in other.legs().map(|(_, leg)| leg) {
            let Some(leg) = self.twin_mut(twin) else { continue };
            leg.sdp_version = leg.sdp_version.max(twin.sdp_version);
            if let (Some(dialog), Some(used)) = (leg.dialog.as_mut(), twin.dialog.as_ref()) {
                dialog.skip_cseq(used.local_cseq.saturating_sub(dialog.local_cseq));
                dialog.remote_cseq = dialog.remote_cseq.max(used.remote_cseq);
            }
        }
    }

    /// Our leg of the dialog that `twin` is the other node's leg of.
    fn twin_mut(&mut self, twin: &Leg) -> Option<&mut Leg> {
        std::iter::once(&mut self.caller).chain(&mut self.callees).find(|leg| leg.local_tag == twin.local_tag)
    }
}
