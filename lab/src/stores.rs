//! Database servers on hosts of the lab: MariaDB alone or as a Galera cluster with an arbitrator, and PostgreSQL. Each has
//! a data directory of its own, and ends with its `Server`.

mod authority;

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use authority::{Authority, Certificate};

use crate::netns::Host;
use crate::{LabError, process};

/// The database that records go to, and who writes there.
pub const DATABASE: &str = "asterisk";
pub const USER: &str = "tandem";
pub const PASSWORD: &str = "a word of passage";

/// Where Debian has PostgreSQL's programs, by version.
const POSTGRES_ROOT: &str = "/usr/lib/postgresql";

/// PostgreSQL does not run as root, and MariaDB's members cannot copy each other's data as root.
const POSTGRES_USER: &str = "postgres";
const MARIADB_USER: &str = "mysql";

/// Making a data directory takes seconds, and more beside other tests.
const MAKE_LIMIT: Duration = Duration::from_secs(120);

/// A server that starts answers within seconds; one that copies another's data takes some more.
const READY_LIMIT: Duration = Duration::from_secs(60);
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server that is asked to end writes what it has, and takes leave of its cluster.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Small servers: they have a few thousand rows.
const MARIADB_OPTIONS: [&str; 13] = [
    "--no-defaults",
    "--user=mysql",
    "--skip-name-resolve",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-autoinc-lock-mode=2",
    "--default-storage-engine=InnoDB",
    "--binlog-format=ROW",
    "--character-set-server=utf8mb4",
    "--max-connections=40",
    "--wsrep-sst-method=rsync",
];

/// A member that is silent is given up within seconds, so that a test need not wait for it. The others then have long
/// enough to agree on it, also on a busy machine: a component that breaks twice at once wants every member back.
const GALERA_OPTIONS: &str = "gmcast.peer_timeout=PT2S;evs.suspect_timeout=PT1.5S;evs.inactive_timeout=PT12S;\
                              evs.install_timeout=PT10S;evs.inactive_check_period=PT0.5S;evs.keepalive_period=PT0.3S";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mariadb,
    Galera,
    /// The third voice of a Galera cluster: it has no data.
    Arbitrator,
    Postgres,
}

/// One server, running or not.
pub struct Server {
    kind: Kind,
    pub host: Host,
    directory: PathBuf,
    /// Every member of the cluster.
    cluster: Vec<Ipv4Addr>,
    /// Where it offers TLS.
    certificate: Option<Certificate>,
    process: Option<Child>,
}

impl Server {
    /// A MariaDB with an empty database and its user.
    pub fn mariadb(host: &Host, directory: &Path) -> Result<Self, LabError> {
        Self::make(Kind::Mariadb, host, directory, &[])
    }

    /// A member of a Galera cluster of servers at these addresses. The first one that is started must begin it.
    pub fn galera(host: &Host, directory: &Path, cluster: &[Ipv4Addr]) -> Result<Self, LabError> {
        Self::make(Kind::Galera, host, directory, cluster)
    }

    /// The third voice of that cluster.
    pub fn arbitrator(host: &Host, directory: &Path, cluster: &[Ipv4Addr]) -> Result<Self, LabError> {
        Self::make(Kind::Arbitrator, host, directory, cluster)
    }

    pub fn postgres(host: &Host, directory: &Path) -> Result<Self, LabError> {
        Self::make(Kind::Postgres, host, directory, &[])
    }

    fn make(kind: Kind, host: &Host, directory: &Path, cluster: &[Ipv4Addr]) -> Result<Self, LabError> {
        let directory = directory.join(&host.name);
        let data = directory.join("data");
        fs::create_dir_all(&data).map_err(LabError::io(format!("making {}", data.display())))?;
        let server =
            Self { kind, host: host.clone(), directory, cluster: cluster.to_vec(), certificate: None, process: None };
        match kind {
            Kind::Mariadb | Kind::Galera => server.install_mariadb()?,
            Kind::Postgres => server.install_postgres()?,
            Kind::Arbitrator => {}
        }
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log.txt")
    }

