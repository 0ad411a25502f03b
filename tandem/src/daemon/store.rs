//! The daemon's end of the store of call records: what its thread says goes to the node, and what people should know of
//! it becomes an event.

use admin::events::Telling as Told;
use miette::{IntoDiagnostic, Result};
use node::Event;
use node::cdr::StoreState;
use storage::CdrStore;
use storage::cdr::{CdrEvent, Target};

use super::inbox::InboxSender;
use super::telling::Telling;
use crate::setup::Setup;

pub fn start(setup: &Setup, telling: &Telling, sender: &InboxSender) -> Result<CdrStore> {
    let (sender, teller) = (sender.clone(), telling.teller());
    let told = std::sync::Mutex::new(StoreState::default());
    let events = move |event| match event {
        CdrEvent::Stored { identities } => sender.event(Event::RecordsStored { identities }),
        CdrEvent::Spooled { identities } => sender.event(Event::RecordsSpooled { identities }),
        CdrEvent::State(state) => {
            if let Ok(mut told) = told.lock() {
                if let Some(event) = news(&told, &state) {
                    tracing::info!("{}", event.text);
                    teller.tell(event);
                }
                *told = state.clone();
            }
            sender.event(Event::StoreTold(Box::new(state)));
        }
    };
    CdrStore::start(&setup.state_dir, setup.records.clone(), events).into_diagnostic()
}

/// One store for both nodes.
pub fn is_shared(setup: &Setup) -> bool {
    matches!(setup.records, Target::Server(_))
}

/// What is told: that records wait and why, when the reason changes, and when it is over; which address takes them.
fn news(before: &StoreState, now: &StoreState) -> Option<Told> {
    let told = |text: String, waits: bool| {
        let told = Told::new("records", text).with("waits", waits).with("waiting", now.waiting);
        told.with("spooled", now.spooled).with("store", now.store.as_str())
    };
    match (&before.trouble, &now.trouble) {
        (before, Some(trouble)) if before.as_ref() != Some(trouble) => {
            Some(told(format!("call records wait for their store: {trouble}"), true))
        }
        (Some(_), None) => Some(told(format!("call records are being stored again, in {}", now.store), false)),
        (None, None) if !before.store.is_empty() && before.store != now.store => {
            let why = now.avoided.as_ref().map(|why| format!(", because {why}")).unwrap_or_default();
            Some(told(format!("call records are stored in {} now{why}", now.store), false))
        }
        _ => None,
    }
}
