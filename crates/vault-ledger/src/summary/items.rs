//! Which record numbers and token hashes a run of entries may hold.
//!
//! Two parts: **ranges** of consecutive numbers, which fresh tokens come in, and a **Bloom filter** for scattered
//! numbers and token hashes. Numbers of all entries are sorted and joined first; a range of at least 8 stays one,
//! shorter ones go into the filter number by number.
//!
//! # Layout
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 if there was too much to list, and any item can be there; then nothing follows |
//! | 2 | number of ranges, at most 1024 |
//! | compact each, twice | numbers between the range before (or 0) and this one; length − 1 |
//! | 1 | bits set for each key, 0 (no filter) to 7 |
//! | 4, n | length of the filter and the filter |
//!
//! # Rates
//!
//! The filter has 10 bits for each key, at most 64 KiB in all. Up to 52,428 keys in a run (205 scattered items in each
//! entry) it says yes to an absent key in about 0.8 % of all cases. Beyond that it stays at 64 KiB and sets fewer bits:
//! about 38 % at 256,000 keys, the most that 256 entries of 1000 items have. More than 1024 ranges are joined across
//! the smallest gaps. All of this costs time only: a run is read in vain.
//!
//! Keys are mixed without a secret: record numbers rise and token hashes are keyed already, so nobody can choose them.

use vault_domain::RecordNumber;

use crate::{
    bytes::{COMPACT_MAX, Reader, put_compact, put_count16},
    entry::{Group, TokenHash},
    error::LedgerError,
    query::ItemFilter,
};

/// The longest form of an item set.
pub(super) const ITEMS_BYTES_MAX: usize = 1 + 2 + RANGES_MAX * 16 + 1 + 4 + FILTER_BYTES_MAX;

/// Ranges that one row lists.
const RANGES_MAX: usize = 1024;
/// Consecutive numbers that are kept as a range: about 7 bytes in place of 10 bits each.
const RANGE_NUMBERS_MIN: u64 = 8;
/// Runs of numbers and token hashes that are collected for one row, each; with more, any item can be there. The vault
/// itself writes at most 1000 items into one entry, 256,000 into a run.
const COLLECTED_MAX: usize = 1 << 18;
/// Bits of the filter for each key.
const BITS_PER_KEY: usize = 10;
/// The longest filter of one run.
pub(super) const FILTER_BYTES_MAX: usize = 64 * 1024;
/// Bits that are set for each key, at most: 10 · ln 2.
const HASHES_MAX: u8 = 7;

/// Collects the items of a run.
#[derive(Debug, Default)]
pub(super) struct ItemCollector {
    /// First and last number.
    ranges: Vec<(u64, u64)>,
    token_keys: Vec<u64>,
    overflow: bool,
}

impl ItemCollector {
    pub(super) fn push(&mut self, group: &Group) {
        let (runs, hashes) = (group.numbers.runs(), &group.token_hashes);
        let ranges_fit = self.ranges.len() + runs.len() <= COLLECTED_MAX;
        let hashes_fit = self.token_keys.len() + hashes.len() <= COLLECTED_MAX;
        self.overflow |= !(ranges_fit && hashes_fit);
        if !self.overflow {
            self.ranges.extend(runs.iter().map(|run| run.bounds()));
            self.token_keys.extend(hashes.iter().map(token_key));
        }
    }

    /// The items; a filter of them has at most so many bytes.
    pub(super) fn finish(self, filter_bytes_max: usize) -> ItemSet {
        if self.overflow {
            return ItemSet::Any;
        }
        let joined = join(self.ranges);
        let (ranges, scattered): (Vec<_>, Vec<_>) =
            joined.into_iter().partition(|(first, last)| last - first + 1 >= RANGE_NUMBERS_MIN);
        let mut keys = self.token_keys;
        keys.extend(scattered.into_iter().flat_map(|(first, last)| first..=last).map(mix));
        keys.sort_unstable();
        keys.dedup();
        ItemSet::Listed { ranges: coarsen(ranges), filter: Filter::of(&keys, filter_bytes_max) }
    }
}

/// Sorts ranges and joins those that touch.
fn join(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, joined| {
        let touches = next.0 <= joined.1.saturating_add(1);
        if touches {
            joined.1 = joined.1.max(next.1);
        }
        touches
    });
    ranges
}

/// Joins ranges across the smallest gaps until at most [`RANGES_MAX`] are left.
fn coarsen(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let Some(surplus) = ranges.len().checked_sub(RANGES_MAX + 1) else { return ranges };
    let mut gaps: Vec<u64> = ranges.iter().zip(ranges.iter().skip(1)).map(|(left, right)| right.0 - left.1).collect();
    let (_, &mut widest, _) = gaps.select_nth_unstable(surplus);
    ranges.dedup_by(|next, joined| {
        let close = next.0 - joined.1 <= widest;
        if close {
            joined.1 = next.1;
        }
        close
    });
    ranges
}

/// The items of a run, as a superset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ItemSet<B = Vec<u8>> {
    /// There were too many.
    Any,
    /// What there was.
    Listed {
        /// First and last number, rising, never touching.
        ranges: Vec<(u64, u64)>,
        filter: Filter<B>,
    },
}

impl<B: AsRef<[u8]>> ItemSet<B> {
    pub(super) fn may_hold_any(&self, items: &ItemFilter) -> bool {
        items.numbers.iter().any(|&number| self.may_hold_number(number))
            || items.token_hashes.iter().any(|hash| self.may_hold_token(hash))
    }

