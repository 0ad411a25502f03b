//! `records`: how many call records a second the store's thread writes into each store, servers on hosts of the lab
//! beside it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base::{ClusterTime, WallTime};
use clap::Parser;
use lab::netns::Network;
use lab::stores::{DATABASE, PASSWORD, Server, USER};
use miette::{IntoDiagnostic, Result, miette};
use pbx::record::{Disposition, Moment, Record};
use storage::CdrStore;
use storage::cdr::{Address, CdrEvent, Kind, Server as Place, TABLE_DEFAULT, Target, Tls};

const ONE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 31);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 32);
const THIRD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 33);

/// A store that takes nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Call records a second, sustained into each store (root; needs MariaDB, Galera's arbitrator and PostgreSQL).
#[derive(Parser)]
struct Arguments {
    /// Records for each store
    #[arg(long, default_value_t = 50_000)]
    records: u64,
    /// Where files and data directories are made; the disk of this directory is what is measured
    #[arg(long, default_value = "/var/tmp")]
    directory: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { records, directory } = Arguments::parse();
    let directory = directory.join(format!("tandem-bench-records-{}", std::process::id()));
    std::fs::create_dir_all(&directory).into_diagnostic()?;
    let hosts = [("bench", Ipv4Addr::new(10, 77, 0, 21)), ("db1", ONE), ("db2", TWO), ("arb", THIRD)];
    let network = Network::build(&hosts).into_diagnostic()?;
    let measured = measure(&network, &directory, records);
    let _ = std::fs::remove_dir_all(&directory);
    measured
}

fn measure(network: &Network, directory: &Path, records: u64) -> Result<()> {
    let host = |name| network.host(name).into_diagnostic();
    println!("| store | records | seconds | records a second |\n| --- | --- | --- | --- |");
    write(network, directory, "SQLite", Target::sqlite(directory), records)?;

    let mut server = Server::mariadb(host("db1")?, &directory.join("alone")).into_diagnostic()?;
    server.start(true).and_then(|()| server.make_database()).into_diagnostic()?;
    write(network, directory, "MariaDB", target(directory, Kind::Mysql, &[ONE])?, records)?;
    drop(server);

    let cluster = [ONE, TWO, THIRD];
    let mut one = Server::galera(host("db1")?, directory, &cluster).into_diagnostic()?;
    let mut two = Server::galera(host("db2")?, directory, &cluster).into_diagnostic()?;
    let mut third = Server::arbitrator(host("arb")?, directory, &cluster).into_diagnostic()?;
    one.start(true).and_then(|()| one.make_database()).into_diagnostic()?;
    two.start(false).and_then(|()| third.start(false)).into_diagnostic()?;
    write(
        network,
        directory,
        "Galera, two members and an arbitrator",
        target(directory, Kind::Mysql, &[ONE, TWO])?,
        records,
    )?;
    drop((one, two, third));

    let mut server = Server::postgres(host("db1")?, &directory.join("postgres")).into_diagnostic()?;
    server.start(true).and_then(|()| server.make_database()).into_diagnostic()?;
    write(network, directory, "PostgreSQL", target(directory, Kind::Postgres, &[ONE])?, records)
}

fn target(directory: &Path, kind: Kind, addresses: &[Ipv4Addr]) -> Result<Target> {
    use std::os::unix::fs::PermissionsExt;
    let password = directory.join("password");
    std::fs::write(&password, PASSWORD).into_diagnostic()?;
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).into_diagnostic()?;
    let port = if kind == Kind::Mysql { 3306 } else { 5432 };
    Ok(Target::Server(Place {
        kind,
        addresses: addresses.iter().map(|host| Address { host: host.to_string(), port }).collect(),
        user: USER.into(),
        database: DATABASE.into(),
        table: TABLE_DEFAULT.into(),
        password_file: Some(password),
        tls: Tls::Off,
        ca_file: None,
    }))
}

/// All records at once, as after a store was away: the store's thread is never idle.
fn write(network: &Network, directory: &Path, name: &str, target: Target, records: u64) -> Result<()> {
    let (sender, events) = channel();
    // The store's thread is on the host on which it was started.
    let host = network.host("bench").into_diagnostic()?;
    let state = directory.to_owned();
    let (store_sender, store_receiver) = channel();
    host.enter(move || {
        let store = CdrStore::start(&state, target, move |event| drop(sender.send(event)));
        drop(store_sender.send(store));
        Ok(())
    })
    .into_diagnostic()?;
    let store = store_receiver.recv().into_diagnostic()?.into_diagnostic()?;
    // One first, so that making the table is not measured.
    store.store(record(0));
    wait(&events, 1)?;
    let begun = Instant::now();
    (1..=records).for_each(|number| store.store(record(number)));
    wait(&events, records)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("| {name} | {records} | {seconds:.2} | {:.0} |", records as f64 / seconds);
    Ok(())
}

fn wait(events: &Receiver<CdrEvent>, count: u64) -> Result<()> {
    let mut stored = 0;
    while stored < count {
        match events.recv_timeout(PATIENCE).map_err(|_| miette!("{stored} of {count} records were stored"))? {
            CdrEvent::Stored { identities } => stored += identities.len() as u64,
            CdrEvent::State(state) => {
                if let Some(trouble) = state.trouble {
                    return Err(miette!("{trouble}"));
                }
            }
            CdrEvent::Spooled { .. } => {}
        }
    }
    Ok(())
}

fn record(number: u64) -> Record {
    let moment = |second: u64| Moment {
        wall: WallTime((1_700_000_000 + second) * 1_000_000),
        cluster: ClusterTime::from_millis(second * 1_000),
    };
    Record {
        // As random as real ones are: their order is the work of the index.
        identity: format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        caller_id: "\"Reception\" <5000>".into(),
        source: "5000".into(),
        destination: "5001".into(),
        context: "internal".into(),
        channel: "SIP/5000-00000001".into(),
        destination_channel: "SIP/5001-00000002".into(),
        last_application: "Dial".into(),
        last_data: "SIP/5001,25".into(),
        started: moment(number),
        answered: Some(moment(number + 3)),
        ended: Some(moment(number + 63)),
        disposition: Disposition::Answered,
        unique_id: format!("1700000000.{number}"),
        ..Record::default()
    }
}
