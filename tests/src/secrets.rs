//! What must never be seen: every value that a test has sent and every token that it was given, looked for wherever
//! they could have leaked to.
#![allow(clippy::expect_used, reason = "a harness fails its test by panicking")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use regex::bytes::{Regex, RegexBuilder};

/// Shorter texts would be found by chance.
const BYTES_MIN: usize = 8;
/// The part of a long secret that is looked for.
const BYTES_SEARCHED: usize = 48;
/// Texts with less variety (`00000000`) would be found by chance.
const VARIETY_MIN: usize = 4;

/// The secrets of one test. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Arc<Mutex<BTreeSet<Vec<u8>>>>);

impl Secrets {
    /// From now on `secret` must not be found anywhere.
    pub fn plant(&self, secret: &[u8]) {
        let secret = &secret[..secret.len().min(BYTES_SEARCHED)];
        let variety = secret.iter().collect::<BTreeSet<_>>().len();
        if secret.len() >= BYTES_MIN && variety >= VARIETY_MIN {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_vec());
        }
    }

    /// How many are looked for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Finds any of them, as it is or in the forms that programs write bytes in: hex and lists of numbers.
    #[must_use]
    pub fn search(&self) -> Search {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let pattern = if forms.is_empty() { "[^\\x00-\\xff]".to_owned() } else { forms.join("|") };
        let regex = RegexBuilder::new(&pattern).unicode(false).size_limit(1 << 30).build();
        Search(regex.expect("a pattern of literals"))
    }
}

/// Looks for secrets.
#[derive(Debug)]
pub struct Search(Regex);

impl Search {
    /// The first secret in `bytes`, with what stands around it.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        let found = self.0.find(bytes)?;
        let around = found.start().saturating_sub(80)..bytes.len().min(found.end() + 80);
        Some(String::from_utf8_lossy(&bytes[around]).into_owned())
    }

    /// The first file below `directory` that holds a secret, and the bytes of all files that were read.
    #[must_use]
    pub fn find_below(&self, directory: &Path) -> (Option<String>, u64) {
        let (mut folders, mut read) = (vec![directory.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                // A running engine deletes files that it does not need any more.
                let Ok(bytes) = fs::read(&path) else { continue };
                read += bytes.len() as u64;
                if let Some(found) = self.find(&bytes) {
                    return (Some(format!("{}: {found}", path.display())), read);
                }
            }
        }
        (None, read)
    }
}

/// The texts under which bytes could appear, as patterns.
fn forms(secret: &[u8]) -> [String; 4] {
    let mut forms: [String; 4] = Default::default();
    for (at, byte) in secret.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", ?" };
        let written = [
            write!(forms[0], "\\x{byte:02x}"),
            write!(forms[1], "{byte:02x}"),
            write!(forms[2], "{byte:02X}"),
            write!(forms[3], "{comma}{byte}"),
        ];
        assert!(written.iter().all(Result::is_ok));
    }
    forms
}
