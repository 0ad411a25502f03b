//! Owns the reading of `extensions.conf`: sections into contexts, lines into priorities, and the checks at load time.

use std::collections::BTreeMap;

use super::application;
use super::context::{CallerMatch, Context, Extension, Line, Spot, without_dashes};
use super::execution::destination;
use super::pattern::Pattern;
use super::substitute::{Scope, substitute};
use super::{Caller, Dialplan};
use crate::conf::{Conf, Diagnostics, Entry, Section, suggestion};
use crate::configuration::yes_or_no;

/// Asterisk's options in `[general]` that hold here in any case, or that have no meaning here.
const GENERAL_HOLDING: &[&str] =
    &["static", "writeprotect", "extenpatternmatchnew", "clearglobalvars", "priorityjumping", "userscontext"];

/// The keys of a context, for hints.
const CONTEXT_KEYS: &[&str] = &["exten", "same", "include", "ignorepat", "switch", "lswitch", "eswitch", "autohints"];

/// Priorities are numbered by hand or counted; a greater one is a mistake and an error.
const PRIORITY_MAX: u32 = 1_000_000;

/// Reads the globals, then all contexts, then checks what refers to what.
pub(crate) fn load(conf: &Conf, diagnostics: &mut Diagnostics) -> Dialplan {
    let mut dialplan = Dialplan::default();
    let sections = || conf.sections.iter().filter(|section| !section.template);
    for entry in sections().filter(|section| is(section, "general")).flat_map(|section| &section.entries) {
        general(entry, diagnostics);
    }
    for entry in sections().filter(|section| is(section, "globals")).flat_map(|section| &section.entries) {
        if let Some(value) = with_globals(&entry.value, entry, &dialplan.globals, diagnostics) {
            dialplan.globals.insert(entry.key.to_string(), value);
        }
    }
    for section in sections().filter(|section| !is(section, "general") && !is(section, "globals")) {
        let context = dialplan.contexts.entry(section.name.to_string()).or_default();
        let mut reader = Reader { context, globals: &dialplan.globals, extension: None, priority: None, diagnostics };
        section.entries.iter().for_each(|entry| reader.entry(entry));
    }
    for context in dialplan.contexts.values_mut() {
        context.patterns.sort_by(|(left, by_left), (right, by_right)| {
            left.order(right).then_with(|| by_left.caller.order(&by_right.caller))
        });
        for extensions in context.exact.values_mut() {
            extensions.sort_by(|left, right| left.caller.order(&right.caller));
        }
    }
    check(&dialplan, conf, diagnostics);
    dialplan
}

fn is(section: &Section, name: &str) -> bool {
    section.name.eq_ignore_ascii_case(name)
}

fn general(entry: &Entry, diagnostics: &mut Diagnostics) {
    let key = entry.key.to_ascii_lowercase();
    if key == "autofallthrough" {
        if yes_or_no(&entry.value) != Some(true) {
            let text = "`autofallthrough` is always yes: a call without a next priority ends";
            diagnostics.warning(&entry.place, text);
        }
    } else if !GENERAL_HOLDING.contains(&key.as_str()) {
        let hint = suggestion::hint(&key, GENERAL_HOLDING.iter().copied().chain(["autofallthrough"]));
        let text = format!("unknown option `{}` in extensions.conf [general], ignored{hint}", entry.key);
        diagnostics.warning(&entry.place, text);
    }
}

fn with_globals(
    text: &str,
    entry: &Entry,
    globals: &BTreeMap<String, String>,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    match substitute(text, Scope { globals, execution: None }) {
        Ok(text) => Some(text),
        Err(error) => {
            diagnostics.error(&entry.place, error.to_string());
            None
        }
    }
}

/// Reads the lines of one context.
struct Reader<'a> {
    context: &'a mut Context,
    globals: &'a BTreeMap<String, String>,
    /// What `same` goes on with: name or pattern, and the callers, as written.
    extension: Option<String>,
    /// What `n` counts on from.
    priority: Option<u32>,
    diagnostics: &'a mut Diagnostics,
}

