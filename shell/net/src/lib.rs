//! Sockets, addresses, neighbours, the peer link, the parent process and the RTP threads.
