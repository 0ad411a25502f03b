//! Who sent a request: digest authentication with stateless nonces (RFC 3261 section 22, RFC 7616, RFC 8760).

use base::ClusterTime;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use sip::digest::{Algorithm, Authorization, Challenge, Freshness, Nonces, Secret as Known, verify};
use sip::{Fields, Request, Response};

use crate::configuration::{ALGORITHMS_DEFAULT, Credentials, Endpoint, General, Secret};

/// What the pair knows and nobody else: makes nonces and tags that either node can check.
#[derive(Clone)]
pub struct Authenticator {
    nonces: Nonces,
    secret: [u8; 32],
}

/// What came of looking at a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Valid,
    /// Nothing was proven yet; `stale` when the password was right and only the nonce too old.
    Missing {
        stale: bool,
    },
    Wrong,
}

impl Authenticator {
    pub fn new(secret: [u8; 32]) -> Self {
        Self { nonces: Nonces { secret }, secret }
    }

    /// Checks the Authorization headers of a request against an endpoint's credentials.
    pub fn check(&self, request: &Request, credentials: &Credentials, now: ClusterTime) -> Proof {
        let mut proof = Proof::Missing { stale: false };
        for value in request.headers.values("Authorization") {
            let Ok(authorization) = Authorization::parse(value) else { continue };
            if authorization.realm != credentials.realm || authorization.username != credentials.username {
                proof = Proof::Wrong;
                continue;
            }
            let known = match &credentials.secret {
                Secret::Plain(password) => Known::Plain(password),
                Secret::Ha1Md5(hex) => Known::Ha1 { algorithm: Algorithm::Md5, hex },
            };
            if !credentials.algorithms.contains(&authorization.algorithm) {
                // Whoever is to prove it by SHA-256 cannot choose the weaker way; the files may have changed, too.
                proof = Proof::Missing { stale: false };
                continue;
            }
            if !verify(&authorization, &request.method, &known) {
                proof = Proof::Wrong;
                continue;
            }
            match self.nonces.check(&authorization.nonce, now) {
                Freshness::Fresh => return Proof::Valid,
                Freshness::Stale => proof = Proof::Missing { stale: true },
                // A nonce of another pair, or of before the key was changed: the phone may try with ours.
                Freshness::Forged => proof = Proof::Missing { stale: false },
            }
        }
        proof
    }

    /// 401 with a challenge for each algorithm that the endpoint is to be checked by. One that does not exist is
    /// challenged as most are, so that nobody learns which ones do.
    pub fn challenge(
        &self,
        request: &Request,
        endpoint: Option<&Endpoint>,
        general: &General,
        stale: bool,
        now: ClusterTime,
    ) -> Response {
        let credentials = endpoint.and_then(|endpoint| endpoint.credentials.as_ref());
        let realm = credentials.map_or(general.realm.as_str(), |credentials| credentials.realm.as_str());
        let algorithms = credentials.map_or(&ALGORITHMS_DEFAULT[..], |credentials| &credentials.algorithms);
        let mut response = request.respond(401, sip::reason_phrase(401), Some(&self.tag(request)));
        for algorithm in algorithms {
            let challenge =
                Challenge { realm: realm.to_owned(), nonce: self.nonces.make(now), algorithm: *algorithm, stale };
            response.headers.push("WWW-Authenticate", challenge.to_string());
        }
        response
    }

    /// The To tag of a stateless answer: a function of the request, so that a retransmission meets the same one
    /// (RFC 3261 8.2.7).
    pub fn tag(&self, request: &Request) -> String {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&self.secret) {
            Ok(mac) => mac,
            Err(_) => unreachable!("HMAC takes keys of any length"),
        };
        mac.update(request.call_id().as_bytes());
        mac.update(&request.cseq().number.to_be_bytes());
        mac.update(request.headers.value("From").unwrap_or_default().as_bytes());
        mac.finalize().into_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The endpoint of a request: by the user name it proves, else by the user in From, else by its address.
pub fn user_of(request: &Request) -> Option<String> {
    request.from().ok()?.uri.user
}

#[cfg(test)]
mod tests;
