use super::*;
use crate::files::{Entry, Set};

/// What the peer has, and what this node's store has.
#[derive(Default)]
struct Stores {
    theirs: BTreeMap<Hash, Vec<u8>>,
    ours: BTreeMap<Hash, Vec<u8>>,
    /// What had to come.
    came: Vec<Hash>,
    read: usize,
    whole: BTreeSet<Hash>,
}

impl Stores {
    /// A set whose contents the peer has; its manifest.
    fn add(&mut self, files: impl IntoIterator<Item = (String, String)>) -> Hash {
        let mut set = Set::default();
        for (path, text) in files {
            let content = Hash::of(text.as_bytes());
            set.put(Entry { path, content, bytes: text.len() as u64, ..Entry::default() }).unwrap();
            self.theirs.insert(content, text.into_bytes());
        }
        let (manifest, pages) = set.pages().unwrap();
        self.theirs.extend(pages.into_iter().map(|page| (Hash::of(&page), page)));
        self.theirs.insert(manifest.hash(), manifest.encode());
        manifest.hash()
    }

    fn gather(&mut self, manifest: Hash) -> Progress {
        let mut gather = Gather::new(manifest);
        loop {
            let outputs = gather.take_outputs();
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                match output {
                    Output::Look(hashes) => {
                        let (here, missing): (Vec<Hash>, Vec<Hash>) =
                            hashes.into_iter().partition(|hash| self.ours.contains_key(hash));
                        gather.looked(&here, &[], &missing);
                    }
                    Output::Read { content, .. } => {
                        self.read += 1;
                        gather.read(content, self.ours.get(&content).map(Vec::as_slice), &self.whole);
                    }
                    Output::Want { content, from } => {
                        assert_eq!(from, 0);
                        match self.theirs.get(&content) {
                            Some(bytes) => {
                                self.ours.insert(content, bytes.clone());
                                self.came.push(content);
                                gather.came(content);
                            }
                            None => gather.lacking(content),
                        }
                    }
                }
            }
        }
        if gather.progress() == Progress::Whole {
            self.whole.extend(gather.pages());
        }
        gather.progress()
    }
}

fn files(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|number| (format!("users/{number}.conf"), format!("secret={number}")))
}

#[test]
fn only_what_differs_comes() {
    let mut stores = Stores::default();
    let first = stores.add(files(300));
    assert_eq!(stores.gather(first), Progress::Whole);
    assert_eq!(stores.ours, stores.theirs);
    (stores.came, stores.read) = (Vec::new(), 0);
    let second = stores.add(files(300).chain([("users/7.conf".into(), "secret=new".into())]));
    assert_eq!(stores.gather(second), Progress::Whole);
    assert_eq!(stores.ours, stores.theirs);
    assert_eq!(stores.came.len(), 3, "the manifest, a page and a file");
    assert_eq!(stores.read, 2, "pages that are known whole are not read again");
}

#[test]
fn what_nobody_has_is_told() {
    let mut stores = Stores::default();
    let manifest = stores.add(files(20));
    let lost = Hash::of(b"secret=7");
    let bytes = stores.theirs.remove(&lost).unwrap();
    assert_eq!(stores.gather(manifest), Progress::Lacking);
    stores.theirs.insert(lost, bytes);
    stores.came.clear();
    assert_eq!(stores.gather(manifest), Progress::Whole);
    assert_eq!(stores.came, [lost]);
}

#[test]
fn what_the_store_loses_before_it_is_read_comes_again() {
    let mut gather = Gather::new(Hash([1; 32]));
    assert_eq!(gather.take_outputs(), [Output::Look(vec![Hash([1; 32])])]);
    gather.looked(&[Hash([1; 32])], &[], &[]);
    assert!(matches!(gather.take_outputs()[..], [Output::Read { .. }]));
    gather.read(Hash([1; 32]), None, &BTreeSet::new());
    assert_eq!(gather.take_outputs(), [Output::Want { content: Hash([1; 32]), from: 0 }]);
    assert_eq!(gather.progress(), Progress::Going);
}

#[test]
fn what_is_begun_goes_on_from_there() {
    let mut gather = Gather::new(Hash([1; 32]));
    gather.take_outputs();
    gather.looked(&[], &[(Hash([1; 32]), 77)], &[Hash([2; 32])]);
    assert_eq!(gather.take_outputs(), [Output::Want { content: Hash([1; 32]), from: 77 }], "and nothing else");
}

#[test]
fn a_page_that_is_none_is_told() {
    let mut stores = Stores::default();
    let manifest = Hash::of(b"nonsense");
    stores.theirs.insert(manifest, b"nonsense".to_vec());
    assert_eq!(stores.gather(manifest), Progress::Malformed);
    let page = Hash::of(b"nonsense");
    let honest = Manifest { pages: vec![page; super::super::PARTS] };
    stores.theirs.insert(honest.hash(), honest.encode());
    assert_eq!(stores.gather(honest.hash()), Progress::Malformed);
}
