//! Request methods (RFC 3261 section 7.1 and the RFCs that added some). Names are case-sensitive.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Method {
    #[n(0)]
    Invite,
    #[n(1)]
    Ack,
    #[n(2)]
    Bye,
    #[n(3)]
    Cancel,
    #[n(4)]
    Register,
    #[n(5)]
    Options,
    #[n(6)]
    Info,
    #[n(7)]
    Update,
    #[n(8)]
    Prack,
    #[n(9)]
    Subscribe,
    #[n(10)]
    Notify,
    #[n(11)]
    Refer,
    #[n(12)]
    Message,
    #[n(13)]
    Publish,
    /// A method we do not know, as it was written.
    #[n(14)]
    Other(#[n(0)] String),
}

impl Method {
    pub fn parse(text: &str) -> Self {
        match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "REGISTER" => Self::Register,
            "OPTIONS" => Self::Options,
            "INFO" => Self::Info,
            "UPDATE" => Self::Update,
            "PRACK" => Self::Prack,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "REFER" => Self::Refer,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other => Self::Other(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Refer => "REFER",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }
}

impl FromStr for Method {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
