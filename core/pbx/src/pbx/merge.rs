//! After a split: what the other node made while the two could not see each other is taken in (design, section 4).
//!
//! A phone's word beats a timer's, on whichever side it was heard. Calls that only the other node knows are adopted
//! with everything they are; registrations: the newest; records: the union.

use std::collections::BTreeMap;

use base::ClusterTime;

use super::{Now, Output, Pbx};
use crate::call::{Call, CallKey, CallNumber, Side, Testimony};
use crate::object::{Key, Object, ObjectError, kind};
use crate::record::Record;
use crate::registrar::{Binding, BindingKey};

/// One node's version of an object that changed since the split.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The last value that it was given since; empty when there was none.
    pub value: &'a [u8],
    pub gone: bool,
}

/// The callers' INVITEs of calls that have ended: which call each of them was.
#[derive(Clone, Debug, Default)]
pub struct Invites(BTreeMap<String, String>);

impl Invites {
    /// Values of calls; what is none is passed over.
    pub fn of<'a>(calls: impl Iterator<Item = &'a [u8]>) -> Self {
        let calls = calls.filter_map(|call| minicbor::decode::<Call>(call).ok());
        Self(calls.map(|call| (call.caller.call_id, call.record.identity)).collect())
    }
}

/// What came of the other node's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Ours holds.
    Kept,
    Binding,
    Record,
    /// The call's last messages are to be sent again (see `resend`): the phones have heard them from the other node, if
    /// at all.
    Call(CallNumber),
}

/// Whether phones have brought an object to this value since their node served alone, if it did: only then can it be
/// more than what they have said again to the other node. Of registrations the newest holds anyway.
pub fn was_said_since(kind: u8, value: &[u8], alone_since: Option<ClusterTime>) -> bool {
    match (kind, alone_since) {
        (kind::BINDING, _) => true,
        (kind::CALL, Some(since)) => minicbor::decode::<Call>(value).is_ok_and(|call| call.heard >= since),
        (kind::RECORD, Some(since)) => minicbor::decode::<Record>(value).is_ok_and(|record| {
            let ended = record.ended_by_phone && record.ended.is_some_and(|ended| ended.cluster >= since);
            record.started.cluster >= since || ended
        }),
        _ => false,
    }
}

/// Whether a call began since its node served alone, so that nobody else can know it.
pub fn was_made_since(value: &[u8], alone_since: Option<ClusterTime>) -> bool {
    let made = |since| minicbor::decode::<Call>(value).is_ok_and(|call| call.record.started.cluster >= since);
    alone_since.is_some_and(made)
}

impl Pbx {
    /// Takes in one object that changed at the other node since the split; `ours` is what became of it here since, if it
    /// changed here, too. An error changes nothing. To be called for calls before their records.
    pub fn merge(
        &mut self,
        now: Now,
        kind: u8,
        id: &str,
        theirs: Version<'_>,
        ours: Option<Version<'_>>,
    ) -> Result<Merged, ObjectError> {
        let key = Key::parse(kind, id)?;
        let object = match theirs.value {
            [] => None,
            bytes => Some(Object::decode(kind, id, bytes)?),
        };
        if object.as_ref().is_some_and(|object| object.key() != key) {
            return Err(ObjectError::Name { kind, id: id.to_owned() });
        }
        Ok(match (key, object) {
            (Key::Binding(_), Some(Object::Binding(binding))) if !theirs.gone => self.merge_binding(now, *binding),
            (Key::Binding(key), _) => self.merge_unregistered(now, key, ours.is_some()),
            (Key::Call(number), Some(Object::Call(call))) => {
                let before = ours.filter(|ours| !ours.value.is_empty());
                let before = before.map(|ours| Object::decode(kind, id, ours.value)).transpose()?;
                let before = before.and_then(|object| if let Object::Call(call) = object { Some(*call) } else { None });
                self.merge_call(now, number, *call, theirs.gone, before, ours.is_some())
            }
            (Key::Record(_), Some(Object::Record(record))) => self.merge_record(*record),
            (Key::Call(_) | Key::Record(_), _) => Merged::Kept,
        })
    }

    fn merge_binding(&mut self, now: Now, theirs: Binding) -> Merged {
        let newer = self.registrar.binding(&theirs.key).is_none_or(|ours| theirs.expires > ours.expires);
        if !newer || theirs.expires <= now.cluster {
            return Merged::Kept;
        }
        let key = theirs.key.clone();
        self.registrar.insert(theirs);
        self.watch_contact(now, &key);
        self.changed.insert(Key::Binding(key));
        Merged::Binding
    }

