//! Lists that are cut into parts within the bounds of the log and of a step.

use replication::Delta;

/// Cuts a step's changes into entries within the log's bounds, and so short that whoever follows takes each in a short
/// step. Nearly always there is one.
pub(super) fn bounded(deltas: Vec<Delta>) -> Vec<Vec<Delta>> {
    const ENTRY_DELTAS: usize = 64;
    const ENTRY_BYTES: usize = 64 * 1024;
    let size = |delta: &Delta| delta.value.as_ref().map_or(0, |value| value.len()) + delta.key.id.len();
    in_parts(deltas, size, ENTRY_DELTAS, ENTRY_BYTES)
}

/// Cuts a list into parts of at most so many items and less than so many bytes; an item that is larger is a part alone.
pub(super) fn in_parts<T>(
    items: Vec<T>,
    size: impl Fn(&T) -> usize,
    items_max: usize,
    bytes_max: usize,
) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut bytes = usize::MAX;
    for item in items {
        let size = size(&item);
        match parts.last_mut().filter(|part| part.len() < items_max && bytes.saturating_add(size) < bytes_max) {
            Some(part) => {
                bytes += size;
                part.push(item);
            }
            None => {
                bytes = size;
                parts.push(vec![item]);
            }
        }
    }
    parts
}
