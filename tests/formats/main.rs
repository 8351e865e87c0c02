//! Tokens of every format in numbers: what stands in each place of their text, that no two are equal, that those that
//! lead back do, and that chance is spread evenly. With the keys of a region, and without a vault around them: what a
//! call makes of them is looked at through the door, in `tests/it`.
//!
//! Randomness comes from a fixed seed, so that a run is the same each time. The `format_preserving` format has its
//! tests beside its code, where spaces can be smaller than a vault allows.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail where it stands; the whole binary is one"
)]

mod evenness;
mod ff1;
mod keyring;
mod one_way;
mod opaque;
mod uuid;

/// The base62 digits in the order of their values.
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
