//! The servers under test, each in a process of its own, so that its CPU time can be told from the client's: this
//! program, started again with the server's name. Parent and child talk in lines over standard input and output; a
//! child whose parent is gone ends.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use vault_domain::{Region, SystemClock, SystemEntropy};
use vault_server::{Config, Environment, Server, start_telemetry};

use crate::{
    Failure, echo,
    machine::{cpu_time, peak_memory},
    site::{REGION, Site},
};

/// The first argument of a server's process.
const SERVE: &str = "serve";
/// What a parent asks.
const COUNTERS: &str = "counters";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The vault.
    Vault,
    /// The echo.
    Echo,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Echo => "echo",
        }
    }
}

/// What a server counted since it was started. The echo counts its CPU time alone.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// CPU time of the process.
    pub cpu: Duration,
    /// Syncs of the write-ahead log, by the engine's own statistics.
    pub wal_syncs: u64,
    /// Bytes written to the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the table files, by table.
    pub tables: Vec<(String, u64)>,
    /// Entries of the region's log that its index does not cover.
    pub index_behind: u64,
}

impl Counters {
    /// What came since `before`; table sizes and how far the index is are those of now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            wal_syncs: self.wal_syncs.saturating_sub(before.wal_syncs),
            wal_bytes: self.wal_bytes.saturating_sub(before.wal_bytes),
            tables: self.tables.clone(),
            index_behind: self.index_behind,
        }
    }

    /// Bytes of one table's files.
    #[must_use]
    pub fn table_bytes(&self, name: &str) -> u64 {
        self.tables.iter().find(|(table, _)| table == name).map_or(0, |(_, bytes)| *bytes)
    }
}

/// A server that runs as a child of this process.
pub struct ServerProcess {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts a server of this build and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up; what it said stands on standard error.
    pub fn start(kind: Kind, site: &Site) -> Result<Self, Failure> {
        Self::start_of(&std::env::current_exe()?, kind, site)
    }

    /// Starts a server of another build of the same benchmark.
    ///
    /// # Errors
    /// As of [`ServerProcess::start`].
    pub fn start_of(build: &Path, kind: Kind, site: &Site) -> Result<Self, Failure> {
        let mut child = Command::new(build)
            .args([SERVE, kind.name()])
            .arg(site.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("the server has no output")?);
        let address = read_line(&mut answers)?.trim().parse()?;
        Ok(Self { child, questions, answers, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counted by now.
    ///
    /// # Errors
    /// When it does not answer any more.
    pub fn counters(&mut self) -> Result<Counters, Failure> {
        let questions = self.questions.as_mut().ok_or("the server was told to stop")?;
        writeln!(questions, "{COUNTERS}")?;
        questions.flush()?;
        let answer: Value = serde_json::from_str(&read_line(&mut self.answers)?)?;
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        let tables = answer.get("tables").and_then(Value::as_object).into_iter().flatten();
        Ok(Counters {
            cpu: Duration::from_micros(number("cpu_us")),
            wal_syncs: number("wal_syncs"),
            wal_bytes: number("wal_bytes"),
            tables: tables.map(|(name, bytes)| (name.clone(), bytes.as_u64().unwrap_or(0))).collect(),
            index_behind: number("index_behind"),
        })
    }

    /// The most memory that its process had so far, in bytes; 0 where the system does not tell.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        peak_memory(self.child.id())
    }

    /// Lets it end in good order.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn stop(mut self) -> Result<(), Failure> {
        drop(self.questions.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The end of its input tells it to stop; nobody waits for it here.
        drop(self.questions.take());
    }
}

fn read_line(from: &mut impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 { Err("the server ended".into()) } else { Ok(line) }
}

/// Serves until the parent closes standard input, if this process was started to; `None` if it was not.
#[must_use]
pub fn serve_if_asked() -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != SERVE {
        return None;
    }
    let (kind, folder) = (arguments.next()?, arguments.next()?);
    let site = Site::at(Path::new(&folder));
    Some(if kind == Kind::Vault.name() { serve_vault(&site) } else { serve_echo(&site) })
}

fn serve_echo(site: &Site) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let address = runtime.block_on(echo::listen(site))?;
    answer_questions(address, || Ok(Value::Object(cpu_counter())))
}

fn serve_vault(site: &Site) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let config = Config::load(&site.configuration(), &Environment::default())?;
    start_telemetry(&config);
    let server = runtime.block_on(Server::start(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)))?;
    let region = Region::parse(REGION)?;
    let engine = server.engine().clone();
    answer_questions(server.address(), || {
        let statistics = engine.statistics(&region).ok_or("the region is not served")?;
        let tables = statistics.tables.iter().map(|table| (table.table.name().to_owned(), json!(table.disk_bytes)));
        let mut counters = cpu_counter();
        counters.insert("wal_syncs".to_owned(), json!(statistics.wal_syncs));
        counters.insert("wal_bytes".to_owned(), json!(statistics.wal_bytes));
        let behind = engine.index_behind().find(|(name, _)| **name == region).map_or(0, |(_, behind)| behind);
        counters.insert("index_behind".to_owned(), json!(behind));
        counters.insert("tables".to_owned(), Value::Object(tables.collect()));
        Ok(Value::Object(counters))
    })?;
    drop(engine);
    runtime.block_on(server.shutdown());
    Ok(())
}

fn cpu_counter() -> Map<String, Value> {
    let cpu = u64::try_from(cpu_time().as_micros()).unwrap_or(u64::MAX);
    Map::from_iter([("cpu_us".to_owned(), json!(cpu))])
}

/// Says where the server listens, then answers the parent's questions until there are no more.
fn answer_questions(address: SocketAddr, mut counters: impl FnMut() -> Result<Value, Failure>) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "{address}")?;
    out.flush()?;
    for question in io::stdin().lines() {
        if question? == COUNTERS {
            writeln!(out, "{}", counters()?)?;
            out.flush()?;
        }
    }
    Ok(())
}
