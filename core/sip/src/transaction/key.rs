//! Which transaction a message belongs to (RFC 3261 section 17.1.3 and 17.2.3).

use minicbor::{Decode, Encode};

use crate::message::{Fields, Request, Response};
use crate::method::Method;

/// Names one transaction of this element, unique per side: client and server keys never meet in one map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct TransactionKey(#[n(0)] pub String);

/// The server transaction that a request belongs to. An ACK and a CANCEL get the key of their INVITE; a CANCEL's own
/// transaction is found under [`server_key_of`] with [`Method::Cancel`].
pub fn server_key(request: &Request) -> TransactionKey {
    match request.method {
        Method::Ack | Method::Cancel => server_key_of(request, &Method::Invite),
        _ => server_key_of(request, &request.method),
    }
}

/// The server transaction that `request` would belong to if its method were `method`: branch, sent-by and method. A
/// sender without RFC 3261 branches is matched by Call-ID, CSeq number, From tag and sent-by.
pub fn server_key_of(request: &Request, method: &Method) -> TransactionKey {
    // In well-formed messages no part holds a space, so the parts cannot run into each other. Who forges one gains
    // nothing: the branch of somebody else's transaction, once known, can be sent as it is.
    let Ok(via) = request.top_via() else { return TransactionKey(String::new()) };
    let host = via.host.to_ascii_lowercase();
    let port = via.port.unwrap_or(crate::uri::PORT_DEFAULT);
    match via.branch() {
        Some(branch) if via.has_unique_branch() => TransactionKey(format!("{branch} {host} {port} {method}")),
        _ => {
            let (call_id, number) = (request.call_id(), request.cseq().number);
            let tag = request.from_tag().unwrap_or_default();
            TransactionKey(format!("{call_id} {number} {tag} {host} {port} {method}"))
        }
    }
}

/// The client transaction that a response belongs to: the branch of its top Via and the method of its CSeq.
pub fn client_key(response: &Response) -> Option<TransactionKey> {
    key_of_branch(response, &response.cseq().method)
}

/// The key under which the client transaction of our own `request` is kept.
pub fn client_key_of(request: &Request) -> Option<TransactionKey> {
    key_of_branch(request, &request.method)
}

fn key_of_branch(message: &impl Fields, method: &Method) -> Option<TransactionKey> {
    let via = message.top_via().ok()?;
    via.branch().map(|branch| TransactionKey(format!("{branch} {method}")))
}

#[cfg(test)]
mod tests;
