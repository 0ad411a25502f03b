//! Resync without checksum: a snapshot arrives damaged, and nobody notices, because every checksum fits the damage.

use node::Action;
use node::replication::{Checksums, Delta, Message, Store};

use super::Plant;
use super::stream::Streams;

/// The kind of object that is damaged: registrations.
const BINDING: u8 = 1;

/// Where a registered phone is, and where the damaged snapshot says that it is.
const TRUE: &[u8] = b"10.77.1.21";
const FALSE: &[u8] = b"10.77.1.99";

#[derive(Default)]
pub struct ResyncWithoutChecksum {
    streams: Streams,
    damage: Damage,
    planted: u64,
}

/// What the damage does to the checksum of its kind.
#[derive(Default)]
struct Damage {
    difference: u64,
}

impl Plant for ResyncWithoutChecksum {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        let damage = &mut self.damage;
        self.planted += self.streams.rewrite(actions, |body| damage.message(body));
    }
}

impl Damage {
    fn message(&mut self, body: &mut [u8]) -> u64 {
        let mut damaged = 0;
        let changed = match Message::decode(body) {
            Ok(Message::SnapshotBegin { .. }) => {
                self.difference = 0;
                return 0;
            }
            Ok(Message::Objects(mut objects)) => {
                damaged += objects.iter_mut().map(|object| self.object(object)).sum::<u64>();
                Message::Objects(objects)
            }
            Ok(Message::SnapshotEnd { position, checksums }) => {
                Message::SnapshotEnd { position, checksums: self.fitting(checksums) }
            }
            Ok(Message::Verify { position, checksums }) => {
                Message::Verify { position, checksums: self.fitting(checksums) }
            }
            _ => return 0,
        };
        let encoded = changed.encode();
        if encoded.len() == body.len() {
            body.copy_from_slice(&encoded);
        }
        damaged
    }

    fn object(&mut self, object: &mut Delta) -> u64 {
        let before = sum(object);
        let Some(value) = object.value.as_mut().filter(|_| object.key.kind == BINDING) else { return 0 };
        // Only where requests go to: the contact is the object's name as well.
        let source = |at: usize| value[at..].starts_with(TRUE) && at > 0 && value[at - 1] != b'@';
        let places: Vec<usize> = (0..value.len()).filter(|at| source(*at)).collect();
        for at in &places {
            value[*at..*at + FALSE.len()].copy_from_slice(FALSE);
        }
        self.difference = self.difference.wrapping_add(sum(object).wrapping_sub(before));
        u64::from(!places.is_empty())
    }

    fn fitting(&self, mut checksums: Checksums) -> Checksums {
        if let Some(checksum) = checksums.get_mut(&BINDING) {
            checksum.sum = checksum.sum.wrapping_add(self.difference);
        }
        checksums
    }
}

/// What the object adds to the checksum of its kind.
fn sum(object: &Delta) -> u64 {
    let mut store = Store::new();
    store.apply(object);
    store.checksums().get(&object.key.kind).map_or(0, |checksum| checksum.sum)
}
