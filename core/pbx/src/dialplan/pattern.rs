//! Owns extension patterns: what `_9NXX!` matches, and which of several matching patterns comes first.

use std::cmp::Ordering;

#[cfg(test)]
mod tests;

/// One position of a pattern. Bit 127 of a set stands for the character 0, so that of two sets of one size the one
/// with the lower characters is the greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// One of these ASCII characters; `X`, `N`, `Z` and `[1-5a-c]`, and a plain character too.
    OneOf(u128),
    /// One character outside of ASCII.
    Exactly(char),
    /// `.`: one character or more, to the end.
    OneOrMore,
    /// `!`: anything to the end, nothing too.
    ZeroOrMore,
}

/// A pattern without its leading `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Position>);

/// Why a pattern cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("the pattern has a `[` without a `]`")]
    OpenSet,
    #[error("the pattern has an empty set or a range that runs backwards")]
    BadSet,
    #[error("the pattern goes on after a `.` or `!`, which stands for everything up to the end")]
    AfterWildcard,
    #[error("the pattern is empty")]
    Empty,
}

fn bit(letter: char) -> Option<u128> {
    let code = u32::from(letter);
    (code < 128).then(|| 1 << (127 - code))
}

fn range(first: char, last: char) -> u128 {
    (first..=last).filter_map(bit).fold(0, |set, bit| set | bit)
}

impl Pattern {
    /// Reads what follows the `_`. Dashes outside of sets are decoration, as in Asterisk.
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut positions = Vec::new();
        let mut rest = text.chars();
        while let Some(letter) = rest.next() {
            if matches!(positions.last(), Some(Position::OneOrMore | Position::ZeroOrMore)) {
                return Err(PatternError::AfterWildcard);
            }
            positions.push(match letter {
                '-' | ' ' => continue,
                'X' | 'x' => Position::OneOf(range('0', '9')),
                'Z' | 'z' => Position::OneOf(range('1', '9')),
                'N' | 'n' => Position::OneOf(range('2', '9')),
                '.' => Position::OneOrMore,
                '!' => Position::ZeroOrMore,
                '[' => {
                    let (inside, after) = rest.as_str().split_once(']').ok_or(PatternError::OpenSet)?;
                    rest = after.chars();
                    Position::OneOf(set(inside)?)
                }
                other => bit(other).map_or(Position::Exactly(other), Position::OneOf),
            });
        }
        if positions.is_empty() { Err(PatternError::Empty) } else { Ok(Self(positions)) }
    }

    pub(super) fn matches(&self, number: &str) -> bool {
        let mut digits = number.chars().filter(|digit| *digit != '-');
        for position in &self.0 {
            let digit = digits.next();
            match (position, digit) {
                (Position::ZeroOrMore, _) | (Position::OneOrMore, Some(_)) => return true,
                (Position::OneOf(set), Some(digit)) if bit(digit).is_some_and(|bit| set & bit != 0) => {}
                (Position::Exactly(expected), Some(digit)) if *expected == digit => {}
                _ => return false,
            }
        }
        digits.next().is_none()
    }

    /// The order in which Asterisk tries patterns: position by position the smaller set first, then `.`, then `!`,
    /// then the end of the pattern.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let longer = self.0.len().max(other.0.len());
        (0..longer)
            .map(|index| rank(self.0.get(index)).cmp(&rank(other.0.get(index))))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

fn set(inside: &str) -> Result<u128, PatternError> {
    let letters: Vec<char> = inside.chars().collect();
    let mut set = 0;
    let mut rest = letters.as_slice();
    loop {
        rest = match rest {
            [] => break,
            [first, '-', last, after @ ..] => {
                if first > last {
                    return Err(PatternError::BadSet);
                }
                set |= range(*first, *last.min(&'\u{7f}'));
                after
            }
            [one, after @ ..] => {
                set |= bit(*one).ok_or(PatternError::BadSet)?;
                after
            }
        };
    }
    if set == 0 { Err(PatternError::BadSet) } else { Ok(set) }
}

/// Kind, number of characters, and among sets of one size the lower characters first.
fn rank(position: Option<&Position>) -> (u8, u32, u128) {
    match position {
        Some(Position::OneOf(set)) => (0, set.count_ones(), !set),
        Some(Position::Exactly(letter)) => (0, 1, u128::MAX - u128::from(u32::MAX - u32::from(*letter))),
        Some(Position::OneOrMore) => (1, 0, 0),
        Some(Position::ZeroOrMore) => (2, 0, 0),
        None => (3, 0, 0),
    }
}
