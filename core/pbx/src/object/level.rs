//! What of the log's objects came with a later level than the first, and how it is put away for a peer that lacks it.

use base::{ClusterTime, Level, Lower};

use super::Object;
use crate::call::{Call, Leg};
use crate::record::Record;
use crate::registrar::Binding;

/// Since this level a call knows what phones have said of it, for a merge after a split.
const TESTIMONIES: Level = Level(2);

/// Since this level call records have account codes.
const ACCOUNT_CODES: Level = Level(2);

/// Since this level a leg says which of several service addresses it is served at.
const ADDRESSES: Level = Level(2);

/// Puts one field away; true when it held something.
fn put_away<T: Default + PartialEq>(field: &mut T) -> bool {
    std::mem::take(field) != T::default()
}

impl Lower for Record {
    fn lower(&mut self, level: Level) -> bool {
        let mut news = false;
        if level < TESTIMONIES {
            news |= put_away(&mut self.ended_by_phone);
        }
        if level < ACCOUNT_CODES {
            news |= put_away(&mut self.account_code);
        }
        news
    }
}

impl Lower for Leg {
    fn lower(&mut self, level: Level) -> bool {
        let mut news = level < TESTIMONIES && put_away(&mut self.left);
        if let Some(port) = self.port.as_mut().filter(|_| level < ADDRESSES) {
            news |= put_away(&mut port.local);
        }
        news
    }
}

impl Lower for Call {
    fn lower(&mut self, level: Level) -> bool {
        let mut news = self.record.lower(level) | self.caller.lower(level);
        for callee in &mut self.callees {
            news |= callee.lower(level);
        }
        if level < TESTIMONIES {
            news |= put_away::<ClusterTime>(&mut self.heard);
        }
        news
    }
}

/// Bindings have been the same since the first level.
impl Lower for Binding {
    fn lower(&mut self, _: Level) -> bool {
        false
    }
}

impl Lower for Object {
    fn lower(&mut self, level: Level) -> bool {
        match self {
            Self::Binding(binding) => binding.lower(level),
            Self::Call(call) => call.lower(level),
            Self::Record(record) => record.lower(level),
        }
    }
}
