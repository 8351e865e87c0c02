//! The deny-list from a file: access tokens that are not accepted any more though their issuer still vouches for them.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use super::file;

/// The largest file: 100,000 tokens of 80 bytes each.
const BYTES_MAX: usize = 8 << 20;

/// Tokens by the names of their issuers and their `jti`.
type List = HashMap<Box<str>, HashSet<Box<str>>>;

/// The list, and the file that it is read from.
pub(super) struct Denied {
    path: PathBuf,
    /// The names of the issuers that there are: a line with another one would deny nothing.
    issuers: Box<[Box<str>]>,
    list: RwLock<List>,
}

impl Denied {
    /// Reads the file. Fails with what is wrong with it: a list that was not understood protects nobody.
    pub(super) fn open(path: &Path, issuers: Box<[Box<str>]>) -> Result<Arc<Self>, String> {
        let missing = |error: io::Error| format!("{error}; make an empty file if no token is denied");
        let list = parse(&file::read(path, BYTES_MAX).map_err(missing)?, &issuers)?;
        Ok(Arc::new(Self { path: path.to_owned(), issuers, list: RwLock::new(list) }))
    }

    /// Reads the file again whenever it changes. One that can't be understood leaves the list as it was.
    pub(super) async fn keep(self: Arc<Self>) {
        file::watch(self.path.clone(), BYTES_MAX, |bytes| match parse(&bytes, &self.issuers) {
            Ok(list) => {
                let tokens: usize = list.values().map(HashSet::len).sum();
                tracing::info!(tokens, "the file of denied access tokens was read");
                *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
            }
            Err(problem) => tracing::error!(problem, "identity.denied_file can't be used; the list before counts"),
        })
        .await;
    }

    /// Whether a token is on the list.
    pub(super) fn holds(&self, issuer: &str, jti: &str) -> bool {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.get(issuer).is_some_and(|tokens| tokens.contains(jti))
    }
}

/// Reads lines of an issuer's name, blanks and a `jti`; empty lines and those that begin with `#` say nothing. Of a
/// `jti` that begins or ends with blanks both forms count: to deny one token too many does less harm.
fn parse(bytes: &[u8], issuers: &[Box<str>]) -> Result<List, String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes: remove tokens that have expired"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut list = List::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(' ').filter(|(issuer, jti)| !issuer.is_empty() && !jti.trim().is_empty());
        let Some((issuer, jti)) = parts else {
            return Err(format!("line {}: write the issuer's name, a space and the token's jti", at + 1));
        };
        if !issuers.iter().any(|known| **known == *issuer) {
            return Err(format!("line {}: no issuer has this name: write one of the file of issuers", at + 1));
        }
        list.entry(issuer.into()).or_default().extend([jti.into(), jti.trim().into()]);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_understood_to_its_last_line_or_not_at_all() {
        let issuers = ["idp".into(), "other".into()];
        let list = parse(b"# stolen on Monday\nidp a b\n \nidp c\nother a b\n", &issuers).unwrap();
        assert!(list["idp"].contains("a b") && list["idp"].contains("c") && list["other"].contains("a b"));
        for careless in ["idp stolen \n", "idp  stolen\n", "\u{feff}idp stolen\n", "idp stolen\r\n"] {
            assert!(parse(careless.as_bytes(), &issuers).unwrap()["idp"].contains("stolen"), "{careless:?}");
        }
        for bad in [b"idp".as_slice(), b"idp ", b" a", b"idp a\nidp\n", b"\xff", b"ipd a", b"idp   "] {
            assert!(parse(bad, &issuers).is_err());
        }
    }
}
