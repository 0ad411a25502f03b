//! What the PBX keeps in the replicated log: the kinds of objects, their keys and their encoding.
//!
//! Each object is whole and bounded: a registration, a call with everything it is, a finished call's record. A step
//! that changes an object writes all of it anew.

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::call::{Call, CallNumber};
use crate::record::Record;
use crate::registrar::{Binding, BindingKey};

mod level;

/// The kind byte of an object's key in the log. Numbers are for ever: both nodes of a pair of mixed versions read them.
pub mod kind {
    pub const BINDING: u8 = 1;
    pub const CALL: u8 = 2;
    pub const RECORD: u8 = 3;
}

/// The name of one replicated object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// First in order: where a step's changes are cut into entries, a finished call's record must not come after it.
    Record(String),
    Binding(BindingKey),
    Call(CallNumber),
}

/// One object's new value, or `None` when it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: u8,
    pub id: String,
    pub value: Option<Vec<u8>>,
}

/// An object read back from the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Binding(Box<Binding>),
    Call(Box<Call>),
    Record(Box<Record>),
}

#[derive(Debug, Error)]
pub enum ObjectError {
    #[error("reading object {id} of kind {kind} from the log")]
    Decode {
        kind: u8,
        id: String,
        #[source]
        source: minicbor::decode::Error,
    },
    #[error("object {id} of kind {kind} has a name that kind cannot have")]
    Name { kind: u8, id: String },
    #[error("objects of kind {0} are not known to this version")]
    Kind(u8),
}

impl Key {
    pub fn kind(&self) -> u8 {
        match self {
            Self::Binding(_) => kind::BINDING,
            Self::Call(_) => kind::CALL,
            Self::Record(_) => kind::RECORD,
        }
    }

    pub fn id(&self) -> String {
        match self {
            Self::Binding(key) => key.to_string(),
            Self::Call(number) => number.to_string(),
            Self::Record(identity) => identity.clone(),
        }
    }

    pub fn parse(kind: u8, id: &str) -> Result<Self, ObjectError> {
        let name = || ObjectError::Name { kind, id: id.to_owned() };
        match kind {
            kind::BINDING => BindingKey::parse(id).map(Self::Binding).ok_or_else(name),
            kind::CALL => CallNumber::parse(id).map(Self::Call).ok_or_else(name),
            kind::RECORD => Ok(Self::Record(id.to_owned())),
            other => Err(ObjectError::Kind(other)),
        }
    }
}

impl Object {
    /// The name that its contents give it.
    pub fn key(&self) -> Key {
        match self {
            Self::Binding(binding) => Key::Binding(binding.key.clone()),
            Self::Call(call) => Key::Call(call.number),
            Self::Record(record) => Key::Record(record.identity.clone()),
        }
    }

    pub fn decode(kind: u8, id: &str, bytes: &[u8]) -> Result<Self, ObjectError> {
        fn boxed<'b, T: Decode<'b, ()>>(kind: u8, id: &str, bytes: &'b [u8]) -> Result<Box<T>, ObjectError> {
            minicbor::decode(bytes).map(Box::new).map_err(|source| ObjectError::Decode {
                kind,
                id: id.to_owned(),
                source,
            })
        }
        match kind {
            kind::BINDING => boxed(kind, id, bytes).map(Self::Binding),
            kind::CALL => boxed(kind, id, bytes).map(Self::Call),
            kind::RECORD => boxed(kind, id, bytes).map(Self::Record),
            other => Err(ObjectError::Kind(other)),
        }
    }
}

/// Encodes an object; writing to memory cannot fail.
pub fn encode<T: Encode<()>>(object: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    match minicbor::encode(object, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => unreachable!("writing to memory is infallible"),
    }
}

#[cfg(test)]
mod tests;
