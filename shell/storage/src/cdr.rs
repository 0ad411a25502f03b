//! The store of call records: a file of this node, or a database server that both nodes share. Asterisk's CDR columns,
//! and an identity that is its unique key.
//!
//! It has a thread of its own (`writer`). A store that is slow or refuses delays no call: records stay in the log, or in
//! the `spool` when they are too many, until they are stored, and are tried again. `schema` makes and extends the table,
//! `connection` speaks with whichever store, `trouble` tells its failures apart, `read` is what `tandem cdr` shows, and
//! `examine` looks without a record to write.

mod connection;
mod examine;
mod read;
mod schema;
mod spool;
mod target;
mod trouble;
mod waiting;
mod writer;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};

use node::cdr::StoreState;
use pbx::record::Record;
use thiserror::Error;

pub use examine::{Examined, Fit, Found, examine};
pub use read::{CdrFilter, CdrReader, TotalBy};
pub use spool::SPOOL_FILE;
pub use target::{Address, AuthoritiesError, Kind, PasswordError, Server, TABLE_DEFAULT, Target, Tls, read_password};
pub use trouble::Trouble;

use writer::{Order, Writer};

/// The store's file within the state directory.
pub const FILE: &str = "cdr.sqlite";

#[derive(Debug, Error)]
pub enum CdrError {
    #[error("open the call records in {store}")]
    Open {
        store: String,
        #[source]
        source: Trouble,
    },
    #[error("read the call records in {store}")]
    Read {
        store: String,
        #[source]
        source: Trouble,
    },
    #[error("start the thread of the call records")]
    Thread(#[source] std::io::Error),
}

/// What the store has done.
#[derive(Debug)]
pub enum CdrEvent {
    Stored {
        identities: Vec<String>,
    },
    /// They are on this node's disk, and will be stored from there.
    Spooled {
        identities: Vec<String>,
    },
    /// How it is, when that changes; numbers at most each second.
    State(StoreState),
}

/// The way to the store's thread.
pub struct CdrStore {
    orders: Sender<Order>,
}

impl CdrStore {
    /// Starts the store's thread; table, file and spool are made when they are missing. `events` is called from the
    /// thread.
    pub fn start(
        state_dir: &Path,
        target: Target,
        events: impl Fn(CdrEvent) + Send + 'static,
    ) -> Result<Self, CdrError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CdrError::Thread)?;
        let (orders, receiver) = channel();
        let writer = Writer::new(state_dir, target, receiver, Box::new(events));
        std::thread::Builder::new()
            .name("cdr".into())
            .spawn(move || runtime.block_on(writer.run()))
            .map_err(CdrError::Thread)?;
        Ok(Self { orders })
    }

    pub fn store(&self, record: Record) {
        // The thread ends only with the process.
        let _ = self.orders.send(Order::Store(record));
    }

    /// Drops what waits for the store: the other node stores it. What is spooled stays.
    pub fn leave(&self) {
        let _ = self.orders.send(Order::Leave);
    }

    /// Keeps a record on this node's disk until the store takes it.
    pub fn spool(&self, record: Record) {
        let _ = self.orders.send(Order::Spool(record));
    }
}

#[cfg(test)]
mod tests;
