//! Calls between two baresips through a pair, with the audio that comes to each ear checked.

use std::thread;
use std::time::{Duration, Instant};

use crate::SLACK;
use crate::audio::{Frame, decode_ulaw, frames, read_wav};
use crate::baresip::Baresip;
use crate::capture::{Heard, longest_gap_ms, now_us};
use crate::pair::{Fault, Lab};
use crate::sipp::RAMAIS;

/// What the phones say, in Hz. Both fit 20 ms, so that each packet alone tells whose it is.
pub const TONES: [f64; 2] = [450.0, 850.0];

/// Listened to before the fault and after it: longer than any silence that is allowed.
const BASELINE: Duration = Duration::from_secs(2);
const AFTERWARDS: Duration = Duration::from_millis(2_500);

/// Half a second of the other phone's tone without a break is audio.
const AUDIO_PACKETS: usize = 25;
const AUDIO_LIMIT: Duration = Duration::from_secs(5);

/// A recording may have so many frames in a hundred that are no clean tone: where it begins and where it was broken.
const UNCLEAN_PERCENT_MAX: usize = 5;

/// Packets that a phone's jitter buffer and the beginning of a call may take away from its recording.
const UNRECORDED_MAX: usize = 25;

/// Two phones that are registered: the first one says the first tone.
pub struct Phones {
    pub one: Baresip,
    pub two: Baresip,
}

impl Phones {
    pub fn start(lab: &Lab, port: u16) -> Self {
        let one = Baresip::start(lab.host("one"), &lab.directory, RAMAIS.caller, port, TONES[0]);
        let two = Baresip::start(lab.host("two"), &lab.directory, RAMAIS.called, port, TONES[1]);
        Self { one, two }
    }

    /// One calls the other, who answers; both hear each other.
    pub fn call(&self, from: &Baresip, to: &Baresip) {
        from.dial(to.number);
        to.wait("CALL_INCOMING");
        from.wait("CALL_RINGING");
        to.accept();
        from.wait("CALL_ESTABLISHED");
        to.wait("CALL_ESTABLISHED");
        self.hear_each_other("after the answer");
    }

    pub fn hear_each_other(&self, when: &str) {
        for (phone, tone) in [(&self.one, 1), (&self.two, 0)] {
            let (begun, from_us) = (Instant::now(), now_us());
            loop {
                let heard = heard_frames(&phone.ear.since(from_us));
                assert!(!heard.contains(&Frame::Tone(1 - tone)), "{} hears itself {when}", phone.number);
                if heard.windows(AUDIO_PACKETS).any(|frames| frames.iter().all(|frame| *frame == Frame::Tone(tone))) {
                    break;
                }
                let late = begun.elapsed() >= AUDIO_LIMIT;
                assert!(!late, "{} does not hear the other {when}: {} packets", phone.number, heard.len());
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The longest silence at each ear since then, in milliseconds.
    pub fn silences_ms(&self, from_us: u64) -> [f64; 2] {
        let to_us = now_us();
        [&self.one, &self.two].map(|phone| longest_gap_ms(&phone.ear.since(from_us), from_us, to_us))
    }

    /// Packets that have come to each ear since then.
    pub fn came_since(&self, from_us: u64) -> [usize; 2] {
        [&self.one, &self.two].map(|phone| phone.ear.since(from_us).len())
    }

    /// What each phone recorded by itself is the other one's tone, and all of it that had come before the first hold;
    /// this baresip does not record on after it.
    pub fn check_recordings(&self, came: [usize; 2]) {
        for ((phone, tone), came) in [(&self.one, 1), (&self.two, 0)].into_iter().zip(came) {
            let heard = frames(&read_wav(&phone.recording()), &TONES);
            let unclean = heard.iter().filter(|frame| **frame != Frame::Tone(tone)).count();
            println!("{} recorded {} of {came} packets, {unclean} of them unclean", phone.number, heard.len());
            assert!(!heard.contains(&Frame::Tone(1 - tone)), "{} recorded itself", phone.number);
            assert!(unclean * 100 <= heard.len() * UNCLEAN_PERCENT_MAX, "{unclean} of {} frames", heard.len());
            assert!(heard.len() + UNRECORDED_MAX >= came, "{} of {came} packets are in the recording", heard.len());
        }
    }

    /// Each end holds the call once, and takes it back.
    pub fn hold_and_resume(&self) {
        for (holder, other) in [(&self.one, &self.two), (&self.two, &self.one)] {
            holder.hold();
            thread::sleep(Duration::from_millis(500));
            let from_us = now_us();
            thread::sleep(Duration::from_millis(500));
            let held = holder.ear.since(from_us).len();
            assert!(held <= 1, "{} holds the call and is sent {held} packets by {}", holder.number, other.number);
            holder.resume();
            self.hear_each_other("after the hold");
        }
    }

    /// One end hangs up, and the other one is told.
    pub fn hang_up(&self, from: &Baresip) {
        from.hang_up();
        for phone in [&self.one, &self.two] {
            phone.wait("CALL_CLOSED");
        }
    }
}

fn heard_frames(packets: &[Heard]) -> Vec<Frame> {
    packets.iter().flat_map(|packet| frames(&decode_ulaw(&packet.payload), &TONES)).collect()
}

fn survives(fault: Fault) {
    let mut lab = Lab::pair(RAMAIS.name);
    let phones = Phones::start(&lab, RAMAIS.port);
    let Phones { one, two } = &phones;
    let (registered, sent) = (lab.registered_ms(), [one.registers_sent(), two.registers_sent()]);
    assert_eq!(registered.len(), 2, "{registered:?}");
    let active = lab.wait_protected();

    let begun_us = now_us();
    phones.call(one, two);
    let before_us = now_us();
    thread::sleep(BASELINE);
    let before = phones.silences_ms(before_us);
    let struck_us = now_us();
    lab.strike(fault, active);
    thread::sleep(AFTERWARDS);
    let after = phones.silences_ms(struck_us);
    println!("{fault:?}: longest silences {before:.1?} ms before, {after:.1?} ms after it");
    phones.hear_each_other("after the fault");
    let came = phones.came_since(begun_us);
    phones.hold_and_resume();
    phones.hang_up(one);
    phones.check_recordings(came);

    phones.call(two, one);
    phones.hang_up(one);
    phones.call(one, two);
    phones.hang_up(two);
    assert_eq!(lab.registered_ms(), registered, "nobody had to register again");
    assert_eq!([one.registers_sent(), two.registers_sent()], sent, "nobody tried to");

    lab.heal(fault, active);
    assert_eq!(lab.wait_protected(), 1 - active, "the other node serves");
    lab.wait_records(3);
    let (silent_ms, bound_ms) = (after[0].max(after[1]), SLACK * fault.promise_ms());
    assert!(silent_ms <= bound_ms, "{silent_ms:.1} ms of silence, at most {bound_ms} are allowed here");
}

#[test]
fn baresip_talks_on_when_the_node_is_killed() {
    survives(Fault::Kill);
}

#[test]
fn baresip_talks_on_when_the_node_is_cut_off() {
    survives(Fault::Cut);
}
