//! `tandem witness`: one socket, one referee for each pair; and how an etcd that takes its place is reached.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use admin::cli::WitnessArguments;
use admin::config::Etcd;
use base::{LocalTime, NodeIndex};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::clock::{local_now, random};
use net::key::WitnessKey;
use net::sockets::{Batch, UdpOptions, bind_udp, receive_many};
use net::witness::{DATAGRAM_BYTES_MAX, PairNumber, Seal, pair_of_ask};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use node::cluster::witness::referee::Known;
use node::cluster::witness::{Ask, Referee};

use crate::logging;

/// As a node's loop: a lease that is answered late is no lease.
const PRIORITY: u8 = 20;

/// Class selector 3, as the links between nodes.
const DSCP: u8 = 24;

/// Datagrams read at a time.
const BATCH: usize = 32;

/// Room for what comes while the machine is busy: some seconds of a hundred pairs.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What cannot be started at all.
const NOT_STARTABLE: u8 = 2;

struct Pair {
    name: String,
    seal: Seal,
    referee: Referee,
    /// As it was told last.
    holder: Option<NodeIndex>,
}

/// Answers until it is ended by a signal. It has nothing to save.
pub fn run(arguments: &WitnessArguments) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::from(NOT_STARTABLE)
        }
    }
}

/// A pair's number follows from its key, so that no two pairs share a record.
pub fn etcd_settings(etcd: &Etcd, seal: &Seal) -> net::etcd::Settings {
    let Etcd { members, ca_file, identity, login } = etcd.clone();
    net::etcd::Settings { members, ca_file, identity, login, pair: seal.pair() }
}

fn serve(arguments: &WitnessArguments) -> Result<()> {
    logging::start(arguments.json).into_diagnostic()?;
    let mut random = random().into_diagnostic()?;
    let mut pairs = BTreeMap::new();
    for file in &arguments.key {
        let key = WitnessKey::read(file).into_diagnostic()?;
        let pair = Pair::new(file, &key, random.number());
        if let Some(other) = pairs.insert(pair.seal.pair(), pair) {
            return Err(miette!("{} and {} are the key of the same pair", other.name, file.display()));
        }
    }
    let options = UdpOptions { freebind: false, dscp: Some(DSCP), receive_buffer_bytes: Some(BUFFER_BYTES) };
    let socket = bind_udp(arguments.listen, options).into_diagnostic()?;
    net::realtime::become_realtime(PRIORITY);
    if let Err(error) = net::realtime::lock_memory() {
        tracing::warn!(%error, "memory cannot be locked; a busy disk may stall us");
    }
    tracing::info!(listen = %arguments.listen, pairs = pairs.len(), "the witness answers");
    let mut batch = Batch::new(BATCH, DATAGRAM_BYTES_MAX);
    loop {
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).into_diagnostic().wrap_err("wait for asks"),
        }
        let mut asks = Vec::new();
        // An ICMP error for an answer is read like a datagram and means nothing.
        let _ = receive_many(&socket, &mut batch, |source, bytes| asks.push((source, bytes.to_vec())));
        for (source, bytes) in asks {
            answer(&socket, &mut pairs, random.number(), source, &bytes);
        }
    }
}

fn answer(socket: &UdpSocket, pairs: &mut BTreeMap<PairNumber, Pair>, fresh: u64, source: SocketAddr, bytes: &[u8]) {
    let Some(pair) = pair_of_ask(bytes).and_then(|number| pairs.get_mut(&number)) else { return };
    let Some(ask) = pair.seal.open_ask(bytes).and_then(|body| Ask::decode(body).ok()) else { return };
    let now = local_now();
    if let Some(answer) = pair.referee.ask(now, fresh, &ask) {
        // Lost is lost: the node asks again.
        let _ = socket.send_to(&pair.seal.seal_answer(&answer.encode()), source);
    }
    pair.tell(now);
}

impl Pair {
    fn new(file: &Path, key: &WitnessKey, life: u64) -> Self {
        let name = file.display().to_string();
        Self { name, seal: Seal::new(key), referee: Referee::new(life, local_now()), holder: None }
    }

    /// Who holds the lease, when that is news.
    fn tell(&mut self, now: LocalTime) {
        let Known { holder, epoch, .. } = self.referee.known(now);
        if holder == self.holder {
            return;
        }
        self.holder = holder;
        match holder {
            Some(NodeIndex(index)) => {
                tracing::info!(pair = self.name, node = index, %epoch, "this node of the pair has the lease");
            }
            None => tracing::info!(pair = self.name, %epoch, "nobody has the lease"),
        }
    }
}
