//! The level of what nodes write: which fields, kinds and variants a node of another version can read.
//!
//! Each release that writes something new into the log has a level of its own, one more than the last. Two nodes write
//! what the lesser one of them knows: an older node would put away a field that it does not know as soon as it changes
//! the object, and could not read an object with a variant that it does not know at all.
//!
//! **To add a field that is stored** (to an object of the log, or to an entry): give it the next free number and a value
//! that is not written: an `Option`, or any type with [`late`], whose default is left out; name its level in `core/fields.txt` (a test asks for it); put it away below
//! that level in the type's [`Lower`]. A new kind or variant has no lesser form: ask for the pair's level
//! (`Pbx::level`, `Node::level`) before anything makes one. The first of them since a release raises [`Level::OWN`].
//! **What is not stored** (heartbeats, messages, notes) needs none of it as long as an older node may skip it: new
//! fields of a heartbeat or message are skipped, new variants are not.

use std::fmt;

use minicbor::{Decode, Encode};

/// A level; the greater one knows all that the lesser one knows. The default is none: of a node that has not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Level(#[n(0)] pub u16);

impl Level {
    /// The first release, and what is taken for a peer's level until it has told.
    pub const FIRST: Self = Self(1);

    /// What this program writes at most. 2: account codes in call records, what phones have said of a call, several service
    /// addresses. 3: named files, versions of the configuration.
    pub const OWN: Self = Self(3);

    /// The least that this program can still write. With a peer below it there is no log.
    pub const OLDEST: Self = Self(1);
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has fields that came with a later level than the first.
pub trait Lower {
    /// Puts away what a node of `level` does not know. True when there was something.
    fn lower(&mut self, level: Level) -> bool;
}

/// For `#[cbor(n(7), with = "base::level::late", has_nil)]`: a field whose default is not written, so that what has only
/// defaults looks as it did before there was such a field.
pub mod late {
    use minicbor::data::Type;
    use minicbor::encode::Write;
    use minicbor::{Decode, Decoder, Encode, Encoder};

    pub fn encode<C, T: Encode<C>, W: Write>(
        value: &T,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        value.encode(encoder, context)
    }

    /// Null is a default between two fields that are none.
    pub fn decode<'b, C, T: Decode<'b, C> + Default>(
        decoder: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<T, minicbor::decode::Error> {
        if decoder.datatype()? == Type::Null {
            decoder.null()?;
            return Ok(T::default());
        }
        T::decode(decoder, context)
    }

    pub fn nil<T: Default>() -> Option<T> {
        Some(T::default())
    }

    pub fn is_nil<T: Default + PartialEq>(value: &T) -> bool {
        *value == T::default()
    }
}
