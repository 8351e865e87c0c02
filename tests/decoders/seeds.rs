//! Good encodings to begin with: the golden files of the crates, and texts as they are published.

use std::{fs, path::Path};

use vault_domain::LogIndex;
use vault_ledger::{LogProof, TreeHash};
use vault_policy::PolicySource;

/// The golden files of vault-ledger whose names begin so.
pub(crate) fn ledger(beginning: &str) -> Vec<Vec<u8>> {
    goldens("vault-ledger", beginning)
}

/// The golden files of vault-keys whose names begin so.
pub(crate) fn keys(beginning: &str) -> Vec<Vec<u8>> {
    goldens("vault-keys", beginning)
}

fn goldens(package: &str, beginning: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(package).join("goldens");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let mut files: Vec<_> = files.filter(|file| file.file_name().to_str().unwrap().starts_with(beginning)).collect();
    // The order of a folder is nobody's promise, and a seed should mean the same run everywhere.
    files.sort_by_key(fs::DirEntry::file_name);
    assert!(!files.is_empty(), "there is no golden file {package}/{beginning}*");
    files.iter().map(|file| from_hex(&fs::read_to_string(file.path()).unwrap())).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

/// The signed checkpoint among the golden files.
pub(crate) fn checkpoint() -> String {
    String::from_utf8(ledger("checkpoint").remove(0)).unwrap()
}

/// A proof file.
pub(crate) fn proof() -> Vec<u8> {
    let entry = ledger("entry-v1-tokenize").remove(0);
    let hashes = (0..5).map(|byte| TreeHash([byte; 32])).collect();
    let proof = LogProof { entry: Some(entry), index: LogIndex(3), hashes, checkpoint: checkpoint() };
    proof.text().into_bytes()
}

/// Names of logs, and a verifier key: that of Go's checksum database, as it is published.
pub(crate) fn names() -> Vec<Vec<u8>> {
    let names = ["vault.example/audit/eu/1", "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"];
    names.map(|name| name.as_bytes().to_vec()).into()
}

/// Opaque tokens.
pub(crate) fn tokens() -> Vec<Vec<u8>> {
    let mut tokens = keys("token");
    tokens.push(b"tok_eu_0abcdefghijklmnopqrstuvABCDEF".to_vec());
    tokens.push(b"tok_ap-south-1_a0000000000000000000000000000".to_vec());
    tokens
}

/// The built-in policies.
pub(crate) fn policies() -> Vec<u8> {
    PolicySource::DEFAULT.text.as_bytes().to_vec()
}
