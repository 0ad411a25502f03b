//! SDP, RTP and the relay: one packet in, what goes out.

pub mod address;
pub mod relay;
pub mod rtp;
pub mod sdp;

pub use relay::{Forward, Learned, Port, Relay, Remote};
pub use sdp::{
    Audio, Codec, CodecPolicy, Description, Direction, LocalMedia, SdpError, answer_from, answer_locally,
    default_codecs, generate_offer,
};
