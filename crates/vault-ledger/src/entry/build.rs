//! Writing an entry straight into its one buffer: the hot path, and the only writer there is.

use vault_domain::{DataClass, Reason, RecordNumber, limits};

use super::{
    ENTRY_VERSION, EntryHead, Group, NumberRun, Outcome, PEOPLE_CLEAR, PEOPLE_NONE, PEOPLE_SEALED, SealedPart,
    TokenHash,
    ids::PolicyId,
    numbers::RunWriter,
    people::{CIPHERTEXT_BYTES_MAX, PEOPLE_BYTES_MAX},
};
use crate::{
    bytes::{put_bytes16, put_text8, put_u48},
    error::LedgerError,
};

/// Groups that always fit one entry together with 1000 items, whatever the names and numbers. See the module `entry`.
pub const GROUPS_ALWAYS_FIT: usize = 400;

/// Policies that one entry can name: their number stands in one byte.
const POLICIES_MAX: usize = 255;
/// What a usual entry of one group needs: one allocation.
const USUAL_ENTRY_BYTES: usize = 512;
/// Bytes kept free for the people part: tags, form, key version, epoch, nonce, length, ciphertext.
const PEOPLE_PART_BYTES_MAX: usize = 8 + 8 + 1 + 4 + 8 + 12 + 2 + CIPHERTEXT_BYTES_MAX;
const _: () = assert!(PEOPLE_BYTES_MAX + 16 <= CIPHERTEXT_BYTES_MAX, "every people body fits, sealed or clear");

/// Encodes an entry piece by piece. The log time stays zero until [`super::patch_log_time`].
#[derive(Debug)]
pub struct EntryBuilder {
    out: Vec<u8>,
    /// Where the number of groups belongs.
    groups_at: usize,
    groups: u16,
}

impl EntryBuilder {
    /// Begins an entry with its head and the ids of the policies that decided.
    ///
    /// # Errors
    /// When there are more than 255 policies, one has no valid id ([`PolicyId`]), or the wall time needs more than 48
    /// bits.
    pub fn new<P: AsRef<str>>(head: &EntryHead, policies: impl IntoIterator<Item = P>) -> Result<Self, LedgerError> {
        let mut out = Vec::with_capacity(USUAL_ENTRY_BYTES);
        out.push(ENTRY_VERSION);
        out.extend_from_slice(&[0; 6]);
        put_u48(&mut out, head.wall_time.0, "wall time")?;
        out.extend_from_slice(&head.salt.0);
        out.extend_from_slice(&[head.action as u8, head.decision as u8]);
        put_reason(&mut out, head.reason);
        out.extend_from_slice(&head.request_id.0);
        out.extend_from_slice(&head.trace_id.map_or([0; 16], |trace| trace.get()));
        out.extend_from_slice(&head.count.get().to_be_bytes());
        put_text8(&mut out, head.purpose.as_ref().map_or("", |name| name.as_str()), "purpose")?;
        put_text8(&mut out, head.audience.as_ref().map_or("", |name| name.as_str()), "audience")?;
        out.extend_from_slice(&head.policy_set.0);
        put_policies(&mut out, policies)?;
        let groups_at = out.len();
        out.extend_from_slice(&[0; 2]);
        Ok(Self { out, groups_at, groups: 0 })
    }

    /// Adds `items` items of one data class that ended alike: `numbers` are the records of those that have one,
    /// `token_hashes` stand for tokens without a record, both in the order of the items; further items are only
    /// counted.
    ///
    /// # Errors
    /// [`LedgerError::EntryTooLarge`] when the group does not fit: the builder is as it was before, and can be finished
    /// without it. [`LedgerError::FieldInvalid`] when there is no item, or fewer than are listed.
    pub fn group(
        &mut self,
        class: &DataClass,
        outcome: Outcome,
        items: u32,
        numbers: impl IntoIterator<Item = RecordNumber>,
        token_hashes: impl IntoIterator<Item = TokenHash>,
    ) -> Result<(), LedgerError> {
        let runs = numbers.into_iter().map(NumberRun::single);
        self.whole_or_not_at_all(|out| put_group(out, class, outcome, items, runs, token_hashes))
    }

    /// Adds a group that was decoded.
    pub(super) fn decoded_group(&mut self, group: &Group) -> Result<(), LedgerError> {
        let Group { class, outcome, items, numbers, token_hashes } = group;
        let (runs, hashes) = (numbers.runs().iter().copied(), token_hashes.iter().copied());
        self.whole_or_not_at_all(|out| put_group(out, class, *outcome, *items, runs, hashes))
    }

