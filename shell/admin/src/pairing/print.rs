//! Owns what `tandem init`, `join` and `invite` print: what was written, and what to do next.

use std::io::Write;

use serde_json::json;

use super::{Invitation, PairingError, Written};

/// How the token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Human,
    Json,
    /// The token and a newline, for a pipe.
    Token,
}

/// What was done.
pub struct Invited<'a> {
    /// `None` where nothing was to be written.
    pub written: Option<&'a Written>,
    pub warnings: &'a [String],
    /// `None` on the second machine, where there is nobody left to invite.
    pub invitation: Option<&'a Invitation>,
    /// The command for the pair's witness, where one was named.
    pub witness: Option<&'a str>,
    pub json: bool,
    pub token_only: bool,
}

impl Invited<'_> {
    fn form(&self) -> Form {
        match (self.json, self.token_only) {
            (true, _) => Form::Json,
            (_, true) => Form::Token,
            _ => Form::Human,
        }
    }
}

/// Prints to `out`.
pub fn print(invited: &Invited<'_>, out: &mut impl Write) -> Result<(), PairingError> {
    let text = match (invited.form(), invited.invitation) {
        (Form::Token, Some(invitation)) => invitation.token() + "\n",
        (Form::Json, _) => as_json(invited),
        _ => as_text(invited),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(PairingError::Print)
}

fn as_json(invited: &Invited<'_>) -> String {
    let names = |written: &Written| written.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let kept = invited.written.and_then(|written| written.kept.as_ref());
    let token = invited.invitation.map(Invitation::token);
    let value = json!({
        "written": invited.written.map(names).unwrap_or_default(),
        "kept": kept.map(|path| path.display().to_string()),
        "warnings": invited.warnings,
        "join": token.as_ref().map(|token| format!("tandem join {token}")),
        "token": token,
        "witness": invited.witness,
    });
    format!("{value:#}\n")
}

fn as_text(invited: &Invited<'_>) -> String {
    let mut lines: Vec<String> = Vec::new();
    if let Some(written) = invited.written {
        lines.extend(written.files.iter().map(|file| format!("wrote {}", file.display())));
        lines.extend(written.kept.iter().map(|path| format!("kept  {}, which was there already", path.display())));
    }
    lines.extend(invited.warnings.iter().map(|warning| format!("warning: {warning}")));
    if let Some(invitation) = invited.invitation {
        lines.extend([
            String::new(),
            "On the other machine, run this line:".into(),
            String::new(),
            format!("tandem join {}", invitation.token()),
            String::new(),
            "It holds the pair's secret key: whoever reads it can be one of the two machines. Do not mail it. Where \
             others\nuse the machine, run `tandem join -` there and paste the last word, or from here in one step:"
                .into(),
            String::new(),
            format!("tandem invite --token-only | ssh {} tandem join -", first_address(invitation)),
            String::new(),
            "Then, on both: `tandem doctor` tells what the machine lacks, and `tandem serve` starts the node.".into(),
        ]);
        if let Some(witness) = invited.witness {
            lines.extend([
                String::new(),
                "On the third machine, once it has the file witness.key (mode 0600, copied over ssh):".into(),
                String::new(),
                witness.to_owned(),
            ]);
        }
    } else {
        lines.push(
            "This is the second machine now. `tandem doctor` tells what it lacks, `tandem serve` starts it.".into(),
        );
    }
    lines.join("\n") + "\n"
}

fn first_address(invitation: &Invitation) -> String {
    invitation.links.first().map(|link| link.local.ip().to_string()).unwrap_or_default()
}
