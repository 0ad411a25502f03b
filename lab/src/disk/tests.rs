//! A real file system in an image: these tests need root, as the lab does.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

struct Place {
    directory: PathBuf,
    disk: Option<Disk>,
}

impl Place {
    fn new() -> Self {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tandem-disk-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        share(&directory).expect("shared mounts");
        let disk = Disk::make(&directory.join("image"), &directory.join("state")).expect("a disk");
        Self { directory, disk: Some(disk) }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a disk")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join("state").join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.disk = None;
        unshare(&self.directory);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn power_takes_what_was_not_synced_and_nothing_else() {
    let place = Place::new();
    let mut synced = File::create(place.file("synced")).expect("a file");
    synced.write_all(b"kept").expect("room");
    synced.sync_all().expect("a sync");
    synced.write_all(b" lost").expect("room");
    fs::write(place.file("never"), "lost").expect("room");
    place.disk().lose_power().expect("darkness");
    assert!(fs::write(place.file("late"), "lost").is_err(), "it takes nothing any more");
    drop(synced);
    place.disk().power_on().expect("light");
    assert_eq!(fs::read_to_string(place.file("synced")).expect("a file"), "kept");
    assert!(!place.file("late").exists());
    let never = fs::read_to_string(place.file("never")).unwrap_or_default();
    assert_eq!(never, "", "its name may have got to the disk, its contents not");
    fs::write(place.file("afterwards"), "x").expect("it can be written again");
}

#[test]
fn a_full_disk_takes_nothing_until_there_is_room() {
    let place = Place::new();
    place.disk().fill().expect("a full disk");
    let written = fs::write(place.file("more"), "x");
    assert_eq!(written.expect_err("no room").raw_os_error(), Some(libc::ENOSPC));
    place.disk().clear().expect("room");
    fs::write(place.file("more"), "x").expect("room");
}

#[test]
fn a_frozen_disk_lets_nobody_write_until_it_is_thawed() {
    let place = Place::new();
    place.disk().freeze().expect("a frozen disk");
    let path = place.file("waits");
    let writer = std::thread::spawn(move || fs::write(path, "x").is_ok());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!writer.is_finished());
    place.disk().thaw().expect("a thawed disk");
    assert!(writer.join().expect("an end"));
}
