//! What the kernel keeps for neighbours that have not answered yet.
//!
//! A node whose cable is cut goes on sending until it knows; the kernel asks for each neighbour's hardware address and
//! keeps what is for them. When the cable is back, the first answer lets all of it out at once: by then another node
//! serves, and phones would be told things by a node that knows nothing of their calls any more.

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourMessage, NeighbourState};

use super::{Addresses, NetlinkError};

impl Addresses {
    /// Drops what waits for neighbours of the interface that have not answered. Tells how many neighbours that were; they
    /// are asked for again when there is something else for them.
    pub fn drop_waiting(&mut self, interface: &str) -> Result<usize, NetlinkError> {
        let index = self.interface_index(interface)?;
        let all = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let neighbours = self.request("list neighbours", all, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut dropped = 0;
        for neighbour in neighbours {
            let RouteNetlinkMessage::NewNeighbour(neighbour) = neighbour else { continue };
            if neighbour.header.ifindex != index || neighbour.header.state != NeighbourState::Incomplete {
                continue;
            }
            let forget = RouteNetlinkMessage::DelNeighbour(neighbour);
            match self.request("forget a neighbour", forget, NLM_F_REQUEST | NLM_F_ACK) {
                Ok(_) => dropped += 1,
                // It has been given up meanwhile.
                Err(error) if error.errno() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(dropped)
    }
}
