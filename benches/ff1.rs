//! FF1 on one thread, numerals in and numerals out, against the crate `fpe` with the same key, tweak and texts.
//!
//! The two take turns within a round. `floor` is what the other one takes; `ratio` says how many times as fast ours is.

use std::{hint::black_box, path::Path, time::Duration};

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use mimalloc::MiMalloc;
use vault_benches::{
    Failure,
    arguments::Arguments,
    machine::cpu_time,
    measure::{Spread, micros_each, ratio},
    report::{Figure, Report},
};
use vault_crypto::{Domain, Ff1Key, Item, Key256, Tweak};
use vault_domain::{Clock, SystemClock};

/// The vault's own allocator: the other one asks for memory in every round.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Rounds of each case.
const ROUNDS: usize = 15;
/// How long either of two that take turns goes on.
const TURN: Duration = Duration::from_millis(50);
/// Texts of each case; a batch is all of them.
const TEXTS: usize = 1000;
const KEY: [u8; 32] = [7; 32];
const TWEAK: &[u8] = b"8 bytes!";

/// One kind of text.
struct Case {
    name: &'static str,
    radix: u32,
    length: usize,
    /// How many times as fast as the other one, alone and in a batch.
    goals: (Option<f64>, Option<f64>),
}

const CASES: [Case; 5] = [
    Case { name: "16 digits", radix: 10, length: 16, goals: (Some(12.0), Some(60.0)) },
    Case { name: "19 digits", radix: 10, length: 19, goals: (None, None) },
    Case { name: "30 characters of 36", radix: 36, length: 30, goals: (None, Some(40.0)) },
    Case { name: "30 characters of 62", radix: 62, length: 30, goals: (None, Some(40.0)) },
    Case { name: "60 digits", radix: 10, length: 60, goals: (None, None) },
];

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let target_tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut report = Report::begin("ff1", &arguments, target_tmp, target_tmp)?;
    for case in &CASES {
        if arguments.wants(case.name) {
            Bench::new(case)?.run(case, &arguments, &mut report)?;
        }
    }
    report.finish()
}

/// Both implementations with the same texts.
struct Bench {
    clock: SystemClock,
    key: Ff1Key,
    domain: Domain,
    tweak: Tweak,
    other: FF1<Aes256>,
    texts: Vec<Vec<u8>>,
    other_texts: Vec<Vec<u16>>,
}

impl Bench {
    fn new(case: &Case) -> Result<Self, Failure> {
        let key = Ff1Key::new(&Key256::from_bytes(&KEY));
        let domain = Domain::new(case.radix, case.length)?;
        let tweak = key.tweak(&domain, TWEAK)?;
        let other = FF1::new(&KEY, case.radix).map_err(|error| error.to_string())?;
        let radix = usize::try_from(case.radix)?;
        let numeral = |text: usize, place: usize| u8::try_from((text * 7 + place * 13 + text * place) % radix);
        let text = |number| (0..case.length).map(|place| numeral(number, place)).collect::<Result<Vec<u8>, _>>();
        let texts = (0..TEXTS).map(text).collect::<Result<Vec<_>, _>>()?;
        let other_texts = texts.iter().map(|text| text.iter().map(|numeral| u16::from(*numeral)).collect()).collect();
        Ok(Self { clock: SystemClock::new(), key, domain, tweak, other, texts, other_texts })
    }

    fn run(&mut self, case: &Case, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
        self.agree(case)?;
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds(ROUNDS) {
            let turn = arguments.run(TURN);
            rounds.push([self.theirs(turn)?, self.single(turn)?, self.batch(turn, false)?, self.batch(turn, true)?]);
        }
        let of = |which: usize| rounds.iter().filter_map(move |round| round.get(which).copied());
        let theirs = Spread::of(of(0));
        let ours = [("single", 1, case.goals.0), ("batch of 1000", 2, case.goals.1), ("batch of 1000, back", 3, None)];
        for (way, which, goal) in ours {
            let times = Spread::of(of(0).zip(of(which)).map(|(theirs, own)| ratio(theirs, own)));
            let own = Spread::of(of(which));
            let mut figure = Figure::new(format!("{}, {way}", case.name), own.median, "ns")
                .against(theirs.median, times)
                .with("fastest", own.min, "ns")
                .with("their fastest", theirs.min, "ns");
            if let Some(goal) = goal {
                figure = figure.goal(format!("≥ {goal} times"), times.median >= goal);
            }
            report.add(figure);
        }
        Ok(())
    }

    /// Nothing is measured that gives something else.
    fn agree(&self, case: &Case) -> Result<(), Failure> {
        let mut texts = self.texts.clone();
        let mut items: Vec<Item<'_, u8>> = texts.iter_mut().map(|text| (&self.tweak, text.as_mut_slice())).collect();
        self.key.encrypt_all(&self.domain, &mut items)?;
        for (own, text) in texts.iter().zip(&self.other_texts) {
            let theirs: Vec<u16> = self
                .other
                .encrypt(TWEAK, &FlexibleNumeralString::from(text.clone()))
                .map_err(|error| error.to_string())?
                .into();
            if !own.iter().map(|numeral| u16::from(*numeral)).eq(theirs) {
                return Err(format!("{}: the two disagree", case.name).into());
            }
        }
        Ok(())
    }

    /// Nanoseconds of CPU time a text of `once`, which does `count` of them: whoever shares the machine takes less from
    /// that than from the time of day.
    fn time(
        &self,
        turn: Duration,
        count: usize,
        mut once: impl FnMut() -> Result<(), Failure>,
    ) -> Result<f64, Failure> {
        let (begin, end) = (cpu_time(), self.clock.monotonic() + turn);
        let mut done = 0_u64;
        while self.clock.monotonic() < end {
            once()?;
            done += count as u64;
        }
        Ok(micros_each(cpu_time().saturating_sub(begin), done) * 1000.0)
    }

    fn theirs(&self, turn: Duration) -> Result<f64, Failure> {
        self.time(turn, 100, || {
            for text in self.other_texts.iter().take(100) {
                let text = FlexibleNumeralString::from(black_box(text).clone());
                black_box(self.other.encrypt(TWEAK, &text).map_err(|error| error.to_string())?);
            }
            Ok(())
        })
    }

    fn single(&self, turn: Duration) -> Result<f64, Failure> {
        let mut texts = self.texts.clone();
        self.time(turn, TEXTS, || {
            for text in &mut texts {
                self.key.encrypt(&self.domain, &self.tweak, black_box(text.as_mut_slice()))?;
            }
            Ok(())
        })
    }

    fn batch(&self, turn: Duration, back: bool) -> Result<f64, Failure> {
        let mut texts = self.texts.clone();
        let mut items: Vec<Item<'_, u8>> = texts.iter_mut().map(|text| (&self.tweak, text.as_mut_slice())).collect();
        self.time(turn, TEXTS, || {
            let items = black_box(items.as_mut_slice());
            if back {
                self.key.decrypt_all(&self.domain, items)?
            } else {
                self.key.encrypt_all(&self.domain, items)?
            }
            Ok(())
        })
    }
}
