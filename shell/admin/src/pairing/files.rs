//! Owns the files of a new node: their texts, and writing all of them or none.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Draft, PairingError};

/// The example phones. Their passwords follow from the pair's key, so that both machines write the same files.
pub const PHONES: [&str; 2] = ["100", "101"];

/// Readable by the owner alone: phones' passwords and the key are nobody else's business.
const MODE_SECRET: u32 = 0o600;
const MODE_PLAIN: u32 = 0o644;
const MODE_DIRECTORY: u32 = 0o755;
const MODE_DIRECTORY_SECRET: u32 = 0o700;

/// What is secret of a new node.
pub struct Secrets {
    /// The whole text of the key file.
    pub key_file: String,
    /// The same of the witness's, which follows from the pair's.
    pub witness_key_file: String,
    /// The password of each of `PHONES`.
    pub phones: [String; PHONES.len()],
}

/// What was written, and what was there already and is used as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub files: Vec<PathBuf>,
    pub kept: Option<PathBuf>,
}

struct NewFile {
    path: PathBuf,
    mode: u32,
    text: String,
}

impl Draft {
    /// Writes every file, or none: those that were made are removed again when one cannot be.
    pub fn write(&self, secrets: &Secrets) -> Result<Written, PairingError> {
        let mut written = Written::default();
        let mut files =
            vec![NewFile { path: self.key_file.clone(), mode: MODE_SECRET, text: secrets.key_file.clone() }];
        if let Some(path) = self.witness_key_file.clone() {
            files.push(NewFile { path, mode: MODE_SECRET, text: secrets.witness_key_file.clone() });
        }
        if has_entries(&self.pbx_dir) {
            written.kept = Some(self.pbx_dir.clone());
        } else {
            let at = |name: &str| self.pbx_dir.join(name);
            files.push(NewFile { path: at("sip.conf"), mode: MODE_SECRET, text: sip_conf(&secrets.phones) });
            files.push(NewFile { path: at("extensions.conf"), mode: MODE_PLAIN, text: EXTENSIONS_CONF.into() });
        }
        // Last: without it nothing is served.
        files.push(NewFile { path: self.config_file.clone(), mode: MODE_PLAIN, text: self.config_text() });
        for file in files {
            let path = file.path.clone();
            if let Err(source) = create(&file) {
                written.files.iter().for_each(|path| drop(fs::remove_file(path)));
                return Err(PairingError::Write { path, source });
            }
            written.files.push(path);
        }
        let state = DirBuilder::new().recursive(true).mode(MODE_DIRECTORY_SECRET).create(&self.state_dir);
        state.map_err(|source| PairingError::Write { path: self.state_dir.clone(), source })?;
        Ok(written)
    }

    /// The configuration file.
    pub(super) fn config_text(&self) -> String {
        let mut text = format!(
            "# Written by tandem. `tandem check` tells whether it can be used, `tandem doctor` what the machine lacks.\n\
             \n\
             [node]\n\
             name = {}\n\
             state_dir = {}\n\
             pbx_dir = {}\n\
             failback = \"{}\"\n\
             \n\
             [service]\n\
             address = {}\n\
             interface = {}\n\
             vrid = {}\n\
             priority = {}\n\
             \n\
             [peer]\n\
             key_file = {}\n",
            quoted(&self.name),
            quoted_path(&self.state_dir),
            quoted_path(&self.pbx_dir),
            self.failback,
            quoted(&self.service),
            quoted(&self.interface),
            self.vrid,
            self.priority,
            quoted_path(&self.key_file),
        );
        for link in &self.links {
            // Writing into a string cannot fail.
            let _ = write!(text, "\n[[peer.link]]\nlocal = \"{}\"\nremote = \"{}\"\n", link.local, link.remote);
        }
        if !self.witness.is_empty() {
            let addresses: Vec<String> = self.witness.iter().map(|address| format!("\"{address}\"")).collect();
            let _ = write!(text, "\n[witness]\naddress = [{}]\n", addresses.join(", "));
        }
        text
    }

    /// The command for the third machine, once it has the key.
    pub fn witness_line(&self) -> Option<String> {
        let (port, key) = (self.witness.first()?.port(), self.witness_key_file.as_ref()?);
        let name = key.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Some(format!("tandem witness --listen 0.0.0.0:{port} --key /etc/tandem/{name}"))
    }
}

fn create(file: &NewFile) -> io::Result<()> {
    if let Some(directory) = file.path.parent() {
        DirBuilder::new().recursive(true).mode(MODE_DIRECTORY).create(directory)?;
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&file.path)?;
    let filled = out.write_all(file.text.as_bytes()).and_then(|()| out.sync_all());
    if filled.is_err() {
        // A file that is half there would be in the way of the next try.
        let _ = fs::remove_file(&file.path);
    }
    filled
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// With TOML's quotes and escapes.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn sip_conf(passwords: &[String; PHONES.len()]) -> String {
    let mut text = String::from(
        "; Two phones to begin with; add your own in the same way. The same file belongs on both machines.\n\
         \n\
         [general]\n\
         context=internal\n\
         bindaddr=0.0.0.0      ; the service address\n\
         bindport=5060\n\
         disallow=all\n\
         allow=alaw,ulaw\n",
    );
    for (number, password) in PHONES.iter().zip(passwords) {
        let _ = write!(
            text,
            "\n[{number}]\ntype=friend\nhost=dynamic\nsecret={password}\ncallerid=\"{number}\" <{number}>\nqualify=yes\n"
        );
    }
    text
}

const EXTENSIONS_CONF: &str = "\
; 100 and 101 call each other, 600 says back what it hears.

[internal]
exten => _1XX,1,Dial(SIP/${EXTEN},30)
exten => _1XX,n,Hangup()
exten => 600,1,Answer()
exten => 600,n,Echo()
exten => 600,n,Hangup()
";
