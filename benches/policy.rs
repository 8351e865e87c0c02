//! What a decision costs at 10, 1,000 and 100,000 grants: remembered, and made anew.
//!
//! One thread asks for decisions of accounts drawn at random, each time with a session as an access token gives it. The
//! time of a single question holds two readings of the clock, which the first figure states.

use std::{fmt::Write as _, hint::black_box, path::Path};

use mimalloc::MiMalloc;
use vault_benches::{
    Failure,
    arguments::Arguments,
    measure::{Latencies, Spread},
    report::{Figure, Report},
};
use vault_catalog::Catalog;
use vault_domain::{
    Assurance, Audience, Clock, DataClass, Millis, PrincipalId, Purpose, Region, Role, Scope, Session, SystemClock,
};
use vault_policy::{Ask, Circumstances, DataScope, PolicySet, PolicySource, Request};

/// The vault's own allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Rounds of each case.
const ROUNDS: usize = 5;
/// Questions of a round that are in memory, and that are not.
const HITS: usize = 200_000;
const MISSES: usize = 10_000;
/// Grants of one account, at the most.
const GRANTS_EACH: usize = 100;
/// The most that a decision from memory may take: a twentieth of what a call of one item costs the server, 50 µs.
const HIT_MICROS_MAX: f64 = 2.5;
const NOW: Millis = Millis(1_763_708_700_000);

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut report = Report::begin("policy", &arguments, target_tmp, target_tmp)?;
    let clock = SystemClock::new();
    let mut reading = Latencies::with_capacity(HITS);
    for _ in 0..HITS {
        let start = clock.monotonic();
        reading.push(clock.monotonic() - start);
    }
    report.add(Figure::new("two readings of the clock, p50".to_owned(), reading.percentile_us(50), "µs"));
    for grants in [10, 1_000, 100_000] {
        let name = format!("{grants} grants");
        if arguments.wants(&name) {
            Bench::new(grants)?.run(&name, &arguments, &clock, &mut report);
        }
    }
    report.finish()
}

/// A set of policies and those who ask.
struct Bench {
    policies: PolicySet,
    principals: Vec<PrincipalId>,
    classes: Vec<DataClass>,
    audience: Audience,
    region: Region,
    purpose: Purpose,
    session: Session,
}

impl Bench {
    fn new(grants: usize) -> Result<Self, Failure> {
        let accounts = grants.div_ceil(GRANTS_EACH);
        let each = grants.min(GRANTS_EACH);
        let mut text = "[tenants.a]\n[regions.eu]\n[audiences.a]\n[purposes.p]\n".to_owned();
        for class in 0..each {
            writeln!(text, "[classes.c{class}]\nrule = \"email\"")?;
        }
        for account in 0..accounts {
            writeln!(text, "[accounts.\"dns:a{account}.example\"]\ntenant = \"a\"\naudiences = [\"a\"]")?;
            writeln!(text, "regions = [\"eu\"]\ngrants = [")?;
            for class in 0..each {
                writeln!(text, "{{ actions = [\"detokenize\"], classes = [\"c{class}\"], purposes = [\"p\"] }},")?;
            }
            writeln!(text, "]")?;
        }
        let catalog = Catalog::parse(&text)?;
        let ids = |count: usize, name: &dyn Fn(usize) -> String| (0..count).map(name).collect::<Vec<_>>();
        let principals = ids(accounts, &|n| format!("dns:a{n}.example"));
        let classes = ids(each, &|n| format!("c{n}"));
        Ok(Self {
            policies: PolicySet::load(&[PolicySource::DEFAULT], &catalog)?,
            principals: principals.iter().map(|name| PrincipalId::parse(name)).collect::<Result<_, _>>()?,
            classes: classes.iter().map(|name| DataClass::parse(name)).collect::<Result<_, _>>()?,
            audience: Audience::parse("a")?,
            region: Region::parse("eu")?,
            purpose: Purpose::parse("p")?,
            session: Session {
                roles: [Role::parse("support")?].into(),
                scopes: [Scope::parse("vault:reveal")?].into(),
                authenticated_at: Some(NOW),
                assurance: Assurance::new(2),
                ..Session::default()
            },
        })
    }

    /// The question with this number; neighbours belong to different accounts and classes.
    fn question(&self, number: usize) -> Option<Request<'_>> {
        let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let principal = self.principals.get(spread % self.principals.len())?;
        let class = self.classes.get(spread / self.principals.len() % self.classes.len())?;
        let scope = DataScope { class, audience: &self.audience, region: &self.region };
        let circumstances = Circumstances { session: Some(&self.session), source: None, now: NOW };
        Some(Request { principal, purpose: Some(&self.purpose), ask: Ask::Detokenize(scope), circumstances })
    }

    fn run(&self, name: &str, arguments: &Arguments, clock: &SystemClock, report: &mut Report) {
        // As many different questions as fit into the memory for decisions, half of it at most.
        let different = (self.principals.len() * self.classes.len()).min(20_000);
        for number in 0..different {
            self.question(number).inspect(|question| assert!(self.policies.decide(question).is_allowed()));
        }
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds(ROUNDS) {
            let hit = self.time(HITS, different, clock, |question| self.policies.decide(question).is_allowed());
            let miss = self.time(MISSES, usize::MAX, clock, |question| self.policies.evaluate(question).is_allowed());
            rounds.push((hit, miss));
        }
        let mut figure = |way: &str, goal: Option<f64>, of: &dyn Fn(&(Percentiles, Percentiles)) -> Percentiles| {
            let middle = Spread::of(rounds.iter().map(|round| of(round).middle));
            let tail = Spread::of(rounds.iter().map(|round| of(round).tail));
            let mut figure = Figure::new(format!("{name}, {way}, p50"), middle.median, "µs")
                .with("p99", tail.median, "µs")
                .with("fastest p50", middle.min, "µs")
                .with("slowest p50", middle.max, "µs");
            if let Some(goal) = goal {
                figure = figure.goal(format!("≤ {goal} µs"), middle.median <= goal);
            }
            report.add(figure);
        };
        figure("remembered", Some(HIT_MICROS_MAX), &|round| round.0);
        figure("made anew", None, &|round| round.1);
    }

    fn time(
        &self,
        count: usize,
        different: usize,
        clock: &SystemClock,
        decide: impl Fn(&Request<'_>) -> bool,
    ) -> Percentiles {
        let mut times = Latencies::with_capacity(count);
        for number in 0..count {
            let Some(question) = self.question(number % different) else { continue };
            let start = clock.monotonic();
            black_box(decide(black_box(&question)));
            times.push(clock.monotonic() - start);
        }
        Percentiles { middle: times.percentile_us(50), tail: times.percentile_us(99) }
    }
}

#[derive(Clone, Copy)]
struct Percentiles {
    middle: f64,
    tail: f64,
}
