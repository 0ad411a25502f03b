//! Long answers to operators, put together in slices: a site has tens of thousands of phones.
//!
//! What a slice tells is as of its own step, so that a phone that registers meanwhile may be in the list or not.

use std::collections::VecDeque;

use pbx::call::CallNumber;
use pbx::qualify::Reachability;
use pbx::registrar::BindingKey;
use pbx::{CallView, PhoneView};

use super::Node;
use crate::event::Now;
use crate::status::{Answer, CallLine, PhoneLine};

/// Contacts, or calls, that are looked at in one step.
const LINES_STEP: usize = 256;

/// Who waits for a list, first come, first served.
pub(super) type Listings = VecDeque<Listing>;

pub(super) struct Listing {
    number: u64,
    list: List,
}

enum List {
    Phones { after: Option<BindingKey>, lines: Vec<PhoneLine> },
    Calls { after: Option<CallNumber>, lines: Vec<CallLine> },
}

impl Node {
    pub(super) fn list_phones(&mut self, now: Now, number: u64) {
        self.list(now, Listing { number, list: List::Phones { after: None, lines: Vec::new() } });
    }

    pub(super) fn list_calls(&mut self, now: Now, number: u64) {
        self.list(now, Listing { number, list: List::Calls { after: None, lines: Vec::new() } });
    }

    fn list(&mut self, now: Now, listing: Listing) {
        self.listings.push_back(listing);
        if self.listings.len() == 1 {
            self.list_some(now);
        }
    }

    /// The next slice; the answer when there is no more.
    pub(super) fn list_some(&mut self, now: Now) {
        let time = self.pbx_now(now);
        let Some(listing) = self.listings.front_mut() else { return };
        let more = match &mut listing.list {
            List::Phones { after, lines } => {
                let (views, last) = self.pbx.phone_views(time, after.as_ref(), LINES_STEP);
                lines.extend(views.into_iter().map(phone_line));
                *after = last;
                after.is_some()
            }
            List::Calls { after, lines } => {
                let (views, last) = self.pbx.call_views(time, *after, LINES_STEP);
                lines.extend(views.into_iter().map(call_line));
                *after = last;
                after.is_some()
            }
        };
        if more {
            return;
        }
        let Some(Listing { number, list }) = self.listings.pop_front() else { return };
        let answer = match list {
            List::Phones { lines, .. } => Answer::Phones(lines),
            List::Calls { lines, .. } => Answer::Calls(lines),
        };
        self.reply(number, answer);
    }
}

fn phone_line(view: PhoneView) -> PhoneLine {
    let (reachability, round_trip_ms) = match view.reachability {
        Reachability::Unknown => ("unknown", None),
        Reachability::Reachable { round_trip } => ("reachable", Some(round_trip.as_secs_f64() * 1000.0)),
        Reachability::Unreachable => ("unreachable", None),
    };
    PhoneLine {
        endpoint: view.endpoint,
        contact: view.contact,
        source: view.source.to_string(),
        user_agent: view.user_agent,
        registered_ms: view.registered.as_millis(),
        expires_seconds: view.expires_in.as_secs(),
        reachability: reachability.into(),
        round_trip_ms,
    }
}

fn call_line(view: CallView) -> CallLine {
    CallLine {
        number: view.number,
        identity: view.identity,
        source: view.source,
        destination: view.destination,
        state: view.state.into(),
        started_ms: view.started.as_millis(),
        age_seconds: view.age.as_secs_f64(),
        talked_seconds: view.talked.map(|talked| talked.as_secs_f64()),
    }
}
