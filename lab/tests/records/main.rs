//! Call records in real servers: a Galera cluster of two MariaDBs and an arbitrator, and a PostgreSQL, while nodes of the
//! pair and of the store are killed, cut, frozen and filled up. The rows are compared with what the phones did, one by
//! one. `setups` and `full` do the same to nodes and their configuration, `secure` to the way to a server. Needs root and,
//! on Debian, the packages mariadb-server, galera-arbitrator-4, postgresql and openssl.
//!
//! The short form is part of `make test`. The long one is `TANDEM_ROUNDS=120 cargo test -p tandem-lab --test records`, a
//! thousand calls at each of the two.

mod full;
mod room;
mod secure;
mod setups;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tandem_lab::stores::{DATABASE, Server, USER};

use room::{Ground, Room, write_password};

const ONE: (&str, Ipv4Addr) = ("db1", Ipv4Addr::new(10, 77, 0, 31));
const TWO: (&str, Ipv4Addr) = ("db2", Ipv4Addr::new(10, 77, 0, 32));
const THIRD: (&str, Ipv4Addr) = ("arb", Ipv4Addr::new(10, 77, 0, 33));

/// The table as Asterisk's cdr_mysql has it, and one row in it.
const TABLE_OF_ASTERISK: &str = "CREATE TABLE cdr (calldate datetime NOT NULL DEFAULT '2000-01-01 00:00:00', \
    clid varchar(80) NOT NULL DEFAULT '', src varchar(80) NOT NULL DEFAULT '', dst varchar(80) NOT NULL DEFAULT '', \
    dcontext varchar(80) NOT NULL DEFAULT '', channel varchar(80) NOT NULL DEFAULT '', \
    dstchannel varchar(80) NOT NULL DEFAULT '', lastapp varchar(80) NOT NULL DEFAULT '', \
    lastdata varchar(80) NOT NULL DEFAULT '', duration int NOT NULL DEFAULT 0, billsec int NOT NULL DEFAULT 0, \
    disposition varchar(45) NOT NULL DEFAULT '', amaflags int NOT NULL DEFAULT 0, \
    accountcode varchar(20) NOT NULL DEFAULT '', uniqueid varchar(32) NOT NULL DEFAULT '', \
    userfield varchar(255) NOT NULL DEFAULT ''); INSERT INTO cdr (src, dst) VALUES ('asterisk', '1')";

/// A small server's data, and little more.
const DATA_BYTES: u64 = 160 * 1024 * 1024;

/// More rows than a server has room for in what its table has already.
const FILLERS: usize = 20_000;

