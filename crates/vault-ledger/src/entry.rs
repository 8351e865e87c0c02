//! One attempt as the log holds it: canonical bytes, of which the leaf hash is taken.
//!
//! An entry has an open part, which every reader of the log may see, and a part about people (who asked, from where),
//! which is sealed for its tenant: the leaf hash covers the ciphertext, so that losing a key breaks no proof. No value
//! and no token is ever written, not even as a plain hash.
//!
//! # Layout, version 1
//!
//! All integers are big-endian. `text8` is a length byte and as many bytes of UTF-8; `compact` is the number format of
//! the `bytes` module (1 to 8 bytes, shortest form).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 6 | log time, ms since 1970; never less than that of the entry before; set last, by [`patch_log_time`] |
//! | 7 | 6 | wall time, ms since 1970, when the attempt was decided |
//! | 13 | 16 | salt: random, so that the leaf hash of a pruned entry can't be guessed |
//! | 29 | 1 | action |
//! | 30 | 1 | decision |
//! | 31 | 2 | reason for the whole call; 0 for none |
//! | 33 | 16 | request id |
//! | 49 | 16 | trace id; zeros for none |
//! | 65 | 4 | count: attempts that the entry stands for, at least 1 |
//! | 69 | text8 | purpose; empty for none |
//! | | text8 | audience; empty for none |
//! | | 8 | fingerprint of the policy set that decided |
//! | | 1 | number of policies |
//! | | text8 each | ids of the policies that decided |
//! | | 2 | number of groups |
//! | | groups | see below |
//! | | 8 | tenant tag; zeros unless the people part is sealed |
//! | | 8 | principal tag; zeros unless the people part is sealed |
//! | | 1 | people part: 0 none, 1 sealed, 2 clear (log of a node, and prunings) |
//! | | 4, 8, 12 | if sealed: key version, epoch id, nonce |
//! | | 2, n | if sealed: length and ciphertext with its tag; if clear: length and people body ([`People`]) |
//!
//! A group is what happened alike to items of one data class:
//!
//! | bytes | field |
//! |---|---|
//! | text8 | data class |
//! | 2 | outcome: 0 done, 0x8000 done with masks of the values, else the reason |
//! | 4 | items, at least 1 and at least as many as are listed |
//! | 2 | number of runs of record numbers, in the order of the items |
//! | compact, once or twice each | the runs, as the module `numbers` lays them out: at most 8 bytes for each number |
//! | 2 | number of token hashes, for items that have no record, in the order of the items |
//! | 16 each | keyed hash of the token |
//!
//! # Size
//!
//! At most 65,535 bytes, which is what an entry bundle of c2sp.org/tlog-tiles can hold. Head, 255 policies and people
//! part never take more than 17,852 bytes together; a group takes at most 75 and an item at most 16. Hence 1000 items
//! in [`GROUPS_ALWAYS_FIT`] groups always fit, whatever their contents; 1000 groups of the longest class names do not
//! (at least 75,000 bytes), and [`EntryBuilder::group`] then refuses the group that would be too much and keeps what it
//! has.

mod build;
mod ids;
mod numbers;
mod people;

use std::num::NonZeroU32;

use vault_domain::{Action, Audience, DataClass, Decision, Millis, Purpose, Reason, RequestId, limits};

use crate::{bytes::Reader, error::LedgerError};

pub use build::{EntryBuilder, GROUPS_ALWAYS_FIT};
pub use ids::{
    CertificateSha256, EntrySalt, Issuer, POLICY_ID_BYTES_MAX, PolicyId, PolicySetFingerprint, PrincipalTag, TenantTag,
    TokenHash, TraceId,
};
pub use numbers::{NumberRun, NumberRuns};
pub(crate) use people::source_and_reference;
pub use people::{
    CIPHERTEXT_BYTES_MAX, EntryOpener, EntrySealer, Matter, PEOPLE_BYTES_MAX, People, PeopleSlice, Pruning, SealedPart,
    SealedPeople,
};

/// The version that is written, and the only one that is read.
pub const ENTRY_VERSION: u8 = 1;
/// Where the log time stands.
const LOG_TIME_OFFSET: usize = 1;
/// Values of the byte that tells the form of the people part.
const PEOPLE_NONE: u8 = 0;
const PEOPLE_SEALED: u8 = 1;
const PEOPLE_CLEAR: u8 = 2;
/// Outcomes that are no reasons.
const OUTCOME_DONE: u16 = 0;
const OUTCOME_MASKED: u16 = 0x8000;

/// One entry, decoded. [`Entry::decode`] and [`Entry::encode`] are each other's inverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The log's own time, which never runs backwards from one entry to the next.
    pub log_time: Millis,
    /// What concerns the call as a whole.
    pub head: EntryHead,
    /// The policies that decided.
    pub policies: Vec<PolicyId>,
    /// What happened to the items.
    pub groups: Vec<Group>,
    /// Who asked.
    pub people: SealedPart,
}

