//! Owns the "did you mean" of warnings about words that nobody knows.

/// Longer words are not compared: the time grows with the square, and no option is that long.
const WORD_BYTES_MAX: usize = 40;

/// The candidate that `word` was probably meant to be: at most a third of its letters differ, and at most two.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = (word.len() / 3).min(2);
    let near_in_length = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed);
    let ranked = near_in_length.map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate));
    ranked.filter(|(distance, _)| *distance <= allowed).min().map(|(_, candidate)| candidate)
}

/// " (did you mean `x`?)", or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

/// Letters inserted, removed, replaced or exchanged with their neighbour to get from one word to the other (the optimal
/// string alignment distance).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let at = |word: &[char], index: usize| index.checked_sub(1).and_then(|index| word.get(index).copied());
    let cell = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for down in 1..=left.len() {
        let mut next = vec![down];
        for across in 1..=right.len() {
            let differs = usize::from(at(&left, down) != at(&right, across));
            let replaced = cell(&row, across - 1).saturating_add(differs);
            let inserted = cell(&next, across - 1).min(cell(&row, across)).saturating_add(1);
            let crossed = at(&left, down) == at(&right, across - 1) && at(&left, down - 1) == at(&right, across);
            let exchanged = if crossed && down > 1 && across > 1 { cell(&before, across - 2) + 1 } else { usize::MAX };
            next.push(replaced.min(inserted).min(exchanged));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}
