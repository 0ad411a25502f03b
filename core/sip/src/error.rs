//! What can be wrong with text that came from a phone. The sender is always to blame, and trying again never helps.

use crate::message::Request;

/// Why a text is not the SIP element it should be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line breaks: a keepalive (RFC 5626 section 3.5.1), to be dropped silently.
    #[error("the datagram holds no message")]
    Empty,
    #[error("the {what} is longer than {max} bytes")]
    TooLong { what: &'static str, max: usize },
    #[error("there are more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("the {0} is malformed")]
    Malformed(&'static str),
    #[error("the SIP version is not 2.0")]
    Version,
    #[error("the header {0} is missing")]
    Missing(&'static str),
    #[error("the header {0} occurs more than once")]
    Repeated(&'static str),
    #[error("the body has {present} bytes where Content-Length promises {announced}")]
    BodyTooShort { announced: u64, present: u64 },
    #[error("the method of CSeq is not the method of the request")]
    MethodMismatch,
    /// A request that cannot be served, but whose sender can be told so: it has a readable top Via and is no ACK.
    /// What could not be read of it is absent (a Request-URI that could not be read is `sip:invalid`).
    #[error("the request cannot be served")]
    Refused {
        request: Box<Request>,
        #[source]
        source: Box<ParseError>,
    },
}

impl ParseError {
    /// The request to answer and the status to answer it with, where answering is possible (RFC 3261 section 8.2).
    pub fn refused(&self) -> Option<(&Request, u16)> {
        match self {
            Self::Refused { request, source } => {
                let status = if matches!(**source, Self::Version) { 505 } else { 400 };
                Some((request, status))
            }
            _ => None,
        }
    }
}
