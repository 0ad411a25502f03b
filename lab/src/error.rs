//! What can go wrong in the lab itself, as opposed to what it finds out about the product.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("the lab makes network namespaces and must run as root")]
    NotRoot,
    /// What was asked for cannot be done.
    #[error("{0}")]
    Arguments(String),
    #[error("making a user namespace, to be root in it; {advice}")]
    UserNamespace {
        advice: String,
        #[source]
        source: io::Error,
    },
    #[error("starting `{program}`")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "the program `{0}` is missing; on Debian: apt-get install iproute2 nftables e2fsprogs util-linux \
             keepalived mmdebstrap"
    )]
    ProgramMissing(String),
    #[error("`{command}` failed: {output}")]
    Command { command: String, output: String },
    #[error("`{command}` did not end within {limit_ms} ms")]
    Hung { command: String, limit_ms: u64 },
    #[error("{operation}")]
    Io {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("reading what `{command}` printed")]
    Json {
        command: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("no {0} is installed, which sets a node's wall clock; on Debian: apt-get install libfaketime")]
    NoClock(&'static str),
    #[error("no host is called {0}")]
    NoHost(String),
    #[error("waited {limit_ms} ms in vain: {what}")]
    Waited { what: String, limit_ms: u64 },
    #[error("node {node}: no process to signal")]
    NoProcess { node: String },
    #[error("the thread that runs the phones has ended")]
    PhonesEnded,
}

impl LabError {
    pub(crate) fn io(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Io { operation, source }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
