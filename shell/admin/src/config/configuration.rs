//! Owns how the PBX's files are kept equal on both machines: the section `[configuration]`.

use super::reader::{Problems, Section, Value};
use super::sections::elsewhere;

const KEYS: [&str; 2] = ["local", "bytes_per_second"];

/// With its keys, for those of other sections that are looked for.
pub(super) const SECTION: (&str, &[&str]) = ("[configuration]", &KEYS);

/// 5,000 files are some MB, and pass within seconds; calls need a hundredth of it.
pub const BYTES_PER_SECOND_DEFAULT: u64 = 4_000_000;

/// Below it an edit of one file would not be live within a second.
const BYTES_PER_SECOND_MIN: u64 = 16_384;
const BYTES_PER_SECOND_MAX: u64 = 1_000_000_000;

/// Each file is compared with each of them.
pub const LOCAL_MAX: usize = 100;

/// What is kept equal, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synchronization {
    /// Files below `pbx_dir` that each machine has for itself, as patterns: `*` and `?` do not stand for a `/`. A folder
    /// stands for everything below it.
    pub local: Vec<String>,
    /// What files may take of the links to the peer.
    pub bytes_per_second: u64,
}

impl Default for Synchronization {
    fn default() -> Self {
        Self { local: Vec::new(), bytes_per_second: BYTES_PER_SECOND_DEFAULT }
    }
}

pub(super) fn synchronization(root: &Section<'_>, problems: &mut Problems) -> Option<Synchronization> {
    let Some(section) = root.section("configuration", problems) else { return Some(Synchronization::default()) };
    section.check_keys(&KEYS, |key| elsewhere(key, "[configuration]"), problems);
    let texts = section.texts("local", "pjsip_local.conf", problems);
    if let Some(extra) = texts.get(LOCAL_MAX) {
        problems.push(extra.problem(
            format!("there are {} local files", texts.len()),
            format!("name at most {LOCAL_MAX}; a folder stands for everything below it"),
        ));
    }
    let local = texts.iter().filter_map(|text| local(text, problems)).collect();
    let range = (BYTES_PER_SECOND_MIN, BYTES_PER_SECOND_MAX);
    let bytes = section.number_within("bytes_per_second", BYTES_PER_SECOND_DEFAULT, range, problems);
    Some(Synchronization { local, bytes_per_second: bytes? })
}

/// A path relative to `pbx_dir`. A final `/` says no more than that it is a folder.
fn local(text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let path = text.value.strip_suffix('/').unwrap_or(text.value);
    let good = !path.contains('\0') && path.split('/').all(|name| !matches!(name, "" | "." | ".."));
    if !good {
        let help = "write a path relative to pbx_dir, as in local = [\"pjsip_local.conf\", \"keys/*\"]";
        problems.push(text.problem(format!("`{}` is no path below pbx_dir", text.value), help));
    }
    good.then(|| path.to_owned())
}
