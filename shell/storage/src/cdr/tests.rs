//! Each record is in the store once, whatever is stored again and whatever the disk refuses meanwhile.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base::{ClusterTime, WallTime};
use node::cdr::{CdrRow, CdrTotal};
use pbx::record::{Disposition, Moment};

use super::writer::BATCH_MAX;
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
        self.reader().rows(filter).unwrap()
    }

    fn reader(&self) -> CdrReader {
        CdrReader::new(Target::sqlite(&self.0)).unwrap()
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
    let store = CdrStore::start(directory, Target::sqlite(directory), move |event| drop(sender.send(event))).unwrap();
    (store, events)
}

/// Waits until so many identities were reported as stored, and returns them in order.
fn stored(events: &Receiver<CdrEvent>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        match events.recv_timeout(PATIENCE).expect("an event") {
            CdrEvent::Stored { identities } => all.extend(identities),
            CdrEvent::Spooled { .. } => {}
            CdrEvent::State(state) => assert_eq!(state.trouble, None),
        }
    }
    all
}

/// Waits until the store says what its trouble is.
fn trouble(events: &Receiver<CdrEvent>) -> String {
    loop {
        if let CdrEvent::State(StoreState { trouble: Some(text), .. }) =
            events.recv_timeout(PATIENCE).expect("an event")
        {
            return text;
        }
    }
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
        end: "2023-11-14 22:13:37".to_owned(),
        identity: record(7).identity,
        stored_us: 0,
    };
    let found = directory.all().remove(0);
    assert!(found.stored_us > START_US, "it was written after the call");
    assert_eq!(CdrRow { stored_us: 0, ..found }, expected);
}

#[test]
fn an_unanswered_call_has_no_answer_and_bills_nothing() {
    let directory = Directory::new("unanswered");
    let (store, events) = start(&directory.0);
    store.store(Record { answered: None, disposition: Disposition::NoAnswer, ..record(1) });
    stored(&events, 1);
    let row = directory.all().remove(0);
    assert_eq!((row.answer, row.billsec), (None, 0));
    assert_eq!((row.disposition.as_str(), row.duration), ("NO ANSWER", 10));
}

#[test]
fn an_identity_is_stored_once_and_the_last_word_stays() {
    let directory = Directory::new("identity");
    let (store, events) = start(&directory.0);
    store.store(record(1));
    stored(&events, 1);
    store.store(Record { destination: "other".to_owned(), ..record(1) });
    stored(&events, 1);
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
        let number = |row: &CdrRow| row.uniqueid.split_once('.').unwrap().1.parse().unwrap();
        directory.rows(filter).iter().map(number).collect()
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
    assert_eq!(seconds(&CdrFilter { limit: Some(0), ..filter.clone() }), [0_u64; 0]);
    let until = Some(moment(2).wall);
    assert_eq!(seconds(&CdrFilter { until, ..filter.clone() }), [1, 0]);
    let party = Some("5002".to_owned());
    assert_eq!(seconds(&CdrFilter { party, ..filter.clone() }), [10, 7, 4, 1]);
    let (answered, busy) = (Some("ANSWERED".to_owned()), Some("BUSY".to_owned()));
    assert_eq!(seconds(&CdrFilter { disposition: answered, ..filter.clone() }).len(), 12);
    assert_eq!(seconds(&CdrFilter { disposition: busy, ..filter.clone() }), [0_u64; 0]);
    let account = Some("sales".to_owned());
    assert_eq!(seconds(&CdrFilter { account, ..filter.clone() }).len(), 12);
    assert_eq!(seconds(&CdrFilter { seconds_min: Some(10), ..filter.clone() }).len(), 12);
    assert_eq!(seconds(&CdrFilter { seconds_min: Some(11), ..filter.clone() }), [0_u64; 0]);
    let latest = directory.all().iter().map(|row| row.stored_us).max().map(WallTime);
    assert_eq!(seconds(&CdrFilter { stored_after: latest, ..filter.clone() }), [0_u64; 0]);
    let every = CdrFilter { since: Some(moment(1).wall), source, destination, limit: Some(1), ..filter };
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
    let text = trouble(&events);
    assert!(text.contains("not-there-yet/cdr.sqlite"), "{text}");
    (5..8).for_each(|number| store.store(record(number)));
    fs::create_dir_all(&missing).unwrap();
    let mut identities = Vec::new();
    while identities.len() < 8 {
        match events.recv_timeout(PATIENCE).expect("an event") {
            CdrEvent::Stored { identities: more } => identities.extend(more),
            // It was tried once more before the directory was there.
            CdrEvent::State(_) | CdrEvent::Spooled { .. } => {}
        }
    }
    let expected: Vec<_> = (0..8).map(|number| record(number).identity).collect();
    assert_eq!(identities, expected);
    let mut reader = CdrReader::new(Target::sqlite(&missing)).unwrap();
    assert_eq!(reader.rows(&CdrFilter::default()).unwrap().len(), 8);
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
    let text = trouble(&events);
    assert!(text.contains("the file is no store of call records"), "{text}");
    assert!(directory.reader().rows(&CdrFilter::default()).is_err());
    assert_eq!(fs::read(&path).unwrap(), foreign);
}

