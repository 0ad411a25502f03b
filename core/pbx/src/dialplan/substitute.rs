//! Owns the replacement of `${...}` and `$[...]` in the arguments of applications.

use std::collections::BTreeMap;

use super::{Execution, expression};

#[cfg(test)]
mod tests;

/// `${A${B${C}}}` nests this deep at most; a deeper one fails the call.
const DEPTH_MAX: u32 = 16;

/// The longest argument after replacement, in bytes, as in Asterisk; a longer one fails the call.
pub(super) const TEXT_BYTES_MAX: usize = 4096;

/// Functions that `${NAME(arguments)}` may call.
pub(super) const FUNCTIONS: &[&str] =
    &["CALLERID", "EXISTS", "GLOBAL", "ISNULL", "LEN", "PJSIP_DIAL_CONTACTS", "TOLOWER", "TOUPPER"];

/// Why a text could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubstituteError {
    #[error("variables are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("the argument is longer than {TEXT_BYTES_MAX} bytes after its variables are replaced")]
    TooLong,
}

/// What names stand for: the call's own values first, then the globals. Without a call, at load time, globals only.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) globals: &'a BTreeMap<String, String>,
    pub(super) execution: Option<&'a Execution>,
}

/// A piece of an argument as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// Inside of `${...}`.
    Variable(&'a str),
    /// Inside of `$[...]`.
    Expression(&'a str),
}

/// Splits at `${...}` and `$[...]`, outermost ones only. What is not closed runs to the end.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((start, open, close)) = first_opening(rest) {
        let (before, inside) = (rest.get(..start).unwrap_or(""), rest.get(start + 2..).unwrap_or(""));
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let end = closing(inside, open, close).unwrap_or(inside.len());
        let content = inside.get(..end).unwrap_or("");
        pieces.push(if open == '{' { Piece::Variable(content) } else { Piece::Expression(content) });
        rest = inside.get(end + 1..).unwrap_or("");
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

fn first_opening(text: &str) -> Option<(usize, char, char)> {
    let variable = text.find("${").map(|at| (at, '{', '}'));
    let expression = text.find("$[").map(|at| (at, '[', ']'));
    match (variable, expression) {
        (Some(variable), Some(expression)) => Some(variable.min(expression)),
        (variable, expression) => variable.or(expression),
    }
}

fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 1_u32;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The text with every variable and expression replaced. What a variable holds is not looked at again.
pub(super) fn substitute(text: &str, scope: Scope<'_>) -> Result<String, SubstituteError> {
    replace(text, scope, 0)
}

fn replace(text: &str, scope: Scope<'_>, depth: u32) -> Result<String, SubstituteError> {
    if depth > DEPTH_MAX {
        return Err(SubstituteError::TooDeep);
    }
    let mut replaced = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => replaced.push_str(text),
            Piece::Variable(inside) => replaced.push_str(&value(&replace(inside, scope, depth + 1)?, scope)),
            Piece::Expression(inside) => {
                let inside = replace(inside, scope, depth + 1)?;
                replaced.push_str(&expression::evaluate(&inside).unwrap_or_default());
            }
        }
        if replaced.len() > TEXT_BYTES_MAX {
            return Err(SubstituteError::TooLong);
        }
    }
    Ok(replaced)
}

/// The value of `name`, `name:offset` or `name:offset:length`.
fn value(reference: &str, scope: Scope<'_>) -> String {
    let (name, slice) = split_slice(reference);
    let value = match function(name) {
        Some((function, arguments)) => scope.function(function, arguments),
        None => scope.variable(name),
    };
    let mut bounds = slice.split(':');
    let offset = bounds.next().and_then(|offset| offset.trim().parse().ok());
    let length = bounds.next().and_then(|length| length.trim().parse().ok());
    cut(value, offset.unwrap_or(0), length)
}

/// Splits at the first colon outside of parentheses.
fn split_slice(reference: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    let at = reference.find(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ':' && depth <= 0
    });
    at.and_then(|at| Some((reference.get(..at)?, reference.get(at + 1..)?))).unwrap_or((reference, ""))
}

/// The name and the arguments of `NAME(arguments)`.
pub(super) fn function(reference: &str) -> Option<(&str, &str)> {
    let (name, rest) = reference.split_once('(')?;
    Some((name.trim(), rest.strip_suffix(')').unwrap_or(rest)))
}

/// Characters from `offset` on, counted from the end when negative; a negative length leaves that many off the end.
fn cut(value: String, offset: i64, length: Option<i64>) -> String {
    if offset == 0 && length.is_none() {
        return value;
    }
    let count = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
    let start = if offset < 0 { count.saturating_add(offset).max(0) } else { offset.min(count) };
    let end = match length {
        None => count,
        Some(length) if length < 0 => count.saturating_add(length),
        Some(length) => start.saturating_add(length).min(count),
    };
    let kept = usize::try_from((end - start).max(0)).unwrap_or_default();
    value.chars().skip(usize::try_from(start).unwrap_or_default()).take(kept).collect()
}

impl Scope<'_> {
    fn variable(&self, name: &str) -> String {
        if let Some(execution) = self.execution {
            match name {
                "EXTEN" => return execution.extension.clone(),
                "CONTEXT" => return execution.context.clone(),
                "PRIORITY" => return execution.priority.to_string(),
                _ => {}
            }
            if let Some(value) = execution.variable(name) {
                return value.to_owned();
            }
        }
        self.globals.get(name).cloned().unwrap_or_default()
    }

    /// Unknown functions are empty; loading the files warned about them.
    fn function(&self, name: &str, arguments: &str) -> String {
        let truth = |value: bool| if value { "1" } else { "0" }.to_owned();
        match name.to_ascii_uppercase().as_str() {
            "CALLERID" => self.caller_id(arguments.split(',').next().unwrap_or("").trim()),
            "GLOBAL" => self.globals.get(arguments.trim()).cloned().unwrap_or_default(),
            "LEN" => arguments.chars().count().to_string(),
            "ISNULL" => truth(arguments.is_empty()),
            "EXISTS" => truth(!arguments.is_empty()),
            "TOLOWER" => arguments.to_lowercase(),
            "TOUPPER" => arguments.to_uppercase(),
            // Dial rings every contact of an endpoint anyway.
            "PJSIP_DIAL_CONTACTS" => format!("PJSIP/{}", arguments.split(',').next().unwrap_or("").trim()),
            _ => String::new(),
        }
    }

    fn caller_id(&self, part: &str) -> String {
        let Some(caller) = self.execution.map(|execution| &execution.caller) else { return String::new() };
        match part.to_ascii_lowercase().as_str() {
            "num" | "number" => caller.number.clone(),
            "name" => caller.name.clone(),
            "all" => format!("\"{}\" <{}>", caller.name, caller.number),
            _ => String::new(),
        }
    }
}
