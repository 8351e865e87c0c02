//! One item at a time, on one thread, without a store, a log or a network: what sealing, opening, minting and encoding
//! cost. The floor under every CPU figure of the other benchmarks.

use std::{hint::black_box, path::Path, time::Duration};

use vault_benches::{
    Failure,
    arguments::Arguments,
    machine::refuse_memory_disk,
    measure::Spread,
    region::{Ground, Work},
    report::{Figure, Report},
};
use vault_crypto::CallRandom;
use vault_domain::{Clock, Generation, Millis, RecordNumber, SystemClock, SystemEntropy};
use vault_format::OpaqueToken;
use vault_keys::{ClassKeys, NewRecord, Presented, Record, TokenForm};
use vault_ledger::leaf_hash;
use vault_store::Batch;

/// Rounds of each case.
const ROUNDS: usize = 9;
/// How long one round lasts.
const RUN: Duration = Duration::from_millis(100);
/// Repeats between two looks at the clock.
const BURST: u32 = 100;
const VALUE: &[u8] = b"000000000042";

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(target_tmp)?;
    refuse_memory_disk(folder.path())?;
    let mut report = Report::begin("crypto", &arguments, folder.path(), target_tmp)?;
    let (work, _writer) = Ground::create(folder.path(), "crypto")?.into_writer();
    let mut bench = Bench { arguments, clock: SystemClock::new(), report: &mut report };
    tokens(&work, &mut bench)?;
    records(&work, &mut bench)?;
    entries(&work, &mut bench)?;
    report.finish()
}

struct Bench<'a> {
    arguments: Arguments,
    clock: SystemClock,
    report: &'a mut Report,
}

impl Bench<'_> {
    /// Measures `run`, which does `count` of something.
    fn measure(
        &mut self,
        name: &str,
        count: usize,
        mut run: impl FnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.arguments.wants(name) {
            return Ok(());
        }
        let mut rounds = Vec::new();
        for _ in 0..self.arguments.rounds(ROUNDS) {
            let begin = self.clock.monotonic();
            let end = begin + self.arguments.run(RUN);
            let mut done = 0_u64;
            while self.clock.monotonic() < end {
                for _ in 0..BURST {
                    run()?;
                }
                done += u64::from(BURST) * count as u64;
            }
            rounds.push((self.clock.monotonic() - begin).as_secs_f64() * 1e9 / done as f64);
        }
        let spread = Spread::of(rounds);
        self.report.add(Figure::new(name, spread.median, "ns").with("fastest", spread.min, "ns"));
        Ok(())
    }
}

fn numbers(count: u64) -> Result<Vec<RecordNumber>, Failure> {
    Ok((0..count).map(RecordNumber::new).collect::<Option<_>>().ok_or("numbers")?)
}

fn tokens(work: &Work, bench: &mut Bench<'_>) -> Result<(), Failure> {
    let keys = work.keys.class(&work.names.tenant, &work.names.class);
    let region = &work.names.region;
    bench.measure("seed a call's generator", 1, || {
        black_box(CallRandom::seeded(&SystemEntropy)?);
        Ok(())
    })?;
    for count in [1_u64, 1000] {
        let (numbers, mut random) = (numbers(count)?, CallRandom::seeded(&SystemEntropy)?);
        bench.measure(&format!("mint, {count} at once"), numbers.len(), || {
            black_box(keys.mint(&numbers, &mut random));
            Ok(())
        })?;
    }
    let token = OpaqueToken::new(region, Generation::FIRST, [7; 16], 12_345).ok_or("a token")?;
    let text = token.to_text();
    bench.measure("token to text", 1, || {
        black_box(black_box(&token).to_text());
        Ok(())
    })?;
    bench.measure("text to token and record number", 1, || {
        let token = OpaqueToken::parse(black_box(text.expose()))?;
        black_box(keys.record_number(token.block()));
        Ok(())
    })
}

fn records(work: &Work, bench: &mut Bench<'_>) -> Result<(), Failure> {
    let keys = work.keys.class(&work.names.tenant, &work.names.class);
    let audience = &work.names.audience;
    let mut random = CallRandom::seeded(&SystemEntropy)?;
    let sealing = work.keys.sealing(&mut random, &mut Batch::default())?;
    // As if the epoch were on disk: its row is not wanted in every batch.
    work.keys.committed(&sealing);
    let number = RecordNumber::new(42).ok_or("a number")?;
    let minted = keys.mint(&[number], &mut random).pop().ok_or("a token")?;
    let seal = |keys: &ClassKeys, row: &mut Vec<u8>| {
        row.clear();
        keys.seal(&sealing, audience, &new_record(number, &minted.block), row)
    };
    let mut row = Vec::new();
    bench.measure("seal a record of 12 bytes", 1, || Ok(seal(&keys, &mut row)?))?;
    seal(&keys, &mut row)?;
    let record = Record::parse(number, &row).ok_or("a record")?;
    let presented = Presented::Opaque { block: &minted.block, check: minted.check };
    bench.measure("check a record's header", 1, || {
        black_box(keys.check(&record, presented, audience));
        Ok(())
    })?;
    bench.measure("open a record", 1, || {
        black_box(keys.open(&record, audience)?);
        Ok(())
    })
}

fn new_record<'a>(number: RecordNumber, block: &'a [u8; 16]) -> NewRecord<'a> {
    NewRecord {
        number,
        token: TokenForm::Block(block),
        value: VALUE,
        created: Millis(1_800_000_000_000),
        not_before: Millis::default(),
        expires: Millis::default(),
        max_uses: 0,
        subject: None,
        parent: None,
    }
}

fn entries(work: &Work, bench: &mut Bench<'_>) -> Result<(), Failure> {
    for count in [1_u64, 1000] {
        let numbers = numbers(count)?;
        let mut batch = Batch::default();
        bench.measure(&format!("seal and encode the entry of a call of {count}"), 1, || {
            black_box(work.entry(&numbers, &mut batch)?);
            Ok(())
        })?;
        let (entry, _) = work.entry(&numbers, &mut batch)?;
        bench.measure(&format!("hash the entry of a call of {count}, {} bytes", entry.len()), 1, || {
            black_box(leaf_hash(black_box(&entry)));
            Ok(())
        })?;
    }
    Ok(())
}
