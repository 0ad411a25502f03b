//! The thread that runs the phones: feeds them, sends for them, speaks and listens for them.

use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use phone::audio::{Listener, Mark, PACKET_US, Speaker};
use phone::{CallState, Phone, PhoneCommand, PhoneConfig, PhoneEvent, PhoneInput, PhoneOutput};

use super::Order;
use super::sockets::{self, Reader, Ready};
use crate::LabError;

/// The longest sleep, when nothing is due.
const SLEEP_US_MAX: u64 = 100_000;

/// Phones begin their packets at different moments, so that they do not come in bursts.
const PHASE_US: u64 = 2_500;

/// A speaker that is further behind than this gives up the packets between: its thread was stopped.
const CATCH_UP_US_MAX: u64 = 500_000;

/// A handset's sockets, by how they are told of.
const SOCKETS: u64 = 2;
const SIP: u64 = 0;
const RTP: u64 = 1;

fn clock_ns(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Microseconds of the phones' clock.
pub(crate) fn now_us() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC) / 1000
}

pub(super) fn wall_clock_ns() -> u64 {
    clock_ns(ClockId::CLOCK_REALTIME)
}

/// One phone with its sockets and its audio.
pub struct Handset {
    pub phone: Phone,
    sip: UdpSocket,
    rtp: UdpSocket,
    speaker: Option<Speaker>,
    pub listener: Option<Listener>,
    next_audio_us: u64,
    /// Commands for later, by the time at which they are due.
    later: Vec<(u64, PhoneCommand)>,
    /// How long a call that comes in rings before the phone picks up by itself.
    answers_after_us: Option<u64>,
    /// What happened to the phone and when, since somebody last took it.
    pub events: Vec<(u64, PhoneEvent)>,
    /// Datagrams that the network refused to take.
    pub send_errors: u64,
}

impl Handset {
    pub(super) fn new(config: PhoneConfig, sip: UdpSocket, rtp: UdpSocket) -> Result<Self, LabError> {
        sockets::tell_arrival_times(&sip)?;
        sockets::tell_arrival_times(&rtp)?;
        Ok(Self {
            phone: Phone::new(config),
            sip,
            rtp,
            speaker: None,
            listener: None,
            next_audio_us: 0,
            later: Vec::new(),
            answers_after_us: None,
            events: Vec::new(),
            send_errors: 0,
        })
    }

    fn prepare_audio(&mut self, speaks: Mark, hears: Mark, now_us: u64) {
        let mut listener = Listener::new(hears);
        listener.pause(now_us);
        self.speaker = Some(Speaker::new(speaks, wall_clock_ns()));
        self.listener = Some(listener);
    }

    pub fn number(&self) -> &str {
        &self.phone.config().user
    }

    fn may_speak(&self) -> bool {
        self.speaker.is_some() && self.phone.state().is_up() && self.phone.media().is_some_and(|media| media.send)
    }

    fn feed(&mut self, now_us: u64, input: PhoneInput<'_>) {
        let spoke = self.may_speak();
        self.phone.handle(now_us, input);
        let outputs: Vec<PhoneOutput> = self.phone.drain_outputs().collect();
        for output in outputs {
            match output {
                PhoneOutput::Send { to, bytes } => {
                    if self.sip.send_to(&bytes, to).is_err() {
                        self.send_errors += 1;
                    }
                }
                PhoneOutput::Event(event) => {
                    self.pick_up_later(now_us, &event);
                    self.events.push((now_us, event));
                }
            }
        }
        let hears = self.phone.state().is_up() && self.phone.media().is_some_and(|media| media.receive);
        if let Some(listener) = &mut self.listener {
            if hears {
                listener.resume(now_us);
            } else {
                listener.pause(now_us);
            }
        }
        if !spoke && self.may_speak() {
            // On the phone's own beat, so that a held phone goes on where it would have been.
            let beat_us = (self.phone.config().seed % (PACKET_US / PHASE_US)) * PHASE_US;
            self.next_audio_us = now_us + PACKET_US - (now_us + PACKET_US - beat_us) % PACKET_US;
        }
    }

    fn pick_up_later(&mut self, now_us: u64, event: &PhoneEvent) {
        let rings = matches!(event, PhoneEvent::State { state: CallState::Ringing, .. });
        let comes_in = rings && self.phone.call().is_some_and(|call| !call.outgoing);
        if let Some(after_us) = self.answers_after_us.filter(|_| comes_in) {
            self.later.push((now_us + after_us, PhoneCommand::Answer));
        }
    }

    /// Takes a command that is due.
    fn due(&mut self, now_us: u64) -> Option<PhoneCommand> {
        let at = self.later.iter().position(|(at_us, _)| *at_us <= now_us)?;
        Some(self.later.remove(at).1)
    }

    /// Sends what is due and says how late it was, in microseconds.
    fn speak(&mut self, now_us: u64) -> u64 {
        if !self.may_speak() || self.next_audio_us > now_us {
            return 0;
        }
        let late_us = now_us - self.next_audio_us;
        let (Some(speaker), Some(peer)) = (&mut self.speaker, self.phone.media_peer()) else { return 0 };
        if late_us > CATCH_UP_US_MAX {
            let skipped = late_us / PACKET_US;
            speaker.skip(skipped as u32);
            self.next_audio_us += skipped * PACKET_US;
        }
        while self.next_audio_us <= now_us {
            if self.rtp.send_to(&speaker.late_packet(now_us - self.next_audio_us), peer).is_err() {
                self.send_errors += 1;
            }
            self.next_audio_us += PACKET_US;
        }
        late_us
    }

