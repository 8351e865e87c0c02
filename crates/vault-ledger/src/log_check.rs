//! A whole log held against what its signer said of it: every entry, every tile, every known head.
//!
//! One pass from the first entry to the last, in bundles of 256. Each leaf hash, and each node that stands in a tile,
//! is compared with the tile as soon as it is known, so that what is found first is the first thing wrong. The check
//! never believes a tile: roots are made of entries alone. Memory: one bundle and one tile of each level.
//!
//! Of a pruned log the leaf hashes below its minimum index are taken from their tiles, and held against all that is
//! above them. That the minimum index is rightly what it is, is told by the entry of the pruning: [`LogCheck`] keeps
//! the newest one that it reads.
//!
//! What it shows: the entries are those whose root is in every head that it was given, no more was added between or
//! behind them, each is canonical, and log time does not run backwards. What it can't show: that a head was signed by
//! whom it should be (open checkpoints with a key that you have from elsewhere), and that nothing was cut off behind
//! the newest head.

use std::collections::BTreeMap;

use vault_domain::{Action, Decision, Millis};

use crate::{
    entry::{Entry, SealedPart},
    error::LedgerError,
    tree::{HASH_BYTES, Peaks, TILE_HASHES, TileId, TreeHash, TreeHead, TreeSize, hashes, leaf_hash, root_over},
};

/// Bits of an index within a tile.
const TILE_BITS: u32 = 8;

/// Where the files of a log come from.
pub trait LogSource {
    /// Why something could not be read, which is another thing than that it is not there.
    type Error;

    /// Whether tiles of fewer than 256 hashes are there too. A store has the full ones alone.
    const HAS_PARTIAL_TILES: bool;

    /// The entries of bundle `index`, each behind its length in two bytes; `width` of them, if all is well.
    ///
    /// # Errors
    /// When it can't be read.
    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, Self::Error>;

    /// A tile, `id.width` hashes wide, if all is well.
    ///
    /// # Errors
    /// When it can't be read.
    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// A head that the log has to have had, and where it is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// Size and root.
    pub head: TreeHead,
    /// A name for messages: the file that the checkpoint came from.
    pub whose: String,
}

/// How far a check has come, to go on from there. It stands at the beginning of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// Entries behind it.
    pub entries: u64,
    /// The roots of the perfect trees that these entries make, from left to right: one for each bit of their number.
    pub hashes: Vec<TreeHash>,
    /// The log time of the newest of them.
    pub log_time: Millis,
    /// The minimum index that the newest pruning among them left; zero for none.
    pub pruned_to: u64,
}

/// The first thing wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first entry that is wrong, or can't be vouched for.
    pub first: u64,
    /// The last one that the same problem covers.
    pub last: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// An entry, or the bundle that it should stand in, is not there.
    #[error("the entry is missing")]
    EntryMissing,
    /// There is something behind the last entry of a bundle.
    #[error("the bundle of entries goes on after its last entry")]
    BundleTooLong,
    /// The bytes are no entry, or not in canonical form.
    #[error("the entry is not valid: {0}")]
    EntryInvalid(LedgerError),
    /// The log's own time runs backwards.
    #[error("its log time lies before that of the entry before it")]
    TimeBackwards,
    /// The tree has another leaf there, and the tile above says so too.
    #[error("the entry was changed: the tree holds another one at this index")]
    EntryChanged,
    /// A tile is not there, or has another width than the log's size asks for.
    #[error("the tile {0} is missing or has a wrong length")]
    TileMissing(String),
    /// A tile differs from the entries, which the tile or root above vouches for.
    #[error("the tile {0} was changed; the entries under it are those of the tree")]
    TileChanged(String),
    /// The entries under a hash of a tile make up another one.
    #[error("the entries and the tile {0} contradict each other")]
    TileContradicted(String),
    /// A head has another root than the entries.
    #[error("the log is not the one that {whose} is of: its first {size} entries have another root")]
    Forked {
        /// The size of the head.
        size: u64,
        /// Where it is known from.
        whose: String,
    },
    /// A head is of fewer entries than the check began behind.
    #[error("{whose} is of {size} entries, which were not read in this run: begin anew, without what was kept")]
    HeadBefore {
        /// The size of the head.
        size: u64,
        /// Where it is known from.
        whose: String,
    },
    /// The log is shorter than a head.
    #[error("the log was cut off or rolled back: {whose} is of {size} entries")]
    Behind {
        /// The size of the head.
        size: u64,
        /// Where it is known from.
        whose: String,
    },
}

