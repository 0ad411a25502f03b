//! A disk that fills up, and has room again.

use std::path::Path;

use base::{Epoch, Position};

use super::*;

fn entry(number: u64) -> Command {
    let position = Position { epoch: Epoch::default(), lsn: Lsn(number) };
    Command::Append { position, local: LocalTime::ZERO, bytes: vec![number as u8; 8] }
}

fn expected(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        record(&mut bytes, LocalTime::ZERO, &[*number as u8; 8]);
    }
    bytes
}

fn log_file(path: &Path) -> LogFile {
    LogFile::at_end(File::options().create(true).truncate(false).write(true).open(path).unwrap()).unwrap()
}

#[test]
fn a_group_that_was_written_in_part_leaves_nothing_behind() {
    let path = std::env::temp_dir().join(format!("tandem-journal-part-{}", std::process::id()));
    let mut log = log_file(&path);
    log.append(b"one").unwrap();
    // As much as a disk took before it was full.
    log.file.write_all(b"torn in the middle").unwrap();
    log.append(b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_a_full_disk_refused_is_written_in_order_once_there_is_room() {
    let directory = std::env::temp_dir().join(format!("tandem-journal-room-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (sender, events) = channel();
    let (off, _slow) = channel();
    let mut writer = Writer {
        files: Arc::new(Files::open(&directory).unwrap()),
        log: log_file(Path::new("/dev/full")),
        number: 1,
        off,
        unsynced: Arc::default(),
        events: Arc::new(move |event| sender.send(event).expect("a reader")),
        refused: Refused::default(),
    };
    writer.take(entry(1));
    writer.write();
    writer.take(entry(2));
    writer.write();
    let errno = nix::errno::Errno::ENOSPC as i32;
    let told: Vec<_> = events.try_iter().collect();
    assert_eq!(told, [JournalEvent::Failed { operation: "write the journal", errno }], "told once");
    let path = directory.join("room");
    writer.log = log_file(&path);
    writer.refused.refused_at = None;
    writer.take(entry(3));
    writer.write();
    assert_eq!(events.try_iter().collect::<Vec<_>>(), [JournalEvent::Written { lsn: Lsn(3) }]);
    assert_eq!(std::fs::read(&path).unwrap(), expected(&[1, 2, 3]));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn too_much_of_it_is_given_up_until_the_next_file() {
    let mut refused = Refused::default();
    refused.add(LocalTime::ZERO, &vec![0; REFUSED_BYTES_MAX], Lsn(1));
    assert!(refused.note());
    assert!(refused.bytes.is_empty() && refused.last.is_none());
    refused.add(LocalTime::ZERO, b"behind a gap", Lsn(2));
    assert!(refused.bytes.is_empty(), "nothing behind a gap");
}
