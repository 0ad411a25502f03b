//! Owns the reading of a file with everything it includes, and the inheritance between its sections.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lines::{Comments, Line, classify};
use super::{Conf, Diagnostics, Entry, Files, Place, Section, glob};

/// Files that include files that include files: as deep as Asterisk goes. A deeper include is an error.
const INCLUDE_DEPTH_MAX: u32 = 10;

/// Text read for one configuration file, included text counted each time. Twenty thousand endpoints take about 8 MiB;
/// more is an error.
const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Asterisk's own bound for a line, in bytes. A longer line is an error.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Lines of all sections, inherited ones counted in each section: templates could multiply without it. More is an
/// error.
const ENTRIES_MAX: usize = 1_000_000;

/// Files included by one configuration file, each time counted; more is an error. It stops files that are nearly empty
/// from including one another without end, which the bound on bytes would notice late.
const INCLUDES_MAX: usize = 100_000;

/// Where Asterisk keeps its files: an absolute include below it is taken as relative to our directory.
const ASTERISK_DIRECTORY: &str = "/etc/asterisk/";

/// Reads `path` and all that it includes; `None` when there is no such file. Findings go to `diagnostics`.
pub fn read(files: &Files, path: &str, diagnostics: &mut Diagnostics) -> Option<Conf> {
    let text = files.text(path)?;
    let mut reader = Reader {
        files,
        diagnostics,
        sections: Vec::new(),
        first_named: BTreeMap::new(),
        bytes_left: TEXT_BYTES_MAX,
        entries_left: ENTRIES_MAX,
        includes_left: INCLUDES_MAX,
        stopped: false,
    };
    reader.file(path, text, 0, None);
    Some(Conf { sections: reader.sections })
}

struct Reader<'a> {
    files: &'a Files,
    diagnostics: &'a mut Diagnostics,
    sections: Vec<Section>,
    /// The first section of each name, in lower case: templates and additions mean that one.
    first_named: BTreeMap<String, usize>,
    bytes_left: usize,
    entries_left: usize,
    includes_left: usize,
    /// A bound was reached: nothing more is read.
    stopped: bool,
}

