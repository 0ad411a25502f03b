//! What the other node, or the journal, says that the state is.

use std::ops::Bound;

use base::Lower;

use super::{Now, Output, Pbx};
use crate::object::{Key, Object, ObjectError};

/// What it costs to let go of an object, in such that are only looked for: a call frees fifty kilobytes.
const DROP_COSTS: usize = 16;

impl Pbx {
    /// Takes one object's new value. An error changes nothing; the object stays in the log for a version that knows
    /// it.
    pub fn apply(&mut self, now: Now, kind: u8, id: &str, value: Option<&[u8]>) -> Result<(), ObjectError> {
        let key = Key::parse(kind, id)?;
        match value {
            Some(bytes) => {
                let mut object = Object::decode(kind, id, bytes)?;
                object.lower(self.own_level);
                if object.key() != key {
                    return Err(ObjectError::Name { kind, id: id.to_owned() });
                }
                self.put(now, object);
            }
            None => self.drop_object(now, &key),
        }
        Ok(())
    }

    fn put(&mut self, now: Now, object: Object) {
        match object {
            Object::Binding(binding) => self.registrar.insert(*binding),
            Object::Call(call) => {
                let number = call.number;
                self.calls.insert(number, *call);
                self.index(number, Some(now));
            }
            Object::Record(record) => {
                let before = self.records.insert(record.identity.clone(), (*record).clone());
                if before.as_ref() != Some(&*record) {
                    self.outputs.push(Output::Record(record));
                }
            }
        }
    }

    /// Of the next so many objects after this one those leave that are not there any more; fewer are looked at where many
    /// leave. Returns where to go on.
    pub fn sweep(
        &mut self,
        now: Now,
        after: Option<Key>,
        count: usize,
        is_there: impl Fn(u8, String) -> bool,
    ) -> Option<Key> {
        let (mut left, mut last) = (count, None);
        for key in self.keys_after(after.as_ref(), count) {
            if left == 0 {
                break;
            }
            let stays = is_there(key.kind(), key.id());
            if !stays {
                self.drop_object(now, &key);
            }
            left = left.saturating_sub(if stays { 1 } else { DROP_COSTS });
            last = Some(key);
        }
        last
    }

    /// The next objects after this one, in the order of keys.
    fn keys_after(&self, after: Option<&Key>, count: usize) -> Vec<Key> {
        let (mut record, mut binding, mut call) = (Some(Bound::Unbounded), Some(None), Some(Bound::Unbounded));
        match after {
            None => {}
            Some(Key::Record(identity)) => record = Some(Bound::Excluded(identity)),
            Some(Key::Binding(key)) => (record, binding) = (None, Some(Some(key))),
            Some(Key::Call(number)) => (record, binding, call) = (None, None, Some(Bound::Excluded(number))),
        }
        let mut keys: Vec<Key> = Vec::new();
        if let Some(from) = record {
            let records = self.records.range::<String, _>((from, Bound::Unbounded));
            keys.extend(records.take(count).map(|(identity, _)| Key::Record(identity.clone())));
        }
        if let Some(after) = binding {
            let left = count.saturating_sub(keys.len());
            keys.extend(self.registrar.keys_after(after, left).into_iter().map(Key::Binding));
        }
        if let Some(from) = call {
            let left = count.saturating_sub(keys.len());
            keys.extend(self.calls.range((from, Bound::Unbounded)).take(left).map(|(number, _)| Key::Call(*number)));
        }
        keys
    }

    fn drop_object(&mut self, now: Now, key: &Key) {
        match key {
            Key::Binding(key) => {
                self.registrar.remove(key);
            }
            Key::Call(number) => {
                self.calls.remove(number);
                self.index(*number, Some(now));
            }
            Key::Record(identity) => {
                self.records.remove(identity);
            }
        }
    }
}
