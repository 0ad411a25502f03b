//! Sets of files as contents: a version names a manifest, the manifest names pages, the pages name the files' contents.
//!
//! Read `entry` (one file, and pages of them), `manifest` and `version` first; then `named` (files by name, in the log),
//! `transfer` (contents on their way between two nodes) and `gather` (all that a version needs).

mod entry;
pub mod gather;
mod manifest;
pub mod named;
pub mod transfer;
mod version;

pub use entry::{Change, ENTRIES_MAX, Entry, PAGE_BYTES_MAX, PATH_BYTES_MAX, Page, check_path, diff, part_of};
pub use gather::Gather;
pub use manifest::{FILES_MAX, Manifest, PARTS, Set};
pub use named::Named;
pub use transfer::Transfer;
pub use version::{TEXT_BYTES_MAX, VERSION_BYTES_MAX, Version, VersionId, is_ancestor};

/// Why something is no file, no set of files, or no version of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    #[error("a path of a set of files is empty or has more than {PATH_BYTES_MAX} bytes")]
    PathLength,
    #[error("the path {path} is not below the set's folder")]
    PathOutside { path: String },
    #[error("the file {path} has {bytes} bytes, more than {}", crate::content::CONTENT_BYTES_MAX)]
    TooLong { path: String, bytes: u64 },
    #[error("the file {path} has permissions, an owner or a group that no file has")]
    Attributes { path: String },
    #[error("a page of files has {count} of them, more than {ENTRIES_MAX}")]
    TooManyEntries { count: usize },
    #[error("a page of files has {bytes} bytes, more than {PAGE_BYTES_MAX}")]
    PageTooLong { bytes: usize },
    #[error("a page of files is not in the order of its paths")]
    Order,
    #[error("the set has {count} files, more than {FILES_MAX}")]
    TooManyFiles { count: usize },
    #[error("a version has more than two parents, or a text of more than {TEXT_BYTES_MAX} bytes")]
    Version,
    #[error("the bytes are not a {what}")]
    Malformed { what: &'static str },
}

/// Reads exactly one value that fills `bytes`.
fn whole<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8], what: &'static str) -> Result<T, FilesError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| FilesError::Malformed { what })?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(FilesError::Malformed { what }) }
}

#[cfg(test)]
mod tests;
