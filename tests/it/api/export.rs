//! ExportAccessLog: a part of the log as a file, and the manifest that says what it is.

use std::{fs, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tonic::{Code, Request, Streaming};
use vault_domain::LogIndex;
use vault_ledger::{Checkpoint, ExportFormat, ExportManifest, TreeHash, VerifierKey, verify_inclusion};
use vault_proto::v1::{self, token_service_client::TokenServiceClient};
use vault_server::{Config, Environment};
use vault_tests::{
    caller::Caller,
    export_reader::read_export,
    refusal::Refusal,
    requests::{by, card, describe, detokenize, email, query, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::{vault, vault_and_clock};

/// Longer than any news takes.
const SOON: Duration = Duration::from_secs(20);

/// A file, as it came.
struct File {
    bytes: Vec<u8>,
    longest: usize,
    own: v1::Receipt,
    note: String,
    key: VerifierKey,
}

impl File {
    fn manifest(&self) -> (ExportManifest, Checkpoint, Map<String, Value>) {
        ExportManifest::open(&self.note, &self.key).unwrap()
    }

    /// What an independent reader makes of it.
    fn read(&self, format: &str) -> Vec<Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &self.bytes).unwrap();
        let read = read_export(format, file.path());
        assert_eq!(read["sha256"], hex(&self.manifest().0.exported.sha256));
        read["entries"].as_array().unwrap().clone()
    }
}

fn all(format: &str) -> v1::ExportAccessLogRequest {
    let (region, purpose, format) = ("eu".to_owned(), "audit".to_owned(), format.to_owned());
    v1::ExportAccessLogRequest { region, purpose, format, ..Default::default() }
}

async fn begin(
    caller: &Caller,
    request: v1::ExportAccessLogRequest,
) -> Result<Streaming<v1::ExportAccessLogResponse>, Refusal> {
    let opened = caller.audit().export_access_log(Request::new(request)).await;
    opened.map(tonic::Response::into_inner).map_err(|status| caller.refusal(&status))
}

/// Takes all that comes.
async fn rest(mut stream: Streaming<v1::ExportAccessLogResponse>) -> Result<File, Refusal> {
    let (mut bytes, mut longest, mut own) = (Vec::new(), 0, None);
    loop {
        let message = timeout(SOON, stream.message()).await.expect("news in time");
        let message = message.map_err(|status| Refusal::of_call(&status))?.expect("a manifest");
        longest = longest.max(message.data.len());
        bytes.extend(message.data);
        if let Some(receipt) = message.receipt {
            assert!(own.is_none() && bytes.is_empty(), "the first message has the receipt, and no bytes");
            own = Some(receipt);
        }
        if !message.manifest.is_empty() {
            assert!(stream.message().await.unwrap().is_none(), "the manifest comes last");
            let key = VerifierKey::parse(&message.verifier_key).unwrap();
            return Ok(File { bytes, longest, own: own.expect("a receipt"), note: message.manifest, key });
        }
    }
}

async fn export(caller: &Caller, request: v1::ExportAccessLogRequest) -> File {
    rest(begin(caller, request).await.unwrap()).await.unwrap()
}

/// What QueryAccessLog says, oldest first, in the reader's words.
async fn said(caller: &Caller) -> Vec<Value> {
    let mut entries = caller.query(v1::QueryAccessLogRequest { page_size: 1000, ..query("eu") }).await.unwrap().entries;
    entries.reverse();
    let shown = |entry: &v1::AccessLogEntry| {
        let receipt = entry.receipt.as_ref().unwrap();
        json!({
            "index": receipt.index, "leaf": hex(&receipt.leaf_hash), "time": entry.log_time_ms,
            "request": entry.request_id, "principal": entry.principal, "action": entry.action,
            "decision": entry.decision, "reason": entry.reason, "purpose": entry.purpose,
            "reference": entry.reference,
            "classes": entry.items.iter().map(|items| items.data_class.clone()).collect::<Vec<_>>(),
        })
    };
    entries.iter().map(shown).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Calls of many kinds, with references that would be formulas and of two tenants.
async fn history(vault: &TestVault) {
    let loader = vault.caller(Role::Loader).await;
    let tokens = vault.give("email", [email(1), email(2)]).await;
    vault.give("card_number", [card(1)]).await;
    let mixed = [tokenize("email", [email(3)]).items, tokenize("card_number", [card(2), "x".to_owned()]).items];
    let request = v1::TokenizeRequest { items: mixed.concat(), ..tokenize("email", [email(4)]) };
    loader.tokenize(v1::TokenizeRequest { reference: "-2/3".to_owned(), ..request }).await.unwrap();
    vault.caller(Role::GlobexLoader).await.tokenize(tokenize("email", [email(5)])).await.unwrap();
    let payments = vault.caller(Role::Payments).await;
    let request = detokenize("email", tokens.clone());
    payments.detokenize(v1::DetokenizeRequest { reference: "-1#A1/B2".to_owned(), ..request }).await.unwrap();
    drop(payments.describe(describe("email", tokens)).await);
    drop(vault.caller(Role::Support).await.tokenize(tokenize("email", [email(6)])).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_by_others_and_says_what_a_query_says() {
    let vault = vault().await;
    history(&vault).await;
    let auditor = vault.caller(Role::Auditor).await;
    for format in ExportFormat::ALL.iter().map(|format| format.name()) {
        let mut expected = said(&auditor).await;
        if format == "cef" {
            // It names each class once.
            for entry in &mut expected {
                entry["classes"].as_array_mut().unwrap().dedup();
            }
        }
        let size = vault.checkpoint("eu").await.head.size.0;
        let file = export(&auditor, all(format)).await;
        let read = file.read(format);
        // The question that gave what was expected came after it, and before the export.
        let (before, question) = read.split_at(expected.len());
        assert_eq!(before, expected, "{format}");
        assert!(question.len() == 1 && question[0]["action"] == "query_access_log", "{format}");
        assert!(expected.iter().any(|entry| entry["reference"] == "-1#A1/B2"), "a formula was in it");
        assert!(expected.iter().any(|entry| entry["classes"].as_array().unwrap().len() > 1), "runs of many classes");

        let (manifest, checkpoint, filters) = file.manifest();
        assert_eq!((manifest.from, manifest.to, manifest.format.name()), (0, size, format));
        assert_eq!(manifest.exported.entries, read.len() as u64);
        assert_eq!(manifest.exported.bytes, file.bytes.len() as u64);
        let lines = file.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let rows = if format == "parquet" { read.len() as u64 } else { lines - u64::from(format == "csv") };
        assert_eq!(manifest.exported.rows, rows, "one line a row, and a head");
        assert_eq!((manifest.asked.index, &manifest.asked.leaf.0[..]), (file.own.index, &file.own.leaf_hash[..]));
        assert_eq!(manifest.asked.principal, Role::Auditor.principal());
        assert_eq!((manifest.asked.tenant.as_str(), manifest.asked.purpose.as_str()), ("acme", "audit"));
        assert!(checkpoint.head.size.0 > file.own.index && filters.is_empty());
        assert_eq!(manifest.log_id.0[..], file.own.log_id[..]);
        assert!(file.own.index >= size);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_an_export_is_proved_by_its_leaf_hash() {
    let vault = vault().await;
    history(&vault).await;
    let auditor = vault.caller(Role::Auditor).await;
    let file = export(&auditor, all("jsonl")).await;
    let (_, checkpoint, _) = file.manifest();
    for row in file.read("jsonl") {
        let index = row["index"].as_u64().unwrap();
        let tree_size = checkpoint.head.size.0;
        let ask = v1::GetInclusionProofRequest { region: "eu".to_owned(), index, tree_size };
        let proof = auditor.audit().get_inclusion_proof(ask).await.unwrap().into_inner();
        assert_eq!(row["leaf"], hex(&proof.leaf_hash));
        let hash = |bytes: &Vec<u8>| TreeHash(bytes.as_slice().try_into().unwrap());
        let hashes: Vec<_> = proof.hashes.iter().map(hash).collect();
        verify_inclusion(&checkpoint.head, LogIndex(index), &hash(&proof.leaf_hash), &hashes).unwrap();
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_its_range_and_what_its_filters_ask_for_and_no_token() {
    let (vault, clock) = vault_and_clock().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    clock.advance(Duration::from_secs(60));
    vault.give("card_number", [card(1)]).await;
    let payments = vault.caller(Role::Payments).await;
    payments.detokenize(detokenize("email", [token.clone()])).await.unwrap();
    clock.advance(Duration::from_secs(60));
    vault.give("card_number", [card(2)]).await;
    let auditor = vault.caller(Role::Auditor).await;
    let (_, begun) = (said(&auditor).await, said(&auditor).await);
    let times: Vec<u64> = begun.iter().map(|entry| entry["time"].as_u64().unwrap()).collect();
    // Entry 0 is the start; 1 to 4 are the calls.
    let range = |from_index, until_index| v1::ExportAccessLogRequest { from_index, until_index, ..all("jsonl") };
    let of = |until_index, filter| v1::ExportAccessLogRequest { until_index, filter, ..all("jsonl") };
    let about = by(|filter| (filter.data_class, filter.token) = ("email".to_owned(), token.clone()));
    let period = by(|filter| (filter.from_ms, filter.until_ms) = (times[1], times[3]));
    let tokenized = by(|filter| filter.action = "tokenize".to_owned());
    for (request, range, expected) in [
        (range(0, Some(5)), (0, 5), vec![1, 2, 3, 4]),
        (range(2, Some(4)), (2, 4), vec![2, 3]),
        (range(3, Some(3)), (3, 3), vec![]),
        (of(None, period), (2, 4), vec![2, 3]),
        (of(Some(5), tokenized), (0, 5), vec![1, 2, 4]),
        (of(Some(5), about), (0, 5), vec![1, 3]),
    ] {
        let file = export(&auditor, request.clone()).await;
        let found: Vec<_> = file.read("jsonl").iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
        let (manifest, _, filters) = file.manifest();
        let filter = request.filter.unwrap_or_default();
        assert_eq!((found, (manifest.from, manifest.to)), (expected, range), "{filters:?}");
        assert_eq!(filters.contains_key("token_hash"), !filter.token.is_empty());
        assert_eq!(filters.contains_key("action"), !filter.action.is_empty());
        assert_eq!(filters.contains_key("from_ms"), filter.from_ms > 0);
        assert!(!file.note.contains(&token), "a token stands in a manifest");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_may_not_be_is_refused_and_stands_in_the_log() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let payments = vault.caller(Role::Payments).await;
    begin(&payments, all("jsonl")).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let auditor = vault.caller(Role::Auditor).await;
    for bad in [
        all("xlsx"),
        all(""),
        v1::ExportAccessLogRequest { filter: by(|filter| filter.action = "steal".to_owned()), ..all("csv") },
        v1::ExportAccessLogRequest { from_index: 1_000_000, ..all("csv") },
        v1::ExportAccessLogRequest { until_index: Some(1_000_000), ..all("csv") },
        v1::ExportAccessLogRequest { from_index: 2, until_index: Some(1), ..all("csv") },
        v1::ExportAccessLogRequest { filter: by(|filter| filter.token = "tok_eu_any".to_owned()), ..all("csv") },
    ] {
        begin(&auditor, bad).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
    }
    let entries = vault.entries_since(&mark, 8).await;
    assert!(entries.iter().all(|entry| entry.action == "export_access_log" && entry.decision != "allowed"));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_shows_nothing_of_another_tenant() {
    let vault = vault().await;
    history(&vault).await;
    let foreign = vault.caller(Role::GlobexAuditor).await;
    for format in ExportFormat::ALL.iter().map(|format| format.name()) {
        let file = export(&foreign, all(format)).await;
        // Of Parquet too names stand there as they are: nothing is compressed.
        let text = String::from_utf8_lossy(&file.bytes);
        assert!(text.contains(Role::GlobexLoader.principal()), "{format}: its own");
        for principal in [Role::Loader, Role::Payments, Role::Support, Role::Auditor] {
            assert!(!text.contains(principal.principal()), "{format}: another tenant's");
        }
        assert!(!text.contains("acme") && file.manifest().0.asked.tenant == "globex");
    }
    vault.finish().await;
}

/// Entries with so much in them that no window of a connection holds an export of them. The bare client makes them: to
/// look for each of so many tokens in each answer would take minutes.
async fn long_history(vault: &TestVault) {
    let connection = vault.caller(Role::Payments).await.connection().clone();
    let origin = connection.origin().clone();
    let mut payments = TokenServiceClient::with_origin(connection, origin).max_decoding_message_size(64 << 20);
    let unknown: Vec<_> = (0..400).map(|n| format!("tok_eu_{n:029}")).collect();
    for _ in 0..800 {
        payments.detokenize(detokenize("email", unknown.clone())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_read_slowly_waits_and_ends_when_its_caller_may_not_see_the_log_any_more() {
    let vault = vault().await;
    long_history(&vault).await;
    let auditor = vault.caller(Role::Auditor).await;
    // Whoever reads slowly gets all of it, in messages of a bounded size.
    let slow = begin(&auditor, all("jsonl")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let file = rest(slow).await.unwrap();
    let (manifest, _, _) = file.manifest();
    assert!(manifest.exported.entries >= 800 && file.bytes.len() > 6 << 20, "{}", file.bytes.len());
    assert!(file.longest <= 256 << 10);
    // In columns it is gathered by row groups: entries of 400 tokens fill more than one.
    let columns = rest(begin(&auditor, all("parquet")).await.unwrap()).await.unwrap();
    assert!(columns.longest <= 256 << 10);
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(path.path(), &columns.bytes).unwrap();
    let read = read_export("parquet", path.path());
    assert!(read["groups"].as_u64().unwrap() > 1, "{}", read["groups"]);
    let rows = read["rows"].as_array().unwrap();
    assert_eq!(rows.len() as u64, columns.manifest().0.exported.rows);
    let lines = file.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    // Only entries of the questions came since.
    for (line, row) in lines.iter().zip(rows) {
        for (name, value) in line.as_object().unwrap().iter().filter(|(name, _)| !name.ends_with("time")) {
            assert_eq!(value, &row[name], "{name} of {}", line["receipt"]);
        }
    }

    let unread = begin(&auditor, all("jsonl")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    vault.still_serves().await;
    let grant = "{ actions = [\"query_access_log\", \"export_access_log\"], purposes = [\"audit\"] },\n    { actions = \
                 [\"get_checkpoint\"] },\n    { actions = [\"explain";
    vault.edit("catalog.toml", grant, &grant.replace(", \"export_access_log\"", ""));
    let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
    vault.server().apply(config.policies().unwrap()).await.unwrap();
    let ended = rest(unread).await.err().expect("no manifest for what was cut");
    ended.is(Code::PermissionDenied, "ACCESS_DENIED");
    let of_exports = v1::QueryAccessLogRequest {
        filter: by(|filter| filter.action = "export_access_log".to_owned()),
        ..query("eu")
    };
    let entries = auditor.query(of_exports).await.unwrap().entries;
    let ends: Vec<_> = entries.iter().map(|entry| (entry.decision.as_str(), entry.reason.as_str())).collect();
    let allowed = ("allowed", "");
    assert_eq!(ends, [("denied", "ACCESS_DENIED"), allowed, allowed, allowed], "newest first");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_left_gives_its_place_back() {
    let vault = vault().await;
    long_history(&vault).await;
    let auditor = vault.caller(Role::Auditor).await;
    for _ in 0..3 {
        let mut open = Vec::new();
        let refused = loop {
            match begin(&auditor, all("jsonl")).await {
                Ok(stream) => open.push(stream),
                Err(refused) => break refused,
            }
            assert!(open.len() <= 16);
        };
        refused.is(Code::Unavailable, "BUSY");
        drop(open);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    vault.finish().await;
}
