use super::*;

const PHONE: &str = "10.77.0.21:5060";

#[test]
fn a_phone_registers_and_refreshes() {
    let mut world = World::new();
    let mut phone = Phone::new("5000", "one", PHONE);
    let response = phone.register(&mut world, 300);
    assert_eq!(response.status, 200);
    assert_eq!(response.headers.value("Contact"), Some("<sip:5000@10.77.0.21:5060>;expires=300"));
    world.wait(Duration::from_secs(200));
    assert_eq!(world.pbx.registrations(), 1);
    assert_eq!(phone.register(&mut world, 300).status, 200);
    world.wait(Duration::from_secs(200));
    assert_eq!(world.pbx.registrations(), 1, "refreshed");
    world.log_is_whole();
    world.wait(Duration::from_secs(101));
    assert_eq!(world.pbx.registrations(), 0, "expired");
    world.log_is_whole();
}

#[test]
fn a_wrong_password_registers_nothing() {
    let mut world = World::new();
    assert_eq!(Phone::new("5000", "two", PHONE).register(&mut world, 300).status, 403);
    assert_eq!(Phone::new("4711", "two", PHONE).register(&mut world, 300).status, 403, "a stranger is told the same");
    assert_eq!(world.pbx.registrations(), 0);
    assert!(world.log.is_empty());
}

#[test]
fn too_brief_a_time_is_refused_with_the_shortest_one() {
    let mut world = World::new();
    let response = Phone::new("5000", "one", PHONE).register(&mut world, 5);
    assert_eq!(response.status, 423);
    assert_eq!(response.headers.value("Min-Expires"), Some("60"));
    assert_eq!(world.pbx.registrations(), 0);
}

#[test]
fn zero_seconds_unregister() {
    let mut world = World::new();
    let mut phone = Phone::new("5000", "one", PHONE);
    phone.register(&mut world, 300);
    assert_eq!(phone.register(&mut world, 0).status, 200);
    assert_eq!(world.pbx.registrations(), 0);
    assert!(world.log.is_empty());
}

#[test]
fn the_second_contact_of_a_sip_conf_phone_takes_the_place_of_the_first() {
    let mut world = World::new();
    Phone::new("5000", "one", PHONE).register(&mut world, 300);
    let response = Phone::new("5000", "one", "10.77.0.22:5062").register(&mut world, 300);
    let contacts: Vec<_> = response.headers.values("Contact").collect();
    assert_eq!(contacts, ["<sip:5000@10.77.0.22:5062>;expires=300"]);
    world.log_is_whole();
}

#[test]
fn a_request_that_was_overtaken_changes_nothing() {
    let mut world = World::new();
    let mut phone = Phone::new("5000", "one", PHONE);
    let mut late = phone.clone();
    late.branches = 100;
    phone.register(&mut world, 300);
    phone.register(&mut world, 600);
    assert_eq!(late.register(&mut world, 60).status, 500);
    world.wait(Duration::from_secs(500));
    assert_eq!(world.pbx.registrations(), 1);
}

#[test]
fn a_registration_outlives_its_node() {
    let mut world = World::new();
    let mut phone = Phone::new("5000", "one", PHONE);
    phone.register(&mut world, 300);
    world.move_to_other_node();
    assert_eq!(world.pbx.registrations(), 1);
    assert_eq!(phone.register(&mut world, 300).status, 200, "and is refreshed at the other one");
}
