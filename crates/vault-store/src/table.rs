//! The tables: their names, what their rows mean, and how their keys look on disk.
//!
//! A table is a type, so that a log index can't look up a record, and rows come back with keys already decoded. Numbers
//! in keys are big-endian, so that the order of the bytes is the order of the numbers.
//!
//! Once released, a table keeps its number and its key layout for ever; a new one is added at the end.

use std::fmt;

use vault_domain::{LogIndex, Millis, RecordNumber};

use crate::limits::TEXT_KEY_BYTES_MAX;

/// A kind of row. Implemented by the types of this module only.
pub trait Table: Copy + fmt::Debug + Send + Sync + 'static + sealed::Table {
    /// What names one row.
    type Key: Key;
    /// The same table as a plain value.
    const ID: TableId;
}

/// What names a row, and its bytes on disk.
pub trait Key: Clone + fmt::Debug + Send + Sync + sealed::Key {
    /// The form of the bytes: a plain array wherever the length is fixed, so that thousands cost nothing.
    type Bytes: AsRef<[u8]>;
    /// The bytes on disk.
    fn to_bytes(&self) -> Self::Bytes;
    /// The key that [`Key::to_bytes`] made these bytes of; `None` if it could not have.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

mod sealed {
    pub trait Table {}
    pub trait Key {}
}

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident = $number:literal, $name:literal, $key:ty;)*) => {
        /// A table, as a plain value: for statistics, error texts and [`Operation`](crate::Operation)s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum TableId {
            $($(#[$doc])* $table = $number,)*
        }

        impl TableId {
            /// All tables by rising number, which is the order in which a new store gets them.
            pub const ALL: &'static [Self] = &[$(Self::$table),*];

            /// The name, on disk and for operators.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$table => $name,)* }
            }

            /// The number that the engine knows the table by; a store that numbers it otherwise is refused at opening.
            #[must_use]
            pub(crate) const fn number(self) -> u8 {
                match self { $(Self::$table => $number,)* }
            }

            /// Whether stores of this format were made without it once.
            #[must_use]
            pub(crate) const fn is_later(self) -> bool {
                self.number() > Self::Meta.number()
            }

            /// The table with this number.
            #[must_use]
            pub(crate) const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$table),)* _ => None }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $table;

            impl sealed::Table for $table {}
            impl Table for $table {
                type Key = $key;
                const ID: TableId = TableId::$table;
            }
        )*
    };
}