    fn may_hold_number(&self, number: RecordNumber) -> bool {
        let Self::Listed { ranges, filter } = self else { return true };
        let number = number.get();
        let before = ranges.partition_point(|(first, _)| *first <= number);
        let range = before.checked_sub(1).and_then(|at| ranges.get(at));
        range.is_some_and(|(_, last)| number <= *last) || filter.may_hold(mix(number))
    }

    fn may_hold_token(&self, hash: &TokenHash) -> bool {
        match self {
            Self::Any => true,
            Self::Listed { filter, .. } => filter.may_hold(token_key(hash)),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        let Self::Listed { ranges, filter } = self else {
            out.push(1);
            return Ok(());
        };
        out.push(0);
        put_count16(out, ranges.len(), "ranges of a summary row")?;
        let mut end = 0;
        for (first, last) in ranges {
            put_compact(out, first - end);
            put_compact(out, last - first);
            end = last + 1;
        }
        filter.put(out)
    }
}

impl<'a> ItemSet<&'a [u8]> {
    pub(super) fn read(from: &mut Reader<'a>, filter_bytes_max: usize) -> Result<Self, LedgerError> {
        if from.flag("any item")? {
            return Ok(Self::Any);
        }
        let ranges = read_ranges(from)?;
        Ok(Self::Listed { ranges, filter: Filter::read(from, filter_bytes_max)? })
    }

    pub(super) fn into_owned(self) -> ItemSet {
        match self {
            Self::Any => ItemSet::Any,
            Self::Listed { ranges, filter } => ItemSet::Listed { ranges, filter: filter.into_owned() },
        }
    }
}

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "items of a summary row" };

fn read_ranges(from: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, LedgerError> {
    let count = usize::from(from.u16()?);
    if count > RANGES_MAX {
        return Err(INVALID);
    }
    let mut ranges = Vec::with_capacity(count);
    let mut end = 0_u64;
    for index in 0..count {
        let gap = from.compact("ranges")?;
        let length = from.compact("ranges")?;
        if index > 0 && gap == 0 {
            return Err(INVALID);
        }
        // Each summand is below 2^61.
        let last = (end + gap + length < COMPACT_MAX).then_some(end + gap + length).ok_or(INVALID)?;
        RecordNumber::new(last).ok_or(INVALID)?;
        ranges.push((end + gap, last));
        end = last + 1;
    }
    Ok(ranges)
}

/// A Bloom filter over 64-bit keys that are uniformly distributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter<B = Vec<u8>> {
    hashes: u8,
    bits: B,
}

impl Filter {
    pub(super) fn of(keys: &[u64], bytes_max: usize) -> Self {
        let bytes = Self::bytes_for(keys.len(), bytes_max);
        // The best number of bits per key is (bits / keys) · ln 2, and ln 2 is close to 693 / 1000.
        let best = (bytes * 8 * 693).checked_div(keys.len() * 1000).unwrap_or(0);
        let hashes = if keys.is_empty() { 0 } else { u8::try_from(best).unwrap_or(HASHES_MAX).clamp(1, HASHES_MAX) };
        let mut filter = Self { hashes, bits: vec![0; bytes] };
        for &key in keys {
            for (byte, bit) in filter.places(key) {
                if let Some(bits) = filter.bits.get_mut(byte) {
                    *bits |= bit;
                }
            }
        }
        filter
    }

    /// The length of the filter of so many keys, where so many bytes are the most.
    pub(super) const fn bytes_for(keys: usize, bytes_max: usize) -> usize {
        let bytes = (keys * BITS_PER_KEY).div_ceil(8);
        if bytes < bytes_max { bytes } else { bytes_max }
    }
}

impl<B: AsRef<[u8]>> Filter<B> {
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let bits = self.bits.as_ref();
        self.hashes > 0 && self.places(key).all(|(byte, bit)| bits.get(byte).is_some_and(|bits| bits & bit != 0))
    }

    /// Writes its bits for each key, its length and itself.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        out.push(self.hashes);
        let bits = self.bits.as_ref();
        let length = u32::try_from(bits.len()).map_err(|_| INVALID)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(bits);
        Ok(())
    }

    /// The bits that stand for a key: byte and mask. Place i is (low half + i · high half, made odd) modulo 2^32,
    /// scaled to the length of the filter.
    fn places(&self, key: u64) -> impl Iterator<Item = (usize, u8)> + use<B> {
        const HALF: u64 = u32::MAX as u64;
        let (start, step) = (key & HALF, key >> 32 | 1);
        let bits = self.bits.as_ref().len() as u64 * 8;
        (0..u64::from(self.hashes)).map(move |i| {
            let bit = (((start + i * step) & HALF) * bits) >> 32;
            (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
        })
    }
}

impl<'a> Filter<&'a [u8]> {
    /// Reads a filter of at most so many bytes.
    pub(super) fn read(from: &mut Reader<'a>, bytes_max: usize) -> Result<Self, LedgerError> {
        let (hashes, length) = (from.u8()?, from.u32()?);
        let length = usize::try_from(length).map_err(|_| INVALID)?;
        let consistent = hashes <= HASHES_MAX && length <= bytes_max && (hashes == 0) == (length == 0);
        if consistent { Ok(Self { hashes, bits: from.take(length)? }) } else { Err(INVALID) }
    }

    pub(super) fn into_owned(self) -> Filter {
        Filter { hashes: self.hashes, bits: self.bits.to_vec() }
    }
}

/// The key of a record number: the output function of SplitMix64 (Steele, Lea, Flood 2014), a bijection of 64 bits.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of a token hash: its first 8 bytes, for it is uniformly distributed as it is.
fn token_key(hash: &TokenHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
