//! What changes in a record's life: its own row, with its own tag, so that a revocation or a use never touches the
//! value.
//!
//! # Layout of a state row, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 1 | flags: 1 suspended, 2 revoked; others 0 |
//! | 2 | 6 | expires, ms since 1970; 0 for never; replaces the record's |
//! | 8 | 4 | uses so far |
//! | 12 | 4 | changes so far, from 1: a rolled-back state row is an older one |
//! | 16 | 16 | tag |
//!
//! `tag = HMAC(state key, row[0..16] ‖ place hash ‖ record number ‖ tag of the sealed value)`, cut to 16 bytes; the
//! state key is derived like the record's sealing key, with the use "state". A record without a row has never changed.

use vault_crypto::{MacKey, TAG_BYTES, same};
use vault_domain::{Millis, RecordNumber};

use crate::place::PlaceHash;

/// Bytes of a state row.
pub const STATE_BYTES: usize = 32;
const FIELD_BYTES: usize = 16;
const VERSION: u8 = 1;
const SUSPENDED: u8 = 1;
const REVOKED: u8 = 2;

/// What has changed since a record was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordState {
    /// May not be revealed for now.
    pub suspended: bool,
    /// May never be revealed again.
    pub revoked: bool,
    /// When it expires; zero for never.
    pub expires: Millis,
    /// How often it was revealed.
    pub uses: u32,
    /// How often this row was written.
    pub changes: u32,
}

/// What a state belongs to.
pub(crate) struct StatePlace<'a> {
    pub(crate) place: &'a PlaceHash,
    pub(crate) number: RecordNumber,
    pub(crate) value_tag: &'a [u8; TAG_BYTES],
}

impl RecordState {
    /// How often a row says that it was written, by its bytes alone: without keys nobody can say whether it is
    /// authentic. `None`: it is no row of this version.
    #[must_use]
    pub fn changes_of(row: &[u8]) -> Option<u32> {
        let [VERSION, _, _, _, _, _, _, _, _, _, _, _, c0, c1, c2, c3, ..] = *row else { return None };
        (row.len() == STATE_BYTES).then(|| u32::from_be_bytes([c0, c1, c2, c3]))
    }

    /// When the record ends by what a row says, zero for never; believed as little as [`RecordState::changes_of`].
    #[must_use]
    pub fn expires_of(row: &[u8]) -> Option<Millis> {
        let [VERSION, _, a, b, c, d, e, f, ..] = *row else { return None };
        (row.len() == STATE_BYTES).then(|| Millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    }

    /// Writes the row.
    pub(crate) fn encode(&self, key: &MacKey, of: &StatePlace<'_>) -> [u8; STATE_BYTES] {
        let flags = if self.suspended { SUSPENDED } else { 0 } | if self.revoked { REVOKED } else { 0 };
        let [_, _, expires @ ..] = self.expires.min(Millis::MAX).0.to_be_bytes();
        let mut row = [0; STATE_BYTES];
        let (first, uses, changes) = ([VERSION, flags], self.uses.to_be_bytes(), self.changes.to_be_bytes());
        let fields = [first.as_slice(), &expires, &uses, &changes];
        let (head, tag) = row.split_at_mut(FIELD_BYTES);
        for (to, from) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        tag.copy_from_slice(&state_tag(key, head, of));
        row
    }

    /// Reads the row; `None` if it is not whole, not authentic or not of this version.
    pub(crate) fn decode(row: &[u8], key: &MacKey, of: &StatePlace<'_>) -> Option<Self> {
        let row: &[u8; STATE_BYTES] = row.try_into().ok()?;
        let (head, tag) = row.split_first_chunk::<FIELD_BYTES>()?;
        if !same(tag.try_into().ok()?, &state_tag(key, head, of)) {
            return None;
        }
        let [VERSION, flags, a, b, c, d, e, f, u0, u1, u2, u3, c0, c1, c2, c3] = *head else { return None };
        (flags & !(SUSPENDED | REVOKED) == 0).then_some(Self {
            suspended: flags & SUSPENDED != 0,
            revoked: flags & REVOKED != 0,
            expires: Millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])),
            uses: u32::from_be_bytes([u0, u1, u2, u3]),
            changes: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

fn state_tag(key: &MacKey, head: &[u8], of: &StatePlace<'_>) -> [u8; 16] {
    key.tag(&[head, of.place, &of.number.get().to_be_bytes(), of.value_tag])
}
