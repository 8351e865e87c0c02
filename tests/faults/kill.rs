//! `kill -9`, whenever it comes: under mixed load, while the vault starts, and before every single sync.
//!
//! It shows that what is acknowledged is complete in itself. That a sync is missing it can't show: power.rs does.

use std::{fs, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tonic::{Code, Request, metadata::MetadataMap};
use vault_domain::{Clock, Entropy, SystemClock, SystemEntropy};
use vault_proto::v1;
use vault_tests::{connection::freshness_of, refusal::Refusal, requests};

use crate::{
    books::Books,
    evidence,
    load::{Chance, Client, Load},
    site::{Settings, Site},
    strace::Faults,
    vault::Vault,
};

/// Rounds when nothing else is asked for.
const ROUNDS: u64 = 12;
/// Rounds on one directory; then a new vault begins, so that the work of a round does not grow without end.
const ROUNDS_OF_ONE_VAULT: u64 = 25;
/// Clients of a load.
const CLIENTS: u64 = 6;
/// Of the tokens of earlier rounds, so many are revealed again in each round; at the end, all.
const OLD_TOKENS_CHECKED: u64 = 2000;

/// What became of a number of rounds.
#[derive(Default)]
struct Score {
    rounds: u64,
    killed_at_start: u64,
    tokens: u64,
    revealed: u64,
    calls: u64,
    entries: u64,
    repeated: u64,
}

/// Asked for by the environment: `.ci/campaigns/kill.sh` does.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_loses_nothing_and_has_revealed_nothing_without_evidence() {
    let rounds = asked("FAULTS_KILL_ROUNDS").unwrap_or(ROUNDS);
    let seed = asked("FAULTS_SEED").unwrap_or_else(|| {
        let mut seed = [0; 4];
        SystemEntropy.fill(&mut seed).unwrap();
        u32::from_be_bytes(seed).into()
    });
    println!("seed {seed}");
    let mut score = Score::default();
    let mut chance = Chance::new(seed << 24);
    while score.rounds < rounds {
        let of_this_vault = ROUNDS_OF_ONE_VAULT.min(rounds - score.rounds);
        one_vault(of_this_vault, &mut chance, &mut score).await;
        println!("{} of {rounds} rounds", score.rounds);
    }
    let Score { rounds, killed_at_start, tokens, revealed, calls, entries, repeated } = score;
    println!(
        "result: {rounds} rounds, {killed_at_start} of them with a kill during the start as well; {calls} calls \
         answered, {tokens} tokens acknowledged, {revealed} values received, {repeated} requests repeated, {entries} \
         entries; lost: 0, without evidence: 0, proofs broken: 0"
    );
    assert!(tokens > rounds && revealed > rounds, "a load that does nothing shows nothing");
}

/// Rounds on one directory, and a good end.
async fn one_vault(rounds: u64, chance: &mut Chance, score: &mut Score) {
    let site = Site::new(Settings { memtable_bytes: 4 << 20, ..Settings::default() });
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    for _ in 0..rounds {
        let (tokens, named) = {
            let pages = books.open();
            (pages.tokens.len(), pages.named.len())
        };
        let load = Load::start(&site, vault.address(), &books, CLIENTS, chance.next()).await;
        tokio::time::sleep(Duration::from_millis(chance.within(50..700))).await;
        vault.kill();
        load.ended().await;
        if chance.within(0..4) == 0 {
            let wait = Duration::from_millis(chance.within(0..250));
            site.spawn_under(&[]).kill_after(wait);
            score.killed_at_start += 1;
        }
        evidence::check(&site, &books.open());
        vault = site.start();
        after_a_crash(&site, &vault, &books, tokens, named, chance).await;
        score.rounds += 1;
    }
    let client = Client::connect(&site, vault.address()).await.unwrap();
    let count = books.open().tokens.len();
    client.reveal(&books, 0..count).await;
    vault.stop();
    score.entries += evidence::check(&site, &books.open());
    let pages = books.open();
    score.tokens += u64::try_from(pages.tokens.len()).unwrap();
    score.calls += u64::try_from(pages.answered.len()).unwrap();
    score.repeated += u64::try_from(pages.named.len()).unwrap();
    score.revealed += pages.revealed;
    assert!(
        pages.refused.keys().all(|reason| reason.is_empty()),
        "a vault that is killed says nothing, and a good load meets no refusal: {:?}",
        pages.refused
    );
}