/// Why a check did not go on.
#[derive(Debug)]
pub enum Stopped<E> {
    /// Something is wrong with the log.
    Fault(Fault),
    /// It can't be read.
    Source(E),
}

/// A check of a log, under way.
#[derive(Debug)]
pub struct LogCheck {
    size: u64,
    known: BTreeMap<u64, Vec<KnownHead>>,
    peaks: Peaks,
    log_time: Millis,
    position: LogPosition,
    /// The log's name, a region's or `node`, and the first entry of which there is more than a hash.
    name: String,
    minimum: u64,
    /// As in [`LogPosition`], of all entries that were read.
    pruned_to: u64,
    /// The size of the newest head that was met.
    vouched: u64,
    /// Of each level the tile that is compared with at present: its number and its bytes, none where none is stored.
    tiles: Vec<Option<(u64, Option<Vec<u8>>)>>,
}

impl LogCheck {
    /// A check of the log's first `size` entries, from the beginning or from where an earlier one came to.
    ///
    /// A false position can't make a false log pass, if there is a head at or behind it: its hashes are part of every
    /// root from there on. What it leaves out is to read those entries once more.
    #[must_use]
    pub fn new(size: TreeSize, from: LogPosition) -> Self {
        let peaks = Peaks { count: from.entries, hashes: from.hashes.clone() };
        let (log_time, vouched, pruned_to) = (from.log_time, from.entries, from.pruned_to);
        Self {
            size: size.0,
            known: BTreeMap::new(),
            peaks,
            log_time,
            position: from,
            name: String::new(),
            minimum: 0,
            pruned_to,
            vouched,
            tiles: Vec::new(),
        }
    }

    /// Says what the log is called, a region's name or `node`, and below which index, a multiple of 256, its entries
    /// need not be there.
    pub fn pruned(&mut self, name: &str, minimum: u64) {
        (self.name, self.minimum) = (name.to_owned(), minimum);
    }

    /// The minimum index that the newest pruning of this log left, of those whose entries were read; zero for none.
    #[must_use]
    pub fn pruned_to(&self) -> u64 {
        self.pruned_to
    }

    /// Adds a head that the log has to meet, of as many entries as were checked already or more.
    pub fn expect(&mut self, known: KnownHead) {
        self.known.entry(known.head.size.0).or_default().push(known);
    }

    /// Holds the heads of as many entries as were checked by now against them, and refuses those of fewer: which root
    /// the log had there is not known any more.
    fn meet_here(&mut self) -> Option<Fault> {
        let (size, root) = (self.peaks.count, self.peaks.root());
        let behind = self.known.split_off(&size);
        let earlier = std::mem::replace(&mut self.known, behind).into_values().flatten().next();
        if let (Some(_), Some(fault)) = (&earlier, self.missing_heads()) {
            // It is shorter than it was known to be: that says more.
            return Some(fault);
        }
        let forked = self.known.remove(&size).into_iter().flatten().find(|known| known.head.root != root);
        let problem = match (earlier, forked) {
            (Some(KnownHead { head, whose }), _) => Problem::HeadBefore { size: head.size.0, whose },
            (None, Some(KnownHead { whose, .. })) => Problem::Forked { size, whose },
            (None, None) => return None,
        };
        Some(Fault { first: 0, last: size.saturating_sub(1), problem })
    }

