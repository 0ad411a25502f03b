//! An authority of the lab, and the certificates that it signs for database servers. Needs the program `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{LabError, process};

/// A key is made within a fraction of a second.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Longer than any test.
const DAYS: &str = "2";

/// Keys that are made in no time.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    name: String,
}

/// A server's certificate with its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority whose files are in the directory.
    pub fn make(directory: &Path, name: &str) -> Result<Self, LabError> {
        fs::create_dir_all(directory).map_err(LabError::io(format!("making {}", directory.display())))?;
        let authority = Self { directory: directory.to_owned(), name: name.to_owned() };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-days", DAYS, "-subj", &format!("/CN={name}")]).args(KEY);
        command.arg("-keyout").arg(authority.path("key")).arg("-out").arg(authority.file());
        process::run(&mut command, "", COMMAND_LIMIT)?;
        Ok(authority)
    }

    /// Its own certificate, which those have who believe it.
    pub fn file(&self) -> PathBuf {
        self.path("pem")
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("{}.{ending}", self.name))
    }

    /// A certificate for whoever is reached by this name: `IP:10.0.0.1` or `DNS:db.example`, as openssl writes it.
    pub fn sign(&self, reached_by: &str) -> Result<Certificate, LabError> {
        let place = |ending: &str| {
            let name = reached_by.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
            self.directory.join(format!("{}-{name}.{ending}", self.name))
        };
        let made = Certificate { certificate: place("pem"), key: place("key") };
        let (request, extension) = (place("csr"), place("ext"));
        let mut command = Command::new("openssl");
        command.args(["req", "-subj", "/CN=database"]).args(KEY);
        command.arg("-keyout").arg(&made.key).arg("-out").arg(&request);
        process::run(&mut command, "", COMMAND_LIMIT)?;
        let text = format!("subjectAltName={reached_by}\n");
        fs::write(&extension, text).map_err(LabError::io(format!("writing {}", extension.display())))?;
        let mut command = Command::new("openssl");
        command.args(["x509", "-req", "-days", DAYS, "-CAcreateserial"]).arg("-in").arg(&request);
        command.arg("-CA").arg(self.file()).arg("-CAkey").arg(self.path("key"));
        command.arg("-extfile").arg(&extension).arg("-out").arg(&made.certificate);
        process::run(&mut command, "", COMMAND_LIMIT)?;
        Ok(made)
    }
}
