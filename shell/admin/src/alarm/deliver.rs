//! Owns bringing a message to a webhook, a program and a mailbox: each on a thread of its own, tried again a few times,
//! and a failure becomes an event.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::Message;
use crate::config::{AlarmSettings, Email, Webhook};
use crate::events::{Teller, Telling};
use crate::program::{run, shell};

/// Messages are hours apart; so many wait only where every try fails. Then the newest are dropped, and told as events.
const WAITING_MAX: usize = 16;

/// Pauses before further tries. After the last one the message is given up: the next one repeats it anyway.
const PAUSES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];

/// How long a web server or a program may take.
const WEBHOOK_LIMIT: Duration = Duration::from_secs(15);
const PROGRAM_LIMIT: Duration = Duration::from_secs(60);

/// Where messages go.
#[derive(Debug)]
pub(super) struct Targets {
    targets: Vec<Target>,
    teller: Teller,
}

#[derive(Debug)]
struct Target {
    name: &'static str,
    queue: SyncSender<Message>,
}

impl Targets {
    pub(super) fn start(settings: &AlarmSettings, teller: &Teller) -> io::Result<Self> {
        let mut targets = Vec::new();
        if let Some(to) = settings.webhook.clone() {
            targets.push(Target::start("webhook", teller, move |message| webhook(&to, message))?);
        }
        if let Some(command) = settings.program.clone() {
            targets.push(Target::start("program", teller, move |message| program(&command, message))?);
        }
        if let Some(email) = settings.email.clone() {
            targets.push(Target::start("email", teller, move |message| mail(&email, message))?);
        }
        Ok(Self { targets, teller: teller.clone() })
    }

    pub(super) fn deliver(&self, message: &Message) {
        for target in &self.targets {
            if target.queue.try_send(message.clone()).is_err() {
                self.teller.tell(failed(target.name, "too many messages wait already"));
            }
        }
    }
}

impl Target {
    fn start(
        name: &'static str,
        teller: &Teller,
        deliver: impl Fn(&Message) -> Result<(), String> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let teller = teller.clone();
        thread::Builder::new().name(format!("alarm {name}")).spawn(move || serve(name, &waiting, &teller, deliver))?;
        Ok(Self { name, queue })
    }
}

fn serve(
    name: &'static str,
    waiting: &Receiver<Message>,
    teller: &Teller,
    deliver: impl Fn(&Message) -> Result<(), String>,
) {
    for message in waiting {
        let mut pauses = PAUSES.iter();
        while let Err(reason) = deliver(&message) {
            teller.tell(failed(name, &reason));
            match pauses.next() {
                Some(pause) => thread::sleep(*pause),
                None => break,
            }
        }
    }
}

fn failed(name: &str, reason: &str) -> Telling {
    Telling::new("alarm_failed", format!("the alarm could not be told by {name}: {reason}")).with("by", name)
}

/// Messages are hours apart: the certificates are read each time, and may be renewed in between.
pub(super) fn webhook(to: &Webhook, message: &Message) -> Result<(), String> {
    let roots = to.ca_file.as_deref().map_or(Ok(RootCerts::WebPki), roots)?;
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = ureq::Agent::config_builder().timeout_global(Some(WEBHOOK_LIMIT)).tls_config(tls);
    let body = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    let request = ureq::Agent::from(config.build()).post(&to.url).header("content-type", "application/json");
    request.send(&body[..]).map(drop).map_err(|error| error.to_string())
}

fn roots(path: &Path) -> Result<RootCerts, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let found = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Err(format!("{} has no certificate", path.display()));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// The message comes to its standard input as a line of JSON.
pub(super) fn program(command: &str, message: &Message) -> Result<(), String> {
    let mut input = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    input.push(b'\n');
    run(&mut shell(command), &input, PROGRAM_LIMIT)
}

fn mail(email: &Email, message: &Message) -> Result<(), String> {
    // The recipient comes from the head: a program of another kind cannot take it for an option.
    run(Command::new(&email.sendmail).args(["-t", "-i"]), mail_text(email, message).as_bytes(), PROGRAM_LIMIT)
}

/// RFC 5322. Whatever the node says becomes one line of plain ASCII in the head.
pub(super) fn mail_text(email: &Email, message: &Message) -> String {
    let subject = match message.alarm {
        "protected" => format!("tandem: {} is protected again", message.node),
        "witness_lost" => format!("tandem: {} does not reach the WITNESS", message.node),
        "witness_back" => format!("tandem: {} reaches the witness again", message.node),
        "records_wait" => format!("tandem: call records of {} WAIT for their store", message.node),
        "records_stored" => format!("tandem: call records of {} are stored again", message.node),
        _ => format!("tandem: {} is NOT PROTECTED", message.node),
    };
    let plain = |text: &str| text.chars().filter(|letter| matches!(letter, ' '..='~')).collect::<String>();
    let body: String = message.text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    format!(
        "To: {}\nSubject: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nAuto-Submitted: auto-generated\n\
         \n{body}\n\n`tandem status` and `tandem events` on the machine tell more.\n",
        email.to,
        plain(&subject),
    )
}
