//! The store of call records, as `tandem doctor` sees it from this node: each address, who we are there, whether it takes
//! what is written, and the table. Nothing in it is changed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use admin::config::Records;
use admin::doctor::Finding;
use storage::cdr::{Examined, Fit, Found, Trouble, examine};

use super::chain;
use crate::records::target;

const CHECK: &str = "call records";

/// As far as the clocks of the two nodes may differ: certificates have times, and whoever reads the rows has a clock, too.
const CLOCK_MS_MAX: f64 = 10_000.0;

pub(super) fn findings(state_dir: &Path, records: &Records) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Records::Server(server) = records {
        findings.extend(server.password_file.as_deref().and_then(|path| owner(path, state_dir)));
    }
    match examine(&target(state_dir, records)) {
        Ok(examined) => findings.extend(told(&examined)),
        Err(error) => findings.push(Finding::unknown(CHECK, chain(&error))),
    }
    findings
}

/// `tandem doctor` is root and reads every file; the node may be another user.
fn owner(path: &Path, state_dir: &Path) -> Option<Finding> {
    let (file, state) = (path.metadata().ok()?, state_dir.metadata().ok()?);
    may_not_read(file.uid(), state.uid()).then(|| {
        let text = format!("the node may not read {}: it belongs to another user", path.display());
        Finding::problem(CHECK, text, format!("chown --reference={} {}", state_dir.display(), path.display()))
    })
}

/// A file that its owner alone may read. The state directory belongs to the node's user.
fn may_not_read(owner: u32, node: u32) -> bool {
    node != 0 && owner != node
}

/// One address that takes records is enough; the others are told, because they are wanted one day.
fn told(examined: &[Examined]) -> Vec<Finding> {
    let takes = examined.iter().any(|examined| examined.result.is_ok());
    let finding = |Examined { store, result }: &Examined| match result {
        Ok(found) => well(store, found),
        Err(trouble) => {
            let text = format!("{store}: {}", trouble.text());
            if takes {
                Finding::warning(CHECK, text, todo(trouble))
            } else {
                Finding::problem(CHECK, text, todo(trouble))
            }
        }
    };
    examined.iter().map(finding).collect()
}

fn well(store: &str, found: &Found) -> Finding {
    if let Some(ahead) = found.clock_ahead_ms.filter(|ahead| ahead.abs() > CLOCK_MS_MAX) {
        let way = if ahead < 0.0 { "behind" } else { "ahead" };
        let text = format!("{store}: its clock is {:.0} s {way}", ahead.abs() / 1e3);
        return Finding::warning(CHECK, text, "let it ask the same time server as the nodes (chrony)");
    }
    let table = match found.table {
        Fit::Fits => "the table fits".to_owned(),
        Fit::Lacks(1) => "the table lacks a column or an index, which is made before the first record".to_owned(),
        Fit::Lacks(count) => {
            format!("the table lacks {count} columns and indexes, which are made before the first record")
        }
        Fit::Missing => "the table is made before the first record".to_owned(),
    };
    Finding::ok(CHECK, format!("{store}: {table}"))
}

fn todo(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable(_) | Trouble::Silent { .. } => {
            "start it, and let it be reached from both machines: its address, port and firewall"
        }
        Trouble::Login(_) => "look at password_file, and from which hosts the server lets this user in",
        Trouble::Password(_) => "write the password alone into a file of mode 0600 that belongs to the node's user",
        Trouble::Authorities(_) => {
            "put the certificate of whoever signed the server's into ca_file, readable by the node"
        }
        Trouble::NoDatabase(_) => "make the database there; docs/records.md says what rights the user needs",
        Trouble::Denied(_) | Trouble::NoRight { .. } => {
            "grant SELECT, INSERT and UPDATE on the table; CREATE, ALTER and INDEX as well to have it made"
        }
        Trouble::ReadOnly(_) => "name the server that takes what is written, or end its being read-only",
        Trouble::NotPrimary(_) => "look at wsrep_cluster_status on every member: the cluster has no majority here",
        Trouble::Full(_) => "make room on the disk of the server",
        Trouble::Conflict(_) | Trouble::Busy(_) => "look again in a minute",
        Trouble::Tls(_) => {
            "look at tls and ca_file: the server's certificate must be signed by one in it, and made out to the host in store"
        }
        Trouble::Unfit { .. } => "change the table as it says; nothing was changed",
        Trouble::Foreign(_) => "move the file away: a new one is made",
        Trouble::Exists(_) | Trouble::Value(_) | Trouble::Other(_) => "read the log of the server",
    }
}

#[cfg(test)]
mod tests {
    use admin::doctor::Verdict;

    use super::*;

    fn examined(result: Result<Found, Trouble>) -> Examined {
        Examined { store: "mysql at db:3306".into(), result }
    }

    fn found(table: Fit, clock_ahead_ms: f64) -> Result<Found, Trouble> {
        Ok(Found { table, clock_ahead_ms: Some(clock_ahead_ms) })
    }

    #[test]
    fn an_address_that_fails_is_a_problem_only_when_no_other_one_takes_records() {
        let silent = || examined(Err(Trouble::Silent { seconds: 5 }));
        let verdicts = |examined: &[Examined]| told(examined).iter().map(|found| found.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[silent(), examined(found(Fit::Fits, 0.0))]), [Verdict::Warning, Verdict::Ok]);
        assert_eq!(verdicts(&[silent(), examined(Err(Trouble::NotPrimary(None)))]), [Verdict::Problem; 2]);
        let finding = told(&[silent()]).remove(0);
        assert_eq!(finding.text, "mysql at db:3306: it does not answer within 5 s");
        assert!(finding.todo.is_some_and(|todo| todo.contains("firewall")));
    }

    #[test]
    fn what_would_be_done_to_the_table_is_said() {
        let text = |fit| told(&[examined(found(fit, 9_000.0))]).remove(0).text;
        assert_eq!(text(Fit::Fits), "mysql at db:3306: the table fits");
        assert!(text(Fit::Lacks(11)).contains("lacks 11 columns and indexes"));
        assert!(text(Fit::Missing).contains("the table is made before the first record"));
    }

    #[test]
    fn a_clock_that_is_far_off_is_told_in_either_direction() {
        let told = |ahead| told(&[examined(found(Fit::Fits, ahead))]).remove(0);
        assert_eq!(told(11_000.0).text, "mysql at db:3306: its clock is 11 s ahead");
        assert_eq!(told(-3_600_000.0).verdict, Verdict::Warning);
        assert_eq!(told(-9_000.0).verdict, Verdict::Ok);
    }

    #[test]
    fn a_password_of_another_user_is_of_no_use_to_the_node() {
        assert!(may_not_read(0, 111) && may_not_read(5, 111));
        assert!(!may_not_read(111, 111) && !may_not_read(5, 0));
    }

    #[test]
    fn a_file_that_does_not_exist_yet_is_not_made() {
        let directory = std::env::temp_dir().join(format!("tandem-doctor-store-{}", std::process::id()));
        let findings = findings(&directory, &Records::Sqlite);
        assert_eq!(findings.iter().map(|found| found.verdict).collect::<Vec<_>>(), [Verdict::Ok]);
        assert!(!directory.exists());
    }
}
