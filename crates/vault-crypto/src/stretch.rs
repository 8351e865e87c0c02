//! Argon2id (RFC 9106), version 0x13: a key from a passphrase, slow and large on purpose, so that each guess costs
//! whoever stole the salt as much as it costs us.
//!
//! `key = Argon2id(password = passphrase, salt, t = passes, m = memory_kib, p = lanes, X = associated, tag length =
//! 32)`, without a secret (K). Lanes run one after the other here: the result is the same, only a thief gains by more
//! cores.

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::Key256;

/// Bytes of a salt: twice what RFC 9106 section 3.1 recommends for passwords.
pub const STRETCH_SALT_BYTES: usize = 32;

/// What one derivation costs (RFC 9106 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StretchCost {
    /// Memory, m, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory, t.
    pub passes: u32,
    /// Lanes, p.
    pub lanes: u32,
}

impl StretchCost {
    /// What new keys are derived with: the second recommended option of RFC 9106 section 4 (t = 3, p = 4) with 256 MiB
    /// in place of its 64. It is paid once a start.
    pub const DEFAULT: Self = Self { memory_kib: 256 << 10, passes: 3, lanes: 4 };
    /// The second recommended option itself: nothing cheaper is taken from a file.
    pub const MIN: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };
    /// Nothing dearer is taken from a file: it would hold up the start or end it.
    pub const MAX: Self = Self { memory_kib: 2 << 20, passes: 16, lanes: 16 };

    /// Whether each cost lies between [`StretchCost::MIN`] and [`StretchCost::MAX`].
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let (min, max) = (Self::MIN, Self::MAX);
        (min.memory_kib..=max.memory_kib).contains(&self.memory_kib)
            && (min.passes..=max.passes).contains(&self.passes)
            && (min.lanes..=max.lanes).contains(&self.lanes)
    }
}

/// Why no key was derived.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StretchError {
    /// The memory is not to be had.
    #[error("the memory that Argon2id takes is not free")]
    Memory,
    /// A parameter lies outside of RFC 9106 section 3.1.
    #[error("the parameters are none of Argon2id's")]
    Parameters,
}

impl Key256 {
    /// Derives a key from a passphrase. `associated` says what for (at most 32 bytes): the same passphrase and salt
    /// give another key elsewhere. The memory is wiped afterwards.
    ///
    /// # Errors
    /// When the memory is not to be had, or a parameter is outside of the standard's bounds.
    pub fn stretch(
        passphrase: &[u8],
        salt: &[u8; STRETCH_SALT_BYTES],
        cost: StretchCost,
        associated: &[u8],
    ) -> Result<Self, StretchError> {
        let mut key = Self::zeroed();
        argon2id(passphrase, salt, &[], associated, cost, key.bytes_mut())?;
        Ok(key)
    }
}

fn argon2id(
    passphrase: &[u8],
    salt: &[u8],
    secret: &[u8],
    associated: &[u8],
    cost: StretchCost,
    out: &mut [u8; 32],
) -> Result<(), StretchError> {
    let refused = |_| StretchError::Parameters;
    let mut params = ParamsBuilder::new();
    params.m_cost(cost.memory_kib).t_cost(cost.passes).p_cost(cost.lanes);
    let params = params.data(AssociatedData::new(associated).map_err(refused)?).output_len(out.len()).build();
    let params = params.map_err(refused)?;
    let blocks = params.block_count();
    let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params).map_err(refused)?;
    // The crate's own memory would not be wiped.
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(blocks).map_err(|_| StretchError::Memory)?;
    memory.resize(blocks, Block::new());
    argon2.hash_password_into_with_memory(passphrase, salt, out, memory.as_mut_slice()).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 9106 section 5.3.
    #[test]
    fn the_test_vector_of_the_rfc() {
        let cost = StretchCost { memory_kib: 32, passes: 3, lanes: 4 };
        let mut tag = [0; 32];
        argon2id(&[1; 32], &[2; 16], &[3; 8], &[4; 12], cost, &mut tag).unwrap();
        assert_eq!(hex(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn each_input_makes_another_key() {
        let cost = StretchCost { memory_kib: 32, passes: 1, lanes: 1 };
        let key = |passphrase: &[u8], salt, cost, associated: &[u8]| {
            hex(Key256::stretch(passphrase, &[salt; 32], cost, associated).unwrap().bytes())
        };
        let keys = [
            key(b"a", 0, cost, b""),
            key(b"b", 0, cost, b""),
            key(b"a", 1, cost, b""),
            key(b"a", 0, cost, b"x"),
            key(b"a", 0, StretchCost { memory_kib: 64, ..cost }, b""),
            key(b"a", 0, StretchCost { passes: 2, ..cost }, b""),
            key(b"a", 0, StretchCost { lanes: 2, ..cost }, b""),
        ];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
        assert_eq!(key(b"a", 0, cost, b""), keys[0]);
    }

    #[test]
    fn what_is_outside_of_the_standard_is_refused() {
        let none = StretchCost { memory_kib: 1, passes: 0, lanes: 0 };
        assert_eq!(Key256::stretch(b"a", &[0; 32], none, b"").err(), Some(StretchError::Parameters));
        assert_eq!(Key256::stretch(b"a", &[0; 32], StretchCost::MIN, &[0; 33]).err(), Some(StretchError::Parameters));
        assert!(StretchCost::DEFAULT.is_allowed() && StretchCost::MIN.is_allowed() && StretchCost::MAX.is_allowed());
        assert!(!StretchCost { memory_kib: StretchCost::MIN.memory_kib - 1, ..StretchCost::DEFAULT }.is_allowed());
        assert!(!StretchCost { passes: 2, ..StretchCost::DEFAULT }.is_allowed());
        assert!(!StretchCost { lanes: 17, ..StretchCost::DEFAULT }.is_allowed());
    }
}
