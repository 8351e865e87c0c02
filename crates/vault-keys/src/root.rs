//! The root key, from a file: for development and tests only, since whoever reads that one file has every key.
//!
//! The file holds 64 lowercase hex digits and an optional line end, belongs to the user who runs the vault, and is
//! readable by nobody else (mode 0600 or 0400): otherwise it is refused.

use std::path::Path;

use vault_crypto::Key256;
use vault_domain::Entropy;
use zeroize::Zeroizing;

use crate::{
    error::KeysError,
    private_file::{create_private, key_of_hex, put_hex, read_private, without_line_end},
};

/// What is read at most: the digits, a line end, and one more to notice that there is too much.
const READ_BYTES_MAX: usize = 67;

/// The key that wraps every key of a region.
pub struct RootKey(pub(crate) Key256);

impl RootKey {
    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file can't be read, is not this user's alone, or does not hold exactly one key.
    pub fn from_file(path: &Path) -> Result<Self, KeysError> {
        let refuse = |problem: String| KeysError::RootKeyFile { path: path.to_owned(), problem };
        let text = read_private(path, READ_BYTES_MAX).map_err(refuse)?;
        let digits = without_line_end(&text);
        let key = key_of_hex(digits);
        Ok(Self(key.ok_or_else(|| refuse("must hold 64 hex digits (0-9, a-f) and nothing else".to_owned()))?))
    }

    /// Draws a fresh key and writes it to a new file with mode 0600; never overwrites one.
    ///
    /// # Errors
    /// When the file exists already or can't be written, or when the source of randomness fails.
    pub fn create_file(path: &Path, entropy: &dyn Entropy) -> Result<(), KeysError> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(READ_BYTES_MAX));
        put_hex(&mut text, bytes.as_slice());
        text.push('\n');
        let refuse = |problem| KeysError::RootKeyFile { path: path.to_owned(), problem };
        create_private(path, text.as_bytes()).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use vault_domain::SystemEntropy;

    use super::*;

    fn problem(path: &Path) -> String {
        match RootKey::from_file(path) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the file was accepted"),
        }
    }

    #[test]
    fn only_a_private_file_with_exactly_one_key_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::create_file(&path, &SystemEntropy).unwrap();
        assert!(RootKey::from_file(&path).is_ok());
        assert!(RootKey::create_file(&path, &SystemEntropy).is_err(), "an existing key must never be overwritten");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(problem(&path).contains("0644"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(RootKey::from_file(&path).is_ok());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("{}\n\n", "0".repeat(64))] {
            fs::write(&path, bad).unwrap();
            assert!(problem(&path).contains("64 hex digits"), "{bad}");
        }
        assert!(problem(&dir.path().join("none")).contains("can't be opened"));
        assert!(problem(dir.path()).contains("regular file"));
    }
}
