//! The encrypted link to the peer over UDP: datagrams in, datagrams out, time as an argument.
//!
//! The side with the lower address and port initiates a Noise handshake (NNpsk0, keyed with the pair's key). The
//! answer proves the responder to the initiator, which uses the new session at once; the initiator's first packet
//! proves it to the responder, which until then keeps sending on the old session. A recorded initiation can therefore
//! be replayed without any effect on a running session. A responder that starts asks for a handshake by a signed
//! hint, so that it is back within a round trip.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use base::{Incarnation, LocalTime, Random};
use snow::HandshakeState;

use crate::key::PairKey;

mod packet;
mod session;

use packet::{Keys, Packet};
use session::{Opened, Session};

/// With heartbeats each 30 ms, so long a silence means that the session is of no use (any more).
const SILENCE: Duration = Duration::from_millis(200);

/// The first repetition of an unanswered initiation or hint; each further pause is twice as long...
const REPEAT_FIRST: Duration = Duration::from_millis(20);
/// ...up to this one, which is how long a peer that comes back without a word stays unnoticed.
const REPEAT_LAST: Duration = Duration::from_millis(200);

/// An initiation is repeated unchanged so long, because its answer may take longer than the pause before the next.
/// Then a fresh one is made.
const ATTEMPT_AGE_MAX: Duration = Duration::from_secs(1);

/// How long packets of the session before the present one are still taken: they were under way.
const PREVIOUS_KEPT: Duration = Duration::from_secs(2);

/// Sessions that a responder has answered and that have not proven themselves. Beyond it the oldest is forgotten;
/// only replayed initiations make so many.
const CANDIDATES_MAX: usize = 8;

/// Initiations that a responder recognises as replayed without computing anything. Older ones cost a computation and
/// a place among the candidates, nothing else.
const INITIATIONS_REMEMBERED: usize = 256;

/// Hints that an initiator recognises as replayed. An older one causes a needless handshake.
const HINTS_REMEMBERED: usize = 256;

/// Hints are heeded no more often than this, so that replayed ones cannot keep a node busy.
const HINT_PAUSE: Duration = Duration::from_millis(20);

/// What an authentic or a useless datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of the peer.
    Plain(Vec<u8>),
    /// Nothing for the owner; send this datagram to the peer.
    Reply(Vec<u8>),
    /// The peer's parent says that this daemon is dead.
    Farewell(Incarnation),
    Ignored(Ignored),
}

/// Why a datagram brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It did not come from the configured remote address.
    Source,
    /// Not a datagram of this protocol, cut short, or not for this side.
    Malformed,
    /// Made with another key, or damaged.
    Unauthentic,
    /// Seen before, or too old.
    Replayed,
    /// For a session that is not known (any more).
    UnknownSession,
    /// A handshake answer or a hint that was not needed.
    Unneeded,
    /// Authentic, but it only proved that a new session works.
    Proof,
}

/// Counts for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Messages of the peer.
    pub received: u64,
    /// Messages to the peer.
    pub sent: u64,
    pub ignored_source: u64,
    pub ignored_malformed: u64,
    pub ignored_unauthentic: u64,
    pub ignored_replayed: u64,
    pub ignored_unknown_session: u64,
    /// Sessions that came into use.
    pub handshakes: u64,
}

/// A handshake that waits for its answer.
#[derive(Debug)]
struct Attempt {
    id: u32,
    handshake: HandshakeState,
    datagram: Vec<u8>,
    started: LocalTime,
}

/// A session that the responder has answered and that has yet to prove itself.
#[derive(Debug)]
struct Candidate {
    session: Session,
    initiation: [u8; 32],
    answer: Vec<u8>,
}

/// One configured path between the two nodes.
#[derive(Debug)]
pub struct Link {
    local: SocketAddr,
    remote: SocketAddr,
    keys: Keys,
    random: Random,
    current: Option<Session>,
    previous: Option<(Session, LocalTime)>,
    attempt: Option<Attempt>,
    candidates: VecDeque<Candidate>,
    initiations_seen: VecDeque<[u8; 32]>,
    hints_seen: VecDeque<[u8; 16]>,
    hint_heeded_at: Option<LocalTime>,
    /// When a packet last proved that the present session works.
    heard_at: LocalTime,
    /// Not before this is the next initiation or hint sent.
    speak_at: LocalTime,
    pause: Duration,
    counts: LinkCounts,
}

impl Link {
    /// The longest message `seal` takes: the stream's segments of 1,200 bytes fit with room.
    pub const PLAIN_BYTES_MAX: usize = 1_400;

