//! The pair's shared key: making it, its file, and the keys derived from it.

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

/// More than the one line that is expected; what is longer is no key file and is refused.
const FILE_BYTES_MAX: u64 = 256;

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("ask the system for random bytes")]
    Random(#[source] io::Error),
    #[error("read pair key {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("write pair key {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("pair key {path} can be read by others than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    Readable { path: PathBuf, mode: u32 },
    #[error("{path} holds no pair key: one line `tandem-pair-key-1 <64 hexadecimal digits>` is expected")]
    Format { path: PathBuf },
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
        let mut line = format!("{FORMAT} ");
        for byte in self.0 {
            // Writing into a string cannot fail.
            let _ = write!(line, "{byte:02x}");
        }
        line.push('\n');
        line
    }

    /// Reads the key file; refuses one that group or others may read.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
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
        parse(&text).ok_or_else(|| KeyError::Format { path: path.into() })
    }

    /// Writes a new file with mode 0600; refuses to overwrite one.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let write = |source| KeyError::Write { path: path.into(), source };
        let line = self.line();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(write)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(write)
    }

    /// A key for one purpose, by HKDF-SHA256 (RFC 5869) with the label as info.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        // Expansion fails only beyond 255 hash lengths; ours is one.
        let _ = Hkdf::<Sha256>::new(Some(FORMAT.as_bytes()), &self.0).expand(label.as_bytes(), &mut key);
        key
    }
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairKey(..)")
    }
}

fn parse(text: &str) -> Option<PairKey> {
    let mut words = text.split_ascii_whitespace();
    let (Some(FORMAT), Some(digits), None) = (words.next(), words.next(), words.next()) else { return None };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(PairKey(key))
}

#[cfg(test)]
mod tests;
