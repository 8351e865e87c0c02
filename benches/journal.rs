//! The journal over a real store, evidence included: what a commit costs beyond the store's own write and the disk's
//! own sync. Rows and entries are built by the callers, as the engine builds them; nothing here seals a value.
#![allow(clippy::type_complexity, reason = "a round of measurements is a tuple that lives for a few lines")]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use vault_benches::{
    Failure,
    arguments::Arguments,
    floor,
    machine::{cpu_time, refuse_memory_disk},
    measure::{Latencies, Spread, micros_each, per_second, ratio},
    plain_group::PlainGroup,
    region::{Ground, RECORD_BYTES, Work},
    report::{Figure, Report},
};
use vault_domain::{Clock, SystemClock};
use vault_journal::{Journal, Submission};
use vault_store::{Batch, Writer, table::Entries, wait};

/// Callers of the concurrent cases.
const CALLERS: usize = 16;
/// Items in one commit.
const SIZES: [usize; 3] = [1, 100, 1000];
/// Rounds of each case.
const ROUNDS: usize = 5;
/// How long one run lasts.
const RUN: Duration = Duration::from_millis(1500);
/// How long either of two that take turns goes on.
const TURN: Duration = Duration::from_millis(50);
/// Items a second that batches of a thousand should reach.
const ITEMS_GOAL: f64 = 700_000.0;
/// What a single commit may cost beyond the store's own, in microseconds.
const BEYOND_STORE_US_GOAL: f64 = 50.0;

/// What one round measured: the floors, then the runs.
type Round = (f64, f64, Run, Run);

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(target_tmp)?;
    refuse_memory_disk(folder.path())?;
    let mut report = Report::begin("journal", &arguments, folder.path(), target_tmp)?;
    disk_floors(&arguments, folder.path(), &mut report)?;

    let (work, journal, running) = Ground::create(folder.path(), "journal")?.into_journal()?;
    let (writer_work, writer) = Ground::create(folder.path(), "writer")?.into_writer();
    let (plain_work, plain_writer) = Ground::create(folder.path(), "plain")?.into_writer();
    let plain = PlainGroup::start(plain_writer);
    let clock = SystemClock::new();
    let mut bench = Bench { arguments, clock, work, journal, writer_work, writer, plain_work, plain };
    for items in SIZES {
        let name = format!("1 caller, {items} a commit");
        if bench.arguments.wants(&name) {
            bench.one_caller(&name, items, &mut report)?;
        }
    }
    for items in SIZES {
        let name = format!("{CALLERS} callers, {items} a commit");
        if bench.arguments.wants(&name) {
            bench.many_callers(&name, items, &mut report)?;
        }
    }
    for (callers, items) in [1, CALLERS].into_iter().flat_map(|callers| SIZES.map(|items| (callers, items))) {
        let name = format!("evidence: {callers} callers, {items} a commit");
        if bench.arguments.wants(&name) {
            bench.evidence(&name, callers, items, &mut report)?;
        }
    }
    drop(bench);
    running.stop();
    report.finish()
}

fn disk_floors(arguments: &Arguments, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let times = arguments.size(2000, 2);
    for bytes in [400, 16 * 1024, 1000 * (RECORD_BYTES + 16)] {
        let mut syncs = floor::append_and_sync(folder, bytes, times.min(arguments.size(500, 2)))?;
        let name = format!("disk: append {bytes} B, fdatasync");
        report.add(Figure::new(name, syncs.percentile_us(50), "µs").with("p99", syncs.percentile_us(99), "µs"));
    }
    let mut syncs = floor::overwrite_and_sync(folder, 4096, times)?;
    let name = "disk: overwrite 4096 B in place, fdatasync";
    report.add(Figure::new(name, syncs.percentile_us(50), "µs").with("p99", syncs.percentile_us(99), "µs"));
    Ok(())
}

