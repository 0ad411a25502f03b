use node::base::{Epoch, LocalTime, Lsn, NodeIndex, Position, Random};
use node::replication::Entry;

use super::Disk;

fn entry(lsn: u64) -> (Lsn, Vec<u8>) {
    let epoch = Epoch { number: 1, node: NodeIndex(0) };
    let entry = Entry { position: Position { epoch, lsn: Lsn(lsn) }, ..Entry::default() };
    (Lsn(lsn), entry.encode())
}

fn with_entries(written: u64, queued: u64) -> Disk {
    let mut disk = Disk::default();
    for lsn in 1..=written + queued {
        let (lsn, bytes) = entry(lsn);
        disk.append(lsn, bytes, 1, LocalTime(1_000));
    }
    for _ in 0..written {
        disk.job_done();
    }
    disk
}

fn last(disk: &Disk) -> Lsn {
    disk.recover(1, LocalTime(2_000)).log.position().lsn
}

#[test]
fn a_killed_process_loses_what_was_not_written() {
    let mut disk = with_entries(3, 2);
    disk.process_died();
    assert_eq!(last(&disk), Lsn(3));
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_a_part_of_the_rest() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut disk = with_entries(6, 2);
        // The first write begins a sync of itself; the next one takes in what was written meanwhile.
        assert_eq!(disk.synced(2, 0), Some((6, 0)));
        disk.power_cut(&mut Random::from_number(seed));
        seen.insert(last(&disk).0);
    }
    assert_eq!(seen, std::collections::BTreeSet::from([2, 3, 4, 5, 6]));
}

#[test]
fn a_sync_of_the_file_before_a_checkpoint_is_of_no_use() {
    let mut disk = with_entries(3, 0);
    assert!(disk.replace(Box::default()));
    disk.job_done();
    assert_eq!(disk.synced(3, 0), None);
    assert_eq!(last(&disk), Lsn(0));
}

#[test]
fn cluster_time_goes_on_within_a_boot_only() {
    let disk = with_entries(1, 0);
    // The entry's cluster time of zero was written at 1 ms of local time: zero is the least offset.
    assert_eq!(disk.recover(1, LocalTime(5_000)).cluster_time.0, 5_000);
    let recovered = disk.recover(2, LocalTime(5_000));
    assert_eq!((recovered.cluster_time.0, recovered.rebooted), (0, true));
}
