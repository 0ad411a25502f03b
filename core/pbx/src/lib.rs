//! Asterisk's files, registrar, dialplan, calls and their records.

pub mod authentication;
pub mod call;
pub mod conf;
pub mod configuration;
pub mod dialplan;
pub mod object;
#[allow(clippy::module_inception)]
pub mod pbx;
pub mod qualify;
pub mod record;
pub mod registrar;
pub mod service;

pub use pbx::{
    CallView, Invites, Merged, Now, Output, Pbx, PhoneView, Settings, Version, was_made_since, was_said_since,
};
pub use service::{Service, ServiceAddress};