    /// A binding of before the split that left there before its time, and that nobody renewed here.
    fn merge_unregistered(&mut self, now: Now, key: BindingKey, changed_here: bool) -> Merged {
        let live = self.registrar.binding(&key).is_some_and(|ours| ours.expires > now.cluster);
        if changed_here || !live {
            return Merged::Kept;
        }
        self.registrar.remove(&key);
        self.qualify.forget(&key);
        self.changed.insert(Key::Binding(key));
        Merged::Binding
    }

    /// `last` is the last value that the call was given here since the split.
    fn merge_call(
        &mut self,
        now: Now,
        number: CallNumber,
        theirs: Call,
        gone_there: bool,
        last: Option<Call>,
        changed_here: bool,
    ) -> Merged {
        let live_there = !gone_there && !theirs.is_ended();
        let Some(ours) = self.calls.get(&number).cloned().or(last) else {
            // Here nobody has heard of it, unless its phone came over and called again.
            if gone_there || changed_here || self.with_invite(&theirs.caller.call_id).is_some() {
                return Merged::Kept;
            }
            return self.adopt(now, theirs);
        };
        // A node that was restarted in the split may have given the number of a call that was over to another one.
        if ours.record.identity != theirs.record.identity {
            return Merged::Kept;
        }
        let (said_here, said_there) = (ours.testimony(), theirs.testimony());
        let holds_there = (said_there, theirs.heard) > (said_here, ours.heard);
        match (said_here, said_there) {
            (Testimony::HungUp, _) if live_there && !self.calls.contains_key(&number) => {
                // Who was in the call over there does not know that it is over.
                self.calls.insert(number, theirs);
                self.with_call(now, number, |call, step| call.let_go(step, &ours));
                Merged::Call(number)
            }
            (_, Testimony::HungUp) if !ours.is_ended() => {
                self.with_call(now, number, |call, step| call.end_as(step, &theirs));
                Merged::Call(number)
            }
            _ if live_there && holds_there => {
                if ours.is_ended() {
                    self.forget_record(&ours.record.identity);
                }
                self.calls.insert(number, theirs);
                self.with_call(now, number, |call, step| call.outweigh(step, &ours));
                Merged::Call(number)
            }
            _ => {
                self.with_call(now, number, |call, step| call.outweigh(step, &theirs));
                Merged::Kept
            }
        }
    }

    fn merge_record(&mut self, theirs: Record) -> Merged {
        let lives = |call: &Call| !call.is_ended() && call.record.identity == theirs.identity;
        // What a timer ended over there goes on here; its record comes with its real end.
        let known = self.records.get(&theirs.identity).is_some_and(|ours| !theirs.outweighs(ours));
        if known || self.calls.values().any(lives) {
            return Merged::Kept;
        }
        self.changed.insert(Key::Record(theirs.identity.clone()));
        self.records.insert(theirs.identity.clone(), theirs.clone());
        self.outputs.push(Output::Record(Box::new(theirs)));
        Merged::Record
    }

    /// The identity of the other node's call when its INVITE has come here, too, and is another call here: the phone has
    /// sent it again when it heard nothing.
    pub fn repeats(&self, theirs: &[u8], ended: &Invites) -> Option<String> {
        let theirs = minicbor::decode::<Call>(theirs).ok()?;
        let (call_id, identity) = (&theirs.caller.call_id, &theirs.record.identity);
        let ours = self.with_invite(call_id).map(|call| &call.record.identity).or_else(|| ended.0.get(call_id));
        ours.is_some_and(|ours| ours != identity).then_some(theirs.record.identity)
    }

    fn adopt(&mut self, now: Now, call: Call) -> Merged {
        let number = call.number;
        self.calls.insert(number, call);
        self.changed.insert(Key::Call(number));
        self.index(number, Some(now));
        Merged::Call(number)
    }

    /// The call that a caller's INVITE has become here.
    fn with_invite(&self, call_id: &str) -> Option<&Call> {
        let first = CallKey::Dialog { call_id: call_id.to_owned(), local_tag: String::new() };
        let same = |key: &CallKey| matches!(key, CallKey::Dialog { call_id: of, .. } if of == call_id);
        let dialogs = self.keys.range(first..).take_while(|(key, _)| same(key));
        let callers = dialogs.filter(|(_, (_, side))| *side == Side::Caller);
        callers.filter_map(|(_, (number, _))| self.calls.get(number)).min_by_key(|call| call.number)
    }
}
