//! The stored, sealed mapping: its layout, and how the place becomes associated data.
//!
//! # Layout of a record, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 1 | token format: 1 opaque, 2 format-preserving, 3 UUID |
//! | 2 | 1 | generation of the look-up keys |
//! | 3 | 1 | flags: 1 has a subject, 2 has a parent; others 0 |
//! | 4 | 4 | version of the sealing key |
//! | 8 | 8 | epoch id |
//! | 16 | 12 | nonce |
//! | 28 | 16 | token seal |
//! | 44 | 16 | place seal |
//! | 60 | 6 | created, ms since 1970 |
//! | 66 | 6 | not before, ms since 1970; 0 for no bound |
//! | 72 | 6 | expires, ms since 1970; 0 for never |
//! | 78 | 4 | maximum uses; 0 for no bound |
//! | 82 | 2 | 0 |
//! | 84 | 16 | if it has one: subject id |
//! | | 8 | if it has one: number of the parent record |
//! | | n, 16 | sealed part: ciphertext and tag |
//!
//! The sealed part holds `u24 value length ‖ u24 token length ‖ value ‖ token ‖ zeros` up to the next bucket: a
//! multiple of 16 up to 128 bytes, of 64 up to 1,024, of 1,024 above. The token is there only for formats that are no
//! block.
//!
//! Associated data: `place hash (32) ‖ record number (8) ‖ header (84) ‖ subject (16, zeros if none) ‖ parent (8, zeros
//! if none)`. Every field that selects a key or bounds the record's life is part of it.

use vault_crypto::{NONCE_BYTES, TAG_BYTES};
use vault_domain::{Generation, KeyVersion, Millis, Plaintext, RecordNumber, SubjectId, TokenText};
use zeroize::Zeroizing;

use crate::{epoch::EpochId, place::PlaceHash};

/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 84;
/// Bytes of the associated data.
const AAD_BYTES: usize = 32 + 8 + RECORD_HEADER_BYTES + 16 + 8;
const VERSION: u8 = 1;
const HAS_SUBJECT: u8 = 1;
const HAS_PARENT: u8 = 2;
const NUMBER_BYTES: usize = 3;

/// How a record's token is written, as the record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordFormat {
    /// `tok_…`: the token carries the record number.
    Opaque = 1,
    /// Shaped like the value; found by keyed hash.
    FormatPreserving = 2,
    /// A UUID: a block, as opaque tokens are, but found by keyed hash.
    Uuid = 3,
}

/// The token of a record that is about to be sealed.
pub enum TokenForm<'a> {
    /// An opaque token's block.
    Block(&'a [u8; 16]),
    /// A UUID.
    Uuid(&'a [u8; 16]),
    /// A token that is kept beside the value.
    Text(&'a str),
}

/// What a record is made of.
pub struct NewRecord<'a> {
    /// Its number.
    pub number: RecordNumber,
    /// Its token.
    pub token: TokenForm<'a>,
    /// The value.
    pub value: &'a [u8],
    /// When it was made.
    pub created: Millis,
    /// From when on it may be revealed; zero for no bound.
    pub not_before: Millis,
    /// When it expires; zero for never.
    pub expires: Millis,
    /// How often it may be revealed; zero for no bound.
    pub max_uses: u32,
    /// The person that it is about.
    pub subject: Option<SubjectId>,
    /// The record that it descends from.
    pub parent: Option<RecordNumber>,
}

/// The fields of a header that sealing adds.
pub(crate) struct SealFields {
    pub(crate) generation: Generation,
    pub(crate) key_version: KeyVersion,
    pub(crate) epoch: EpochId,
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) token_seal: [u8; 16],
    pub(crate) place_seal: [u8; 16],
}

