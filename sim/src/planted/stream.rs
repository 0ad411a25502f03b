//! Changes messages of the nodes' log in place, on their way out: a step's datagrams, and whatever of them is sent again.

use std::collections::BTreeMap;
use std::ops::Range;

use node::Action;

use super::LOG;

/// Where the fields of a segment of the stream stand, behind the byte that says what the datagram is.
const CONVERSATION: Range<usize> = 2..22;
const SEQUENCE: Range<usize> = 22..30;
const PAYLOAD: usize = 62;

/// Every stream that was seen, by its conversation.
#[derive(Default)]
pub struct Streams(BTreeMap<Vec<u8>, Way>);

/// One way of one stream.
#[derive(Default)]
struct Way {
    /// The last sequence that was seen.
    last: u64,
    /// The changed payload of each sequence, for retransmissions.
    payloads: BTreeMap<u64, Vec<u8>>,
}

impl Streams {
    /// Gives each new message to `change`, which must keep its length and tells how much it has changed.
    pub fn rewrite(&mut self, actions: &mut [Action], change: impl FnMut(&mut [u8]) -> u64) -> u64 {
        let datagrams: Vec<&mut Vec<u8>> = actions
            .iter_mut()
            .filter_map(|action| match action {
                Action::PeerSend { bytes, .. } if bytes.first() == Some(&LOG) && bytes.len() > PAYLOAD => Some(bytes),
                _ => None,
            })
            .collect();
        let Some(conversation) = datagrams.first().and_then(|bytes| bytes.get(CONVERSATION)) else { return 0 };
        self.0.entry(conversation.to_vec()).or_default().rewrite(datagrams, change)
    }
}

impl Way {
    /// Changes what one step sends. A step's messages are whole, as long as they fit the window.
    fn rewrite(&mut self, mut datagrams: Vec<&mut Vec<u8>>, change: impl FnMut(&mut [u8]) -> u64) -> u64 {
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
        let changed = messages(&mut stream, change);
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
        changed
    }
}

/// Each whole message, behind its length.
fn messages(stream: &mut [u8], mut change: impl FnMut(&mut [u8]) -> u64) -> u64 {
    let mut changed = 0;
    let mut at = 0;
    while let Some(length) = stream.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) {
        let body = at + 4..at + 4 + length as usize;
        at = body.end;
        if let Some(body) = stream.get_mut(body) {
            changed += change(body);
        }
    }
    changed
}

fn sequence(bytes: &[u8]) -> u64 {
    bytes.get(SEQUENCE).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}
