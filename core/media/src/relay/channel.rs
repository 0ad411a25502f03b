//! What is known of one remote address: RTP and RTCP of a port have one each, and each is learned by itself.
//!
//! ```text
//!                      first valid packet, from anywhere
//!        SIGNALLED ---------------------------------------> LEARNED
//!        (sends to what      <----------------------        (sends to where the
//!        the node believes)   another address is signalled;  last packet came from)
//!                             or taken over, and silent
//!
//!        in LEARNED, a packet from:
//!          the learned address              accepted
//!          the known address                accepted, and learned
//!          a third, learned one was heard   dropped
//!          a third, learned one was silent  accepted, and learned
//! ```

use std::net::SocketAddr;

use base::LocalTime;

use super::RELEARN_AFTER;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    /// As signalled, or as replicated by the node that learned it.
    known: Option<SocketAddr>,
    /// Where the remote party's packets come from, with the time of the last one.
    learned: Option<(SocketAddr, LocalTime)>,
    /// What the node believes: the known address, or what was reported to it since.
    believed: Option<SocketAddr>,
    /// When the remote party was last heard, kept when what was learned is forgotten.
    heard: Option<LocalTime>,
}

impl Channel {
    pub(super) fn new(known: Option<SocketAddr>) -> Self {
        Self { known, learned: None, believed: known, heard: None }
    }

    /// The remote party signalled where it is. What was learned stays when that is nothing new.
    pub(super) fn signal(&mut self, known: Option<SocketAddr>) {
        if known == self.known {
            return;
        }
        self.known = known;
        self.believed = known;
        // The node signals back what was reported as learned; that must not interrupt the learned party's hold.
        self.learned = self.learned.filter(|(address, _)| Some(*address) == known);
    }

    /// Symmetric: whether the packet is the remote party's, learning its source where that is allowed.
    pub(super) fn learn(&mut self, now: LocalTime, source: SocketAddr) -> bool {
        let is_held = match self.learned {
            // The known address is not a third one: whoever came before it was at most a guess.
            Some((address, heard)) => {
                address != source && self.known != Some(source) && now.since(heard) <= RELEARN_AFTER
            }
            None => false,
        };
        if !is_held {
            self.learned = Some((source, now));
            self.heard = Some(now);
        }
        !is_held
    }

    /// Not symmetric: whether the packet comes from the signalled host. Its port may differ, since a phone need not
    /// send from where it receives (RFC 4961 only recommends it).
    pub(super) fn expect(&mut self, now: LocalTime, source: SocketAddr) -> bool {
        let is_expected = self.known.is_some_and(|known| known.ip() == source.ip());
        if is_expected {
            self.heard = Some(now);
        }
        is_expected
    }

    /// Where packets to the remote party go, unless nothing may be sent there.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        let address = self.learned.map(|(address, _)| address).or(self.believed)?;
        (!address.ip().is_unspecified() && address.port() != 0).then_some(address)
    }

    pub(super) fn taken_over(&mut self, now: LocalTime) {
        self.learned = self.learned.filter(|(_, heard)| now.since(*heard) <= RELEARN_AFTER);
    }

    /// Whether the learned address is another one than the node believes.
    pub(super) fn is_news(&self) -> bool {
        self.learned.is_some_and(|(address, _)| Some(address) != self.believed)
    }

    /// The learned address if it is news, which it is no longer afterwards.
    pub(super) fn report(&mut self) -> Option<SocketAddr> {
        let (address, _) = self.learned.filter(|_| self.is_news())?;
        self.believed = Some(address);
        Some(address)
    }

    pub(super) fn heard(&self) -> Option<LocalTime> {
        self.heard
    }
}
