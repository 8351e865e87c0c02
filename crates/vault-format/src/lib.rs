//! What values and tokens look like: the rules that values must meet, the text of opaque tokens, and random tokens that
//! keep a value's format.
//!
//! Keyless and pure: nothing here knows a key, a record, a store or a clock, and randomness comes from the caller.
//! Nothing here may put a value or a token, or a part of one, into an error, a `Debug` text or a log.
#![deny(missing_docs)]

mod base62;
mod luhn;
mod mask;
mod mod97;
mod one_way;
mod permuted;
mod preserve;
mod rejection;
mod scan;
mod token;
mod uuid;
mod validate;

pub use mask::{Bound, Ends, Mask, PCI_FIRST_MAX, PCI_LAST_MAX};
pub use one_way::one_way_text;
pub use permuted::{Numerals, PERMUTED_BYTES_MAX, Parts, Permuted};
pub use preserve::{Alphabet, DRAW_TRIES_MAX, LuhnMode, Preserving, Reserved, Template};
pub use rejection::Rejection;
pub use scan::{Found, Place, Scanner};
pub use token::{CHECK_SPACE, MalformedToken, OPAQUE_TOKEN_BYTES_MAX, OpaqueToken};
pub use uuid::UuidToken;
pub use validate::{
    Canonical, CardBrand, Controls, DATE_YEAR_MAX, DATE_YEAR_MIN, Hyphens, PATTERN_BYTES_MAX,
    PATTERN_PROGRAM_BYTES_MAX, PersonalId, Rule, RuleError, Spelling, TextLimits,
};