/// The parts of `priority[+offset][(label)]`.
struct Priority<'a> {
    number: u32,
    label: Option<&'a str>,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Entry) {
        match entry.key.to_ascii_lowercase().as_str() {
            "exten" => {
                let Some((extension, rest)) = entry.value.split_once(',') else {
                    return self.error(entry, "`exten` needs an extension, a priority and an application");
                };
                let Some(extension) = with_globals(extension.trim(), entry, self.globals, self.diagnostics) else {
                    return;
                };
                if extension.is_empty() {
                    return self.error(entry, "the extension is empty");
                }
                self.extension = Some(extension.clone());
                self.line(&extension, rest, entry);
            }
            "same" => match self.extension.clone() {
                Some(extension) => self.line(&extension, &entry.value, entry),
                None => self.error(entry, "`same` stands before the first `exten` of the context"),
            },
            "include" => self.include(entry),
            "ignorepat" | "autohints" => {}
            "switch" | "lswitch" | "eswitch" => {
                let text = format!("`{}` is not supported yet, ignored", entry.key);
                self.diagnostics.warning(&entry.place, text);
            }
            key => {
                let hint = suggestion::hint(key, CONTEXT_KEYS.iter().copied());
                let text = format!("unknown option `{}` in a context, ignored{hint}", entry.key);
                self.diagnostics.warning(&entry.place, text);
            }
        }
    }

    fn error(&mut self, entry: &Entry, text: &str) {
        self.diagnostics.error(&entry.place, text);
    }

    fn include(&mut self, entry: &Entry) {
        match entry.value.split_once([',', '|']) {
            None if entry.value.is_empty() => self.error(entry, "`include` names no context"),
            None => self.context.includes.push((entry.value.to_string(), entry.place.clone())),
            // To include it always would open at night what the file opens by day.
            Some((context, _)) => {
                let text =
                    format!("include of `{}` at certain times is not supported yet, never included", context.trim());
                self.diagnostics.warning(&entry.place, text);
            }
        }
    }

    /// `rest` is what follows the extension: `priority,application(arguments)`.
    fn line(&mut self, extension: &str, rest: &str, entry: &Entry) {
        let Some((priority, application)) = rest.split_once(',') else {
            return self.error(entry, "there is no application after the priority");
        };
        if priority.trim().eq_ignore_ascii_case("hint") {
            return self.diagnostics.warning(&entry.place, "hints are not supported yet, ignored");
        }
        let Some(Priority { number, label }) = self.priority(priority.trim(), entry) else { return };
        self.priority = Some(number);
        let Some((application, data)) = self.application(application.trim(), entry) else { return };
        application::check(&application, &data, &entry.place, self.diagnostics);
        if extension == "h" && number == 1 {
            self.diagnostics.warning(&entry.place, "the extension h is not run yet when a call ends");
        }
        let label = label.map(str::to_owned);
        let line = Line { label, application, data, place: entry.place.clone() };
        let Some(extension) = self.extension(extension, entry) else { return };
        if let Some(first) = extension.priorities.get(&number) {
            let text = format!("priority {number} of this extension is there already, at {}; ignored", first.place);
            return self.diagnostics.warning(&entry.place, text);
        }
        extension.priorities.insert(number, line);
    }

    fn priority<'a>(&mut self, text: &'a str, entry: &Entry) -> Option<Priority<'a>> {
        let (text, label) = match text.split_once('(') {
            None => (text, None),
            Some((text, label)) => {
                let Some(label) = label.trim_end().strip_suffix(')') else {
                    self.error(entry, "the label has no closing `)`");
                    return None;
                };
                (text.trim_end(), Some(label.trim()))
            }
        };
        let (base, offset) = text.split_once('+').unwrap_or((text, "0"));
        let counted = match base.trim().to_ascii_lowercase().as_str() {
            "n" | "next" => self.counted(1, entry)?,
            "s" | "same" => self.counted(0, entry)?,
            number => number.parse().unwrap_or(0),
        };
        let number = offset.trim().parse().ok().and_then(|offset: u32| offset.checked_add(counted));
        let number = number.filter(|number| counted > 0 && (1..=PRIORITY_MAX).contains(number));
        if number.is_none() {
            self.error(entry, &format!("`{text}` is no priority: a number from 1 to {PRIORITY_MAX}, or n"));
        }
        number.map(|number| Priority { number, label })
    }

    fn counted(&mut self, step: u32, entry: &Entry) -> Option<u32> {
        if self.priority.is_none() {
            self.error(entry, "there is no priority before this line to count on from");
        }
        self.priority?.checked_add(step)
    }

    /// The application's name and its arguments: `Name`, `Name(arguments)`, or the old `Name,arguments|arguments`.
    fn application(&mut self, text: &str, entry: &Entry) -> Option<(String, String)> {
        let name_ends = text.find(['(', ',']).unwrap_or(text.len());
        let name = text.get(..name_ends).unwrap_or("").trim();
        let arguments = text.get(name_ends..).unwrap_or("");
        if name.is_empty() {
            self.error(entry, "there is no application after the priority");
            return None;
        }
        let data = if let Some(arguments) = arguments.strip_prefix(',') {
            let text = "the form `application,arguments` is old; write `application(arguments)`";
            self.diagnostics.warning(&entry.place, text);
            arguments
        } else if let Some(arguments) = arguments.strip_prefix('(') {
            let Some((data, rest)) = arguments.rsplit_once(')') else {
                self.error(entry, "the application's arguments have no closing `)`");
                return None;
            };
            if !rest.trim().is_empty() {
                self.diagnostics.warning(&entry.place, "text after the closing `)` is ignored");
            }
            data
        } else {
            ""
        };
        let mut data = data.trim().to_owned();
        if data.contains('|') && !data.contains([',', '[']) && application::separates_by_bar(name) {
            self.diagnostics.warning(&entry.place, "`|` between arguments is old; write a comma");
            data = data.replace('|', ",");
        }
        Some((name.to_owned(), data))
    }

    fn extension(&mut self, text: &str, entry: &Entry) -> Option<&mut Extension> {
        let (name, caller) = text.split_once('/').map_or((text, None), |(name, caller)| (name, Some(caller)));
        let caller = match caller.map(|caller| (caller.strip_prefix('_'), caller)) {
            None => CallerMatch::Anyone,
            Some((None, number)) => CallerMatch::Number(number.to_owned()),
            Some((Some(pattern), _)) => CallerMatch::Pattern(self.pattern(pattern, entry)?),
        };
        let extensions = match name.strip_prefix('_') {
            None => self.context.exact.entry(without_dashes(name)).or_default(),
            Some(pattern) => return self.patterned(pattern, caller, entry),
        };
        let index = extensions.iter().position(|extension| extension.caller == caller).unwrap_or_else(|| {
            extensions.push(Extension { caller, priorities: BTreeMap::new() });
            extensions.len() - 1
        });
        extensions.get_mut(index)
    }

    fn patterned(&mut self, pattern: &str, caller: CallerMatch, entry: &Entry) -> Option<&mut Extension> {
        let pattern = self.pattern(pattern, entry)?;
        let patterns = &mut self.context.patterns;
        let same = |(other, extension): &(Pattern, Extension)| *other == pattern && extension.caller == caller;
        let index = match patterns.iter().rposition(same) {
            Some(index) => index,
            None => {
                patterns.push((pattern, Extension { caller, priorities: BTreeMap::new() }));
                patterns.len() - 1
            }
        };
        patterns.get_mut(index).map(|(_, extension)| extension)
    }

    fn pattern(&mut self, text: &str, entry: &Entry) -> Option<Pattern> {
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.error(entry, &error.to_string());
                None
            }
        }
    }
}