/// The open fields of an entry that concern the call as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The wall clock when the attempt was decided; it may have jumped.
    pub wall_time: Millis,
    /// Fresh random bytes for each entry.
    pub salt: EntrySalt,
    /// What was attempted.
    pub action: Action,
    /// How it ended.
    pub decision: Decision,
    /// Why the call as a whole was refused, if it was.
    pub reason: Option<Reason>,
    /// The id of the request.
    pub request_id: RequestId,
    /// The trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// How many attempts the entry stands for: more than 1 for aggregated refusals.
    pub count: NonZeroU32,
    /// The declared purpose.
    pub purpose: Option<Purpose>,
    /// The audience in whose name the call was made.
    pub audience: Option<Audience>,
    /// The policy set that decided.
    pub policy_set: PolicySetFingerprint,
}

/// Items of one data class that ended alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their data class.
    pub class: DataClass,
    /// How they ended.
    pub outcome: Outcome,
    /// How many items: the listed ones and those that are only counted.
    pub items: u32,
    /// The records of those that have one, in the order of the items.
    pub numbers: NumberRuns,
    /// Keyed hashes of the tokens of those that have none, in the order of the items.
    pub token_hashes: Vec<TokenHash>,
}

/// How items ended. Numbers of reasons stay below that of [`Outcome::Masked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// They were done: made, described, or revealed in full.
    Done,
    /// Masks of their values were revealed.
    Masked,
    /// They were refused.
    Refused(Reason),
}

impl Outcome {
    /// Why the items were refused, if they were.
    #[must_use]
    pub fn refused(self) -> Option<Reason> {
        match self {
            Self::Done | Self::Masked => None,
            Self::Refused(reason) => Some(reason),
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Done => OUTCOME_DONE,
            Self::Masked => OUTCOME_MASKED,
            Self::Refused(reason) => reason as u16,
        }
    }
}

impl Group {
    /// Whether no more items are listed than there are, and there is one.
    fn count_is_plausible(&self) -> bool {
        let listed = self.numbers.total().saturating_add(self.token_hashes.len() as u64);
        self.items > 0 && listed <= u64::from(self.items)
    }
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// When a byte is missing, left over or not canonical, or the version is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        if bytes.len() > limits::ENTRY_BYTES_MAX {
            return Err(LedgerError::EntryTooLarge);
        }
        let mut from = Reader::new("an entry", bytes);
        from.version(ENTRY_VERSION)?;
        let log_time = Millis(from.u48()?);
        let head = read_head(&mut from)?;
        let policies = (0..from.u8()?).map(|_| PolicyId::parse(from.text8("policy")?)).collect::<Result<_, _>>()?;
        let groups = (0..from.u16()?).map(|_| read_group(&mut from)).collect::<Result<_, _>>()?;
        let people = read_people(&mut from)?;
        from.finish()?;
        Ok(Self { log_time, head, policies, groups, people })
    }

    /// Writes the entry.
    ///
    /// # Errors
    /// When it would be too large, or a field holds more than its place in the layout.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let mut builder = EntryBuilder::new(&self.head, &self.policies)?;
        for group in &self.groups {
            builder.decoded_group(group)?;
        }
        let mut bytes = builder.finish(&self.people)?;
        patch_log_time(&mut bytes, self.log_time)?;
        Ok(bytes)
    }
}

/// Sets the log time of an encoded entry, once its place in the log is known.
///
/// # Errors
/// When the bytes are no entry of this version, or the time needs more than 48 bits.
pub fn patch_log_time(entry: &mut [u8], time: Millis) -> Result<(), LedgerError> {
    let [0, 0, time @ ..] = time.0.to_be_bytes() else {
        return Err(LedgerError::FieldInvalid { field: "log time" });
    };
    log_time(entry)?;
    let field = entry.get_mut(LOG_TIME_OFFSET..).and_then(<[u8]>::first_chunk_mut);
    *field.ok_or(LedgerError::Truncated { what: "an entry" })? = time;
    Ok(())
}

/// The log time of an encoded entry, without decoding the rest.
///
/// # Errors
/// When the bytes are no entry of this version.
pub fn log_time(entry: &[u8]) -> Result<Millis, LedgerError> {
    let mut from = Reader::new("an entry", entry);
    from.version(ENTRY_VERSION)?;
    from.u48().map(Millis)
}

/// The salt and the sealed people part of an encoded entry, without decoding the rest; `None` if it is not sealed.
///
/// # Errors
/// When the bytes are no entry of this version.
pub fn sealed_part(entry: &[u8]) -> Result<Option<(EntrySalt, PeopleSlice<'_>)>, LedgerError> {
    let mut from = Reader::new("an entry", entry);
    from.version(ENTRY_VERSION)?;
    // Log time and wall time.
    from.take(6 + 6)?;
    let salt = EntrySalt(from.array()?);
    // Action, decision, reason, request id, trace id and count.
    from.take(1 + 1 + 2 + 16 + 16 + 4)?;
    // Purpose and audience, the fingerprint of the policies and their names.
    skip_text8(&mut from)?;
    skip_text8(&mut from)?;
    from.take(8)?;
    for _ in 0..from.u8()? {
        skip_text8(&mut from)?;
    }
    for _ in 0..from.u16()? {
        skip_text8(&mut from)?;
        // Outcome and items.
        from.take(2 + 4)?;
        NumberRuns::skip(&mut from)?;
        let hashes = from.u16()?;
        from.take(16 * usize::from(hashes))?;
    }
    let tags = (TenantTag(from.array()?), PrincipalTag(from.array()?));
    if from.u8()? == PEOPLE_SEALED { Ok(Some((salt, SealedPeople::read(tags, &mut from)?))) } else { Ok(None) }
}

