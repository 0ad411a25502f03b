//! What is said to each server, and which tables are refused. The statements themselves are tried on real servers in the
//! lab.

use base::{ClusterTime, WallTime};

use super::*;

fn column(name: &str) -> Found {
    Found { name: name.into(), sort: "character varying(80)".into(), width: Some(80), strict: false, needed: false }
}

fn full() -> Vec<Found> {
    COLUMNS.iter().map(|(name, _)| column(name)).collect()
}

fn record() -> Record {
    let moment =
        |second: u64| Moment { wall: WallTime(second * 1_000_000), cluster: ClusterTime::from_millis(second * 1_000) };
    Record { identity: "0".repeat(32), caller_id: "大停電\0".into(), started: moment(0), ..Record::default() }
}

#[test]
fn a_record_that_is_there_gives_way_in_each_dialect() {
    let statement = |dialect| Table::of(dialect, "cdr", &full()).insert(2);
    let sqlite = statement(Dialect::Sqlite);
    assert!(
        sqlite.contains("ON CONFLICT (\"identity\") DO UPDATE SET \"calldate\" = excluded.\"calldate\""),
        "{sqlite}"
    );
    assert_eq!(sqlite.matches('?').count(), 2 * COLUMNS.len());
    let mysql = statement(Dialect::Mysql);
    assert!(mysql.contains("ON DUPLICATE KEY UPDATE `calldate` = VALUES(`calldate`)"), "{mysql}");
    assert!(!mysql.contains("`identity` = "), "the key itself stays: {mysql}");
    let postgres = statement(Dialect::Postgres);
    assert!(postgres.contains("($25::text::character varying(80), "), "{postgres}");
}

#[test]
fn values_fit_the_column() {
    let clid = |dialect, plain| Table::of(dialect, "cdr", &full()).values(&record(), 7, plain)[1].clone().unwrap();
    assert_eq!(clid(Dialect::Mysql, false), "大停電\0");
    assert_eq!(clid(Dialect::Postgres, false), "大停電", "its texts have no zero byte");
    assert_eq!(clid(Dialect::Mysql, true), "???\0");
    let mut narrow = full();
    narrow[1].width = Some(2);
    let values = Table::of(Dialect::Mysql, "cdr", &narrow).values(&record(), 7, false);
    assert_eq!(values[1].as_deref(), Some("大停"));
    assert_eq!(values[0].as_deref(), Some("1970-01-01 00:00:00"));
    assert_eq!((&values[17], values[22].as_deref()), (&None, Some("7")));
}

/// Asterisk's own table lacks what is ours; nothing else is touched.
#[test]
fn only_what_is_missing_is_added() {
    let ours = ["start_us", "answer_us", "end_us", "stored_us", "identity"];
    let asterisk: Vec<Found> = full().into_iter().filter(|found| !ours.contains(&found.name.as_str())).collect();
    let added = extend(Dialect::Mysql, "cdr", &asterisk);
    assert_eq!(added.len(), ours.len());
    assert_eq!(added[0], "ALTER TABLE `cdr` ADD COLUMN `start_us` BIGINT");
    assert!(extend(Dialect::Mysql, "cdr", &full()).is_empty());
}

#[test]
fn a_table_that_cannot_be_made_to_fit_is_refused_with_the_reason() {
    let refusal = |found: Found| {
        let mut columns = full();
        columns.retain(|column| column.name != found.name);
        columns.push(found);
        check("cdr", &columns).unwrap_err().to_string()
    };
    let foreign = Found { needed: true, ..column("tenant") };
    assert_eq!(refusal(foreign), "the table `cdr` does not fit: its column `tenant` needs a value and has no default");
    assert!(refusal(Found { strict: true, ..column("answer") }).ends_with("for calls that nobody answered"));
    assert!(refusal(Found { width: Some(16), ..column("identity") }).ends_with("too short for 32 characters"));
    assert!(check("cdr", &full()).is_ok());
}
