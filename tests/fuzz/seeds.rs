//! Input to begin with, in `corpus/<target>/`: golden files, samples, what lies just beside them and is refused, and
//! whatever once broke a promise. No file there may hold a secret.

use std::{collections::BTreeMap, fs, path::PathBuf};

use prost::Message;
use vault_domain::LogIndex;
use vault_engine::PageToken;
use vault_ledger::{
    AddCheckpoint, EXPORT_CONTEXT, Entry, ExportAsked, ExportFormat, ExportManifest, Exported, LogProof, SPAN_RUNS,
    SUMMARY_ENTRIES, SpanBuilder, SpanPart, TreeHash, TreeSize,
};
use vault_policy::PolicySource;
use vault_proto::v1;

use crate::targets::{LOG, TARGETS, WITNESS};

/// The longest seed: libFuzzer would never come to the end of longer ones.
const SEED_BYTES_MAX: usize = 16 * 1024;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The seeds of a target by their names, in an order that is the same everywhere.
pub(crate) fn of(target: &str) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// The golden files of a crate whose names begin so, as bytes.
fn goldens(package: &str, beginning: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates").join(package).join("goldens");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
    let mut found = Vec::new();
    for (name, path) in named.filter(|(name, _)| name.starts_with(beginning)) {
        let text = fs::read_to_string(path).unwrap();
        let digits: Vec<u8> = text.chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
        found.push((name, digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()));
    }
    assert!(!found.is_empty(), "there is no golden file {package}/{beginning}*");
    found
}

/// Whatever a target must have among its seeds: what the product itself writes today.
fn made(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = |texts: &[(&str, &str)]| {
        texts.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect()
    };
    match target {
        "add_checkpoint" => {
            let checkpoint = LOG.signed.sign(&LOG.signer).unwrap();
            let request = |old, hashes| {
                let (old, proof) = (TreeSize(old), vec![TreeHash([7; 32]); hashes]);
                AddCheckpoint { old, proof, checkpoint: checkpoint.clone() }.text()
            };
            seeds(&[("first", &request(0, 0)), ("later", &request(4711, 5))])
        }
        "catalog" => {
            // Its comments are most of it, and nothing to a reader.
            let said = vault_catalog::SAMPLE.lines().filter(|line| !line.starts_with('#'));
            seeds(&[("sample", &said.map(|line| format!("{line}\n")).collect::<String>())])
        }
        "checkpoint" => seeds(&[("signed", &LOG.signed.text())]),
        "cosignature" => seeds(&[("cosigned", &WITNESS.cosigned), ("key", &WITNESS.key.to_string())]),
        "entry" => goldens("vault-ledger", "entry-"),
        "log_name" => seeds(&[("origin", LOG.origin.as_str()), ("key", &LOG.key.to_string()), ("go", GO_CHECKSUMS)]),
        "manifest" => seeds(&[("whole", &manifest())]),
        "minimum_index" => {
            let stated = |size: u64, text: &str| [&size.to_be_bytes()[..], text.as_bytes()].concat();
            vec![("all".to_owned(), stated(512, "512\n")), ("none".to_owned(), stated(9000, "0\n"))]
        }
        "note" => {
            let own = LOG.signed.sign(&LOG.signer).unwrap();
            let witnessed = format!("{own}\u{2014} witness.example.org UFs8eOKUE2NLcWJvNcsEYWnoEhJt+MlYeaaFZUZ8IA==\n");
            let mut all = goldens("vault-ledger", "checkpoint");
            all.extend([("own".to_owned(), own.into_bytes()), ("witnessed".to_owned(), witnessed.into_bytes())]);
            all
        }
        "page_token" => seeds(&[("first", &PageToken::new(0..4711, *b"question").to_string())]),
        "people" => goldens("vault-ledger", "people-"),
        "policy" => seeds(&[("default", PolicySource::DEFAULT.text)]),
        "proof" => {
            let (_, entry) = goldens("vault-ledger", "entry-v1-tokenize").remove(0);
            let hashes = (0..5).map(|byte| TreeHash([byte; 32])).collect();
            let checkpoint = LOG.signed.sign(&LOG.signer).unwrap();
            let proof = LogProof { entry: Some(entry), index: LogIndex(3), hashes, checkpoint };
            seeds(&[("whole", &proof.text()), ("bare", &LogProof { entry: None, hashes: Vec::new(), ..proof }.text())])
        }
        "record" => goldens("vault-keys", "record-"),
        "request" => requests(),
        "span" => span(),
        "state" => seeds(&[("whole", &state())]),
        "summary" => goldens("vault-ledger", "summary-"),
        "token" => goldens("vault-keys", "token"),
        "witness_policy" => {
            let key = &WITNESS.key;
            let one = format!("witness one {key} https://witness.example.org/\nquorum one\n");
            let group = format!("# of one\nlog sum.example.org\nwitness one {key}\ngroup all 1 one\nquorum all\n");
            seeds(&[("one", &one), ("group", &group), ("none", "quorum none\n")])
        }
        _ => Vec::new(),
    }
}

