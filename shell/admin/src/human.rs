//! Owns the human forms of a node's answers: what an operator has to see first comes first.

use node::{CallLine, ForeignLine, PeerLine, PhoneLine, PingsLine, RecordsLine, TrackLine, VrrpLine, WitnessLine};

use crate::status::NodeStatus;

mod colour;
pub mod configuration;
pub mod table;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use colour::paint_verdict;
pub use colour::wanted as colours_wanted;

use colour::{Colour, paint};
use table::{Align, Table, printable};

/// A glance: the verdict on the first line, the reasons for it below.
pub fn status(node: &NodeStatus, colours: bool) -> String {
    let NodeStatus { status, pid, parent_pid } = node;
    let mut lines = vec![verdict(node, colours)];
    let mut line = |title: &str, text: String| lines.push(format!("  {title:<14}{text}"));
    let drained = drained(status.drain.as_deref());
    line("node", format!("{} ({}{drained})", printable(&status.node), printable(&status.role)));
    line(
        "address",
        status.address.as_deref().map_or("not held by this node".into(), |held| format!("{held}, held here")),
    );
    line("peer", status.peer.as_ref().map_or("none configured".into(), peer));
    if let Some(vrrp) = &status.vrrp {
        line("vrrp", self::vrrp(vrrp));
    }
    if !status.tracks.is_empty() {
        line("priority", format!("{}; {}", status.priority, tracks(&status.tracks)));
    }
    if let Some(witness) = &status.witness {
        line("witness", self::witness(witness));
    }
    if let Some(pings) = &status.pings {
        line("ping", self::pings(pings));
    }
    line("phones", status.registrations.to_string());
    line("calls", status.calls.to_string());
    line("lag", format!("{:.1} ms", status.lag_ms));
    line("unprotected", format!("{} in all", seconds(status.unprotected_seconds)));
    line("records", records(status.records_waiting, status.records.as_ref()));
    line("epoch", format!("{}, at entry {}", status.epoch, status.lsn));
    let glance =
        configuration::glance(status.configuration.as_ref(), &status.configuration_hash, status.peer.is_some());
    glance.into_iter().for_each(|(title, text)| line(title, text));
    line("process", format!("{pid}, parent {parent_pid}"));
    lines.join("\n") + "\n"
}

/// The verdict on a node that cannot be asked.
pub fn not_running(reason: &str, colours: bool) -> String {
    format!("{} because {}\n", paint("NOT PROTECTED", Colour::Red, colours), printable(reason))
}

pub fn phones(phones: &[PhoneLine], colours: bool) -> String {
    if phones.is_empty() {
        return "no phone is registered\n".into();
    }
    let mut table = Table::new(&[
        ("ENDPOINT", Align::Left),
        ("SOURCE", Align::Left),
        ("REACHABLE", Align::Left),
        ("ROUND TRIP", Align::Right),
        ("EXPIRES", Align::Right),
        ("USER AGENT", Align::Left),
        ("CONTACT", Align::Left),
    ]);
    for phone in phones {
        let round_trip = phone.round_trip_ms.map_or("-".into(), |milliseconds| format!("{milliseconds:.1} ms"));
        let expires = format!("{} s", phone.expires_seconds);
        let PhoneLine { endpoint, source, reachability, user_agent, contact, .. } = phone;
        table.row([endpoint, source, reachability, &round_trip, &expires, user_agent, contact]);
    }
    table.text(colours)
}

