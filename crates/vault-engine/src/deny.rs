//! Access tokens that are not accepted any more though their issuer still vouches for them: kept in the node's store,
//! in the same commit as the entry of the node's log that says who denied them.
//!
//! # Layout of a row of the table `meta` in the node's store, version 1
//!
//! Key: `deny.` and the first 13 bytes of SHA-256(issuer ‖ 0x00 ‖ jti) in hex.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 8 | until when, ms since 1970 |
//! | 9 | 1, then so many | the issuer's name in the vault |
//! | … | 1, then so many | the token's `jti` |
//! | … | 1, then so many | reference; empty for none |

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ops::Bound,
    sync::{PoisonError, RwLock},
};

use vault_crypto::sha256;
use vault_domain::{Action, Millis, Reference, limits};
use vault_store::{
    Batch, Direction, Reader,
    table::{Meta, TextKey},
};

use crate::{Engine, call::Call, error::Error, open::OpenError, operate::Deed};

const VERSION: u8 = 1;
/// What keys begin with, and the first text behind all of them.
const FIRST_KEY: &str = "deny.";
const BEHIND_KEYS: &str = "deny/";
/// Bytes of the hash in a key.
const KEY_HASH_BYTES: usize = 13;
/// Rows that are read at once.
const SCAN_ROWS: usize = 4096;

/// An access token, by its issuer's name in the vault and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessTokenName {
    /// The issuer's name in the file of issuers.
    pub issuer: Box<str>,
    /// The token's `jti`.
    pub jti: Box<str>,
}

/// Until when a token is denied, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// From then on the token has expired by itself.
    pub until: Millis,
    /// The reference that was given.
    pub reference: Option<Reference>,
}

/// The deny-list in memory.
#[derive(Default)]
pub(crate) struct DenyList(RwLock<BTreeMap<AccessTokenName, Denial>>);