struct Bench {
    arguments: Arguments,
    clock: SystemClock,
    work: Work,
    journal: Journal,
    writer_work: Work,
    writer: Writer,
    plain_work: Work,
    /// Rows alone, by the same group commit.
    plain: PlainGroup,
}

/// What one side did in a run.
#[derive(Default)]
struct Run {
    latencies: Latencies,
    commits: u64,
    time: Duration,
    cpu: Duration,
}

impl Run {
    fn items_per_second(&self, items: usize) -> f64 {
        per_second(self.commits, self.time) * items as f64
    }
}

impl Bench {
    /// One commit after the other, the journal and the bare writer taking turns.
    fn one_caller(&mut self, name: &str, items: usize, report: &mut Report) -> Result<(), Failure> {
        let mut rounds = Vec::new();
        let (mut own, mut floor) = (Latencies::default(), Latencies::default());
        let syncs = self.work.reader.statistics().wal_syncs;
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let (mut journal, mut writer) = (Run::default(), Run::default());
            let end = self.clock.monotonic() + self.arguments.run(RUN);
            while self.clock.monotonic() < end {
                self.journal_turn(items, &mut journal)?;
                self.writer_turn(items, &mut writer)?;
            }
            rounds.push((journal.latencies.percentile_us(50), writer.latencies.percentile_us(50), journal, writer));
        }
        let spread = Spread::of(rounds.iter().map(|(own, floor, ..)| ratio(*own, *floor)));
        let beyond = Spread::of(rounds.iter().map(|(own, floor, ..)| own - floor));
        let rate = |of: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(of)).median;
        let items_rate = rate(&|(.., journal, _)| journal.items_per_second(items));
        let floor_rate = rate(&|(.., writer)| writer.items_per_second(items));
        let count = items as u64;
        let cpu = rate(&|(.., journal, _)| micros_each(journal.cpu, journal.commits * count));
        let floor_cpu = rate(&|(.., writer)| micros_each(writer.cpu, writer.commits * count));
        let commits: u64 = rounds.iter().map(|(.., journal, _)| journal.commits).sum();
        for (.., journal, writer) in rounds {
            own.append(journal.latencies);
            floor.append(writer.latencies);
        }
        let syncs = self.check_syncs(name, commits, 1, syncs)?;
        let mut figure = Figure::new(format!("{name}: p50"), own.percentile_us(50), "µs")
            .against(floor.percentile_us(50), spread)
            .with("p99", own.percentile_us(99), "µs")
            .with("floor p99", floor.percentile_us(99), "µs")
            .with("beyond the floor", beyond.median, "µs")
            .with("rate", items_rate, "items/s")
            .with("floor rate", floor_rate, "items/s")
            .with("CPU", cpu, "µs/item")
            .with("floor CPU", floor_cpu, "µs/item")
            .with("syncs", ratio(syncs, commits as f64), "a commit");
        if items == 1 {
            figure = figure.goal("≤ floor + 50 µs", beyond.median <= BEYOND_STORE_US_GOAL);
        }
        report.add(figure);
        Ok(())
    }

    fn journal_turn(&self, items: usize, run: &mut Run) -> Result<(), Failure> {
        let (cpu, begin) = (cpu_time(), self.clock.monotonic());
        while self.clock.monotonic() < begin + TURN {
            commit(&self.work, &self.journal, items, &self.clock, &mut run.latencies)?;
            run.commits += 1;
        }
        run.time += self.clock.monotonic().saturating_sub(begin);
        run.cpu += cpu_time().saturating_sub(cpu);
        Ok(())
    }

    /// The same rows and the same entry, by the writer that the journal is made of.
    fn writer_turn(&mut self, items: usize, run: &mut Run) -> Result<(), Failure> {
        let (cpu, begin) = (cpu_time(), self.clock.monotonic());
        while self.clock.monotonic() < begin + TURN {
            let batch = self.rows_and_entry(items)?;
            let start = self.clock.monotonic();
            self.writer.commit([&batch])?;
            run.latencies.push(self.clock.monotonic().saturating_sub(start));
            run.commits += 1;
        }
        run.time += self.clock.monotonic().saturating_sub(begin);
        run.cpu += cpu_time().saturating_sub(cpu);
        Ok(())
    }

    fn rows_and_entry(&self, items: usize) -> Result<Batch, Failure> {
        let (mut batch, numbers) = self.writer_work.rows(items)?;
        let (entry, sealing) = self.writer_work.entry(&numbers, &mut batch)?;
        self.writer_work.keys.committed(&sealing);
        // A vault's entries are numbered as its log is; here any rising number does.
        let index = vault_domain::LogIndex(numbers.first().map_or(0, |number| number.get()));
        batch.put(Entries, &index, &entry);
        Ok(batch)
    }

    /// Callers that each commit one batch after the other; against the bare writer, which is given as many batches at
    /// once, already made: a group that cost nothing to collect.
    fn many_callers(&mut self, name: &str, items: usize, report: &mut Report) -> Result<(), Failure> {
        let mut rounds = Vec::new();
        let syncs = self.work.reader.statistics().wal_syncs;
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let journal = self.journal_run(CALLERS, items)?;
            let writer = self.writer_groups(items)?;
            rounds.push((journal, writer));
        }
        let rates = || rounds.iter().map(|(journal, _)| journal.items_per_second(items));
        let floors = || rounds.iter().map(|(_, writer)| writer.items_per_second(items));
        let spread = Spread::of(rates().zip(floors()).map(|(own, floor)| ratio(own, floor)));
        let (rate, floor) = (Spread::of(rates()).median, Spread::of(floors()).median);
        let count = items as u64;
        let cpu = |run: &Run| micros_each(run.cpu, run.commits * count);
        let own_cpu = Spread::of(rounds.iter().map(|(journal, _)| cpu(journal))).median;
        let floor_cpu = Spread::of(rounds.iter().map(|(_, writer)| cpu(writer))).median;
        let commits: u64 = rounds.iter().map(|(journal, _)| journal.commits).sum();
        let syncs = self.check_syncs(name, commits, CALLERS, syncs)?;
        let mut own = Latencies::default();
        rounds.into_iter().for_each(|(journal, _)| own.append(journal.latencies));
        let mut figure = Figure::new(name, rate, "items/s")
            .against(floor, spread)
            .with("p50", own.percentile_us(50), "µs")
            .with("p99", own.percentile_us(99), "µs")
            .with("CPU", own_cpu, "µs/item")
            .with("floor CPU", floor_cpu, "µs/item")
            .with("group", ratio(commits as f64, syncs), "commits a sync");
        if items == 1000 {
            figure = figure.goal("≥ 700,000", rate >= ITEMS_GOAL);
        }
        report.add(figure);
        Ok(())
    }

    /// What evidence costs: commits of the journal, against those of the same rows by the same group commit without
    /// entries and tree. Callers of the journal build and seal their entries, as the engine does.
    fn evidence(&mut self, name: &str, callers: usize, items: usize, report: &mut Report) -> Result<(), Failure> {
        let mut rounds = Vec::new();
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let journal = self.journal_run(callers, items)?;
            let plain = self.callers_run(callers, |latencies| {
                let (batch, _) = self.plain_work.rows(items)?;
                let start = self.clock.monotonic();
                wait(self.plain.commit(batch))?;
                latencies.push(self.clock.monotonic().saturating_sub(start));
                Ok(())
            })?;
            rounds.push((journal, plain));
        }
        let of = |figure: &dyn Fn(&(Run, Run)) -> f64| Spread::of(rounds.iter().map(figure));
        let count = items as u64;
        let cpu = |run: &Run| micros_each(run.cpu, run.commits * count);
        let spread = of(&|(own, plain)| ratio(own.items_per_second(items), plain.items_per_second(items)));
        let rate = of(&|(own, _)| own.items_per_second(items)).median;
        let floor = of(&|(_, plain)| plain.items_per_second(items)).median;
        let (own_cpu, plain_cpu) = (of(&|(own, _)| cpu(own)).median, of(&|(_, plain)| cpu(plain)).median);
        let (mut own, mut plain) = (Latencies::default(), Latencies::default());
        for (journal, rows) in rounds {
            own.append(journal.latencies);
            plain.append(rows.latencies);
        }
        report.add(
            Figure::new(name, rate, "items/s")
                .against(floor, spread)
                .with("p50", own.percentile_us(50), "µs")
                .with("without p50", plain.percentile_us(50), "µs")
                .with("CPU", own_cpu, "µs/item")
                .with("without CPU", plain_cpu, "µs/item"),
        );
        Ok(())
    }

    fn journal_run(&self, callers: usize, items: usize) -> Result<Run, Failure> {
        self.callers_run(callers, |latencies| commit(&self.work, &self.journal, items, &self.clock, latencies))
    }

    /// Callers that each do one after the other.
    fn callers_run(
        &self,
        callers: usize,
        each: impl Fn(&mut Latencies) -> Result<(), Failure> + Sync,
    ) -> Result<Run, Failure> {
        let stop = AtomicBool::new(false);
        let (cpu, begin) = (cpu_time(), self.clock.monotonic());
        let call = || {
            let mut latencies = Latencies::default();
            while !stop.load(Ordering::Relaxed) {
                each(&mut latencies)?;
            }
            Ok::<_, Failure>(latencies)
        };
        let mut run = thread::scope(|scope| {
            let callers: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
            thread::sleep(self.arguments.run(RUN));
            stop.store(true, Ordering::Relaxed);
            let mut run = Run::default();
            for caller in callers {
                run.latencies.append(caller.join().map_err(|_| "a caller panicked")??);
            }
            Ok::<_, Failure>(run)
        })?;
        run.commits = run.latencies.len() as u64;
        run.time = self.clock.monotonic().saturating_sub(begin);
        run.cpu = cpu_time().saturating_sub(cpu);
        Ok(run)
    }

    /// Only the commits are timed and their CPU counted, not the making of what they commit.
    fn writer_groups(&mut self, items: usize) -> Result<Run, Failure> {
        let mut run = Run::default();
        let end = self.clock.monotonic() + self.arguments.run(RUN);
        while self.clock.monotonic() < end {
            let batches: Vec<Batch> = (0..CALLERS).map(|_| self.rows_and_entry(items)).collect::<Result<_, _>>()?;
            let (cpu, start) = (cpu_time(), self.clock.monotonic());
            self.writer.commit(&batches)?;
            run.time += self.clock.monotonic().saturating_sub(start);
            run.cpu += cpu_time().saturating_sub(cpu);
            run.commits += batches.len() as u64;
        }
        Ok(run)
    }

    /// Every commit was answered after a sync that it had a part in, and no sync can have answered more than there were
    /// callers. Gives the number of syncs since there were `before`.
    fn check_syncs(&self, name: &str, commits: u64, callers: usize, before: u64) -> Result<f64, Failure> {
        let syncs = self.work.reader.statistics().wal_syncs - before;
        if syncs * (callers as u64) < commits {
            return Err(format!("{name}: {commits} commits were acknowledged by {syncs} syncs").into());
        }
        Ok(syncs as f64)
    }
}

/// One call: builds rows and entry, commits them, and notes how long the commit took.
fn commit(
    work: &Work,
    journal: &Journal,
    items: usize,
    clock: &SystemClock,
    latencies: &mut Latencies,
) -> Result<(), Failure> {
    let (mut batch, numbers) = work.rows(items)?;
    let (entry, sealing) = work.entry(&numbers, &mut batch)?;
    let start = clock.monotonic();
    wait(journal.commit(Submission { batch, entry, ..Submission::default() }))?;
    latencies.push(clock.monotonic().saturating_sub(start));
    work.keys.committed(&sealing);
    Ok(())
}
