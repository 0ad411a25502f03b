//! The members of an etcd cluster, asked over HTTP with JSON: the one that answered last first.

use std::time::{Duration, Instant};

use node::cluster::witness::deputy::{Reading, Request};
use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;

use super::gateway::{self, Header, Keys};
use super::{EtcdError, Settings, password, tls};

/// A request that takes longer is of no use: a lease is half a second, and another member must have its turn within it.
const REQUEST_LIMIT: Duration = Duration::from_millis(250);

/// A password is slow to check on purpose.
const LOGIN_LIMIT: Duration = Duration::from_secs(2);

/// Between two tries of a password that was refused.
const LOGIN_AGAIN: Duration = Duration::from_secs(1);

/// What changes about one member is told as often at most: one that answers now and then would fill the events.
const NEWS_EVERY: Duration = Duration::from_secs(10);

/// An answer has three short values.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why a member did not do what it was asked to. Whether it did is not known.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error("the member of etcd cannot be asked")]
    Silent(#[source] ureq::Error),
    /// In its own words.
    #[error("etcd refuses: {reason}")]
    Refused { reason: String },
    #[error("what answers is no etcd of version 3.4 or later")]
    Unreadable,
}

pub struct Members {
    agent: Agent,
    keys: Keys,
    members: Vec<Member>,
    /// Whose turn it is.
    at: usize,
    login: Option<(String, String)>,
    token: Option<String>,
    /// When etcd refused user or password last, and why.
    locked_out: Option<(Instant, String)>,
    news: Option<String>,
}

struct Member {
    address: String,
    /// As it was told last: why it fails.
    trouble: Option<String>,
    told_at: Option<Instant>,
}

impl Members {
    /// Reads the files that are named.
    pub fn new(settings: &Settings) -> Result<Self, EtcdError> {
        let login = match &settings.login {
            Some((user, file)) => Some((user.clone(), password(file)?)),
            None => None,
        };
        let agent = Agent::config_builder()
            .tls_config(tls(settings)?)
            // What the environment says is for other programs.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .into();
        let member = |address: &String| Member {
            address: address.trim_end_matches('/').to_owned(),
            trouble: None,
            told_at: None,
        };
        Ok(Self {
            agent,
            keys: Keys::new(settings.pair),
            members: settings.members.iter().map(member).collect(),
            at: 0,
            login,
            token: None,
            locked_out: None,
            news: None,
        })
    }

    /// Asks one member.
    pub fn carry_out(&mut self, node: usize, request: &Request) -> Result<Reading, MemberError> {
        let transaction = self.keys.transaction(node, request);
        let reading = self.post(self.at, "kv/txn", &transaction, REQUEST_LIMIT);
        let reading = reading.and_then(|answer| self.keys.reading_of(&answer).ok_or(MemberError::Unreadable));
        self.note(reading.as_ref().err());
        if reading.is_err() && !self.members.is_empty() {
            self.at = (self.at + 1) % self.members.len();
        }
        reading
    }

    /// What has changed about a member since this was asked last.
    pub fn news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// Asks this member for all that a node needs to be allowed, and changes nothing.
    pub fn look(&mut self, member: usize) -> Result<Header, MemberError> {
        let answer = self.post(member, "kv/txn", &self.keys.trial(), LOGIN_LIMIT)?;
        self.keys.reading_of(&answer).ok_or(MemberError::Unreadable)?;
        gateway::header(&answer).ok_or(MemberError::Unreadable)
    }

    /// Whether the member still has what the store was at that revision.
    pub fn remembers(&mut self, member: usize, revision: u64) -> bool {
        let past = self.keys.past(revision);
        self.post(member, "kv/range", &past, LOGIN_LIMIT).is_ok()
    }

    fn note(&mut self, error: Option<&MemberError>) {
        let Some(member) = self.members.get_mut(self.at) else { return };
        let trouble = error.map(in_one_line);
        if member.trouble != trouble && member.told_at.is_none_or(|at| at.elapsed() >= NEWS_EVERY) {
            member.told_at = Some(Instant::now());
            let state = trouble.as_deref().unwrap_or("answers");
            self.news = Some(format!("{}: {state}", member.address));
            member.trouble = trouble;
        }
    }

    fn post(&mut self, member: usize, path: &str, body: &Value, limit: Duration) -> Result<Value, MemberError> {
        self.log_in(member)?;
        let answer = self.send(member, path, body, limit);
        if let Err(MemberError::Refused { reason }) = &answer
            && (reason.contains("invalid auth token") || reason.contains("auth store is old"))
        {
            self.token = None;
        }
        answer
    }

    fn log_in(&mut self, member: usize) -> Result<(), MemberError> {
        let Some((user, password)) = self.login.as_ref().filter(|_| self.token.is_none()) else { return Ok(()) };
        if let Some((_, reason)) = self.locked_out.as_ref().filter(|(at, _)| at.elapsed() < LOGIN_AGAIN) {
            return Err(MemberError::Refused { reason: reason.clone() });
        }
        let answer = self.send(member, "auth/authenticate", &gateway::login(user, password), LOGIN_LIMIT);
        if let Err(MemberError::Refused { reason }) = &answer {
            self.locked_out = Some((Instant::now(), reason.clone()));
        }
        self.token = Some(gateway::token_of(&answer?).ok_or(MemberError::Unreadable)?);
        Ok(())
    }

    fn send(&self, member: usize, path: &str, body: &Value, limit: Duration) -> Result<Value, MemberError> {
        let member = self.members.get(member).ok_or(MemberError::Unreadable)?;
        let mut request = self.agent.post(format!("{}/v3/{path}", member.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let request = request.content_type("application/json").config().timeout_global(Some(limit)).build();
        let mut response = request.send(body.to_string()).map_err(MemberError::Silent)?;
        let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(MemberError::Silent)?;
        match response.status() {
            StatusCode::OK => serde_json::from_slice(&bytes).map_err(|_| MemberError::Unreadable),
            StatusCode::NOT_FOUND => Err(MemberError::Unreadable),
            _ => Err(MemberError::Refused { reason: gateway::refusal_of(&bytes) }),
        }
    }
}

/// The error and its causes.
fn in_one_line(error: &MemberError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