impl Reader<'_> {
    /// Reads one file. Its first lines go on with the section that the include stands in.
    fn file(&mut self, path: &str, text: &str, depth: u32, mut section: Option<usize>) {
        let file: Arc<str> = Arc::from(path);
        let at = |line| Place { file: Arc::clone(&file), line };
        let Some(bytes_left) = self.bytes_left.checked_sub(text.len()) else {
            return self.stop(&at(0), format!("more than {TEXT_BYTES_MAX} bytes with everything included"));
        };
        self.bytes_left = bytes_left;
        let mut comments = Comments::default();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            if self.stopped {
                return;
            }
            if line.len() > LINE_BYTES_MAX {
                self.diagnostics.error(&at(number), format!("the line is longer than {LINE_BYTES_MAX} bytes"));
                continue;
            }
            let Ok(line) = comments.strip(line, number) else {
                return self.stop(&at(number), "block comments are nested too deep".to_owned());
            };
            self.line(classify(&line), at(number), depth, &mut section);
        }
        if let Some(opened) = comments.open_since() {
            self.diagnostics.error(&at(opened), "the block comment that starts here has no end");
        }
    }

    fn line(&mut self, line: Line<'_>, place: Place, depth: u32, section: &mut Option<usize>) {
        match line {
            Line::Blank => {}
            Line::Section { name, options, rest } => {
                if !rest.is_empty() {
                    self.diagnostics.warning(&place, "text after the section's header is ignored");
                }
                *section = Some(self.open(name, options, place));
            }
            Line::Assignment { key, value, object, append } => {
                let Some(section) = *section else {
                    return self.diagnostics.error(&place, format!("`{key}` stands before the first section"));
                };
                self.assign(section, key, value, object, append, place);
            }
            Line::Directive { name, argument } => self.directive(name, argument, &place, depth, *section),
            Line::Unreadable(reason) => self.diagnostics.error(&place, format!("cannot read this line: {reason}")),
        }
    }

    /// Begins a section, or goes on with one, and says which lines follow into it.
    fn open(&mut self, name: &str, options: &str, place: Place) -> usize {
        let options = options.split(',').map(str::trim).filter(|option| !option.is_empty());
        let (additions, options): (Vec<_>, Vec<_>) = options.partition(|option| option.starts_with('+'));
        let addition = additions.first().and_then(|addition| self.addition(name, addition, &place));
        let index = match addition {
            Some(index) => index,
            None => {
                let section = Section { name: Arc::from(name), template: false, place: place.clone(), entries: vec![] };
                self.sections.push(section);
                self.sections.len() - 1
            }
        };
        for option in options {
            if option == "!" {
                if let Some(section) = self.sections.get_mut(index) {
                    section.template = true;
                }
            } else {
                self.inherit(index, option, &place);
            }
        }
        self.first_named.entry(name.to_ascii_lowercase()).or_insert(index);
        index
    }

    /// The section that `[name](+)` adds to; `[name](+type=aor)` picks among several of one name.
    fn addition(&mut self, name: &str, addition: &str, place: &Place) -> Option<usize> {
        let filter = addition.trim_start_matches('+').split_once('=');
        let found = match filter {
            None => self.first_named.get(&name.to_ascii_lowercase()).copied(),
            Some((key, value)) => self.sections.iter().position(|section| {
                section.name.eq_ignore_ascii_case(name)
                    && section.last(key.trim()).is_some_and(|entry| entry.value.eq_ignore_ascii_case(value.trim()))
            }),
        };
        if found.is_none() {
            self.diagnostics.error(place, format!("nothing to add to: there is no section [{name}] before this line"));
        }
        found
    }

    fn inherit(&mut self, index: usize, template: &str, place: &Place) {
        let from = self.first_named.get(&template.to_ascii_lowercase());
        let Some(from) = from.and_then(|from| self.sections.get(*from)) else {
            let text = format!("the template [{template}] does not exist before this line");
            return self.diagnostics.error(place, text);
        };
        let Some(entries_left) = self.entries_left.checked_sub(from.entries.len()) else {
            return self.too_many_entries(place);
        };
        self.entries_left = entries_left;
        let inherited = from.entries.clone();
        if let Some(section) = self.sections.get_mut(index) {
            section.entries.extend(inherited);
        }
    }

    fn assign(&mut self, section: usize, key: &str, value: &str, object: bool, append: bool, place: Place) {
        if self.entries_left == 0 {
            return self.too_many_entries(&place);
        }
        self.entries_left -= 1;
        let Some(section) = self.sections.get_mut(section) else { return };
        let inherited = section.last(key).filter(|_| append).map_or("", |entry| &entry.value);
        if inherited.len() + value.len() > LINE_BYTES_MAX {
            return self.diagnostics.error(&place, format!("the value grew longer than {LINE_BYTES_MAX} bytes"));
        }
        let value = Arc::from(format!("{inherited}{value}"));
        section.entries.push(Entry { key: Arc::from(key), value, object, place });
    }

    fn directive(&mut self, name: &str, argument: &str, place: &Place, depth: u32, section: Option<usize>) {
        match name.to_ascii_lowercase().as_str() {
            "include" => self.include(argument, true, place, depth, section),
            "tryinclude" => self.include(argument, false, place, depth, section),
            "exec" => self.diagnostics.error(place, "#exec is refused: files are read, never run"),
            _ => self.diagnostics.error(place, format!("unknown directive #{name}")),
        }
    }

    fn include(&mut self, path: &str, required: bool, place: &Place, depth: u32, section: Option<usize>) {
        let relative = path.strip_prefix(ASTERISK_DIRECTORY).unwrap_or(path);
        let relative = relative.strip_prefix("./").unwrap_or(relative);
        if relative.is_empty() {
            return self.diagnostics.error(place, "#include names no file");
        }
        if relative.starts_with('/') || relative.split('/').any(|segment| segment == "..") {
            return self.diagnostics.error(place, format!("`{path}` is outside of the configuration directory"));
        }
        if depth + 1 > INCLUDE_DEPTH_MAX {
            let text = format!("more than {INCLUDE_DEPTH_MAX} files include one another; does one include itself?");
            return self.stop(place, text);
        }
        let files = self.files;
        if glob::is_pattern(relative) {
            let mut found = files.0.iter().filter(|(path, _)| glob::matches(relative, path)).peekable();
            if required && found.peek().is_none() {
                self.diagnostics.warning(place, format!("no file matches `{path}`"));
            }
            return found.for_each(|(path, text)| self.included(path, text, place, depth, section));
        }
        match files.text(relative) {
            Some(text) => self.included(relative, text, place, depth, section),
            None if required => self.diagnostics.error(place, format!("the included file `{path}` does not exist")),
            None => {}
        }
    }

    fn included(&mut self, path: &str, text: &str, place: &Place, depth: u32, section: Option<usize>) {
        if self.stopped {
            return;
        }
        if self.includes_left == 0 {
            return self.stop(place, format!("more than {INCLUDES_MAX} includes"));
        }
        self.includes_left -= 1;
        self.file(path, text, depth + 1, section);
    }

    fn too_many_entries(&mut self, place: &Place) {
        self.stop(place, format!("more than {ENTRIES_MAX} lines, inherited ones counted in each section"));
    }

    fn stop(&mut self, place: &Place, text: String) {
        if !self.stopped {
            self.diagnostics.error(place, text);
        }
        self.stopped = true;
    }
}
