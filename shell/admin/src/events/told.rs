//! Owns how what the node tells becomes an event.

use node::Tell;
use node::cluster::track::Cost;

use super::Telling;

/// `None` for what is told in another way, such as the steps of a takeover.
pub fn of_tell(tell: &Tell) -> Option<Telling> {
    let text = tell.to_string();
    let telling = match tell {
        Tell::BecameActive { epoch, cause } => {
            Telling::new("active", text).with("epoch", epoch.to_string()).with("cause", *cause)
        }
        Tell::BecameStandby { epoch, cause } => {
            Telling::new("standby", text).with("epoch", epoch.to_string()).with("cause", *cause)
        }
        Tell::PeerUp { .. } => Telling::new("peer_up", text),
        Tell::PeerDown { silent, .. } => Telling::new("peer_down", text).with("silent_ms", millis(*silent)),
        Tell::Protected { unprotected } => {
            Telling::new("protected", text).with("unprotected_seconds", unprotected.as_secs_f64())
        }
        Tell::Unprotected { cause } => Telling::new("unprotected", text).with("cause", *cause),
        Tell::Merged { calls, registrations, records } => Telling::new("merged", text)
            .with("calls", *calls)
            .with("registrations", *registrations)
            .with("records", *records),
        Tell::HandOver { step } => Telling::new("hand_over", text).with("step", *step),
        Tell::Drain(drain) => Telling::new("drain", text).with("on", drain.is_on()),
        Tell::Level { level, own } => Telling::new("level", text).with("level", level.0).with("own", own.0),
        Tell::PeerTooOld { .. } => Telling::new("trouble", text),
        Tell::Cluster(notice) if notice.is_of_witness() => Telling::new("witness", text),
        Tell::Cluster(_) => Telling::new("cluster", text),
        Tell::Vrrp(notice) => Telling::new("vrrp", text).with("trouble", notice.is_trouble()),
        Tell::Track(notice) => {
            let (subtracts, fault) = match notice.costs {
                Cost::Nothing => (0, false),
                Cost::Subtracts(weight) => (weight, false),
                Cost::Fault => (0, true),
            };
            let told = Telling::new("track", text).with("track", notice.name.as_str());
            told.with("subtracts", subtracts).with("fault", fault)
        }
        Tell::Trouble(_) => Telling::new("trouble", text),
        Tell::SaidAgain { .. } => return None,
    };
    Some(telling)
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
