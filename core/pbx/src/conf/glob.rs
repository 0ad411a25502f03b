//! Owns the matching of `#include "directory/*.conf"`, and of other names with stars.

/// Whether `path` matches `pattern`, in which `*` stands for any characters and `?` for one, neither for a `/`.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, name)| segment_matches(pattern.as_bytes(), name.as_bytes()))
}

/// True for a path that names several files.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// Goes back to the last star only, which is enough: an earlier star could not match more than the later one can. So
/// the time is bounded by the product of the two lengths.
fn segment_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = name.get(at_name) {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern, at_name));
                at_pattern += 1;
            }
            Some(&expected) if expected == b'?' || expected == byte => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => {
                let Some((star_pattern, star_name)) = star else { return false };
                star = Some((star_pattern, star_name + 1));
                at_pattern = star_pattern + 1;
                at_name = star_name + 1;
            }
        }
    }
    pattern.iter().skip(at_pattern).all(|&byte| byte == b'*')
}
