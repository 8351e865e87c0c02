//! The access log of a served vault over mTLS, asked while calls go on: first pages of questions by each filter,
//! counts, proofs, tails and exports; then, with the vault stopped, what verifying and indexing cost, and bytes on
//! the disk.
//!
//! `--entries 10000000` asks a log of that length; `--keep FOLDER` makes it there, or takes the one that is there.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{runtime::Runtime, task::JoinHandle};
use vault_benches::{
    Failure,
    arguments::Arguments,
    asking::{Auditor, repeat},
    bearing::Bearing,
    draw::Draw,
    load::{Class, Connections, Load, Shape, Stock, Verb},
    long_log::{self, LongLog, folder_bytes},
    machine::refuse_memory_disk,
    measure::{Latencies, per_second, ratio},
    report::{Figure, Report},
    server::{Kind, ServerProcess, serve_if_asked},
    site::{REGION, Site},
    skipping,
};
use vault_domain::{Clock, Millis, SystemClock};
use vault_ledger::SUMMARY_ENTRIES;
use vault_proto::v1::AccessLogFilter;

/// As of the binary, so that what is measured is what is served.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries of the log, unless told otherwise: a hundredth of the campaign's.
const ENTRIES: usize = 100_000;
/// How long each question is asked again and again, and how often at least.
const RUN: Duration = Duration::from_secs(2);
const ASKED_MIN: usize = 200;
/// Rounds of what is compared.
const ROUNDS: usize = 5;
/// Calls a second that go on beside, half of them to tokenize one value, half of them to detokenize one.
const TRAFFIC: u32 = 1000;
const TRAFFIC_CALLERS: usize = 8;
/// Tokens that the traffic reveals.
const STOCK: usize = 10_000;
/// Entries that tails and exports go through at most.
const STREAMED_MAX: u64 = 500_000;
/// What p99 of a first page, and of an inclusion proof, should stay below while traffic goes on.
const PAGE_MS_GOAL: f64 = 50.0;
const PROOF_MS_GOAL: f64 = 5.0;
const DAY_MS: u64 = 24 * 3600 * 1000;
const HOUR_MS: u64 = 3600 * 1000;

fn main() -> Result<(), Failure> {
    if let Some(served) = serve_if_asked() {
        return served;
    }
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let temporary = tempfile::tempdir_in(target_tmp)?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().join("vault"));
    refuse_memory_disk(temporary.path())?;
    let mut report = Report::begin("audit", &arguments, temporary.path(), target_tmp)?;
    report.note("traffic", format!("{TRAFFIC} calls/s of one item beside what is asked \"with traffic\""))?;
    let mut bench = Bench::start(arguments, &folder, &mut report)?;
    bench.questions(&mut report)?;
    bench.counts(&mut report)?;
    bench.streams(&mut report)?;
    bench.stop_and_verify(temporary.path(), &mut report)?;
    report.finish()
}

struct Bench {
    arguments: Arguments,
    runtime: Runtime,
    site: Site,
    log: LongLog,
    server: ServerProcess,
    auditor: Auditor,
    traffic: Load,
    /// The most entries that the index was behind while traffic went on.
    behind_max: u64,
}

/// Calls that go on until they are told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<Result<Latencies, Failure>>>,
}

impl Bench {
    fn start(arguments: Arguments, folder: &Path, report: &mut Report) -> Result<Self, Failure> {
        let runtime = Runtime::new()?;
        let site = if folder.exists() { Site::at(folder) } else { Site::create(folder)? };
        let entries = arguments.entries.unwrap_or(u64::try_from(arguments.size(ENTRIES, 3000))?);
        let log = LongLog::make(&site, entries)?;
        let rate = per_second(log.entries, log.took);
        let figure =
            Figure::new(format!("a log of {} entries, written by the journal", log.entries), rate, "entries/s");
        report.add(figure.with("index, after the last entry", log.index_took.as_secs_f64() * 1e3, "ms"));
        ServerProcess::start(Kind::Vault, &site)?.stop()?;

        let clock = SystemClock::new();
        let mut server = ServerProcess::start(Kind::Vault, &site)?;
        report.add(Figure::new("start of the vault", clock.monotonic().as_secs_f64() * 1e3, "ms"));
        report.add(on_disk(&mut server, &log)?);
        let connections = runtime.block_on(Connections::open(&site, server.address(), Bearing::Nothing))?;
        let class = Class { name: "customer_id", shape: Shape::Identifier };
        let count = u64::try_from(arguments.size(STOCK, 100))?;
        let stock = runtime.block_on(connections.fill(class, count))?;
        let auditor = runtime.block_on(Auditor::open(&site, server.address()))?;
        let traffic = load(class, stock);
        Ok(Self { arguments, runtime, site, log, server, auditor, traffic, behind_max: 0 })
    }

