//! The primitives, and nothing else: authenticated encryption, derivation, one block, FF1, MAC, signatures, randomness,
//! keys from passphrases.
//!
//! Keys live in opaque types that wipe themselves, can't be cloned, printed or compared, and give their bytes away by
//! `Key256::danger_hex` alone. No async, no I/O, no logging, no unsafe. One file per primitive; its documentation is
//! the formula and the standard's section. docs/CRYPTO.md says which key is used for what.
#![deny(missing_docs)]
// Secrets have no Debug on purpose: a key that can be printed will be.
#![allow(missing_debug_implementations, reason = "keys must not be printable")]

mod aead;
mod block;
mod derive;
mod ff1;
mod key;
mod mac;
mod random;
mod sign;
mod stretch;

pub use aead::{AeadKey, NONCE_BYTES, OpenError, TAG_BYTES};
pub use block::{BLOCK_BYTES, Block, BlockKey};
pub use derive::Info;
pub use ff1::{
    DOMAIN_SIZE_MIN, Domain, Ff1Error, Ff1ItemError, Ff1Key, Item, LENGTH_MAX, Numeral, RADIX_MAX, TWEAK_BYTES_MAX,
    Tweak,
};
pub use key::{Key256, WRAPPED_BYTES};
pub use mac::{MacKey, MacTag, same, sha256};
pub use random::CallRandom;
pub use sign::{LogKey, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};
pub use stretch::{STRETCH_SALT_BYTES, StretchCost, StretchError};

#[cfg(test)]
mod vectors;
