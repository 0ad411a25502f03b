//! An independent SIP phone as a pure machine: no sockets, no clock, no threads. Time is an argument in microseconds
//! and randomness comes from the seed of the configuration, so that a run can be repeated exactly.
//!
//! It shares no code with the product, on purpose: it is the checker's eye. It behaves as RFC 3261 asks of a user
//! agent, uses everything it was told (tags, contacts, route sets, nonces, audio addresses), and records as a
//! [`Violation`] whatever a phone may not be asked to bear.

pub mod audio;
mod call;
mod client;
mod config;
mod digest;
mod incoming;
mod message;
mod outgoing;
mod phone;
mod random;
mod record;
mod registration;
mod sdp;
mod server;
mod session;

pub use config::{Answer, AnswerPolicy, PhoneCommand, PhoneConfig, PhoneInput, PhoneOutput};
pub use phone::Phone;
pub use record::{CallKey, CallRecord, CallState, EndReason, Media, Method, PhoneCounters, PhoneEvent, Violation};
