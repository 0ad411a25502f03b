//! The pair's shared key and the one that its witness gets: making them, their files, and the keys derived from them.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;

use crate::clock::random_bytes;

/// The word before the digits; the number is the version of the format.
const FORMAT: &str = "tandem-pair-key-1";

/// The same for a witness's key, so that neither file is taken for the other.
const WITNESS_FORMAT: &str = "tandem-witness-key-1";

/// The label under which the pair's key makes the witness's.
const WITNESS_LABEL: &str = "witness key";

/// More than the one line that is expected; what is longer is no key file and is refused.
const FILE_BYTES_MAX: u64 = 256;

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("ask the system for random bytes")]
    Random(#[source] io::Error),
    #[error("read the key {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("write the key {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the key {path} can be read by others than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    Readable { path: PathBuf, mode: u32 },
    #[error("{path} holds no {what}: one line `{format} <64 hexadecimal digits>` is expected")]
    Format { path: PathBuf, what: &'static str, format: &'static str },
}

/// 256 random bits that both nodes of a pair hold.
#[derive(Clone, PartialEq, Eq)]
pub struct PairKey([u8; 32]);

impl PairKey {
    pub fn generate() -> Result<Self, KeyError> {
        random_bytes().map(Self).map_err(KeyError::Random)
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself, for whoever hands it to the other machine.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The whole text of the key file, with its newline.
    pub fn line(&self) -> String {
        line(FORMAT, &self.0)
    }

    /// Reads the key file; refuses one that group or others may read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        read("pair key", FORMAT, path).map(Self)
    }

    /// Writes a new file with mode 0600; refuses to overwrite one.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        write(&self.line(), path)
    }

    /// What the pair's witness gets. The pair's key cannot be found from it: a witness is trusted with nothing else.
    pub fn witness_key(&self) -> WitnessKey {
        WitnessKey(self.derive(WITNESS_LABEL))
    }

    /// A key for one purpose, by HKDF-SHA256 (RFC 5869) with the label as info.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        derive(FORMAT, &self.0, label)
    }
}

/// 256 bits that a pair and its witness hold.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey([u8; 32]);

impl WitnessKey {
    /// The whole text of the key file, with its newline.
    pub fn line(&self) -> String {
        line(WITNESS_FORMAT, &self.0)
    }

    /// Reads the key file; refuses one that group or others may read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        read("witness key", WITNESS_FORMAT, path).map(Self)
    }

    /// Writes a new file with mode 0600; refuses to overwrite one.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        write(&self.line(), path)
    }

    /// A key for one purpose, by HKDF-SHA256 (RFC 5869) with the label as info.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        derive(WITNESS_FORMAT, &self.0, label)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WitnessKey(..)")
    }
}

fn line(format: &str, key: &[u8; 32]) -> String {
    let mut line = format!("{format} ");
    for byte in key {
        // Writing into a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    line
}

fn read(what: &'static str, format: &'static str, path: &Path) -> Result<[u8; 32], KeyError> {
    let read = |source| KeyError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read)?;
    let mode = file.metadata().map_err(read)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Readable { path: path.into(), mode });
    }
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(read(error)),
        _ => {}
    }
    parse(format, &text).ok_or_else(|| KeyError::Format { path: path.into(), what, format })
}

fn write(line: &str, path: &Path) -> Result<(), KeyError> {
    let write = |source| KeyError::Write { path: path.into(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(write)?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(write)
}

fn derive(format: &str, key: &[u8; 32], label: &str) -> [u8; 32] {
    let mut derived = [0; 32];
    // Expansion fails only beyond 255 hash lengths; ours is one.
    let _ = Hkdf::<Sha256>::new(Some(format.as_bytes()), key).expand(label.as_bytes(), &mut derived);
    derived
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(..)")
    }
}

fn parse(format: &str, text: &str) -> Option<[u8; 32]> {
    let mut words = text.split_ascii_whitespace();
    let (Some(word), Some(digits), None) = (words.next(), words.next(), words.next()) else { return None };
    if word != format {
        return None;
    }
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
