//! Sockets, addresses, neighbours, the peer link, the parent process, the RTP threads and the VRRP socket.

pub mod channel;
pub mod clock;
pub mod echo;
pub mod etcd;
mod icmp;
pub mod key;
pub mod link;
pub mod neighbours;
pub mod netlink;
pub mod parent;
pub mod ping;
pub mod realtime;
pub mod rtp;
pub mod sockets;
pub mod track;
pub mod vrrp;
pub mod witness;
