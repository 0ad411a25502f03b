//! What was heard: G.711 decoded, tones found by Goertzel's algorithm, silences, and recordings of a phone's own.

use std::path::Path;

/// G.711's rate, samples a second.
const RATE: f64 = 8_000.0;

/// 20 ms, as one packet has.
const FRAME: usize = 160;

/// Below this level a frame is silence: a fiftieth of full scale, well under the tones and well over rounding.
const SILENCE_LEVEL: f64 = 650.0;

/// A tone is what a frame consists of when it has so much of the frame's power.
const TONE_SHARE: f64 = 0.8;

/// What a frame of 20 ms is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frame {
    Silence,
    /// Index into the tones that were looked for.
    Tone(usize),
    Other,
}

/// Decodes µ-law (ITU-T G.711) to 16-bit samples.
pub fn decode_ulaw(bytes: &[u8]) -> Vec<i16> {
    const BIAS: i16 = 0x84;
    let decode = |byte: &u8| {
        let byte = !byte;
        let magnitude = ((i16::from(byte & 0x0f) << 3) + BIAS) << ((byte & 0x70) >> 4);
        if byte & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
    };
    bytes.iter().map(decode).collect()
}

/// Tells for each whole frame which of the tones it is. Frequencies in Hz; those that are multiples of 50 fit a frame.
pub fn frames(samples: &[i16], tones: &[f64]) -> Vec<Frame> {
    let (whole, _) = samples.as_chunks::<FRAME>();
    whole.iter().map(|frame| classify(frame, tones)).collect()
}

fn classify(frame: &[i16], tones: &[f64]) -> Frame {
    let mean_square = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / frame.len() as f64;
    if mean_square.sqrt() < SILENCE_LEVEL {
        return Frame::Silence;
    }
    let is_tone = |hertz: &f64| tone_power(frame, *hertz) >= TONE_SHARE * mean_square;
    tones.iter().position(is_tone).map_or(Frame::Other, Frame::Tone)
}

/// Mean square of the part of the frame that is a sine of this frequency.
fn tone_power(frame: &[i16], hertz: f64) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * hertz / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in frame {
        (last, before) = (f64::from(*sample) + turn * last - before, last);
    }
    let power = last * last + before * before - turn * last * before;
    2.0 * power / (frame.len() as f64).powi(2)
}

/// The samples of a 16-bit mono WAV file at 8,000 Hz.
pub fn read_wav(path: &Path) -> Vec<i16> {
    let bytes = std::fs::read(path).expect("a recording");
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
    };
    assert!(bytes.starts_with(b"RIFF") && &bytes[8..16] == b"WAVEfmt ", "{} is a WAV file", path.display());
    assert_eq!((number(22, 2), number(24, 4), number(34, 2)), (1, RATE as u32, 16), "mono, 8,000 Hz, 16 bits");
    let data = bytes.windows(4).position(|window| window == b"data").expect("audio") + 8;
    bytes[data..].as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

#[test]
fn tones_are_told_apart() {
    let tone = |hertz: f64, level: f64| -> Vec<i16> {
        (0..FRAME).map(|at| (level * (std::f64::consts::TAU * hertz * at as f64 / RATE).sin()) as i16).collect()
    };
    let tones = [450.0, 850.0];
    let mixed: Vec<i16> = tone(450.0, 8_000.0).iter().zip(tone(850.0, 8_000.0)).map(|(one, two)| one + two).collect();
    let table = [
        (tone(450.0, 8_000.0), Frame::Tone(0)),
        (tone(850.0, 2_000.0), Frame::Tone(1)),
        (tone(1_200.0, 8_000.0), Frame::Other),
        (mixed, Frame::Other),
        (tone(450.0, 100.0), Frame::Silence),
        (vec![0; FRAME], Frame::Silence),
    ];
    for (samples, expected) in table {
        assert_eq!(frames(&samples, &tones), [expected]);
    }
}

#[test]
fn ulaw_is_decoded_as_the_recommendation_has_it() {
    assert_eq!(decode_ulaw(&[0xff, 0x7f, 0x80, 0x00, 0xf0, 0x70]), [0, 0, 32_124, -32_124, 120, -120]);
}
