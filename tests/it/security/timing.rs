//! What the time of a refusal tells: whether a token was never given, or belongs to another tenant or audience, or is
//! over. The kinds are asked for in turn, in an order drawn anew for each round, so that whatever else the machine does
//! befalls them alike; what is compared is how often one kind takes longer than another.
//!
//! Statistic: Mann and Whitney's U, as the chance that a call of the one kind takes longer than a call of the other (A;
//! 0.5 says nothing), with the two-sided p-value of its normal approximation. A test that asked for p > 0.05 would fail
//! by chance, and in the end for a difference that nobody can use; so A is held to a bound: what may be there, and what
//! chance adds to it in a run of this length.
//!
//! `TIMING_ROUNDS` asks for another number of rounds (`make campaign-timing`), `TIMING_ITEMS` for as many tokens of one
//! kind in each call.

use std::{env, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use tonic::Code;
use vault_domain::{Clock, ManualClock, SystemClock};
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    requests::{detokenize, scattered, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::DISK;

/// Rounds of a run of `make test`.
const ROUNDS: usize = 150;
/// Different tokens of each kind.
const TOKENS: u64 = 64;
/// How far A may lie from 0.5 in truth.
const EFFECT_MAX: f64 = 0.05;
/// Standard deviations that are left to chance.
const DEVIATIONS: f64 = 5.0;

/// How one kind's times compare with another's.
struct Compared {
    /// How likely a time of the one is longer than one of the other.
    a: f64,
    /// How likely chance alone makes a difference as large, on either side.
    p: f64,
    /// By how much the middle ones differ.
    median: f64,
}

/// Mann and Whitney's test by its normal approximation, without a correction for ties: times are in nanoseconds.
fn compare(one: &[Duration], other: &[Duration]) -> Compared {
    let times = |from: &[Duration]| {
        let mut times: Vec<f64> = from.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (one, other) = (times(one), times(other));
    let below = |time: f64| {
        let (less, no_more) =
            (other.partition_point(|&found| found < time), other.partition_point(|&found| found <= time));
        (less + no_more) as f64 / 2.0
    };
    let (n, m) = (one.len() as f64, other.len() as f64);
    let a = one.iter().map(|&time| below(time)).sum::<f64>() / (n * m);
    let z = (a - 0.5).abs() / deviation(n, m);
    Compared { a, p: 2.0 * tail(z), median: one[one.len() / 2] - other[other.len() / 2] }
}

/// The standard deviation of A where there is no difference.
fn deviation(n: f64, m: f64) -> f64 {
    ((n + m + 1.0) / (12.0 * n * m)).sqrt()
}

/// How likely a standard normal deviate is above `z` (Abramowitz and Stegun 26.2.17, exact to 7.5e-8).
fn tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

/// Tokens of one class that lead nowhere for the payments service, by kind.
type Kinds = Vec<(&'static str, Vec<String>)>;

struct Scene {
    vault: TestVault,
    payments: Caller,
    /// What callers' times are taken by: the vault's own clock stands still.
    watch: SystemClock,
}

impl Scene {
    async fn start() -> (Self, ManualClock) {
        let clock = ManualClock::at(BEGINNING);
        let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(clock.clone()));
        let classes =
            r#"classes = ["card_number", "email", "customer_id", "passport", "diagnosis", "diagnosis_mark"] },"#;
        vault.edit("catalog.toml", classes, &classes.replace("\"email\"", "\"session\", \"voucher\""));
        vault.start_again().await;
        let payments = vault.caller(Role::Payments).await;
        (Self { vault, payments, watch: SystemClock::new() }, clock)
    }

    async fn given(&self, role: Role, audience: &str, class: &str, values: u64) -> Vec<String> {
        let values = (0..TOKENS).map(|n| format!("{:010}", scattered(values + n) % 10_u64.pow(10)));
        let request = v1::TokenizeRequest { audience: audience.to_owned(), ..tokenize(class, values) };
        self.vault.caller(role).await.tokenize(request).await.unwrap().tokens()
    }

    /// Tokens of a class whose tokens end, of every kind; `never` makes one that was never given.
    async fn kinds(&self, clock: &ManualClock, class: &str, never: impl Fn(u64) -> String) -> Kinds {
        let expired = self.given(Role::Loader, "payments", class, 0).await;
        clock.advance(Duration::from_secs(60));
        let tenant = self.given(Role::GlobexLoader, "payments", class, 1000).await;
        let audience = self.given(Role::Loader, "support", class, 2000).await;
        let never: Vec<String> = (0..TOKENS).map(never).collect();
        vec![
            ("never given", never),
            ("another tenant's", tenant),
            ("another audience's", audience),
            ("expired", expired),
        ]
    }

    /// One call with these tokens: how long its caller waits for the refusals.
    async fn refused(&self, class: &str, tokens: &[&String]) -> Duration {
        let request = detokenize(class, tokens.iter().map(|token| (*token).clone()));
        let begin = self.watch.monotonic();
        let answer = self.payments.detokenize(request).await;
        let took = self.watch.monotonic().saturating_sub(begin);
        for result in answer.unwrap().results {
            result.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
        }
        took
    }

    /// Asks for `items` tokens of each kind at once, in turn, and holds each kind's times against the first's.
    async fn measure(&self, class: &str, kinds: &Kinds, (rounds, items): (usize, usize)) -> String {
        let mut times = vec![Vec::with_capacity(rounds); kinds.len()];
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..kinds.len()).collect();
            order.sort_by_key(|kind| scattered((round * kinds.len() + kind) as u64));
            for kind in order {
                let tokens = kinds[kind].1.iter().cycle().skip(round % kinds[kind].1.len()).take(items);
                times[kind].push(self.refused(class, &tokens.collect::<Vec<_>>()).await);
            }
        }
        let bound = EFFECT_MAX + DEVIATIONS * deviation(rounds as f64, rounds as f64);
        let mut told = String::new();
        for (kind, (what, _)) in kinds.iter().enumerate().skip(1) {
            let Compared { a, p, median } = compare(&times[kind], &times[0]);
            write!(told, "; {class} ×{items} {what}: A {a:.3}, p {p:.3}, median {median:+.1} µs").unwrap();
            assert!((a - 0.5).abs() < bound, "{what} is told by its time, bound {bound:.3}{told}");
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_refusal_does_not_tell_whose_token_it_is() {
    let number = |name, usual| env::var(name).map_or(usual, |text| text.parse().expect(name));
    let (rounds, items) = (number("TIMING_ROUNDS", ROUNDS), number("TIMING_ITEMS", 1));
    let (scene, clock) = Scene::start().await;
    let opaque = |n: u64| {
        let letters = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let text = (0..27).map(|at| letters[(scattered(n * 31 + at) % 32) as usize] as char);
        format!("tok_eu_00{}", text.collect::<String>())
    };
    let digits = |n: u64| format!("{:010}", scattered(90_000 + n) % 10_u64.pow(10));
    let sessions = scene.kinds(&clock, "session", opaque).await;
    let vouchers = scene.kinds(&clock, "voucher", digits).await;
    let mut told = String::new();
    for (class, kinds) in [("session", &sessions), ("voucher", &vouchers)] {
        told += &scene.measure(class, kinds, (rounds, items)).await;
    }
    println!("result: {rounds} rounds{told}");
    scene.vault.finish().await;
}

#[test]
fn the_comparison_finds_what_differs_and_nothing_else() {
    let times = |from: u64, more: u64| -> Vec<Duration> {
        (0..1000).map(|n| Duration::from_nanos(1_000_000 + scattered(from + n) % 100_000 + more)).collect()
    };
    let alike = compare(&times(0, 0), &times(5000, 0));
    assert!((alike.a - 0.5).abs() < 0.05 && alike.p > 0.01, "{} {}", alike.a, alike.p);
    // A fifth of what the times vary by.
    let later = compare(&times(0, 20_000), &times(5000, 0));
    assert!(later.a > 0.65 && later.p < 1e-6 && (later.median - 20.0).abs() < 10.0, "{} {}", later.a, later.p);
    assert!(compare(&times(0, 0), &times(5000, 20_000)).a < 0.35);
    assert!((tail(1.96) - 0.025).abs() < 1e-4);
}
