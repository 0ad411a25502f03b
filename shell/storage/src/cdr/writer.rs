//! The thread that writes records into the store: one batch after another, oldest first, by the first address that takes
//! them.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::WallTime;
use node::cdr::StoreState;
use pbx::record::Record;

use super::CdrEvent;
use super::connection::{Connection, Purpose};
use super::schema::Table;
use super::spool::Spool;
use super::target::Target;
use super::trouble::Trouble;
use super::waiting::Waiting;

/// Records written by one statement; more wait for the next one.
pub(super) const BATCH_MAX: usize = 500;

/// How long a store that refuses is left alone, at first and at most: one that is down for hours is not to be flooded
/// when it comes back, and nobody waits long for one that was restarted.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// How often a statement that met another writer is tried again at once.
const CONFLICTS_MAX: usize = 4;

/// How often numbers that change are told.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) enum Order {
    Store(Record),
    Spool(Record),
    /// Whatever waits is another node's from now on.
    Leave,
}

pub(super) struct Writer {
    target: Target,
    orders: Receiver<Order>,
    events: Box<dyn Fn(CdrEvent) + Send>,
    waiting: Waiting,
    spool: Spool,
    /// What is to be spooled and is not yet.
    to_spool: Vec<Record>,
    link: Option<Link>,
    /// Smaller while the store is too slow for a whole one.
    batch: usize,
    /// The store has not taken anything yet, or not lately: it is to be tried even when nothing waits.
    unproven: bool,
    state: StoreState,
    told: StoreState,
    told_at: Option<Instant>,
}

/// An address that takes records.
struct Link {
    connection: Connection,
    table: Table,
}

/// Where the records of a batch are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Waiting,
    Spool,
}

impl Writer {
    pub(super) fn new(
        state_dir: &Path,
        target: Target,
        orders: Receiver<Order>,
        events: Box<dyn Fn(CdrEvent) + Send>,
    ) -> Self {
        Self {
            state: StoreState { store: target.name(usize::MAX), ..StoreState::default() },
            // A server that was named wrongly is to be known of before the first call ends.
            unproven: matches!(target, Target::Server(_)),
            target,
            orders,
            events,
            waiting: Waiting::default(),
            spool: Spool::new(state_dir),
            to_spool: Vec::new(),
            link: None,
            batch: BATCH_MAX,
            told: StoreState::default(),
            told_at: None,
        }
    }

