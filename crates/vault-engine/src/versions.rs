//! The versions of catalog and policies that were applied while the vault served: kept in the node's store, each in the
//! same commit as the entry of the node's log that says who applied it.
//!
//! # Rows of the table `versions` in the node's store, version 1
//!
//! Part 0 is the head:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version of the layout = 1 |
//! | 8 | when, ms since 1970 |
//! | 32 | fingerprint of the rules before; zeros for the first version |
//! | 32 | fingerprint of these rules |
//! | 8 | the version whose rules these are once more; 0 for none |
//! | 4 | bytes of the texts |
//! | 2, then so many | who applied it; empty for the first version, which came from the files |
//! | 1, then so many | reference; empty for none |
//!
//! The other parts are the texts, cut into pieces of 512 KiB:
//!
//! | bytes | field |
//! |---|---|
//! | 4, then so many | the catalog |
//! | 2 | number of policy files |
//! | 1, then so many; 4, then so many | each file's name and text |
//!
//! Numbers are big-endian. At most [`limits::RULES_VERSIONS_MAX`] versions and [`limits::RULES_VERSIONS_BYTES_MAX`]
//! bytes of texts are kept: the oldest go in the commit of the newest, which never goes.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock},
};

use thiserror::Error;
use vault_catalog::{Catalog, CatalogError};
use vault_domain::{Millis, PrincipalId, Reference, RulesDifference, RulesFingerprint, limits};
use vault_policy::{PolicyError, PolicySet, PolicySource, difference};
use vault_store::{
    Batch, Direction, ReadError, Reader, SCAN_BYTES_MAX,
    table::{VersionRow, Versions as Table},
};

const LAYOUT: u8 = 1;
/// Bytes of texts in one row.
const PIECE_BYTES: usize = 512 * 1024;
/// More pieces than any version has: its texts, and a few bytes for each file.
const PIECES_MAX: usize = limits::RULES_BYTES_MAX / PIECE_BYTES + 2;
const _: () = assert!(PIECES_MAX * PIECE_BYTES <= SCAN_BYTES_MAX, "the texts of a version are read at once");

/// The texts of a catalog and of the policies beside the built-in ones.
#[derive(Clone, PartialEq, Eq)]
pub struct RuleTexts {
    /// The catalog.
    pub catalog: String,
    /// The policies.
    pub policies: Vec<PolicyFile>,
}

/// A file of policies.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// What errors call it: 1 to 255 bytes.
    pub name: String,
    /// The policies in the Cedar language.
    pub text: String,
}

/// Why texts are no rules.
#[derive(Debug, Error)]
pub enum RulesError {
    /// The catalog can't be used.
    #[error("the catalog:\n{0}")]
    Catalog(#[from] CatalogError),
    /// The policies can't be used.
    #[error("the policies:\n{0}")]
    Policies(#[from] PolicyError),
}

/// What is known of a version beside its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number, from 1; none comes twice.
    pub version: u64,
    /// When it was applied.
    pub applied: Millis,
    /// The fingerprint of the rules before.
    pub before: RulesFingerprint,
    /// Its fingerprint when it was applied. A release with another schema gives the same texts another one.
    pub fingerprint: RulesFingerprint,
    /// The version whose rules these are once more.
    pub again: Option<u64>,
    /// Who applied it; None for the first one, which came from the files.
    pub principal: Option<PrincipalId>,
    /// The reference that was given.
    pub reference: Option<Reference>,
    /// Bytes of its texts.
    pub(crate) bytes: u32,
}

impl RuleTexts {
    /// The bytes of all texts and names.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let files = self.policies.iter().map(|file| file.name.len().saturating_add(file.text.len()));
        files.fold(self.catalog.len(), usize::saturating_add)
    }

