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
    let places: Vec<usize> = COLUMNS.iter().map(|column| text.find(&format!("\"{column}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    let empty: Vec<CdrRow> = serde_json::from_str(&printed(&[], CdrFormat::Json)).unwrap();
    assert!(empty.is_empty());
}
