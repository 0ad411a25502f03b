//! What becomes of edits, one by one.

use node::Take;
use node::base::Level;
use phone::AnswerPolicy;

use super::*;
use crate::handset::HandsetPlan;
use crate::world::Plan;

const SECOND_US: u64 = 1_000_000;

fn plan(levels: [Level; 2]) -> Plan {
    let phones = vec![HandsetPlan { answer: AnswerPolicy::never(), register_every_s: 60 }; 2];
    let trace = std::env::var_os("TRACE").is_some();
    Plan { audio_us: 100_000, levels, files: true, trace, ..Plan::plain(5, phones, 25) }
}

/// A protected pair, the first node active, whose folders are equal and a version.
fn pair() -> World {
    let mut world = World::new(plan([Level::OWN; 2]));
    world.come_up();
    world.run(2 * SECOND_US);
    assert_eq!(world.active(), Some(0));
    assert_equal(&mut world);
    world
}

fn told(world: &mut World, machine: usize) -> ConfigAnswer {
    world.config_of(machine).expect("an answer")
}

fn assert_equal(world: &mut World) {
    // Who answered first hears of the other one a moment later.
    world.run(200_000);
    assert_eq!(world.failure().map(ToString::to_string), None);
    assert_eq!(world.machines[0].files.folder, world.machines[1].files.folder);
    for machine in 0..2 {
        let line = told(world, machine).line;
        assert!(
            line.runs_head && line.conflict.is_none() && line.refused.is_empty() && line.waits.is_none(),
            "{line:?}"
        );
        assert_eq!(line.peer_runs_head, Some(true));
        assert_eq!(line.head, world.installed_version(machine).map(|version| version.id().to_string()));
    }
    world.check_configuration();
    assert_eq!(world.failure().map(ToString::to_string), None);
}

fn put(world: &mut World, machine: usize, path: &str, text: &str) {
    world.edit(machine, path, Some(text.to_owned()));
}

fn text(world: &World, machine: usize, path: &str) -> Option<String> {
    world.machines[machine].files.folder.get(path).cloned()
}

/// What an operator is answered within so many seconds.
fn ask(world: &mut World, machine: usize, request: ConfigRequest) -> Answer {
    let number = world.ask(machine, Operator::Config(request));
    assert!(
        world.run_until(25 * SECOND_US, |world| world.answers.contains_key(&number)),
        "{request:?} is not answered"
    );
    world.answers[&number].clone()
}

#[test]
fn additions_changes_and_deletions_live_on_both_nodes_wherever_they_were_made() {
    for machine in [0, 1] {
        let mut world = pair();
        put(&mut world, machine, "sip.conf", "changed");
        put(&mut world, machine, "users/new.conf", "new");
        world.edit(machine, "sounds/hello", None);
        world.run(3 * SECOND_US);
        assert_equal(&mut world);
        let other = 1 - machine;
        assert_eq!(text(&world, other, "sip.conf").as_deref(), Some("changed"));
        assert_eq!(text(&world, other, "users/new.conf").as_deref(), Some("new"));
        assert_eq!(text(&world, other, "sounds/hello"), None);
        assert_eq!(told(&mut world, other).history[0].author, name(machine));
    }
}

#[test]
fn one_edit_after_another_on_one_node_is_no_conflict() {
    for machine in [0, 1] {
        let mut world = pair();
        for number in 0..20 {
            put(&mut world, machine, "sip.conf", &format!("edit {number}"));
            world.run(130_000);
        }
        world.run(3 * SECOND_US);
        assert_equal(&mut world);
        assert_eq!(text(&world, 1 - machine, "sip.conf").as_deref(), Some("edit 19"));
    }
}

#[test]
fn apply_answers_when_both_nodes_run_it() {
    for machine in [0, 1] {
        let mut world = pair();
        put(&mut world, machine, "sip.conf", "applied");
        let answer = ask(&mut world, machine, ConfigRequest::Apply);
        assert!(matches!(&answer, Answer::Done { text } if text.contains("live on both nodes")), "{answer:?}");
        assert_equal(&mut world);
        assert_eq!(text(&world, 1 - machine, "sip.conf").as_deref(), Some("applied"));
        let again = ask(&mut world, machine, ConfigRequest::Apply);
        assert!(matches!(&again, Answer::Done { .. }), "{again:?}");
    }
}

