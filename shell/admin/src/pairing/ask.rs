//! Owns the questions of `tandem init`: what flags leave out is asked for, with what the machine itself suggests.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use super::PairingError;
use crate::cli::InitArguments;
use crate::machine::{self, OwnAddress};

/// How often an answer that makes no sense is asked for again.
const TRIES_MAX: usize = 3;

/// A terminal.
pub struct Questions<'a> {
    pub input: &'a mut dyn BufRead,
    pub output: &'a mut dyn Write,
}

/// What the first machine must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub name: String,
    pub own: IpAddr,
    pub peer: IpAddr,
    /// With its prefix.
    pub service: String,
    pub interface: Option<String>,
}

pub(super) fn answers(
    arguments: &InitArguments,
    here: &[OwnAddress],
    questions: Option<Questions<'_>>,
) -> Result<Answers, PairingError> {
    let interface_of = |address: IpAddr| here.iter().find(|own| own.address == address);
    let (Some(own), Some(peer), Some(service)) =
        (arguments.own_address, arguments.peer_address, arguments.service.clone())
    else {
        let Some(questions) = questions else { return Err(missing(arguments)) };
        return asked(arguments, here, questions);
    };
    let interface = arguments.files.interface.clone().or_else(|| Some(interface_of(own)?.interface.clone()));
    let name = arguments.files.name.clone().unwrap_or_else(machine::name);
    Ok(Answers { name, own, peer, service: with_prefix(service, interface_of(own)), interface })
}

fn missing(arguments: &InitArguments) -> PairingError {
    let flags = [
        ("--own-address", arguments.own_address.is_none()),
        ("--peer-address", arguments.peer_address.is_none()),
        ("--service", arguments.service.is_none()),
    ];
    let missing: Vec<&str> = flags.into_iter().filter(|(_, missing)| *missing).map(|(flag, _)| flag).collect();
    PairingError::Missing { flags: missing.join(", ") }
}

fn asked(
    arguments: &InitArguments,
    here: &[OwnAddress],
    mut questions: Questions<'_>,
) -> Result<Answers, PairingError> {
    let name = match &arguments.files.name {
        Some(name) => name.clone(),
        None => questions.text("Name of this node", Some(machine::name()))?,
    };
    let suggested = here.iter().find(|own| own.address.is_ipv4()).map(|own| own.address);
    let own = match arguments.own_address {
        Some(own) => own,
        None => questions.address("This machine's own address", suggested, None)?,
    };
    let peer = match arguments.peer_address {
        Some(peer) => peer,
        None => questions.address("The other machine's address", None, Some(own))?,
    };
    let own_interface = here.iter().find(|here| here.address == own);
    let service = match &arguments.service {
        Some(service) => service.clone(),
        None => questions.text("The address that phones register at (a free one of their network)", None)?,
    };
    let interface = match &arguments.files.interface {
        Some(interface) => interface.clone(),
        None => {
            let suggested = own_interface.map(|own| own.interface.clone());
            questions.text("The network interface that gets it", suggested)?
        }
    };
    Ok(Answers { name, own, peer, service: with_prefix(service, own_interface), interface: Some(interface) })
}

/// Whoever gives the service address without a prefix means the subnet of the machine's own address.
fn with_prefix(service: String, own: Option<&OwnAddress>) -> String {
    match own {
        Some(own) if !service.contains('/') && service.parse::<IpAddr>().is_ok() => {
            format!("{service}/{}", own.prefix_bits)
        }
        _ => service,
    }
}

impl Questions<'_> {
    fn text(&mut self, question: &str, suggested: Option<String>) -> Result<String, PairingError> {
        self.ask(question, suggested.as_deref(), |answer| {
            if answer.is_empty() { Err("an answer is needed".into()) } else { Ok(answer.to_owned()) }
        })
    }

    fn address(
        &mut self,
        question: &str,
        suggested: Option<IpAddr>,
        other_than: Option<IpAddr>,
    ) -> Result<IpAddr, PairingError> {
        let suggested = suggested.map(|address| address.to_string());
        self.ask(question, suggested.as_deref(), |answer| match answer.parse::<IpAddr>() {
            Ok(address) if Some(address) == other_than => Err(format!("{address} is this machine's own address")),
            Ok(address) => Ok(address),
            Err(_) => Err(format!("`{answer}` is no IP address")),
        })
    }

    fn ask<T>(
        &mut self,
        question: &str,
        suggested: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, PairingError> {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            let default = suggested.map(|suggested| format!(" [{suggested}]")).unwrap_or_default();
            write!(self.output, "{question}{default}: ")
                .and_then(|()| self.output.flush())
                .map_err(PairingError::Input)?;
            let mut line = String::new();
            if self.input.read_line(&mut line).map_err(PairingError::Input)? == 0 {
                return Err(PairingError::Input(io::ErrorKind::UnexpectedEof.into()));
            }
            let typed = line.trim();
            let answer = if typed.is_empty() { suggested.unwrap_or_default() } else { typed };
            match check(answer) {
                Ok(answer) => return Ok(answer),
                Err(reason) => {
                    writeln!(self.output, "  {reason}").map_err(PairingError::Input)?;
                    last = reason;
                }
            }
        }
        Err(PairingError::Unusable { problems: format!("  {question}: {last}") })
    }
}
