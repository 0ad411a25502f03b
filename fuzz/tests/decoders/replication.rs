//! The log: entries, messages between two logs, datagrams of the stream, and whole conversations.

use base::{ClusterTime, Epoch, Incarnation, LocalTime, Lsn, NodeIndex, Position, WallTime};
use fuzz::{Mutator, Outcome, Target};
use replication::files::transfer::Message as Contents;
use replication::files::{Entry as File, Manifest, Named, Page, Set, Version, VersionId};
use replication::packed::PackedEntry;
use replication::{Checkpoint, Delta, Entry, Hash, Key, Log, Message, Peering, Session, Stream};

use crate::CBOR;

const EPOCH: Epoch = Epoch { number: 3, node: NodeIndex(0) };

fn delta(number: u64, bytes: usize) -> Delta {
    let value = (number % 5 != 4).then(|| vec![number as u8; bytes]);
    Delta { key: Key::new((number % 3) as u8 + 1, format!("object-{}", number % 7)), value }
}

/// A log of so many entries.
fn log(entries: u64) -> Log {
    let mut log = Log::new();
    for number in 0..entries {
        let deltas = (0..=number % 3).map(|more| delta(number + more, 40)).collect();
        let time = 1_000_000 + number;
        assert!(log.append(EPOCH, deltas, ClusterTime(time), WallTime(time)).is_ok());
    }
    log
}

fn position(lsn: u64) -> Position {
    Position { epoch: EPOCH, lsn: Lsn(lsn) }
}

fn messages() -> Vec<Message> {
    let log = log(12);
    let checksums = log.store().checksums();
    let entries = log.entries_since(Lsn(0)).cloned().map(Message::Entry);
    let objects = log.store().iter().map(|(key, value)| Delta { key: key.clone(), value: Some(value.to_vec()) });
    let mut messages: Vec<Message> = entries.collect();
    messages.extend([
        Message::Leading { version: 1, epoch: EPOCH, heard: 0 },
        Message::Hello { version: 1, attempt: 1, position: position(4), whole: false, packs: true },
        Message::Hello { version: 1, attempt: 2, position: position(0), whole: true, packs: false },
        Message::Welcome { attempt: 1, epoch: EPOCH },
        Message::Verify { position: position(12), checksums: checksums.clone() },
        Message::Applied { attempt: 1, position: position(12), in_step: true },
        Message::SnapshotBegin {
            position: position(12),
            cluster_time: ClusterTime(1),
            wall: WallTime(1),
            trail: Vec::new(),
        },
        Message::Objects(objects.collect()),
        Message::SnapshotEnd { position: position(12), checksums },
        Message::HandOver { position: position(12) },
        Message::Opaque(b"something".to_vec()),
    ]);
    // The follower of these messages has come to 12: what follows it is packed by what is there.
    let next = Entry { position: position(13), deltas: vec![delta(1, 400), delta(2, 40)], ..Entry::default() };
    messages.push(Message::Packed(PackedEntry::pack(&next, &[Some(vec![1; 40]), None])));
    messages
}

#[test]
fn replication_entry() {
    let log = log(12);
    let corpus = log.entries_since(Lsn(0)).map(Entry::encode);
    Target::new("replication_entry", corpus).pieces(CBOR).allocates(60, 2_048).run(|input| {
        let read = Entry::decode(input);
        if let Ok(entry) = &read {
            assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(entry));
            assert!(entry.encode().len() <= entry.bytes());
        }
        Outcome::of(&read)
    });
}

#[test]
fn replication_message() {
    Target::new("replication_message", messages().iter().map(Message::encode)).pieces(CBOR).allocates(120, 4_096).run(
        |input| {
            let read = Message::decode(input);
            if let Ok(message) = &read {
                assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(message));
            }
            Outcome::of(&read)
        },
    );
}

#[test]
fn replication_checkpoint() {
    let corpus = [0, 3, 12].map(|entries| minicbor::to_vec(log(entries).checkpoint()).expect("encoded"));
    Target::new("replication_checkpoint", corpus).pieces(CBOR).one_in(2).run(|input| {
        let read = minicbor::decode::<Checkpoint>(input);
        if let Ok(checkpoint) = &read {
            let again: Checkpoint = minicbor::decode(&minicbor::to_vec(checkpoint).expect("encoded")).expect("decoded");
            assert_eq!(again, *checkpoint);
        }
        Outcome::of(&read)
    });
}

/// Messages come to a session that leads, and to one that follows, as any order and damage may bring them. Whatever the
/// follower takes leaves its log whole: it never goes back but by a snapshot.
#[test]
fn replication_session() {
    let messages = messages();
    let mut mutator = Mutator::new(5);
    let leader_log = log(12);
    let start = |follows: bool| {
        let (mut session, mut log) = (Session::new(), if follows { Log::new() } else { leader_log.clone() });
        if follows {
            session.follow(&log)
        } else {
            session.lead(EPOCH)
        }
        let _ = session.flush(&log, &mut Stream::new(Incarnation(1), Incarnation(2), 1));
        let welcome = Message::Welcome { attempt: 1, epoch: EPOCH };
        let _ = session.receive(&welcome.encode(), &mut log);
        (session, log)
    };
    let mut ends = [start(false), start(true)];
    let mut cases = 0_u64;
    Target::new("replication_session", messages.iter().map(Message::encode)).pieces(CBOR).run(|input| {
        cases += 1;
        if cases.is_multiple_of(64) {
            ends = [start(false), start(true)];
        }
        let (session, log) = mutator.one_of_mut(&mut ends);
        let before = log.position();
        let received = session.receive(input, log);
        let replaced =
            received.iter().flatten().any(|event| matches!(event, replication::SessionEvent::Replaced { .. }));
        assert!(replaced || log.position() >= before);
        session.confirm(log.position());
        let _ = session.flush(log, &mut Stream::new(Incarnation(1), Incarnation(2), 1));
        Outcome::of(&received)
    });
}