impl DenyList {
    /// Reads the list from the node's store.
    pub(crate) async fn open(reader: &Reader) -> Result<Self, OpenError> {
        let mut list = BTreeMap::new();
        let (Some(mut from), Some(end)) = (TextKey::new(FIRST_KEY), TextKey::new(BEHIND_KEYS)) else {
            return Ok(Self::default());
        };
        let snapshot = reader.snapshot();
        loop {
            let range = (Bound::Excluded(from.clone()), Bound::Excluded(end.clone()));
            let rows = snapshot.scan(Meta, range, Direction::Forward, SCAN_ROWS).await?;
            for (_, row) in rows.iter() {
                let (name, denial) = decode(row).ok_or(OpenError::DenialUnreadable)?;
                list.insert(name, denial);
            }
            match rows.last_key() {
                Some(last) if rows.more() => from = last.clone(),
                _ => return Ok(Self(RwLock::new(list))),
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<AccessTokenName, Denial>) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Whether a token is denied now.
    #[must_use]
    pub fn is_denied(&self, issuer: &str, jti: &str) -> bool {
        let now = self.clock.wall();
        self.denied.read(|list| {
            let name = || AccessTokenName { issuer: issuer.into(), jti: jti.into() };
            !list.is_empty() && list.get(&name()).is_some_and(|denial| denial.until > now)
        })
    }

    /// Denies access tokens from now on, each with an entry in the node's log that names it. What is denied already is
    /// denied no shorter than before. Denials that are over are dropped from the store.
    ///
    /// # Errors
    /// When the caller may not, which is in the node's log, or when the log takes no entries: those before are denied
    /// then.
    pub async fn deny_access_tokens(&self, call: &Call, tokens: Vec<(AccessTokenName, Denial)>) -> Result<(), Error> {
        let mut operation = self.admit_to_node(call, Action::DenyAccessToken).await?;
        if self.denied.read(BTreeMap::len).saturating_add(tokens.len()) > limits::DENIED_TOKENS_MAX {
            let full = Error::field("tokens", "would make the deny-list longer than 100000 tokens");
            return Err(operation.refuse(full).await);
        }
        let policy_set = self.rules().policies.fingerprint();
        for (name, mut denial) in tokens {
            call.check_deadline(&*self.clock)?;
            let before = self.denied.read(|list| list.get(&name).map(|denial| denial.until));
            denial.until = denial.until.max(before.unwrap_or_default());
            let now = self.clock.wall();
            let over: Vec<AccessTokenName> = self.denied.read(|list| {
                let over = list.iter().filter(|(_, denial)| denial.until <= now);
                over.map(|(name, _)| name.clone()).take(SCAN_ROWS).collect()
            });
            let mut batch = Batch::default();
            over.iter().filter_map(key).for_each(|key| batch.delete(Meta, &key));
            if let Some(key) = key(&name) {
                batch.put(Meta, &key, &encode(&name, &denial));
            }
            operation.conclude(policy_set, Deed { reference: reference_to(&name), batch, ..Deed::default() }).await?;
            let mut list = self.denied.0.write().unwrap_or_else(PoisonError::into_inner);
            over.iter().for_each(|name| drop(list.remove(name)));
            list.insert(name, denial);
        }
        Ok(())
    }

    /// Lists the tokens that are denied now, at most `most` behind `after`, by name. To ask is an entry of the node's
    /// log.
    ///
    /// # Errors
    /// When the caller may not, which is in the node's log, or when the log takes no entries.
    pub async fn denied_access_tokens(
        &self,
        call: &Call,
        after: Option<AccessTokenName>,
        most: usize,
    ) -> Result<Vec<(AccessTokenName, Denial)>, Error> {
        let mut operation = self.admit_to_node(call, Action::ListDenied).await?;
        let now = self.clock.wall();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = self.denied.read(|list| {
            let rows = list.range((from, Bound::Unbounded)).filter(|(_, denial)| denial.until > now);
            rows.take(most).map(|(name, denial)| (name.clone(), denial.clone())).collect()
        });
        operation.conclude(self.rules().policies.fingerprint(), Deed::default()).await?;
        call.check_deadline(&*self.clock)?;
        Ok(listed)
    }
}

fn hash(name: &AccessTokenName) -> String {
    let digest = sha256(&[name.issuer.as_bytes(), &[0], name.jti.as_bytes()]);
    let mut hex = String::new();
    for byte in digest.iter().take(KEY_HASH_BYTES) {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn key(name: &AccessTokenName) -> Option<TextKey> {
    TextKey::new(&format!("{FIRST_KEY}{}", hash(name)))
}

/// What the log calls a token: its names where they can be a reference, their hash otherwise.
fn reference_to(name: &AccessTokenName) -> Option<Reference> {
    let plain = Reference::parse(&format!("{}:{}", name.issuer, name.jti));
    plain.or_else(|_| Reference::parse(&format!("{}#{}", name.issuer, hash(name)))).ok()
}

fn encode(name: &AccessTokenName, denial: &Denial) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(denial.until.0.to_be_bytes());
    let reference = denial.reference.as_ref().map_or("", Reference::as_str);
    for text in [&*name.issuer, &*name.jti, reference] {
        // None of them is longer than 255 bytes: the door has seen to it.
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        row.push(length);
        row.extend(text.bytes().take(usize::from(length)));
    }
    row
}

fn decode(row: &[u8]) -> Option<(AccessTokenName, Denial)> {
    let (version, row) = row.split_first()?;
    let (until, mut rest) = row.split_first_chunk()?;
    let mut text = || {
        let (length, behind) = rest.split_first()?;
        let (text, behind) = behind.split_at_checked(usize::from(*length))?;
        rest = behind;
        std::str::from_utf8(text).ok()
    };
    let (issuer, jti, reference) = (text()?, text()?, text()?);
    let reference = if reference.is_empty() { None } else { Some(Reference::parse(reference).ok()?) };
    let name = AccessTokenName { issuer: issuer.into(), jti: jti.into() };
    let denial = Denial { until: Millis(u64::from_be_bytes(*until)), reference };
    (*version == VERSION && rest.is_empty()).then_some((name, denial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_read_as_it_was_written_and_half_of_it_is_not() {
        let name = AccessTokenName { issuer: "idp".into(), jti: "j".repeat(128).into() };
        let denial = Denial { until: Millis(7), reference: Reference::parse("CASE-1").ok() };
        let row = encode(&name, &denial);
        assert_eq!(decode(&row), Some((name.clone(), denial)));
        assert!((0..row.len()).all(|length| decode(&row[..length]).is_none()));
        assert!(key(&name).is_some());
        assert!(reference_to(&name).unwrap().as_str().starts_with("idp#"));
    }
}
