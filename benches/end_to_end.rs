//! A whole vault over mTLS, every answer durable and recorded, against an echo of the same messages: what of a call is
//! the vault's, and what is gRPC's. Client and server share the machine's cores; each is a process of its own.
#![allow(clippy::type_complexity, reason = "a round of measurements is a tuple that lives for a few lines")]

use std::{
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
    floor,
    load::{Class, Connections, Load, Outcome, Shape, Stock, Verb},
    machine::refuse_memory_disk,
    measure::{Latencies, Spread, micros_each, ratio},
    report::{Figure, Report},
    server::{Counters, Kind, ServerProcess, serve_if_asked},
    site::Site,
};

/// As of the binary, so that what is measured is what is served. The echo has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each case; the floor and the vault take turns.
const ROUNDS: usize = 5;
/// How long one run lasts.
const RUN: Duration = Duration::from_secs(2);
/// Tokens that reveals are drawn from.
const STOCK: usize = 1_000_000;
/// Tokens of the classes that are measured beside.
const STOCK_BESIDE: usize = 200_000;
/// How long a vault may go on flushing and compacting after a run, before the other has its turn.
const SETTLE_MAX: Duration = Duration::from_secs(5);
const SETTLE_LOOK: Duration = Duration::from_millis(100);

const OPAQUE: Class = Class { name: "customer_id", shape: Shape::Identifier };
const JOINED: Class = Class { name: "customer_join_id", shape: Shape::Identifier };
const CARD: Class = Class { name: "card_number", shape: Shape::Card };

/// Items in a call, calls in flight, and the part of the echo's rate that tokenizing and detokenizing should reach.
type CallShape = (usize, usize, Option<(f64, f64)>);
const HEADLINE: [CallShape; 6] = [
    (1, 1, None),
    (1, 16, None),
    (1, 64, Some((0.45, 0.45))),
    (1, 256, None),
    (100, 8, Some((0.20, 0.15))),
    (1000, 4, Some((0.15, 0.08))),
];
/// Items in a message, messages without an answer, and the part of the rate of batches that one stream should reach.
const STREAMED: [(usize, usize, Option<f64>); 3] = [(1, 8000, None), (100, 80, Some(1.0)), (1000, 8, Some(1.0))];
/// The batches that streams are held against: items in a call, calls in flight.
const BATCHES: (usize, usize) = (1000, 4);
/// The part of the rate of calls with a certificate alone that calls with nonces and bound access tokens should reach.
const BORNE: f64 = 0.90;
const BESIDE: [CallShape; 3] = [(1, 64, None), (100, 8, None), (1000, 4, None)];

fn main() -> Result<(), Failure> {
    if let Some(served) = serve_if_asked() {
        return served;
    }
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(target_tmp)?;
    refuse_memory_disk(folder.path())?;
    let mut report = Report::begin("end_to_end", &arguments, folder.path(), target_tmp)?;
    let mut syncs = floor::append_and_sync(folder.path(), 400, arguments.size(1000, 2))?;
    report.add(Figure::new("disk: append 400 B, fdatasync", syncs.percentile_us(50), "µs").with(
        "p99",
        syncs.percentile_us(99),
        "µs",
    ));
    let mut bench = Bench::start(arguments, folder.path(), &mut report)?;
    bench.run_all(&mut report)?;
    bench.stop()?;
    report.finish()
}

struct Bench {
    arguments: Arguments,
    runtime: Runtime,
    vault: Side,
    floor: Side,
}

/// One of the two that take turns: a server, and what it holds of each class.
struct Side {
    site: Site,
    server: ServerProcess,
    /// Whether it is a vault, whose answers are looked into.
    is_vault: bool,
    opaque: Loads,
    joined: Loads,
    card: Loads,
}

/// What loads on one class share.
#[derive(Clone)]
struct Loads {
    class: Class,
    stock: Arc<Stock>,
    fresh: Arc<AtomicU64>,
}

/// Which of a side's loads.
type Of = fn(&Side) -> &Loads;

