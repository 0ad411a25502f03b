//! Owns making a pair of two machines: what the first one must know, what it hands to the second one, and the files
//! that both get.
//!
//! `ask` puts the questions, `token` is what is carried to the second machine, `files` what is written.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cli::{FileArguments, InitArguments, JoinArguments};
use crate::config::{Config, ConfigError, Link};
use crate::machine::{self, OwnAddress};

mod ask;
mod files;
mod print;
#[cfg(test)]
mod tests;
mod token;

pub use ask::Questions;
pub use files::{PHONES, Secrets, Written};
pub use print::{Invited, print};
pub use token::{Invitation, TOKEN_BYTES_MAX, TokenError};

/// Who is active when both are well: the first machine. `Draft::priority` of the second one leaves room for others.
const PRIORITY_FIRST: u8 = 150;
const PRIORITY_SECOND: u8 = 100;

/// What the third machine gets, beside the pair's key.
const WITNESS_KEY_FILE: &str = "witness.key";

/// Why two machines were not made a pair. Nothing has been written then.
#[derive(Debug, Error)]
pub enum PairingError {
    #[error("`tandem init` must know {flags}: give them, or run it on a terminal and it asks")]
    Missing { flags: String },
    #[error("{} is there already, and nothing is overwritten: move it away, or name another place with {flag}",
            path.display())]
    Exists { path: PathBuf, flag: &'static str },
    #[error("what was given cannot be used:\n{problems}")]
    Unusable { problems: String },
    #[error("this machine has no interface {interface}: name the one for the service address with --interface")]
    NoInterface { interface: String },
    #[error("there is no pair in {}: it has no section [peer]", path.display())]
    NoPeer { path: PathBuf },
    #[error("{} has several service addresses, which an invitation does not carry: copy the file to the other machine by \
             hand, and exchange `local` and `remote`", path.display())]
    SeveralAddresses { path: PathBuf },
    #[error("{} has an etcd as its witness, which an invitation does not carry: take [witness] out, and write it on both \
             machines when the other one has joined", path.display())]
    EtcdWitness { path: PathBuf },
    #[error("read what was typed")]
    Input(#[source] io::Error),
    #[error("ask this machine for its addresses")]
    Machine(#[source] io::Error),
    #[error("write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error("print what was done")]
    Print(#[source] io::Error),
}

impl From<ConfigError> for PairingError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

/// Everything that a configuration file of a pair says, checked, and not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    config_file: PathBuf,
    name: String,
    state_dir: PathBuf,
    pbx_dir: PathBuf,
    key_file: PathBuf,
    failback: &'static str,
    /// With its prefix, as in `10.77.0.100/24`.
    service: String,
    interface: String,
    vrid: u8,
    priority: u8,
    links: Vec<Link>,
    /// Ways to the witness; empty without one.
    witness: Vec<SocketAddr>,
    /// Where the witness's key goes, on the machine that makes it.
    witness_key_file: Option<PathBuf>,
}

impl Draft {
    /// What the first machine of a pair gets. Questions are put for what the flags leave out; without `questions` that
    /// is an error.
    pub fn first(arguments: &InitArguments, questions: Option<Questions<'_>>) -> Result<Self, PairingError> {
        let files = &arguments.files;
        refuse_overwriting(files)?;
        let here = machine::addresses().map_err(PairingError::Machine)?;
        let answers = ask::answers(arguments, &here, questions)?;
        let ends = |own: IpAddr, peer: IpAddr| Link {
            local: SocketAddr::new(own, arguments.port),
            remote: SocketAddr::new(peer, arguments.port),
        };
        let mut links = vec![ends(answers.own, answers.peer)];
        links.extend(arguments.link.iter().map(|link| ends(link.own, link.peer)));
        let interface = answers.interface.ok_or_else(|| PairingError::Missing { flags: "--interface".into() })?;
        let draft = Self::new(
            files,
            answers.name,
            arguments.failback.word(),
            answers.service,
            interface,
            arguments.vrid,
            PRIORITY_FIRST,
            links,
            arguments.witness.clone(),
        )?;
        let witness_key_file = (!draft.witness.is_empty()).then(|| draft.key_file.with_file_name(WITNESS_KEY_FILE));
        if let Some(path) = witness_key_file.clone().filter(|path| path.symlink_metadata().is_ok()) {
            return Err(PairingError::Exists { path, flag: "--key-file" });
        }
        Ok(Self { witness_key_file, ..draft })
    }

    /// What the second machine gets that was invited so.
    pub fn second(arguments: &JoinArguments, invitation: &Invitation) -> Result<Self, PairingError> {
        let files = &arguments.files;
        refuse_overwriting(files)?;
        let here = machine::addresses().map_err(PairingError::Machine)?;
        let own = machine::name();
        // Two machines that were copied from one may have one name.
        let unique = if own == invitation.inviter { format!("{own}-2") } else { own };
        let interface = match &files.interface {
            Some(interface) => interface.clone(),
            None => interface_for(invitation, &here, machine::has_interface)?,
        };
        Self::new(
            files,
            files.name.clone().unwrap_or(unique),
            if invitation.failback_automatic { "automatic" } else { "manual" },
            invitation.service.clone(),
            interface,
            invitation.vrid,
            invitation.priority,
            invitation.links.clone(),
            invitation.witness.clone(),
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn new(
        files: &FileArguments,
        name: String,
        failback: &'static str,
        service: String,
        interface: String,
        vrid: u8,
        priority: u8,
        links: Vec<Link>,
        witness: Vec<SocketAddr>,
    ) -> Result<Self, PairingError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| PairingError::Write { path: path.to_owned(), source })
        };
        let draft = Self {
            config_file: absolute(&files.config)?,
            name,
            state_dir: absolute(&files.state_dir)?,
            pbx_dir: absolute(&files.to_pbx_dir())?,
            key_file: absolute(&files.to_key_file())?,
            failback,
            service,
            interface,
            vrid,
            priority,
            links,
            witness,
            witness_key_file: None,
        };
        // The same checks as at every start, and before anything is written.
        Config::parse(&draft.config_file, draft.config_text()).map_err(unusable)?;
        Ok(draft)
    }

    /// What is odd, and no reason to stop: a machine may be prepared before its network is.
    pub fn warnings(&self) -> Vec<String> {
        let here = machine::addresses().unwrap_or_default();
        let mut warnings = Vec::new();
        for link in self.links.iter().filter(|link| !here.iter().any(|own| own.address == link.local.ip())) {
            warnings.push(format!("this machine does not have the address {} yet", link.local.ip()));
        }
        if !machine::has_interface(&self.interface) {
            warnings.push(format!("this machine does not have the interface {} yet", self.interface));
        }
        if here.iter().any(|own| Some(own.address) == service_address(&self.service)) {
            warnings.push(format!(
                "{} is an address of this machine: take it out of the network's configuration, because Tandem adds and \
                 removes it",
                self.service
            ));
        }
        warnings
    }

    /// What the other machine must know to be the second one.
    pub fn invitation(&self, key: [u8; 32]) -> Invitation {
        Invitation {
            key,
            inviter: self.name.clone(),
            service: self.service.clone(),
            interface: self.interface.clone(),
            vrid: self.vrid,
            priority: other_priority(self.priority),
            failback_automatic: self.failback == "automatic",
            links: self.links.iter().map(exchanged).collect(),
            witness: self.witness.clone(),
        }
    }
}

impl Invitation {
    /// What a node that runs with `config`, read from `path`, tells its second machine.
    pub fn of(config: &Config, path: &Path, key: [u8; 32]) -> Result<Self, PairingError> {
        let (Some(service), Some(peer)) = (&config.service, &config.peer) else {
            return Err(PairingError::NoPeer { path: path.to_owned() });
        };
        if !service.further.is_empty() {
            return Err(PairingError::SeveralAddresses { path: path.to_owned() });
        }
        let witness = config.safeguards.witness.as_ref();
        if witness.is_some_and(|witness| witness.addresses().is_empty()) {
            return Err(PairingError::EtcdWitness { path: path.to_owned() });
        }
        Ok(Self {
            key,
            inviter: config.name.clone(),
            service: format!("{}/{}", service.address, service.prefix_bits),
            interface: service.interface.clone(),
            vrid: service.vrid,
            priority: other_priority(service.priority),
            failback_automatic: config.failback == node::cluster::Failback::Automatic,
            links: peer.links.iter().map(exchanged).collect(),
            witness: witness.map(|witness| witness.addresses().to_vec()).unwrap_or_default(),
        })
    }
}

fn exchanged(link: &Link) -> Link {
    Link { local: link.remote, remote: link.local }
}

fn other_priority(own: u8) -> u8 {
    if own > PRIORITY_SECOND { PRIORITY_SECOND } else { PRIORITY_FIRST }
}

fn service_address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// The second machine's interface may have another name: then it is the one with the address of the first link.
fn interface_for(
    invitation: &Invitation,
    here: &[OwnAddress],
    has_interface: impl Fn(&str) -> bool,
) -> Result<String, PairingError> {
    if has_interface(&invitation.interface) {
        return Ok(invitation.interface.clone());
    }
    let first = invitation.links.first().map(|link| link.local.ip());
    let found = here.iter().find(|own| Some(own.address) == first).map(|own| own.interface.clone());
    found.ok_or_else(|| PairingError::NoInterface { interface: invitation.interface.clone() })
}

fn refuse_overwriting(files: &FileArguments) -> Result<(), PairingError> {
    for (path, flag) in [(files.config.clone(), "--config"), (files.to_key_file(), "--key-file")] {
        if path.symlink_metadata().is_ok() {
            return Err(PairingError::Exists { path, flag });
        }
    }
    Ok(())
}

/// The file is not there yet, so what is told is what was given, and not lines of it.
fn unusable(error: ConfigError) -> PairingError {
    match error {
        ConfigError::Invalid(invalid) => {
            let told = invalid.problems.iter().map(|problem| {
                let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
                format!("  {}{help}", problem.text)
            });
            PairingError::Unusable { problems: told.collect::<Vec<_>>().join("\n") }
        }
        other => other.into(),
    }
}