    /// Calls from now on, until they are told to stop.
    fn traffic(&self) -> Result<Traffic, Failure> {
        let connections =
            self.runtime.block_on(Connections::open(&self.site, self.server.address(), Bearing::Nothing))?;
        let stop = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs(1) * u32::try_from(TRAFFIC_CALLERS)? / (TRAFFIC / 2);
        let running = [Verb::TokenizeFresh, Verb::Detokenize].map(|verb| {
            let (connections, stop) = (connections.clone(), stop.clone());
            let load = Load { verb, ..self.traffic.clone() };
            self.runtime.spawn(async move { connections.pace(&load, every, stop).await })
        });
        Ok(Traffic { stop, running: running.into() })
    }

    fn end(&self, traffic: Traffic) -> Result<Latencies, Failure> {
        traffic.stop.store(true, Ordering::Relaxed);
        let mut latencies = Latencies::default();
        for calls in traffic.running {
            latencies.append(self.runtime.block_on(calls)??);
        }
        Ok(latencies)
    }

    /// First pages and proofs, without and with traffic.
    fn questions(&mut self, report: &mut Report) -> Result<(), Failure> {
        let cases: Vec<Case> = cases(&self.log).into_iter().filter(|case| self.arguments.wants(&case.name)).collect();
        let mut quiet = Vec::new();
        for case in &cases {
            quiet.push(self.run(case)?);
        }
        let traffic = self.traffic()?;
        for (case, mut quiet) in cases.iter().zip(quiet) {
            let mut busy = self.run(case)?;
            self.behind_max = self.behind_max.max(self.server.counters()?.index_behind);
            let p99 = busy.percentile_us(99) / 1e3;
            let figure = Figure::new(format!("{}: p99 with traffic", case.name), p99, "ms")
                .with("p50", busy.percentile_us(50) / 1e3, "ms")
                .with("without traffic p50", quiet.percentile_us(50) / 1e3, "ms")
                .with("p99", quiet.percentile_us(99) / 1e3, "ms")
                .with("one asker", rate(&quiet), "a second");
            let goal = case.goal();
            report.add(match goal {
                Some(goal) => figure.goal(format!("< {goal} ms"), p99 < goal),
                None => figure,
            });
        }
        let mut calls = self.end(traffic)?;
        let figure = Figure::new("the traffic beside these questions: p99", calls.percentile_us(99) / 1e3, "ms");
        report.add(figure.with("p50", calls.percentile_us(50) / 1e3, "ms"));
        report.add(Figure::new("index behind the log, at most", self.behind_max as f64, "entries"));
        Ok(())
    }

    fn run(&mut self, case: &Case) -> Result<Latencies, Failure> {
        let (time, least) = (self.arguments.run(RUN), self.arguments.size(ASKED_MIN, 2));
        let (auditor, log) = (&mut self.auditor, &self.log);
        let (filler, size) = (AccessLogFilter::default(), log.entries);
        let request_ids = match case.ask {
            Ask::Request => self.runtime.block_on(request_ids(auditor, size))?,
            _ => Vec::new(),
        };
        self.runtime.block_on(repeat(time, least, async |number| {
            let mut draw = Draw::seeded(usize::try_from(number)?);
            match &case.ask {
                Ask::Page(filter, expected) => {
                    let filter = filter(log, &mut draw);
                    let page = auditor.page(&filter, case.page_size, case.oldest_first).await?;
                    check(&case.name, &filter, *expected, &page.entries)
                }
                Ask::Request => {
                    let at = usize::try_from(draw.below(request_ids.len() as u64))?;
                    let request_id = request_ids.get(at).cloned().unwrap_or_default();
                    let filter = AccessLogFilter { request_id, ..filler.clone() };
                    let page = auditor.page(&filter, case.page_size, case.oldest_first).await?;
                    check(&case.name, &filter, Some(true), &page.entries)
                }
                Ask::Inclusion { newest } => {
                    let tree = if *newest { 0 } else { size / 2 + draw.below(size / 2) };
                    let index = draw.below(if *newest { size } else { tree });
                    proved(auditor.inclusion(index, tree).await?)
                }
                Ask::Consistency => {
                    let old = 1 + draw.below(size / 2);
                    proved(auditor.consistency(old, old + 1 + draw.below(size / 2)).await?)
                }
                Ask::Entry => auditor.request_id(draw.below(size)).await.map(|_| ()),
            }
        }))
    }