struct Case {
    name: String,
    of: Of,
    verb: Verb,
    items: usize,
    in_flight: usize,
    streams: usize,
    bearing: Bearing,
    goal: Option<f64>,
    /// What the vault itself does that this is held against, where that is not the echo: calls of so many items, so
    /// many in flight, with this.
    beside: Option<(usize, usize, Bearing)>,
}

/// One run against one server.
struct Run {
    outcome: Outcome,
    counters: Counters,
}

impl Bench {
    fn start(arguments: Arguments, folder: &Path, report: &mut Report) -> Result<Self, Failure> {
        let runtime = Runtime::new()?;
        let own = std::env::current_exe()?;
        let vault = Side::vault(&own, &folder.join("vault"), &arguments, &runtime, Some(report))?;
        let floor = match &arguments.against {
            Some(build) => Side::vault(build, &folder.join("against"), &arguments, &runtime, None)?,
            None => Side::echo(&folder.join("echo"), &vault)?,
        };
        Ok(Self { arguments, runtime, vault, floor })
    }

    fn stop(self) -> Result<(), Failure> {
        self.vault.stop()?;
        self.floor.stop()
    }

    fn run_all(&mut self, report: &mut Report) -> Result<(), Failure> {
        let usual = if self.arguments.bound { Bearing::BoundToken } else { Bearing::Nonce };
        for case in cases(usual) {
            if self.arguments.wants(&case.name) {
                report.add(self.case(&case)?);
            }
        }
        Ok(())
    }

    /// Runs one case, floor and vault in turn.
    fn case(&mut self, case: &Case) -> Result<Figure, Failure> {
        let time = self.arguments.run(RUN);
        let settle = self.arguments.measured;
        let mut rounds = Vec::new();
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let floor = match case.beside {
                _ if self.arguments.alone => None,
                Some((items, in_flight, bearing)) => {
                    let calls = Case { name: String::new(), items, in_flight, bearing, streams: 0, ..*case };
                    Some(self.vault.run(&calls, time, settle, &self.runtime)?)
                }
                None => Some(self.floor.run(case, time, settle, &self.runtime)?),
            };
            let vault = self.vault.run(case, time, settle, &self.runtime)?;
            check(case, &vault)?;
            rounds.push((vault, floor));
        }
        Ok(figure(case, rounds))
    }
}

impl Side {
    /// A vault, filled; and restarted before it is measured, so that what was filled in lies in table files.
    fn vault(
        build: &Path,
        folder: &Path,
        arguments: &Arguments,
        runtime: &Runtime,
        report: Option<&mut Report>,
    ) -> Result<Self, Failure> {
        let site = Site::create(folder)?;
        let server = ServerProcess::start_of(build, Kind::Vault, &site)?;
        let filling = runtime.block_on(Connections::open(&site, server.address(), Bearing::Nothing))?;
        let count = u64::try_from(arguments.size(STOCK, 3000))?;
        let beside = u64::try_from(arguments.size(STOCK_BESIDE, 1000))?;
        let opaque = Loads::new(OPAQUE, runtime.block_on(filling.fill(OPAQUE, count))?);
        drop(filling);
        server.stop()?;

        let mut server = ServerProcess::start_of(build, Kind::Vault, &site)?;
        if let Some(report) = report {
            report.add(on_disk(&server.counters()?, count));
        }
        let connections = runtime.block_on(Connections::open(&site, server.address(), Bearing::Nothing))?;
        let joined = Loads::new(JOINED, runtime.block_on(connections.fill(JOINED, beside))?);
        let card = Loads::new(CARD, runtime.block_on(connections.fill(CARD, beside))?);
        Ok(Self { site, server, is_vault: true, opaque, joined, card })
    }

    /// An echo, asked for what the vault holds.
    fn echo(folder: &Path, vault: &Self) -> Result<Self, Failure> {
        let site = Site::create(folder)?;
        let server = ServerProcess::start(Kind::Echo, &site)?;
        let Self { opaque, joined, card, .. } = vault;
        let (opaque, joined, card) = (opaque.clone(), joined.clone(), card.clone());
        Ok(Self { site, server, is_vault: false, opaque, joined, card })
    }