/// The vault is back: everything that was acknowledged is there, the requests whose answers are not known can be
/// repeated, and the log goes on where it was.
async fn after_a_crash(site: &Site, vault: &Vault, books: &Books, tokens: usize, named: usize, chance: &mut Chance) {
    let client = Client::connect(site, vault.address()).await.unwrap();
    client.checkpoint(books).await.unwrap();
    let all = books.open().tokens.len();
    client.reveal(books, tokens..all).await;
    if tokens > 0 {
        let first = chance.within(0..u64::try_from(tokens).unwrap());
        let last = (first + OLD_TOKENS_CHECKED).min(u64::try_from(tokens).unwrap());
        client.reveal(books, usize::try_from(first).unwrap()..usize::try_from(last).unwrap()).await;
    }
    client.repeat_named(books, named).await;
    client.checkpoint(books).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_that_was_used_is_remembered_by_a_vault_that_was_killed() {
    let site = Site::new(Settings::default());
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    let token = client.tokenize(&books, requests::tokenize("email", ["nonce@example.org"])).await.unwrap().remove(0);
    let now = SystemClock::new().wall().to_string();
    let reveal = |nonce: u32| {
        let mut request = Request::new(requests::detokenize("email", [&token]));
        *request.metadata_mut() = MetadataMap::from_headers(freshness_of(&format!("{nonce:032x}"), &now));
        request
    };
    for round in 0..3 {
        let client = Client::connect(&site, vault.address()).await.unwrap();
        assert!(client.payments.clone().detokenize(reveal(round)).await.is_ok());
        vault.kill();
        vault = site.start();
        let client = Client::connect(&site, vault.address()).await.unwrap();
        for used in 0..=round {
            let refused = client.payments.clone().detokenize(reveal(used)).await.unwrap_err();
            Refusal::of_call(&refused).is(Code::FailedPrecondition, "NONCE_REPLAYED");
        }
    }
    vault.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_spent_of_a_budget_is_remembered_by_a_vault_that_was_killed() {
    let site = Site::new(Settings::default());
    let catalog = site.path("catalog.toml");
    let text = fs::read_to_string(&catalog).unwrap();
    fs::write(&catalog, format!("{text}\n[budgets.few]\nactions = ['detokenize']\nper_day = 30\n")).unwrap();
    let books = Arc::new(Books::default());
    let mut shown = 0;
    let mut token = None;
    for _ in 0..8 {
        let mut vault = site.start();
        let client = Client::connect(&site, vault.address()).await.unwrap();
        if token.is_none() {
            let asked = requests::tokenize("email", ["budget@example.org"]);
            token = Some(client.tokenize(&books, asked).await.unwrap().remove(0));
        }
        // Many at once: whatever row was written last has all of them.
        let calls: JoinSet<_> = (0..10)
            .map(|_| {
                let (mut payments, token) = (client.payments.clone(), token.clone().unwrap());
                async move { payments.detokenize(requests::detokenize("email", [token])).await }
            })
            .collect();
        let answers = calls.join_all().await;
        vault.kill();
        for answer in answers.into_iter().flatten() {
            let outcome = answer.into_inner().results.remove(0).outcome;
            shown += usize::from(matches!(outcome, Some(v1::detokenize_result::Outcome::Revealed(_))));
        }
    }
    assert_eq!(shown, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_the_nth_sync_it_loses_nothing() {
    let site = Site::new(Settings { memtable_bytes: 1 << 20, ..Settings::default() });
    let books = Arc::new(Books::default());
    let mut killed_at_start = 0;
    // Small numbers kill the very first start, which makes the stores, and then starts that recover one.
    for nth in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 4, 1] {
        let faults = Faults::inject(&site, "fdatasync,fsync", &format!("signal=KILL:when={nth}"));
        let (tokens, named) = {
            let pages = books.open();
            (pages.tokens.len(), pages.named.len())
        };
        match site.spawn_under(faults.words()).serving() {
            Ok(mut vault) => {
                let load = Load::start(&site, vault.address(), &books, CLIENTS, nth).await;
                load.ended().await;
                assert!(!vault.ended().success(), "killed at sync {nth}");
            }
            Err(refused) => {
                assert_eq!(std::os::unix::process::ExitStatusExt::signal(&refused.status), Some(9), "{refused}");
                killed_at_start += 1;
            }
        }
        if site.data.join("node").join("STORE").metadata().is_ok_and(|marker| marker.len() > 0) {
            evidence::check(&site, &books.open());
        }
        if nth < 5 {
            continue;
        }
        let mut vault = site.start();
        after_a_crash(&site, &vault, &books, tokens, named, &mut Chance::new(nth)).await;
        vault.stop();
        evidence::check(&site, &books.open());
    }
    let pages = books.open();
    println!("{killed_at_start} killed during the start, {} tokens acknowledged", pages.tokens.len());
    assert!(killed_at_start > 2 && pages.tokens.len() > 100);
}