pub fn calls(calls: &[CallLine], colours: bool) -> String {
    if calls.is_empty() {
        return "no call is in progress\n".into();
    }
    let mut table = Table::new(&[
        ("CALL", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
        ("TALKED", Align::Right),
        ("IDENTITY", Align::Left),
    ]);
    for call in calls {
        let talked = call.talked_seconds.map_or("-".into(), seconds);
        let CallLine { source, destination, state, identity, .. } = call;
        table.row([
            &call.number.to_string(),
            source,
            destination,
            state,
            &seconds(call.age_seconds),
            &talked,
            identity,
        ]);
    }
    table.text(colours)
}

fn verdict(node: &NodeStatus, colours: bool) -> String {
    let status = &node.status;
    if status.protected {
        let text = "the death of a node would lose nothing";
        return format!("{}: {text}", paint("PROTECTED", Colour::Green, colours));
    }
    let reason = status.unprotected_because.as_deref().map(|reason| format!(" because {}", printable(reason)));
    // A node without a peer is as its operator wants it.
    let colour = if status.peer.is_some() { Colour::Red } else { Colour::Yellow };
    format!("{}{}", paint("NOT PROTECTED", colour, colours), reason.unwrap_or_default())
}

/// Foreign routers come last and longest: there are none while all is well.
fn vrrp(vrrp: &VrrpLine) -> String {
    let VrrpLine { version, vrid, priority, interval_ms, own, foreign } = vrrp;
    let from = own.as_deref().map_or("NO OWN ADDRESS, so nothing is sent".into(), |own| format!("from {own}"));
    let ours = format!("router {vrid}, version {version}, priority {priority} each {interval_ms} ms, {from}");
    let other = |line: &ForeignLine| {
        let ForeignLine { address, priority, claims, outranks, .. } = line;
        let claims = if *claims { "" } else { " with OTHER ADDRESSES" };
        let outranks = if *outranks { ", LOWER IT" } else { "" };
        format!("; {address} is active{claims}, priority {priority}{outranks}")
    };
    foreign.iter().map(other).fold(ours, |text, other| text + &other)
}

/// What fails, with what it costs; what is well only by its name.
fn tracks(tracks: &[TrackLine]) -> String {
    let text = |line: &TrackLine| {
        let name = printable(&line.name);
        match line.state.as_str() {
            "failing" => format!("{name} FAILS and subtracts {}", line.subtracts),
            "fault" => format!("{name} FAILS, so this node is not to serve"),
            state => format!("{name} is {}", printable(state)),
        }
    };
    tracks.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn witness(witness: &WitnessLine) -> String {
    let WitnessLine { up, mode, lease, counts, peer_hears, round_trip_ms } = witness;
    let peer = match peer_hears {
        Some(false) => ", NOT heard by the peer",
        _ => "",
    };
    if *up {
        let round_trip = round_trip_ms.map(|ms| format!(", {ms:.1} ms away")).unwrap_or_default();
        return format!("answers{round_trip}, its lease has {}{peer}", printable(lease));
    }
    let counts = if *counts { "; without it only a node that hears its peer serves" } else { "" };
    format!("DOES NOT ANSWER{peer}, mode {}{counts}", printable(mode))
}

fn pings(pings: &PingsLine) -> String {
    let PingsLine { answering, targets, peer_answering } = pings;
    let peer = peer_answering.map(|count| format!(", {count} to the peer")).unwrap_or_default();
    let answering = if *answering == 0 { "NONE".to_owned() } else { answering.to_string() };
    format!("{answering} of {targets} targets answer{peer}")
}

/// What waits in the log and on the disk, and why.
fn records(in_log: usize, store: Option<&RecordsLine>) -> String {
    let Some(RecordsLine { store, trouble, avoided, spooled, oldest_seconds, .. }) =
        store.filter(|it| !it.store.is_empty())
    else {
        return format!("{in_log} waiting to be stored");
    };
    let spooled = if *spooled > 0 { format!(" and {spooled} on this disk") } else { String::new() };
    let place = printable(store);
    match trouble {
        Some(trouble) => {
            let oldest = oldest_seconds.map(|age| format!(", the oldest for {}", seconds(age as f64)));
            let oldest = oldest.unwrap_or_default();
            format!("{in_log}{spooled} WAIT for their store{oldest}: {}", printable(trouble))
        }
        None => {
            let avoided = avoided.as_ref().map(|why| format!(", because {}", printable(why))).unwrap_or_default();
            format!("{in_log}{spooled} waiting to be stored in {place}{avoided}")
        }
    }
}

fn peer(peer: &PeerLine) -> String {
    let PeerLine { name, up, role, in_step, lsn, links_up, links, drain, .. } = peer;
    let drained = drained(drain.as_deref());
    let name = if name.is_empty() { "not seen yet".into() } else { printable(name) };
    if !up {
        return format!("{name}: DOWN{drained}, {links_up} of {links} links up");
    }
    let step = if *in_step { "in step" } else { "NOT in step" };
    format!("{name} ({}{drained}), {step} at entry {lsn}, {links_up} of {links} links up", printable(role))
}

/// An operator's wish to have a node out of service, behind its role.
fn drained(drain: Option<&str>) -> &'static str {
    match drain {
        None => "",
        Some("never") => ", drained for good",
        Some("calls") => ", takes no new calls",
        Some(_) => ", drained",
    }
}

/// `12 s`, `3:05 min`, `2:00:09 h`.
fn seconds(seconds: f64) -> String {
    // A cast saturates, so that not even a time that makes no sense can do harm.
    let whole = seconds.max(0.0) as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02} min"),
        _ => format!("{hours}:{minutes:02}:{rest:02} h"),
    }
}
