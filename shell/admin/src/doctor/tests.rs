use std::fs;

use super::*;

#[test]
fn a_report_counts_and_shows_what_to_do() {
    let report = Report::new(vec![
        Finding::ok("ports", "UDP 5060: no other program has them"),
        Finding::problem("key file", "anybody may read it", "chmod 600 pair.key"),
        Finding::unknown("fair server", "the kernel has none"),
    ]);
    let wanted = "\
ok       ports            UDP 5060: no other program has them
PROBLEM  key file         anybody may read it
                          -> chmod 600 pair.key
-        fair server      the kernel has none
1 problem, 0 warnings
";
    assert_eq!(human(&report, false), wanted);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][1]["verdict"], "problem");
}

#[test]
fn a_machine_is_examined_whatever_it_lacks() {
    let place = std::env::temp_dir().join(format!("tandem-doctor-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let text = crate::config::EXAMPLE.replace("/var/lib/tandem", "state").replace("/etc/tandem/pbx", "pbx");
    let config = Config::parse(&place.join("tandem.toml"), text).unwrap();
    let probes = Probes { clock_synchronised: Some(false), findings: vec![Finding::ok("key file", "good")] };
    let report = examine(&config, &probes);
    let of = |check: &str| report.findings.iter().find(|finding| finding.check == check).map(|finding| finding.verdict);
    assert_eq!(of("phones' files"), Some(Verdict::Problem));
    assert_eq!(of("node"), Some(Verdict::Warning));
    assert_eq!(of("own address"), Some(Verdict::Problem), "10.77.0.11 is no address of the machine that tests");
    assert_eq!(of("time source"), Some(Verdict::Warning));
    for check in ["key file", "interface", "ports", "firewall", "capabilities", "disk sync", "disk space"] {
        assert!(of(check).is_some(), "{check} is missing");
    }
    fs::remove_dir_all(&place).unwrap();
}