    /// Counts of all of the log and of a day, by each grouping.
    fn counts(&mut self, report: &mut Report) -> Result<(), Failure> {
        let end = self.log.time_at(0.5);
        let day = AccessLogFilter { from_ms: end.0 - DAY_MS, until_ms: end.0, ..AccessLogFilter::default() };
        let principal = AccessLogFilter { principal: long_log::principal(0), ..AccessLogFilter::default() };
        let token = AccessLogFilter {
            data_class: long_log::CLASS.to_owned(),
            token: self.log.hot_tokens.first().cloned().unwrap_or_default(),
            ..AccessLogFilter::default()
        };
        let whole = ["", "decision", "principal", "data_class", "action", "hour"]
            .map(|by| (by, "all", AccessLogFilter::default()));
        let others =
            [("hour", "of a day", day), ("data_class", "of a principal", principal), ("", "of a token", token)];
        for (by, what, filter) in whole.into_iter().chain(others) {
            let grouping = if by.is_empty() { "the sum".to_owned() } else { format!("by {by}") };
            let name = format!("count {what}, {grouping}");
            if !self.arguments.wants(&name) {
                continue;
            }
            let counted = match self.runtime.block_on(self.auditor.count(&filter, by)) {
                Ok(counted) => counted,
                // A part that takes longer than a call may is lost: that is a figure too.
                Err(error) => {
                    report.note(&name, error.to_string().chars().take(60).collect())?;
                    continue;
                }
            };
            report.add(
                Figure::new(name, counted.took.as_secs_f64() * 1e3, "ms")
                    .with("counted", counted.entries as f64, "entries")
                    .with("read", counted.read as f64, "entries")
                    .with("in", counted.parts as f64, "parts"),
            );
        }
        Ok(())
    }

    /// Tails and exports.
    fn streams(&mut self, report: &mut Report) -> Result<(), Failure> {
        let to = self.log.entries;
        let from = to.saturating_sub(STREAMED_MAX);
        let rare = AccessLogFilter { principal: long_log::RARE_PRINCIPAL.to_owned(), ..AccessLogFilter::default() };
        for (name, filter, from) in
            [("tail, all", AccessLogFilter::default(), from), ("tail, a rare principal", rare, 0)]
        {
            if self.arguments.wants(name) {
                let caught_up = self.runtime.block_on(self.auditor.catch_up(&filter, from, to))?;
                let figure =
                    Figure::new(format!("{name}: catches up"), per_second(to - from, caught_up.took), "entries/s");
                report.add(figure.with("came", caught_up.entries as f64, "entries"));
            }
        }
        if self.arguments.wants("tail, commit to message") {
            let mut latencies = self.tail_latency()?;
            let figure =
                Figure::new("tail, commit to message, with traffic: p50", latencies.percentile_us(50) / 1e3, "ms");
            report.add(figure.with("p99", latencies.percentile_us(99) / 1e3, "ms"));
        }
        for format in ["jsonl", "csv", "ocsf", "cef"] {
            let name = format!("export, {format}");
            if self.arguments.wants(&name) {
                let exported = self.runtime.block_on(self.auditor.export(format, from, to))?;
                let rate = per_second(exported.entries, exported.took);
                report.add(Figure::new(name, rate, "entries/s").with(
                    "in",
                    megabytes(exported.bytes, exported.took),
                    "MB/s",
                ));
            }
        }
        Ok(())
    }

