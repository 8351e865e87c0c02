//! Access tokens: what one must be to be believed (RFC 9068, RFC 8705, RFC 9449), and what its claims become in the
//! vault's own words.
//!
//! Pure: no I/O and no clock. Keys of issuers are handed in as bytes, whoever fetched them; the time comes with each
//! question. A [`Fault`] says what was wrong without a word of the token.
#![deny(missing_docs)]

mod cache;
mod claims;
mod compact;
mod fault;
mod issuer;
mod json;
mod keys;
mod proof;
mod settings;
mod verify;

pub use claims::{Explained, Gives, Mapped, Taken};
pub use fault::Fault;
pub use issuer::{Issuer, KeySource};
pub use keys::{KeySet, KeysFault};
pub use settings::{JwksUrl, SettingsFault};
pub use verify::{Issuers, Now, Presented, Scheme, Verified};

/// The longest access token, and the longest proof, in bytes: claims are names and a few lists.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The largest set of keys that is read, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests;
