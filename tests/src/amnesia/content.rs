//! The bytes of one file: what the backing file has, and what was written since the last sync.
//!
//! It must never write to the backing file but in [`Content::sync`] and [`Content::tear`].

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use super::survivors::Chance;

/// Bytes that a disk writes as a whole, or not at all.
const SECTOR: u64 = 512;

/// One file's bytes.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The length that processes see.
    len: u64,
    /// The length of the backing file.
    backed: u64,
    /// So many of the backing file's bytes still count: truncation lowers it, a sync sets it to the length.
    /// Invariant: `kept <= backed` and `kept <= len`.
    kept: u64,
    /// What was written since the last sync, by offset.
    /// Invariant: no two overlap, none is empty, none ends behind `len`. What neither they nor `kept` cover is zero.
    extents: BTreeMap<u64, Vec<u8>>,
    /// The length of all extents.
    unsynced: u64,
}

impl Content {
    /// The content of a backing file of this length.
    pub(super) fn durable(len: u64) -> Self {
        Self { len, backed: len, kept: len, ..Self::default() }
    }

    /// The length that processes see, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes wait in memory for a sync.
    pub(super) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// Whether the backing file already is what processes see.
    pub(super) fn is_synced(&self) -> bool {
        self.extents.is_empty() && self.kept == self.backed && self.len == self.backed
    }

    /// Up to `size` bytes from `offset`; fewer only at the end of the file.
    pub(super) fn read(&self, file: &File, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let end = self.len.min(offset.saturating_add(u64::from(size)));
        if offset >= end {
            return Ok(Vec::new());
        }
        let mut seen = vec![0; position(end - offset)];
        let from_disk = self.kept.min(end).saturating_sub(offset);
        if let Some(bytes) = seen.get_mut(..position(from_disk)) {
            file.read_exact_at(bytes, offset)?;
        }
        // No two extents overlap: going back from the end, the first that ends before `offset` is the last to look at.
        let newest = self.extents.range(..end).rev();
        for (&start, bytes) in newest.take_while(|&(&start, bytes)| start + length(bytes) > offset) {
            if let Some((at, bytes)) = part(start, bytes, offset, end)
                && let Some(place) = seen.get_mut(position(at - offset)..position(at - offset) + bytes.len())
            {
                place.copy_from_slice(bytes);
            }
        }
        Ok(seen)
    }

    /// Writes in memory.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + length(data);
        self.clear(offset, end);
        match self.extents.range_mut(..offset).next_back() {
            Some((start, bytes)) if start + length(bytes) == offset => bytes.extend_from_slice(data),
            _ => {
                self.extents.insert(offset, data.to_vec());
            }
        }
        self.unsynced += length(data);
        self.len = self.len.max(end);
    }

    /// Makes the file shorter or, with zeros, longer; in memory.
    pub(super) fn truncate(&mut self, len: u64) {
        self.clear(len, u64::MAX);
        self.kept = self.kept.min(len);
        self.len = len;
    }

    /// Punches a hole: zeros in memory, and the length stays.
    pub(super) fn zero(&mut self, offset: u64, size: u64) {
        let end = self.len.min(offset.saturating_add(size));
        self.write(offset, &vec![0; position(end.saturating_sub(offset))]);
    }

    /// Makes the backing file what processes see.
    pub(super) fn sync(&mut self, file: &File) -> io::Result<()> {
        if self.kept < self.backed {
            file.set_len(self.kept)?;
            self.backed = self.kept;
        }
        for (&start, bytes) in &self.extents {
            file.write_all_at(bytes, start)?;
            self.backed = self.backed.max(start + length(bytes));
        }
        if self.backed != self.len {
            file.set_len(self.len)?;
        }
        *self = Self::durable(self.len);
        Ok(())
    }

    /// Lets a part of the unsynced bytes survive, as on a disk that was busy writing; returns how many.
    pub(super) fn tear(&self, file: &File, chance: &mut Chance) -> io::Result<u64> {
        if self.kept < self.backed {
            if !chance.toss() {
                return Ok(0);
            }
            file.set_len(self.kept)?;
        }
        // The appended part survives up to a sector's edge, or whole.
        let sectors = self.len.div_ceil(SECTOR) - (self.kept / SECTOR).min(self.len.div_ceil(SECTOR));
        let edge = (self.kept / SECTOR + chance.below(sectors + 1)) * SECTOR;
        let appended_to = edge.clamp(self.kept, self.len);
        if appended_to > self.kept {
            file.set_len(appended_to)?;
        }
        let mut survived = 0;
        // Sector and whether it survives: two extents may share one.
        let mut tossed = (u64::MAX, false);
        for (&start, bytes) in &self.extents {
            let mut from = start;
            while from < start + length(bytes) {
                let sector = from / SECTOR;
                let to = (sector + 1) * SECTOR;
                if tossed.0 != sector {
                    let appended = to > self.kept && self.len > self.kept;
                    tossed = (sector, if appended { appended_to > from.max(self.kept) } else { chance.toss() });
                }
                if let Some((at, bytes)) = part(start, bytes, from, to.min(appended_to)).filter(|_| tossed.1) {
                    file.write_all_at(bytes, at)?;
                    survived += length(bytes);
                }
                from = to;
            }
        }
        Ok(survived)
    }

    /// Forgets the unsynced bytes of this range.
    fn clear(&mut self, from: u64, to: u64) {
        if let Some((&start, bytes)) = self.extents.range_mut(..from).next_back()
            && start + length(bytes) > from
        {
            let tail = bytes.split_off(position(from - start));
            self.extents.insert(from, tail);
        }
        while let Some((&start, _)) = self.extents.range(from..to).next() {
            let mut bytes = self.extents.remove(&start).unwrap_or_default();
            if start + length(&bytes) > to {
                let tail = bytes.split_off(position(to - start));
                self.extents.insert(to, tail);
            }
            self.unsynced -= length(&bytes);
        }
    }
}

/// The part of the bytes at `start` that lies in `from..to`, and where it begins.
fn part(start: u64, bytes: &[u8], from: u64, to: u64) -> Option<(u64, &[u8])> {
    let low = start.max(from);
    let high = to.min(start + length(bytes));
    let bytes = bytes.get(position(low - start)..position(high.checked_sub(start)?))?;
    (!bytes.is_empty()).then_some((low, bytes))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
