use super::*;

/// A state directory that is removed at the end of its test.
pub(crate) struct State(pub(crate) PathBuf);

impl State {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-content-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn store(&self) -> ContentStore {
        ContentStore::open(&self.0).unwrap()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_put_is_read_by_its_name_and_by_nobody_else() {
    let state = State::new("put");
    let store = state.store();
    let hash = store.put(b"[general]\n").unwrap();
    assert_eq!((store.has(&hash), store.read(&hash).unwrap()), (true, b"[general]\n".to_vec()));
    let digits = hash.to_string();
    let path = state.0.join("content").join(&digits[..2]).join(&digits[2..]);
    assert_eq!((mode(&path), mode(&state.0.join("content"))), (0o600, 0o700));
    assert!(matches!(store.read(&Hash::of(b"else")), Err(ContentError::Absent { .. })));
    // Again, also by another one that reads only.
    assert_eq!(ContentStore::existing(&state.0).read(&hash).unwrap(), b"[general]\n");
    assert_eq!(store.put(b"[general]\n").unwrap(), hash);
}

#[test]
fn many_at_once_are_all_there_and_leave_nothing_beside_them() {
    let state = State::new("many");
    let store = state.store();
    let contents: Vec<Vec<u8>> = (0..=SYNC_EACH_MAX).map(|number| format!("file {number}").into_bytes()).collect();
    let twice = contents.iter().chain(&contents).map(Vec::as_slice);
    store.put_all(twice).unwrap();
    assert!(contents.iter().all(|bytes| store.read(&Hash::of(bytes)).unwrap() == *bytes));
    let folders = list(&state.0.join("content")).unwrap();
    let files: usize = folders.iter().map(|folder| list(folder).unwrap().len()).sum();
    assert_eq!(files, contents.len());
}

#[test]
fn parts_are_put_together_across_a_restart() {
    let state = State::new("parts");
    let bytes = b"one two three";
    let hash = Hash::of(bytes);
    assert_eq!(state.store().write(&hash, 0, &bytes[..4], 13).unwrap(), Progress { upto: 4, whole: false });
    let mut store = state.store();
    assert_eq!((store.has(&hash), store.part(&hash)), (false, 4));
    // What does not follow changes nothing, and says where to go on.
    assert_eq!(store.write(&hash, 8, &bytes[8..], 13).unwrap(), Progress { upto: 4, whole: false });
    assert_eq!(store.write(&hash, 0, &bytes[..4], 13).unwrap(), Progress { upto: 4, whole: false });
    assert_eq!(store.write(&hash, 4, &bytes[4..], 13).unwrap(), Progress { upto: 13, whole: true });
    assert_eq!((store.read(&hash).unwrap(), store.part(&hash)), (bytes.to_vec(), 0));
    assert_eq!(store.write(&hash, 0, &bytes[..4], 13).unwrap(), Progress { upto: 13, whole: true });
}

#[test]
fn a_whole_that_does_not_fit_its_name_begins_again() {
    let state = State::new("wrong");
    let mut store = state.store();
    let hash = Hash::of(b"right");
    assert_eq!(store.write(&hash, 0, b"wrong", 5).unwrap(), Progress { upto: 0, whole: false });
    assert_eq!((store.has(&hash), store.part(&hash)), (false, 0));
    // A part that is longer than the whole is of another attempt.
    store.write(&hash, 0, b"righ", 50).unwrap();
    assert!(matches!(store.write(&hash, 3, b"t", 3), Err(ContentError::TooLong { .. })));
    assert_eq!(store.write(&hash, 0, b"rig", 3).unwrap(), Progress { upto: 0, whole: false });
    assert_eq!(store.write(&hash, 0, b"right", 5).unwrap(), Progress { upto: 5, whole: true });
}

#[test]
fn an_empty_content_is_whole_at_once() {
    let state = State::new("empty");
    let mut store = state.store();
    let hash = Hash::of(b"");
    assert_eq!(store.write(&hash, 0, b"", 0).unwrap(), Progress { upto: 0, whole: true });
    assert_eq!(store.read_part(&hash, 0, 100).unwrap(), (Vec::new(), 0));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_written() {
    let state = State::new("long");
    let mut store = state.store();
    let hash = Hash::of(b"x");
    for (offset, total) in [(0, CONTENT_BYTES_MAX + 1), (5, 3), (u64::MAX, 10)] {
        assert!(matches!(store.write(&hash, offset, b"x", total), Err(ContentError::TooLong { .. })), "{offset}");
    }
    assert_eq!(store.part(&hash), 0);
}

#[test]
fn a_disk_that_changes_bytes_is_noticed_and_the_content_fetched_again() {
    let state = State::new("damaged");
    let mut store = state.store();
    let hash = store.put(b"as it was written").unwrap();
    assert_eq!(store.read_part(&hash, 3, 2).unwrap(), (b"it".to_vec(), 17));
    let path = store.path(&hash);
    fs::write(&path, b"as it was forged!").unwrap();
    store.last = None;
    assert!(matches!(store.read_part(&hash, 0, 4), Err(ContentError::Damaged { .. })));
    store.discard(&hash).unwrap();
    assert!(!store.has(&hash));
    assert_eq!(store.put(b"as it was written").unwrap(), hash);
    assert!(store.read(&hash).is_ok());
}

#[test]
fn long_contents_are_read_in_parts() {
    let state = State::new("read");
    let mut store = state.store();
    let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let hash = store.put(&bytes).unwrap();
    let mut read = Vec::new();
    while read.len() < bytes.len() {
        let (part, total) = store.read_part(&hash, read.len() as u64, 32_768).unwrap();
        assert_eq!(total, 100_000);
        read.extend(part);
    }
    assert_eq!(read, bytes);
    assert_eq!(store.read_part(&hash, 200_000, 10).unwrap(), (Vec::new(), 100_000));
}

#[test]
fn only_what_nobody_wants_and_is_old_is_swept() {
    let state = State::new("sweep");
    let mut store = state.store();
    let (wanted, unwanted) = (store.put(b"wanted").unwrap(), store.put(b"unwanted").unwrap());
    let on_its_way = Hash::of(b"on its way");
    store.write(&on_its_way, 0, b"on", 10).unwrap();
    let torn = store.make_folder(&wanted).unwrap().join("torn.new");
    fs::write(&torn, b"torn").unwrap();
    let keep = BTreeSet::from([wanted]);
    assert_eq!(store.sweep(&keep, SystemTime::now()).unwrap(), 0);
    assert_eq!(store.sweep(&keep, SystemTime::now() + SWEEP_AFTER * 2).unwrap(), 2);
    assert!(store.has(&wanted) && !store.has(&unwanted) && !torn.exists());
    assert_eq!(store.part(&on_its_way), 2);
    assert_eq!(store.sweep(&keep, SystemTime::now() + SWEEP_PARTS_AFTER * 2).unwrap(), 1);
    assert!(store.has(&wanted));
}

/// A folder that may not be written to stands for a disk that refuses; root may write everywhere, so a file is in the
/// folder's place.
#[test]
fn a_disk_that_refuses_is_an_error_and_not_the_end() {
    let state = State::new("refuses");
    let mut store = state.store();
    let hash = Hash::of(b"content");
    let folder = store.path(&hash).parent().unwrap().to_owned();
    fs::write(&folder, b"in the way").unwrap();
    let error = store.put(b"content").unwrap_err();
    assert!(error.is_of_disk(), "{error}");
    assert!(store.write(&hash, 0, b"content", 7).is_err());
    fs::remove_file(&folder).unwrap();
    // What had come is not lost.
    assert_eq!(store.write(&hash, 7, b"", 7).unwrap(), Progress { upto: 7, whole: true });
}
