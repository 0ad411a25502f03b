use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::measure::Meter;
use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn measured(subject: Subject) -> Found {
    Meter::new(subject).measure(LIMIT)
}

fn script(command: &str) -> Subject {
    Subject::Script { command: command.to_owned() }
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tandem-track-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_script_says_it_with_its_exit_code() {
    assert_eq!(measured(script("exit 0")), Found::Well);
    assert_eq!(measured(script("exit 3")), Found::Failing);
    assert_eq!(measured(script("/does/not/exist")), Found::Failing);
}

#[test]
fn a_script_that_hangs_is_killed_with_what_it_has_started() {
    let folder = folder("hang");
    let file = folder.join("started");
    let command = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let begun = Instant::now();
    assert_eq!(Meter::new(script(&command)).measure(Duration::from_millis(500)), Found::Failing);
    assert!(begun.elapsed() < LIMIT, "it was not waited for");
    let pid = fs::read_to_string(&file).unwrap();
    let until = Instant::now() + LIMIT;
    let lives = || {
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    while lives() {
        assert!(Instant::now() < until, "process {pid} goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_dir_all(folder).unwrap();
}

/// facts/vrrp.md: `track_process`.
#[test]
fn a_process_is_found_by_its_name() {
    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(measured(Subject::Process(name)), Found::Well);
    assert_eq!(measured(Subject::Process("no-such-program".into())), Found::Failing);
}

#[test]
fn a_disk_has_room_and_takes_what_is_written() {
    let folder = folder("disk");
    let disk = |path: PathBuf, free_bytes_min| measured(Subject::Disk { path, free_bytes_min });
    assert_eq!(disk(folder.clone(), 0), Found::Well);
    assert_eq!(disk(folder.clone(), u64::MAX), Found::Failing);
    assert_eq!(disk(folder.join("absent"), 0), Found::Failing);
    assert_eq!(disk("/proc".into(), 0), Found::Failing, "nobody can write there");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing stays behind");
    fs::remove_dir_all(folder).unwrap();
}

/// facts/vrrp.md: `track_file`.
#[test]
fn a_file_has_a_number() {
    let folder = folder("file");
    let path = folder.join("weight");
    let mut meter = Meter::new(Subject::File(path.clone()));
    assert_eq!(meter.measure(LIMIT), Found::Number(0), "it is not there");
    for (text, expected) in
        [("-20\n", -20), (" 7 ", 7), ("", 0), ("-5", -5), ("many", -5), ("99999999999999999999", -5)]
    {
        fs::write(&path, text).unwrap();
        assert_eq!(meter.measure(LIMIT), Found::Number(expected), "{text:?}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(meter.measure(LIMIT), Found::Number(0));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn gateways_and_interfaces() {
    assert_eq!(measured(Subject::Gateway([127, 0, 0, 1].into())), Found::Well);
    assert_eq!(measured(Subject::Interface("absent0".into())), Found::Failing);
}

/// What a measurement says that came too late counts for no later one.
#[test]
fn who_hangs_fails_until_it_comes_back() {
    let (answer, gate) = channel();
    let mut measurements = Measurements::start(move || gate.recv().unwrap_or(Found::Failing)).unwrap();
    for _ in 0..3 {
        assert_eq!(measurements.next(Duration::from_millis(1)), Found::Failing);
    }
    (1..=5).for_each(|number| answer.send(Found::Number(number)).unwrap());
    let until = Instant::now() + LIMIT;
    let found = loop {
        assert!(Instant::now() < until);
        match measurements.next(LIMIT) {
            Found::Failing => {}
            found => break found,
        }
    };
    assert!(found != Found::Number(1), "the first question's answer came too late");
}