/// Appends header, subject and parent of a record.
pub(crate) fn put_header(out: &mut Vec<u8>, record: &NewRecord<'_>, seal: &SealFields) {
    let format = match record.token {
        TokenForm::Block(_) => RecordFormat::Opaque,
        TokenForm::Uuid(_) => RecordFormat::Uuid,
        TokenForm::Text(_) => RecordFormat::FormatPreserving,
    };
    let flags =
        if record.subject.is_some() { HAS_SUBJECT } else { 0 } | if record.parent.is_some() { HAS_PARENT } else { 0 };
    out.extend_from_slice(&[VERSION, format as u8, seal.generation.get(), flags]);
    out.extend_from_slice(&seal.key_version.0.to_be_bytes());
    out.extend_from_slice(&seal.epoch);
    out.extend_from_slice(&seal.nonce);
    out.extend_from_slice(&seal.token_seal);
    out.extend_from_slice(&seal.place_seal);
    for time in [record.created, record.not_before, record.expires] {
        let [_, _, time @ ..] = time.min(Millis::MAX).0.to_be_bytes();
        out.extend_from_slice(&time);
    }
    out.extend_from_slice(&record.max_uses.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend(record.subject.iter().flat_map(|subject| subject.0));
    out.extend(record.parent.iter().flat_map(|parent| parent.get().to_be_bytes()));
}

/// Appends the plaintext of the sealed part, padded to its bucket.
pub(crate) fn put_sealed_part(out: &mut Vec<u8>, value: &[u8], token: &str) {
    let used = 2 * NUMBER_BYTES + value.len() + token.len();
    let padded = bucket(used);
    out.reserve(padded + TAG_BYTES);
    for length in [value.len(), token.len()] {
        // Values and tokens are at most 64 KiB (vault_domain::limits): 24 bits hold their lengths.
        let bytes = length.to_be_bytes();
        out.extend(bytes.last_chunk::<NUMBER_BYTES>().copied().unwrap_or_default());
    }
    out.extend_from_slice(value);
    out.extend_from_slice(token.as_bytes());
    out.extend(std::iter::repeat_n(0, padded - used));
}

/// Takes value and token out of an opened sealed part, if its padding is right.
pub(crate) fn split_sealed_part(part: Zeroizing<Vec<u8>>) -> Option<(Plaintext, Option<TokenText>)> {
    let number = |bytes: &[u8; NUMBER_BYTES]| {
        let [a, b, c] = *bytes;
        usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
    };
    let (value_length, rest) = part.split_first_chunk()?;
    let (token_length, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(number(value_length))?;
    let (token, padding) = rest.split_at_checked(number(token_length))?;
    let used = part.len() - padding.len();
    if padding.iter().any(|byte| *byte != 0) || bucket(used) != part.len() {
        return None;
    }
    let token = match token {
        [] => None,
        token => Some(TokenText::new(std::str::from_utf8(token).ok()?.to_owned())),
    };
    Some((Plaintext::new(value.to_vec()), token))
}

/// The size that `bytes` are padded to.
fn bucket(bytes: usize) -> usize {
    let step = match bytes {
        0..=128 => 16,
        129..=1024 => 64,
        _ => 1024,
    };
    bytes.next_multiple_of(step)
}

/// A stored record, parsed: its header in fields, its sealed part as it is.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    number: RecordNumber,
    header: &'a [u8; RECORD_HEADER_BYTES],
    format: RecordFormat,
    generation: Generation,
    subject: Option<SubjectId>,
    parent: Option<RecordNumber>,
    sealed: &'a [u8],
}

impl<'a> Record<'a> {
    /// Parses a row; `None` if it is no record of this version.
    #[must_use]
    pub fn parse(number: RecordNumber, row: &'a [u8]) -> Option<Self> {
        let (header, rest) = row.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let [VERSION, format, generation, flags, ..] = header else { return None };
        let [.., 0, 0] = header else { return None };
        if flags & !(HAS_SUBJECT | HAS_PARENT) != 0 {
            return None;
        }
        let (subject, rest) = optional(rest, flags & HAS_SUBJECT != 0)?;
        let (parent, rest) = optional(rest, flags & HAS_PARENT != 0)?;
        let parent = match parent {
            Some(parent) => Some(RecordNumber::new(u64::from_be_bytes(parent))?),
            None => None,
        };
        Some(Self {
            number,
            header,
            format: match format {
                1 => RecordFormat::Opaque,
                2 => RecordFormat::FormatPreserving,
                3 => RecordFormat::Uuid,
                _ => return None,
            },
            generation: Generation::new(*generation)?,
            subject: subject.map(SubjectId),
            parent,
            sealed: rest,
        })
    }

    /// The number under which it was found.
    #[must_use]
    pub fn number(&self) -> RecordNumber {
        self.number
    }

    /// How its token is written.
    #[must_use]
    pub fn format(&self) -> RecordFormat {
        self.format
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Millis {
        self.time(60)
    }

    /// From when on it may be revealed; zero for no bound.
    #[must_use]
    pub fn not_before(&self) -> Millis {
        self.time(66)
    }

    /// When it expires; zero for never.
    #[must_use]
    pub fn expires(&self) -> Millis {
        self.time(72)
    }

    /// How often it may be revealed; zero for no bound.
    #[must_use]
    pub fn max_uses(&self) -> u32 {
        u32::from_be_bytes(self.field(78))
    }

    /// The record that it descends from.
    #[must_use]
    pub fn parent(&self) -> Option<RecordNumber> {
        self.parent
    }

    /// The person that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<SubjectId> {
        self.subject
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn key_version(&self) -> KeyVersion {
        KeyVersion(u32::from_be_bytes(self.field(4)))
    }

    pub(crate) fn epoch(&self) -> EpochId {
        self.field(8)
    }

    pub(crate) fn nonce(&self) -> [u8; NONCE_BYTES] {
        self.field(16)
    }

    pub(crate) fn token_seal(&self) -> [u8; 16] {
        self.field(28)
    }

    pub(crate) fn place_seal(&self) -> [u8; 16] {
        self.field(44)
    }

    /// Ciphertext and tag.
    pub(crate) fn sealed(&self) -> Option<(&'a [u8], &'a [u8; TAG_BYTES])> {
        self.sealed.split_last_chunk()
    }

    pub(crate) fn aad(&self, place: &PlaceHash) -> Aad {
        aad(place, self.number, self.header, self.subject, self.parent)
    }

    fn time(&self, offset: usize) -> Millis {
        let [a, b, c, d, e, f] = self.field(offset);
        Millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The bytes at a fixed offset of the header; zeros if the constant offset were wrong, which the goldens would
    /// show.
    fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.header.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }
}

fn optional<const N: usize>(bytes: &[u8], present: bool) -> Option<(Option<[u8; N]>, &[u8])> {
    if !present {
        return Some((None, bytes));
    }
    let (field, rest) = bytes.split_first_chunk()?;
    Some((Some(*field), rest))
}

/// The associated data of one record.
pub(crate) type Aad = [u8; AAD_BYTES];

/// Builds the associated data.
pub(crate) fn aad(
    place: &PlaceHash,
    number: RecordNumber,
    header: &[u8; RECORD_HEADER_BYTES],
    subject: Option<SubjectId>,
    parent: Option<RecordNumber>,
) -> Aad {
    let mut out = [0; AAD_BYTES];
    let number = number.get().to_be_bytes();
    let subject = subject.map_or([0; 16], |subject| subject.0);
    let parent = parent.map_or([0; 8], |parent| parent.get().to_be_bytes());
    let fields = [place.as_slice(), &number, header, &subject, &parent];
    for (to, from) in out.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_part_splits_into_what_was_put_in_and_shows_only_its_bucket() {
        for length in [0, 1, 10, 11, 122, 123, 128, 1000, 1018, 1019, 65_536] {
            let value = vec![b'v'; length];
            for token in ["", "4000123412341234"] {
                let mut part = Vec::new();
                put_sealed_part(&mut part, &value, token);
                assert_eq!(part.len(), bucket(6 + length + token.len()));
                let (opened, kept) = split_sealed_part(Zeroizing::new(part)).unwrap();
                assert_eq!(opened.expose(), value);
                assert_eq!(kept.as_ref().map_or("", TokenText::expose), token);
            }
        }
        assert_eq!([bucket(6), bucket(16), bucket(17), bucket(129), bucket(1025)], [16, 16, 32, 192, 2048]);
    }

    #[test]
    fn a_sealed_part_with_wrong_lengths_or_padding_is_refused() {
        let mut part = Vec::new();
        put_sealed_part(&mut part, b"value", "");
        for i in 0..part.len() {
            let mut changed = part.clone();
            changed[i] ^= 0x80;
            let split = split_sealed_part(Zeroizing::new(changed));
            assert!((6..11).contains(&i) == split.is_some(), "byte {i}");
        }
        part.extend([0; 16]);
        assert!(split_sealed_part(Zeroizing::new(part)).is_none(), "a larger bucket than needed");
    }
}