    fn install_mariadb(&self) -> Result<(), LabError> {
        self.give_to(MARIADB_USER)?;
        let mut command = Command::new("mariadb-install-db");
        command.args(["--no-defaults", "--user=mysql", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        command.args(["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]);
        command.arg(format!("--datadir={}", self.data().display()));
        // Two that are made at a time would remove each other's temporary tables.
        command.arg(format!("--tmpdir={}", self.directory.display()));
        process::run(&mut command, "", MAKE_LIMIT).map(drop)
    }

    fn give_to(&self, user: &str) -> Result<(), LabError> {
        process::run(Command::new("chown").args(["-R", user]).arg(&self.directory), "", STATEMENT_LIMIT).map(drop)
    }

    fn install_postgres(&self) -> Result<(), LabError> {
        let password = self.directory.join("password");
        let failed = || LabError::io(format!("writing {}", password.display()));
        fs::write(&password, PASSWORD).map_err(failed())?;
        self.give_to(POSTGRES_USER)?;
        let mut command = as_postgres(Command::new("setpriv"), "initdb")?;
        command.args(["--username", USER, "--auth-local=trust", "--auth-host=scram-sha-256", "--wal-segsize=1"]);
        command.arg("--encoding=UTF8").arg("--locale=C");
        command.arg(format!("--pwfile={}", password.display())).arg("-D").arg(self.data());
        process::run(&mut command, "", MAKE_LIMIT)?;
        let rules = self.data().join("pg_hba.conf");
        let file = File::options().append(true).open(&rules);
        let written = file.and_then(|mut file| file.write_all(b"host all all all scram-sha-256\n"));
        written.map_err(LabError::io(format!("writing {}", rules.display())))
    }

    /// From its next start on the server offers TLS with this certificate.
    pub fn use_certificate(&mut self, given: &Certificate) -> Result<(), LabError> {
        let own =
            Certificate { certificate: self.directory.join("server.pem"), key: self.directory.join("server.key") };
        let user = if self.kind == Kind::Postgres { POSTGRES_USER } else { MARIADB_USER };
        for (from, to) in [(&given.certificate, &own.certificate), (&given.key, &own.key)] {
            // PostgreSQL takes no key that others may read.
            let mut command = Command::new("install");
            command.args(["--owner", user, "--mode", "0600"]).arg(from).arg(to);
            process::run(&mut command, "", STATEMENT_LIMIT)?;
        }
        self.certificate = Some(own);
        Ok(())
    }

    /// Starts the server and waits until it answers. With `first`, a member of a cluster begins a new one.
    pub fn start(&mut self, first: bool) -> Result<(), LabError> {
        let address = self.host.address;
        let mut command = match self.kind {
            Kind::Mariadb | Kind::Galera => {
                let mut command = self.host.command("mariadbd");
                command.args(MARIADB_OPTIONS).arg(format!("--datadir={}", self.data().display()));
                command.arg(format!("--socket={}", self.socket().display())).arg(format!("--bind-address={address}"));
                command.arg(format!("--tmpdir={}", self.directory.display()));
                command.arg(format!("--pid-file={}", self.directory.join("pid").display()));
                if let Some(Certificate { certificate, key }) = &self.certificate {
                    command.arg(format!("--ssl-cert={}", certificate.display()));
                    command.arg(format!("--ssl-key={}", key.display()));
                }
                if self.kind == Kind::Galera {
                    command.args(["--wsrep-on=ON", "--wsrep-provider=/usr/lib/galera/libgalera_smm.so"]);
                    command.arg(format!("--wsrep-provider-options={GALERA_OPTIONS};gcache.size=8M"));
                    command.arg(format!("--wsrep-cluster-address=gcomm://{}", self.members()));
                    command.arg(format!("--wsrep-node-address={address}"));
                    if first {
                        self.may_begin()?;
                        command.arg("--wsrep-new-cluster");
                    }
                }
                command
            }
            Kind::Arbitrator => {
                let mut command = self.host.command("garbd");
                command.arg("--group=my_wsrep_cluster").arg(format!("--address=gcomm://{}", self.members()));
                command.arg(format!("--options={GALERA_OPTIONS};gmcast.listen_addr=tcp://{address}:4567"));
                command.current_dir(self.data());
                command
            }
            Kind::Postgres => {
                let mut command = as_postgres(self.host.command("setpriv"), "postgres")?;
                command.arg("-D").arg(self.data()).arg("-k").arg(&self.directory).arg("-h").arg(address.to_string());
                command.args(["-c", "shared_buffers=16MB", "-c", "max_wal_size=8MB", "-c", "min_wal_size=2MB"]);
                if let Some(Certificate { certificate, key }) = &self.certificate {
                    command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", certificate.display())]);
                    command.args(["-c", &format!("ssl_key_file={}", key.display())]);
                }
                command
            }
        };
        let path = self.log_path();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(LabError::io(format!("opening {}", path.display())))?;
        let errors = log.try_clone().map_err(LabError::io("sharing the log"))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        self.process = Some(process::start(&mut command)?);
        self.wait_ready()
    }

    /// The last member that was there may begin the cluster anew, although it was killed: an operator says so.
    fn may_begin(&self) -> Result<(), LabError> {
        let path = self.data().join("grastate.dat");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let text = text.replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1");
        fs::write(&path, text).map_err(LabError::io(format!("writing {}", path.display())))
    }

    fn members(&self) -> String {
        self.cluster.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(",")
    }

    fn wait_ready(&mut self) -> Result<(), LabError> {
        if self.kind == Kind::Arbitrator {
            return Ok(());
        }
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if ended || begun.elapsed() >= READY_LIMIT {
                let log = fs::read_to_string(self.log_path()).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                let what = format!("the database on {}: {tail}", self.host.name);
                return Err(LabError::Waited { what, limit_ms: READY_LIMIT.as_millis() as u64 });
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        match self.kind {
            Kind::Mariadb | Kind::Postgres => self.admin("SELECT 1").is_ok(),
            Kind::Galera => {
                let told = self.admin("SHOW GLOBAL STATUS LIKE 'wsrep_ready'");
                told.is_ok_and(|text| text.contains("ON"))
            }
            Kind::Arbitrator => true,
        }
    }

    /// Makes the database and the user that records are written by.
    pub fn make_database(&self) -> Result<(), LabError> {
        match self.kind {
            Kind::Postgres => self.admin(&format!("CREATE DATABASE {DATABASE}")).map(drop),
            _ => self
                .admin(&format!(
                    "CREATE DATABASE {DATABASE}; CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'; \
                     GRANT ALL ON {DATABASE}.* TO {USER}@'%'"
                ))
                .map(drop),
        }
    }

    /// A statement as the server's own administrator; rows are lines, columns are parted by tabs.
    pub fn admin(&self, sql: &str) -> Result<String, LabError> {
        self.client("", sql)
    }

    /// The same within the database of the records.
    pub fn sql(&self, sql: &str) -> Result<String, LabError> {
        self.client(DATABASE, sql)
    }

    fn client(&self, database: &str, sql: &str) -> Result<String, LabError> {
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = Command::new("psql");
                let database = if database.is_empty() { "postgres" } else { database };
                command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-U", USER, "-d", database]);
                command.arg("-h").arg(&self.directory);
                command
            }
            _ => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-N", "-B", "-u", "root"]).arg("-S").arg(self.socket());
                command.args((!database.is_empty()).then_some(database));
                command
            }
        };
        process::run(&mut command, sql, STATEMENT_LIMIT)
    }

    /// The server and all of its processes: SIGKILL is a power cut but for the disk, SIGSTOP a freeze.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let Some(process) = &self.process else { return Ok(()) };
        // PostgreSQL's processes have groups of their own; one that has just ended needs no signal.
        for child in children(process.id()) {
            let _ = kill(Pid::from_raw(child), signal);
        }
        let group = Pid::from_raw(-(process.id() as i32));
        kill(group, signal).map_err(|errno| LabError::Io {
            operation: format!("sending {signal} to the database on {}", self.host.name),
            source: errno.into(),
        })
    }

    /// Ends the server as a machine does that is shut down, and waits until it is gone.
    pub fn stop(&mut self) -> Result<(), LabError> {
        let Some(process) = &mut self.process else { return Ok(()) };
        // PostgreSQL waits for its clients at SIGTERM, and Debian's service does not ask for that.
        let signal = if self.kind == Kind::Postgres { Signal::SIGINT } else { Signal::SIGTERM };
        // It may have ended already.
        let _ = kill(Pid::from_raw(process.id() as i32), signal);
        let begun = Instant::now();
        while matches!(process.try_wait(), Ok(None)) {
            if begun.elapsed() >= STOP_LIMIT {
                let what = format!("the end of the database on {}", self.host.name);
                return Err(LabError::Waited { what, limit_ms: STOP_LIMIT.as_millis() as u64 });
            }
            thread::sleep(LOOK_EVERY);
        }
        self.process = None;
        Ok(())
    }

    /// Kills the server and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.signal(Signal::SIGKILL);
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn children(pid: u32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// `program` of the newest PostgreSQL that is installed, run by a `setpriv` as its own user.
fn as_postgres(mut setpriv: Command, program: &str) -> Result<Command, LabError> {
    let versions = fs::read_dir(POSTGRES_ROOT).into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(program)).filter(|path| path.is_file());
    let program = programs.max().ok_or_else(|| LabError::ProgramMissing(program.to_owned()))?;
    setpriv.args(["--reuid", POSTGRES_USER, "--regid", POSTGRES_USER, "--clear-groups"]).arg(program);
    Ok(setpriv)
}
