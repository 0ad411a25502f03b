use super::*;

fn row() -> CdrRow {
    CdrRow {
        calldate: "2026-01-31 13:45:00".into(),
        clid: "\"Ana, desk\" <5000>".into(),
        src: "5000".into(),
        dst: "5001".into(),
        dcontext: "ramais".into(),
        channel: "SIP/5000-00000001".into(),
        dstchannel: "SIP/5001-00000002".into(),
        lastapp: "Dial".into(),
        lastdata: "SIP/5001,25".into(),
        duration: 42,
        billsec: 37,
        disposition: "ANSWERED".into(),
        amaflags: 3,
        uniqueid: "1769867100.1".into(),
        identity: "0123456789abcdef0123456789abcdef".into(),
        start: "2026-01-31 13:45:00".into(),
        answer: Some("2026-01-31 13:45:05".into()),
        end: "2026-01-31 13:45:42".into(),
        ..CdrRow::default()
    }
}

fn printed(rows: &[CdrRow], format: CdrFormat) -> String {
    let mut out = Vec::new();
    print(rows, format, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_is_aligned() {
    let unanswered = CdrRow {
        src: "201".into(),
        disposition: "NO ANSWER".into(),
        billsec: 0,
        clid: "201".into(),
        answer: None,
        ..row()
    };
    let wanted = "\
DATE (UTC)           FROM  TO    OUTCOME    SECONDS  TALKED  CALLER              IDENTITY
2026-01-31 13:45:00  5000  5001  ANSWERED        42      37  \"Ana, desk\" <5000>  0123456789abcdef0123456789abcdef
2026-01-31 13:45:00  201   5001  NO ANSWER       42       0  201                 0123456789abcdef0123456789abcdef
";
    assert_eq!(printed(&[row(), unanswered], CdrFormat::Human), wanted);
    assert_eq!(printed(&[], CdrFormat::Human), "no calls\n");
}

#[test]
fn csv_quotes_what_would_break_it() {
    let wanted = "\
calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,amaflags,accountcode,\
uniqueid,userfield,identity,start,answer,end
2026-01-31 13:45:00,\"\"\"Ana, desk\"\" <5000>\",5000,5001,ramais,SIP/5000-00000001,SIP/5001-00000002,Dial,\
\"SIP/5001,25\",42,37,ANSWERED,3,,1769867100.1,,0123456789abcdef0123456789abcdef,2026-01-31 13:45:00,\
2026-01-31 13:45:05,2026-01-31 13:45:42
";
    assert_eq!(printed(&[row()], CdrFormat::Csv), wanted);
    assert_eq!(field("two\nlines"), "\"two\nlines\"");
}

#[test]
fn json_has_every_column_in_order() {
    let text = printed(&[row()], CdrFormat::Json);
    let read: Vec<CdrRow> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, [row()]);
    let places: Vec<usize> =
        CdrRow::COLUMNS.iter().map(|column| text.find(&format!("\"{column}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    let empty: Vec<CdrRow> = serde_json::from_str(&printed(&[], CdrFormat::Json)).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn a_list_that_goes_on_has_a_line_for_each_call() {
    let line = |format| {
        let mut out = Vec::new();
        print_line(&row(), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let human = "2026-01-31 13:45:00  5000 -> 5001  ANSWERED  42 s, talked 37 s  \"Ana, desk\" <5000>\n";
    assert_eq!(line(CdrFormat::Human), human);
    assert_eq!(serde_json::from_str::<CdrRow>(&line(CdrFormat::Json)).unwrap(), row());
    assert_eq!(line(CdrFormat::Json).lines().count(), 1);
    assert!(printed(&[row()], CdrFormat::Csv).ends_with(&line(CdrFormat::Csv)));
}

#[test]
fn totals_have_a_sum_where_it_means_something() {
    let total = |key: &str, calls, answered, seconds| CdrTotal { key: key.into(), calls, answered, seconds };
    let totals = [total("2026-01-30", 10, 7, 3_000), total("2026-01-31", 2, 1, 60)];
    let printed = |by, format| {
        let mut out = Vec::new();
        print_totals(&totals, by, format, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let wanted = "\
DAY (UTC)   CALLS  ANSWERED  SECONDS TALKED
2026-01-30     10         7            3000
2026-01-31      2         1              60
all            12         8            3060
";
    assert_eq!(printed(CdrBy::Day, CdrFormat::Human), wanted);
    assert!(!printed(CdrBy::Extension, CdrFormat::Human).contains("all"));
    let csv = "day,calls,answered,seconds\n2026-01-30,10,7,3000\n2026-01-31,2,1,60\n";
    assert_eq!(printed(CdrBy::Day, CdrFormat::Csv), csv);
    let read: Vec<CdrTotal> = serde_json::from_str(&printed(CdrBy::Day, CdrFormat::Json)).unwrap();
    assert_eq!(read, totals);
}
