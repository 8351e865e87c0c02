//! A whole vault over mTLS against token vaults written by hand: over bare RocksDB in this process, which is what the
//! engine itself costs, and over a PostgreSQL server, which is what many would build. The same values, the same cipher,
//! every answer durable with its audit row. docs/PERFORMANCE.md says why the comparison is fair, and where it is not.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};

use tokio::runtime::Runtime;
use vault_benches::{
    Failure,
    arguments::Arguments,
    bearing::Bearing,
    by_hand::{Job, Run, postgres::Postgres, rocks::Rocks},
    load::{Class, Connections, Load, Shape, Stock, Verb},
    machine::{cpu_time, refuse_memory_disk},
    measure::{Latencies, Spread, micros_each, ratio},
    postgres::keep_if_asked,
    report::{Figure, Report},
    server::{Kind, ServerProcess, serve_if_asked},
    site::Site,
};

/// As of the binary, so that what is measured is what is served.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each case; all sides take turns.
const ROUNDS: usize = 5;
/// How long one run lasts.
const RUN: Duration = Duration::from_secs(2);
/// Tokens that reveals are drawn from.
const STOCK: usize = 1_000_000;
/// How long a side may go on writing out and compacting after a run, before another has its turn.
const SETTLE_MAX: Duration = Duration::from_secs(5);
const SETTLE_LOOK: Duration = Duration::from_millis(100);

const OPAQUE: Class = Class { name: "customer_id", shape: Shape::Identifier };
const VERBS: [(&str, Verb); 2] = [("tokenize", Verb::TokenizeFresh), ("detokenize", Verb::Detokenize)];
/// Items in a call, and calls in flight.
const SHAPES: [(usize, usize); 3] = [(1, 64), (100, 8), (1000, 4)];

fn main() -> Result<(), Failure> {
    if let Some(served) = serve_if_asked().or_else(keep_if_asked) {
        return served;
    }
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(target_tmp)?;
    refuse_memory_disk(folder.path())?;
    let mut report = Report::begin("floors", &arguments, folder.path(), target_tmp)?;
    let mut bench = Bench::start(arguments, folder.path(), target_tmp, &mut report)?;
    bench.run_all(&mut report)?;
    bench.stop()?;
    report.finish()
}

struct Bench {
    arguments: Arguments,
    vault: Vault,
    rocks: Rocks,
    /// `None` where there is none.
    postgres: Option<Postgres>,
    // Dropped last: the clients live on it.
    runtime: Runtime,
}

/// The vault's server and what it holds.
struct Vault {
    site: Site,
    server: ServerProcess,
    stock: Arc<Stock>,
    fresh: Arc<AtomicU64>,
}

/// One run of each.
struct Round {
    vault: Run,
    rocks: Run,
    postgres: Option<Run>,
}

impl Bench {
    fn start(arguments: Arguments, folder: &Path, near: &Path, report: &mut Report) -> Result<Self, Failure> {
        let runtime = Runtime::new()?;
        let count = u64::try_from(arguments.size(STOCK, 2000))?;
        let vault = Vault::start(&folder.join("vault"), count, &runtime)?;
        let rocks = Rocks::create(&folder.join("rocks"), count)?;
        let postgres = match Postgres::start(near, !arguments.measured) {
            Ok(process) => Some(Postgres::create(process, count, &runtime)?),
            Err(why) => {
                writeln!(io::stderr(), "floors: without PostgreSQL: {why}")?;
                None
            }
        };
        let how = postgres.as_ref().map_or_else(|| "not compared with".to_owned(), Postgres::describe);
        report.note("PostgreSQL", how)?;
        Ok(Self { arguments, vault, rocks, postgres, runtime })
    }

    fn stop(self) -> Result<(), Failure> {
        self.vault.server.stop()?;
        self.postgres.map_or(Ok(()), Postgres::stop)
    }

    fn run_all(&mut self, report: &mut Report) -> Result<(), Failure> {
        for (what, verb) in VERBS {
            for (items, in_flight) in SHAPES {
                let name = format!("{what}, {items} a call, {in_flight} in flight");
                if self.arguments.wants(&name) {
                    let time = self.arguments.run(RUN);
                    let rounds = self.rounds(&name, Job { verb, items, in_flight, time })?;
                    figures(&name, items, rounds).into_iter().for_each(|figure| report.add(figure));
                }
            }
        }
        Ok(())
    }

    /// Rounds of one case, all sides in turn.
    fn rounds(&mut self, name: &str, job: Job) -> Result<Vec<Round>, Failure> {
        let mut rounds = Vec::new();
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let settle = self.arguments.measured;
            let mut rocks = self.rocks.run(job)?;
            rocks.counters.cpu += settled(settle, || Ok(cpu_time()))?;
            rocks.check(&format!("RocksDB, {name}"), job.in_flight)?;
            let postgres = match &self.postgres {
                Some(postgres) => {
                    let mut run = postgres.run(job, &self.runtime)?;
                    run.counters.cpu += settled(settle, || Ok(postgres.cpu()))?;
                    run.check(&format!("PostgreSQL, {name}"), job.in_flight)?;
                    Some(run)
                }
                None => None,
            };
            let mut vault = self.vault.run(job, &self.runtime)?;
            let server = &mut self.vault.server;
            vault.counters.cpu += settled(settle, || Ok(server.counters()?.cpu))?;
            vault.check(&format!("vault, {name}"), job.in_flight)?;
            rounds.push(Round { vault, rocks, postgres });
        }
        Ok(rounds)
    }
}

