//! The page that says which test holds which fact of VRRP and Linux names only tests that exist.

use super::{assert_none, root};

const PAGE: &str = "docs/facts-tested.md";
const FAULTS: &str = "lab/tests/faults/main.rs";

#[test]
fn each_fact_has_a_test_that_exists() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    let (page, faults) = (read(PAGE), read(FAULTS));
    let mut findings = Vec::new();
    let mut facts = 0;
    for (number, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let Some(tests) = line.trim_end_matches(" |").rsplit(" | ").next().filter(|tests| tests.contains('`')) else {
            continue;
        };
        facts += 1;
        // Outside and inside of backticks take turns.
        for pair in tests.split('`').collect::<Vec<_>>().chunks_exact(2) {
            let [before, test] = pair else { continue };
            let exists = match test.split_once(' ') {
                Some((path, name)) => read(path).contains(&format!("fn {name}(")),
                None => before.ends_with("fault ") && faults.contains(&format!(": \"{test}\",")),
            };
            if !exists {
                findings.push(format!("{PAGE}:{}: there is no test `{test}`", number + 1));
            }
        }
    }
    assert!(facts > 30, "the page has {facts} facts");
    assert_none(findings);
}