    /// How long an entry that was just answered takes to come by a tail, while traffic goes on.
    fn tail_latency(&mut self) -> Result<Latencies, Failure> {
        let traffic = self.traffic()?;
        let clock = SystemClock::new();
        let times = self.arguments.size(100, 2);
        let mut stream = self.runtime.block_on(self.auditor.tail(&AccessLogFilter::default(), None))?;
        let mut asker = self.auditor.clone();
        let nobody = AccessLogFilter { principal: "dns:nobody".to_owned(), ..AccessLogFilter::default() };
        let latencies = self.runtime.block_on(async {
            let mut latencies = Latencies::default();
            for _ in 0..times {
                // Any question is an entry; its answer has the receipt.
                let answer = asker.page(&nobody, 1, false).await?;
                let index = answer.receipt.ok_or("an answer without a receipt")?.index;
                let committed = clock.monotonic();
                while stream.message().await?.ok_or("the tail ended")?.next_index <= index {}
                latencies.push(clock.monotonic().saturating_sub(committed));
            }
            Ok::<_, Failure>(latencies)
        })?;
        self.end(traffic)?;
        Ok(latencies)
    }

    /// What a stopped vault's log costs to verify and to index, by the commands that are for it.
    fn stop_and_verify(self, folder: &Path, report: &mut Report) -> Result<(), Failure> {
        let Self { arguments, server, site, runtime, mut auditor, .. } = self;
        report.add(Figure::new("memory of the vault, at most", server.memory_peak() as f64 / 1e6, "MB"));
        let entries = runtime.block_on(auditor.page(&AccessLogFilter::default(), 1, false))?.log_size;
        drop(auditor);
        server.stop()?;
        skipping::measure(&site.data().join(REGION), arguments.rounds(ROUNDS), report)?;
        let Some(program) = program().filter(|_| arguments.measured) else {
            return report.note("commands", "not measured: the binary is not there; build it first".to_owned());
        };
        let (data, exported) = (site.data(), folder.join("exported"));
        let text = |path: &Path| path.display().to_string();
        let (in_data, out, key) = (text(&data), text(&exported), text(&exported.join("vkey")));
        let script = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit/verify.py"));
        let (program, python) = (program.as_path(), Path::new("python3"));
        let export = format!("audit export-log --data {in_data} --region eu --out {out}");
        // No path of these has a blank: they are the build's own, or one that somebody gave for a benchmark.
        let cases = [
            ("audit verify, data directory", program, format!("audit verify {in_data}"), &data),
            ("audit export-log", program, export, &exported),
            ("audit verify, exported folder", program, format!("audit verify {out}"), &exported),
            ("verify.py, exported folder", python, format!("{script} {out} --key {key}"), &exported),
            ("audit index check", program, format!("audit index check {in_data} --region eu"), &data),
            ("audit index rebuild", program, format!("audit index rebuild {in_data} --region eu"), &data),
        ];
        for (name, program, words, read) in cases {
            if !arguments.wants(name) {
                continue;
            }
            let took = run(program, &words)?;
            let megabytes = megabytes(folder_bytes(read)?, took);
            let figure = Figure::new(name, per_second(entries, took), "entries/s").with("of files", megabytes, "MB/s");
            report.add(figure.with("took", took.as_secs_f64(), "s"));
        }
        Ok(())
    }
}

/// What is asked again and again.
struct Case {
    name: String,
    ask: Ask,
    page_size: u32,
    oldest_first: bool,
}

/// A filter, drawn anew for each question.
type Drawn = Box<dyn Fn(&LongLog, &mut Draw) -> AccessLogFilter>;

enum Ask {
    /// A first page, and whether there must be something on it, where that is known.
    Page(Drawn, Option<bool>),
    /// A first page of one request.
    Request,
    Inclusion {
        newest: bool,
    },
    Consistency,
    Entry,
}

impl Case {
    fn goal(&self) -> Option<f64> {
        match self.ask {
            Ask::Page(..) | Ask::Request if self.page_size <= 100 => Some(PAGE_MS_GOAL),
            Ask::Inclusion { .. } => Some(PROOF_MS_GOAL),
            _ => None,
        }
    }
}

/// A case of 100 entries, newest first.
fn case(name: &str, ask: Ask) -> Case {
    Case { name: name.to_owned(), ask, page_size: 100, oldest_first: false }
}

fn page(name: &str, expected: Option<bool>, filter: fn(&LongLog, &mut Draw) -> AccessLogFilter) -> Case {
    case(name, Ask::Page(Box::new(filter), expected))
}

