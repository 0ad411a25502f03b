//! The sockets that the parent keeps for the daemon's next life.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use base::{Epoch, Incarnation};
use socket2::SockRef;

use super::message::{NAME_BYTES_MAX, ToDaemon, encode};
use crate::channel::{Channel, ChannelError, FILES_MAX};

/// 16,000 calls with four sockets each. Further sockets are not kept: after a crash their packets meet an ICMP error.
const HELD_MAX: usize = 65_536;

#[derive(Debug)]
struct Held {
    socket: OwnedFd,
    local: Option<SocketAddr>,
}

#[derive(Debug, Default)]
pub(super) struct HeldSockets {
    sockets: BTreeMap<String, Held>,
}

impl HeldSockets {
    /// Keeps the sockets under their names; one that is there already is replaced.
    pub fn hold(&mut self, names: Vec<String>, sockets: Vec<OwnedFd>) {
        if names.len() != sockets.len() {
            tracing::warn!(names = names.len(), sockets = sockets.len(), "sockets to hold do not match their names");
            return;
        }
        for (name, socket) in names.into_iter().zip(sockets) {
            let is_known = self.sockets.contains_key(&name);
            if name.len() > NAME_BYTES_MAX || (!is_known && self.sockets.len() >= HELD_MAX) {
                tracing::warn!(name, "cannot hold a further socket");
                continue;
            }
            let local = SockRef::from(&socket).local_addr().ok().and_then(|address| address.as_socket());
            self.sockets.insert(name, Held { socket, local });
        }
    }

    pub fn drop_held(&mut self, name: &str) {
        self.sockets.remove(name);
    }

    /// A held socket that is bound to this address.
    pub fn bound_to(&self, local: SocketAddr) -> Option<BorrowedFd<'_>> {
        self.sockets.values().find(|held| held.local == Some(local)).map(|held| held.socket.as_fd())
    }

    pub fn len(&self) -> usize {
        self.sockets.len()
    }
}

/// What a new daemon has yet to be told; goes out as its channel has room.
#[derive(Debug)]
pub(super) struct HandingOver {
    names: VecDeque<String>,
    resume_active: Option<Epoch>,
    incarnation: Incarnation,
}

impl HandingOver {
    pub fn new(held: &HeldSockets, resume_active: Option<Epoch>, incarnation: Incarnation) -> Self {
        Self { names: held.sockets.keys().cloned().collect(), resume_active, incarnation }
    }

    /// Sends what the channel takes; true when everything has been said.
    pub fn go_on(&mut self, held: &HeldSockets, channel: &Channel) -> Result<bool, ChannelError> {
        while !self.names.is_empty() {
            let batch: Vec<(&String, &Held)> =
                self.names.iter().take(FILES_MAX).filter_map(|name| held.sockets.get_key_value(name)).collect();
            if !batch.is_empty() {
                let names = batch.iter().map(|(name, _)| (*name).clone()).collect();
                let files: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, held)| held.socket.as_fd()).collect();
                match channel.send(&encode(&ToDaemon::Held(names)), &files) {
                    Err(ChannelError::Full) => return Ok(false),
                    done => done?,
                }
            }
            self.names.drain(..FILES_MAX.min(self.names.len()));
        }
        let end = ToDaemon::HeldEnd { resume_active: self.resume_active, incarnation: self.incarnation };
        match channel.send(&encode(&end), &[]) {
            Err(ChannelError::Full) => Ok(false),
            done => done.map(|()| true),
        }
    }
}
