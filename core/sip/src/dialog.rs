//! Dialogs (RFC 3261 section 12): what two user agents keep about each other between an INVITE and its BYE.

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::message::{CSeq, Fields, MAX_FORWARDS, Request, Response};
use crate::method::Method;
use crate::name_addr::NameAddr;
use crate::uri::Uri;
use crate::via::Via;

/// Why a message cannot make, or belong to, a dialog. The other side is to blame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DialogError {
    #[error("the header {name} of the message that makes the dialog cannot be read")]
    Header {
        name: &'static str,
        #[source]
        source: ParseError,
    },
    #[error("the request that makes the dialog has no Contact")]
    NoContact,
    #[error("a response with status {0} makes no dialog")]
    Status(u16),
    /// To be answered with 500 (RFC 3261 section 12.2.2).
    #[error("the request has CSeq {received}, but {latest} came before it")]
    CSeqTooLow { received: u32, latest: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DialogState {
    /// A provisional response made it.
    #[n(0)]
    Early,
    /// A 2xx made or confirmed it.
    #[n(1)]
    Confirmed,
    #[n(2)]
    Terminated,
}

/// One dialog, seen from our side.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Dialog {
    #[n(0)]
    pub call_id: String,
    #[n(1)]
    pub local_tag: String,
    /// `None` when the other side is older than RFC 3261 and sends no tags.
    #[n(2)]
    pub remote_tag: Option<String>,
    /// Our own address, without tag.
    #[n(3)]
    pub local: NameAddr,
    /// The other side's address, without tag.
    #[n(4)]
    pub remote: NameAddr,
    /// The number of our last request; 0 before the first.
    #[n(5)]
    pub local_cseq: u32,
    /// The number of the other side's last request.
    #[n(6)]
    pub remote_cseq: Option<u32>,
    /// Values of Route, the nearest hop first.
    #[n(7)]
    pub route_set: Vec<String>,
    /// Where the other side wants requests: its Contact.
    #[n(8)]
    pub remote_target: Uri,
    #[n(9)]
    pub state: DialogState,
}

impl Dialog {
    /// The early dialog of a request that came to us (RFC 3261 section 12.1.1). [`Dialog::confirm`] it with the 2xx.
    pub fn uas(request: &Request, local_tag: &str) -> Result<Self, DialogError> {
        let remote = Fields::from(request).map_err(|source| DialogError::Header { name: "From", source })?;
        let local = request.to().map_err(|source| DialogError::Header { name: "To", source })?;
        Ok(Self {
            call_id: request.call_id().to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: remote.tag().map(str::to_owned),
            local: without_tag(local),
            remote: without_tag(remote),
            local_cseq: 0,
            remote_cseq: Some(request.cseq().number),
            route_set: request.headers.values("Record-Route").map(str::to_owned).collect(),
            remote_target: contact(request)?.ok_or(DialogError::NoContact)?,
            state: DialogState::Early,
        })
    }

    /// The dialog that `response` to our `request` makes (RFC 3261 section 12.1.2): early for 101 to 199, confirmed
    /// for 2xx. A response without Contact, which some phones send, leaves the Request-URI as the target.
    pub fn uac(request: &Request, response: &Response) -> Result<Self, DialogError> {
        let state = match response.status {
            101..200 => DialogState::Early,
            200..300 => DialogState::Confirmed,
            status => return Err(DialogError::Status(status)),
        };
        let local = Fields::from(request).map_err(|source| DialogError::Header { name: "From", source })?;
        let remote = response.to().map_err(|source| DialogError::Header { name: "To", source })?;
        Ok(Self {
            call_id: request.call_id().to_owned(),
            local_tag: local.tag().unwrap_or_default().to_owned(),
            remote_tag: remote.tag().map(str::to_owned),
            local: without_tag(local),
            remote: without_tag(remote),
            local_cseq: request.cseq().number,
            remote_cseq: None,
            route_set: reversed_record_route(response),
            remote_target: contact(response)?.unwrap_or_else(|| request.uri.clone()),
            state,
        })
    }

    /// True when a message belongs to this dialog: tags as seen from our side (RFC 3261 section 12.2.2).
    pub fn matches(&self, call_id: &str, local_tag: &str, remote_tag: Option<&str>) -> bool {
        self.call_id == call_id && self.local_tag == local_tag && self.remote_tag.as_deref() == remote_tag
    }

    /// Our 2xx was sent.
    pub fn confirm(&mut self) {
        if self.state == DialogState::Early {
            self.state = DialogState::Confirmed;
        }
    }

    /// The 2xx to our INVITE came in this early dialog: its route set and target replace those of the provisional
    /// response (RFC 3261 section 13.2.2.4).
    pub fn confirmed_by(&mut self, response: &Response) {
        if self.state == DialogState::Early && response.is_success() {
            self.route_set = reversed_record_route(response);
            self.target_refresh(response);
            self.confirm();
        }
    }

