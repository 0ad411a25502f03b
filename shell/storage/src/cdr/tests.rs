//! Each record is in the store once, whatever is stored again and whatever the disk refuses meanwhile.

use std::fs;
use std::sync::mpsc::{Receiver, channel};

use base::{ClusterTime, WallTime};
use pbx::record::{Disposition, Moment};

use super::*;

/// Generous: it bounds a failure, not a success.
const PATIENCE: Duration = Duration::from_secs(20);

/// 2023-11-14 22:13:20 UTC.
const START_US: u64 = 1_700_000_000_000_000;

/// A state directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-cdr-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn rows(&self, filter: &CdrFilter) -> Vec<CdrRow> {
        read(&self.0, filter).unwrap()
    }

    fn all(&self) -> Vec<CdrRow> {
        self.rows(&CdrFilter::default())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn moment(second: u64) -> Moment {
    Moment { wall: WallTime(START_US + second * 1_000_000), cluster: ClusterTime::from_millis(second * 1_000) }
}

fn record(number: u64) -> Record {
    Record {
        identity: format!("{number:032x}"),
        caller_id: "\"A\" <5000>".to_owned(),
        source: format!("{}", 5_000 + number % 2),
        destination: format!("{}", 5_001 + number % 3),
        context: "ramais".to_owned(),
        channel: "SIP/5000-00000001".to_owned(),
        destination_channel: "SIP/5001-00000002".to_owned(),
        last_application: "Dial".to_owned(),
        last_data: "SIP/5001,25".to_owned(),
        started: moment(number),
        answered: Some(moment(number + 3)),
        ended: Some(moment(number + 10)),
        disposition: Disposition::Answered,
        unique_id: format!("1700000000.{number}"),
        account_code: Some("sales".to_owned()),
        ..Record::default()
    }
}

fn start(directory: &Path) -> (CdrStore, Receiver<CdrEvent>) {
    let (sender, events) = channel();
    let store = CdrStore::start(directory, move |event| drop(sender.send(event))).unwrap();
    (store, events)
}

/// Waits until so many identities were reported as stored, and returns them in order.
fn stored(events: &Receiver<CdrEvent>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        match events.recv_timeout(PATIENCE).expect("an event") {
            CdrEvent::Stored { identities } => all.extend(identities),
            CdrEvent::Failed(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
    all
}

/// A node that was cut off has stored an end by a timer; after the split the call's real end comes.
#[test]
fn a_later_word_on_a_call_takes_the_place_of_the_earlier_one() {
    let directory = Directory::new("ends");
    let (store, events) = start(&directory.0);
    let timed_out = Record { answered: None, ended: Some(moment(30)), disposition: Disposition::NoAnswer, ..record(7) };
    let real = Record { ended: Some(moment(90)), ..record(7) };
    for each in [&timed_out, &timed_out, &real, &real] {
        store.store(each.clone());
        stored(&events, 1);
    }
    let rows = directory.all();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].disposition.as_str(), rows[0].duration), ("ANSWERED", 83));
}

#[test]
fn a_record_becomes_a_row_in_asterisks_columns() {
    let directory = Directory::new("columns");
    let (store, events) = start(&directory.0);
    store.store(record(7));
    assert_eq!(stored(&events, 1), [record(7).identity]);
    let expected = CdrRow {
        calldate: "2023-11-14 22:13:27".to_owned(),
        clid: "\"A\" <5000>".to_owned(),
        src: "5001".to_owned(),
        dst: "5002".to_owned(),
        dcontext: "ramais".to_owned(),
        channel: "SIP/5000-00000001".to_owned(),
        dstchannel: "SIP/5001-00000002".to_owned(),
        lastapp: "Dial".to_owned(),
        lastdata: "SIP/5001,25".to_owned(),
        duration: 10,
        billsec: 7,
        disposition: "ANSWERED".to_owned(),
        amaflags: 3,
        accountcode: "sales".to_owned(),
        uniqueid: "1700000000.7".to_owned(),
        userfield: String::new(),
        start: "2023-11-14 22:13:27".to_owned(),
        answer: Some("2023-11-14 22:13:30".to_owned()),
        end: Some("2023-11-14 22:13:37".to_owned()),
        start_us: (START_US + 7_000_000) as i64,
        answer_us: Some((START_US + 10_000_000) as i64),
        end_us: Some((START_US + 17_000_000) as i64),
        identity: record(7).identity,
    };
    assert_eq!(directory.all(), [expected]);
}

#[test]
fn an_unanswered_call_has_no_answer_and_bills_nothing() {
    let directory = Directory::new("unanswered");
    let (store, events) = start(&directory.0);
    store.store(Record { answered: None, disposition: Disposition::NoAnswer, ..record(1) });
    stored(&events, 1);
    let row = directory.all().remove(0);
    assert_eq!((row.answer, row.answer_us, row.billsec), (None, None, 0));
    assert_eq!((row.disposition.as_str(), row.duration), ("NO ANSWER", 10));
}

