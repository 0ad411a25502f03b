//! Owns the applications: their names, their arguments, and what loading the files says about those that it does not
//! support.

use std::time::Duration;

use super::{Application, Target, substitute};
use crate::conf::{Diagnostics, Place, suggestion};
use crate::configuration::Technology;

/// Targets that one Dial may ring; those beyond are left out, with a warning when it is seen at load time. Each target
/// is a leg in the call's replicated object, whose size is bounded.
const TARGETS_MAX: usize = 32;

/// A day: longer waits are cut to it.
const SECONDS_MAX: f64 = 86_400.0;

/// Applications that run inside of the dialplan and never reach the call machine.
pub(super) const INTERNAL: &[&str] = &["Set", "Goto", "GotoIf"];

/// Applications that the call machine runs.
const SUPPORTED: &[&str] = &["Dial", "Hangup", "Answer", "Echo", "Wait", "NoOp", "Busy", "Congestion"];

/// Applications that Asterisk has and we do not.
const KNOWN: &[&str] = &[
    "AddQueueMember",
    "AGI",
    "AMD",
    "Authenticate",
    "BackGround",
    "BackgroundDetect",
    "BlindTransfer",
    "Bridge",
    "ChanIsAvail",
    "ChannelRedirect",
    "ChanSpy",
    "ConfBridge",
    "ConfKick",
    "ContinueWhile",
    "ControlPlayback",
    "DBdel",
    "DBdeltree",
    "Dictate",
    "Directory",
    "DISA",
    "DumpChan",
    "EAGI",
    "EndWhile",
    "Exec",
    "ExecIf",
    "ExecIfTime",
    "ExitWhile",
    "ExtenSpy",
    "ExternalIVR",
    "FollowMe",
    "ForkCDR",
    "Gosub",
    "GosubIf",
    "GotoIfTime",
    "ImportVar",
    "Incomplete",
    "Log",
    "Macro",
    "MacroExit",
    "MacroIf",
    "MailboxExists",
    "MeetMe",
    "Milliwatt",
    "MinivmRecord",
    "MixMonitor",
    "Monitor",
    "MP3Player",
    "MSet",
    "MusicOnHold",
    "Originate",
    "Page",
    "Park",
    "ParkedCall",
    "PauseQueueMember",
    "Pickup",
    "PickupChan",
    "Playback",
    "PlayTones",
    "PrivacyManager",
    "Progress",
    "Proceeding",
    "Queue",
    "QueueLog",
    "RaiseException",
    "Read",
    "ReadExten",
    "ReceiveFAX",
    "Record",
    "RemoveQueueMember",
    "ResetCDR",
    "RetryDial",
    "Return",
    "Ringing",
    "SayAlpha",
    "SayDigits",
    "SayNumber",
    "SayPhonetic",
    "SayUnixTime",
    "SendDTMF",
    "SendFAX",
    "SendText",
    "SendURL",
    "SetAMAFlags",
    "SIPAddHeader",
    "SIPDtmfMode",
    "SIPRemoveHeader",
    "SLAStation",
    "SLATrunk",
    "SoftHangup",
    "SpeechBackground",
    "StackPop",
    "StartMusicOnHold",
    "Stasis",
    "StopMixMonitor",
    "StopMonitor",
    "StopMusicOnHold",
    "StopPlayTones",
    "System",
    "Transfer",
    "TryExec",
    "TrySystem",
    "UnpauseQueueMember",
    "UserEvent",
    "Verbose",
    "VMAuthenticate",
    "VoiceMail",
    "VoiceMailMain",
    "WaitExten",
    "WaitForNoise",
    "WaitForRing",
    "WaitForSilence",
    "WaitUntil",
    "While",
    "Zapateller",
];

/// Dial options that hold already: the caller always hears ringing while a phone rings.
const DIAL_OPTIONS_HOLDING: &str = "r";

/// The other letters that Asterisk's Dial knows.
const DIAL_OPTIONS_KNOWN: &str = "AabBcCdDeEfFgGhHiIjJkKlLmMnNopPQRsStTuUvVwWxXyYzZ";

/// Channel technologies of other drivers, for a clearer warning.
const OTHER_TECHNOLOGIES: &[&str] = &[
    "Agent",
    "AudioSocket",
    "Console",
    "DAHDI",
    "Gosub",
    "IAX2",
    "Local",
    "Motif",
    "MGCP",
    "Skinny",
    "UniStim",
    "Zap",
];

fn is(name: &str) -> impl Fn(&&str) -> bool {
    move |known| known.eq_ignore_ascii_case(name)
}

/// Whether the application takes arguments in which a `|` can only be an old-fashioned comma.
pub(super) fn separates_by_bar(name: &str) -> bool {
    ["Dial", "Goto", "Wait", "Hangup", "Busy", "Congestion", "Answer"].iter().any(is(name))
}

