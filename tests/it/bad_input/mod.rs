//! Whatever is wrong with a request is refused with a code and a reason, stands in the log, shows nothing of what was
//! sent, and keeps nobody from being served.

mod identity;
mod interrupted;
mod shape;
mod token;
mod value;
mod value_rules;
mod wire;

use std::{collections::BTreeMap, fmt};

use tonic::Code;
use vault_domain::Decision;
use vault_ledger::Entry;
use vault_proto::v1;
use vault_tests::{
    refusal::Refusal,
    vault::{REGIONS, TestVault},
};

/// Refusals in the node's log, by action and reason: how many attempts each stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals(BTreeMap<(&'static str, &'static str), u64>);

impl Refusals {
    /// Expects one more.
    pub(crate) fn expect(&mut self, action: &'static str, reason: &'static str) {
        *self.0.entry((action, reason)).or_default() += 1;
    }

    /// Those that the node's log holds, repeats included: the vault must be stopped.
    pub(crate) fn stored(vault: &TestVault) -> Self {
        let mut refusals = Self::default();
        for Entry { head, groups, .. } in vault.stored_log("node").decoded() {
            let Some(reason) = head.reason else { continue };
            assert_eq!(head.decision, Decision::Denied);
            assert!(groups.is_empty(), "the node's log holds no items");
            *refusals.0.entry((head.action.name(), reason.name())).or_default() += u64::from(head.count.get());
        }
        refusals
    }
}

/// Asserts that the call as a whole is refused so, and that this is its one entry in the region's log.
async fn assert_refused<T: fmt::Debug>(
    vault: &TestVault,
    call: impl Future<Output = Result<T, Refusal>>,
    (code, reason): (Code, &str),
) -> (Refusal, v1::AccessLogEntry) {
    let mark = vault.mark(REGIONS[0]).await;
    let refusal = call.await.unwrap_err();
    refusal.is(code, reason);
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.decision.as_str(), entry.reason.as_str()), ("failed", reason));
    assert_eq!(Some(&entry.request_id), refusal.request_id.as_ref());
    assert!(entry.items.is_empty());
    vault.still_serves().await;
    (refusal, entry)
}

/// Asserts that the call as a whole is refused so, and that no region's log knows of it.
async fn assert_turned_away<T: fmt::Debug>(
    vault: &TestVault,
    call: impl Future<Output = Result<T, Refusal>>,
    (code, reason): (Code, &str),
) -> Refusal {
    let marks = [vault.mark(REGIONS[0]).await, vault.mark(REGIONS[1]).await];
    let refusal = call.await.unwrap_err();
    refusal.is(code, reason);
    assert!(refusal.request_id.is_some());
    for mark in &marks {
        vault.entries_since(mark, 0).await;
    }
    vault.still_serves().await;
    refusal
}

/// Asserts that the only item of a call is refused so, and that the call's one entry has it with its precise outcome.
async fn assert_item_refused<T: fmt::Debug>(
    vault: &TestVault,
    call: impl Future<Output = Result<Result<T, Refusal>, Refusal>>,
    (code, reason): (Code, &str),
    (decision, outcome): (&str, &str),
) -> (Refusal, v1::AccessLogEntry) {
    let mark = vault.mark(REGIONS[0]).await;
    let refusal = call.await.unwrap().unwrap_err();
    refusal.is(code, reason);
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.decision.as_str(), entry.reason.as_str()), (decision, ""));
    let items: Vec<_> = entry.items.iter().map(|items| (items.outcome.as_str(), items.count)).collect();
    assert_eq!(items, [(outcome, 1)]);
    vault.still_serves().await;
    (refusal, entry)
}