    fn stop(self) -> Result<(), Failure> {
        self.server.stop()
    }

    /// One run, over connections of its own: how calls fall on threads is luck, and should not be the same luck in all
    /// rounds. CPU time counts until the server is quiet again: what it put off is part of what the calls cost.
    fn run(&mut self, case: &Case, time: Duration, settle: bool, runtime: &Runtime) -> Result<Run, Failure> {
        let Loads { class, stock, fresh } = (case.of)(self).clone();
        let Case { verb, items, in_flight, streams, bearing, .. } = *case;
        let load = Load { verb, class, items, in_flight, streams, stock, fresh, checked: self.is_vault };
        let connections = runtime.block_on(Connections::open(&self.site, self.server.address(), bearing))?;
        let before = self.server.counters()?;
        let outcome = runtime.block_on(connections.run(&load, time))?;
        let mut now = self.server.counters()?;
        let looks = if settle { SETTLE_MAX.as_millis() / SETTLE_LOOK.as_millis() } else { 0 };
        for _ in 0..looks {
            thread::sleep(SETTLE_LOOK);
            let next = self.server.counters()?;
            let quiet = next.cpu.saturating_sub(now.cpu) < SETTLE_LOOK / 20;
            now = next;
            if quiet {
                break;
            }
        }
        Ok(Run { outcome, counters: now.since(&before) })
    }
}

impl Loads {
    fn new(class: Class, stock: Stock) -> Self {
        let fresh = Arc::new(AtomicU64::new(stock.len()));
        Self { class, stock: Arc::new(stock), fresh }
    }
}

fn on_disk(counters: &Counters, tokens: u64) -> Figure {
    let all: u64 = counters.tables.iter().map(|(_, bytes)| bytes).sum();
    let each = |bytes: u64| ratio(bytes as f64, tokens as f64);
    Figure::new(format!("on disk, {tokens} opaque tokens of 12 bytes, made 1000 a call"), each(all), "B/token")
        .with("records", each(counters.table_bytes("records")), "B")
        .with("entries", each(counters.table_bytes("entries")), "B")
}

fn cases(usual: Bearing) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |of: Of, what: &str, verb, shapes: &[CallShape]| {
        for (items, in_flight, goals) in shapes {
            cases.push(Case {
                name: format!("{what}, {items} a call, {in_flight} in flight"),
                of,
                verb,
                items: *items,
                in_flight: *in_flight,
                streams: 0,
                bearing: usual,
                beside: None,
                goal: goals.map(|(tokenize, detokenize)| match verb {
                    Verb::TokenizeFresh | Verb::TokenizeKnown => tokenize,
                    Verb::Detokenize | Verb::DetokenizeHot => detokenize,
                }),
            });
        }
    };
    add(|side| &side.opaque, "tokenize", Verb::TokenizeFresh, &HEADLINE);
    add(|side| &side.opaque, "detokenize", Verb::Detokenize, &HEADLINE);
    add(|side| &side.opaque, "detokenize the same 1000", Verb::DetokenizeHot, &BESIDE);
    add(|side| &side.joined, "tokenize, per_audience, new values", Verb::TokenizeFresh, &BESIDE);
    add(|side| &side.joined, "tokenize, per_audience, known values", Verb::TokenizeKnown, &BESIDE);
    add(|side| &side.card, "tokenize, format_preserving", Verb::TokenizeFresh, &BESIDE);
    add(|side| &side.card, "detokenize, format_preserving", Verb::Detokenize, &BESIDE);
    for (what, verb) in [("tokenize", Verb::TokenizeFresh), ("detokenize", Verb::Detokenize)] {
        for (items, in_flight, goal) in STREAMED {
            cases.push(Case {
                name: format!("{what}, one stream, {items} a message, {in_flight} in flight"),
                of: |side| &side.opaque,
                verb,
                items,
                in_flight,
                streams: 1,
                bearing: usual,
                goal,
                beside: Some((BATCHES.0, BATCHES.1, usual)),
            });
        }
    }
    let borne = [("nonces", Bearing::Nonce), ("nonces and bound tokens", Bearing::BoundToken)];
    for (what, verb) in [("tokenize", Verb::TokenizeFresh), ("detokenize", Verb::Detokenize)] {
        for ((items, in_flight, goal), (with, bearing)) in
            HEADLINE.iter().flat_map(|shape| borne.map(|with| (*shape, with)))
        {
            cases.push(Case {
                name: format!("{what} with {with}, {items} a call, {in_flight} in flight"),
                of: |side| &side.opaque,
                verb,
                items,
                in_flight,
                streams: 0,
                bearing,
                goal: goal.map(|_| BORNE),
                beside: Some((items, in_flight, Bearing::Nothing)),
            });
        }
    }
    cases
}

