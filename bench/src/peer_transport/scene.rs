//! Owns the two hosts with their lossy cable, and the processes that measure on them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::thread;

use lab::netns::{Host, Network};
use miette::{IntoDiagnostic, Result, WrapErr, miette};

use super::course::Outcome;
use super::end::{LISTENING, Side, Task};
use super::quic::Identity;
use super::report::Measured;
use super::{Case, Transport};
use crate::latency::Latencies;

/// Addresses of the sending and the receiving host...
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 2);
/// ...and a second one of each, so that routes between these can have a smaller `rto_min`.
const SENDER_LOW_RTO: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 11);
const RECEIVER_LOW_RTO: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 12);

/// Measures these transports side by side.
pub fn measure(case: Case, transports: &[Transport]) -> Result<Vec<Measured>> {
    let network = network(case)?;
    let (sender, receiver) = (network.host("sender").into_diagnostic()?, network.host("receiver").into_diagnostic()?);
    let identity = Identity::generate()?;
    let mut followers = Vec::new();
    for &transport in transports {
        followers.push(listening(receiver, &task(transport, Side::Follower, case, &identity))?);
    }
    let mut leaders = Vec::new();
    for &transport in transports {
        let child = start(sender, &task(transport, Side::Leader, case, &identity))?;
        // Each has a reader, because what a sender says is longer than a pipe.
        leaders.push((transport, thread::spawn(|| outcome(child))));
    }
    let mut results = Vec::new();
    for (transport, outcome) in leaders {
        let outcome = outcome.join().map_err(|_| miette!("the reader of {} has ended", transport.name()))?;
        let outcome = outcome.wrap_err_with(|| format!("measure {}", transport.name()))?;
        let latencies = Latencies::new(outcome.samples_us);
        results.push(Measured { transport, latencies, unacknowledged: outcome.unacknowledged });
    }
    for mut follower in followers {
        // One that has ended already ended with its sender.
        let _ = follower.kill();
        follower.wait().into_diagnostic()?;
    }
    Ok(results)
}

/// A new network for each case: what TCP remembers of a route does not reach the next one.
fn network(case: Case) -> Result<Network> {
    let network = Network::build(&[("sender", SENDER), ("receiver", RECEIVER)]).into_diagnostic()?;
    for (host, own, other) in
        [("sender", SENDER_LOW_RTO, RECEIVER_LOW_RTO), ("receiver", RECEIVER_LOW_RTO, SENDER_LOW_RTO)]
    {
        let host = network.host(host).into_diagnostic()?;
        host.add_addresses(&[own]).into_diagnostic()?;
        let route = format!("route add {other}/32 dev eth0 src {own} rto_min 5ms");
        let status = host.command("ip").args(route.split(' ')).status().into_diagnostic()?;
        if !status.success() {
            return Err(miette!("`ip {route}` failed"));
        }
    }
    // At the receiver's end of the switch: once on the way there, once on the way back.
    network.lose("receiver", case.loss_percent).into_diagnostic()?;
    Ok(network)
}

fn task(transport: Transport, side: Side, case: Case, identity: &Identity) -> Task {
    let (sender, receiver) = match transport {
        Transport::TcpLowRto => (SENDER_LOW_RTO, RECEIVER_LOW_RTO),
        _ => (SENDER, RECEIVER),
    };
    let ports: &[u16] = match transport {
        Transport::Tcp => &[7010],
        Transport::TcpLowRto => &[7020],
        Transport::Quic => &[7030],
        Transport::Tandem => &[7040],
        Transport::TandemTwoLinks => &[7050, 7051],
    };
    let path = |&port: &u16| {
        let (sender, receiver) = (SocketAddr::from((sender, port)), SocketAddr::from((receiver, port)));
        match side {
            Side::Leader => (sender, receiver),
            Side::Follower => (receiver, sender),
        }
    };
    Task {
        transport,
        side,
        paths: ports.iter().map(path).collect(),
        commits_per_second: case.commits_per_second,
        seconds: case.seconds,
        identity: identity.clone(),
    }
}

fn start(host: &Host, task: &Task) -> Result<Child> {
    let program = std::env::current_exe().into_diagnostic()?;
    let mut command = host.command(&program.to_string_lossy());
    command.arg("end").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().into_diagnostic().wrap_err("start an end")?;
    let stdin = child.stdin.as_mut().ok_or_else(|| miette!("an end has no standard input"))?;
    writeln!(stdin, "{}", serde_json::to_string(task).into_diagnostic()?).into_diagnostic()?;
    Ok(child)
}

/// Starts a receiver and waits until it listens.
fn listening(host: &Host, task: &Task) -> Result<Child> {
    let mut child = start(host, task)?;
    let stdout = child.stdout.as_mut().ok_or_else(|| miette!("an end has no standard output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).into_diagnostic()?;
    if line.trim() != LISTENING {
        return Err(miette!("the receiver of {} does not listen", task.transport.name()));
    }
    Ok(child)
}

fn outcome(mut child: Child) -> Result<Outcome> {
    let mut text = String::new();
    if let Some(stdout) = child.stdout.as_mut() {
        stdout.read_to_string(&mut text).into_diagnostic()?;
    }
    let status = child.wait().into_diagnostic()?;
    if !status.success() {
        return Err(miette!("the sender ended with {status}"));
    }
    serde_json::from_str(&text).into_diagnostic().wrap_err("read what the sender measured")
}
