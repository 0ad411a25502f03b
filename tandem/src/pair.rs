//! `tandem init`, `join` and `invite`: the pair's key meets the files that are written.

use std::io::{BufRead, IsTerminal, Read, Write};

use admin::cli::{InitArguments, InviteArguments, JoinArguments};
use admin::config::Config;
use admin::pairing::{
    Draft, Invitation, Invited, PHONES, PairingError, Questions, Secrets, TOKEN_BYTES_MAX, TokenError, print,
};
use miette::{IntoDiagnostic, Report, Result};
use net::key::PairKey;

/// Characters of an example phone's password: 80 bits.
const PASSWORD_CHARACTERS: usize = 20;

pub fn init(arguments: &InitArguments, out: &mut impl Write) -> Result<()> {
    let stdin = std::io::stdin();
    let (mut input, mut output) = (stdin.lock(), std::io::stderr());
    let questions =
        stdin.is_terminal().then_some(Questions { input: &mut input as &mut dyn BufRead, output: &mut output });
    let draft = Draft::first(arguments, questions).map_err(report)?;
    let key = PairKey::generate().into_diagnostic()?;
    let written = draft.write(&secrets(&key)).map_err(report)?;
    let invitation = draft.invitation(key.bytes());
    let witness = draft.witness_line();
    let invited = Invited {
        written: Some(&written),
        warnings: &draft.warnings(),
        invitation: Some(&invitation),
        witness: witness.as_deref(),
        json: arguments.json,
        token_only: arguments.token_only,
    };
    print(&invited, out).map_err(report)
}

pub fn join(arguments: &JoinArguments, out: &mut impl Write) -> Result<()> {
    let invitation = match arguments.token.as_str() {
        "-" => Invitation::read(&read_token()?),
        token => Invitation::read(token),
    };
    let invitation = invitation.map_err(|error| report(error.into()))?;
    let draft = Draft::second(arguments, &invitation).map_err(report)?;
    let written = draft.write(&secrets(&PairKey::from_bytes(invitation.key))).map_err(report)?;
    let invited = Invited {
        written: Some(&written),
        warnings: &draft.warnings(),
        invitation: None,
        witness: None,
        json: arguments.json,
        token_only: false,
    };
    print(&invited, out).map_err(report)
}

pub fn invite(arguments: &InviteArguments, out: &mut impl Write) -> Result<()> {
    let config = Config::read(&arguments.config).map_err(Report::new)?;
    let key = match &config.peer {
        Some(peer) => PairKey::read(&peer.key_file).into_diagnostic()?,
        None => return Err(report(PairingError::NoPeer { path: arguments.config.clone() })),
    };
    let invitation = Invitation::of(&config, &arguments.config, key.bytes()).map_err(report)?;
    let invited = Invited {
        written: None,
        warnings: &[],
        invitation: Some(&invitation),
        witness: None,
        json: arguments.json,
        token_only: arguments.token_only,
    };
    print(&invited, out).map_err(report)
}

/// One line of standard input.
fn read_token() -> Result<String> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Paste the token and press Enter: ");
    }
    let mut line = String::new();
    let limit = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = std::io::BufReader::new(Read::take(&mut stdin, limit)).read_line(&mut line);
    match read {
        Ok(_) => Ok(line),
        // What is no text is no token.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(report(TokenError::Other.into())),
        Err(error) => Err(report(PairingError::Input(error))),
    }
}

fn secrets(key: &PairKey) -> Secrets {
    let password = |number: &str| {
        let bytes = key.derive(&format!("password of the example phone {number}"));
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.chars().take(PASSWORD_CHARACTERS).collect()
    };
    Secrets { key_file: key.line(), witness_key_file: key.witness_key().line(), phones: PHONES.map(password) }
}

fn report(error: PairingError) -> Report {
    match error {
        PairingError::Config(error) => Report::new(*error),
        other => Err::<(), _>(other).into_diagnostic().err().unwrap_or_else(|| miette::miette!("unknown")),
    }
}
