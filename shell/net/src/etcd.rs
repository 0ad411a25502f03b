//! An etcd cluster as the pair's witness: a thread that carries a node's asks to the deputy that answers them, and the
//! deputy's requests to one of the cluster's members.
//!
//! The thread waits for etcd, so that the node's loop does not. One request is under way; the member that answered last
//! is asked first, and after a failure the next one.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use base::NodeIndex;
use node::cluster::witness::{Answer, Ask, Deputy};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::clock::local_now;
use crate::realtime::become_realtime;
use crate::witness::PairNumber;

pub mod gateway;
mod member;

pub use member::{MemberError, Members};

/// Asks that wait for the thread; only the newest counts, and some seconds of them are enough.
const ASKS_MAX: usize = 64;

/// Below the node's loop and the RTP threads: what it does is short, and a lease must not wait for a busy machine.
const PRIORITY: u8 = 5;

/// Longer files are no certificates, keys or passwords.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How an etcd cluster is reached, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `https://10.77.0.41:2379`, at least one.
    pub members: Vec<String>,
    /// Certificates in PEM of who signs the members' ones; without it those that the web knows.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A user, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    pub pair: PairNumber,
}

/// Why etcd cannot even be asked.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    #[error("cannot read {path} for etcd")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} can be read by others than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    Readable { path: PathBuf, mode: u32 },
    #[error("{path} has no {what} in PEM")]
    Pem { path: PathBuf, what: &'static str },
    #[error("{path} is no line with a password")]
    Password { path: PathBuf },
    #[error("cannot start the thread for etcd")]
    Thread(#[source] io::Error),
}

/// The node's end.
#[derive(Clone, Debug)]
pub struct Asker(SyncSender<Ask>);

impl Asker {
    /// Lost is lost: the next ask comes within some milliseconds.
    pub fn ask(&self, ask: Ask) {
        let _ = self.0.try_send(ask);
    }
}

/// Starts the thread. It gives each answer to `answered`, and tells of a member that fails or works again in `told`, once.
pub fn start(
    settings: &Settings,
    index: NodeIndex,
    answered: impl Fn(Answer) + Send + 'static,
    told: impl Fn(String) + Send + 'static,
) -> Result<Asker, EtcdError> {
    let members = Members::new(settings)?;
    let (sender, asks) = sync_channel(ASKS_MAX);
    let run = move || {
        become_realtime(PRIORITY);
        serve(&asks, members, Deputy::new(index, local_now()), usize::from(index.0), answered, told);
    };
    thread::Builder::new().name("etcd".to_owned()).spawn(run).map_err(EtcdError::Thread)?;
    Ok(Asker(sender))
}

/// Until the node's end is gone.
fn serve(
    asks: &Receiver<Ask>,
    mut members: Members,
    mut deputy: Deputy,
    node: usize,
    answered: impl Fn(Answer),
    told: impl Fn(String),
) {
    while let Ok(first) = asks.recv() {
        let newest = asks.try_iter().last().unwrap_or(first);
        let mut next = deputy.ask(local_now(), newest);
        while let Some(request) = next {
            let outcome = members.carry_out(node, &request);
            if let Some(newest) = asks.try_iter().last() {
                // Nothing comes of it yet: one request is under way.
                deputy.ask(local_now(), newest);
            }
            if let Some(news) = members.news() {
                told(news);
            }
            next = match outcome {
                Ok(reading) => {
                    let step = deputy.read(local_now(), request.number, &reading);
                    if let Some(answer) = step.answer {
                        answered(answer);
                    }
                    step.request
                }
                Err(_) => deputy.failed(local_now(), request.number),
            };
        }
    }
}

fn tls(settings: &Settings) -> Result<TlsConfig, EtcdError> {
    let mut config = TlsConfig::builder();
    if let Some(path) = &settings.ca_file {
        config = config.root_certs(RootCerts::new_with_certs(&certificates(path)?));
    }
    if let Some((certificate, key)) = &settings.identity {
        let identity = ClientCert::new_with_certs(&certificates(certificate)?, private_key(key)?);
        config = config.client_cert(Some(identity));
    }
    Ok(config.build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, EtcdError> {
    let none = || EtcdError::Pem { path: path.into(), what: "certificate" };
    let pem = contents(path, false)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| none())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err(none()) } else { Ok(certificates) }
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, EtcdError> {
    let pem = contents(path, true)?;
    let key = parse_pem(&pem).find_map(|item| match item {
        Ok(PemItem::PrivateKey(key)) => Some(key),
        _ => None,
    });
    key.ok_or_else(|| EtcdError::Pem { path: path.into(), what: "private key" })
}

fn password(path: &Path) -> Result<String, EtcdError> {
    let text = String::from_utf8(contents(path, true)?).ok();
    let line = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    line.filter(|line| !line.is_empty() && !line.contains('\n'))
        .ok_or_else(|| EtcdError::Password { path: path.into() })
}

/// The whole file. A secret one is refused that others can read.
fn contents(path: &Path, secret: bool) -> Result<Vec<u8>, EtcdError> {
    let read = |source| EtcdError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read)?;
    let mode = file.metadata().map_err(read)?.mode() & 0o777;
    if secret && mode & 0o077 != 0 {
        return Err(EtcdError::Readable { path: path.into(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
