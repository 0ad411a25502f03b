//! Owns what `rtp.conf` means: the range of media ports.

use super::options::RTP;
use super::value::port;
use super::{Draft, General};
use crate::conf::{Conf, Diagnostics};

/// Two calls of two legs with an even and an odd port each; a shorter range can only be a mistake.
const PORTS_MIN: u16 = 8;

/// Reads `[general]`.
pub(super) fn load(conf: &Conf, draft: &mut Draft, diagnostics: &mut Diagnostics) {
    for section in conf.sections.iter().filter(|section| !section.template) {
        if !section.name.eq_ignore_ascii_case("general") {
            diagnostics.warning(&section.place, format!("[{}] is not supported yet, ignored", section.name));
            continue;
        }
        let General { rtp_port_start, rtp_port_end, .. } = &mut draft.general;
        for entry in &section.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "rtpstart" => *rtp_port_start = port(entry, diagnostics).unwrap_or(*rtp_port_start),
                "rtpend" => *rtp_port_end = port(entry, diagnostics).unwrap_or(*rtp_port_end),
                _ => RTP.report(entry, diagnostics),
            }
        }
        if rtp_port_end.checked_sub(*rtp_port_start).is_none_or(|ports| ports < PORTS_MIN - 1) {
            let text = format!("the range {rtp_port_start} to {rtp_port_end} has fewer than {PORTS_MIN} ports");
            diagnostics.error(&section.place, text);
        }
    }
}
