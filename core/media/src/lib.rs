//! SDP, RTP and the relay: one packet in, what goes out.
