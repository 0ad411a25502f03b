use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::LocalTime;

use super::file::EventFile;
use super::*;

/// A state directory of a test's own.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-events-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn kinds(&self) -> Vec<(u64, String)> {
        file::read(&self.0).unwrap().into_iter().map(|event| (event.number, event.kind)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const WAIT: Duration = Duration::from_secs(10);

fn event(number: u64, text: &str) -> Event {
    Event { number, at_ms: 5, node: "a".into(), kind: "trouble".into(), text: text.into(), data: Map::new() }
}

fn wait_for(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if wanted(&text) {
            return text;
        }
        assert!(begun.elapsed() < WAIT, "in vain: {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn events_go_on_after_a_restart() {
    let place = Place::new("restart");
    for kind in ["started", "stopped", "started"] {
        let teller = Teller::start(&place.0, "a", None).unwrap();
        teller.tell(Telling::new(kind, format!("{kind} here")).with("pid", 7));
        teller.flush(WAIT);
    }
    let kinds: Vec<_> = place.kinds();
    assert_eq!(kinds, [(1, "started".into()), (2, "stopped".into()), (3, "started".into())]);
}

#[test]
fn the_files_never_grow_beyond_their_bounds_and_the_newest_stay() {
    let place = Place::new("bounds");
    let mut file = EventFile::open(&place.0).unwrap();
    let text = "x".repeat(60_000);
    for number in 1..=60 {
        file.append(&event(number, &text)).unwrap();
    }
    let sizes = fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let sizes: Vec<u64> = sizes.collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes.iter().all(|size| *size <= file::FILE_BYTES_MAX), "{sizes:?}");
    let kept = place.kinds();
    assert_eq!(kept.last().unwrap().0, 60);
    assert!(kept.len() > 17, "at least one full file is kept: {}", kept.len());
    assert!(kept.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
}

#[test]
fn a_torn_line_spoils_nothing() {
    let place = Place::new("torn");
    EventFile::open(&place.0).unwrap().append(&event(1, "whole")).unwrap();
    let mut raw = fs::OpenOptions::new().append(true).open(place.0.join("events.jsonl")).unwrap();
    raw.write_all(b"{\"number\":2,\"at").unwrap();
    EventFile::open(&place.0).unwrap().append(&event(3, "after it")).unwrap();
    assert_eq!(place.kinds().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn the_same_words_again_and_again_are_counted_and_not_written() {
    let place = Place::new("again");
    let teller = Teller::start(&place.0, "a", None).unwrap();
    for _ in 0..50 {
        teller.tell(Telling::new("disk", "full"));
    }
    teller.tell(Telling::new("stopped", "stopped"));
    teller.flush(WAIT);
    let events = file::read(&place.0).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].data["same_before"], 49);
}

#[test]
fn a_program_gets_every_event_in_order_and_is_started_again() {
    let place = Place::new("program");
    let out = place.0.join("out");
    // It takes two lines and ends.
    let command = format!("for i in 1 2; do read -r line && echo \"$line\" >> {}; done", out.display());
    let teller = Teller::start(&place.0, "a", Some(StreamProgram::start(&command).unwrap())).unwrap();
    for number in 0..2 {
        teller.tell(Telling::new("trouble", format!("word {number}")));
    }
    wait_for(&out, |text| text.lines().count() == 2);
    std::thread::sleep(Duration::from_millis(200));
    for number in 2..4 {
        teller.tell(Telling::new("trouble", format!("word {number}")));
    }
    let text = wait_for(&out, |text| text.lines().count() == 4);
    let numbers = text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn a_takeover_is_told_with_its_steps() {
    let at = LocalTime::from_millis;
    let mut takeover = Takeover::default();
    takeover.peer_lost(at(1_000), Duration::from_millis(121));
    takeover.decided(at(1_000), "4.1".into(), "the peer fell silent on every link");
    assert!(!takeover.wants_audio());
    takeover.address_added(at(1_001));
    assert!(takeover.wants_audio());
    takeover.neighbours_told(at(1_002));
    takeover.neighbours_told(at(1_010));
    takeover.said_again(at(1_004), 7);
    assert_eq!(takeover.finished(at(1_004)), None, "audio may still come");
    takeover.audio_came(at(1_012));
    let told = takeover.finished(at(1_012)).unwrap();
    assert_eq!(
        told.text,
        "took over with 7 calls, the peer fell silent on every link: peer silent before it for 121.0 ms, address added \
         after 1.0 ms, neighbours told after 2.0 ms, last messages sent again after 4.0 ms, first audio after 12.0 ms"
    );
    assert_eq!(told.data["silent_ms"], 121.0);
    assert_eq!(takeover.finished(at(9_000)), None, "it is told once");
}

#[test]
fn a_takeover_without_audio_is_told_after_a_while_and_one_given_up_is_not() {
    let at = LocalTime::from_millis;
    let mut takeover = Takeover::default();
    takeover.peer_lost(at(1), Duration::from_millis(3));
    takeover.decided(at(1_000), "4.1".into(), "nobody else served");
    takeover.address_added(at(1_001));
    takeover.said_again(at(1_001), 0);
    assert_eq!(takeover.finished(at(2_000)), None);
    let told = takeover.finished(at(2_001)).unwrap();
    assert!(!told.data.contains_key("silent_ms"), "that loss led to nothing");
    takeover.decided(at(3_000), "5.1".into(), "nobody else served");
    takeover.given_up();
    takeover.said_again(at(3_001), 0);
    assert_eq!(takeover.finished(at(9_000)), None);
}

#[test]
fn events_are_listed_for_people_and_programs() {
    let place = Place::new("list");
    let mut file = EventFile::open(&place.0).unwrap();
    let mut lost = event(1, "unprotected: the peer is down");
    lost.kind = "unprotected".into();
    let mut back = event(2, "protected again after 2.500 s");
    (back.kind, back.at_ms) = ("protected".into(), 3_000);
    back.data.insert("unprotected_seconds".into(), 2.5.into());
    file.append(&lost).unwrap();
    file.append(&back).unwrap();
    let shown = |limit: usize, json: bool| {
        let target = crate::cli::Target { config: PathBuf::new(), state_dir: Some(place.0.clone()) };
        let arguments = crate::cli::EventsArguments { target, follow: false, since: None, limit, json };
        let mut out = Vec::new();
        list::run(&arguments, base::WallTime::from_millis(10_000), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let wanted = "\
1970-01-01 00:00:00.005  unprotected  unprotected: the peer is down
1970-01-01 00:00:03.000  protected    protected again after 2.500 s
times without protection: 1, 2.5 s in all
";
    assert_eq!(shown(50, false), wanted);
    let json = shown(1, true);
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), back);
}
