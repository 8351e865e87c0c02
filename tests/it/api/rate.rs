//! Rates: how many calls a second an account or a tenant may make.

use std::{path::Path, sync::Arc, time::Duration};

use tonic::Code;
use vault_client::{HeldToken, Idempotency};
use vault_domain::{Clock, DataClass, ManualClock, SystemClock, TokenText};
use vault_tests::{
    refusal::Refusal,
    requests::{customer, detokenize, email, find, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use super::client_stream::{config, connect, context};
use crate::DISK;

const MS: Duration = Duration::from_millis(1);

async fn vault_with(rates: &str, clock: Arc<dyn Clock>) -> TestVault {
    let mut vault = TestVault::prepare(Path::new(DISK), clock);
    vault.add_to_catalog(rates);
    vault.start_again().await;
    vault
}

#[track_caller]
fn limited(refused: &Refusal, rate: &str) -> Duration {
    refused.is(Code::ResourceExhausted, "RATE_LIMITED");
    assert_eq!(refused.metadata["detail"], rate);
    refused.retry_delay.expect("RetryInfo")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_a_rate_are_refused_unread_with_the_time_to_wait() {
    let clock = ManualClock::at(BEGINNING);
    let rate = "[rates.slow]\naccounts = ['spiffe://test.tokenvault/payments']\nper_second = 10\nburst = 3\n";
    let mut vault = vault_with(rate, Arc::new(clock.clone())).await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let reveal = || payments.detokenize(detokenize("email", [&token]));
    for _ in 0..3 {
        assert_eq!(reveal().await.unwrap().values().len(), 1);
    }
    let mark = vault.mark("eu").await;
    let wait = limited(&reveal().await.unwrap_err(), "rate slow: 10 calls a second");
    assert_eq!(wait, Duration::from_millis(100));
    clock.advance(wait - MS);
    assert_eq!(limited(&reveal().await.unwrap_err(), "rate slow: 10 calls a second"), MS);
    clock.advance(MS);
    assert_eq!(reveal().await.unwrap().values().len(), 1);
    limited(&reveal().await.unwrap_err(), "rate slow: 10 calls a second");
    // Other methods count too, streams by their opening; other callers do not.
    limited(&payments.find(find("customer_id", [customer(1)])).await.unwrap_err(), "rate slow: 10 calls a second");
    let opened = match payments.detokenize_stream(None).await {
        Ok(mut stream) => stream.answer().await.map(drop),
        Err(refused) => Err(refused),
    };
    limited(&opened.unwrap_err(), "rate slow: 10 calls a second");
    for n in 0..9 {
        vault.caller(Role::Loader).await.tokenize(tokenize("email", [email(n)])).await.unwrap();
    }
    // One allowed reveal and what the loader did stand in the region's log, the refusals in that of the node: the first
    // one at once, its like once a minute, as a number.
    vault.entries_since(&mark, 1 + 9).await;
    vault.stop().await;
    let node = vault.stored_log("node").decoded();
    let refused: Vec<u32> = node
        .iter()
        .filter(|entry| entry.head.reason.is_some_and(|reason| reason.name() == "RATE_LIMITED"))
        .map(|entry| entry.head.count.get())
        .collect();
    assert_eq!((refused.len(), refused.iter().sum()), (2, 5), "{refused:?}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_a_tenant_share_its_rate_and_each_account_has_one_of_its_own() {
    let clock = ManualClock::at(BEGINNING);
    let rates = "[rates.each]\nper_second = 1\nburst = 4\n\
                 [rates.acme]\ntenants = ['acme']\nper_second = 1\nburst = 6\n";
    let vault = vault_with(rates, Arc::new(clock.clone())).await;
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let globex = vault.caller(Role::GlobexLoader).await;
    for n in 0..4 {
        loader.tokenize(tokenize("email", [email(n)])).await.unwrap();
    }
    limited(&loader.tokenize(tokenize("email", [email(1)])).await.unwrap_err(), "rate each: 1 calls a second");
    let miss = || payments.detokenize(detokenize("email", ["none"]));
    for _ in 0..2 {
        miss().await.unwrap();
    }
    assert_eq!(limited(&miss().await.unwrap_err(), "rate acme: 1 calls a second"), Duration::from_secs(1));
    // Another tenant's goes on; what was refused took nothing from anybody.
    for n in 0..4 {
        globex.tokenize(tokenize("email", [email(n)])).await.unwrap();
    }
    clock.advance(Duration::from_secs(1));
    miss().await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_library_waits_as_long_as_it_is_told_and_gets_through() {
    let rate = "[rates.slow]\naccounts = ['spiffe://test.tokenvault/payments']\nper_second = 20\nburst = 2\n";
    let vault = vault_with(rate, Arc::new(SystemClock::new())).await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let payments = connect(config(&vault, Role::Payments, vault.address())).await;
    let held = || HeldToken { class: DataClass::parse("email").unwrap(), token: TokenText::new(token.clone()) };
    let mut attempts = 0;
    for _ in 0..10 {
        // Without a key a reveal is not repeated when its answer is lost; this one was never looked at.
        let settlement = context("settlement", Idempotency::Off);
        let answer = payments.detokenize(&settlement, vec![held()]).await.unwrap();
        assert!(answer.results[0].is_ok());
        attempts += answer.calls[0].attempts;
    }
    assert!(attempts > 10, "{attempts}");
    vault.finish().await;
}