    pub fn terminate(&mut self) {
        self.state = DialogState::Terminated;
    }

    /// A request within the dialog (RFC 3261 section 12.2.1.1). It takes the next CSeq, but for ACK and CANCEL, which
    /// have the CSeq of the last request.
    pub fn request(&mut self, method: Method, via: &Via, contact: Option<&Uri>) -> Request {
        if !matches!(method, Method::Ack | Method::Cancel) {
            self.skip_cseq(1);
        }
        self.build(method, self.local_cseq, via, contact)
    }

    /// The ACK of a 2xx to the INVITE with number `cseq` (RFC 3261 section 13.2.2.4). Its Via has a branch of its own.
    pub fn ack(&self, cseq: u32, via: &Via, contact: Option<&Uri>) -> Request {
        self.build(Method::Ack, cseq, via, contact)
    }

    /// Leaves out `by` numbers: after a takeover, when requests may have left that we do not know of. A gap is
    /// harmless, a number that was used is not.
    pub fn skip_cseq(&mut self, by: u32) {
        self.local_cseq = self.local_cseq.saturating_add(by);
    }

    /// Takes a new request within the dialog: checks its order (RFC 3261 section 12.2.2) and follows the Contact of a
    /// re-INVITE or UPDATE. Retransmissions never come here, so a number that was used is out of order, too; ACK and
    /// CANCEL have the number of their INVITE and change nothing.
    pub fn accept(&mut self, request: &Request) -> Result<(), DialogError> {
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let received = request.cseq().number;
        match self.remote_cseq {
            Some(latest) if received <= latest => return Err(DialogError::CSeqTooLow { received, latest }),
            _ => self.remote_cseq = Some(received),
        }
        if matches!(request.method, Method::Invite | Method::Update) {
            self.follow(request);
        }
        Ok(())
    }

    /// Follows the Contact of a 2xx to our re-INVITE or UPDATE (RFC 3261 section 12.2.1.2).
    pub fn target_refresh(&mut self, response: &Response) {
        if response.is_success() && matches!(response.cseq().method, Method::Invite | Method::Update) {
            self.follow(response);
        }
    }

    /// Where a request within the dialog goes next: the first route, else the target.
    pub fn next_hop(&self) -> Uri {
        self.first_route().unwrap_or_else(|| self.remote_target.clone())
    }

    fn follow(&mut self, message: &impl Fields) {
        if let Ok(Some(target)) = contact(message) {
            self.remote_target = target;
        }
    }

    fn first_route(&self) -> Option<Uri> {
        NameAddr::parse(self.route_set.first()?).ok().map(|route| route.uri)
    }

    fn build(&self, method: Method, cseq: u32, via: &Via, contact: Option<&Uri>) -> Request {
        let (uri, routes) = self.routed();
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        headers.push("Via", via.to_string());
        for route in routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", MAX_FORWARDS);
        headers.push("From", self.local.clone().with_tag(&self.local_tag).to_string());
        let remote = self.remote.clone();
        headers.push("To", self.remote_tag.iter().fold(remote, |remote, tag| remote.with_tag(tag)).to_string());
        headers.push("Call-ID", self.call_id.as_str());
        headers.push("CSeq", CSeq { number: cseq, method }.to_string());
        if let Some(contact) = contact {
            headers.push("Contact", NameAddr::new(contact.clone()).to_string());
        }
        request
    }

    /// Request-URI and Route: loose routing when the first route says `lr`; else that route is a strict router, which
    /// wants itself in the Request-URI and the target at the end of Route (RFC 3261 section 12.2.1.1).
    fn routed(&self) -> (Uri, Vec<String>) {
        match self.first_route() {
            Some(mut strict) if !strict.params.has("lr") => {
                // Neither may stand in a Request-URI (section 19.1.1).
                strict.headers = None;
                strict.params.remove("method");
                let mut routes: Vec<String> = self.route_set.iter().skip(1).cloned().collect();
                routes.push(NameAddr::new(self.remote_target.clone()).to_string());
                (strict, routes)
            }
            _ => (self.remote_target.clone(), self.route_set.clone()),
        }
    }
}

fn without_tag(mut address: NameAddr) -> NameAddr {
    address.params.remove("tag");
    address
}

fn contact(message: &impl Fields) -> Result<Option<Uri>, DialogError> {
    let contacts = message.contacts().map_err(|source| DialogError::Header { name: "Contact", source })?;
    Ok(contacts.into_iter().next().map(|contact| contact.uri))
}

fn reversed_record_route(response: &Response) -> Vec<String> {
    let mut routes: Vec<String> = response.headers.values("Record-Route").map(str::to_owned).collect();
    routes.reverse();
    routes
}

#[cfg(test)]
mod tests;
