//! Owns what is told of the configuration's versions: that another one runs, a conflict, files that are refused, and the
//! end of each.

use std::collections::BTreeMap;

use node::{ConfigLine, ConflictLine};

use super::Telling;
use crate::human::configuration::short;

const KIND: &str = "configuration";

/// What was told last.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationWatch {
    runs: Option<String>,
    conflict: Option<ConflictLine>,
    /// The first mistake, by node.
    refused: BTreeMap<String, String>,
}

impl ConfigurationWatch {
    /// What is new since the last look. The version that a node runs at its start is none.
    pub fn look(&mut self, config: &ConfigLine) -> Vec<Telling> {
        let mut news = Vec::new();
        if config.runs_head && self.runs != config.head {
            let before = std::mem::replace(&mut self.runs, config.head.clone());
            let version = config.head.as_deref().map(short).unwrap_or_default();
            if before.is_some() {
                let text = format!("runs version {version} of the phones' files");
                news.push(Telling::new(KIND, text).with("state", "runs").with("version", version));
            }
        }
        news.extend(self.conflict(config));
        news.extend(self.refused(config));
        news
    }

    fn conflict(&mut self, config: &ConfigLine) -> Option<Telling> {
        let sides = |conflict: &ConflictLine| (conflict.ours.clone(), conflict.theirs.clone());
        if self.conflict.as_ref().map(sides) == config.conflict.as_ref().map(sides) {
            return None;
        }
        self.conflict.clone_from(&config.conflict);
        let Some(ConflictLine { ours, theirs, author, .. }) = &self.conflict else {
            return Some(Telling::new(KIND, "the conflict of two edits is ended").with("state", "resolved"));
        };
        let (ours, theirs) = (short(ours), short(theirs));
        let text = format!(
            "two edits conflict: {theirs}, made on {author}, and {ours}, which runs; end it with `tandem config resolve`"
        );
        Some(Telling::new(KIND, text).with("state", "conflict").with("ours", ours).with("theirs", theirs))
    }

    fn refused(&mut self, config: &ConfigLine) -> Vec<Telling> {
        let first = |problems: &[String]| problems.first().cloned().unwrap_or_default();
        let now: BTreeMap<String, String> =
            config.refused.iter().map(|refused| (refused.node.clone(), first(&refused.problems))).collect();
        let before = std::mem::replace(&mut self.refused, now);
        let new = self.refused.iter().filter(|(node, problem)| before.get(*node) != Some(problem));
        let refused = new.map(|(node, problem)| {
            let text = format!("the phones' files on {node} are refused: {problem}");
            Telling::new(KIND, text).with("state", "refused").with("on", node.as_str())
        });
        let gone = before.keys().filter(|node| !self.refused.contains_key(*node));
        let well = gone.map(|node| {
            let text = format!("the phones' files on {node} are not refused any more");
            Telling::new(KIND, text).with("state", "well").with("on", node.as_str())
        });
        refused.chain(well).collect()
    }
}

#[cfg(test)]
mod tests {
    use node::RefusedLine;

    use super::*;

    fn states(news: &[Telling]) -> Vec<&str> {
        news.iter().filter_map(|telling| telling.data["state"].as_str()).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut watch = ConfigurationWatch::default();
        let mut config = ConfigLine { head: Some("aa".into()), runs_head: true, ..ConfigLine::default() };
        assert!(watch.look(&config).is_empty(), "the version of the start is no news");
        config.head = Some("bb".into());
        config.runs_head = false;
        assert!(watch.look(&config).is_empty());
        config.runs_head = true;
        assert_eq!(watch.look(&config)[0].text, "runs version bb of the phones' files");
        assert!(watch.look(&config).is_empty());
        config.conflict = Some(ConflictLine { theirs: "cc".into(), author: "b".into(), ..ConflictLine::default() });
        assert_eq!(states(&watch.look(&config)), ["conflict"]);
        assert!(watch.look(&config).is_empty());
        config.conflict = None;
        config.refused = vec![RefusedLine { node: "b".into(), problems: vec!["sip.conf:3: error: x".into()] }];
        let news = watch.look(&config);
        assert_eq!(states(&news), ["resolved", "refused"]);
        assert_eq!(news[1].text, "the phones' files on b are refused: sip.conf:3: error: x");
        assert!(watch.look(&config).is_empty());
        config.refused.clear();
        assert_eq!(states(&watch.look(&config)), ["well"]);
    }
}
