//! A node whose disk is full while a new version of the configuration comes: the other node has it, this one says why it
//! has not, nothing is half written, calls and their records go on, and it has the version when there is room again.

use std::collections::BTreeMap;
use std::fs;

use tandem_lab::nodes::Node;

use super::room::{Ground, told_configuration, wait_for};

/// More than a full disk has left in the blocks that its files have begun.
const NEW_FILE_LINES: usize = 4_000;

#[test]
fn a_node_with_a_full_disk_has_the_configuration_when_there_is_room_again() {
    let ground = Ground::new(&[]).with_disks();
    let mut room = ground.pair_with("store = \"sqlite\"\n");
    let active = room.wait_protected();
    let full = 1 - active;
    wait_for("a version that both run", || told_configuration(&room.nodes[active])["peer_runs_head"] == true);
    let before = files(&room.nodes[full]);
    let new = "; a line of a new file\n".repeat(NEW_FILE_LINES);
    room.round(|room| {
        room.disk(full).fill().expect("a full disk");
        room.nodes[active].write_pbx_file("new.conf", &new).expect("a file");
        let dialplan = before["extensions.conf"].clone() + "exten => 6011,1,Answer\n";
        room.nodes[active].write_pbx_file("extensions.conf", &dialplan).expect("a file");
        wait_for("the new version on the node that has room", || {
            let line = told_configuration(&room.nodes[active]);
            line["runs_head"] == true && line["peer_runs_head"] == false
        });
        wait_for("the reason at the other one", || {
            let line = told_configuration(&room.nodes[full]);
            line["waits"].as_str().is_some_and(|text| text.contains("No space left on device"))
        });
        let events = room.nodes[full].events().expect("events");
        let of_disk = |event: &serde_json::Value| event.to_string().contains("No space left on device");
        assert!(events.iter().any(of_disk), "{events:#?}");
        assert_eq!(files(&room.nodes[full]), before, "nothing is half written");
        room.wait_calls();
    });
    room.round(|room| room.wait_calls());
    room.disk(full).clear().expect("room");
    wait_for("the new version on both", || {
        let line = told_configuration(&room.nodes[full]);
        line["runs_head"] == true && line["peer_runs_head"] == true && line["waits"].is_null()
    });
    wait_for("the files", || files(&room.nodes[full]) == files(&room.nodes[active]));
    assert_eq!(files(&room.nodes[full]).get("new.conf"), Some(&new));
    room.wait_records(0);
}

/// Everything in the directory, whatever its name.
fn files(node: &Node) -> BTreeMap<String, String> {
    let entries = fs::read_dir(node.pbx_directory()).expect("a folder").map(|entry| entry.expect("an entry"));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).unwrap_or_default())
    };
    entries.map(file).collect()
}