/// Rounds of calls between faults, of one kind after another; more than one each is the long form.
fn rounds() -> usize {
    std::env::var("TANDEM_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn quiet_rounds(room: &mut Room, share: usize) {
    (0..rounds() / share).for_each(|_| room.round(|_| {}));
}

/// `TANDEM_ROUNDS` parts the long form from the short one.
fn is_long() -> bool {
    rounds() > 0
}

/// Two clusters at a time would hear each other's load.
static SERIAL: Mutex<()> = Mutex::new(());

/// Two members on these hosts, with their files in these folders, of which the second one copies the first one's data; and
/// the third voice.
fn cluster(ground: &Ground, places: [(&str, PathBuf); 2]) -> [Server; 3] {
    let addresses: Vec<Ipv4Addr> = places.iter().map(|(name, _)| ground.host(name).address).chain([THIRD.1]).collect();
    let directory = &ground.directory;
    let member =
        |place: &(&str, PathBuf)| Server::galera(ground.host(place.0), &place.1, &addresses).expect("a server");
    let (mut one, mut two) = thread::scope(|scope| {
        let one = scope.spawn(|| member(&places[0]));
        let two = member(&places[1]);
        (one.join().expect("a server"), two)
    });
    one.start(true).expect("the first member");
    one.make_database().expect("a database");
    one.sql(TABLE_OF_ASTERISK).expect("Asterisk's table");
    two.start(false).expect("the second member");
    let mut third = Server::arbitrator(ground.host(THIRD.0), directory, &addresses).expect("an arbitrator");
    third.start(false).expect("an arbitrator");
    [one, two, third]
}

fn wait_size(server: &Server, size: usize) {
    let told = || server.admin("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'").unwrap_or_default();
    for _ in 0..300 {
        if told().split_whitespace().last() == Some(&size.to_string()) {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{size} members are wanted: {}", told());
}

fn is_full(text: &serde_json::Value) -> bool {
    text.as_str().is_some_and(|text| text.contains("its disk is full"))
}

/// A right that the user lacks is told before a record needs it.
fn forbid_and_look(room: &Room, one: &Server) {
    let verdicts = || room.doctor(0).into_iter().map(|(verdict, _)| verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(), ["ok", "ok"], "{:?}", room.doctor(0));
    let rows = one.sql("SELECT COUNT(*) FROM cdr").expect("a count");
    one.admin(&format!("REVOKE UPDATE ON {DATABASE}.* FROM {USER}@'%'")).expect("fewer rights");
    let told = room.doctor(0);
    assert!(told.iter().all(|(verdict, text)| verdict == "problem" && text.contains("may not do that")), "{told:?}");
    one.admin(&format!("GRANT ALL ON {DATABASE}.* TO {USER}@'%'")).expect("all rights");
    assert_eq!(one.sql("SELECT COUNT(*) FROM cdr").expect("a count"), rows, "looking writes nothing");
}

/// The member that takes the records has no room: the other one takes them, and the full one, which cannot follow, leaves
/// the cluster. With room again it comes back.
fn fill_first(room: &mut Room, one: &mut Server, two: &Server) {
    room.disk(0).fill().expect("a full disk");
    let row = "INSERT INTO cdr (src, dst, userfield) VALUES ('asterisk', 'filler', REPEAT('x', 250));\n";
    let refused = one.sql(&row.repeat(FILLERS)).expect_err("no room for so many");
    assert!(refused.chain().contains("is full"), "{}", refused.chain());
    room.rounds_until("the full member is passed over", |records| is_full(&records["avoided"]));
    room.disk(0).clear().expect("room");
    two.sql("DELETE FROM cdr WHERE dst = 'filler'").expect("without the fillers");
    one.kill();
    one.start(false).expect("the member comes back");
    wait_size(one, 3);
    wait_size(two, 3);
}

#[test]
fn a_galera_cluster_has_each_call_once_whatever_dies() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ground = Ground::new(&[ONE, TWO, THIRD]);
    for (name, _) in [ONE, TWO] {
        let data = ground.directory.join(name).join("data");
        ground.add_memory(DATA_BYTES, &data);
    }
    let [mut one, mut two, third] = cluster(&ground, [ONE, TWO].map(|(name, _)| (name, ground.directory.clone())));
    wait_size(&one, 3);
    let mut room = ground.pair(&format!("mysql://{USER}@{},{}/{DATABASE}", ONE.1, TWO.1));
    room.round(|_| {});
    // What Asterisk has written is still there, beside ours.
    room.wait_records(1);
    quiet_rounds(&mut room, 5);

    forbid_and_look(&room, &one);
    fill_first(&mut room, &mut one, &two);
    room.wait_records(1);

    // The member that takes the records is killed during calls, and later the node that writes them.
    room.round(|_| two.kill());
    room.round(Room::kill_active);
    room.wait_told("the other member takes them", |records| {
        records["store"].as_str().is_some_and(|store| store.contains(&ONE.1.to_string()))
            && records["trouble"].is_null()
    });
    room.wait_protected();
    quiet_rounds(&mut room, 5);
    // The two that are left must have agreed that they are: of a component that breaks twice at once, Galera wants every
    // member back, or a human.
    wait_size(&one, 2);

    // Without the third voice the last member is no part of a majority and takes nothing: the records wait.
    third.signal(Signal::SIGSTOP).expect("a freeze");
    room.round(|_| thread::sleep(Duration::from_secs(3)));
    room.wait_told("the records wait and the reason is told", |records| {
        let trouble = records["trouble"].as_str().unwrap_or_default();
        trouble.contains("primary component") && records["waiting"].as_u64() > Some(0)
    });
    let [first, second] = room.doctor(0).try_into().expect("two addresses");
    assert!(first.0 == "problem" && first.1.contains("primary component"), "{first:?}");
    assert!(second.0 == "problem" && second.1.contains("cannot be reached"), "{second:?}");
    room.round(Room::kill_active);
    quiet_rounds(&mut room, 5);
    third.signal(Signal::SIGCONT).expect("a thaw");
    room.wait_records(1);

    two.start(false).expect("the second member comes back");
    wait_size(&two, 3);
    if is_long() {
        // Frozen, then cut off: it is silent instead of refusing.
        room.round(|_| one.signal(Signal::SIGSTOP).expect("a freeze"));
        quiet_rounds(&mut room, 5);
        one.signal(Signal::SIGCONT).expect("a thaw");
        wait_size(&two, 3);
        room.round(|room| room.network.cut(ONE.0).expect("a cut"));
        quiet_rounds(&mut room, 5);
        room.network.heal(ONE.0).expect("a heal");
        wait_size(&two, 3);
    }
    room.wait_protected();
    room.wait_records(1);
    room.equal(&[&one, &two], 1);
    println!("{} calls, each with one row on both members", room.made.len());
}

#[test]
fn a_postgres_has_each_call_once_whatever_dies() {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ground = Ground::new(&[ONE]);
    let directory = ground.directory.clone();
    ground.add_memory(DATA_BYTES, &directory.join(ONE.0).join("data"));
    let mut server = Server::postgres(ground.host(ONE.0), &directory).expect("a server");
    server.start(false).expect("a server");
    server.make_database().expect("a database");
    server.sql(TABLE_OF_ASTERISK.replace("datetime", "timestamp").as_str()).expect("Asterisk's table");
    let mut room = ground.pair(&format!("postgres://{USER}@{}/{DATABASE}", ONE.1));
    room.round(|_| {});
    room.wait_records(1);
    quiet_rounds(&mut room, 4);

    // Killed during calls: what it has said to have, it has; it comes back with another password at first.
    room.round(|_| server.kill());
    room.round(Room::kill_active);
    room.wait_told("it cannot be reached", |records| {
        records["trouble"].as_str().is_some_and(|trouble| trouble.contains("cannot be reached"))
    });
    write_password(Path::new(&directory), "not the password");
    server.start(false).expect("a server");
    room.wait_told("it refuses the password", |records| {
        records["trouble"].as_str().is_some_and(|trouble| trouble.contains("refuses the user or the password"))
    });
    write_password(Path::new(&directory), tandem_lab::stores::PASSWORD);
    room.wait_protected();
    room.wait_records(1);
    quiet_rounds(&mut room, 4);

    // Read-only: the same server as a standby would be.
    server.admin("ALTER SYSTEM SET default_transaction_read_only = on").expect("read-only");
    server.admin("SELECT pg_reload_conf()").expect("a reload");
    room.round(|_| {});
    room.wait_told("it is read-only", |records| {
        records["trouble"].as_str().is_some_and(|trouble| trouble.contains("it is read-only"))
    });
    for node in 0..2 {
        let told = room.doctor(node);
        assert!(told.len() == 1 && told[0].0 == "problem" && told[0].1.contains("it is read-only"), "{told:?}");
    }
    server
        .admin("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only")
        .expect("a reset");
    server.admin("SELECT pg_reload_conf()").expect("a reload");
    room.wait_records(1);
    assert!(room.doctor(1)[0].1.contains("the table fits"), "{:?}", room.doctor(1));
    quiet_rounds(&mut room, 4);

    // Full: what it takes still is what fits into the blocks that its files have.
    room.disk(0).fill().expect("a full disk");
    room.rounds_until("its disk is full", |records| {
        is_full(&records["trouble"]) && records["waiting"].as_u64() > Some(0)
    });
    room.disk(0).clear().expect("room");
    room.wait_records(1);
    if is_long() {
        room.round(|_| server.signal(Signal::SIGSTOP).expect("a freeze"));
        quiet_rounds(&mut room, 4);
        room.wait_told("it does not answer", |records| {
            records["trouble"].as_str().is_some_and(|trouble| trouble.contains("does not answer"))
        });
        server.signal(Signal::SIGCONT).expect("a thaw");
    }
    room.wait_protected();
    room.wait_records(1);
    room.equal(&[&server], 1);
    println!("{} calls, each with one row", room.made.len());
}
