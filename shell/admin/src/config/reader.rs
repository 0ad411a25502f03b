//! Owns walking over a TOML document: sections and keys with their places, complaints about those that nobody knows.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// How similar a word must be to a key, from 0 to 1, to be taken for it with a slip of the finger.
const SIMILARITY_MIN: f64 = 0.7;

pub(super) type Problems = Vec<Problem>;

/// A TOML document, parsed but not yet understood.
pub(super) struct Document<'a> {
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Problems> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let told: Problems = errors
            .iter()
            .map(|error| Problem::new(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()), None))
            .collect();
        if told.is_empty() { Ok(Self { root }) } else { Err(told) }
    }

    pub(super) fn root(&self) -> Section<'_> {
        Section { title: String::new(), table: self.root.get_ref(), span: 0..0 }
    }
}

/// A table of the document.
#[derive(Clone)]
pub(super) struct Section<'a> {
    /// As it is written, with its brackets.
    pub(super) title: String,
    table: &'a DeTable<'a>,
    /// Of its header.
    pub(super) span: Range<usize>,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Value<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> Value<T> {
    pub(super) fn problem(&self, text: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem::new(self.span.clone(), text, Some(help.into()))
    }
}

impl<'a> Section<'a> {
    /// The section `[key]` of this one.
    pub(super) fn section(&self, key: &str, problems: &mut Problems) -> Option<Section<'a>> {
        let (_, value) = self.table.get_key_value(key)?;
        let title = format!("[{key}]");
        match value.get_ref() {
            DeValue::Table(table) => Some(Section { title, table, span: value.span() }),
            _ => {
                let text = format!("`{key}` is a section, not a value");
                problems.push(Problem::new(value.span(), text, Some(format!("write {title} on a line of its own"))));
                None
            }
        }
    }

    /// The sections `[[title]]`, which are the list `key` of this one; empty when there is none.
    pub(super) fn list(&self, key: &str, title: &str, problems: &mut Problems) -> Vec<Section<'a>> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let mut wrong = |span| {
            let text = format!("`{key}` is a list of sections");
            problems.push(Problem::new(span, text, Some(format!("write [[{title}]], with two brackets on each side"))));
        };
        let DeValue::Array(array) = value.get_ref() else {
            wrong(value.span());
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section { title: format!("[[{title}]]"), table, span: element.span() });
                }
                _ => wrong(element.span()),
            }
        }
        sections
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text that may be left out.
    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<Value<&'a str>> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Value { value: text.as_ref(), span: value.span() }),
            _ => {
                let help = Some(format!("write {key} = \"...\", with quotes"));
                problems.push(Problem::new(value.span(), format!("`{key}` is a text"), help));
                None
            }
        }
    }

    /// `true` or `false`; may be left out.
    pub(super) fn flag(&self, key: &str, problems: &mut Problems) -> Option<Value<bool>> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(Value { value: *flag, span: value.span() }),
            _ => {
                let help = Some(format!("write {key} = true or {key} = false, without quotes"));
                problems.push(Problem::new(value.span(), format!("`{key}` is true or false"), help));
                None
            }
        }
    }

    /// A whole number from 0 that may be left out; `example` is a value to write.
    pub(super) fn number(&self, key: &str, example: u32, problems: &mut Problems) -> Option<Value<u32>> {
        let value = self.table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => u32::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            let help = Some(format!("write {key} = {example}"));
            problems.push(Problem::new(value.span(), format!("`{key}` is a whole number without quotes"), help));
        }
        number.map(|number| Value { value: number, span: value.span() })
    }

    /// A list of texts that may be left out; `example` is one of them.
    pub(super) fn texts(&self, key: &str, example: &str, problems: &mut Problems) -> Vec<Value<&'a str>> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let mut wrong = |span| {
            let help = Some(format!("write {key} = [\"{example}\"]"));
            problems.push(Problem::new(span, format!("`{key}` is a list of texts"), help));
        };
        let DeValue::Array(array) = value.get_ref() else {
            wrong(value.span());
            return Vec::new();
        };
        let mut texts = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::String(text) => texts.push(Value { value: text.as_ref(), span: element.span() }),
                _ => wrong(element.span()),
            }
        }
        texts
    }

    /// A text that has to be there; `example` is a value to write.
    pub(super) fn text_needed(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Value<&'a str>> {
        self.needed(key, &format!("\"{example}\""), problems)?;
        self.text(key, problems)
    }

    /// A whole number that has to be there, from `range`, both ends inclusive.
    pub(super) fn number_needed(
        &self,
        key: &str,
        example: u8,
        range: (u8, u8),
        problems: &mut Problems,
    ) -> Option<Value<u8>> {
        let value = self.needed(key, &example.to_string(), problems)?;
        let (least, most) = range;
        let help = format!("write {key} = {example}, or any whole number from {least} to {most}");
        let DeValue::Integer(integer) = value.get_ref() else {
            problems.push(Problem::new(value.span(), format!("`{key}` is a whole number without quotes"), Some(help)));
            return None;
        };
        let number = u8::from_str_radix(integer.as_str(), integer.radix()).ok();
        let Some(number) = number.filter(|number| (least..=most).contains(number)) else {
            let text = format!("`{key}` cannot be {integer}");
            problems.push(Problem::new(value.span(), text, Some(help)));
            return None;
        };
        Some(Value { value: number, span: value.span() })
    }

    /// A whole number that may be left out, from `range`, both ends inclusive.
    pub(super) fn number_within(
        &self,
        key: &str,
        default: u64,
        range: (u64, u64),
        problems: &mut Problems,
    ) -> Option<u64> {
        let Some(value) = self.table.get(key) else { return Some(default) };
        let (least, most) = range;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let text = format!("`{key}` is a whole number from {least} to {most}, without quotes");
            problems.push(Problem::new(value.span(), text, Some(format!("write {key} = {default}"))));
        }
        number
    }

    /// What is subtracted by a number that is there: from -1 to -`most`.
    pub(super) fn negative(&self, key: &str, most: i64, problems: &mut Problems) -> Option<u8> {
        let value = self.table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| (-most..=-1).contains(number));
        if number.is_none() {
            let text = format!("`{key}` is a whole number from -{most} to -1, without quotes");
            problems.push(Problem::new(value.span(), text, Some(format!("write {key} = -20"))));
        }
        number.and_then(|number| u8::try_from(-number).ok())
    }

    /// A complaint about the section as a whole.
    pub(super) fn problem(&self, text: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem::new(self.span.clone(), text, Some(help.into()))
    }

    /// Complains about every key that is not one of `known`. `elsewhere` tells where a key belongs that stands in the
    /// wrong section.
    pub(super) fn check_keys(
        &self,
        known: &[&str],
        elsewhere: impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = if self.title.is_empty() { String::new() } else { format!(" in {}", self.title) };
            let help = elsewhere(name).unwrap_or_else(|| match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", listed(known)),
            });
            problems.push(Problem::new(key.span(), format!("unknown key `{name}`{place}"), Some(help)));
        }
    }

    fn needed(&self, key: &str, example: &str, problems: &mut Problems) -> Option<&'a Spanned<DeValue<'a>>> {
        let value = self.table.get(key);
        if value.is_none() {
            let text = format!("{} has no `{key}`", self.title);
            problems.push(Problem::new(self.span.clone(), text, Some(format!("add the line {key} = {example}"))));
        }
        value
    }
}

/// The key that `word` was probably meant to be.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let likeness = |key: &&str| strsim::normalized_damerau_levenshtein(&word, key);
    let near = known.iter().copied().filter(|key| likeness(key) >= SIMILARITY_MIN);
    near.max_by(|left, right| likeness(left).total_cmp(&likeness(right)))
}

/// "`a`, `b` and `c`".
fn listed(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
