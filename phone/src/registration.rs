//! The phone's registration (RFC 3261 section 10.2): sent by command and when its timer says so, never else.

use crate::client::{Purpose, Request};
use crate::config::PhoneConfig;
use crate::message::{Message, parameter, uri};
use crate::phone::Phone;
use crate::random::Random;
use crate::record::{Method, PhoneEvent, Violation};

/// Phones ask for a minute more than they mean to use, so that a lost refresh does not lose the registration.
const MARGIN_S: u32 = 60;

/// How long a phone waits after a failed registration before it tries again by itself.
const RETRY_US: u64 = 30_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Registration {
    call_id: String,
    from: String,
    cseq: u32,
    /// Seconds to ask for; a server may demand more (423).
    expires_s: u32,
    /// What the user wants; differs from `sent` while a REGISTER is on its way.
    wanted: bool,
    /// What the REGISTER on its way asks for.
    sent: Option<bool>,
    pub(crate) registered: bool,
    pub(crate) next_at: Option<u64>,
}

impl Registration {
    pub(crate) fn new(random: &mut Random, config: &PhoneConfig) -> Self {
        let server = server_host(config);
        Self {
            call_id: format!("{}@{}", random.token(), config.address.ip()),
            from: format!("<sip:{}@{server}>;tag={}", config.user, random.token()),
            cseq: 0,
            expires_s: config.register_every_s.saturating_add(MARGIN_S),
            wanted: false,
            sent: None,
            registered: false,
            next_at: None,
        }
    }
}

/// The server as it is written in addresses of record: without the port when it is the usual one.
pub(crate) fn server_host(config: &PhoneConfig) -> String {
    match (config.server.port(), config.server) {
        (5060, std::net::SocketAddr::V4(server)) => server.ip().to_string(),
        (_, server) => server.to_string(),
    }
}

impl Phone {
    pub(crate) fn register(&mut self, now_us: u64) {
        self.registration.wanted = true;
        self.registration.next_at = None;
        self.send_register(now_us);
    }

    pub(crate) fn unregister(&mut self, now_us: u64) {
        self.registration.wanted = false;
        self.registration.next_at = None;
        self.send_register(now_us);
    }

    /// Only one REGISTER at a time (RFC 3261 section 10.2); a change of mind meanwhile follows its answer.
    fn send_register(&mut self, now_us: u64) {
        if self.registration.sent.is_some() {
            return;
        }
        self.counters.registrations_begun += 1;
        let registration = &mut self.registration;
        registration.sent = Some(registration.wanted);
        registration.cseq += 1;
        let from = registration.from.clone();
        let request = Request {
            method: Method::Register,
            uri: format!("sip:{}", server_host(&self.config)),
            route: Vec::new(),
            to: from.split(';').next().unwrap_or_default().to_owned(),
            from,
            call_id: registration.call_id.clone(),
            cseq: registration.cseq,
            contact: true,
            expires_s: Some(if registration.wanted { registration.expires_s } else { 0 }),
            body: None,
            authorization: None,
        };
        self.send_request(now_us, request, self.config.server, Purpose::Register);
    }

    pub(crate) fn next_register_cseq(&mut self) -> u32 {
        self.registration.cseq += 1;
        self.registration.cseq
    }

    pub(crate) fn register_finished(&mut self, now_us: u64, status: u16, message: Option<&Message<'_>>) {
        let sent = self.registration.sent.take().unwrap_or(self.registration.wanted);
        self.event(PhoneEvent::Final { call: None, method: Method::Register, status });
        match (status, message) {
            (200..=299, Some(message)) if sent => self.registration_granted(now_us, message),
            (200..=299, _) => {
                self.registration.registered = false;
                self.event(PhoneEvent::Unregistered);
            }
            (423, Some(message)) if sent && self.longer_expiry(message) => self.send_register(now_us),
            _ => {
                self.registration.registered = false;
                self.event(PhoneEvent::RegisterFailed { status: message.map(|_| status) });
                if sent {
                    self.registration.next_at = Some(now_us + RETRY_US);
                }
            }
        }
        if self.registration.wanted != sent && self.registration.sent.is_none() {
            self.registration.next_at = None;
            self.send_register(now_us);
        }
    }

    fn registration_granted(&mut self, now_us: u64, message: &Message<'_>) {
        let default = message.header("expires").and_then(|value| value.parse().ok());
        let own = message.list("contact").into_iter().find(|contact| uri(contact) == self.contact);
        let expires_s = own.and_then(|contact| {
            let parameters = contact.rsplit_once('>').map_or("", |(_, parameters)| parameters);
            parameter(parameters, ';', "expires").and_then(|value| value.parse().ok()).or(default)
        });
        let expires_s: u32 = match expires_s {
            Some(expires_s) if expires_s > 0 => expires_s,
            _ => {
                self.violation(Violation::ContactMissing);
                self.registration.expires_s
            }
        };
        let every_s = self.config.register_every_s;
        let next_s = if expires_s >= every_s.saturating_add(MARGIN_S) {
            u64::from(every_s)
        } else {
            (u64::from(expires_s) * 9 / 10).max(1).min(u64::from(every_s.max(1)))
        };
        self.registration.next_at = Some(now_us + next_s * 1_000_000);
        self.registration.registered = true;
        self.counters.registrations_granted += 1;
        self.event(PhoneEvent::Registered { expires_s });
    }

    /// 423 Interval Too Brief: asks for what the server wants (RFC 3261 section 10.2.8), when that is longer.
    fn longer_expiry(&mut self, message: &Message<'_>) -> bool {
        match message.header("min-expires").and_then(|value| value.parse().ok()) {
            Some(least_s) if least_s > self.registration.expires_s => {
                self.registration.expires_s = least_s;
                true
            }
            _ => false,
        }
    }
}
