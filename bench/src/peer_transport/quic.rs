//! QUIC by quinn on tokio: one stream for commits and their acknowledgements, and the quickest acknowledgements that
//! quinn can ask for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base::LocalTime;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::clock::local_now;
use net::realtime::become_realtime;
use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::course::{
    ACKNOWLEDGEMENT_BYTES, COMMIT_BYTES, Cutter, Follower, Outcome, Schedule, Tally, acknowledgement, commit,
    read_acknowledgement,
};
use super::end::PRIORITY;
use super::wire::CONNECT_MAX;

/// The name in the receiver's certificate.
const NAME: &str = "peer";

/// The longest wait before an acknowledgement that we ask of the peer: the least that quinn takes.
const ACKNOWLEDGEMENT_DELAY_MAX: Duration = Duration::from_millis(1);

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// The receiver's self-signed certificate, which the sender trusts, and its key, both in DER.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    pub fn generate() -> Result<Self> {
        let made =
            rcgen::generate_simple_self_signed([NAME.to_owned()]).into_diagnostic().wrap_err("make a certificate")?;
        Ok(Self { certificate: made.cert.der().to_vec(), key: made.signing_key.serialize_der() })
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.clone())
    }
}

/// Sends commits as scheduled and measures their acknowledgements.
pub async fn lead(
    local: SocketAddr,
    remote: SocketAddr,
    identity: &Identity,
    commits_per_second: u32,
    seconds: u32,
) -> Result<Outcome> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate()).into_diagnostic()?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots)).into_diagnostic()?;
    config.transport_config(transport());
    let mut endpoint = Endpoint::client(local).into_diagnostic().wrap_err("open the socket")?;
    endpoint.set_default_client_config(config);
    let connecting = endpoint.connect(remote, NAME).into_diagnostic()?;
    let connected = tokio::time::timeout(CONNECT_MAX, connecting).await.into_diagnostic()?;
    let connection = connected.into_diagnostic().wrap_err("connect")?;
    let (sending, receiving) = connection.open_bi().await.into_diagnostic()?;
    let schedule = Schedule::new(local_now(), commits_per_second, seconds);
    let (pace, due) = unbounded_channel();
    thread::spawn(move || keep_pace(schedule, &pace));
    let tally = RefCell::new(Tally::new(schedule));
    tokio::select! {
        result = write_commits(sending, due, &tally) => result?,
        result = read_acknowledgements(receiving, &tally) => result?,
        () = watch_end(&tally) => {}
    }
    Ok(tally.into_inner().outcome())
}

/// Acknowledges commits until the sender has gone. `listening` is called once the socket is there.
pub async fn follow(local: SocketAddr, identity: &Identity, listening: impl FnOnce() -> Result<()>) -> Result<()> {
    let key = PrivatePkcs8KeyDer::from(identity.key.clone());
    let mut config = ServerConfig::with_single_cert(vec![identity.certificate()], key.into()).into_diagnostic()?;
    config.transport_config(transport());
    let endpoint = Endpoint::server(config, local).into_diagnostic().wrap_err("open the socket")?;
    listening()?;
    let incoming = endpoint.accept().await.ok_or_else(|| miette!("the socket was closed"))?;
    let connection = incoming.await.into_diagnostic().wrap_err("accept a connection")?;
    let (mut sending, mut receiving) = connection.accept_bi().await.into_diagnostic()?;
    let mut cutter = Cutter::new(COMMIT_BYTES);
    let mut follower = Follower::default();
    // The stream ends in an error when the sender has what it wants and goes.
    while let Ok(Some(chunk)) = receiving.read_chunk(READ_BYTES, true).await {
        let mut last = None;
        for message in cutter.take(&chunk.bytes) {
            last = Some(follower.take(&message).ok_or_else(|| miette!("a commit came twice, damaged or too early"))?);
        }
        if let Some(count) = last {
            sending.write_all(&acknowledgement(count)).await.into_diagnostic()?;
        }
    }
    Ok(())
}

fn transport() -> Arc<TransportConfig> {
    let mut frequency = AckFrequencyConfig::default();
    // Zero: each packet is acknowledged at once.
    frequency.ack_eliciting_threshold(VarInt::from_u32(0)).max_ack_delay(Some(ACKNOWLEDGEMENT_DELAY_MAX));
    let mut transport = TransportConfig::default();
    transport.ack_frequency_config(Some(frequency));
    Arc::new(transport)
}

/// Says when each commit is due, from a thread of its own: the runtime's timers are in milliseconds.
fn keep_pace(schedule: Schedule, pace: &UnboundedSender<LocalTime>) {
    become_realtime(PRIORITY);
    for number in 0.. {
        let Some(due) = schedule.due(number) else { return };
        thread::sleep(due.since(local_now()));
        if pace.send(local_now()).is_err() {
            return;
        }
    }
}

/// Writes commits as they become due, then waits for ever: the acknowledgements end the measurement.
async fn write_commits(
    mut sending: SendStream,
    mut due: UnboundedReceiver<LocalTime>,
    tally: &RefCell<Tally>,
) -> Result<()> {
    let mut number = 0;
    while let Some(at) = due.recv().await {
        tally.borrow_mut().sent(at);
        sending.write_all(&commit(number)).await.into_diagnostic().wrap_err("write to the stream")?;
        number += 1;
    }
    std::future::pending().await
}

async fn read_acknowledgements(mut receiving: RecvStream, tally: &RefCell<Tally>) -> Result<()> {
    let mut cutter = Cutter::new(ACKNOWLEDGEMENT_BYTES);
    while let Some(chunk) = receiving.read_chunk(READ_BYTES, true).await.into_diagnostic()? {
        let now = local_now();
        for message in cutter.take(&chunk.bytes) {
            let count =
                read_acknowledgement(&message).ok_or_else(|| miette!("the other end sent no acknowledgement"))?;
            tally.borrow_mut().acknowledged(count, now);
        }
        if tally.borrow().is_over(now) {
            return Ok(());
        }
    }
    Err(miette!("the other end closed the stream"))
}

/// Ends the wait for acknowledgements that do not come.
async fn watch_end(tally: &RefCell<Tally>) {
    while !tally.borrow().is_over(local_now()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
