//! Owns how call records are printed: as a table for people, as JSON and as CSV, with Asterisk's column names.

use std::io::{self, Write};

use node::cdr::{CdrRow, CdrTotal};

use crate::cli::{CdrBy, CdrFormat};
use crate::human::table::{Align, Table, printable};

#[cfg(test)]
mod tests;

/// Prints `rows` in their order. With `colours`, the table's head stands out.
pub fn print(rows: &[CdrRow], format: CdrFormat, colours: bool, out: &mut impl Write) -> io::Result<()> {
    match format {
        CdrFormat::Human => out.write_all(table(rows, colours).as_bytes()),
        CdrFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, rows)?;
            writeln!(out)
        }
        CdrFormat::Csv => {
            writeln!(out, "{}", CdrRow::COLUMNS.join(","))?;
            rows.iter().try_for_each(|row| csv(row, out))
        }
    }
}

/// What comes before the first row of a list that goes on.
pub fn print_head(format: CdrFormat, out: &mut impl Write) -> io::Result<()> {
    match format {
        CdrFormat::Csv => writeln!(out, "{}", CdrRow::COLUMNS.join(",")),
        CdrFormat::Human | CdrFormat::Json => Ok(()),
    }
}

/// One row of a list that goes on, on a line of its own.
pub fn print_line(row: &CdrRow, format: CdrFormat, out: &mut impl Write) -> io::Result<()> {
    match format {
        CdrFormat::Human => {
            let CdrRow { calldate, src, dst, disposition, duration, billsec, clid, .. } = row;
            let [src, dst, clid, disposition] = [src, dst, clid, disposition].map(|text| printable(text));
            writeln!(out, "{calldate}  {src} -> {dst}  {disposition}  {duration} s, talked {billsec} s  {clid}")
        }
        CdrFormat::Json => {
            serde_json::to_writer(&mut *out, row)?;
            writeln!(out)
        }
        CdrFormat::Csv => csv(row, out),
    }
}

/// Prints how many calls there were, by what was asked for, and all of them in the table's last line.
pub fn print_totals(
    totals: &[CdrTotal],
    by: CdrBy,
    format: CdrFormat,
    colours: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        CdrFormat::Human => out.write_all(totals_table(totals, by, colours).as_bytes()),
        CdrFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, totals)?;
            writeln!(out)
        }
        CdrFormat::Csv => {
            writeln!(out, "{},calls,answered,seconds", name(by))?;
            totals.iter().try_for_each(|total| {
                writeln!(out, "{},{},{},{}", field(&total.key), total.calls, total.answered, total.seconds)
            })
        }
    }
}

fn name(by: CdrBy) -> &'static str {
    match by {
        CdrBy::Day => "day",
        CdrBy::Extension => "extension",
        CdrBy::Disposition => "disposition",
    }
}

fn totals_table(totals: &[CdrTotal], by: CdrBy, colours: bool) -> String {
    if totals.is_empty() {
        return "no calls\n".into();
    }
    let title = match by {
        CdrBy::Day => "DAY (UTC)",
        CdrBy::Extension => "EXTENSION",
        CdrBy::Disposition => "OUTCOME",
    };
    let mut table = Table::new(&[
        (title, Align::Left),
        ("CALLS", Align::Right),
        ("ANSWERED", Align::Right),
        ("SECONDS TALKED", Align::Right),
    ]);
    for CdrTotal { key, calls, answered, seconds } in totals {
        table.row([key, &calls.to_string(), &answered.to_string(), &seconds.to_string()]);
    }
    // A call is one of each of its extensions: their sum would say nothing.
    if by != CdrBy::Extension {
        let sum = |of: fn(&CdrTotal) -> u64| totals.iter().map(of).fold(0, u64::saturating_add).to_string();
        let (calls, answered, seconds) = (sum(|it| it.calls), sum(|it| it.answered), sum(|it| it.seconds));
        table.row([&"all".to_owned(), &calls, &answered, &seconds]);
    }
    table.text(colours)
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

fn csv(row: &CdrRow, out: &mut impl Write) -> io::Result<()> {
    let values = values(row);
    let fields: Vec<String> = values.iter().map(|value| field(value)).collect();
    writeln!(out, "{}", fields.join(","))
}

/// In the order of `CdrRow::COLUMNS`.
fn values(row: &CdrRow) -> [String; CdrRow::COLUMNS.len()] {
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