impl Vault {
    /// Filled, and restarted before it is measured, so that what was filled in lies in table files.
    fn start(folder: &Path, count: u64, runtime: &Runtime) -> Result<Self, Failure> {
        let site = Site::create(folder)?;
        let server = ServerProcess::start(Kind::Vault, &site)?;
        let filling = runtime.block_on(Connections::open(&site, server.address(), Bearing::Nothing))?;
        let stock = Arc::new(runtime.block_on(filling.fill(OPAQUE, count))?);
        drop(filling);
        server.stop()?;
        let server = ServerProcess::start(Kind::Vault, &site)?;
        Ok(Self { site, server, stock, fresh: Arc::new(AtomicU64::new(count)) })
    }

    fn run(&mut self, job: Job, runtime: &Runtime) -> Result<Run, Failure> {
        let Job { verb, items, in_flight, time } = job;
        let (stock, fresh) = (Arc::clone(&self.stock), Arc::clone(&self.fresh));
        let load = Load { verb, class: OPAQUE, items, in_flight, streams: 0, stock, fresh, checked: true };
        let connections = runtime.block_on(Connections::open(&self.site, self.server.address(), Bearing::Nonce))?;
        let before = self.server.counters()?;
        let outcome = runtime.block_on(connections.run(&load, time))?;
        Ok(Run { outcome, counters: self.server.counters()?.since(&before) })
    }
}

/// Waits until a side is quiet, and says what CPU time it took for that: what it put off is part of what calls cost.
fn settled(wanted: bool, mut cpu: impl FnMut() -> Result<Duration, Failure>) -> Result<Duration, Failure> {
    let first = cpu()?;
    let mut last = first;
    let looks = if wanted { SETTLE_MAX.as_millis() / SETTLE_LOOK.as_millis() } else { 0 };
    for _ in 0..looks {
        thread::sleep(SETTLE_LOOK);
        let next = cpu()?;
        let quiet = next.saturating_sub(last) < SETTLE_LOOK / 20;
        last = next;
        if quiet {
            break;
        }
    }
    Ok(last.saturating_sub(first))
}

/// The vault's rate beside each of the others'.
fn figures(name: &str, items: usize, rounds: Vec<Round>) -> Vec<Figure> {
    let (mut vault, mut rocks, mut postgres) = (Vec::new(), Vec::new(), Vec::new());
    for round in rounds {
        vault.push(round.vault);
        rocks.push(round.rocks);
        postgres.extend(round.postgres);
    }
    let vault = Side::of(vault);
    let unit = if items == 1 { "calls/s" } else { "items/s" };
    let beside = |floor: &Side, whose: &str| {
        let ratios = Spread::of(vault.rates.iter().zip(&floor.rates).map(|(own, floor)| ratio(*own, *floor)));
        Figure::new(format!("{name}, of {whose}"), vault.rate(), unit).against(floor.rate(), ratios)
    };
    let rocks = Side::of(rocks);
    let mut figures = vec![
        beside(&rocks, "raw RocksDB")
            .with("p50", vault.p50, "µs")
            .with("p99", vault.p99, "µs")
            .with("server CPU", vault.server_cpu, "µs/item")
            .with("client CPU", vault.client_cpu, "µs/item")
            .with("group", vault.group, "calls a sync")
            .with("written ahead", vault.logged, "B/item")
            .with("floor p50", rocks.p50, "µs")
            .with("floor p99", rocks.p99, "µs")
            .with("floor CPU, callers and engine", rocks.server_cpu, "µs/item")
            .with("floor group", rocks.group, "calls a sync")
            .with("floor written ahead", rocks.logged, "B/item"),
    ];
    if !postgres.is_empty() {
        let postgres = Side::of(postgres);
        figures.push(
            beside(&postgres, "PostgreSQL")
                .with("floor p50", postgres.p50, "µs")
                .with("floor p99", postgres.p99, "µs")
                .with("floor server CPU", postgres.server_cpu, "µs/item")
                .with("floor client CPU", postgres.client_cpu, "µs/item")
                .with("floor group", postgres.group, "calls a sync")
                .with("floor written ahead", postgres.logged, "B/item"),
        );
    }
    figures
}

/// What one side's runs came to: the rate of each, medians of the rest.
struct Side {
    rates: Vec<f64>,
    p50: f64,
    p99: f64,
    server_cpu: f64,
    client_cpu: f64,
    group: f64,
    logged: f64,
}

impl Side {
    fn of(runs: Vec<Run>) -> Self {
        let median = |of: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(of)).median;
        let mut side = Self {
            rates: runs.iter().map(|run| run.outcome.items_per_second()).collect(),
            p50: 0.0,
            p99: 0.0,
            server_cpu: median(&|run| micros_each(run.counters.cpu, run.outcome.items)),
            client_cpu: median(&|run| run.outcome.cpu_us_per_item()),
            group: median(&|run| ratio(run.outcome.calls as f64, run.counters.wal_syncs as f64)),
            logged: median(&|run| ratio(run.counters.wal_bytes as f64, run.outcome.items as f64)),
        };
        let mut latencies = Latencies::default();
        runs.into_iter().for_each(|run| latencies.append(run.outcome.latencies));
        (side.p50, side.p99) = (latencies.percentile_us(50), latencies.percentile_us(99));
        side
    }

    fn rate(&self) -> f64 {
        Spread::of(self.rates.iter().copied()).median
    }
}