#[test]
fn an_identity_is_stored_once_and_the_last_word_stays() {
    let directory = Directory::new("identity");
    let (store, events) = start(&directory.0);
    store.store(record(1));
    store.store(Record { destination: "other".to_owned(), ..record(1) });
    stored(&events, 2);
    drop(store);
    // A restarted node stores again what the log still holds, and is told that it is done.
    let (store, events) = start(&directory.0);
    store.store(Record { destination: "another".to_owned(), ..record(1) });
    assert_eq!(stored(&events, 1), [record(1).identity]);
    let rows = directory.all();
    assert_eq!((rows.len(), rows[0].dst.as_str()), (1, "another"));
}

#[test]
fn many_records_are_all_stored() {
    let directory = Directory::new("many");
    let (store, events) = start(&directory.0);
    let count = BATCH_MAX * 2 + 7;
    for number in 0..count {
        store.store(record(number as u64));
    }
    let identities = stored(&events, count);
    let expected: Vec<_> = (0..count).map(|number| record(number as u64).identity).collect();
    assert_eq!(identities, expected);
    assert_eq!(directory.all().len(), count);
}

#[test]
fn filters_choose_and_the_latest_comes_first() {
    let directory = Directory::new("filters");
    let (store, events) = start(&directory.0);
    (0..12).for_each(|number| store.store(record(number)));
    stored(&events, 12);
    let seconds = |filter: &CdrFilter| -> Vec<u64> {
        let since_start = |row: &CdrRow| (row.start_us as u64 - START_US) / 1_000_000;
        directory.rows(filter).iter().map(since_start).collect()
    };
    let filter = CdrFilter::default();
    assert_eq!(seconds(&filter), (0..12).rev().collect::<Vec<_>>());
    let since = Some(moment(9).wall);
    assert_eq!(seconds(&CdrFilter { since, ..filter.clone() }), [11, 10, 9]);
    let source = Some("5000".to_owned());
    assert_eq!(seconds(&CdrFilter { source: source.clone(), ..filter.clone() }), [10, 8, 6, 4, 2, 0]);
    let destination = Some("5001".to_owned());
    assert_eq!(seconds(&CdrFilter { destination: destination.clone(), ..filter.clone() }), [9, 6, 3, 0]);
    assert_eq!(seconds(&CdrFilter { limit: Some(2), ..filter.clone() }), [11, 10]);
    assert_eq!(seconds(&CdrFilter { limit: Some(0), ..filter }), [0_u64; 0]);
    let every = CdrFilter { since: Some(moment(1).wall), source, destination, limit: Some(1) };
    assert_eq!(seconds(&every), [6]);
    let injected = CdrFilter { source: Some("' OR 1=1 --".to_owned()), ..CdrFilter::default() };
    assert_eq!(seconds(&injected), [0_u64; 0]);
}

#[test]
fn whatever_phones_call_themselves_is_stored_as_it_is() {
    let directory = Directory::new("text");
    let (store, events) = start(&directory.0);
    let names = ["'; DROP TABLE cdr; --", "\"\\\"", "大停電 \u{1f4de}", "\u{0}\u{1}\n", ""];
    for (number, name) in names.iter().enumerate() {
        store.store(Record { caller_id: (*name).to_owned(), ..record(number as u64) });
    }
    stored(&events, names.len());
    let mut rows = directory.all();
    rows.reverse();
    assert_eq!(rows.iter().map(|row| row.clid.as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn no_store_means_no_records() {
    let directory = Directory::new("none");
    assert_eq!(directory.all(), []);
}

#[test]
fn a_store_that_cannot_be_written_is_tried_again_and_loses_nothing() {
    let directory = Directory::new("retry");
    let missing = directory.0.join("not-there-yet");
    let (store, events) = start(&missing);
    (0..5).for_each(|number| store.store(record(number)));
    let failed = events.recv_timeout(PATIENCE).expect("an event");
    assert!(
        matches!(&failed, CdrEvent::Failed(CdrError::Open { path, .. }) if *path == missing.join(FILE)),
        "{failed:?}"
    );
    (5..8).for_each(|number| store.store(record(number)));
    fs::create_dir_all(&missing).unwrap();
    let mut identities = Vec::new();
    while identities.len() < 8 {
        match events.recv_timeout(PATIENCE).expect("an event") {
            CdrEvent::Stored { identities: more } => identities.extend(more),
            // It was tried once more before the directory was there.
            CdrEvent::Failed(_) => {}
        }
    }
    let expected: Vec<_> = (0..8).map(|number| record(number).identity).collect();
    assert_eq!(identities, expected);
    assert_eq!(read(&missing, &CdrFilter::default()).unwrap().len(), 8);
}

#[test]
fn a_file_that_is_no_store_is_an_error_and_is_not_overwritten() {
    let directory = Directory::new("foreign");
    let path = directory.0.join(FILE);
    let foreign = b"this is somebody's letter, which is longer than a header of a hundred bytes, so that nobody may take it for an \
        empty database";
    fs::write(&path, foreign).unwrap();
    let (store, events) = start(&directory.0);
    store.store(record(1));
    let failed = events.recv_timeout(PATIENCE).expect("an event");
    assert!(matches!(failed, CdrEvent::Failed(CdrError::Open { .. })), "{failed:?}");
    assert!(read(&directory.0, &CdrFilter::default()).is_err());
    assert_eq!(fs::read(&path).unwrap(), foreign);
}