#[test]
fn a_set_that_does_not_check_changes_nothing_and_both_nodes_say_so() {
    for machine in [0, 1] {
        let mut world = pair();
        let before = told(&mut world, 0).line.head;
        put(&mut world, machine, "sip.conf", "this is bad");
        let answer = ask(&mut world, machine, ConfigRequest::Apply);
        assert!(matches!(&answer, Answer::Refused { text } if text.contains("sip.conf:1: ")), "{answer:?}");
        world.run(3 * SECOND_US);
        for of in 0..2 {
            let line = told(&mut world, of).line;
            assert_eq!((line.head.clone(), line.runs_head), (before.clone(), true));
            assert_eq!(line.refused.iter().map(|it| it.node.as_str()).collect::<Vec<_>>(), [name(machine)]);
        }
        assert_eq!(text(&world, machine, "sip.conf").as_deref(), Some("this is bad"), "it stays where it is");
        put(&mut world, machine, "sip.conf", "mended");
        world.run(3 * SECOND_US);
        assert_equal(&mut world);
        assert_eq!(text(&world, 1 - machine, "sip.conf").as_deref(), Some("mended"));
    }
}

#[test]
fn two_edits_of_one_version_are_a_conflict_until_a_person_chooses() {
    for (take, wins) in [(Take::Ours, 0), (Take::Theirs, 1)] {
        for asked in [0, 1] {
            let mut world = pair();
            put(&mut world, 0, "sip.conf", "of a");
            put(&mut world, 1, "sip.conf", "of b");
            world.run(4 * SECOND_US);
            for machine in 0..2 {
                let line = told(&mut world, machine).line;
                assert!(line.conflict.is_some() && line.runs_head, "{line:?}");
            }
            let texts = [text(&world, 0, "sip.conf"), text(&world, 1, "sip.conf")];
            assert_eq!(texts, [Some("of a".into()), Some("of b".into())], "both are kept where they are");
            let conflict = told(&mut world, 0).line.conflict.unwrap();
            let theirs = usize::from(conflict.author == "b");
            let answer = ask(&mut world, asked, ConfigRequest::Resolve(take));
            assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
            world.run(SECOND_US);
            assert_equal(&mut world);
            let winner = if wins == 1 { theirs } else { 1 - theirs };
            assert_eq!(text(&world, 0, "sip.conf"), texts[winner]);
        }
    }
}

#[test]
fn a_rollback_is_a_new_version_with_the_old_contents() {
    for asked in [0, 1] {
        let mut world = pair();
        let first = told(&mut world, 0).history[0].clone();
        put(&mut world, 0, "sip.conf", "worse");
        world.run(3 * SECOND_US);
        let id = VersionId(Hash::parse(&first.id).unwrap());
        let answer = ask(&mut world, asked, ConfigRequest::Rollback(id));
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
        assert_equal(&mut world);
        let history = told(&mut world, 1).history;
        assert_eq!((history.len(), &history[0].manifest), (3, &first.manifest));
        assert_ne!(text(&world, 1, "sip.conf").as_deref(), Some("worse"));
        let unknown = ask(&mut world, asked, ConfigRequest::Rollback(VersionId(Hash([9; 32]))));
        assert!(matches!(unknown, Answer::Refused { .. }), "{unknown:?}");
        let nothing = ask(&mut world, asked, ConfigRequest::Resolve(Take::Ours));
        assert!(matches!(&nothing, Answer::Refused { text } if text.contains("no conflict")), "{nothing:?}");
    }
}

#[test]
fn a_node_that_was_away_catches_up() {
    for away in [0, 1] {
        let mut world = pair();
        world.stop(away);
        world.run(2 * SECOND_US);
        for number in 0..5 {
            put(&mut world, 1 - away, "sip.conf", &format!("edit {number}"));
            world.run(2 * SECOND_US);
        }
        let line = told(&mut world, 1 - away).line;
        assert!(line.runs_head && line.peer_runs_head.is_none(), "{line:?}");
        world.start_again(away);
        world.run(8 * SECOND_US);
        assert_equal(&mut world);
        assert_eq!(text(&world, away, "sip.conf").as_deref(), Some("edit 4"));
    }
}

#[test]
fn what_was_edited_while_the_node_was_away_is_taken_or_shown() {
    for other_edits in [false, true] {
        let mut world = pair();
        world.stop(1);
        world.run(2 * SECOND_US);
        put(&mut world, 1, "rtp.conf", "edited while it was off");
        if other_edits {
            put(&mut world, 0, "sip.conf", "edited meanwhile");
        }
        world.run(2 * SECOND_US);
        world.start_again(1);
        world.run(8 * SECOND_US);
        if other_edits {
            assert!(told(&mut world, 0).line.conflict.is_some());
            assert_eq!(text(&world, 1, "rtp.conf").as_deref(), Some("edited while it was off"));
        } else {
            assert_equal(&mut world);
            assert_eq!(text(&world, 0, "rtp.conf").as_deref(), Some("edited while it was off"));
        }
    }
}

