//! Marks written and read, and every kind of packet that a listener tells apart.

use super::*;

const OWN: Mark = Mark { call: 7, phone: 1 };
const OTHER: Mark = Mark { call: 8, phone: 1 };

#[test]
fn a_packet_tells_whose_it_is() {
    let mut speaker = Speaker::new(OWN, 1);
    let (first, second) = (speaker.next_packet(), speaker.next_packet());
    let (first, second) = (read_packet(&first).expect("RTP"), read_packet(&second).expect("RTP"));
    let marked = |number| Some(Marked { mark: OWN, number, late_us: 0 });
    assert_eq!((first.marked, second.marked), (marked(0), marked(1)));
    assert_eq!(second.sequence, first.sequence.wrapping_add(1));
    assert_eq!(second.timestamp, first.timestamp.wrapping_add(160));
    assert_eq!((first.ssrc, second.ssrc), (speaker.ssrc(), speaker.ssrc()));
    assert_ne!(Speaker::new(OTHER, 1).ssrc(), speaker.ssrc());
}

#[test]
fn a_changed_payload_is_noise() {
    let packet = Speaker::new(OWN, 1).next_packet();
    for at in HEADER_BYTES..packet.len() {
        let mut broken = packet;
        broken[at] ^= 1;
        assert_eq!(read_packet(&broken).expect("RTP").marked, None, "byte {at}");
    }
    let mut listener = Listener::new(OWN);
    assert_eq!(listener.packet(0, &packet[..100]), Heard::Noise);
    assert_eq!(listener.packet(0, b"short"), Heard::Noise);
    assert_eq!(listener.report(0).noise, 2);
}

/// Feeds packets by number, 20 ms apart but for the times given.
fn listen(packets: &[(u64, u32)]) -> ListenerReport {
    let mut speaker = Speaker::new(OWN, 1);
    let made: Vec<_> = (0..200).map(|_| speaker.next_packet()).collect();
    let mut listener = Listener::new(OWN);
    for (at, number) in packets {
        listener.packet(*at, &made[*number as usize]);
    }
    listener.report(packets.last().map_or(0, |(at, _)| *at))
}

#[test]
fn tells_new_late_duplicate_and_lost() {
    let report = listen(&[(0, 0), (20, 1), (40, 3), (41, 2), (42, 2), (43, 1), (60, 6)]);
    assert_eq!((report.new, report.late, report.duplicates, report.lost), (4, 1, 2, 2));
    let far = listen(&[(0, 0), (20, 100), (30, 0), (40, 99)]);
    assert_eq!((far.new, far.late, far.duplicates, far.lost), (2, 1, 1, 98));
}

#[test]
fn silence_is_the_longest_gap_between_new_packets() {
    let report = listen(&[(0, 0), (20_000, 1), (40_000, 1), (90_000, 2), (100_000, 3)]);
    assert_eq!((report.silence_us, report.silence_from_us), (70_000, 20_000));
}

#[test]
fn what_the_speaker_was_late_is_no_silence_of_the_way() {
    let mut speaker = Speaker::new(OWN, 1);
    let mut listener = Listener::new(OWN);
    let mut hear = |now_us: u64, late_us: u64| {
        listener.start_window();
        listener.packet(now_us, &speaker.late_packet(late_us));
        listener.report(now_us).silence_us
    };
    hear(0, 0);
    assert_eq!(hear(70_000, 50_000), 20_000, "sent 50 ms after it was due");
    assert_eq!(hear(71_000, 30_000), 1_000, "the next one caught up");
    assert_eq!(hear(121_000, 10_000), 50_000, "it was late on the way");
    assert_eq!(hear(180_000, 20_000), 49_000, "part of it was the speaker's");
}

#[test]
fn long_gaps_are_noted_one_by_one() {
    let mut speaker = Speaker::new(OWN, 1);
    let mut listener = Listener::new(OWN);
    for (now_us, late_us) in [(0, 0), (20_000, 0), (60_000, 0), (99_000, 0), (160_000, 15_000)] {
        listener.packet(now_us, &speaker.late_packet(late_us));
    }
    let gap = |from_us, until_us, late_us| Gap { from_us, until_us, late_us };
    assert_eq!(listener.gaps(), [gap(20_000, 60_000, 0), gap(99_000, 160_000, 15_000)]);
    listener.pause(170_000);
    listener.resume(400_000);
    listener.packet(410_000, &speaker.next_packet());
    assert_eq!(listener.gaps().len(), 2, "nothing was expected meanwhile");
    listener.start_window();
    assert!(listener.gaps().is_empty());
}

#[test]
fn an_open_gap_counts_and_a_pause_does_not() {
    let mut speaker = Speaker::new(OWN, 1);
    let mut listener = Listener::new(OWN);
    assert_eq!(listener.report(5_000_000).silence_us, 0, "nothing is expected before the first packet");
    listener.packet(0, &speaker.next_packet());
    assert_eq!(listener.report(50_000).silence_us, 50_000);
    listener.pause(20_000);
    assert_eq!(listener.report(9_000_000).silence_us, 20_000);
    listener.resume(9_000_000);
    listener.packet(9_030_000, &speaker.next_packet());
    assert_eq!(listener.report(9_030_000).silence_us, 30_000);
    listener.start_window();
    listener.packet(9_040_000, &speaker.next_packet());
    assert_eq!(listener.report(9_040_000).silence_us, 10_000);
}

#[test]
fn hears_strangers_and_a_changed_source() {
    let mut listener = Listener::new(OWN);
    assert_eq!(listener.packet(0, &Speaker::new(OTHER, 1).next_packet()), Heard::Foreign(OTHER));
    listener.packet(0, &Speaker::new(OWN, 1).next_packet());
    let mut restarted = Speaker::new(OWN, 2);
    restarted.next_packet();
    assert_eq!(listener.packet(20, &restarted.next_packet()), Heard::New);
    let report = listener.report(20);
    assert_eq!((report.foreign, report.ssrc_changes, report.new), (1, 1, 2));
    assert_eq!(listener.first_foreign(), Some(OTHER));
    listener.start_window();
    listener.packet(40, b"no RTP");
    assert_eq!(listener.report(40).foreign, 0);
    assert_eq!(listener.oddities(), Oddities { foreign: 1, noise: 1, ssrc_changes: 1 });
}