    /// Entries that were checked.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.peaks.count
    }

    /// The root of the tree over them.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.peaks.root()
    }

    /// The last beginning of a bundle that was reached.
    #[must_use]
    pub fn position(&self) -> &LogPosition {
        &self.position
    }

    /// The log time of the newest entry checked.
    #[must_use]
    pub fn log_time(&self) -> Millis {
        self.log_time
    }

    /// Checks the next bundle and shows each of its entries to `each`; `false` when there is none left, and all heads
    /// were met.
    ///
    /// # Errors
    /// The first thing wrong, or why the log can't be read.
    pub fn step<S: LogSource>(
        &mut self,
        source: &S,
        mut each: impl FnMut(u64, &Entry),
    ) -> Result<bool, Stopped<S::Error>> {
        if let Some(fault) = self.meet_here() {
            return Err(Stopped::Fault(fault));
        }
        let first = self.peaks.count;
        let Some(width) = self.size.checked_sub(first).filter(|rest| *rest > 0) else {
            return self.missing_heads().map_or(Ok(false), |fault| Err(Stopped::Fault(fault)));
        };
        let width = narrow(width);
        let number = first >> TILE_BITS;
        let bundle = source.bundle(number, width).map_err(Stopped::Source)?;
        if first + u64::from(width) <= self.minimum && bundle.as_deref().is_none_or(<[u8]>::is_empty) {
            return self.step_over(source, first + u64::from(width)).map(|()| true);
        }
        let before = self.peaks.clone();
        let mut rest = bundle.as_deref().unwrap_or_default();
        for index in first..first + u64::from(width) {
            let fault = |problem| Stopped::Fault(Fault { first: index, last: index, problem });
            let entry = take_entry(&mut rest).ok_or_else(|| fault(Problem::EntryMissing))?;
            let leaf = leaf_hash(entry);
            if self.stored_hash(source, 0, index)?.is_some_and(|stored| stored != leaf) {
                let problem = self.judge(source, &before, number, width, bundle.as_deref().unwrap_or_default())?;
                return Err(fault(problem));
            }
            let decoded = Entry::decode(entry).map_err(|error| fault(Problem::EntryInvalid(error)))?;
            if decoded.log_time < self.log_time {
                return Err(fault(Problem::TimeBackwards));
            }
            self.log_time = decoded.log_time;
            self.push(source, leaf)?;
            self.note_pruning(&decoded);
            each(index, &decoded);
        }
        if !rest.is_empty() {
            let last = first + u64::from(width) - 1;
            return Err(Stopped::Fault(Fault { first: last, last, problem: Problem::BundleTooLong }));
        }
        self.keep_position();
        Ok(true)
    }

    /// Goes over a bundle of pruned entries by their hashes.
    fn step_over<S: LogSource>(&mut self, source: &S, end: u64) -> Result<(), Stopped<S::Error>> {
        for index in self.peaks.count..end {
            let missing = || Stopped::Fault(Fault { first: index, last: index, problem: Problem::EntryMissing });
            let leaf = self.stored_hash(source, 0, index)?.ok_or_else(missing)?;
            self.push(source, leaf)?;
        }
        self.keep_position();
        Ok(())
    }

    /// Keeps where the check stands, if that is the beginning of a bundle.
    fn keep_position(&mut self) {
        if self.peaks.count.is_multiple_of(TILE_HASHES.into()) {
            let (entries, hashes) = (self.peaks.count, self.peaks.hashes.clone());
            let (log_time, pruned_to) = (self.log_time, self.pruned_to);
            self.position = LogPosition { entries, hashes, log_time, pruned_to };
        }
    }

    fn note_pruning(&mut self, entry: &Entry) {
        let SealedPart::Clear(people) = &entry.people else { return };
        let is_done = (entry.head.action, entry.head.decision) == (Action::PruneAccessLog, Decision::Allowed);
        if let Some(pruning) = people.pruning().filter(|pruning| is_done && pruning.is_of(&self.name)) {
            self.pruned_to = self.pruned_to.max(pruning.until);
        }
    }

    /// Appends a leaf; compares the nodes that it completes with their tiles, and the root with the heads of that size.
    fn push<S: LogSource>(&mut self, source: &S, leaf: TreeHash) -> Result<(), Stopped<S::Error>> {
        let index = self.peaks.count;
        let mut nodes = Vec::new();
        self.peaks.push(leaf, |height, node| {
            if height.is_multiple_of(TILE_BITS) {
                nodes.push((height / TILE_BITS, node));
            }
        });
        for (level, node) in nodes {
            let at = index >> (TILE_BITS * level);
            if self.stored_hash(source, level, at)?.is_some_and(|stored| stored != node) {
                let first = at << (TILE_BITS * level);
                let problem = Problem::TileContradicted(self.tile_id(level, at).path());
                return Err(Stopped::Fault(Fault { first, last: index, problem }));
            }
        }
        let size = self.peaks.count;
        let Some(known) = self.known.remove(&size) else { return Ok(()) };
        let root = self.peaks.root();
        match known.into_iter().find(|known| known.head.root != root) {
            Some(KnownHead { whose, .. }) => {
                let problem = Problem::Forked { size, whose };
                Err(Stopped::Fault(Fault { first: self.vouched, last: index, problem }))
            }
            None => {
                self.vouched = size;
                Ok(())
            }
        }
    }

    /// What the log's end does not reach.
    fn missing_heads(&self) -> Option<Fault> {
        let known = self.known.values().flatten().find(|known| known.head.size.0 > self.size)?;
        let problem = Problem::Behind { size: known.head.size.0, whose: known.whose.clone() };
        Some(Fault { first: self.size, last: known.head.size.0 - 1, problem })
    }

    /// The tile with hash `at` of a level, as wide as it is at this size of the log.
    fn tile_id(&self, level: u32, at: u64) -> TileId {
        let (index, hashes) = (at >> TILE_BITS, self.size >> (TILE_BITS * level));
        let width = narrow(hashes - (index << TILE_BITS).min(hashes));
        TileId { level: u8::try_from(level).unwrap_or(u8::MAX), index, width }
    }

    /// Hash `at` of a level as its tile has it; nothing where the source has no such tile by design.
    fn stored_hash<S: LogSource>(
        &mut self,
        source: &S,
        level: u32,
        at: u64,
    ) -> Result<Option<TreeHash>, Stopped<S::Error>> {
        let id = self.tile_id(level, at);
        let slot = level as usize;
        self.tiles.resize_with(self.tiles.len().max(slot + 1), || None);
        let held = self.tiles.get(slot).and_then(Option::as_ref).is_some_and(|(number, _)| *number == id.index);
        if !held {
            let bytes = if id.width == TILE_HASHES || S::HAS_PARTIAL_TILES {
                let bytes = source.tile(id).map_err(Stopped::Source)?;
                let whole = bytes.filter(|bytes| bytes.len() == usize::from(id.width) * HASH_BYTES);
                Some(whole.ok_or_else(|| {
                    let first = at << (TILE_BITS * level);
                    let problem = Problem::TileMissing(id.path());
                    Stopped::Fault(Fault { first, last: first, problem })
                })?)
            } else {
                None
            };
            if let Some(slot) = self.tiles.get_mut(slot) {
                *slot = Some((id.index, bytes));
            }
        }
        let tile = self.tiles.get(slot).and_then(Option::as_ref).and_then(|(_, bytes)| bytes.as_deref());
        let within = usize::from(narrow(at % u64::from(TILE_HASHES)));
        Ok(tile.and_then(|bytes| hashes(bytes).nth(within)))
    }

    /// Who is wrong when an entry and its tile disagree: the tile above tells, or at the right edge the newest head.
    fn judge<S: LogSource>(
        &mut self,
        source: &S,
        before: &Peaks,
        number: u64,
        width: u16,
        mut bundle: &[u8],
    ) -> Result<Problem, Stopped<S::Error>> {
        let id = self.tile_id(0, number << TILE_BITS);
        let stored: Vec<_> = match self.tiles.first().and_then(Option::as_ref) {
            Some((_, Some(bytes))) => hashes(bytes).collect(),
            _ => Vec::new(),
        };
        let entries: Vec<_> = std::iter::from_fn(|| take_entry(&mut bundle)).map(leaf_hash).collect();
        let full = width == TILE_HASHES;
        // A tile above that is missing is no witness; that it is missing is told when it is needed.
        let above = if full { self.stored_hash(source, 1, number).ok().flatten() } else { None };
        let head = self.known.get(&self.size).and_then(|known| known.first()).filter(|_| !full).map(|known| known.head);
        let agrees = |leaves: &[TreeHash]| {
            let mut peaks = before.clone();
            leaves.iter().for_each(|leaf| peaks.push(*leaf, |_, _| ()));
            let root = || root_over(leaves.iter().copied());
            let as_head = || TreeHead { size: TreeSize(peaks.count), root: peaks.root() };
            leaves.len() == usize::from(width)
                && (above.is_some_and(|above| above == root()) || head.is_some_and(|head| head == as_head()))
        };
        Ok(match (agrees(&stored), agrees(&entries)) {
            (true, false) => Problem::EntryChanged,
            (false, true) => Problem::TileChanged(id.path()),
            _ => Problem::TileContradicted(id.path()),
        })
    }
}

/// Hashes of a tile: at most 256.
fn narrow(hashes: u64) -> u16 {
    u16::try_from(hashes).unwrap_or(TILE_HASHES).min(TILE_HASHES)
}

/// Takes an entry off the front of a bundle.
fn take_entry<'a>(bundle: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bundle.split_first_chunk()?;
    let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bundle = rest;
    Some(entry)
}

#[cfg(test)]
mod tests;