tables! {
    /// Sealed values with their headers. Key: be64(record number).
    Records = 1, "records", RecordNumber;
    /// What changed about a record since it was made; most records have no row. Key: be64(record number).
    States = 2, "states", RecordNumber;
    /// From a token that can't carry its record's number to that number. Key: keyed hash of the token, 16 bytes.
    Tokens = 3, "tokens", [u8; 16];
    /// From a value to its record, where the class allows a blind index. Key: keyed hash of the value, 16 bytes.
    Values = 4, "values", [u8; 16];
    /// Requests that were answered under an idempotency key. Key: be32(day) ‖ keyed hash of the request's name, 16
    /// bytes.
    Idempotency = 5, "idempotency", IdempotencyRow;
    /// Wrapped keys, epoch salts and what else the key rings keep. Key: short text.
    Keys = 6, "keys", TextKey;
    /// Entries of the log. Key: be64(index).
    Entries = 7, "entries", LogIndex;
    /// Full tiles of the log's Merkle tree. Key: level, one byte ‖ be64(number within the level).
    Tiles = 8, "tiles", TileNumber;
    /// Signed checkpoints of the log. Key: be64(tree size).
    Checkpoints = 9, "checkpoints", CheckpointSize;
    /// The derived index of the log, written by the [`SummaryWriter`](crate::SummaryWriter) alone. Key: be64(run).
    Summaries = 10, "summaries", RunNumber;
    /// Small facts about the store. Key: short text; `format`, `vault` and `region` are the store's own and read-only.
    Meta = 11, "meta", TextKey;
    /// Nonces that are used up. Key: be32(bucket) ‖ keyed hash of tenant, principal and nonce, 16 bytes. No value.
    Nonces = 12, "nonces", NonceRow;
    /// Versions of catalog and policies, in the node's store. Key: be64(version) ‖ be32(part); part 0 is the head.
    Versions = 13, "versions", VersionRow;
    /// Records that will end by themselves or have ended, by when. Key: be64(ms since 1970) ‖ be64(record number). No
    /// value.
    Expiry = 14, "expiry", ExpiryRow;
    /// What callers spent of their budgets in the last day. Key: keyed hash of budget, principal, class and purpose, 16
    /// bytes.
    Budgets = 15, "budgets", [u8; 16];
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! number_keys {
    ($($key:ident: $get:expr, $new:expr;)*) => {$(
        impl sealed::Key for $key {}
        impl Key for $key {
            type Bytes = [u8; 8];

            fn to_bytes(&self) -> [u8; 8] {
                let get: fn(&$key) -> u64 = $get;
                get(self).to_be_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let new: fn(u64) -> Option<$key> = $new;
                new(u64::from_be_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}

/// The size of the tree that a checkpoint signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointSize(pub u64);

/// The number of a run of entries: the first entry's index divided by the run's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

number_keys! {
    RecordNumber: |key| key.get(), RecordNumber::new;
    LogIndex: |key| key.0, |number| Some(LogIndex(number));
    CheckpointSize: |key| key.0, |number| Some(CheckpointSize(number));
    RunNumber: |key| key.0, |number| Some(RunNumber(number));
}

impl sealed::Key for [u8; 16] {}
impl Key for [u8; 16] {
    type Bytes = [u8; 16];

    fn to_bytes(&self) -> [u8; 16] {
        *self
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

/// Where the answer to an idempotent request is kept. The day comes first, so that days past go as one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyRow {
    /// Days since 1970-01-01.
    pub day: u32,
    /// Keyed hash of tenant, principal, method and idempotency key.
    pub hash: [u8; 16],
}

impl sealed::Key for IdempotencyRow {}
impl Key for IdempotencyRow {
    type Bytes = [u8; 20];

    fn to_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let (day, hash) = bytes.split_at_mut(4);
        day.copy_from_slice(&self.day.to_be_bytes());
        hash.copy_from_slice(&self.hash);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (day, hash) = bytes.split_first_chunk()?;
        Some(Self { day: u32::from_be_bytes(*day), hash: hash.try_into().ok()? })
    }
}

/// Where it stands when a record ends. The time comes first, so that what is due stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpiryRow {
    /// When.
    pub at: Millis,
    /// Which.
    pub number: RecordNumber,
}

impl sealed::Key for ExpiryRow {}
impl Key for ExpiryRow {
    type Bytes = [u8; 16];

    fn to_bytes(&self) -> [u8; 16] {
        ((u128::from(self.at.0) << 64) | u128::from(self.number.get())).to_be_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, number) = bytes.split_first_chunk()?;
        let number = RecordNumber::new(u64::from_be_bytes(number.try_into().ok()?))?;
        Some(Self { at: Millis(u64::from_be_bytes(*at)), number })
    }
}

/// Where it stands that a nonce is used up. The bucket comes first, so that buckets past go as one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonceRow {
    /// The time in the nonce's timestamp since 1970, divided by `vault_domain::limits::NONCE_BUCKET`.
    pub bucket: u32,
    /// Keyed hash of tenant, principal and nonce.
    pub hash: [u8; 16],
}

impl sealed::Key for NonceRow {}
impl Key for NonceRow {
    type Bytes = [u8; 20];

    fn to_bytes(&self) -> [u8; 20] {
        IdempotencyRow { day: self.bucket, hash: self.hash }.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        IdempotencyRow::from_bytes(bytes).map(|IdempotencyRow { day, hash }| Self { bucket: day, hash })
    }
}

/// Where a part of a version of catalog and policies is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionRow {
    /// The version's number, from 1.
    pub version: u64,
    /// 0 for what is known of it, then the pieces of its texts.
    pub part: u32,
}

impl sealed::Key for VersionRow {}
impl Key for VersionRow {
    type Bytes = [u8; 12];

    fn to_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (version, part) = bytes.split_at_mut(8);
        version.copy_from_slice(&self.version.to_be_bytes());
        part.copy_from_slice(&self.part.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, part) = bytes.split_first_chunk()?;
        Some(Self { version: u64::from_be_bytes(*version), part: u32::from_be_bytes(part.try_into().ok()?) })
    }
}

/// Where a full tile of the Merkle tree is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileNumber {
    /// The level, 0 for tiles of leaf hashes.
    pub level: u8,
    /// The number within the level, from 0.
    pub number: u64,
}

impl sealed::Key for TileNumber {}
impl Key for TileNumber {
    type Bytes = [u8; 9];

    fn to_bytes(&self) -> [u8; 9] {
        let mut bytes = [self.level; 9];
        let (_, number) = bytes.split_at_mut(1);
        number.copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (level, number) = bytes.split_first()?;
        Some(Self { level: *level, number: u64::from_be_bytes(number.try_into().ok()?) })
    }
}

/// A short text that names a row: 1 to [`TEXT_KEY_BYTES_MAX`] visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextKey(String);

impl TextKey {
    /// The key with this text, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let valid = (1..=TEXT_KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextKey({})", self.0)
    }
}

impl sealed::Key for TextKey {}
impl Key for TextKey {
    type Bytes = Vec<u8>;

    fn to_bytes(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::new(str::from_utf8(bytes).ok()?)
    }
}