    /// This thread has nothing but the store, so it may block on its orders.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        let mut spool_trouble = self.spool_some().await.err();
        loop {
            self.tell(false);
            let nothing = self.waiting.len() == 0 && self.spool.count() == 0 && self.to_spool.is_empty();
            if nothing && !self.unproven && spool_trouble.is_none() {
                match self.orders.recv() {
                    Ok(order) => self.take(order),
                    Err(_) => return,
                }
            }
            self.take_all();
            spool_trouble = self.spool_some().await.err();
            match self.step().await {
                Ok(avoided) => {
                    self.state.trouble = spool_trouble.as_ref().map(|trouble| format!("the spool: {}", trouble.text()));
                    self.state.avoided = avoided;
                    self.unproven = false;
                    pause = PAUSE_FIRST;
                    if spool_trouble.is_some() {
                        self.tell(true);
                        self.wait(pause).await;
                    }
                }
                Err(text) => {
                    self.state.trouble = Some(text);
                    self.unproven = true;
                    self.tell(true);
                    self.wait(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Store(record) => self.waiting.put(record),
            Order::Spool(record) => self.to_spool.push(record),
            Order::Leave => self.waiting = Waiting::default(),
        }
    }

    fn take_all(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
        }
    }

    /// While the store rests, what comes is taken, and spooled where that is wanted.
    async fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.orders.recv_timeout(left) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => return,
                // The last words of a process: they are tried until it is gone.
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(left),
            }
            self.take_all();
            // One that the disk refuses stays where it is, and is tried again after the pause.
            let _ = self.spool_some().await;
            self.tell(false);
        }
    }

    async fn spool_some(&mut self) -> Result<(), Trouble> {
        self.spool.recover().await?;
        if self.to_spool.is_empty() {
            return Ok(());
        }
        self.spool.put(&self.to_spool).await?;
        let records = std::mem::take(&mut self.to_spool);
        // It is safe here; the copy in memory would only be in the way.
        records.iter().for_each(|record| self.waiting.remove(record));
        (self.events)(CdrEvent::Spooled { identities: identities(&records) });
        Ok(())
    }

    /// Writes one batch; says which addresses were passed over, or why none took it.
    async fn step(&mut self) -> Result<Option<String>, String> {
        let (from, records) = self.next_batch().await.map_err(|trouble| format!("the spool: {}", trouble.text()))?;
        if records.is_empty() && !self.unproven {
            return Ok(self.state.avoided.clone());
        }
        if !records.is_empty()
            && let Some(mut link) = self.link.take()
            && self.write(&mut link, &records).await.is_ok()
        {
            self.link = Some(link);
            self.written(from, &records).await?;
            return Ok(self.state.avoided.clone());
        }
        // A connection that was idle may have died: that alone is no news.
        let mut failures = Vec::new();
        for way in 0..self.target.ways() {
            match self.write_by(way, &records).await {
                Ok(link) => {
                    self.link = Some(link);
                    self.state.store = self.target.name(way);
                    self.written(from, &records).await?;
                    return Ok((!failures.is_empty()).then(|| failures.join("; ")));
                }
                Err(trouble) => failures.push(format!("{}: {}", self.target.name(way), trouble.text())),
            }
        }
        Err(failures.join("; "))
    }

    async fn write_by(&mut self, way: usize, records: &[Record]) -> Result<Link, Trouble> {
        let mut connection = Connection::open(&self.target, way, Purpose::Write).await?;
        let table = Table::make(&mut connection, self.target.table()).await?;
        let mut link = Link { connection, table };
        self.write(&mut link, records).await?;
        Ok(link)
    }

    /// The oldest that wait, wherever they are.
    async fn next_batch(&mut self) -> Result<(Origin, Vec<Record>), Trouble> {
        let spooled_us = self.spool.oldest_us().unwrap_or(u64::MAX);
        if self.waiting.oldest_us().is_some_and(|waiting_us| waiting_us <= spooled_us) {
            return Ok((Origin::Waiting, self.waiting.oldest(self.batch, spooled_us)));
        }
        if self.spool.count() == 0 {
            return Ok((Origin::Waiting, Vec::new()));
        }
        Ok((Origin::Spool, self.spool.oldest(self.batch).await?))
    }

    async fn write(&mut self, link: &mut Link, records: &[Record]) -> Result<(), Trouble> {
        if records.is_empty() {
            return Ok(());
        }
        match insert(link, records, false).await {
            Ok(()) => {
                self.batch = (self.batch * 2).min(BATCH_MAX);
                Ok(())
            }
            Err(trouble) if trouble.is_value() => {
                // One record must not keep the others: each by itself, and what is refused in plain letters.
                for record in records {
                    match insert(link, std::slice::from_ref(record), false).await {
                        Err(trouble) if trouble.is_value() => insert(link, std::slice::from_ref(record), true).await?,
                        other => other?,
                    }
                }
                Ok(())
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Silent { .. }) {
                    self.batch = (records.len() / 2).max(1);
                }
                Err(trouble)
            }
        }
    }

    async fn written(&mut self, from: Origin, records: &[Record]) -> Result<(), String> {
        match from {
            Origin::Waiting => records.iter().for_each(|record| self.waiting.remove(record)),
            Origin::Spool => {
                let removed = self.spool.remove(records).await;
                removed.map_err(|trouble| format!("the spool: {}", trouble.text()))?;
            }
        }
        if !records.is_empty() {
            (self.events)(CdrEvent::Stored { identities: identities(records) });
        }
        Ok(())
    }

    fn tell(&mut self, now: bool) {
        self.state.waiting = self.waiting.len();
        self.state.spooled = self.spool.count();
        let oldest = [self.waiting.oldest_us(), self.spool.oldest_us()];
        self.state.oldest = oldest.into_iter().flatten().min().map(WallTime);
        let news = self.state.trouble != self.told.trouble || self.state.store != self.told.store;
        let idle = self.state.waiting == 0 && self.state.spooled == 0;
        let due = self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if self.state != self.told && (now || news || idle || due) {
            self.told = self.state.clone();
            self.told_at = Some(Instant::now());
            (self.events)(CdrEvent::State(self.state.clone()));
        }
    }
}

/// One statement; tried again when another writer was faster.
async fn insert(link: &mut Link, records: &[Record], plain: bool) -> Result<(), Trouble> {
    let stored_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let stored_us = u64::try_from(stored_us).unwrap_or(u64::MAX);
    let sql = link.table.insert(records.len());
    let values: Vec<_> = records.iter().flat_map(|record| link.table.values(record, stored_us, plain)).collect();
    let mut conflicts = 0;
    loop {
        match link.connection.execute(&sql, &values).await {
            Err(trouble) if trouble.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            other => return other,
        }
    }
}

fn identities(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.identity.clone()).collect()
}
