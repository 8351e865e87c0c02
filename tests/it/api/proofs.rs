//! What makes the log's answers checkable without trust: single entries, inclusion and consistency proofs.

use tonic::Code;
use vault_domain::LogIndex;
use vault_ledger::{
    Checkpoint, TreeHash, TreeHead, TreeSize, VerifierKey, leaf_hash, verify_consistency, verify_inclusion,
};
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{card, detokenize, email},
    roles::Role,
    vault::TestVault,
};

use crate::vault;

pub(super) async fn inclusion(
    caller: &Caller,
    region: &str,
    index: u64,
    tree_size: u64,
) -> Result<v1::GetInclusionProofResponse, Refusal> {
    let request = v1::GetInclusionProofRequest { region: region.to_owned(), index, tree_size };
    let proved = caller.audit().get_inclusion_proof(request).await;
    proved.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

pub(super) async fn consistency(
    caller: &Caller,
    region: &str,
    old_size: u64,
    new_size: u64,
) -> Result<v1::GetConsistencyProofResponse, Refusal> {
    let request = v1::GetConsistencyProofRequest { region: region.to_owned(), old_size, new_size };
    let proved = caller.audit().get_consistency_proof(request).await;
    proved.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

pub(super) async fn entry(caller: &Caller, index: u64) -> Result<v1::GetEntryResponse, Refusal> {
    let request =
        v1::GetEntryRequest { region: "eu".to_owned(), purpose: "audit".to_owned(), index, ..Default::default() };
    let found = caller.audit().get_entry(request).await;
    found.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

pub(super) fn hash(bytes: &[u8]) -> TreeHash {
    TreeHash(bytes.try_into().unwrap())
}

pub(super) fn hashes(hashes: &[Vec<u8>]) -> Vec<TreeHash> {
    hashes.iter().map(|bytes| hash(bytes)).collect()
}

/// A vault with some entries of two tenants.
async fn with_entries() -> TestVault {
    let vault = vault().await;
    for n in 0..4 {
        let tokens = vault.give("card_number", [card(n)]).await;
        vault.caller(Role::Payments).await.detokenize(detokenize("card_number", tokens)).await.unwrap();
    }
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_proved_under_the_newest_checkpoint_and_under_older_ones() {
    let mut vault = with_entries().await;
    let auditor = vault.caller(Role::Auditor).await;
    let mut proofs = Vec::new();
    for region in ["eu", "us", "node"] {
        let newest = inclusion(&auditor, region, 0, 0).await.unwrap();
        let key = VerifierKey::parse(&newest.verifier_key).unwrap();
        let head = Checkpoint::open(&newest.checkpoint, &key).unwrap().head;
        assert_eq!(head.size.0, newest.tree_size);
        verify_inclusion(&head, LogIndex(0), &hash(&newest.leaf_hash), &hashes(&newest.hashes)).unwrap();
        for size in 1..=head.size.0 {
            for index in 0..size {
                proofs.push((region, index, inclusion(&auditor, region, index, size).await.unwrap()));
            }
        }
    }
    vault.stop().await;
    // Held against what is on the disk, by the bytes.
    for (region, index, proof) in &proofs {
        let log = vault.stored_log(region);
        assert_eq!(hash(&proof.leaf_hash), log.leaf(*index), "{region} {index}");
        assert!(proof.checkpoint.is_empty() && proof.verifier_key.is_empty());
        let head = log.head(proof.tree_size);
        verify_inclusion(&head, LogIndex(*index), &log.leaf(*index), &hashes(&proof.hashes)).unwrap();
    }
    assert!(proofs.len() > 40, "{}", proofs.len());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tree_is_proved_to_go_on_from_every_older_one() {
    let mut vault = with_entries().await;
    let auditor = vault.caller(Role::Auditor).await;
    let newest = consistency(&auditor, "eu", 1, 0).await.unwrap();
    let key = VerifierKey::parse(&newest.verifier_key).unwrap();
    assert_eq!(Checkpoint::open(&newest.checkpoint, &key).unwrap().head.size.0, newest.new_size);
    let mut proofs = Vec::new();
    for new in 1..=newest.new_size {
        for old in 1..=new {
            proofs.push((old, consistency(&auditor, "eu", old, new).await.unwrap()));
        }
    }
    vault.stop().await;
    let log = vault.stored_log("eu");
    for (old, proof) in &proofs {
        let (old, new) = (log.head(*old), log.head(proof.new_size));
        verify_consistency(&old, &new, &hashes(&proof.hashes)).unwrap();
        let forged = TreeHead { size: old.size, root: leaf_hash(b"another history") };
        assert!(old.size == TreeSize(0) || verify_consistency(&forged, &new, &hashes(&proof.hashes)).is_err());
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_leave_no_entry_and_to_be_refused_one_does() {
    let vault = with_entries().await;
    let auditor = vault.caller(Role::Auditor).await;
    let mark = vault.mark("eu").await;
    inclusion(&auditor, "eu", 0, 0).await.unwrap();
    consistency(&auditor, "eu", 1, 0).await.unwrap();
    let size = vault.checkpoint("eu").await.head.size.0;
    for (index, tree) in [(size, 0), (size, size), (u64::MAX, 0), (0, size + 1), (0, u64::MAX)] {
        let refused = inclusion(&auditor, "eu", index, tree).await.unwrap_err();
        refused.is(Code::InvalidArgument, "FIELD_INVALID");
    }
    for (old, new) in [(0, 0), (size + 1, 0), (2, 1), (1, size + 1), (u64::MAX, u64::MAX)] {
        let refused = consistency(&auditor, "eu", old, new).await.unwrap_err();
        refused.is(Code::InvalidArgument, "FIELD_INVALID");
    }
    let payments = vault.caller(Role::Payments).await;
    inclusion(&payments, "eu", 0, 0).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    consistency(&payments, "eu", 1, 0).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let entries = vault.entries_since(&mark, 2).await;
    assert!(entries.iter().all(|entry| entry.action == "get_checkpoint" && entry.decision == "denied"));
    inclusion(&payments, "node", 0, 0).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    inclusion(&auditor, "nowhere", 0, 0).await.unwrap_err().is(Code::InvalidArgument, "REGION_UNKNOWN");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_given_whole_to_its_tenant_and_as_a_hash_to_others() {
    let mut vault = with_entries().await;
    let (own, other) = (vault.caller(Role::Auditor).await, vault.caller(Role::GlobexAuditor).await);
    let receipt = vault
        .caller(Role::Loader)
        .await
        .tokenize(vault_tests::requests::tokenize("email", [email(1)]))
        .await
        .unwrap()
        .receipt;
    let shown = entry(&own, receipt.index).await.unwrap();
    assert_eq!(shown.leaf_hash, receipt.leaf_hash);
    assert_eq!(leaf_hash(&shown.entry_bytes).0.as_slice(), receipt.leaf_hash);
    let said = shown.entry.unwrap();
    assert_eq!((said.action.as_str(), said.principal.as_str()), ("tokenize", Role::Loader.principal()));
    assert_eq!(said.receipt.unwrap().index, receipt.index);
    let hidden = entry(&other, receipt.index).await.unwrap();
    assert!(hidden.entry.is_none() && hidden.entry_bytes.is_empty());
    assert_eq!(hidden.leaf_hash, receipt.leaf_hash);
    // The vault's own entries concern no tenant.
    for auditor in [&own, &other] {
        let start = entry(auditor, 0).await.unwrap();
        assert_eq!(start.entry.unwrap().action, "start");
    }
    let mark = vault.mark("eu").await;
    let asked = entry(&own, 0).await.unwrap().receipt.unwrap();
    let beyond = entry(&own, asked.index + 10).await.unwrap_err();
    beyond.is(Code::NotFound, "ENTRY_NOT_FOUND");
    entry(&vault.caller(Role::Payments).await, 0).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let entries = vault.entries_since(&mark, 3).await;
    let decided: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.reason.as_str())).collect();
    let action = "query_access_log";
    assert_eq!(decided, [(action, ""), (action, "ENTRY_NOT_FOUND"), (action, "ACCESS_DENIED")]);
    vault.stop().await;
    assert_eq!(vault.stored_log("eu").leaf(receipt.index).0.as_slice(), receipt.leaf_hash);
    vault.finish().await;
}
