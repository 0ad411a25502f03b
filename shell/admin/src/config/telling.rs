//! Owns whom a node tells what happens to it: the sections `[events]`, `[alarm]` and `[metrics]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Problems, Section, Value};
use super::sections::elsewhere;
use super::value;

const EVENTS_KEYS: [&str; 1] = ["program"];
const ALARM_KEYS: [&str; 7] =
    ["after_seconds", "repeat_hours", "webhook", "webhook_ca_file", "program", "email", "sendmail"];
const METRICS_KEYS: [&str; 1] = ["listen"];

/// Those of the sections that `[node]` and the others stand beside, with their keys.
pub(super) const SECTIONS: [(&str, &[&str]); 3] =
    [("[events]", &EVENTS_KEYS), ("[alarm]", &ALARM_KEYS), ("[metrics]", &METRICS_KEYS)];

/// A restart of the peer takes some seconds, and is nothing to wake anybody for.
const AFTER_SECONDS_DEFAULT: u64 = 60;
const AFTER_SECONDS_MAX: u64 = 7 * 86_400;

/// Who has not looked after a day is told again.
const REPEAT_HOURS_DEFAULT: u64 = 24;
const REPEAT_HOURS_MAX: u64 = 31 * 24;

/// RFC 5321, section 4.5.3.1.3: a path has at most 256 characters, its angle brackets included.
const EMAIL_BYTES_MAX: usize = 254;

const SENDMAIL_DEFAULT: &str = "/usr/sbin/sendmail";

/// Whom a node tells what happens to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    /// A line for `sh -c` that gets each event as a line of JSON.
    pub events_program: Option<String>,
    pub alarm: Option<AlarmSettings>,
    /// Where Prometheus may ask.
    pub metrics: Option<SocketAddr>,
}

/// When and how somebody is told that calls are not protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmSettings {
    /// Protection was away for this long.
    pub after: Duration,
    /// Between one telling and the next while it lasts.
    pub repeat: Duration,
    pub webhook: Option<Webhook>,
    /// A line for `sh -c`.
    pub program: Option<String>,
    pub email: Option<Email>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub url: String,
    /// Certificates in PEM of who signs the server's one; without it those that the web knows.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    pub to: String,
    /// The program that takes a mail on its standard input, as sendmail does.
    pub sendmail: PathBuf,
}

/// `directory` is where relative paths begin.
pub(super) fn telling(root: &Section<'_>, directory: &Path, has_peer: bool, problems: &mut Problems) -> Telling {
    Telling {
        events_program: events(root, problems),
        alarm: alarm(root, directory, has_peer, problems),
        metrics: metrics(root, problems),
    }
}

fn events(root: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let section = root.section("events", problems)?;
    section.check_keys(&EVENTS_KEYS, |key| elsewhere(key, "[events]"), problems);
    let program = section.text_needed("program", "/usr/local/bin/take-events", problems)?;
    command("program", &program, problems)
}

fn metrics(root: &Section<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let section = root.section("metrics", problems)?;
    section.check_keys(&METRICS_KEYS, |key| elsewhere(key, "[metrics]"), problems);
    let listen = section.text_needed("listen", "127.0.0.1:9123", problems)?;
    let address = listen.value.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    if address.is_none() {
        let help = "write an address and a port, as in listen = \"127.0.0.1:9123\"";
        problems.push(listen.problem(format!("`{}` is no address with a port", listen.value), help));
    }
    address
}

fn alarm(root: &Section<'_>, directory: &Path, has_peer: bool, problems: &mut Problems) -> Option<AlarmSettings> {
    let section = root.section("alarm", problems)?;
    section.check_keys(&ALARM_KEYS, |key| elsewhere(key, "[alarm]"), problems);
    let after = section.number_within("after_seconds", AFTER_SECONDS_DEFAULT, (1, AFTER_SECONDS_MAX), problems);
    let repeat = section.number_within("repeat_hours", REPEAT_HOURS_DEFAULT, (1, REPEAT_HOURS_MAX), problems);
    let webhook = webhook(&section, directory, problems);
    let program = section.text("program", problems).and_then(|text| command("program", &text, problems));
    let to = section.text("email", problems).and_then(|text| mail_address(&text, problems));
    let sendmail = section.text("sendmail", problems);
    let sendmail = PathBuf::from(sendmail.map_or(SENDMAIL_DEFAULT, |text| text.value));
    if !["webhook", "program", "email"].iter().any(|key| section.has(key)) {
        let help = "add at least one of webhook, program and email";
        problems.push(section.problem("[alarm] tells nobody", help));
    }
    if !has_peer {
        let help = "take [alarm] out, or add the section [peer]";
        problems.push(section.problem("[alarm] watches over a pair, and there is no [peer]", help));
    }
    Some(AlarmSettings {
        after: Duration::from_secs(after?),
        repeat: Duration::from_secs(repeat? * 3600),
        webhook,
        program,
        email: to.map(|to| Email { to, sendmail }),
    })
}

pub(super) fn command(key: &str, text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let good = !text.value.trim().is_empty() && !text.value.contains('\0');
    if !good {
        let help = format!("write {key} = \"/path/of/a/program\"; arguments may follow");
        problems.push(text.problem(format!("`{key}` is empty"), help));
    }
    good.then(|| text.value.to_owned())
}

fn webhook(section: &Section<'_>, directory: &Path, problems: &mut Problems) -> Option<Webhook> {
    let ca_file = section
        .text("webhook_ca_file", problems)
        .and_then(|text| value::path("webhook_ca_file", &text, "/etc/tandem/webhook-ca.pem", directory, problems));
    let text = section.text("webhook", problems);
    let uri = text.as_ref().and_then(|text| text.value.parse::<ureq::http::Uri>().ok());
    let scheme = uri.as_ref().filter(|uri| uri.host().is_some()).and_then(|uri| uri.scheme_str());
    if section.has("webhook_ca_file") && scheme != Some("https") {
        let help = "write webhook = \"https://example.org/hook\", or take `webhook_ca_file` out";
        problems.push(section.problem("`webhook_ca_file` means nothing without a webhook with https://", help));
    }
    let text = text?;
    if !matches!(scheme, Some("http" | "https")) {
        let help = "write webhook = \"https://example.org/hook\"";
        problems.push(text.problem(format!("`{}` is no address of a web server", text.value), help));
        return None;
    }
    Some(Webhook { url: text.value.to_owned(), ca_file })
}

/// Only what would break the mail's head is refused; whether the address exists is known to its server alone.
fn mail_address(text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let harmless = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '<' | '>' | ',' | ';' | ':' | '"');
    let parts = text.value.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !local.starts_with('-')
    });
    let good = parts && text.value.len() <= EMAIL_BYTES_MAX && text.value.chars().all(harmless);
    if !good {
        let help = "write one address, as in email = \"ops@example.org\"";
        problems.push(text.problem(format!("`{}` is no mail address", text.value), help));
    }
    good.then(|| text.value.to_owned())
}
