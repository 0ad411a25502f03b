//! The unit as it is installed: what systemd says about it, and its settings for whoever runs it without systemd.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tandem_lab::process::output;

/// systemd-analyze loads what the unit needs as well.
const VERIFY_LIMIT: Duration = Duration::from_secs(30);

pub const UNIT_PATH: &str = "lib/systemd/system/tandem.service";

/// Of one of several nodes.
pub const INSTANCE_UNIT_PATH: &str = "lib/systemd/system/tandem@.service";

pub const WITNESS_UNIT_PATH: &str = "lib/systemd/system/tandem-witness.service";

/// Settings in the order of the file, those of all sections together.
pub struct Unit {
    settings: Vec<(String, String)>,
}

impl Unit {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the unit");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let settings = lines.filter_map(|line| line.split_once('='));
        Self { settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn one<'a>(&'a self, name: &'a str) -> &'a str {
        let mut values = self.all(name);
        let value = values.next().unwrap_or_else(|| panic!("the unit has no {name}"));
        assert!(values.next().is_none(), "the unit has {name} twice");
        value
    }

    /// As in `5s` or `250ms`.
    pub fn duration(&self, name: &str) -> Duration {
        let text = self.one(name);
        let number = |unit: &str| text.strip_suffix(unit)?.parse().ok();
        let duration = number("ms").map(Duration::from_millis).or_else(|| number("s").map(Duration::from_secs));
        duration.unwrap_or_else(|| panic!("{name}={text}"))
    }
}

/// systemd finds nothing to complain about. The units that it refers to are this machine's.
pub fn verify(root: &Path, directory: &Path) {
    let program = root.join("usr/bin/tandem").display().to_string();
    verify_one(&program, &root.join(UNIT_PATH), &directory.join("tandem.service"));
    verify_one(&program, &root.join(INSTANCE_UNIT_PATH), &directory.join("tandem@north.service"));
    verify_one(&program, &root.join(WITNESS_UNIT_PATH), &directory.join("tandem-witness.service"));
}

/// The instance's unit differs from the other one where it says which node, and nowhere else.
pub fn compare(root: &Path) {
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("a unit");
    let (one, instance) = (read(UNIT_PATH), read(INSTANCE_UNIT_PATH));
    assert_eq!(one.lines().count(), instance.lines().count());
    let pairs = one.lines().zip(instance.lines()).skip(1);
    let different: Vec<_> = pairs.filter(|(one, instance)| one != instance).map(|(_, instance)| instance).collect();
    let expected = [
        "Description=Tandem, an IP PBX that outlives its servers (%i)",
        "ConditionPathExists=/etc/tandem/%i/tandem.toml",
        "ExecStart=/usr/bin/tandem serve --config /etc/tandem/%i/tandem.toml",
        "ExecReload=/usr/bin/tandem reload --config /etc/tandem/%i/tandem.toml",
        "StateDirectory=tandem/%i",
    ];
    assert_eq!(different, expected);
}

fn verify_one(program: &str, unit: &Path, copy: &Path) {
    let text = fs::read_to_string(unit).expect("the unit").replace("/usr/bin/tandem", program);
    fs::write(copy, text).expect("a copy");
    let mut command = Command::new("systemd-analyze");
    let told = output(command.args(["verify", "--man=no", "--recursive-errors=no"]).arg(copy), "", VERIFY_LIMIT)
        .expect("systemd-analyze");
    let words = String::from_utf8_lossy(&told.stderr);
    let about_us: Vec<_> = words
        .lines()
        .filter(|line| ["tandem.service", "tandem@", "tandem-witness"].iter().any(|name| line.contains(name)))
        .collect();
    assert!(told.status.success() && about_us.is_empty(), "{words}");
}
