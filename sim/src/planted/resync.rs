//! Resync without checksum: a snapshot arrives damaged, and nobody notices, because every checksum fits the damage.

use std::collections::BTreeMap;
use std::ops::Range;

use node::Action;
use node::replication::{Checksums, Delta, Message, Store};

use super::{LOG, Plant};

/// The kind of object that is damaged: registrations.
const BINDING: u8 = 1;

/// Where a registered phone is, and where the damaged snapshot says that it is.
const TRUE: &[u8] = b"10.77.1.21";
const FALSE: &[u8] = b"10.77.1.99";

/// Where the fields of a segment of the stream stand, behind the byte that says what the datagram is.
const CONVERSATION: Range<usize> = 2..22;
const SEQUENCE: Range<usize> = 22..30;
const PAYLOAD: usize = 62;

/// One way of one stream.
#[derive(Default)]
struct Way {
    /// The last sequence that was seen.
    last: u64,
    /// The changed payload of each sequence, for retransmissions.
    payloads: BTreeMap<u64, Vec<u8>>,
    /// How much the damage has changed the sum of its kind.
    difference: u64,
}

#[derive(Default)]
pub struct ResyncWithoutChecksum {
    ways: BTreeMap<Vec<u8>, Way>,
    planted: u64,
}

impl Plant for ResyncWithoutChecksum {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        let datagrams: Vec<&mut Vec<u8>> = actions
            .iter_mut()
            .filter_map(|action| match action {
                Action::PeerSend { bytes, .. } if bytes.first() == Some(&LOG) && bytes.len() > PAYLOAD => Some(bytes),
                _ => None,
            })
            .collect();
        let Some(conversation) = datagrams.first().and_then(|bytes| bytes.get(CONVERSATION)) else { return };
        let way = self.ways.entry(conversation.to_vec()).or_default();
        self.planted += way.rewrite(datagrams);
    }
}

impl Way {
    /// Changes what one step sends. A step's messages are whole, as long as they fit the window.
    fn rewrite(&mut self, mut datagrams: Vec<&mut Vec<u8>>) -> u64 {
        let mut stream = Vec::new();
        let mut fresh = Vec::new();
        for (at, bytes) in datagrams.iter().enumerate() {
            let sequence = sequence(bytes);
            if sequence > self.last {
                self.last = sequence;
                fresh.push((at, sequence, stream.len()));
                stream.extend_from_slice(bytes.get(PAYLOAD..).unwrap_or_default());
            }
        }
        let damaged = self.damage(&mut stream);
        for (at, sequence, from) in fresh {
            let length = datagrams[at].len() - PAYLOAD;
            self.payloads.insert(sequence, stream[from..from + length].to_vec());
        }
        for bytes in &mut datagrams {
            if let Some(payload) = self.payloads.get(&sequence(bytes)) {
                bytes.truncate(PAYLOAD);
                bytes.extend_from_slice(payload);
            }
        }
        damaged
    }

    /// Changes messages in place; none may change its length.
    fn damage(&mut self, stream: &mut [u8]) -> u64 {
        let mut damaged = 0;
        let mut at = 0;
        while let Some(length) = stream.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
        {
            let body = at + 4..at + 4 + length as usize;
            at = body.end;
            let Some(Ok(message)) = stream.get(body.clone()).map(Message::decode) else { continue };
            let changed = match message {
                Message::SnapshotBegin { .. } => {
                    self.difference = 0;
                    continue;
                }
                Message::Objects(mut objects) => {
                    damaged += objects.iter_mut().map(|object| self.damage_object(object)).sum::<u64>();
                    Message::Objects(objects)
                }
                Message::SnapshotEnd { position, checksums } => {
                    Message::SnapshotEnd { position, checksums: self.fitting(checksums) }
                }
                Message::Verify { position, checksums } => {
                    Message::Verify { position, checksums: self.fitting(checksums) }
                }
                _ => continue,
            };
            let encoded = changed.encode();
            if encoded.len() == body.len() {
                stream[body].copy_from_slice(&encoded);
            }
        }
        damaged
    }

    fn damage_object(&mut self, object: &mut Delta) -> u64 {
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

fn sequence(bytes: &[u8]) -> u64 {
    bytes.get(SEQUENCE).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// What the object adds to the checksum of its kind.
fn sum(object: &Delta) -> u64 {
    let mut store = Store::new();
    store.apply(object);
    store.checksums().get(&object.key.kind).map_or(0, |checksum| checksum.sum)
}
