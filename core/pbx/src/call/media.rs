//! The media of a call: which port each leg has, where its packets go, and what SDP says of it (RFC 3264).

use std::net::SocketAddr;

use ::media::relay::{Port, Remote};
use ::media::sdp::{
    Codec, CodecPolicy, Description, Direction, LocalMedia, SdpError, answer_from, answer_locally, default_codecs,
    generate_offer,
};

use super::leg::Leg;
use super::step::{Output, Step};
use super::{Call, Progress, Side};
use crate::configuration::Endpoint;

/// How making a callee's offer went.
pub enum Offered {
    Yes,
    NoPort,
    Unusable,
}

/// Takes over where a port's media really comes from; true when that is news.
pub fn learn(known: &mut Port, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>) -> bool {
    let before = known.remote;
    let fallback = rtp.or(rtcp);
    let Some(current) = before.or(fallback.map(|address| Remote { rtp: address, rtcp: address })) else { return false };
    let after = Remote { rtp: rtp.unwrap_or(current.rtp), rtcp: rtcp.unwrap_or(current.rtcp) };
    known.remote = Some(after);
    before != Some(after)
}

impl Call {
    /// Gives a callee's leg its port and the offer: the caller's own, addressed to us, or one of ours when the caller
    /// made none or was answered before.
    pub(super) fn offer_to(&mut self, step: &mut Step<'_>, endpoint: &Endpoint, leg: &mut Leg) -> Offered {
        if self.caller.port.is_none() && !self.caller.open_port(step, true) {
            return Offered::NoPort;
        }
        if !leg.open_port(step, endpoint.symmetric_media) {
            return Offered::NoPort;
        }
        if let (Some(callee), Some(caller)) = (leg.port.as_mut(), self.caller.port.as_ref()) {
            callee.forward_to = Some(caller.port);
        }
        let local = leg.local_media(step);
        let policy = policy(endpoint);
        let offer = match (self.is_answered(), Description::parse(&self.caller.remote_sdp)) {
            (false, Ok(offer)) => offer.offer_from(&local, &policy),
            (true, _) => Ok(generate_offer(&local, &self.caller.codecs_in_use(), Direction::SendRecv)),
            (false, Err(_)) => Ok(generate_offer(&local, &permitted(&policy), Direction::SendRecv)),
        };
        match offer {
            Ok(sdp) => {
                leg.local_sdp = sdp;
                Offered::Yes
            }
            Err(error) => {
                step.out.push(Output::Trouble(format!("call {} to {}: {error}", self.number.0, endpoint.name)));
                Offered::Unusable
            }
        }
    }

    /// Takes a callee's answer and makes the caller's from it; early media (183) and the final answer alike.
    /// Returns what the caller is to be told, unless it was told all before.
    pub(super) fn answer_for_caller(&mut self, step: &Step<'_>, index: usize, sdp: &[u8]) -> Option<Vec<u8>> {
        let answer = Description::parse(sdp).ok()?;
        let callee = self.callees.get_mut(index)?;
        callee.take_remote(&answer, sdp);
        let callee_port = callee.port.as_ref().map(|port| port.port);
        let endpoint = step.configuration.endpoints.get(&self.caller.endpoint);
        let policy = endpoint.map(policy).unwrap_or_default();
        let local = self.caller.local_media(step);
        let made = match Description::parse(&self.caller.remote_sdp) {
            Ok(offer) => {
                self.caller.take_remote_of(&offer);
                answer_from(&offer, &answer, &local, &policy).ok()?
            }
            Err(_) => generate_offer(&local, &codecs_of(&answer), Direction::SendRecv),
        };
        if let Some(port) = self.caller.port.as_mut() {
            port.forward_to = callee_port;
        }
        Some(made)
    }

    /// Each side's packets leave by the other's port from now on.
    pub(super) fn connect(&mut self, index: usize) {
        let callee_port = self.callees.get(index).and_then(|leg| leg.port.as_ref()).map(|port| port.port);
        if let Some(port) = self.caller.port.as_mut() {
            port.forward_to = callee_port;
            port.echo_ssrc = None;
        }
    }

    /// Nothing is sent to a phone that has put us on hold, as the answer to it says (RFC 3264 6.1 and 8.4).
    pub(super) fn mind_holds(&mut self) {
        let Progress::Bridged { callee } = self.progress else { return };
        let Some(callee) = self.callees.get_mut(usize::from(callee)) else { return };
        let open_to = |leg: &Leg| leg.port.as_ref().map(|port| port.port).filter(|_| !leg.held);
        let (to_caller, to_callee) = (open_to(&self.caller), open_to(callee));
        if let Some(port) = self.caller.port.as_mut() {
            port.forward_to = to_callee;
        }
        if let Some(port) = callee.port.as_mut() {
            port.forward_to = to_caller;
        }
    }