/// Splits at commas outside of parentheses, brackets, braces and quotes; the last of `parts_max` takes all that is
/// left.
pub(super) fn split(text: &str, separator: char, parts_max: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while parts.len() + 1 < parts_max {
        let Some(at) = find_outside(rest, separator) else { break };
        parts.push(rest.get(..at).unwrap_or("").trim());
        rest = rest.get(at + separator.len_utf8()..).unwrap_or("");
    }
    parts.push(rest.trim());
    parts
}

fn find_outside(text: &str, separator: char) -> Option<usize> {
    let (mut depth, mut quoted) = (0_i32, false);
    text.find(|letter| {
        if letter == separator && depth <= 0 && !quoted {
            return true;
        }
        match letter {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        false
    })
}

/// The application with its arguments, whose variables are already replaced. What cannot be read takes its default, as
/// in Asterisk.
pub(super) fn parse(name: &str, data: &str) -> Application {
    let first = || split(data, ',', 2).first().copied().unwrap_or("");
    match name.to_ascii_lowercase().as_str() {
        "dial" => dial(data),
        "hangup" => Application::Hangup { cause: cause(first()) },
        "answer" => {
            let delay = first().parse().unwrap_or(0.0_f64) / 1000.0;
            Application::Answer { delay: duration(delay).unwrap_or_default() }
        }
        "echo" => Application::Echo,
        "wait" => Application::Wait(seconds(first()).unwrap_or_default()),
        "noop" => Application::NoOp(data.to_owned()),
        "busy" => Application::Busy { timeout: seconds(first()) },
        "congestion" => Application::Congestion { timeout: seconds(first()) },
        _ => Application::Unknown { name: name.to_owned() },
    }
}

fn dial(data: &str) -> Application {
    let arguments = split(data, ',', 4);
    let argument = |index: usize| arguments.get(index).copied().unwrap_or("");
    let targets = argument(0).split('&').map(str::trim).filter(|target| !target.is_empty()).take(TARGETS_MAX);
    Application::Dial {
        targets: targets.map(target).collect(),
        timeout: seconds(argument(1)),
        options: argument(2).to_owned(),
    }
}

/// `SIP/phone`, `SIP/trunk/number`, `SIP/number@trunk`, `PJSIP/phone`, `PJSIP/number@trunk`.
fn target(text: &str) -> Target {
    let (technology, rest) = text.split_once('/').unwrap_or(("", text));
    let technology = match technology.to_ascii_lowercase().as_str() {
        "sip" => Some(Technology::Sip),
        "pjsip" => Some(Technology::PjSip),
        _ => return Target { technology: None, endpoint: text.to_owned(), number: None },
    };
    let (endpoint, number) = if let Some((number, endpoint)) = rest.split_once('@') {
        (endpoint, Some(number))
    } else if let Some((endpoint, number)) = rest.split_once('/') {
        (endpoint, Some(number))
    } else {
        (rest, None)
    };
    let number = number.filter(|number| !number.is_empty()).map(str::to_owned);
    Target { technology, endpoint: endpoint.to_owned(), number }
}

/// Seconds, with a fraction or without; `None` when empty or no number. Zero counts as no limit.
fn seconds(text: &str) -> Option<Duration> {
    duration(text.trim().parse().ok()?)
}

fn duration(seconds: f64) -> Option<Duration> {
    (seconds.is_finite() && seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// A Q.850 cause by number or by the name that Asterisk gives it.
fn cause(text: &str) -> Option<u8> {
    const NAMES: &[(&str, u8)] = &[
        ("UNALLOCATED", 1),
        ("NO_ROUTE_TRANSIT_NET", 2),
        ("NO_ROUTE_DESTINATION", 3),
        ("NORMAL", 16),
        ("NORMAL_CLEARING", 16),
        ("BUSY", 17),
        ("USER_BUSY", 17),
        ("NO_USER_RESPONSE", 18),
        ("NOANSWER", 19),
        ("NO_ANSWER", 19),
        ("SUBSCRIBER_ABSENT", 20),
        ("CALL_REJECTED", 21),
        ("NUMBER_CHANGED", 22),
        ("DESTINATION_OUT_OF_ORDER", 27),
        ("INVALID_NUMBER_FORMAT", 28),
        ("FACILITY_REJECTED", 29),
        ("NORMAL_UNSPECIFIED", 31),
        ("CONGESTION", 34),
        ("NORMAL_CIRCUIT_CONGESTION", 34),
        ("FAILURE", 38),
        ("NETWORK_OUT_OF_ORDER", 38),
        ("NORMAL_TEMPORARY_FAILURE", 41),
        ("SWITCH_CONGESTION", 42),
        ("INTERWORKING", 127),
    ];
    let text = text.trim();
    let by_number = text.parse().ok().filter(|cause| (1..=127).contains(cause));
    by_number.or_else(|| NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, cause)| *cause))
}

/// The targets of a Dial that do not depend on the call.
pub(super) fn fixed_targets(name: &str, data: &str) -> Vec<Target> {
    if !name.eq_ignore_ascii_case("Dial") {
        return Vec::new();
    }
    let targets = split(data, ',', 2).first().copied().unwrap_or("");
    let fixed = split(targets, '&', TARGETS_MAX).into_iter().filter(|text| !text.is_empty() && !text.contains('$'));
    fixed.map(target).filter(|target| target.technology.is_some()).collect()
}

/// Says at load time what will not work when this line runs.
pub(super) fn check(name: &str, data: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let supported = SUPPORTED.iter().chain(INTERNAL);
    if !supported.clone().any(is(name)) {
        let text = if KNOWN.iter().any(is(name)) {
            format!("the application {name} is not supported yet: a call that meets it ends")
        } else {
            let hint = suggestion::hint(name, supported.chain(KNOWN).copied());
            format!("unknown application {name}: a call that meets it ends{hint}")
        };
        diagnostics.warning(place, text);
    }
    check_pieces(data, place, diagnostics);
    match name.to_ascii_lowercase().as_str() {
        "dial" => check_dial(data, place, diagnostics),
        "wait" | "busy" | "congestion" | "answer" => {
            let argument = split(data, ',', 2).first().copied().unwrap_or("");
            check_number(name, argument, place, diagnostics);
        }
        "hangup" => {
            let argument = split(data, ',', 2).first().copied().unwrap_or("");
            if !argument.is_empty() && !argument.contains('$') && cause(argument).is_none() {
                diagnostics.warning(place, format!("Hangup: `{argument}` is no cause, ignored"));
            }
        }
        _ => {}
    }
}

fn check_number(name: &str, argument: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let is_number = argument.parse::<f64>().is_ok_and(|number| number.is_finite() && number >= 0.0);
    if !argument.is_empty() && !argument.contains('$') && !is_number {
        diagnostics.error(place, format!("{name}: `{argument}` is no number of seconds"));
    }
}

fn check_dial(data: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let arguments = split(data, ',', 4);
    let argument = |index: usize| arguments.get(index).copied().unwrap_or("");
    let targets: Vec<&str> = split(argument(0), '&', usize::MAX);
    if targets.len() > TARGETS_MAX {
        diagnostics.warning(place, format!("Dial: more than {TARGETS_MAX} targets; the others are left out"));
    }
    for text in targets.into_iter().filter(|text| !text.starts_with('$')) {
        if text.is_empty() {
            diagnostics.warning(place, "Dial: an empty target");
            continue;
        }
        let Some((technology, rest)) = text.split_once('/') else {
            diagnostics.warning(place, format!("Dial: `{text}` is not of the form TECHNOLOGY/name"));
            continue;
        };
        if technology.contains('$') {
            continue;
        }
        if OTHER_TECHNOLOGIES.iter().any(is(technology)) {
            diagnostics.warning(place, format!("Dial: {technology}/ is not supported yet, the target is unreachable"));
        } else if target(text).technology.is_none() {
            let hint = suggestion::hint(technology, ["SIP", "PJSIP"]);
            diagnostics.warning(place, format!("Dial: unknown technology {technology}/{hint}"));
        } else if rest.contains("sip:") {
            diagnostics.warning(place, "Dial: a SIP URI as a target is not supported yet, the target is unreachable");
        }
    }
    check_number("Dial", argument(1), place, diagnostics);
    check_dial_options(argument(2), place, diagnostics);
}

fn check_dial_options(options: &str, place: &Place, diagnostics: &mut Diagnostics) {
    if options.contains('$') {
        return;
    }
    let mut depth = 0_i32;
    for letter in options.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth > 0 || DIAL_OPTIONS_HOLDING.contains(letter) => {}
            _ if DIAL_OPTIONS_KNOWN.contains(letter) => {
                diagnostics.warning(place, format!("Dial: the option {letter} is not supported yet, ignored"));
            }
            _ => diagnostics.warning(place, format!("Dial: unknown option {letter}, ignored")),
        }
    }
}

/// Looks for functions and operators that nobody here knows.
fn check_pieces(data: &str, place: &Place, diagnostics: &mut Diagnostics) {
    // The pieces inside of pieces, by a list of what is still to be looked at; each is shorter than what holds it.
    let mut waiting = vec![data];
    while let Some(text) = waiting.pop() {
        for piece in substitute::pieces(text) {
            match piece {
                substitute::Piece::Text(_) => {}
                substitute::Piece::Variable(inside) => {
                    waiting.push(inside);
                    check_function(inside, place, diagnostics);
                }
                substitute::Piece::Expression(inside) => {
                    waiting.push(inside);
                    if super::expression::uses_unsupported(inside) {
                        diagnostics.warning(place, "`=~` and `~~` in $[...] are not supported yet: it is empty");
                    }
                }
            }
        }
    }
}

pub(super) fn check_function(reference: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let Some((name, _)) = substitute::function(reference) else { return };
    if name.contains('$') || substitute::FUNCTIONS.iter().any(is(name)) {
        return;
    }
    let hint = suggestion::hint(name, substitute::FUNCTIONS.iter().copied());
    diagnostics.warning(place, format!("the function {name}() is not supported yet: it is empty{hint}"));
}