/// Datagrams of a real conversation, with their order kept and their bytes damaged.
#[test]
fn replication_stream() {
    let mut now = LocalTime::from_millis(1_000);
    let mut mutator = Mutator::new(9);
    let mut damaged = 0_u64;
    let corpus = [b"unused".to_vec()];
    Target::new("replication_stream", corpus).one_in(100).takes_anything().run(|input| {
        let mut mutator_of_case = Mutator::new(mutator.number() ^ input.len() as u64);
        let (mut leader_log, mut follower_log) = (log(40), Log::new());
        let (mut leader, mut follower) =
            (Peering::new(Incarnation(1), Incarnation(2)), Peering::new(Incarnation(2), Incarnation(1)));
        leader.lead(EPOCH);
        follower.follow(&follower_log);
        let mut recorded: Vec<Vec<u8>> = vec![vec![0; 61]];
        for _ in 0..30 {
            now += std::time::Duration::from_millis(7);
            leader.flush(&leader_log);
            follower.confirm(follower_log.position());
            follower.flush(&follower_log);
            for to_follower in [true, false] {
                let (from, to, log) = if to_follower {
                    (&mut leader, &mut follower, &mut follower_log)
                } else {
                    (&mut follower, &mut leader, &mut leader_log)
                };
                // A retransmission in each round would be more than a stream ever says.
                for _ in 0..20 {
                    let Some(mut datagram) = from.next_datagram(now) else { break };
                    recorded.push(datagram.clone());
                    if mutator_of_case.below(4) == 0 {
                        damaged += 1;
                        mutator_of_case.damage(&mut datagram, &recorded, CBOR);
                    }
                    let before = log.position();
                    let events = to.datagram(now, &datagram, log);
                    let replaced =
                        events.iter().any(|event| matches!(event, replication::SessionEvent::Replaced { .. }));
                    assert!(replaced || log.position() >= before);
                }
            }
        }
        Outcome::Taken
    });
    assert!(damaged > 0);
}

/// A set of so many files: its manifest and pages.
fn set(files: usize) -> (Manifest, Vec<Vec<u8>>) {
    let mut set = Set::default();
    for number in 0..files {
        let path = format!("users/{number}.conf");
        let file =
            File { path, content: Hash([7; 32]), bytes: 9, mode: 0o640, owner: "asterisk".into(), group: "x".into() };
        assert!(set.put(file).is_ok());
    }
    set.pages().expect("a sound set")
}

#[test]
fn files_page() {
    Target::new("files_page", set(300).1).pieces(CBOR).allocates(60, 4_096).run(|input| {
        let read = Page::decode(input);
        if let Ok(page) = &read {
            assert_eq!(Page::decode(&page.encode()).as_ref(), Ok(page));
        }
        Outcome::of(&read)
    });
}

#[test]
fn files_manifest() {
    Target::new("files_manifest", [set(9).0.encode()]).pieces(CBOR).allocates(60, 4_096).run(|input| {
        let read = Manifest::decode(input);
        if let Ok(manifest) = &read {
            assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(manifest));
        }
        Outcome::of(&read)
    });
}

#[test]
fn files_version() {
    let parents = vec![VersionId(Hash([1; 32])), VersionId(Hash([2; 32]))];
    let version =
        Version { parents, author: "a".into(), made_at: WallTime(7), why: "edited".into(), manifest: Hash([3; 32]) };
    let named = [
        Named::small(version.encode(), ClusterTime(5)).encode(),
        Named::kept(Hash([1; 32]), 77, ClusterTime(6)).encode(),
        Named::Removed { changed: ClusterTime(7) }.encode(),
    ];
    let corpus = [version.encode()].into_iter().chain(named);
    Target::new("files_version", corpus).pieces(CBOR).allocates(60, 4_096).run(|input| {
        let (read, named) = (Version::decode(input), Named::decode(input));
        if let Ok(version) = &read {
            assert_eq!(Version::decode(&version.encode()).as_ref(), Ok(version));
        }
        if let Ok(named) = &named {
            assert_eq!(Named::decode(&named.encode()).as_ref(), Ok(named));
        }
        Outcome::from(read.is_ok() || named.is_ok())
    });
}

#[test]
fn files_transfer() {
    let content = Hash([1; 32]);
    let messages = [
        Contents::Want { content, offset: 5, length: 6 },
        Contents::Part { content, total: 90, offset: 5, bytes: vec![7; 60] },
        Contents::Lacking { content },
        Contents::Have { contents: vec![content; 5] },
    ];
    fn encoded(message: &Contents) -> Vec<u8> {
        minicbor::to_vec(message).expect("writing to memory is infallible")
    }
    Target::new("files_transfer", messages.each_ref().map(encoded)).pieces(CBOR).allocates(60, 4_096).run(|input| {
        let read = minicbor::decode::<Contents>(input);
        if let Ok(message) = &read {
            assert_eq!(minicbor::decode::<Contents>(&encoded(message)).ok().as_ref(), Some(message));
        }
        Outcome::of(&read)
    });
}