    /// Reads them as rules, over the built-in policies. It takes a while: not for a thread that serves.
    ///
    /// # Errors
    /// With every fault that was found in the catalog or, if that is in order, in the policies.
    pub fn load(&self) -> Result<PolicySet, RulesError> {
        let catalog = Catalog::parse(&self.catalog)?;
        let own = self.policies.iter().map(|file| PolicySource { name: &file.name, text: &file.text });
        let sources: Vec<PolicySource<'_>> = [PolicySource::DEFAULT].into_iter().chain(own).collect();
        Ok(PolicySet::load(&sources, &catalog)?)
    }

    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.bytes());
        put_long(&mut out, &self.catalog)?;
        out.extend(u16::try_from(self.policies.len()).ok()?.to_be_bytes());
        for file in &self.policies {
            out.push(u8::try_from(file.name.len()).ok()?);
            out.extend(file.name.bytes());
            put_long(&mut out, &file.text)?;
        }
        Some(out)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Fields(bytes);
        let catalog = from.long()?.to_owned();
        let policies = (0..from.number::<2>()?)
            .map(|_| {
                let length = from.number::<1>()?;
                Some(PolicyFile { name: from.text(length)?.to_owned(), text: from.long()?.to_owned() })
            })
            .collect::<Option<_>>()?;
        from.0.is_empty().then_some(Self { catalog, policies })
    }
}

impl PolicyVersion {
    /// What names the step to it.
    #[must_use]
    pub fn difference(&self) -> RulesDifference {
        difference(self.before, self.fingerprint)
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = vec![LAYOUT];
        row.extend(self.applied.0.to_be_bytes());
        row.extend(self.before.0);
        row.extend(self.fingerprint.0);
        row.extend(self.again.unwrap_or_default().to_be_bytes());
        row.extend(self.bytes.to_be_bytes());
        // Neither is longer than its type allows: 256 and 64 bytes.
        let principal = self.principal.as_ref().map_or("", PrincipalId::as_str);
        row.extend(u16::try_from(principal.len()).unwrap_or(u16::MAX).to_be_bytes());
        row.extend(principal.bytes());
        let reference = self.reference.as_ref().map_or("", Reference::as_str);
        row.push(u8::try_from(reference.len()).unwrap_or(u8::MAX));
        row.extend(reference.bytes());
        row
    }

    fn decode(version: u64, row: &[u8]) -> Option<Self> {
        let mut from = Fields(row);
        if from.number::<1>()? != u64::from(LAYOUT) {
            return None;
        }
        let applied = Millis(from.number::<8>()?);
        let (before, fingerprint) = (RulesFingerprint(from.array()?), RulesFingerprint(from.array()?));
        let again = Some(from.number::<8>()?).filter(|again| *again > 0);
        let bytes = u32::try_from(from.number::<4>()?).ok()?;
        let length = from.number::<2>()?;
        let principal = optional(from.text(length)?, |text| PrincipalId::parse(text).ok())?;
        let length = from.number::<1>()?;
        let reference = optional(from.text(length)?, |text| Reference::parse(text).ok())?;
        let head = Self { version, applied, before, fingerprint, again, principal, reference, bytes };
        from.0.is_empty().then_some(head)
    }
}

/// The versions that are kept, by number, without their texts.
#[derive(Default)]
pub(crate) struct Versions(RwLock<BTreeMap<u64, PolicyVersion>>);

/// Why versions can't be read.
#[derive(Debug, Error)]
pub enum VersionsError {
    /// The store does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is there is not what a vault writes. With the version's number.
    #[error("version {0} of catalog and policies in the node's store is damaged")]
    Damaged(u64),
}

impl Versions {
    /// Reads what is known of the versions from the node's store.
    pub(crate) async fn open(reader: &Reader) -> Result<Self, VersionsError> {
        let snapshot = reader.snapshot();
        let everything: (Bound<VersionRow>, Bound<VersionRow>) = (Bound::Unbounded, Bound::Unbounded);
        let first = snapshot.scan(Table, everything, Direction::Forward, 1).await?;
        let (Some(first), Some(last)) = (first.last_key(), snapshot.last_key(Table).await?) else {
            return Ok(Self::default());
        };
        // More are never kept, and they have no gaps.
        let most = u64::try_from(limits::RULES_VERSIONS_MAX).unwrap_or(u64::MAX);
        let first = first.version.max(last.version.saturating_sub(most));
        let numbers: Vec<u64> = (first..=last.version).collect();
        let keys: Vec<VersionRow> = numbers.iter().map(|version| head(*version)).collect();
        let rows = snapshot.get_many(Table, &keys).await?;
        let mut versions = BTreeMap::new();
        for (version, row) in numbers.into_iter().zip(rows.iter()) {
            let read = row.and_then(|row| PolicyVersion::decode(version, row));
            versions.insert(version, read.ok_or(VersionsError::Damaged(version))?);
        }
        Ok(Self(RwLock::new(versions)))
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<u64, PolicyVersion>) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest, which serves unless the rules come from files.
    pub(crate) fn newest(&self) -> Option<PolicyVersion> {
        self.read(|versions| versions.last_key_value().map(|(_, newest)| newest.clone()))
    }

