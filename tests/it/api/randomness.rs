//! What depends on chance, and what happens when there is none.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tonic::Code;
use vault_domain::{Entropy, EntropyError, SystemClock, SystemEntropy};
use vault_tests::{
    requests::{card, detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::DISK;

/// A source that always says the same.
#[derive(Debug)]
struct Stuck;

impl Entropy for Stuck {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(0x5A);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_token_space_is_refused_and_no_token_is_given_twice() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    // Each call draws the same candidates, so that few tokens take all of them.
    vault.set_entropy(Arc::new(Stuck));
    vault.start_again().await;
    let loader = vault.caller(Role::Loader).await;
    let (mut tokens, mut values) = (BTreeSet::new(), (0_u64..).map(|n| format!("{:010}", 7_000_000_123 + n)));
    let refusal = loop {
        let given = loader.tokenize(tokenize("voucher", values.next())).await.unwrap();
        match <[_; 1]>::try_from(given.results).unwrap() {
            [Ok(issued)] => assert!(tokens.insert(issued.token), "given twice"),
            [Err(refusal)] => break refusal,
        }
        assert!(tokens.len() <= 100);
    };
    refusal.is(Code::ResourceExhausted, "TOKEN_SPACE_EXHAUSTED");
    assert!(!tokens.is_empty());
    vault.still_serves().await;

    vault.stop().await;
    vault.set_entropy(Arc::new(SystemEntropy));
    vault.start_again().await;
    let given = vault.caller(Role::Loader).await.tokenize(tokenize("voucher", values.take(100))).await.unwrap();
    assert!(given.tokens().into_iter().all(|token| tokens.insert(token)), "given twice");
    vault.finish().await;
}

/// A source that fails at the n-th draw of a kind: by the number of bytes that are asked for.
#[derive(Debug, Default)]
struct Failing {
    bytes: AtomicUsize,
}

impl Entropy for Failing {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        match self.bytes.load(Ordering::SeqCst) {
            bytes if bytes == out.len() => Err(EntropyError),
            _ => SystemEntropy.fill(out),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_randomness_nothing_is_made_up_and_nothing_is_done() {
    let source = Arc::new(Failing::default());
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    vault.set_entropy(source.clone());
    vault.start_again().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let mark = vault.mark("eu").await;
    // The 16 bytes of a request's id, and the 32 that a call draws all else from.
    for bytes in [16, 32] {
        source.bytes.store(bytes, Ordering::SeqCst);
        let refused = [
            loader.tokenize(tokenize("card_number", [card(1)])).await.map(drop),
            payments.detokenize(detokenize("email", [&token])).await.map(drop),
        ];
        source.bytes.store(0, Ordering::SeqCst);
        for refusal in refused {
            assert_eq!(refusal.unwrap_err().code, Code::Internal);
        }
    }
    vault.entries_since(&mark, 0).await;
    let given = loader.tokenize(tokenize("card_number", [card(1)])).await.unwrap();
    assert!(given.results[0].as_ref().unwrap().created, "nothing was stored");
    vault.still_serves().await;
    vault.finish().await;
}
