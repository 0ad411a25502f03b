//! Keeps the house in order: the arrows between the rooms, what the core may touch, and what no file may have. A rule
//! that is broken names file, line and rule.

mod arrows;
mod facts;
mod fields;
mod source;
mod text;

use std::path::{Path, PathBuf};

/// Something that breaks a rule, as `path:line: rule`.
type Finding = String;

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// A file of the repository.
struct File {
    /// Relative to the workspace, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is only compiled for tests.
    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
    }

    fn is_core(&self) -> bool {
        self.path.starts_with("core/")
    }
}

/// Every text file, without what is built, fetched or recorded by version control.
fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name, "target" | ".git") {
                    folders.push(path);
                }
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let path = path.strip_prefix(&root).expect("within the workspace").to_str().expect("a name").to_owned();
            found.push(File { path, text });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 100, "the walk found {} files", found.len());
    found
}

fn assert_none(findings: Vec<Finding>) {
    assert!(findings.is_empty(), "{} findings:\n  {}\n", findings.len(), findings.join("\n  "));
}