/// Every answer stood behind a sync, and no sync can have let go more calls than were in flight; and every call has its
/// entry in the log.
fn check(case: &Case, run: &Run) -> Result<(), Failure> {
    let Run { outcome, counters } = run;
    let name = &case.name;
    let in_flight = u64::try_from(case.in_flight)?;
    if counters.wal_syncs * in_flight < outcome.calls {
        let syncs = counters.wal_syncs;
        return Err(format!("{name}: {} calls were acknowledged by {syncs} syncs", outcome.calls).into());
    }
    // Messages of a stream share entries.
    if outcome.entries < outcome.calls && case.streams == 0 {
        return Err(format!("{name}: {} calls left {} entries", outcome.calls, outcome.entries).into());
    }
    Ok(())
}

fn figure(case: &Case, rounds: Vec<(Run, Option<Run>)>) -> Figure {
    let median = |of: &dyn Fn(&(Run, Option<Run>)) -> f64| Spread::of(rounds.iter().map(of)).median;
    let floor_rate = |floor: &Option<Run>| floor.as_ref().map_or(0.0, |run| run.outcome.items_per_second());
    let ratios = Spread::of(rounds.iter().map(|(own, floor)| ratio(own.outcome.items_per_second(), floor_rate(floor))));
    let rate = median(&|(own, _)| own.outcome.items_per_second());
    let floor = median(&|(_, floor)| floor_rate(floor));
    let server = |run: &Run| micros_each(run.counters.cpu, run.outcome.items);
    let server_cpu = median(&|(own, _)| server(own));
    let client_cpu = median(&|(own, _)| own.outcome.cpu_us_per_item());
    let floor_server = median(&|(_, floor)| floor.as_ref().map_or(0.0, server));
    let floor_client = median(&|(_, floor)| floor.as_ref().map_or(0.0, |run| run.outcome.cpu_us_per_item()));
    let group = median(&|(own, _)| ratio(own.outcome.calls as f64, own.counters.wal_syncs as f64));
    let logged = median(&|(own, _)| ratio(own.counters.wal_bytes as f64, own.outcome.items as f64));
    let (mut own, mut other) = (Latencies::default(), Latencies::default());
    for (vault_run, floor_run) in rounds {
        own.append(vault_run.outcome.latencies);
        floor_run.into_iter().for_each(|run| other.append(run.outcome.latencies));
    }
    let unit = if case.items == 1 { "calls/s" } else { "items/s" };
    let figure = Figure::new(&case.name, rate, unit)
        .against(floor, ratios)
        .with("p50", own.percentile_us(50), "µs")
        .with("p99", own.percentile_us(99), "µs")
        .with("floor p50", other.percentile_us(50), "µs")
        .with("floor p99", other.percentile_us(99), "µs")
        .with("server CPU", server_cpu, "µs/item")
        .with("client CPU", client_cpu, "µs/item")
        .with("floor server CPU", floor_server, "µs/item")
        .with("floor client CPU", floor_client, "µs/item")
        .with("group", group, "calls a sync")
        .with("written ahead", logged, "B/item");
    match case.goal {
        Some(goal) => figure.goal(format!("≥ {goal:.2}"), ratios.median >= goal),
        None => figure,
    }
}
