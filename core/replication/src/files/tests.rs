use base::WallTime;

use super::*;
use crate::content::Hash;

fn entry(path: &str, text: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        content: Hash::of(text.as_bytes()),
        bytes: text.len() as u64,
        mode: 0o640,
        owner: "asterisk".into(),
        group: String::new(),
    }
}

fn set(entries: impl IntoIterator<Item = Entry>) -> Set {
    let mut set = Set::default();
    for entry in entries {
        set.put(entry).unwrap();
    }
    set
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn encodings_stay_as_they_were() {
    let file = Entry {
        path: "a.conf".into(),
        content: Hash([1; 32]),
        bytes: 5,
        mode: 0o644,
        owner: "o".into(),
        group: "g".into(),
    };
    let one = "01".repeat(32);
    let page = format!("81818666612e636f6e665820{one}051901a4616f6167");
    assert_eq!(hex(&Page { entries: vec![file] }.encode()), page);
    let version = Version {
        parents: vec![VersionId(Hash([1; 32]))],
        author: "a".into(),
        made_at: WallTime(7),
        why: "edited".into(),
        manifest: Hash([1; 32]),
    };
    assert_eq!(hex(&version.encode()), format!("85815820{one}616107666564697465645820{one}"));
    assert_eq!(Version::decode(&version.encode()), Ok(version));
    let manifest = Manifest { pages: vec![Hash([1; 32]); PARTS] };
    assert_eq!(hex(&manifest.encode()), format!("819840{}", format!("5820{one}").repeat(PARTS)));
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

#[test]
fn paths_stay_below_their_folder() {
    for good in ["a", "a.conf", "sounds/pt_BR/a b.gsm", "a/..b", "ç"] {
        assert_eq!(check_path(good), Ok(()), "{good}");
    }
    for bad in ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", ".", "a/.", "a\0b", &"x".repeat(PATH_BYTES_MAX + 1)]
    {
        assert!(check_path(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_edit_of_one_file_changes_one_page() {
    let files: Vec<Entry> = (0..500).map(|number| entry(&format!("users/{number}.conf"), "x")).collect();
    let (before, pages) = set(files.clone()).pages().unwrap();
    let mut edited = set(files);
    edited.put(entry("users/77.conf", "y")).unwrap();
    let (after, _) = edited.pages().unwrap();
    assert_eq!(before.differing(&after).collect::<Vec<_>>(), [part_of("users/77.conf")]);
    let mut again = Set::default();
    for page in &pages {
        again.put_page(Page::decode(page).unwrap()).unwrap();
    }
    assert_eq!(again.len(), 500);
    assert_eq!(again.pages().unwrap().0, before, "whoever builds it");
}

#[test]
fn a_diff_tells_what_came_what_went_and_what_changed() {
    let before = [entry("a", "1"), entry("b", "1"), entry("c", "1")];
    let mut mode = entry("c", "1");
    mode.mode = 0o600;
    let after = [entry("b", "2"), mode.clone(), entry("d", "1")];
    let changes = diff(&before, &after);
    let told: Vec<_> = changes.iter().map(|it| (it.path.as_str(), it.before.is_some(), it.after.is_some())).collect();
    assert_eq!(told, [("a", true, false), ("b", true, true), ("c", true, true), ("d", false, true)]);
    assert_eq!(diff(&after, &after), []);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let page = |entries: Vec<Entry>| Page::decode(&Page { entries }.encode());
    assert!(page(vec![entry("a", ""), entry("b", "")]).is_ok());
    assert_eq!(page(vec![entry("b", ""), entry("a", "")]), Err(FilesError::Order));
    assert_eq!(page(vec![entry("a", ""), entry("a", "")]), Err(FilesError::Order));
    assert!(page(vec![entry("../a", "")]).is_err());
    assert!(page(vec![Entry { bytes: 1 << 40, ..entry("a", "") }]).is_err());
    assert!(page(vec![Entry { mode: 0o100_644, ..entry("a", "") }]).is_err());
    assert!(page(vec![Entry { owner: "x:y".into(), ..entry("a", "") }]).is_err());
    let many = (0..=ENTRIES_MAX).map(|number| entry(&format!("{number:05}"), ""));
    assert!(page(many.collect()).is_err());
    assert!(Manifest::decode(&Manifest { pages: vec![Hash::default(); PARTS - 1] }.encode()).is_err());
    let version = Version { why: "x".repeat(TEXT_BYTES_MAX + 1), ..Version::default() };
    assert!(Version::decode(&version.encode()).is_err());
    let version = Version { parents: vec![VersionId::default(); 3], ..Version::default() };
    assert!(Version::decode(&version.encode()).is_err());
    let longest = "x".repeat(TEXT_BYTES_MAX);
    let parents = vec![VersionId(Hash([255; 32])); 2];
    let longest = Version {
        parents,
        author: longest.clone(),
        made_at: WallTime(u64::MAX),
        why: longest,
        manifest: Hash([255; 32]),
    };
    assert_eq!(Version::decode(&longest.encode()), Ok(longest));
    let mut trailing = Version::default().encode();
    trailing.push(0);
    assert!(Version::decode(&trailing).is_err());
}

#[test]
fn ancestors_are_found_on_either_side_and_loops_end() {
    let id = |number: u8| VersionId(Hash([number; 32]));
    let parents = |of: VersionId| match of.0.0[0] {
        5 => vec![id(3), id(4)],
        3 | 4 => vec![id(2)],
        2 => vec![id(1)],
        8 => vec![id(9)],
        9 => vec![id(8)],
        _ => Vec::new(),
    };
    for older in [1, 2, 3, 4, 5] {
        assert!(is_ancestor(id(older), id(5), parents), "{older}");
    }
    assert!(!is_ancestor(id(4), id(3), parents));
    assert!(!is_ancestor(id(5), id(2), parents));
    assert!(!is_ancestor(id(1), id(8), parents), "a loop ends");
}