#[test]
fn calls_are_counted_by_day_extension_and_outcome() {
    let directory = Directory::new("totals");
    let (store, events) = start(&directory.0);
    store.store(record(0));
    store.store(Record { answered: None, disposition: Disposition::Busy, ..record(1) });
    store.store(record(86_400));
    stored(&events, 3);
    let total = |key: &str, calls, answered, seconds| CdrTotal { key: key.to_owned(), calls, answered, seconds };
    let totals = |filter: &CdrFilter, by| directory.reader().totals(filter, by).unwrap();
    let all = CdrFilter::default();
    assert_eq!(totals(&all, TotalBy::Day), [total("2023-11-14", 2, 1, 7), total("2023-11-15", 1, 1, 7)]);
    assert_eq!(totals(&all, TotalBy::Disposition), [total("ANSWERED", 2, 2, 14), total("BUSY", 1, 0, 0)]);
    let extensions = [total("5000", 2, 2, 14), total("5001", 3, 2, 14), total("5002", 1, 0, 0)];
    assert_eq!(totals(&all, TotalBy::Extension), extensions, "each call counts for both of its parties");
    let party = CdrFilter { party: Some("5002".to_owned()), ..CdrFilter::default() };
    assert_eq!(totals(&party, TotalBy::Extension), [total("5001", 1, 0, 0), total("5002", 1, 0, 0)]);
}

/// A file of the first version, which had no `stored_us`, is extended and keeps its rows; until then it can be read.
#[test]
fn a_file_of_the_first_version_is_extended() {
    let directory = Directory::new("extended");
    let path = directory.0.join(FILE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{ConnectOptions, Connection, Executor};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute(include_str!("tests/first_version.sql")).await.unwrap();
        connection.close().await.unwrap();
    });
    assert_eq!(directory.all().len(), 1);
    let (store, events) = start(&directory.0);
    store.store(record(7));
    stored(&events, 1);
    let rows = directory.all();
    assert_eq!(rows.iter().map(|row| row.dst.as_str()).collect::<Vec<_>>(), ["5002", "old"]);
    assert_eq!((rows[0].stored_us > 0, rows[1].stored_us), (true, 0));
}

/// What does not fit the log waits on the disk, across a restart too, and is stored from there in order.
#[test]
fn what_was_spooled_is_stored_when_the_store_is_back() {
    let directory = Directory::new("spool");
    let away = directory.0.join("away");
    let (sender, events) = channel();
    let begin = |sender: std::sync::mpsc::Sender<CdrEvent>| {
        CdrStore::start(&directory.0, Target::sqlite(&away), move |event| drop(sender.send(event))).unwrap()
    };
    let store = begin(sender.clone());
    (0..3).rev().for_each(|number| store.spool(record(number)));
    let mut spooled = Vec::new();
    while spooled.len() < 3 {
        if let CdrEvent::Spooled { identities } = events.recv_timeout(PATIENCE).expect("an event") {
            spooled.extend(identities);
        }
    }
    drop(store);
    fs::create_dir_all(&away).unwrap();
    let store = begin(sender);
    store.store(record(9));
    let mut all = std::collections::BTreeSet::new();
    while all.len() < 4 {
        if let CdrEvent::Stored { identities } = events.recv_timeout(PATIENCE).expect("an event") {
            all.extend(identities);
        }
    }
    // The thread of the first life, which is not told to end, may have stored some as well: each row is there once.
    let reader = &mut CdrReader::new(Target::sqlite(&away)).unwrap();
    let found: Vec<String> = reader.rows(&CdrFilter::default()).unwrap().into_iter().map(|row| row.identity).collect();
    assert_eq!(found, [9, 2, 1, 0].map(|number| record(number).identity));
}

#[test]
fn a_password_is_read_from_a_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("password");
    let path = directory.0.join("password");
    fs::write(&path, "secret word\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(read_password(&path), Err(PasswordError::Readable { mode: 0o640, .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_password(&path).unwrap(), "secret word");
    fs::write(&path, "\n").unwrap();
    assert!(matches!(read_password(&path), Err(PasswordError::Format { .. })));
    assert!(matches!(read_password(&directory.0.join("none")), Err(PasswordError::Read { .. })));
}

#[test]
fn a_spool_that_cannot_be_opened_is_told_and_keeps_nothing_from_the_store() {
    let directory = Directory::new("no-spool");
    fs::create_dir_all(directory.0.join(SPOOL_FILE)).unwrap();
    let (store, events) = start(&directory.0);
    store.store(record(1));
    let (mut text, mut identities) = (None, Vec::new());
    while text.is_none() || identities.is_empty() {
        match events.recv_timeout(PATIENCE).expect("an event") {
            CdrEvent::Stored { identities: more } => identities.extend(more),
            CdrEvent::State(state) => text = text.or(state.trouble),
            CdrEvent::Spooled { .. } => panic!("nothing was to be spooled"),
        }
    }
    assert!(text.as_ref().is_some_and(|text| text.starts_with("the spool: ")), "{text:?}");
    assert_eq!(identities, [record(1).identity]);
}
