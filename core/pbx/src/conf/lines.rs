//! Owns the lexical form of one line: comments, block comments, section headers, assignments and directives.

/// Deeper nesting of `;-- --;` is a mistake, as in Asterisk; the file is refused.
const COMMENT_DEPTH_MAX: u32 = 128;

/// What a line is, comments removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Blank,
    Section {
        name: &'a str,
        /// What stands in the parentheses, commas and all.
        options: &'a str,
        /// Text after the header, which means nothing.
        rest: &'a str,
    },
    Assignment {
        key: &'a str,
        value: &'a str,
        object: bool,
        /// Written with `+=`: the value is added to the one inherited.
        append: bool,
    },
    Directive {
        name: &'a str,
        argument: &'a str,
    },
    Unreadable(&'static str),
}

/// Sorts a line whose comments are removed.
pub(super) fn classify(line: &str) -> Line<'_> {
    let line = line.trim();
    if line.is_empty() {
        return Line::Blank;
    }
    if let Some(rest) = line.strip_prefix('[') {
        return section(rest);
    }
    if let Some(rest) = line.strip_prefix('#') {
        let rest = rest.trim_start();
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Line::Directive { name, argument: unquoted(argument.trim()) };
    }
    let Some((key, value)) = line.split_once('=') else {
        return Line::Unreadable("neither `[section]` nor `key = value`");
    };
    let (object, value) = value.strip_prefix('>').map_or((false, value), |value| (true, value));
    let (append, key) = key.strip_suffix('+').map_or((false, key), |key| (true, key));
    match key.trim() {
        "" => Line::Unreadable("nothing before the `=`"),
        key => Line::Assignment { key, value: value.trim(), object, append },
    }
}

fn section(rest: &str) -> Line<'_> {
    let Some((name, rest)) = rest.split_once(']') else {
        return Line::Unreadable("the section's name has no closing `]`");
    };
    let (name, rest) = (name.trim(), rest.trim());
    if name.is_empty() {
        return Line::Unreadable("the section has no name");
    }
    let Some(rest) = rest.strip_prefix('(') else {
        return Line::Section { name, options: "", rest };
    };
    match rest.split_once(')') {
        Some((options, rest)) => Line::Section { name, options: options.trim(), rest: rest.trim() },
        None => Line::Unreadable("the section's templates have no closing `)`"),
    }
}

fn unquoted(argument: &str) -> &str {
    let quotes = [('"', '"'), ('<', '>')];
    let inner = |(open, close)| argument.strip_prefix(open)?.strip_suffix(close);
    quotes.into_iter().find_map(inner).unwrap_or(argument)
}

/// Removes comments, line by line; block comments span lines and nest.
#[derive(Debug, Default)]
pub(super) struct Comments {
    depth: u32,
    /// The line that opened the outermost block comment still open.
    opened: u32,
}

/// Block comments nest deeper than `COMMENT_DEPTH_MAX`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

impl Comments {
    /// The line that opened a block comment which is still open.
    pub(super) fn open_since(&self) -> Option<u32> {
        (self.depth > 0).then_some(self.opened)
    }

    /// What is left of the line. `;` starts a comment, `\;` is a semicolon, `;--` up to `--;` is a block comment; a
    /// longer run of dashes after the `;` is decoration and starts an ordinary comment.
    pub(super) fn strip(&mut self, line: &str, number: u32) -> Result<String, TooDeep> {
        let mut kept = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find(';') {
            let (before, after) = (rest.get(..at).unwrap_or(""), rest.get(at + 1..).unwrap_or(""));
            let opens = after.starts_with("--") && !after.starts_with("---");
            if self.depth == 0 {
                if let Some(before) = before.strip_suffix('\\') {
                    kept.push_str(before);
                    kept.push(';');
                    rest = after;
                    continue;
                }
                kept.push_str(before);
                if !opens {
                    return Ok(kept);
                }
            }
            if opens {
                self.open(number)?;
                rest = after.get(2..).unwrap_or("");
                continue;
            }
            // `rest` begins after the opening dashes, so that they cannot close what they opened.
            if before.ends_with("--") {
                self.depth -= 1;
            }
            rest = after;
        }
        if self.depth == 0 {
            kept.push_str(rest);
        }
        Ok(kept)
    }

    fn open(&mut self, number: u32) -> Result<(), TooDeep> {
        if self.depth == 0 {
            self.opened = number;
        }
        self.depth += 1;
        if self.depth > COMMENT_DEPTH_MAX { Err(TooDeep) } else { Ok(()) }
    }
}