    /// The codecs that a leg may be answered with in the middle of a call: those that both sides already speak.
    pub(super) fn codecs_for(&self, side: Side) -> Vec<Codec> {
        self.leg(side).map(Leg::codecs_in_use).unwrap_or_default()
    }
}

impl Leg {
    /// Takes a free port for the leg; false when there is none.
    pub(super) fn open_port(&mut self, step: &mut Step<'_>, symmetric: bool) -> bool {
        let Some(number) = step.ports.take(step.now) else { return false };
        // A node of the version before this field has one address, and reads nothing else.
        let own = step.service.of(self.local.ip());
        let local = (own != step.service.first()).then_some(own);
        self.port = Some(Port { port: number, remote: None, symmetric, forward_to: None, echo_ssrc: None, local });
        true
    }

    pub(super) fn local_media(&mut self, step: &Step<'_>) -> LocalMedia {
        self.sdp_version += 1;
        let number = self.port.as_ref().map_or(0, |port| port.port);
        let own = self.port.as_ref().and_then(|port| port.local).unwrap_or(step.service.first());
        LocalMedia::new(own, number, session_id(&self.local_tag), self.sdp_version)
    }

    /// Notes where the phone wants its media.
    pub(super) fn take_remote(&mut self, description: &Description, sdp: &[u8]) {
        self.remote_sdp = sdp.to_vec();
        self.take_remote_of(description);
    }

    pub(super) fn take_remote_of(&mut self, description: &Description) {
        let Some(audio) = description.audio() else { return };
        self.held = !audio.direction.receives();
        let Some(port) = self.port.as_mut() else { return };
        // An old-style hold names no address (RFC 2543 B.5); the phone is still where it was.
        if !audio.rtp.ip().is_unspecified() && self.signalled != Some(audio.rtp) {
            self.signalled = Some(audio.rtp);
            port.remote = Some(Remote { rtp: audio.rtp, rtcp: audio.rtcp });
        }
    }

    pub(super) fn codecs_in_use(&self) -> Vec<Codec> {
        let local = Description::parse(&self.local_sdp).ok().and_then(|sdp| sdp.audio()).map(|audio| audio.codecs);
        match Description::parse(&self.remote_sdp).ok().and_then(|sdp| sdp.audio()) {
            Some(remote) => match local {
                Some(local) => remote
                    .codecs
                    .into_iter()
                    .filter(|codec| local.iter().any(|ours| ours.name.eq_ignore_ascii_case(&codec.name)))
                    .collect(),
                None => remote.codecs,
            },
            None => local.unwrap_or_else(default_codecs),
        }
    }

    /// Answers an offer by ourselves: Answer(), Echo(), hold and resume. The answer is kept as what we last said.
    pub(super) fn answer_offer(&mut self, step: &Step<'_>, sdp: &[u8], codecs: &[Codec]) -> Result<Vec<u8>, SdpError> {
        let endpoint = step.configuration.endpoints.get(&self.endpoint);
        let policy = endpoint.map(policy).unwrap_or_default();
        let offer = Description::parse(sdp)?;
        let local = self.local_media(step);
        let answer = answer_locally(&offer, &local, codecs, &policy)?;
        self.take_remote(&offer, sdp);
        self.local_sdp = answer.clone();
        Ok(answer)
    }

    /// An offer of ours to a phone that made none.
    pub(super) fn own_offer(&mut self, step: &Step<'_>) -> Vec<u8> {
        let codecs = if self.remote_sdp.is_empty() {
            let endpoint = step.configuration.endpoints.get(&self.endpoint);
            permitted(&endpoint.map(policy).unwrap_or_default())
        } else {
            self.codecs_in_use()
        };
        let local = self.local_media(step);
        self.local_sdp = generate_offer(&local, &codecs, Direction::SendRecv);
        self.local_sdp.clone()
    }
}

pub(super) fn policy(endpoint: &Endpoint) -> CodecPolicy {
    CodecPolicy { allowed: endpoint.codecs.clone() }
}

fn permitted(policy: &CodecPolicy) -> Vec<Codec> {
    policy.select(&default_codecs())
}

fn codecs_of(description: &Description) -> Vec<Codec> {
    description.audio().map(|audio| audio.codecs).unwrap_or_default()
}

/// The session id of a leg's `o=` line: constant for the leg (RFC 4566 5.2), made from its tag.
fn session_id(tag: &str) -> u64 {
    tag.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        >> 2
}