    pub(crate) fn get(&self, version: u64) -> Option<PolicyVersion> {
        self.read(|versions| versions.get(&version).cloned())
    }

    /// At most `most`, newest first, all of them older than `before` if that is given.
    pub(crate) fn list(&self, before: Option<u64>, most: usize) -> Vec<PolicyVersion> {
        let until = before.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|versions| {
            versions.range((Bound::Unbounded, until)).rev().take(most).map(|(_, version)| version.clone()).collect()
        })
    }

    /// Puts a new version into a batch, and the end of those that are too many. To be told to
    /// [`keep`](Self::keep) when the batch is committed. None: the texts are too long.
    pub(crate) fn put(&self, version: &mut PolicyVersion, texts: &RuleTexts, batch: &mut Batch) -> Option<()> {
        let encoded = texts.encode().filter(|_| texts.bytes() <= limits::RULES_BYTES_MAX)?;
        version.bytes = u32::try_from(encoded.len()).ok()?;
        batch.put(Table, &head(version.version), &version.encode());
        for (part, piece) in (1..).zip(encoded.chunks(PIECE_BYTES)) {
            batch.put(Table, &VersionRow { version: version.version, part }, piece);
        }
        let first = self.first_kept(version);
        if let Some(oldest) = self.read(|versions| versions.first_key_value().map(|(oldest, _)| *oldest))
            && oldest < first
        {
            batch.delete_range(Table, &head(oldest)..&head(first));
        }
        Some(())
    }

    /// Remembers a version that is on disk, and forgets those that went with it.
    pub(crate) fn keep(&self, version: PolicyVersion) {
        let first = self.first_kept(&version);
        let mut versions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|number, _| *number >= first);
        versions.insert(version.version, version);
    }

    /// The oldest version that stays when `newest` comes.
    fn first_kept(&self, newest: &PolicyVersion) -> u64 {
        self.read(|versions| {
            let mut bytes = newest.bytes as usize;
            let stays = |(_, version): &(&u64, &PolicyVersion)| {
                bytes = bytes.saturating_add(version.bytes as usize);
                bytes <= limits::RULES_VERSIONS_BYTES_MAX
            };
            let kept = versions.iter().rev().take(limits::RULES_VERSIONS_MAX - 1).take_while(stays);
            kept.last().map_or(newest.version, |(number, _)| *number)
        })
    }
}

/// Reads the texts of a version.
pub(crate) async fn texts(reader: &Reader, version: &PolicyVersion) -> Result<RuleTexts, VersionsError> {
    let row = |part| VersionRow { version: version.version, part };
    let range = (Bound::Included(row(1)), Bound::Included(row(u32::MAX)));
    let pieces = reader.snapshot().scan(Table, range, Direction::Forward, PIECES_MAX).await?;
    let bytes: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.iter().copied()).collect();
    let whole = bytes.len() == version.bytes as usize;
    whole.then(|| RuleTexts::decode(&bytes)).flatten().ok_or(VersionsError::Damaged(version.version))
}

fn head(version: u64) -> VersionRow {
    VersionRow { version, part: 0 }
}

fn put_long(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
    out.extend(text.bytes());
    Some(())
}

/// Nothing for an empty text; None if it is another text than `parse` takes.
fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { parse(text).map(Some) }
}

/// What is left to read of a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A number of so many bytes.
    fn number<const N: usize>(&mut self) -> Option<u64> {
        let bytes: [u8; N] = self.array()?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn text(&mut self, length: u64) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }

    fn long(&mut self) -> Option<&'a str> {
        let length = self.number::<4>()?;
        self.text(length)
    }
}

#[cfg(test)]
mod tests;
