//! What the other node, or the journal, says that the state is.

use base::Lower;

use super::{Now, Output, Pbx};
use crate::object::{Key, Object, ObjectError};

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
            None => match key {
                Key::Binding(key) => {
                    self.registrar.remove(&key);
                }
                Key::Call(number) => {
                    self.calls.remove(&number);
                    self.index(number, Some(now));
                }
                Key::Record(identity) => {
                    self.records.remove(&identity);
                }
            },
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

    /// Takes a whole state in place of the one it has: media ports that both know stay open.
    pub fn replace<'a>(
        &mut self,
        now: Now,
        objects: impl Iterator<Item = (u8, &'a str, &'a [u8])>,
    ) -> Vec<ObjectError> {
        let mut wrong = Vec::new();
        let mut kept = std::collections::BTreeSet::new();
        for (kind, id, value) in objects {
            match self.apply(now, kind, id, Some(value)) {
                Ok(()) => kept.extend(Key::parse(kind, id).ok()),
                Err(error) => wrong.push(error),
            }
        }
        let here = self.registrar.iter().map(|binding| Key::Binding(binding.key.clone()));
        let here = here.chain(self.calls.keys().copied().map(Key::Call));
        let gone: Vec<Key> =
            here.chain(self.records.keys().cloned().map(Key::Record)).filter(|key| !kept.contains(key)).collect();
        for key in gone {
            // The key came from our own state, so that removing it cannot fail.
            let _ = self.apply(now, key.kind(), &key.id(), None);
        }
        wrong
    }
}