fn cases(log: &LongLog) -> Vec<Case> {
    // A short log may have nothing of what is seldom.
    let one_in_1000 = (log.entries >= 20_000).then_some(true);
    let rare = (log.entries >= 200_000).then_some(true);
    let mut cases = vec![
        page("page: all", Some(true), |_, _| AccessLogFilter::default()),
        page("page: a common principal", Some(true), |_, draw| of_principal(draw.below(5))),
        page("page: a principal of 1 in 1000", one_in_1000, |_, draw| of_principal(180 + draw.below(15))),
        page("page: a principal of 1 in 100,000", rare, |_, _| AccessLogFilter {
            principal: long_log::RARE_PRINCIPAL.to_owned(),
            ..AccessLogFilter::default()
        }),
        page("page: a principal without entries", Some(false), |_, draw| of_principal(1000 + draw.below(1000))),
        page("page: a token of many uses", Some(true), |log, draw| of_token(&log.hot_tokens, draw)),
        page("page: a token of few uses", None, |log, draw| of_token(&log.cold_tokens, draw)),
        case("page: a request", Ask::Request),
        page("page: a common reason", Some(true), |_, _| of_reason("ACCESS_DENIED")),
        page("page: a reason of 1 in 20,000", rare, |_, _| of_reason(long_log::RARE_REASON.name())),
        page("page: a decision", Some(true), |_, _| AccessLogFilter {
            decision: "failed".to_owned(),
            ..AccessLogFilter::default()
        }),
        page("page: class and action", Some(true), |_, draw| AccessLogFilter {
            data_class: format!("class-{}", draw.below(12)),
            action: "tokenize".to_owned(),
            ..AccessLogFilter::default()
        }),
        page("page: audience and purpose", Some(true), |_, draw| {
            let place = draw.below(100);
            let (audience, purpose) = (long_log::audience(place), long_log::purpose(place, 0));
            AccessLogFilter { audience, purpose, ..AccessLogFilter::default() }
        }),
    ];
    let oldest =
        page("page: oldest first, a principal of 1 in 1000", one_in_1000, |_, draw| of_principal(180 + draw.below(15)));
    cases.extend(within_times());
    cases.push(Case { oldest_first: true, ..oldest });
    let thousand = page("page of 1000: all", Some(true), |_, _| AccessLogFilter::default());
    cases.push(Case { page_size: 1000, ..thousand });
    cases.extend([
        case("inclusion proof, newest checkpoint", Ask::Inclusion { newest: true }),
        case("inclusion proof, older tree", Ask::Inclusion { newest: false }),
        case("consistency proof", Ask::Consistency),
        case("entry by its index", Ask::Entry),
    ]);
    cases
}

/// Pages of a part of the log, and of what is sealed.
fn within_times() -> [Case; 7] {
    [
        page("page: an hour", None, |log, draw| within(log, draw, HOUR_MS, AccessLogFilter::default())),
        page("page: a day and a common principal", None, |log, draw| {
            let filter = of_principal(draw.below(5));
            within(log, draw, DAY_MS, filter)
        }),
        page("page: a day and a principal of 1 in 1000", None, |log, draw| {
            let filter = of_principal(180 + draw.below(15));
            within(log, draw, DAY_MS, filter)
        }),
        page("page: a day and an address of many calls", None, |log, draw| {
            let filter = from_address(long_log::source(draw.below(5), draw.below(4)));
            within(log, draw, DAY_MS, filter)
        }),
        page("page: a day and an address without calls", Some(false), |log, draw| {
            let filter = from_address([198, 51, 100, 7]);
            within(log, draw, DAY_MS, filter)
        }),
        page("page: a day and a reference", None, |log, draw| {
            let filter =
                AccessLogFilter { reference: long_log::reference(draw.below(1 << 20)), ..AccessLogFilter::default() };
            within(log, draw, DAY_MS, filter)
        }),
        page("page: a principal of 1 in 1000, from an address", None, |_, draw| {
            let place = 180 + draw.below(15);
            AccessLogFilter { source: from_address(long_log::source(place, 1)).source, ..of_principal(place) }
        }),
    ]
}

fn of_principal(place: u64) -> AccessLogFilter {
    AccessLogFilter { principal: long_log::principal(place), ..AccessLogFilter::default() }
}

fn of_reason(reason: &str) -> AccessLogFilter {
    AccessLogFilter { reason: reason.to_owned(), ..AccessLogFilter::default() }
}

fn of_token(tokens: &[String], draw: &mut Draw) -> AccessLogFilter {
    let at = usize::try_from(draw.below(tokens.len() as u64)).unwrap_or(0);
    let token = tokens.get(at).cloned().unwrap_or_default();
    AccessLogFilter { data_class: long_log::CLASS.to_owned(), token, ..AccessLogFilter::default() }
}