/// Whether what is included and jumped to is there.
fn check(dialplan: &Dialplan, conf: &Conf, diagnostics: &mut Diagnostics) {
    for section in &conf.sections {
        if dialplan.includes_too_many(&section.name) {
            let limit = super::context::CONTEXTS_SEARCHED_MAX;
            let text =
                format!("[{}] includes more than {limit} contexts; the last ones are not searched", section.name);
            diagnostics.warning(&section.place, text);
        }
    }
    for (name, context) in &dialplan.contexts {
        for (included, place) in &context.includes {
            if !dialplan.has_context(included) {
                diagnostics.warning(place, format!("the included context `{included}` does not exist"));
            }
        }
        let exact = context.exact.iter().flat_map(|(number, extensions)| {
            extensions.iter().map(move |extension| (Some(number.as_str()), extension))
        });
        let patterns = context.patterns.iter().map(|(_, extension)| (None, extension));
        for (number, extension) in exact.chain(patterns) {
            for line in extension.priorities.values() {
                check_jumps(dialplan, name, number, extension, line, diagnostics);
            }
        }
    }
}

/// Checks the jumps whose destination does not depend on the call.
fn check_jumps(
    dialplan: &Dialplan,
    context: &str,
    number: Option<&str>,
    extension: &Extension,
    line: &Line,
    diagnostics: &mut Diagnostics,
) {
    let destinations = match line.application.to_ascii_lowercase().as_str() {
        "goto" => vec![line.data.as_str()],
        "gotoif" => {
            let branches = application::split(&line.data, '?', 2).get(1).copied().unwrap_or("");
            application::split(branches, ':', 2)
        }
        _ => return,
    };
    for to in destinations.into_iter().filter(|to| !to.is_empty() && !to.contains('$')) {
        let (to_context, to_extension, priority) = destination(to);
        let spot = priority.parse().map_or(Spot::Label(priority), Spot::Priority);
        let within = match (to_extension.or(number), spot) {
            // A pattern's own lines stand for any number that it matches.
            (None, Spot::Priority(priority)) => extension.priorities.contains_key(&priority),
            (None, Spot::Label(label)) => {
                extension.priorities.values().any(|line| line.label.as_deref() == Some(label))
            }
            (Some(number), spot) => {
                dialplan.line(to_context.unwrap_or(context), number, &Caller::default(), spot).is_some()
            }
        };
        if !within {
            let text = format!("{}: `{to}` does not exist", line.application);
            diagnostics.warning(&line.place, text);
        }
    }
}
