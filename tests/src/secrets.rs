//! What must never be seen: every value that a test has sent and every token that it was given, looked for wherever
//! they could have leaked to.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Shorter texts would be found by chance.
const BYTES_MIN: usize = 8;
/// The part of a long secret that is looked for.
const BYTES_SEARCHED: usize = 48;
/// Texts with less variety (`00000000`) would be found by chance.
const VARIETY_MIN: usize = 4;
/// Bits of the filter that most places of a text do not pass.
const FILTER_BITS: u32 = 18;

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
        let mut search = Search { filter: vec![false; 1 << FILTER_BITS], forms: HashMap::new() };
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            let start = u64::from_le_bytes(*form.first_chunk().expect("no form is shorter than a secret"));
            search.filter[slot(start)] = true;
            search.forms.entry(start).or_default().push(form);
        }
        search
    }
}

/// Looks for secrets: by their first eight bytes, and then by all of them.
#[derive(Debug)]
pub struct Search {
    filter: Vec<bool>,
    forms: HashMap<u64, Vec<Vec<u8>>>,
}

impl Search {
    /// The first secret in `bytes`, with what stands around it.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        for (at, start) in bytes.array_windows().enumerate() {
            let start = u64::from_le_bytes(*start);
            if !self.filter[slot(start)] {
                continue;
            }
            let Some(forms) = self.forms.get(&start) else { continue };
            if let Some(form) = forms.iter().find(|form| bytes[at..].starts_with(form)) {
                let around = at.saturating_sub(80)..bytes.len().min(at + form.len() + 80);
                return Some(String::from_utf8_lossy(&bytes[around]).into_owned());
            }
        }
        None
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

/// The place of a text's first eight bytes in the filter.
fn slot(start: u64) -> usize {
    let hash = start.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - FILTER_BITS);
    usize::try_from(hash).unwrap_or_default()
}

/// The texts under which bytes could appear: themselves, hex in both cases, a list of numbers with and without spaces.
fn forms(secret: &[u8]) -> [Vec<u8>; 5] {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
    let (spaced, dense) = (numbers.join(", "), numbers.join(","));
    [secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), spaced.into_bytes(), dense.into_bytes()]
}