/// It has all of the log, and no room for the files.
#[test]
fn a_standby_that_lacks_the_head_is_not_handed_the_role_but_takes_over_from_the_dead() {
    let mut world = pair();
    world.machines[1].files.full = true;
    put(&mut world, 0, "sip.conf", "new");
    world.run(15 * SECOND_US);
    let line = told(&mut world, 0).line;
    assert_eq!((line.runs_head, line.peer_runs_head), (true, Some(false)), "{line:?}");
    let number = world.ask(0, Operator::SwitchOver);
    world.run(SECOND_US);
    let answer = world.answers[&number].clone();
    assert!(matches!(&answer, Answer::Refused { text } if text.contains("configuration")), "{answer:?}");
    assert_eq!(world.active(), Some(0));
    world.machines[1].files.full = false;
    world.run(6 * SECOND_US);
    assert_equal(&mut world);
    world.machines[1].files.full = true;
    put(&mut world, 0, "sip.conf", "newer");
    world.run(15 * SECOND_US);
    world.kill(0);
    world.run(SECOND_US);
    assert_eq!(world.active(), Some(1), "phones come first");
    world.machines[1].files.full = false;
    world.run(10 * SECOND_US);
    assert_equal(&mut world);
    assert_eq!(text(&world, 1, "sip.conf").as_deref(), Some("newer"));
}

/// Wherever the serving node dies, the edit is on both nodes in the end.
#[test]
fn a_death_at_any_moment_of_an_edit_loses_nothing() {
    for edited in [0, 1] {
        for moment in 0..12 {
            let mut world = pair();
            put(&mut world, edited, "sip.conf", "precious");
            world.run(moment * 110_000);
            world.kill(0);
            world.run(12 * SECOND_US);
            assert_equal(&mut world);
            assert_eq!(text(&world, 0, "sip.conf").as_deref(), Some("precious"), "{edited} {moment}");
        }
    }
}

#[test]
fn after_a_split_one_side_s_edit_is_taken_and_two_sides_edits_are_a_conflict() {
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let mut world = pair();
        world.fall_apart();
        world.run(2 * SECOND_US);
        if first {
            put(&mut world, 0, "sip.conf", "of a");
        }
        if second {
            put(&mut world, 1, "rtp.conf", "of b");
        }
        world.run(3 * SECOND_US);
        let alone = told(&mut world, 1).line;
        assert!(alone.runs_head, "each side goes on: {alone:?}");
        world.come_together();
        world.run(12 * SECOND_US);
        if first && second {
            for machine in 0..2 {
                let line = told(&mut world, machine).line;
                assert!(line.conflict.is_some() && line.runs_head, "{line:?}");
            }
            assert_eq!(told(&mut world, 0).history.len(), 3, "both edits are remembered");
        } else {
            assert_equal(&mut world);
            let texts = [text(&world, 0, "sip.conf"), text(&world, 0, "rtp.conf")];
            assert_eq!(texts.contains(&Some("of a".into())), first);
            assert_eq!(texts.contains(&Some("of b".into())), second);
        }
    }
}

#[test]
fn beside_an_older_program_each_node_s_files_are_its_own_until_it_is_upgraded() {
    let mut world = World::new(plan([Level::OWN, Level(2)]));
    world.come_up();
    put(&mut world, 0, "sip.conf", "of a");
    world.run(3 * SECOND_US);
    let line = told(&mut world, 0).line;
    assert!(line.head.is_none() && line.waits.is_some(), "{line:?}");
    assert_ne!(text(&world, 1, "sip.conf").as_deref(), Some("of a"));
    let answer = ask(&mut world, 0, ConfigRequest::Apply);
    assert!(matches!(&answer, Answer::Done { text } if text == "loaded"), "as ever: {answer:?}");
    world.stop(1);
    world.run(2 * SECOND_US);
    world.upgrade(1);
    world.run(8 * SECOND_US);
    let line = told(&mut world, 0).line;
    assert!(
        line.head.is_some() && line.conflict.is_some(),
        "what differed is shown, and nothing is overwritten: {line:?}"
    );
    assert_eq!(text(&world, 0, "sip.conf").as_deref(), Some("of a"));
    assert_ne!(text(&world, 1, "sip.conf").as_deref(), Some("of a"));
}
