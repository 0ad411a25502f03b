//! Owns what Prometheus is told: the names, units and meanings of the node's metrics.
//!
//! The exporter answers on threads of its own. The node's loop hands over a look each second and the time of each step;
//! neither waits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use metrics::{
    Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use node::{AboutLine, Status};
use thiserror::Error;

#[cfg(test)]
mod tests;

const STEP: &str = "tandem_step_seconds";

/// No step should take longer than 2 ms, so that is a bound of its own.
const STEP_BUCKETS: [f64; 11] = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

/// The roles that `tandem_role` has a series for.
const ROLES: [&str; 4] = ["active", "alone", "standby", "starting"];

#[derive(Debug, Error)]
pub enum MetricsError {
    #[error("answer Prometheus at {listen}")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: BuildError,
    },
}

/// One path to the peer, as the network room counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkNumbers {
    /// The remote end.
    pub name: String,
    pub received: u64,
    pub sent: u64,
    /// Datagrams that were not taken: not authentic, replayed, or of an unknown session.
    pub ignored: u64,
    pub handshakes: u64,
}

/// Audio, as the network room counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioNumbers {
    pub packets_received: u64,
    pub packets_sent: u64,
    pub errors: u64,
}

/// The node's metrics. They are registered once in a process.
pub struct Metrics {
    /// By the kind of event, each made with the first of its kind.
    steps: BTreeMap<&'static str, Histogram>,
}

impl Metrics {
    /// Answers at `listen` from now on.
    pub fn start(listen: SocketAddr) -> Result<Self, MetricsError> {
        let failed = |source| MetricsError::Listen { listen, source };
        let builder = PrometheusBuilder::new().with_http_listener(listen);
        let builder = builder.set_buckets_for_metric(Matcher::Full(STEP.into()), &STEP_BUCKETS).map_err(failed)?;
        builder.install().map_err(failed)?;
        describe();
        Ok(Self::new())
    }

    fn new() -> Self {
        Self { steps: BTreeMap::new() }
    }

    /// How long the node took for one event of this kind.
    pub fn step(&mut self, event: &'static str, took: Duration) {
        let histogram = self.steps.entry(event).or_insert_with(|| histogram!(STEP, "event" => event));
        histogram.record(took.as_secs_f64());
    }

    /// About each second.
    pub fn look(&self, status: &Status, links: &[LinkNumbers], audio: AudioNumbers) {
        for role in ROLES {
            set(&gauge!("tandem_role", "role" => role), f64::from(u8::from(status.role == role)));
        }
        let flag = |value: bool| f64::from(u8::from(value));
        set(&gauge!("tandem_protected"), flag(status.protected));
        set(&gauge!("tandem_unprotected_seconds"), status.unprotected_seconds);
        set(&gauge!("tandem_lag_seconds"), status.lag_ms / 1000.0);
        set(&gauge!("tandem_registrations"), status.registrations as f64);
        set(&gauge!("tandem_calls"), status.calls as f64);
        set(&gauge!("tandem_records_waiting"), status.records_waiting as f64);
        set(&gauge!("tandem_log_entries"), status.lsn as f64);
        set(&gauge!("tandem_journal_entries"), status.journal_lsn as f64);
        set(&gauge!("tandem_holds_address"), flag(status.address.is_some()));
        set(&gauge!("tandem_drained"), flag(status.drain.is_some()));
        set(&gauge!("tandem_level"), f64::from(status.level));
        set(&gauge!("tandem_priority"), f64::from(status.priority));
        if let Some(peer) = &status.peer {
            set(&gauge!("tandem_peer_up"), flag(peer.up));
            set(&gauge!("tandem_peer_in_step"), flag(peer.in_step));
            set(&gauge!("tandem_peer_drained"), flag(peer.drain.is_some()));
            set(&gauge!("tandem_links_up"), peer.links_up as f64);
            set(&gauge!("tandem_links"), peer.links as f64);
            // What a peer that is down had told means nothing any more.
            let told = |value: &dyn Fn(&AboutLine) -> f64| peer.about.as_ref().map_or(f64::NAN, value);
            let versions = status.configuration.as_ref().filter(|config| config.head.is_some());
            let equal = |about: &AboutLine| match versions {
                Some(config) => flag(config.runs_head && config.peer_runs_head == Some(true)),
                None => flag(about.configuration_hash == status.configuration_hash),
            };
            set(&gauge!("tandem_peer_clock_ahead_seconds"), told(&|about| about.clock_ahead_ms / 1000.0));
            set(&gauge!("tandem_configuration_equal"), told(&equal));
        }
        if let Some(config) = &status.configuration {
            set(&gauge!("tandem_configuration_conflict"), flag(config.conflict.is_some()));
            set(&gauge!("tandem_configuration_refused"), config.refused.len() as f64);
        }
        if let Some(witness) = &status.witness {
            set(&gauge!("tandem_witness_up"), flag(witness.up));
            set(&gauge!("tandem_witness_lease"), flag(witness.lease == "this node"));
            set(&gauge!("tandem_witness_counts"), flag(witness.counts));
            set(&gauge!("tandem_witness_round_trip_seconds"), witness.round_trip_ms.map_or(f64::NAN, |ms| ms / 1000.0));
        }
        if let Some(pings) = &status.pings {
            set(&gauge!("tandem_ping_targets"), f64::from(pings.targets));
            set(&gauge!("tandem_ping_targets_answering"), f64::from(pings.answering));
        }
        if let Some(records) = &status.records {
            set(&gauge!("tandem_records_store_up"), flag(records.trouble.is_none()));
            set(&gauge!("tandem_records_spooled"), records.spooled as f64);
            set(&gauge!("tandem_records_oldest_seconds"), records.oldest_seconds.unwrap_or_default() as f64);
        }
        for link in links {
            counter!("tandem_link_received_total", "link" => link.name.clone()).absolute(link.received);
            counter!("tandem_link_sent_total", "link" => link.name.clone()).absolute(link.sent);
            counter!("tandem_link_ignored_total", "link" => link.name.clone()).absolute(link.ignored);
            counter!("tandem_link_handshakes_total", "link" => link.name.clone()).absolute(link.handshakes);
        }
        counter!("tandem_audio_packets_received_total").absolute(audio.packets_received);
        counter!("tandem_audio_packets_sent_total").absolute(audio.packets_sent);
        counter!("tandem_audio_errors_total").absolute(audio.errors);
    }
}