fn skip_text8(from: &mut Reader<'_>) -> Result<(), LedgerError> {
    let length = from.u8()?;
    from.take(length.into()).map(drop)
}

/// What an encoded entry says was attempted, and how that ended, without decoding the rest.
///
/// # Errors
/// When the bytes are no entry of this version, or the numbers are of no action or decision.
pub fn action_and_decision(entry: &[u8]) -> Result<(Action, Decision), LedgerError> {
    let invalid = |field| LedgerError::FieldInvalid { field };
    let mut from = Reader::new("an entry", entry);
    from.version(ENTRY_VERSION)?;
    // Log time, wall time and salt.
    from.take(6 + 6 + 16)?;
    let action = Action::from_number(from.u8()?).ok_or(invalid("action"))?;
    Ok((action, Decision::from_number(from.u8()?).ok_or(invalid("decision"))?))
}

/// Everything from the wall time to the fingerprint of the policy set.
fn read_head(from: &mut Reader<'_>) -> Result<EntryHead, LedgerError> {
    let invalid = |field| LedgerError::FieldInvalid { field };
    Ok(EntryHead {
        wall_time: Millis(from.u48()?),
        salt: EntrySalt(from.array()?),
        action: Action::from_number(from.u8()?).ok_or(invalid("action"))?,
        decision: Decision::from_number(from.u8()?).ok_or(invalid("decision"))?,
        reason: read_reason(from, "reason")?,
        request_id: RequestId(from.array()?),
        trace_id: TraceId::new(from.array()?),
        count: NonZeroU32::new(from.u32()?).ok_or(invalid("count"))?,
        purpose: read_name(from.text8("purpose")?, Purpose::parse, "purpose")?,
        audience: read_name(from.text8("audience")?, Audience::parse, "audience")?,
        policy_set: PolicySetFingerprint(from.array()?),
    })
}

fn read_group(from: &mut Reader<'_>) -> Result<Group, LedgerError> {
    let class = DataClass::parse(from.text8("data class")?);
    let outcome = match from.u16()? {
        OUTCOME_DONE => Outcome::Done,
        OUTCOME_MASKED => Outcome::Masked,
        number => Outcome::Refused(Reason::from_number(number).ok_or(LedgerError::FieldInvalid { field: "outcome" })?),
    };
    let items = from.u32()?;
    let numbers = NumberRuns::read(from)?;
    let hashes = from.u16()?;
    let token_hashes = (0..hashes).map(|_| from.array().map(TokenHash)).collect::<Result<_, _>>()?;
    let class = class.map_err(|_| LedgerError::FieldInvalid { field: "data class" })?;
    let group = Group { class, outcome, items, numbers, token_hashes };
    if group.count_is_plausible() { Ok(group) } else { Err(LedgerError::FieldInvalid { field: "items" }) }
}

fn read_people(from: &mut Reader<'_>) -> Result<SealedPart, LedgerError> {
    let (tenant_tag, principal_tag) = (TenantTag(from.array()?), PrincipalTag(from.array()?));
    let form = from.u8()?;
    if form != PEOPLE_SEALED && (tenant_tag, principal_tag) != (TenantTag([0; 8]), PrincipalTag([0; 8])) {
        return Err(LedgerError::FieldInvalid { field: "tags without a sealed part" });
    }
    match form {
        PEOPLE_NONE => Ok(SealedPart::None),
        PEOPLE_SEALED => Ok(SealedPart::Sealed(SealedPeople::read((tenant_tag, principal_tag), from)?.into_owned())),
        PEOPLE_CLEAR => {
            let length = from.u16()?.into();
            Ok(SealedPart::Clear(Box::new(People::decode(from.take(length)?)?)))
        }
        _ => Err(LedgerError::FieldInvalid { field: "form of the people part" }),
    }
}

fn read_reason(from: &mut Reader<'_>, field: &'static str) -> Result<Option<Reason>, LedgerError> {
    match from.u16()? {
        0 => Ok(None),
        number => Reason::from_number(number).map(Some).ok_or(LedgerError::FieldInvalid { field }),
    }
}

/// A name, or nothing for an empty text.
fn read_name<T, E>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
    field: &'static str,
) -> Result<Option<T>, LedgerError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).map_err(|_| LedgerError::FieldInvalid { field })
}

#[cfg(test)]
mod tests;
