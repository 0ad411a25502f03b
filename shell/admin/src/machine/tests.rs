use super::*;

#[test]
fn a_machines_name_becomes_one_that_a_configuration_takes() {
    assert_eq!(node_name("pbx-1.example.org"), "pbx-1");
    assert_eq!(node_name("böse name"), "bsename");
    assert_eq!(node_name(""), NAME_DEFAULT);
    assert_eq!(node_name(&"x".repeat(63)).len(), NAME_BYTES_MAX);
    assert!(!name().is_empty());
}

#[test]
fn masks_become_prefixes() {
    assert_eq!(prefix_bits("255.255.254.0".parse().unwrap()), 23);
    assert_eq!(prefix_bits("ffff:ffff:ffff:ffff::".parse().unwrap()), 64);
}

#[test]
fn the_loopback_is_no_address_of_the_machine() {
    assert!(addresses().unwrap().iter().all(|own| !own.address.is_loopback()));
    assert!(has_interface("lo") && !has_interface("no-such-one"));
}