    /// Ends the entry with its people part.
    ///
    /// # Errors
    /// When the ciphertext is longer than [`CIPHERTEXT_BYTES_MAX`] or shorter than its tag.
    pub fn finish(mut self, people: &SealedPart) -> Result<Vec<u8>, LedgerError> {
        put_people(&mut self.out, people)?;
        if let Some(field) = self.out.get_mut(self.groups_at..).and_then(<[u8]>::first_chunk_mut) {
            *field = self.groups.to_be_bytes();
        }
        if self.out.len() > limits::ENTRY_BYTES_MAX {
            return Err(LedgerError::EntryTooLarge);
        }
        Ok(self.out)
    }

    fn whole_or_not_at_all(
        &mut self,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let before = self.out.len();
        let put = put(&mut self.out).and_then(|()| {
            check_room(&self.out)?;
            self.groups.checked_add(1).ok_or(LedgerError::EntryTooLarge)
        });
        match put {
            Ok(groups) => {
                self.groups = groups;
                Ok(())
            }
            Err(error) => {
                self.out.truncate(before);
                Err(error)
            }
        }
    }
}

/// Whether the people part still fits behind `out`.
fn check_room(out: &[u8]) -> Result<(), LedgerError> {
    let fits = out.len() <= limits::ENTRY_BYTES_MAX - PEOPLE_PART_BYTES_MAX;
    if fits { Ok(()) } else { Err(LedgerError::EntryTooLarge) }
}

fn put_policies<P: AsRef<str>>(out: &mut Vec<u8>, policies: impl IntoIterator<Item = P>) -> Result<(), LedgerError> {
    let count_at = out.len();
    out.push(0);
    let mut count = 0_u8;
    for policy in policies {
        PolicyId::check(policy.as_ref())?;
        put_text8(out, policy.as_ref(), "policy")?;
        count = count.checked_add(1).ok_or(LedgerError::TooMany { what: "policies", max: POLICIES_MAX })?;
    }
    if let Some(field) = out.get_mut(count_at) {
        *field = count;
    }
    Ok(())
}

fn put_group(
    out: &mut Vec<u8>,
    class: &DataClass,
    outcome: Outcome,
    items: u32,
    runs: impl Iterator<Item = NumberRun>,
    token_hashes: impl IntoIterator<Item = TokenHash>,
) -> Result<(), LedgerError> {
    put_text8(out, class.as_str(), "data class")?;
    out.extend_from_slice(&outcome.number().to_be_bytes());
    out.extend_from_slice(&items.to_be_bytes());

    let mut writer = RunWriter::default();
    put_counted(out, "runs of record numbers", |out| {
        for run in runs {
            writer.push(out, run);
            check_room(out)?;
        }
        writer.flush(out);
        Ok(writer.runs)
    })?;
    let mut listed = writer.total;
    put_counted(out, "token hashes", |out| {
        let mut hashes = 0;
        for hash in token_hashes {
            out.extend_from_slice(&hash.0);
            check_room(out)?;
            hashes += 1;
        }
        listed = listed.saturating_add(hashes as u64);
        Ok(hashes)
    })?;
    if items == 0 || listed > u64::from(items) {
        return Err(LedgerError::FieldInvalid { field: "items" });
    }
    Ok(())
}

/// Appends what `put` appends behind the 2-byte count that it returns.
fn put_counted(
    out: &mut Vec<u8>,
    what: &'static str,
    put: impl FnOnce(&mut Vec<u8>) -> Result<usize, LedgerError>,
) -> Result<(), LedgerError> {
    let count_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let count = put(out)?;
    let max = usize::from(u16::MAX);
    let count = u16::try_from(count).map_err(|_| LedgerError::TooMany { what, max })?;
    if let Some(field) = out.get_mut(count_at..).and_then(<[u8]>::first_chunk_mut) {
        *field = count.to_be_bytes();
    }
    Ok(())
}

fn put_people(out: &mut Vec<u8>, people: &SealedPart) -> Result<(), LedgerError> {
    match people {
        SealedPart::None => {
            out.extend_from_slice(&[0; 16]);
            out.push(PEOPLE_NONE);
        }
        SealedPart::Sealed(sealed) => {
            sealed.check_length()?;
            out.extend_from_slice(&sealed.tenant_tag.0);
            out.extend_from_slice(&sealed.principal_tag.0);
            out.push(PEOPLE_SEALED);
            out.extend_from_slice(&sealed.key_version.0.to_be_bytes());
            out.extend_from_slice(&sealed.epoch_id);
            out.extend_from_slice(&sealed.nonce);
            put_bytes16(out, &sealed.ciphertext, "ciphertext")?;
        }
        SealedPart::Clear(people) => {
            out.extend_from_slice(&[0; 16]);
            out.push(PEOPLE_CLEAR);
            put_bytes16(out, &people.encode()?, "people body")?;
        }
    }
    Ok(())
}

fn put_reason(out: &mut Vec<u8>, reason: Option<Reason>) {
    out.extend_from_slice(&reason.map_or(0, |reason| reason as u16).to_be_bytes());
}
