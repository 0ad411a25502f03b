//! A phone with the person who uses it: its voice, its ear, its timers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use phone::audio::{Listener, Mark, Speaker};
use phone::{AnswerPolicy, CallKey, Phone, PhoneConfig};

use crate::world::SERVICE_PORT;

/// The voice and the ear of one call.
#[derive(Clone, Debug)]
pub struct Voice {
    pub call: CallKey,
    pub conversation: usize,
    /// Which side of the conversation this phone is.
    pub side: usize,
    pub speaker: Speaker,
    pub listener: Listener,
}

pub struct Handset {
    pub phone: Phone,
    pub user: String,
    pub address: SocketAddr,
    pub media_address: SocketAddr,
    /// Which half of the network it is in, should that fall apart.
    pub segment: usize,
    pub timer_at_us: Option<u64>,
    /// An audio tick is scheduled.
    pub ticking: bool,
    pub voice: Option<Voice>,
    seed: u64,
}

/// How a phone of the simulation is set up.
#[derive(Clone, Copy, Debug)]
pub struct HandsetPlan {
    pub answer: AnswerPolicy,
    pub register_every_s: u32,
}

/// The number of the first phone, and its host; the others follow.
pub const FIRST_NUMBER: usize = 5000;
const FIRST_HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 20);

/// Which phone has this address, of as many as there may be.
pub fn index_of(address: SocketAddr) -> Option<usize> {
    let IpAddr::V4(host) = address.ip() else { return None };
    host.to_bits().checked_sub(FIRST_HOST.to_bits()).map(|index| index as usize)
}

impl Handset {
    pub fn new(index: usize, plan: HandsetPlan, server: SocketAddr, seed: u64) -> Self {
        let user = (FIRST_NUMBER + index).to_string();
        let host = Ipv4Addr::from_bits(FIRST_HOST.to_bits() + index as u32);
        let at = |port: u16| SocketAddr::new(host.into(), port);
        let (address, media_address) = (at(SERVICE_PORT), at(4000));
        let phone = Phone::new(PhoneConfig {
            password: format!("secret{user}"),
            user: user.clone(),
            server,
            address,
            media_address,
            register_every_s: plan.register_every_s,
            answer: plan.answer,
            seed,
        });
        Self {
            phone,
            user,
            address,
            media_address,
            segment: index % 2,
            timer_at_us: None,
            ticking: false,
            voice: None,
            seed,
        }
    }

    /// Begins to speak and listen for a call, unless it does already.
    pub fn join(&mut self, call: CallKey, conversation: usize, id: u32, side: usize, own: usize, other: usize) {
        if self.voice.as_ref().is_some_and(|voice| voice.call == call) {
            return;
        }
        let mark = |phone: usize| Mark { call: id, phone: phone as u32 };
        self.voice = Some(Voice {
            call,
            conversation,
            side,
            speaker: Speaker::new(mark(own), self.seed),
            listener: Listener::new(mark(other)),
        });
    }
}
