//! The phones and the people who use them.

use phone::audio::{Heard, PACKET_US};
use phone::{CallState, PhoneCommand, PhoneInput, PhoneOutput};

use super::{SERVICE_PORT, World};
use crate::network::Path;
use crate::queue::Happening;

impl World {
    /// Somebody does something at a phone.
    pub fn command(&mut self, phone: usize, command: PhoneCommand) {
        self.trace(|| format!("phone {}: {command:?}", self.handsets[phone].user));
        let live = self.handsets[phone].phone.call().filter(|call| !call.state.is_over()).map(|call| call.key);
        if let (Some(key), PhoneCommand::HangUp | PhoneCommand::Cancel) = (live, &command) {
            self.checks.gives_up(self.now_us, phone, key);
        }
        if let (Some(key), PhoneCommand::Hold | PhoneCommand::Resume) = (live, &command) {
            self.checks.wants_hold(self.now_us, phone, key, command == PhoneCommand::Hold);
        }
        self.handset(phone, PhoneInput::Command(command));
    }

    /// This phone calls that one.
    pub fn call(&mut self, from: usize, to: usize) {
        let number = self.handsets[to].user.clone();
        self.command(from, PhoneCommand::Call { number });
    }

    pub fn state(&self, phone: usize) -> CallState {
        self.handsets[phone].phone.state()
    }

    pub fn is_talking(&self, phone: usize) -> bool {
        self.state(phone).is_up()
    }

    pub fn is_ringing(&self, phone: usize) -> bool {
        self.state(phone) == CallState::Ringing
    }

    pub fn is_idle(&self, phone: usize) -> bool {
        self.state(phone).is_over()
    }

    pub(super) fn handset(&mut self, phone: usize, input: PhoneInput<'_>) {
        let now_us = self.now_us;
        let handset = &mut self.handsets[phone];
        handset.phone.handle(now_us, input);
        let outputs: Vec<PhoneOutput> = handset.phone.drain_outputs().collect();
        for output in outputs {
            match output {
                PhoneOutput::Send { to: _, bytes } => self.phone_sends(phone, SERVICE_PORT, bytes),
                PhoneOutput::Event(event) => {
                    self.trace(|| format!("phone {}: {event:?}", self.handsets[phone].user));
                    self.checks.event(now_us, phone, &self.handsets[phone].phone, &event);
                }
            }
        }
        self.voice(phone);
        let handset = &mut self.handsets[phone];
        if let Some(at_us) = handset.phone.next_timeout().map(|at_us| at_us.max(now_us))
            && handset.timer_at_us.is_none_or(|armed| armed > at_us || armed < now_us)
        {
            handset.timer_at_us = Some(at_us);
            self.queue.push(at_us, Happening::PhoneTimer { phone, at_us });
        }
    }

    pub(super) fn phone_timer(&mut self, phone: usize, at_us: u64) {
        if self.handsets[phone].timer_at_us == Some(at_us) {
            self.handsets[phone].timer_at_us = None;
            self.handset(phone, PhoneInput::Timeout);
        }
    }

    /// A SIP datagram of a phone.
    fn phone_sends(&mut self, phone: usize, local_port: u16, bytes: Vec<u8>) {
        let source = self.handsets[phone].address;
        for delay_us in self.network.transit(&mut self.random, Path::FromPhones).into_iter().flatten() {
            self.after(delay_us, Happening::ToService { local_port, source, bytes: bytes.clone() });
        }
    }

    /// Brings voice and ear in line with the call at this phone.
    fn voice(&mut self, phone: usize) {
        let handset = &self.handsets[phone];
        let Some((key, state)) = handset.phone.call().map(|call| (call.key, call.state)) else { return };
        let Some((at, side)) = self.checks.find(phone, key) else { return };
        let conversation = &self.checks.conversations[at];
        let other = conversation.sides[1 - side].phone.unwrap_or(phone);
        let id = conversation.id;
        self.handsets[phone].join(key, at, id, side, phone, other);
        self.checks.refresh(self.now_us, at, side, &self.handsets[phone].phone);
        let handset = &mut self.handsets[phone];
        if state.is_up() && !handset.ticking {
            handset.ticking = true;
            let delay_us = self.random.below(self.plan.audio_us);
            self.after(delay_us, Happening::AudioTick { phone });
        }
    }

    pub(super) fn audio_tick(&mut self, phone: usize) {
        let handset = &mut self.handsets[phone];
        let media = handset.phone.media();
        if !handset.phone.state().is_up() {
            handset.ticking = false;
            return;
        }
        let audio_us = self.plan.audio_us;
        self.queue.push(self.now_us + audio_us, Happening::AudioTick { phone });
        let Some(voice) = handset.voice.as_mut() else { return };
        let Some(media) = media.filter(|media| media.send) else { return voice.speaker.skip(1) };
        let packet = voice.speaker.next_packet();
        voice.speaker.skip((audio_us / PACKET_US).saturating_sub(1) as u32);
        let (at, side) = (voice.conversation, voice.side);
        let source = handset.media_address;
        let ways = self.network.transit(&mut self.random, Path::FromPhones);
        if ways[0].is_none() {
            // Echo sends it back to the side that spoke.
            let echo = self.checks.conversations[at].sides[1 - side].phone.is_none();
            self.checks.network_lost(self.now_us, at, if echo { side } else { 1 - side });
        }
        for delay_us in ways.into_iter().flatten() {
            let bytes = packet.to_vec();
            self.after(delay_us, Happening::ToService { local_port: media.peer.port(), source, bytes });
        }
    }

    pub(super) fn media_to_phone(&mut self, phone: usize, bytes: &[u8]) {
        let now_us = self.now_us;
        let handset = &mut self.handsets[phone];
        if !handset.phone.state().is_up() {
            return;
        }
        let Some(voice) = handset.voice.as_mut() else { return };
        let (at, side) = (voice.conversation, voice.side);
        match voice.listener.packet(now_us, bytes) {
            Heard::New => self.checks.heard(now_us, at, side),
            Heard::Late | Heard::Duplicate => {}
            Heard::Foreign(mark) => self.checks.foreign(now_us, phone, Some(mark)),
            Heard::Noise => self.checks.foreign(now_us, phone, None),
        }
    }
}