    /// A link without a session. Ask `timeout(now)` at once for its first datagram.
    pub fn new(local: SocketAddr, remote: SocketAddr, key: &PairKey, random: Random, now: LocalTime) -> Self {
        Self {
            local,
            remote,
            keys: Keys::new(key),
            random,
            current: None,
            previous: None,
            attempt: None,
            candidates: VecDeque::new(),
            initiations_seen: VecDeque::new(),
            hints_seen: VecDeque::new(),
            hint_heeded_at: None,
            heard_at: now,
            speak_at: now,
            pause: REPEAT_FIRST,
            counts: LinkCounts::default(),
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// Whether a session is there, so that `seal` works.
    pub fn is_established(&self) -> bool {
        self.current.is_some()
    }

    /// The datagram that carries `plain`; `None` without a session or when `plain` is empty or too long.
    pub fn seal(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.is_empty() || plain.len() > Self::PLAIN_BYTES_MAX {
            return None;
        }
        let session = self.current.as_mut()?;
        let datagram = session.seal(packet::data_head(session.remote_id), plain)?;
        self.counts.sent += 1;
        Some(datagram)
    }

    /// Takes a datagram that came to `local` from `source`.
    pub fn receive(&mut self, now: LocalTime, source: SocketAddr, datagram: &[u8]) -> Received {
        let received = if (source.ip(), source.port()) == (self.remote.ip(), self.remote.port()) {
            self.take(now, datagram)
        } else {
            Received::Ignored(Ignored::Source)
        };
        self.count(&received);
        received
    }

    /// When `timeout` wants to be called.
    pub fn deadline(&self) -> LocalTime {
        match &self.current {
            Some(session) if self.attempt.is_none() && !session.is_worn() => self.speak_at.max(self.heard_at + SILENCE),
            _ => self.speak_at,
        }
    }

    /// Does what is due; the datagram, if any, goes to `remote`. Early calls do nothing.
    pub fn timeout(&mut self, now: LocalTime) -> Option<Vec<u8>> {
        if now < self.deadline() {
            return None;
        }
        let is_fresh = |attempt: &Attempt| now.since(attempt.started) < ATTEMPT_AGE_MAX;
        let datagram = if !self.is_initiator() {
            packet::hint(&self.keys, self.random.bytes())
        } else if let Some(attempt) = self.attempt.as_ref().filter(|attempt| is_fresh(attempt)) {
            attempt.datagram.clone()
        } else {
            self.new_attempt(now)
        };
        self.speak_at = now + self.pause;
        self.pause = (self.pause * 2).min(REPEAT_LAST);
        Some(datagram).filter(|datagram| !datagram.is_empty())
    }

    fn is_initiator(&self) -> bool {
        (self.local.ip(), self.local.port()) < (self.remote.ip(), self.remote.port())
    }

    /// A new handshake's first datagram; empty if the system denies randomness, which ends with the next attempt.
    fn new_attempt(&mut self, now: LocalTime) -> Vec<u8> {
        let id = self.new_id();
        match packet::initiate(&self.keys, id) {
            Ok((handshake, datagram)) => {
                self.attempt = Some(Attempt { id, handshake, datagram: datagram.clone(), started: now });
                datagram
            }
            Err(error) => {
                tracing::warn!(%error, "cannot begin a handshake on the peer link");
                Vec::new()
            }
        }
    }

    fn take(&mut self, now: LocalTime, datagram: &[u8]) -> Received {
        match Packet::parse(datagram) {
            Some(Packet::Data { receiver_id, number, cipher }) => self.take_data(now, receiver_id, number, cipher),
            Some(Packet::Initiation { initiator_id, noise }) if !self.is_initiator() => {
                self.take_initiation(now, initiator_id, noise)
            }
            Some(Packet::Answer { initiator_id, noise }) if self.is_initiator() => {
                self.take_answer(now, initiator_id, noise)
            }
            Some(Packet::Hint { challenge, code }) if self.is_initiator() => self.take_hint(now, challenge, code),
            Some(Packet::Farewell { incarnation, code }) => {
                if packet::is_farewell_authentic(&self.keys, incarnation, code) {
                    Received::Farewell(incarnation)
                } else {
                    Received::Ignored(Ignored::Unauthentic)
                }
            }
            _ => Received::Ignored(Ignored::Malformed),
        }
    }

    fn take_data(&mut self, now: LocalTime, receiver_id: u32, number: u64, cipher: &[u8]) -> Received {
        let candidate = self.candidates.iter().position(|candidate| candidate.session.local_id == receiver_id);
        let session = if let Some(session) = self.current.as_mut().filter(|it| it.local_id == receiver_id) {
            session
        } else if let Some((session, _)) =
            self.previous.as_mut().filter(|(session, until)| session.local_id == receiver_id && now < *until)
        {
            session
        } else if let Some(candidate) = candidate.and_then(|index| self.candidates.get_mut(index)) {
            &mut candidate.session
        } else {
            return Received::Ignored(Ignored::UnknownSession);
        };
        let plain = match session.open(number, cipher) {
            Opened::Plain(plain) => plain,
            Opened::Replayed => return Received::Ignored(Ignored::Replayed),
            Opened::Unauthentic => return Received::Ignored(Ignored::Unauthentic),
        };
        self.heard_at = now;
        if let Some(index) = candidate {
            // Older candidates are of attempts that the initiator has given up.
            let proven = self.candidates.drain(..=index).next_back();
            if let Some(proven) = proven {
                self.adopt(now, proven.session);
            }
        }
        if plain.is_empty() { Received::Ignored(Ignored::Proof) } else { Received::Plain(plain) }
    }

    fn take_initiation(&mut self, now: LocalTime, initiator_id: u32, noise: &[u8; 48]) -> Received {
        // The ephemeral public key at the front is different in each genuine initiation.
        let Some(initiation) = noise.first_chunk::<32>() else { return Received::Ignored(Ignored::Malformed) };
        if let Some(candidate) = self.candidates.iter().find(|candidate| candidate.initiation == *initiation) {
            return Received::Reply(candidate.answer.clone());
        }
        if self.initiations_seen.contains(initiation) {
            return Received::Ignored(Ignored::Replayed);
        }
        let id = self.new_id();
        let Ok((transport, answer)) = packet::answer(&self.keys, initiator_id, id, noise) else {
            return Received::Ignored(Ignored::Unauthentic);
        };
        remember(&mut self.initiations_seen, *initiation, INITIATIONS_REMEMBERED);
        let session = Session::new(id, initiator_id, transport);
        remember(
            &mut self.candidates,
            Candidate { session, initiation: *initiation, answer: answer.clone() },
            CANDIDATES_MAX,
        );
        // The initiator is at work: hints would only make it begin again.
        self.speak_at = self.speak_at.max(now + REPEAT_LAST);
        Received::Reply(answer)
    }

    fn take_answer(&mut self, now: LocalTime, initiator_id: u32, noise: &[u8; 52]) -> Received {
        let Some(mut attempt) = self.attempt.take_if(|attempt| attempt.id == initiator_id) else {
            return Received::Ignored(Ignored::Unneeded);
        };
        let Some(remote_id) = packet::read_answer(&mut attempt.handshake, noise) else {
            self.attempt = Some(attempt);
            return Received::Ignored(Ignored::Unauthentic);
        };
        let Ok(transport) = attempt.handshake.into_stateless_transport_mode() else {
            return Received::Ignored(Ignored::Unauthentic);
        };
        self.heard_at = now;
        self.adopt(now, Session::new(attempt.id, remote_id, transport));
        // The responder sends on the new session as soon as one packet has proven it.
        let proof = self.current.as_mut().and_then(|session| session.seal(packet::data_head(remote_id), &[]));
        proof.map_or(Received::Ignored(Ignored::Proof), Received::Reply)
    }

    fn take_hint(&mut self, now: LocalTime, challenge: [u8; 16], code: &[u8; 32]) -> Received {
        if !packet::is_hint_authentic(&self.keys, challenge, code) {
            return Received::Ignored(Ignored::Unauthentic);
        }
        if self.hints_seen.contains(&challenge) {
            return Received::Ignored(Ignored::Replayed);
        }
        remember(&mut self.hints_seen, challenge, HINTS_REMEMBERED);
        if self.hint_heeded_at.is_some_and(|at| now.since(at) < HINT_PAUSE) {
            return Received::Ignored(Ignored::Unneeded);
        }
        self.hint_heeded_at = Some(now);
        // An initiation under way may have been lost on a peer that was not there yet: it is said again.
        let datagram = match &self.attempt {
            Some(attempt) => attempt.datagram.clone(),
            None => self.new_attempt(now),
        };
        self.pause = REPEAT_FIRST;
        self.speak_at = now + self.pause;
        if datagram.is_empty() { Received::Ignored(Ignored::Unneeded) } else { Received::Reply(datagram) }
    }

    /// Takes a proven session into use; the one before it still receives what is under way.
    fn adopt(&mut self, now: LocalTime, session: Session) {
        self.previous = self.current.replace(session).map(|session| (session, now + PREVIOUS_KEPT));
        self.counts.handshakes += 1;
        self.speak_at = now;
        self.pause = REPEAT_FIRST;
    }

    /// An id that no live session of this link has.
    fn new_id(&mut self) -> u32 {
        loop {
            let id = self.random.number() as u32;
            let current = self.current.iter().chain(self.previous.iter().map(|(session, _)| session));
            let mut used = current.chain(self.candidates.iter().map(|candidate| &candidate.session));
            if !used.any(|session| session.local_id == id) {
                return id;
            }
        }
    }

    fn count(&mut self, received: &Received) {
        let counts = &mut self.counts;
        match received {
            Received::Plain(_) => counts.received += 1,
            Received::Reply(_) | Received::Farewell(_) => {}
            Received::Ignored(Ignored::Source) => counts.ignored_source += 1,
            Received::Ignored(Ignored::Malformed) => counts.ignored_malformed += 1,
            Received::Ignored(Ignored::Unauthentic) => counts.ignored_unauthentic += 1,
            Received::Ignored(Ignored::Replayed) => counts.ignored_replayed += 1,
            Received::Ignored(Ignored::UnknownSession) => counts.ignored_unknown_session += 1,
            Received::Ignored(Ignored::Unneeded | Ignored::Proof) => {}
        }
    }
}

/// The datagram by which a parent says that its daemon `incarnation` is dead. Needs no session. Sending it again
/// later is harmless, because it names one life of one daemon.
pub fn farewell(key: &PairKey, incarnation: Incarnation) -> Vec<u8> {
    packet::farewell(&Keys::new(key), incarnation)
}

/// Appends; the oldest goes when there are too many.
fn remember<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() >= max {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests;