fn from_address([a, b, c, d]: [u8; 4]) -> AccessLogFilter {
    AccessLogFilter { source: format!("{a}.{b}.{c}.{d}"), ..AccessLogFilter::default() }
}

/// The filter within so much time, somewhere in the log.
fn within(log: &LongLog, draw: &mut Draw, span_ms: u64, filter: AccessLogFilter) -> AccessLogFilter {
    let Millis(until_ms) = log.time_at(0.05 + draw.below(950) as f64 / 1000.0);
    AccessLogFilter { from_ms: until_ms - span_ms, until_ms, ..filter }
}

/// Request ids of entries from everywhere in the log.
async fn request_ids(auditor: &mut Auditor, size: u64) -> Result<Vec<String>, Failure> {
    const KEPT: usize = 50;
    let mut draw = Draw::seeded(4711);
    let mut ids = Vec::new();
    while ids.len() < KEPT {
        ids.extend(auditor.request_id(draw.below(size)).await?);
    }
    Ok(ids)
}

/// Whether a page can be the answer.
fn check(
    name: &str,
    filter: &AccessLogFilter,
    expected: Option<bool>,
    entries: &[vault_proto::v1::AccessLogEntry],
) -> Result<(), Failure> {
    let empty_or = |asked: &str, found: &str| asked.is_empty() || asked == found;
    let fits = entries.iter().all(|entry| {
        empty_or(&filter.principal, &entry.principal)
            && empty_or(&filter.source, &entry.source)
            && empty_or(&filter.request_id, &entry.request_id)
            && entry.log_time_ms >= filter.from_ms
            && (filter.until_ms == 0 || entry.log_time_ms < filter.until_ms)
    });
    match expected {
        Some(expected) if expected == entries.is_empty() => {
            Err(format!("{name}: there are {} entries on the page", entries.len()).into())
        }
        _ if !fits => Err(format!("{name}: an entry is not what was asked for").into()),
        _ => Ok(()),
    }
}

fn proved(hashes: usize) -> Result<(), Failure> {
    if hashes > 0 { Ok(()) } else { Err("a proof without hashes".into()) }
}

fn load(class: Class, stock: Stock) -> Load {
    let fresh = Arc::new(AtomicU64::new(stock.len()));
    let stock = Arc::new(stock);
    let (verb, in_flight) = (Verb::Detokenize, TRAFFIC_CALLERS);
    Load { verb, class, items: 1, in_flight, streams: 0, stock, fresh, checked: true }
}

/// What the log takes on the disk, when what was written is compacted and indexed: rows of an older version are made
/// anew first.
fn on_disk(server: &mut ServerProcess, log: &LongLog) -> Result<Figure, Failure> {
    const LOOK: Duration = Duration::from_millis(200);
    let mut counters = server.counters()?;
    for _ in 0..1000 {
        thread::sleep(LOOK);
        let now = server.counters()?;
        let is_quiet = now.cpu.saturating_sub(counters.cpu) < LOOK / 20;
        counters = now;
        if is_quiet && counters.index_behind < SUMMARY_ENTRIES.into() {
            break;
        }
    }
    let each = |table| ratio(counters.table_bytes(table) as f64, log.entries as f64);
    let all: f64 = ["entries", "tiles", "summaries", "checkpoints"].into_iter().map(each).sum();
    Ok(Figure::new("on disk, of each entry", all, "B")
        .with("the entry", each("entries"), "B")
        .with("its part of the tree", each("tiles"), "B")
        .with("of the index", each("summaries"), "B")
        .with("of checkpoints", each("checkpoints"), "B"))
}

fn rate(latencies: &Latencies) -> f64 {
    let seconds = latencies.total().as_secs_f64();
    ratio(latencies.len() as f64, seconds)
}

fn megabytes(bytes: u64, took: Duration) -> f64 {
    per_second(bytes, took) / 1e6
}

/// The command line's binary, beside this program's folder.
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let program = own.parent()?.parent()?.join("tokenvault");
    program.is_file().then_some(program)
}

/// Runs a command and gives the time that it took.
fn run(program: &Path, words: &str) -> Result<Duration, Failure> {
    let clock = SystemClock::new();
    let ended = Command::new(program).args(words.split_whitespace()).stdout(Stdio::null()).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return Err(format!("{} {words} ended with {}: {said}", program.display(), ended.status).into());
    }
    Ok(clock.monotonic())
}