    fn next_timeout(&self) -> u64 {
        let audio = if self.may_speak() { self.next_audio_us } else { u64::MAX };
        let later = self.later.iter().map(|(at_us, _)| *at_us).min();
        self.phone.next_timeout().unwrap_or(u64::MAX).min(audio).min(later.unwrap_or(u64::MAX))
    }
}

/// All phones of one host.
pub struct Driver {
    pub handsets: Vec<Handset>,
    reader: Option<Reader>,
    ready: Ready,
    /// How late a packet of audio was sent at worst, in microseconds. The packets say so themselves, and it is not
    /// counted as silence.
    pub late_us_max: u64,
}

impl Driver {
    pub(super) fn new(handsets: Vec<Handset>) -> Result<Self, LabError> {
        let ready = Ready::new()?;
        for (at, handset) in handsets.iter().enumerate() {
            ready.add(&handset.sip, SOCKETS * at as u64 + SIP)?;
            ready.add(&handset.rtp, SOCKETS * at as u64 + RTP)?;
        }
        Ok(Self { handsets, reader: Some(Reader::new()), ready, late_us_max: 0 })
    }

    /// Microseconds of the phones' clock.
    pub fn now_us(&self) -> u64 {
        now_us()
    }

    pub fn command(&mut self, phone: usize, command: PhoneCommand) {
        let now_us = self.now_us();
        if let Some(handset) = self.handsets.get_mut(phone) {
            handset.feed(now_us, PhoneInput::Command(command));
        }
    }

    /// Gives the phone a command at this time of the phones' clock.
    pub fn command_at(&mut self, at_us: u64, phone: usize, command: PhoneCommand) {
        if let Some(handset) = self.handsets.get_mut(phone) {
            handset.later.push((at_us, command));
        }
    }

    /// From now on the phone picks up by itself when a call has rung for so long; with `None` it never does.
    pub fn answer_after(&mut self, phone: usize, rings_us: Option<u64>) {
        if let Some(handset) = self.handsets.get_mut(phone) {
            handset.answers_after_us = rings_us;
        }
    }

    /// From its next call on the phone speaks with the first mark and expects to hear the second.
    pub fn prepare_audio(&mut self, phone: usize, speaks: Mark, hears: Mark) {
        let now_us = self.now_us();
        if let Some(handset) = self.handsets.get_mut(phone) {
            handset.prepare_audio(speaks, hears, now_us);
        }
    }

    /// Begins a new window for what these phones hear.
    pub fn start_windows(&mut self, phones: &[usize]) {
        for phone in phones {
            if let Some(listener) = self.handsets.get_mut(*phone).and_then(|handset| handset.listener.as_mut()) {
                listener.start_window();
            }
        }
    }

    pub fn phone(&self, phone: usize) -> Option<&Phone> {
        self.handsets.get(phone).map(|handset| &handset.phone)
    }

    pub(super) fn run(&mut self, orders: &Receiver<Order>, bell: &UnixStream) {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    order(self);
                    continue;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            self.receive();
            self.work();
            self.sleep(bell);
        }
    }

    /// Timers and audio that are due.
    fn work(&mut self) {
        for at in 0..self.handsets.len() {
            let now_us = self.now_us();
            let Some(handset) = self.handsets.get_mut(at) else { return };
            while let Some(command) = handset.due(now_us) {
                handset.feed(now_us, PhoneInput::Command(command));
            }
            if handset.phone.next_timeout().is_some_and(|at| at <= now_us) {
                handset.feed(now_us, PhoneInput::Timeout);
            }
            self.late_us_max = self.late_us_max.max(handset.speak(now_us));
        }
    }

    fn receive(&mut self) {
        let Some(mut reader) = self.reader.take() else { return };
        for number in self.ready.numbers() {
            let Some(handset) = self.handsets.get_mut((number / SOCKETS) as usize) else { continue };
            let (now_us, wall_ns) = (now_us(), wall_clock_ns());
            if number % SOCKETS == SIP {
                while let Some(arrival) = reader.receive(&handset.sip) {
                    handset.feed(now_us, PhoneInput::Datagram { source: arrival.source, bytes: arrival.bytes });
                }
                continue;
            }
            while let Some(arrival) = reader.receive(&handset.rtp) {
                // The kernel's arrival time, so that a late look at the socket is no silence.
                let ago_us = arrival.wall_ns.map_or(0, |at_ns| wall_ns.saturating_sub(at_ns) / 1000);
                if let Some(listener) = &mut handset.listener {
                    listener.packet(now_us.saturating_sub(ago_us), arrival.bytes);
                }
            }
        }
        self.reader = Some(reader);
    }

    fn sleep(&self, bell: &UnixStream) {
        let now_us = self.now_us();
        let next_us = self.handsets.iter().map(Handset::next_timeout).min().unwrap_or(u64::MAX);
        let limit_us = next_us.saturating_sub(now_us).min(SLEEP_US_MAX);
        if limit_us > 0 {
            sockets::wait(&[self.ready.fd(), bell.as_fd()], Duration::from_micros(limit_us));
        }
        let mut rung = [0; 64];
        // The bell only wakes; how often it rang does not matter.
        let mut bell = bell;
        while bell.read(&mut rung).is_ok_and(|length| length == rung.len()) {}
    }
}
