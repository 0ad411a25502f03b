//! What parent and daemon say to each other: one version byte, then CBOR with numbered fields.

use std::os::fd::OwnedFd;

use base::{Epoch, Incarnation, LocalTime};
use minicbor::{Decode, Encode};

/// Parent and daemon are the same program, and a daemon is only started by a parent: versions differ only when a
/// parent outlives an upgrade in place. A message of another version is not understood.
const VERSION: u8 = 1;

/// The longest name of a held socket. A full message of names then stays within the channel's bound.
pub const NAME_BYTES_MAX: usize = 100;

/// A socket kept by the parent across the daemon's death.
#[derive(Debug)]
pub struct HeldSocket {
    pub name: String,
    pub socket: OwnedFd,
}

/// What the daemon hears.
#[derive(Debug)]
pub enum FromParent {
    /// Sockets of the daemon's former life; only before `HeldEnd`.
    Held(Vec<HeldSocket>),
    /// All held sockets have been sent. `resume_active`: the former life was active in that epoch without a
    /// protected peer, the address is still here: go on at once. `incarnation` is the name of this life; farewells
    /// name it.
    HeldEnd { resume_active: Option<Epoch>, incarnation: Incarnation },
    /// The address is on the interface for this claim.
    Claimed { epoch: Epoch },
    /// The claim has ended although the daemon did not yield: the lease ran out, the address could not be added, or
    /// the epoch was an old one. Claim again, if still active.
    Lost { epoch: Epoch },
    /// Hand over if there is somebody to hand over to, then say `stopping_done`. 2 s at most.
    Stop,
    /// Read the configuration again (SIGHUP).
    Reload,
}

/// The daemon's messages on the wire; the files of `Hold` belong to its names in order.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) enum ToParent {
    #[n(0)]
    Hold(#[n(0)] Vec<String>),
    #[n(1)]
    Drop(#[n(0)] String),
    #[n(2)]
    Stamp {
        #[n(0)]
        at: LocalTime,
        #[n(1)]
        active: bool,
        #[n(2)]
        epoch: Epoch,
        #[n(3)]
        protected: bool,
    },
    #[n(3)]
    Claim(#[n(0)] Epoch),
    #[n(4)]
    Yield,
    #[n(5)]
    StoppingDone,
    /// Comes with one file: the reading end of a pipe that closes as soon as the daemon begins to die.
    #[n(6)]
    Lifeline,
}

/// The parent's messages on the wire; the files of `Held` belong to its names in order.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) enum ToDaemon {
    #[n(0)]
    Held(#[n(0)] Vec<String>),
    #[n(1)]
    HeldEnd {
        #[n(0)]
        resume_active: Option<Epoch>,
        #[n(1)]
        incarnation: Incarnation,
    },
    #[n(2)]
    Claimed(#[n(0)] Epoch),
    #[n(3)]
    Lost(#[n(0)] Epoch),
    #[n(4)]
    Stop,
    #[n(5)]
    Reload,
}

pub(super) fn encode<M: Encode<()>>(message: &M) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing into a vector cannot fail.
    let _ = minicbor::encode(message, &mut bytes);
    bytes
}

pub(super) fn decode<M: for<'a> Decode<'a, ()>>(bytes: &[u8]) -> Option<M> {
    let (version, body) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    minicbor::decode(body).ok()
}

#[cfg(test)]
mod tests;
