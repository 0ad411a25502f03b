//! An upgrade of one node at a time: from the program before to the one under test, as a package does it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::DrillArguments;
use super::checks::Check;
use super::scene::Scene;
use crate::LabError;

/// The program that both nodes begin with, if it is another one than the one under test.
pub(super) fn previous(arguments: &DrillArguments) -> Result<Option<PathBuf>, LabError> {
    let Some(path) = &arguments.previous else { return Ok(None) };
    let found = path.canonicalize().map_err(LabError::io(format!("finding the program {}", path.display())))?;
    if !found.is_file() {
        let operation = format!("{} is no program", path.display());
        return Err(LabError::Io { operation, source: std::io::ErrorKind::InvalidInput.into() });
    }
    Ok(Some(found))
}

impl Scene {
    /// Stops a node, which hands over first if it serves, installs the program under test, and starts it.
    pub(super) fn upgrade(&mut self, index: usize) -> Result<(), LabError> {
        let binary = self.binary().to_owned();
        let node = self.node_mut(index)?;
        node.stop();
        node.install(&binary);
        node.start()
    }

    /// Each node runs the program that it was given, and both write what both can read.
    pub(super) fn check_two_programs(&self) -> Check {
        let installed = self.nodes.iter().map(|node| match node.runs_installed() {
            Ok(true) => None,
            Ok(false) => Some(format!("node {} runs another program than it was given", node.name)),
            Err(error) => Some(error.chain()),
        });
        let mut wrong: Vec<String> = installed.flatten().collect();
        // A program of before there were levels tells none.
        let told = self.nodes.iter().filter_map(|node| node.ask("status").ok()?["level"].as_u64());
        let levels: BTreeSet<u64> = told.collect();
        if levels.len() > 1 {
            wrong.push(format!("the nodes write different levels: {levels:?}"));
        }
        Check::new("one node upgraded, and both write alike", 1, wrong)
    }

    /// Both nodes run the same program now, and write all that it knows.
    pub(super) fn check_upgraded(&self) -> Check {
        let told: Vec<Result<(Value, Value), LabError>> = self
            .nodes
            .iter()
            .map(|node| node.ask("status").map(|status| (status["version"].clone(), status["level"].clone())))
            .collect();
        let text = |told: &Result<(Value, Value), LabError>| match told {
            Ok((version, level)) => format!("version {version} writes level {level}"),
            Err(error) => error.chain(),
        };
        let first = told.first().and_then(|first| first.as_ref().ok());
        let alike = first.is_some() && told.iter().all(|other| other.as_ref().ok() == first);
        let wrong = if alike { Vec::new() } else { vec![told.iter().map(text).collect::<Vec<_>>().join(", ")] };
        Check::new("both nodes run and write alike", 1, wrong)
    }
}