/// A manifest without the line that its log signs it under.
fn manifest() -> String {
    let asked = ExportAsked {
        principal: "spiffe://vault.example.org/auditor".to_owned(),
        tenant: "acme".to_owned(),
        purpose: "audit".to_owned(),
        reference: "CASE-4711".to_owned(),
        request_id: "0123456789abcdef0123456789abcdef".to_owned(),
        at_ms: 1_800_000_000_000,
        index: 12_000,
        leaf: TreeHash([3; 32]),
    };
    let manifest = ExportManifest {
        origin: LOG.origin.clone(),
        log_id: TreeHash([1; 32]),
        checkpoint: LOG.signed.sign(&LOG.signer).unwrap(),
        from: 512,
        to: 11_000,
        filters: vec![("action", "detokenize".to_owned())],
        format: ExportFormat::Csv,
        exported: Exported { entries: 700, rows: 900, bytes: 123_456, sha256: [9; 32] },
        asked,
    };
    let note = manifest.sign(&LOG.signer).unwrap();
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    format!("{}\n", text.strip_prefix(EXPORT_CONTEXT).unwrap().trim_start())
}

/// The state of a verification that came to 768 entries.
fn state() -> String {
    let state = serde_json::json!({
        "format": "tokenvault audit state 1",
        "verifier_key": LOG.key.to_string(),
        "checkpoint": LOG.signed.sign(&LOG.signer).unwrap(),
        "entries": 768,
        "log_time_ms": 1_800_000_000_000_u64,
        "pruned_to": 256,
        "hashes": ["05".repeat(32), "06".repeat(32)],
    });
    state.to_string()
}

/// The rows of a span of one entry over and over, each behind the byte that tells which.
fn span() -> Vec<(String, Vec<u8>)> {
    let entry = Entry::decode(&goldens("vault-ledger", "entry-v1-tokenize").remove(0).1).unwrap();
    let mut builder = SpanBuilder::default();
    (0..u32::from(SUMMARY_ENTRIES) * u32::from(SPAN_RUNS)).for_each(|_| builder.push(&entry).unwrap());
    let span = builder.finish().unwrap().unwrap();
    // Of kinds what comes before the column, which is as long as there are entries.
    let parts = ["places", "requests", "items", "kinds_begun"].into_iter().zip(SpanPart::ALL);
    let row = |part| span.row(part).get(..512).unwrap_or_else(|| span.row(part));
    parts.map(|(name, part)| (name.to_owned(), [&[part as u8], row(part)].concat())).collect()
}

/// The verifier key of Go's checksum database, as it is published.
const GO_CHECKSUMS: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// One message of each kind, behind the byte that tells which.
fn requests() -> Vec<(String, Vec<u8>)> {
    let tokenize = v1::TokenizeRequest {
        region: "eu".to_owned(),
        purpose: "checkout".to_owned(),
        reference: "CASE-4711/a#2".to_owned(),
        audience: "payments".to_owned(),
        idempotency_key: "order-4711".to_owned(),
        items: ["card_number", "email", "No Class"].map(item).into(),
    };
    let detokenize = v1::DetokenizeRequest {
        region: "eu".to_owned(),
        purpose: "support".to_owned(),
        reference: String::new(),
        audience: "payments".to_owned(),
        idempotency_key: String::new(),
        items: vec![v1::DetokenizeItem {
            data_class: "card_number".to_owned(),
            token: "tok_eu_00000000000000000000000000000".to_owned(),
        }],
        level: v1::RevealLevel::BestPermitted.into(),
    };
    let query = v1::QueryAccessLogRequest {
        region: "eu".to_owned(),
        purpose: "audit".to_owned(),
        filter: Some(v1::AccessLogFilter {
            from_ms: 1_800_000_000_000,
            until_ms: 1_900_000_000_000,
            principal: "spiffe://vault.example.org/payments".to_owned(),
            action: "detokenize".to_owned(),
            decision: "allowed".to_owned(),
            data_class: "card_number".to_owned(),
            token: "tok_eu_00000000000000000000000000000".to_owned(),
            audience: "payments".to_owned(),
            purpose: "settlement".to_owned(),
            reference: "CASE-4711".to_owned(),
            reason: "TOKEN_UNKNOWN".to_owned(),
            source: "192.0.2.0/24".to_owned(),
            request_id: "0123456789abcdef0123456789abcdef".to_owned(),
        }),
        oldest_first: true,
        page_size: 100,
        ..v1::QueryAccessLogRequest::default()
    };
    let messages = [tokenize.encode_to_vec(), detokenize.encode_to_vec(), query.encode_to_vec()];
    let names = ["tokenize", "detokenize", "query"];
    let kinds = names.into_iter().zip(0_u8..).zip(messages);
    kinds.map(|((name, kind), message)| (name.to_owned(), [vec![kind], message].concat())).collect()
}

fn item(class: &str) -> v1::TokenizeItem {
    v1::TokenizeItem {
        data_class: class.to_owned(),
        value: b"4111111111111111".to_vec(),
        subject: String::new(),
        ttl_seconds: 3600,
        not_before_ms: 1_800_000_000_000,
        max_uses: 1,
    }
}

/// With `UPDATE_SEEDS=1` it writes those that are missing.
#[test]
fn the_seeds_hold_what_the_product_writes() {
    for target in &TARGETS {
        let folder = folder(target.name);
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            made(target.name).iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
        }
        let seeds = of(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (name, bytes) in made(target.name) {
            let stale = "is not what is written today: run this with UPDATE_SEEDS=1";
            assert!(seeds.get(&name) == Some(&bytes), "{}/{name} {stale}", target.name);
        }
        for (name, bytes) in &seeds {
            assert!(bytes.len() <= SEED_BYTES_MAX, "{}/{name} is longer than {SEED_BYTES_MAX} bytes", target.name);
        }
    }
}
