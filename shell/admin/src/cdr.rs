//! Owns how call records are printed: as a table for people, as JSON and as CSV, with Asterisk's column names.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::cli::CdrFormat;
use crate::human::table::{Align, Table};

#[cfg(test)]
mod tests;

/// One call's record, in the order of its columns. Times are `2026-01-31 13:45:00` in UTC (`time::utc_text`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CdrRow {
    pub calldate: String,
    pub clid: String,
    pub src: String,
    pub dst: String,
    pub dcontext: String,
    pub channel: String,
    pub dstchannel: String,
    pub lastapp: String,
    pub lastdata: String,
    /// Seconds from the first INVITE to the end.
    pub duration: u64,
    /// Seconds from the answer to the end.
    pub billsec: u64,
    /// `ANSWERED`, `NO ANSWER`, `BUSY`, `FAILED` or `CONGESTION`.
    pub disposition: String,
    /// 3 is Asterisk's `DOCUMENTATION`, its default.
    pub amaflags: u32,
    pub accountcode: String,
    pub uniqueid: String,
    pub userfield: String,
    /// Made with the first INVITE, unique for ever, the same on both nodes.
    pub identity: String,
    pub start: String,
    /// `None`: nobody answered.
    pub answer: Option<String>,
    pub end: String,
}

const COLUMNS: [&str; 20] = [
    "calldate",
    "clid",
    "src",
    "dst",
    "dcontext",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "accountcode",
    "uniqueid",
    "userfield",
    "identity",
    "start",
    "answer",
    "end",
];

/// Prints `rows` in their order. With `colours`, the table's head stands out.
pub fn print(rows: &[CdrRow], format: CdrFormat, colours: bool, out: &mut impl Write) -> io::Result<()> {
    match format {
        CdrFormat::Human => out.write_all(table(rows, colours).as_bytes()),
        CdrFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, rows)?;
            writeln!(out)
        }
        CdrFormat::Csv => csv(rows, out),
    }
}

fn table(rows: &[CdrRow], colours: bool) -> String {
    if rows.is_empty() {
        return "no calls\n".into();
    }
    let mut table = Table::new(&[
        ("DATE (UTC)", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("OUTCOME", Align::Left),
        ("SECONDS", Align::Right),
        ("TALKED", Align::Right),
        ("CALLER", Align::Left),
        ("IDENTITY", Align::Left),
    ]);
    for row in rows {
        let CdrRow { calldate, src, dst, disposition, duration, billsec, clid, identity, .. } = row;
        table.row([calldate, src, dst, disposition, &duration.to_string(), &billsec.to_string(), clid, identity]);
    }
    table.text(colours)
}

fn csv(rows: &[CdrRow], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for row in rows {
        let values = values(row);
        let fields: Vec<String> = values.iter().map(|value| field(value)).collect();
        writeln!(out, "{}", fields.join(","))?;
    }
    Ok(())
}

/// In the order of `COLUMNS`.
fn values(row: &CdrRow) -> [String; COLUMNS.len()] {
    let row = row.clone();
    [
        row.calldate,
        row.clid,
        row.src,
        row.dst,
        row.dcontext,
        row.channel,
        row.dstchannel,
        row.lastapp,
        row.lastdata,
        row.duration.to_string(),
        row.billsec.to_string(),
        row.disposition,
        row.amaflags.to_string(),
        row.accountcode,
        row.uniqueid,
        row.userfield,
        row.identity,
        row.start,
        row.answer.unwrap_or_default(),
        row.end,
    ]
}

/// RFC 4180, section 2, rules 5 to 7.
fn field(value: &str) -> String {
    if value.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}