fn set(gauge: &Gauge, value: f64) {
    gauge.set(value);
}

fn describe() {
    describe_gauge!("tandem_role", "1 for the role that the node has");
    describe_gauge!("tandem_protected", "1 when the death of a node would lose nothing");
    describe_gauge!("tandem_unprotected_seconds", Unit::Seconds, "Time without protection since the program began");
    describe_gauge!("tandem_lag_seconds", Unit::Seconds, "Age of the oldest change that the peer has not acknowledged");
    describe_gauge!("tandem_registrations", "Phones that are registered");
    describe_gauge!("tandem_calls", "Calls in progress");
    describe_gauge!("tandem_records_waiting", "Call records that not every store has yet");
    describe_gauge!("tandem_records_store_up", "1 while the store of call records takes them");
    describe_gauge!("tandem_records_spooled", "Call records on this disk because they were too many for the log");
    describe_gauge!("tandem_records_oldest_seconds", Unit::Seconds, "Since the end of the oldest call that waits here");
    describe_gauge!("tandem_log_entries", "Number of the last entry of the log");
    describe_gauge!("tandem_journal_entries", "Number of the last entry that the journal has written");
    describe_gauge!("tandem_priority", "Priority less what fails of what is tracked");
    describe_gauge!("tandem_holds_address", "1 when the service address is on this machine");
    describe_gauge!("tandem_drained", "1 while an operator wants this node out of service");
    describe_gauge!("tandem_level", "What the pair writes into its log: what the older of its two programs can read");
    describe_gauge!("tandem_peer_drained", "1 while an operator wants the peer out of service");
    describe_gauge!("tandem_peer_up", "1 while the peer is heard");
    describe_gauge!("tandem_peer_in_step", "1 while the standby has everything");
    describe_gauge!("tandem_links_up", "Links on which the peer is heard");
    describe_gauge!("tandem_links", "Links that are configured");
    describe_gauge!("tandem_peer_clock_ahead_seconds", Unit::Seconds, "How far the peer's wall clock is ahead of ours");
    describe_gauge!("tandem_configuration_equal", "1 when both nodes have the same files of the phones");
    describe_gauge!("tandem_configuration_conflict", "1 while two edits of the phones' files wait for a decision");
    describe_gauge!("tandem_configuration_refused", "Nodes whose files of the phones do not check");
    describe_gauge!("tandem_witness_up", "1 while the witness answers");
    describe_gauge!("tandem_witness_lease", "1 while this node has the witness's lease");
    describe_gauge!("tandem_witness_counts", "1 while the witness has a say in who serves");
    describe_gauge!("tandem_witness_round_trip_seconds", Unit::Seconds, "From an ask of the witness to its answer");
    describe_gauge!("tandem_ping_targets", "Ping targets that are configured");
    describe_gauge!("tandem_ping_targets_answering", "Ping targets that answer this node");
    describe_counter!("tandem_link_received_total", "Messages of the peer on a link");
    describe_counter!("tandem_link_sent_total", "Messages to the peer on a link");
    describe_counter!("tandem_link_ignored_total", "Datagrams on a link that were not authentic, or seen before");
    describe_counter!("tandem_link_handshakes_total", "Sessions that came into use on a link");
    describe_counter!("tandem_audio_packets_received_total", "RTP and RTCP packets of phones");
    describe_counter!("tandem_audio_packets_sent_total", "RTP and RTCP packets to phones");
    describe_counter!("tandem_audio_errors_total", "Reads and sends of audio that failed");
    describe_histogram!(STEP, Unit::Seconds, "How long the node takes for one event; 2 ms is the bound");
}
