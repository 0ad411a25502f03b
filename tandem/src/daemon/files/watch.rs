//! Owns the kernel's reports of changes below the directory. Without them the directory is looked at every 2 s.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use admin::events::{Teller, Telling};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

pub struct Watch {
    root: PathBuf,
    changed: Arc<dyn Fn() + Send + Sync>,
    watcher: Option<RecommendedWatcher>,
    /// Which directory is watched: another one may get its name.
    watched: Option<(u64, u64)>,
}

impl Watch {
    pub fn new(root: &Path, changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self { root: root.to_owned(), changed: Arc::new(changed), watcher: None, watched: None }
    }

    /// Watches what has the directory's name now. It is cheap while that is the same one as before.
    pub fn keep(&mut self, teller: &Teller) {
        let here = fs::metadata(&self.root).ok().map(|found| (found.dev(), found.ino()));
        if here == self.watched {
            return;
        }
        self.watched = here;
        self.watcher = None;
        if here.is_none() {
            return;
        }
        match self.watch() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                let root = self.root.display();
                let text =
                    format!("changes in {root} are noticed within 2 s only: the kernel does not report them: {error}");
                tracing::warn!("{text}");
                teller.tell(Telling::new("trouble", text));
            }
        }
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let changed = self.changed.clone();
        let told = move |event: notify::Result<Event>| {
            // What was lost (an error) may have been a change.
            if event.is_ok_and(|event| !is_change(&event.kind)) {
                return;
            }
            changed();
        };
        let mut watcher = notify::recommended_watcher(told)?;
        watcher.watch(&self.root, RecursiveMode::Recursive)?;
        Ok(watcher)
    }
}

/// Reading is none; our own looks read.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
