//! SIP messages, digest, transactions and dialogs as plain data; knows no transport.
//!
//! Start reading at [`message`]; [`transaction`] and [`dialog`] are built on it. Everything that a call keeps is
//! plain data with numbered fields, so that it can be handed to another node at any instant.

pub mod address;
pub mod dialog;
pub mod digest;
pub mod error;
pub mod headers;
pub mod message;
pub mod method;
pub mod name_addr;
pub mod params;
pub mod syntax;
pub mod transaction;
pub mod uri;
pub mod via;

pub use dialog::{Dialog, DialogError, DialogState};
pub use error::ParseError;
pub use headers::{Header, Headers};
pub use message::{CSeq, Fields, Message, Request, Response, reason_phrase, response_destination};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::Params;
pub use transaction::{
    InviteClient, InviteServer, NonInviteClient, NonInviteServer, Output, TransactionKey, Transmit, client_key,
    client_key_of, server_key, server_key_of, timer,
};
pub use uri::{Scheme, Uri};
pub use via::Via;
