//! The replicated objects: a map from key to encoded value that copies in constant time and always knows its
//! checksums.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use xxhash_rust::xxh3::Xxh3;

#[cfg(test)]
mod tests;

/// The name of one object: what kind it is and which one of that kind. Keys sort by kind, then by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Key {
    #[n(0)]
    pub kind: u8,
    #[n(1)]
    pub id: String,
}

impl Key {
    pub fn new(kind: u8, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }
}

/// One change: the object's whole new value, or `None` when it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Delta {
    #[n(0)]
    pub key: Key,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Option<Vec<u8>>,
}

/// What a set of objects adds up to. Equal sets have equal checksums in whatever order they were built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Checksum {
    /// Wrapping sum of the xxh3-64 of each object.
    #[n(0)]
    pub sum: u64,
    /// How many objects.
    #[n(1)]
    pub count: u64,
}

/// Checksum per kind of object; a kind without objects is absent.
pub type Checksums = BTreeMap<u8, Checksum>;

/// All objects. `clone` takes constant time and shares memory, so a snapshot is a clone.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: OrdMap<Key, Arc<[u8]>>,
    checksums: Checksums,
    bytes: usize,
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or removes one object. Removing what is not there changes nothing.
    pub fn apply(&mut self, delta: &Delta) {
        self.replace(delta);
    }

    /// As `apply`, and gives what the object was.
    pub(crate) fn replace(&mut self, delta: &Delta) -> Option<Arc<[u8]>> {
        match &delta.value {
            Some(value) => self.set(&delta.key, value),
            None => self.remove(&delta.key),
        }
    }

    pub fn value(&self, key: &Key) -> Option<&[u8]> {
        self.objects.get(key).map(|value| &**value)
    }

    /// All objects, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &[u8])> {
        self.objects.iter().map(|(key, value)| (key, &**value))
    }

    /// The objects from `key` on, itself included, by key.
    pub fn iter_from<'store>(
        &'store self,
        key: &Key,
    ) -> impl Iterator<Item = (&'store Key, &'store [u8])> + use<'store> {
        self.objects.range(key.clone()..).map(|(key, value)| (key, &**value))
    }

    /// The objects of one kind, by id.
    pub fn of_kind(&self, kind: u8) -> impl Iterator<Item = (&Key, &[u8])> {
        self.iter_from(&Key::new(kind, "")).take_while(move |(key, _)| key.kind == kind)
    }

    /// What the objects of one kind add up to.
    pub fn checksum(&self, kind: u8) -> Checksum {
        self.checksums.get(&kind).copied().unwrap_or_default()
    }

    pub fn checksums(&self) -> Checksums {
        self.checksums.clone()
    }

    /// Bytes of all ids and values; what the map itself needs is not counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Lets go of so many objects, when all of them are of no use any more. False when none was left.
    pub(crate) fn discard(&mut self, count: usize) -> bool {
        (0..count).all(|_| {
            let first = self.objects.get_min().map(|(key, _)| key.clone());
            first.is_some_and(|key| self.objects.remove(&key).is_some())
        })
    }

    fn set(&mut self, key: &Key, value: &[u8]) -> Option<Arc<[u8]>> {
        let old = self.objects.insert(key.clone(), Arc::from(value));
        match &old {
            Some(old) => self.forget(key, old),
            None => self.bytes += key.id.len(),
        }
        self.bytes += value.len();
        let checksum = self.checksums.entry(key.kind).or_default();
        checksum.sum = checksum.sum.wrapping_add(object_hash(key, value));
        checksum.count += 1;
        old
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<[u8]>> {
        let old = self.objects.remove(key)?;
        self.forget(key, &old);
        self.bytes -= key.id.len();
        if self.checksums.get(&key.kind).is_some_and(|checksum| checksum.count == 0) {
            self.checksums.remove(&key.kind);
        }
        Some(old)
    }

    /// Takes an object's old value out of the sums. A kind whose count falls to zero is left for the caller.
    fn forget(&mut self, key: &Key, old: &[u8]) {
        self.bytes -= old.len();
        let checksum = self.checksums.entry(key.kind).or_default();
        checksum.sum = checksum.sum.wrapping_sub(object_hash(key, old));
        checksum.count = checksum.count.saturating_sub(1);
    }
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.objects == other.objects
    }
}

impl<C> Encode<C> for Store {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.begin_array()?;
        for (key, value) in self.iter() {
            e.u8(key.kind)?.str(&key.id)?.bytes(value)?;
        }
        e.end()?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Store {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        if d.array()?.is_some() {
            return Err(decode::Error::message("a store is an array of indefinite length"));
        }
        let mut store = Self::new();
        while d.datatype()? != minicbor::data::Type::Break {
            let key = Key::new(d.u8()?, d.str()?);
            store.set(&key, d.bytes()?);
        }
        d.skip()?;
        Ok(store)
    }
}

/// Lengths are hashed too, so that no two objects flow into one another.
fn object_hash(key: &Key, value: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&[key.kind]);
    hash.update(&(key.id.len() as u64).to_le_bytes());
    hash.update(key.id.as_bytes());
    hash.update(value);
    hash.digest()
}
